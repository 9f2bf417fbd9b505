/*
 * sendas_row - what a row of a table of permissions says: who may, who may not,
 * and send as whom.
 *
 * Pure. The table must be of the kind PERMISSIONS and stand on a row; all texts
 * are borrowed until the next one.
 */
#ifndef COMMON_SENDAS_ROW_H
#define COMMON_SENDAS_ROW_H

#include <stdbool.h>

#include "common/recipients.h"
#include "common/sendas_table.h"

/*
 * Is `name` the mailbox, by its address or, where there are `recipients`, by
 * whatever name? False when `mailbox` is NULL.
 */
bool sendas_row_is_mailbox(const char *name, const char *mailbox,
                           const struct recipients *recipients);

/* What names the recipient: its identity, else the addresses it has. */
const char *sendas_row_key(const struct sendas_table *table);

bool sendas_row_is_denial(const struct sendas_table *table);

/* Is it about SendAs? So is a row that does not say. */
bool sendas_row_is_send_as(const struct sendas_table *table);

#endif
