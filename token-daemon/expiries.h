/*
 * expiries - what expires soon, and how often that was said.
 *
 * Said once each when 30, 14, 7, 3 and 1 days are left, and when it has
 * expired. Pure: the caller passes the time in. Keeps only what is near its
 * end.
 */
#ifndef TOKEN_DAEMON_EXPIRIES_H
#define TOKEN_DAEMON_EXPIRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct expiries;

/* Owned; NULL when out of memory. Keeps at most `max`. */
struct expiries *expiries_new(size_t max) __attribute__((warn_unused_result));
void expiries_free(struct expiries **expiries);

/*
 * `name` (copied) ends at `ends`; `now` and `ends` are seconds since 1970; 0:
 * it does not end. True when that should be said now. Another `ends` than the
 * last time begins anew. What can't be kept is not said.
 */
bool expiries_is_due(struct expiries *expiries, const char *name, int64_t ends,
                     int64_t now);

size_t expiries_count(const struct expiries *expiries);

#endif
