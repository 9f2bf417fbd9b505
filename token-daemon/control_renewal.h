/*
 * control_renewal - what `status` says of credentials that renew themselves.
 */
#ifndef TOKEN_DAEMON_CONTROL_RENEWAL_H
#define TOKEN_DAEMON_CONTROL_RENEWAL_H

#include "token-daemon/control.h"

struct json_t; /* of jansson */

/*
 * Add to each object of the array `credentials` what its rotation does, by its
 * member `name`. Takes NULL.
 */
void control_renewal_describe(const struct control_env *env,
                              struct json_t *credentials);

#endif
