/*
 * fingerprint - how a token is named where its text may not appear: the first
 * 16 hexadecimal digits of its SHA-256. And of a secret, which may be guessed:
 * those of an HMAC-SHA-256 (RFC 2104) under a salt that is a secret, too. Pure.
 */
#ifndef TOKEN_DAEMON_FINGERPRINT_H
#define TOKEN_DAEMON_FINGERPRINT_H

#include <stddef.h>

#include "common/err.h"
#include "token-daemon/token.h"

/* Errors: ERR_SYSTEM; `out` is then left alone. */
int fingerprint_make(const char *text, char out[TOKEN_FINGERPRINT_LEN + 1],
                     struct err *err) __attribute__((warn_unused_result));

struct fingerprint_part {
    const char *text; /* NULL: nothing, which is not the same as empty */
    size_t len;       /* bytes */
};

/* Of several parts, whose borders count. Errors likewise. */
int fingerprint_salted(const unsigned char *salt, size_t salt_len,
                       const struct fingerprint_part *parts, size_t count,
                       char out[TOKEN_FINGERPRINT_LEN + 1], struct err *err)
    __attribute__((warn_unused_result));

#endif
