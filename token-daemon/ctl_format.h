/*
 * ctl_format - how xoauth2ctl shows what tokend answered to a person.
 *
 * Pure: JSON in, text out. What is missing in an answer shows as `-`.
 */
#ifndef TOKEN_DAEMON_CTL_FORMAT_H
#define TOKEN_DAEMON_CTL_FORMAT_H

#include <stdint.h>

#include "common/buf.h"

struct json_t; /* of jansson */

/* The table of `status`; `wall` is now, in seconds since 1970. */
void ctl_format_status(const struct json_t *result, int64_t wall,
                       struct buf *out);

/* A span of seconds as `59s`, `12m`, `3h05m` or `12d`. */
void ctl_format_span(int64_t seconds, struct buf *out);

/*
 * Append the keys of a credential, or of all (a list as `status` and `rotate`
 * answer it), one to a line under a heading. Nothing for an empty list.
 */
void ctl_format_keys(const struct json_t *keys, struct buf *out);

#endif
