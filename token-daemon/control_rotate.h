/*
 * control_rotate - what the two ways to exchange keys by the control socket
 * have in common: a new one first, or back to the configured ones.
 */
#ifndef TOKEN_DAEMON_CONTROL_ROTATE_H
#define TOKEN_DAEMON_CONTROL_ROTATE_H

#include <stdint.h>

#include "common/err.h"
#include "token-daemon/control_exchange.h"
#include "token-daemon/problem.h"
#include "token-daemon/rotation.h"

/*
 * `forget`: drop what was rotated in, once a real request has shown that the
 * first configured key works; those of Microsoft Graph, of which there is no
 * other copy, stay behind it. With `force` all go, and nothing is tried.
 * `wait_s`: how long it may be refused. Ends the exchange, or waits for that.
 */
void control_forget_keys(struct control_exchange *exchange,
                         const char *credential, int64_t wait_s);

/* A step that is not the end: REFUSED or UNANSWERED. */
void control_rotate_tell(struct control_exchange *exchange,
                         const struct rotation_news *news);

/* The code of a refusal for what a provider, or a file, said of a key. */
const char *control_rotate_code(enum problem problem);

/* Refuse for what rotation_start() and the keyring say. */
void control_rotate_refuse(struct control_exchange *exchange,
                           const struct err *err);

#endif
