/*
 * fingerprint - how a token is named where its text may not appear.
 */
#include "token-daemon/fingerprint.h"

#include <string.h>

#include <openssl/evp.h>

int
fingerprint_make(const char *text, char out[TOKEN_FINGERPRINT_LEN + 1],
                 struct err *err)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1)
        return err_set(err, ERR_SYSTEM, "SHA-256 failed");
    for (size_t i = 0; i < TOKEN_FINGERPRINT_LEN / 2; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 15];
    }
    out[TOKEN_FINGERPRINT_LEN] = '\0';
    return 0;
}
