/*
 * assertion - signed JWTs: client assertions in place of a client secret, and
 * those by which a service account acts for a user.
 *
 * RFC 7523 and RFC 7515, with the header fields by which Microsoft finds the
 * certificate: PS256 with x5t#S256 (RSA-PSS, SHA-256, MGF1 with SHA-256, salt
 * of 32 bytes: RFC 7518, section 3.5), or RS256 with x5t. Knows nothing of
 * files: certificate and key come as PEM bytes.
 */
#ifndef TOKEN_DAEMON_ASSERTION_H
#define TOKEN_DAEMON_ASSERTION_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"

#define ASSERTION_LIFETIME        600 /* s from nbf to exp, of a client's */
#define ASSERTION_ID_SIZE         37 /* bytes of a GUID as text, with the NUL */
#define ASSERTION_DIGEST_SIZE     32
#define ASSERTION_LENGTH_MAX      ((size_t)16 * 1024)
#define ASSERTION_THUMBPRINT_SIZE 41 /* bytes, with the NUL */

struct assertion_key;

/* What a key is made of. All borrowed: for the call. NULL: there is none. */
struct assertion_material {
    const char *certificate; /* PEM text; without it there is no x5t */
    size_t certificate_len;  /* bytes */
    const char *private_key; /* PEM text, may be the same; NULL: elsewhere */
    size_t private_key_len;  /* bytes */
    const char *passphrase;  /* of private_key */
};

/*
 * Take a certificate and its private key out of that. Errors: ERR_CONFIG when
 * there is no certificate or no key in it, the passphrase is missing or does
 * not open it, the key is not RSA of at least 2048 bits, or is another
 * certificate's. Owned: assertion_key_free().
 */
struct assertion_key *
assertion_key_load(const struct assertion_material *material, struct err *err)
    __attribute__((warn_unused_result));

/* Wipe and free; set *key to NULL. Takes NULL. */
void assertion_key_free(struct assertion_key **key);

/* When the certificate expires, s since 1970; 0: there is none. */
int64_t assertion_key_not_after(const struct assertion_key *key);

/*
 * The certificate's SHA-1 in upper-case hexadecimal digits, as portals show it;
 * "": there is none. Borrowed: for the key's life.
 */
const char *assertion_key_thumbprint(const struct assertion_key *key);

/* A random GUID for `id` below. Errors: ERR_SYSTEM. */
int assertion_new_id(char out[ASSERTION_ID_SIZE], struct err *err)
    __attribute__((warn_unused_result));

/* NULL leaves a claim out. All borrowed: for the call. */
struct assertion_claims {
    const char *audience; /* aud: the token endpoint's URL */
    const char *issuer;   /* iss: the client's or the service account's */
    const char *subject;  /* sub: the client again, or the user */
    const char *scope;    /* Google wants it here, not in the form */
    const char *id;       /* jti: used once only */
    const char *key_id;   /* kid, in the header */
    int64_t now;          /* nbf and iat, s since 1970 */
    int64_t lifetime;     /* s to exp */
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

/*
 * The same in two steps, for a private key that is elsewhere. Append what is to
 * be signed, to an empty `out`, and tell its SHA-256. Errors as above.
 */
int assertion_begin(const struct assertion_key *key,
                    enum config_assertion algorithm,
                    const struct assertion_claims *claims, struct buf *out,
                    unsigned char digest[ASSERTION_DIGEST_SIZE],
                    struct err *err) __attribute__((warn_unused_result));

/*
 * Append the signature to what was begun. Errors: ERR_CONFIG when it is not by
 * the certificate's key, ERR_SYSTEM.
 */
int assertion_end(const struct assertion_key *key,
                  enum config_assertion algorithm, struct buf *begun,
                  const struct buf *signature, struct err *err)
    __attribute__((warn_unused_result));

#endif
