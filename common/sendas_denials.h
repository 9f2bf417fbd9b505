/*
 * sendas_denials - whom a mailbox may not send as, whatever else permits it.
 *
 * Exchange lets a denial win over every permission. Which of two rows is about
 * the same recipient does not depend on how they name it: one has an address,
 * another an alias of it, a third a name that a table of recipients explains.
 * So all that is known of a denied recipient is kept, and one thing in common
 * is enough. Pure.
 */
#ifndef COMMON_SENDAS_DENIALS_H
#define COMMON_SENDAS_DENIALS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/recipients.h"
#include "common/sendas_table.h"

struct sendas_denials;

/* Owned: sendas_denials_free(); NULL when out of memory. */
struct sendas_denials *sendas_denials_new(void)
    __attribute__((warn_unused_result));

/* Takes NULL and sets it to NULL. */
void sendas_denials_free(struct sendas_denials **denials);

/*
 * Add the denials of `mailbox` in a table that was just opened, which is
 * rewound; one of another kind has none. `recipients` may be NULL. Errors as
 * sendas_table_next(), or ERR_SYSTEM.
 */
int sendas_denials_add(struct sendas_denials *denials,
                       struct sendas_table *table, const char *mailbox,
                       const struct recipients *recipients, struct err *err)
    __attribute__((warn_unused_result));

/* Is the recipient of this row of permissions one of them? */
bool sendas_denials_have_row(const struct sendas_denials *denials,
                             const struct sendas_table *table,
                             const struct recipients *recipients);

/* Is it the address of one? */
bool sendas_denials_have(const struct sendas_denials *denials,
                         const char *address, size_t len);

size_t sendas_denials_count(const struct sendas_denials *denials);

#endif
