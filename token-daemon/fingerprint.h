/*
 * fingerprint - how a token is named where its text may not appear: the first
 * 16 hexadecimal digits of its SHA-256. Pure.
 */
#ifndef TOKEN_DAEMON_FINGERPRINT_H
#define TOKEN_DAEMON_FINGERPRINT_H

#include "common/err.h"
#include "token-daemon/token.h"

/* Errors: ERR_SYSTEM; `out` is then left alone. */
int fingerprint_make(const char *text, char out[TOKEN_FINGERPRINT_LEN + 1],
                     struct err *err) __attribute__((warn_unused_result));

#endif
