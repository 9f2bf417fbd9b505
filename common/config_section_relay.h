/*
 * config_section_relay - `relay "SERVER" { ... }`: a server that may be logged
 * in to.
 *
 * Its table of options is the reference of what may stand in such a section,
 * and what a finished one means goes to config->relays.
 * Part of config.c; nobody else calls it.
 */
#ifndef COMMON_CONFIG_SECTION_RELAY_H
#define COMMON_CONFIG_SECTION_RELAY_H

struct cfg_opt_t; /* of libconfuse: a row of a table */

/* The row for such sections in the table of the whole file. */
struct cfg_opt_t config_section_relay(void);

#endif
