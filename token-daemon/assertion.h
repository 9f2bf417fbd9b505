/*
 * assertion - client assertions: a signed JWT in place of a client secret.
 *
 * RFC 7523 and RFC 7515, with the header fields by which Microsoft finds the
 * certificate: PS256 with x5t#S256 (RSA-PSS, SHA-256, MGF1 with SHA-256, salt
 * of 32 bytes: RFC 7518, section 3.5), or RS256 with x5t. Knows nothing of
 * files: certificate and key come as PEM bytes. No other module makes
 * signatures.
 */
#ifndef TOKEN_DAEMON_ASSERTION_H
#define TOKEN_DAEMON_ASSERTION_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"

#define ASSERTION_LIFETIME   600 /* s from nbf to exp */
#define ASSERTION_ID_SIZE    37  /* bytes of a GUID as text, with the NUL */
#define ASSERTION_LENGTH_MAX ((size_t)16 * 1024)

struct assertion_key;

/*
 * Take a certificate and its private key out of PEM text; both may be the same
 * text. Errors: ERR_CONFIG when there is no certificate or no key in it, the
 * key is encrypted, is not RSA of at least 2048 bits, or is another
 * certificate's. Owned: assertion_key_free().
 */
struct assertion_key *
assertion_key_load(const char *certificate, size_t certificate_len,
                   const char *private_key, size_t private_key_len,
                   struct err *err) __attribute__((warn_unused_result));

/* Wipe and free; set *key to NULL. Takes NULL. */
void assertion_key_free(struct assertion_key **key);

/* When the certificate expires, s since 1970. */
int64_t assertion_key_not_after(const struct assertion_key *key);

/* A random GUID for `id` below. Errors: ERR_SYSTEM. */
int assertion_new_id(char out[ASSERTION_ID_SIZE], struct err *err)
    __attribute__((warn_unused_result));

struct assertion_claims {
    const char *audience;  /* aud: the token endpoint's URL */
    const char *client_id; /* iss and sub */
    const char *id;        /* jti: used once only */
    int64_t now;           /* nbf and iat, s since 1970 */
};

/*
 * Append a signed assertion to `out` (a secret, for its lifetime). Errors:
 * ERR_CONFIG when a claim is not UTF-8, ERR_SYSTEM when signing fails; `out`
 * may then hold a part.
 */
int assertion_sign(const struct assertion_key *key,
                   enum config_assertion algorithm,
                   const struct assertion_claims *claims, struct buf *out,
                   struct err *err) __attribute__((warn_unused_result));

#endif
