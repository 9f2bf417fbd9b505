/*
 * lookup_key - the keys of the lookups `token`, `xoauth2` and `refused`.
 *
 *     key   = address *( SP word )
 *     word  = "host=" server / "min=" seconds / "token=" fingerprint
 *
 * Pure; `host=` is required. A word that is unknown, given twice or empty is
 * an error, so that a typing mistake never changes what a key means.
 */
#ifndef TOKEN_DAEMON_LOOKUP_KEY_H
#define TOKEN_DAEMON_LOOKUP_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/err.h"
#include "token-daemon/token.h"

#define LOOKUP_KEY_SERVER_MAX 255   /* bytes; RFC 1035, section 2.3.4 */
#define LOOKUP_KEY_MIN_MAX    86400 /* s */

struct lookup_key {
    char address[ADDRESS_MAX + 1];
    char server[LOOKUP_KEY_SERVER_MAX + 1]; /* as config_server_name() makes */
    int64_t min_s;                          /* -1: not given */
    char fingerprint[TOKEN_FINGERPRINT_LEN + 1]; /* lower case; "": not given */
};

/* Errors: ERR_PROTO with a text that says what is expected. */
int lookup_key_parse(const char *key, size_t len, struct lookup_key *out,
                     struct err *err) __attribute__((warn_unused_result));

#endif
