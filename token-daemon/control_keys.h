/*
 * control_keys - what `status` and `rotate` say of the keys of a credential:
 * where each is from, which is in use, what failed and when. Never a secret.
 */
#ifndef TOKEN_DAEMON_CONTROL_KEYS_H
#define TOKEN_DAEMON_CONTROL_KEYS_H

#include <stdint.h>

#include "token-daemon/keyring.h"

struct json_t; /* of jansson */

/*
 * A list of objects, in the order of keyring_each(), of one credential or
 * (NULL) of all; `wall` is now, s since 1970. NULL: out of memory.
 */
struct json_t *control_keys_describe(struct keyring *keyring,
                                     const char *credential, int64_t wall);

#endif
