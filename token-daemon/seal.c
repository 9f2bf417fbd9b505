/*
 * seal - AES-256-GCM for what lies on a disk.
 */
#include "token-daemon/seal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "common/secret.h"
#include "token-daemon/hardening.h"

#define VERSION       1
#define NONCE_LEN     12
#define TAG_LEN       16
#define HEAD_LEN      (1 + NONCE_LEN)
#define HEX_LEN       64 /* digits of a key */
#define BASE64_LEN    44
#define BASE64_DIGITS 43 /* and one = */

struct seal {
    struct seal_key key;
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *context;
};

/* ---- keys ---- */

static bool
is_printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return true;
}

static bool
parse_hex(const char *text, struct seal_key *out)
{
    char copy[HEX_LEN + 1]; /* with the NUL that OpenSSL wants */
    size_t len = 0;
    bool is_good;

    memcpy(copy, text, HEX_LEN);
    copy[HEX_LEN] = '\0';
    is_good = strspn(copy, "0123456789abcdefABCDEF") == HEX_LEN &&
              OPENSSL_hexstr2buf_ex(out->bytes, SEAL_KEY_LEN, &len, copy,
                                    '\0') == 1 &&
              len == SEAL_KEY_LEN;
    secret_wipe(copy, sizeof(copy));
    return is_good;
}

static bool
parse_base64(const char *text, struct seal_key *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr"
                                 "stuvwxyz0123456789+/";
    unsigned char bytes[SEAL_KEY_LEN + 1]; /* OpenSSL counts the = as zeros */
    bool is_good = text[BASE64_DIGITS] == '=';

    for (size_t i = 0; i < BASE64_DIGITS; i++)
        is_good = is_good && text[i] != '\0' && strchr(digits, text[i]) != NULL;
    is_good = is_good && EVP_DecodeBlock(bytes, (const unsigned char *)text,
                                         BASE64_LEN) == (int)sizeof(bytes);
    if (is_good)
        memcpy(out->bytes, bytes, SEAL_KEY_LEN);
    secret_wipe(bytes, sizeof(bytes));
    return is_good;
}

static bool
parse_bytes(const char *text, struct seal_key *out)
{
    if (is_printable(text, SEAL_KEY_LEN))
        return false;
    memcpy(out->bytes, text, SEAL_KEY_LEN);
    return true;
}

int
seal_key_parse(const char *text, size_t len, struct seal_key *out,
               struct err *err)
{
    if ((len == HEX_LEN && parse_hex(text, out)) ||
        (len == BASE64_LEN && parse_base64(text, out)) ||
        (len == SEAL_KEY_LEN && parse_bytes(text, out)))
        return 0;
    secret_wipe(out, sizeof(*out));
    return err_set(err, ERR_CONFIG,
                   "this is no key of 32 bytes; make one with: openssl rand "
                   "-hex 32");
}

/* ---- the object ---- */

struct seal *
seal_new(const struct seal_key *key, struct err *err)
{
    struct seal *seal = calloc(1, sizeof(*seal));

    if (seal == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    hardening_lock(seal, sizeof(*seal));
    seal->key = *key;
    seal->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    seal->context = EVP_CIPHER_CTX_new();
    if (seal->cipher == NULL || seal->context == NULL) {
        err_set(err, ERR_SYSTEM, "OpenSSL has no AES-256-GCM");
        seal_free(&seal);
    }
    return seal;
}

void
seal_free(struct seal **seal)
{
    if (*seal == NULL)
        return;
    EVP_CIPHER_CTX_free((*seal)->context); /* wipes what it made of the key */
    EVP_CIPHER_free((*seal)->cipher);
    secret_wipe(*seal, sizeof(**seal));
    free(*seal);
    *seal = NULL;
}

static bool
is_label(const struct seal_label *label)
{
    return strlen(label->kind) + strlen(label->name) <= SEAL_LABEL_MAX;
}

/*
 * Begin with nonce and label. What is authenticated beside the value:
 *     version || kind || NUL || name
 * A kind holds no NUL, so no two labels read the same.
 */
static bool
begin(struct seal *seal, const struct seal_label *label,
      const unsigned char *head, int is_closing)
{
    size_t kind_size = strlen(label->kind) + 1;
    size_t name_len = strlen(label->name);
    int n;

    return EVP_CipherInit_ex2(seal->context, seal->cipher, seal->key.bytes,
                              head + 1, is_closing, NULL) == 1 &&
           EVP_CipherUpdate(seal->context, NULL, &n, head, 1) == 1 &&
           EVP_CipherUpdate(seal->context, NULL, &n,
                            (const unsigned char *)label->kind,
                            (int)kind_size) == 1 &&
           (name_len == 0 ||
            EVP_CipherUpdate(seal->context, NULL, &n,
                             (const unsigned char *)label->name,
                             (int)name_len) == 1);
}

/* `out` has room for `len` bytes. */
static bool
run(struct seal *seal, const void *data, size_t len, unsigned char *out)
{
    int n = 0;

    return len == 0 ||
           (EVP_CipherUpdate(seal->context, out, &n, data, (int)len) == 1 &&
            (size_t)n == len);
}

int
seal_close(struct seal *seal, const struct seal_label *label, const void *plain,
           size_t len, struct buf *out, struct err *err)
{
    unsigned char head[HEAD_LEN] = {VERSION};
    unsigned char tag[TAG_LEN];
    unsigned char rest[1]; /* GCM leaves none */
    unsigned char *data = NULL;
    int n = 0;
    int rc = -1;

    if (len > SEAL_PLAIN_MAX || !is_label(label))
        return err_set(err, ERR_CONFIG, "the value or its name is too long");
    data = malloc(len + 1);
    if (data == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        goto out;
    }
    if (RAND_bytes(head + 1, NONCE_LEN) != 1 || !begin(seal, label, head, 1) ||
        !run(seal, plain, len, data) ||
        EVP_CipherFinal_ex(seal->context, rest, &n) != 1 || n != 0 ||
        EVP_CIPHER_CTX_ctrl(seal->context, EVP_CTRL_AEAD_GET_TAG, TAG_LEN,
                            tag) != 1) {
        err_set(err, ERR_SYSTEM, "OpenSSL can't seal a value");
        goto out;
    }
    buf_append(out, head, sizeof(head));
    buf_append(out, data, len);
    buf_append(out, tag, sizeof(tag));
    if (buf_failed(out)) {
        err_set(err, ERR_SYSTEM, "out of memory");
        goto out;
    }
    rc = 0;
out:
    free(data);
    return rc;
}

int
seal_open(struct seal *seal, const struct seal_label *label, const void *sealed,
          size_t len, struct buf *out, struct err *err)
{
    const unsigned char *head = sealed;
    unsigned char tag[TAG_LEN];
    unsigned char rest[1];
    unsigned char *data = NULL;
    size_t plain_len;
    int n = 0;
    int rc = -1;

    if (len > 0 && head[0] != VERSION)
        return err_set(err, ERR_PROTO,
                       "sealed in a way that this version does not know");
    if (len < SEAL_OVERHEAD || len - SEAL_OVERHEAD > SEAL_PLAIN_MAX ||
        !is_label(label))
        return err_set(err, ERR_PROTO, "no sealed value, or cut short");
    plain_len = len - SEAL_OVERHEAD;
    data = malloc(plain_len + 1);
    if (data == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        goto out;
    }
    memcpy(tag, head + HEAD_LEN + plain_len, TAG_LEN);
    if (!begin(seal, label, head, 0) ||
        !run(seal, head + HEAD_LEN, plain_len, data) ||
        EVP_CIPHER_CTX_ctrl(seal->context, EVP_CTRL_AEAD_SET_TAG, TAG_LEN,
                            tag) != 1) {
        err_set(err, ERR_SYSTEM, "OpenSSL can't open a sealed value");
        goto out;
    }
    if (EVP_CipherFinal_ex(seal->context, rest, &n) != 1 || n != 0) {
        err_set(err, ERR_PROTO,
                "damaged, or sealed under another name or with another key");
        goto out;
    }
    buf_append(out, data, plain_len);
    if (buf_failed(out)) {
        err_set(err, ERR_SYSTEM, "out of memory");
        goto out;
    }
    rc = 0;
out:
    if (data != NULL)
        secret_wipe(data, plain_len);
    free(data);
    return rc;
}
