/*
 * config_section_mailbox - `mailbox "ADDRESS" { ... }`: who logs in, and what
 * it may send as.
 *
 * Its table of options is the reference of what may stand in such a section,
 * and what a finished one means goes to config->mailboxes. The credential that
 * it names is linked by config_link.
 * Part of config.c; nobody else calls it.
 */
#ifndef COMMON_CONFIG_SECTION_MAILBOX_H
#define COMMON_CONFIG_SECTION_MAILBOX_H

struct cfg_opt_t; /* of libconfuse: a row of a table */

/* The row for such sections in the table of the whole file. */
struct cfg_opt_t config_section_mailbox(void);

#endif
