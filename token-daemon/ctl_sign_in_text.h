/*
 * ctl_sign_in_text - what a person who signs in, or an operator beside them, is
 * told.
 *
 * Pure: what tokend says (control_login.c) in, text out.
 */
#ifndef TOKEN_DAEMON_CTL_SIGN_IN_TEXT_H
#define TOKEN_DAEMON_CTL_SIGN_IN_TEXT_H

#include <stdint.h>

#include "common/buf.h"

#define CTL_SIGN_IN_TEXT_MAX ((size_t)64 * 1024) /* bytes */

struct json_t; /* of jansson */

/*
 * What is to be done now, of a `prompt`. `port` is the local page's; 0: there
 * is none, so that an address must be pasted.
 */
void ctl_sign_in_prompt(const struct json_t *event, int port, struct buf *out);

/* One line without its end: how much time there is. */
void ctl_sign_in_countdown(int64_t seconds, struct buf *out);

/* A sentence or two for the person at the browser: how it went. */
void ctl_sign_in_outcome(const struct json_t *answer, struct buf *out);

/* The same for the operator, of a `result`, with what else there is to know. */
void ctl_sign_in_summary(const struct json_t *result, struct buf *out);

#endif
