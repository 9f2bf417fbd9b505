/*
 * pkce - the secrets of one sign-in, which tie its answer to its question.
 */
#include "token-daemon/pkce.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "common/buf.h"
#include "common/secret.h"
#include "token-daemon/base64url.h"

#define RANDOM_BYTES 32

static int
write_text(const unsigned char bytes[RANDOM_BYTES], char out[PKCE_SIZE],
           struct err *err)
{
    struct buf text;
    int rc = -1;

    buf_init(&text, PKCE_SIZE);
    base64url_append(&text, bytes, RANDOM_BYTES);
    if (buf_failed(&text)) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
    } else {
        memcpy(out, buf_str(&text), text.len + 1);
        rc = 0;
    }
    buf_clear(&text);
    return rc;
}

int
pkce_random(char out[PKCE_SIZE], struct err *err)
{
    unsigned char bytes[RANDOM_BYTES];
    int rc;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_SYSTEM, "no random numbers");
    }
    rc = write_text(bytes, out, err);
    secret_wipe(bytes, sizeof(bytes));
    return rc;
}

/* RFC 7636, section 4.2: BASE64URL(SHA256(ASCII(verifier))) */
int
pkce_challenge(const char *verifier, char out[PKCE_SIZE], struct err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(verifier, strlen(verifier), digest, NULL, EVP_sha256(),
                   NULL) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_SYSTEM, "SHA-256 failed");
    }
    return write_text(digest, out, err);
}

bool
pkce_is_same(const char *a, const char *b)
{
    size_t len = strlen(a);

    return len == strlen(b) && CRYPTO_memcmp(a, b, len) == 0;
}
