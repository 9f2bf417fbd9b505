/*
 * pkce - the secrets of one sign-in, which tie its answer to its question.
 *
 * RFC 7636, with S256; and `state` (RFC 6749, section 10.12) and `nonce`
 * (OpenID Connect Core 1.0, section 15.5.2), which are made alike.
 */
#ifndef TOKEN_DAEMON_PKCE_H
#define TOKEN_DAEMON_PKCE_H

#include <stdbool.h>

#include "common/err.h"

#define PKCE_SIZE 44 /* bytes of each text here, with the NUL */

/* 256 random bits as text: a verifier, a state or a nonce. Errors: ERR_SYSTEM
 */
int pkce_random(char out[PKCE_SIZE], struct err *err)
    __attribute__((warn_unused_result));

/* The challenge of a verifier, by S256. Errors: ERR_SYSTEM. */
int pkce_challenge(const char *verifier, char out[PKCE_SIZE], struct err *err)
    __attribute__((warn_unused_result));

/* Are they equal? In a time that does not depend on where they differ. */
bool pkce_is_same(const char *a, const char *b);

#endif
