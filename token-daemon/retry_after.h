/*
 * retry_after - the two headers that speak of time: Retry-After and Date.
 *
 * Pure. RFC 9110, sections 5.6.7 (the three date formats), 6.6.1 and 10.2.3.
 */
#ifndef TOKEN_DAEMON_RETRY_AFTER_H
#define TOKEN_DAEMON_RETRY_AFTER_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_AFTER_MAX 3600 /* s; a longer time is cut to this */

/*
 * Seconds to wait by a Retry-After field, given the time `now` (s since 1970):
 * from 0 (also for a date that has passed) to RETRY_AFTER_MAX. False when
 * `text` is neither a number nor a date; *out is then left alone.
 */
bool retry_after_parse(const char *text, int64_t now, int64_t *out);

/*
 * Seconds since 1970 by an HTTP date. `now` serves the two-digit year of the
 * RFC 850 format: a year that would lie over 50 years ahead is in the past.
 * False when it is no date.
 */
bool retry_after_date(const char *text, int64_t now, int64_t *out);

#endif
