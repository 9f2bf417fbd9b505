/*
 * fingerprint - how a token is named where its text may not appear.
 */
#include "token-daemon/fingerprint.h"

#include <limits.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/buf.h"

#define INPUT_MAX ((size_t)1024 * 1024)

static void
write_hex(const unsigned char *digest, char out[TOKEN_FINGERPRINT_LEN + 1])
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < TOKEN_FINGERPRINT_LEN / 2; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 15];
    }
    out[TOKEN_FINGERPRINT_LEN] = '\0';
}

int
fingerprint_make(const char *text, char out[TOKEN_FINGERPRINT_LEN + 1],
                 struct err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1)
        return err_set(err, ERR_SYSTEM, "SHA-256 failed");
    write_hex(digest, out);
    return 0;
}

int
fingerprint_salted(const unsigned char *salt, size_t salt_len,
                   const struct fingerprint_part *parts, size_t count,
                   char out[TOKEN_FINGERPRINT_LEN + 1], struct err *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct buf input;
    int rc = -1;

    buf_init(&input, INPUT_MAX);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].text == NULL) {
            buf_append_char(&input, '-');
            continue;
        }
        buf_append_int(&input, (int64_t)parts[i].len);
        buf_append_char(&input, ':');
        buf_append(&input, parts[i].text, parts[i].len);
    }
    if (buf_failed(&input) || salt_len > INT_MAX ||
        HMAC(EVP_sha256(), salt, (int)salt_len,
             (const unsigned char *)buf_str(&input), input.len, digest,
             NULL) == NULL) {
        (void)err_set(err, ERR_SYSTEM, "a fingerprint can't be made");
        goto out;
    }
    write_hex(digest, out);
    rc = 0;
out:
    buf_clear(&input);
    return rc;
}
