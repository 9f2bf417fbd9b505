/*
 * config_section_tokend - `tokend { ... }` with `access "PATH" { ... }` and
 * `operator "NAME" { ... }`.
 *
 * Its table of options is the reference of what may stand in such a section,
 * and what a finished one means goes to config->tokend. Its accounts are
 * looked up by config_link.
 * Part of config.c; nobody else calls it.
 */
#ifndef COMMON_CONFIG_SECTION_TOKEND_H
#define COMMON_CONFIG_SECTION_TOKEND_H

struct cfg_opt_t; /* of libconfuse: a row of a table */

/* The row for such sections in the table of the whole file. */
struct cfg_opt_t config_section_tokend(void);

#endif
