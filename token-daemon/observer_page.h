/*
 * observer_page - gathers what the page for a person shows.
 *
 * Looks at each mailbox once and makes text of those that are shown only, so
 * that lookups wait for a few milliseconds at most, however many there are.
 */
#ifndef TOKEN_DAEMON_OBSERVER_PAGE_H
#define TOKEN_DAEMON_OBSERVER_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/sendas.h"
#include "token-daemon/lookups.h"
#include "token-daemon/refresher.h"

/* All borrowed: during the call. */
struct observer_page {
    struct refresher *refresher;
    struct lookups *lookups;
    const struct sendas *policy; /* in force */
    int64_t wall;                /* s since 1970 */
    int64_t started_wall;
    size_t clients;
};

/* Append the page. Fails as buf does, also when out of memory. */
void observer_page_render(const struct observer_page *page, struct buf *out);

#endif
