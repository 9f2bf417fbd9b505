/*
 * key_pkcs11 - a private key that never leaves its token (an HSM, a card).
 *
 * By its `pkcs11:` URI (RFC 7512): through a provider of OpenSSL that has
 * registered the scheme, else through the engine `pkcs11` (Debian's
 * libengine-pkcs11-openssl), which finds the tokens by p11-kit. The only file
 * that knows of engines. All of it may block, or worse: it is for a process of
 * its own (token_signer.h), which uses one key and ends.
 */
#ifndef TOKEN_DAEMON_KEY_PKCS11_H
#define TOKEN_DAEMON_KEY_PKCS11_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/err.h"

#define KEY_PKCS11_DIGEST_SIZE 32

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */
struct key_pkcs11;

/*
 * Open the key; `pin` may be NULL where the token wants none. Owned:
 * key_pkcs11_close(). NULL on failure: ERR_CONFIG when there is no engine,
 * token or such key; ERR_DENIED when the token refused the PIN: trying the
 * same again may lock it.
 */
struct key_pkcs11 *key_pkcs11_open(const char *uri, const char *pin,
                                   struct err *err)
    __attribute__((warn_unused_result));

/* Let go of the key and its token; set *key to NULL. Takes NULL. */
void key_pkcs11_close(struct key_pkcs11 **key);

/*
 * Append the signature of a SHA-256 digest: RSA-PSS as PS256 has it (RFC 7518,
 * section 3.5), or PKCS #1 v1.5. Errors: ERR_CONFIG when the key is not RSA of
 * at least 2048 bits, ERR_SYSTEM.
 */
int key_pkcs11_sign(const struct key_pkcs11 *key, bool is_pss,
                    const unsigned char digest[KEY_PKCS11_DIGEST_SIZE],
                    struct buf *out, struct err *err)
    __attribute__((warn_unused_result));

/* The key itself, for tests; borrowed: until it is closed. */
struct evp_pkey_st *key_pkcs11_key(const struct key_pkcs11 *key);

#endif
