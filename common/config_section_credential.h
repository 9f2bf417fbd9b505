/*
 * config_section_credential - `credential "NAME" { ... }`: how to get a token.
 *
 * Its table of options is the reference of what may stand in such a section,
 * and what a finished one means goes to config->credentials. Which options go
 * together is config_credential's to say.
 * Part of config.c; nobody else calls it.
 */
#ifndef COMMON_CONFIG_SECTION_CREDENTIAL_H
#define COMMON_CONFIG_SECTION_CREDENTIAL_H

struct cfg_opt_t; /* of libconfuse: a row of a table */

/* The row for such sections in the table of the whole file. */
struct cfg_opt_t config_section_credential(void);

#endif
