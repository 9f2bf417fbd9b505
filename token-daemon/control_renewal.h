/*
 * control_renewal - credentials that renew themselves: what `status` says of
 * them, and `rotate` with `now`.
 */
#ifndef TOKEN_DAEMON_CONTROL_RENEWAL_H
#define TOKEN_DAEMON_CONTROL_RENEWAL_H

#include "token-daemon/control.h"

struct control_exchange;
struct json_t; /* of jansson */

/*
 * Add to the object `row` of a credential what its rotation does, by its member
 * `name`. Takes NULL.
 */
void control_renewal_describe(const struct control_env *env,
                              struct json_t *row);

/* Have this credential renewed now: answers, and does not wait for the end. */
void control_renewal_now(struct control_exchange *exchange,
                         const char *credential);

#endif
