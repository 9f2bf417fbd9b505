/*
 * recipients - who is meant by a name that Exchange printed, and its addresses.
 *
 * Get-RecipientPermission names recipients as people see them, `Sales Team`;
 * what Get-EXOMailbox prints says which addresses they have. For the import
 * only: the daemons read tables that hold addresses themselves.
 */
#ifndef COMMON_RECIPIENTS_H
#define COMMON_RECIPIENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/sendas_table.h"

struct recipients;

/* Owned: recipients_free(); NULL when out of memory. */
struct recipients *recipients_new(void) __attribute__((warn_unused_result));

/* Takes NULL and sets it to NULL. */
void recipients_free(struct recipients **recipients);

/*
 * Add every row of a table of the kind RECIPIENTS that was just opened. Errors
 * as sendas_table_next(), or ERR_SYSTEM.
 */
int recipients_add(struct recipients *recipients, struct sendas_table *table,
                   struct err *err) __attribute__((warn_unused_result));

enum recipients_result {
    RECIPIENTS_FOUND,
    RECIPIENTS_UNKNOWN,
    RECIPIENTS_AMBIGUOUS, /* several are called so */
};

/*
 * The addresses of whoever has this name (identity, alias, display name, GUID
 * or one of its addresses), as proxy_addresses reads them. Without case.
 * Borrowed.
 */
enum recipients_result recipients_find(const struct recipients *recipients,
                                       const char *name,
                                       const char **addresses);

size_t recipients_count(const struct recipients *recipients);

#endif
