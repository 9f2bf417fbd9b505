/*
 * self_signed - for tests: a fresh RSA key with its certificate, and a check of
 * JWTs by OpenSSL alone, without any code of the project's.
 */
#ifndef TESTS_UNIT_SELF_SIGNED_H
#define TESTS_UNIT_SELF_SIGNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <openssl/evp.h>

struct self_signed {
    EVP_PKEY *key;
    char *certificate_pem; /* owned, like all of these */
    char *key_pem;
    char *both_pem;    /* certificate, then key */
    char x5t_sha1[64]; /* base64url */
    char x5t_sha256[64];
    int64_t not_after; /* s since 1970 */
};

/* `days` from now on. Fails the test when OpenSSL does. */
void self_signed_init(struct self_signed *pair, int type, int bits, int days);
void self_signed_clear(struct self_signed *pair);

/*
 * Check a JWT's signature: RSA-PSS with SHA-256 and a salt of 32 bytes, or
 * PKCS #1 v1.5. On success *header and *claims are new references.
 */
bool self_signed_verify(const struct self_signed *pair, const char *jwt,
                        size_t len, bool is_pss, json_t **header,
                        json_t **claims);

#endif
