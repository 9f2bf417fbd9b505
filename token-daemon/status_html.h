/*
 * status_html - the status as one page that a person reads in a browser.
 *
 * Pure: what xoauth2ctl's `status` answers in, HTML out. No script, nothing
 * from elsewhere; everything that is not ours is escaped. Mailboxes that are
 * in trouble come first, and the table is cut after STATUS_HTML_ROWS_MAX rows.
 */
#ifndef TOKEN_DAEMON_STATUS_HTML_H
#define TOKEN_DAEMON_STATUS_HTML_H

#include <stdint.h>

#include "common/buf.h"

#define STATUS_HTML_ROWS_MAX 500
#define STATUS_HTML_SIZE_MAX ((size_t)4 << 20) /* bytes */

struct json_t; /* of jansson */

/*
 * `result` is the `result` of an answer; what is missing in it shows as `-`.
 * `wall` is now, in seconds since 1970.
 */
void status_html_render(const struct json_t *result, int64_t wall,
                        struct buf *out);

#endif
