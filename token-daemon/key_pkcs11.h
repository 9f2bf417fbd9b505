/*
 * key_pkcs11 - a private key that never leaves its token (an HSM, a card).
 *
 * By its `pkcs11:` URI (RFC 7512): through a provider of OpenSSL that has
 * registered the scheme, else through the engine `pkcs11` (Debian's
 * libengine-pkcs11-openssl), which finds the tokens by p11-kit. The only file
 * that knows of engines. A token may be slow, or far away: opening, signing and
 * closing block, so they are for a thread of their own (signer.h), one at a
 * time. All is opened anew each time, so a token may be restarted or changed.
 */
#ifndef TOKEN_DAEMON_KEY_PKCS11_H
#define TOKEN_DAEMON_KEY_PKCS11_H

#include "common/err.h"

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

/* The key, for EVP_DigestSign...(); borrowed: until it is closed. */
struct evp_pkey_st *key_pkcs11_key(const struct key_pkcs11 *key);

#endif
