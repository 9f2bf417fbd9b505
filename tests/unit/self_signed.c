/*
 * self_signed - for tests: a fresh RSA key with its certificate, and a check of
 * JWTs by OpenSSL alone.
 */
#include "tests/unit/self_signed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static char *
bio_text(BIO *bio)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)len);

    assert_non_null(text);
    BIO_free(bio);
    return text;
}

static void
fingerprint(const X509 *x509, const EVP_MD *digest, char *out)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int n;

    assert_int_equal(X509_digest(x509, digest, bytes, &len), 1);
    n = EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
    while (n > 0 && out[n - 1] == '=')
        out[--n] = '\0';
    for (char *c = out; *c != '\0'; c++)
        *c = (char)(*c == '+' ? '-' : *c == '/' ? '_' : *c);
}

static EVP_PKEY *
make_key(int type, int bits)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(type, NULL);
    EVP_PKEY *key = NULL;

    assert_non_null(context);
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    if (type == EVP_PKEY_RSA)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits), 1);
    assert_int_equal(EVP_PKEY_keygen(context, &key), 1);
    EVP_PKEY_CTX_free(context);
    return key;
}

void
self_signed_init(struct self_signed *pair, int type, int bits, int days)
{
    X509 *x509 = X509_new();
    BIO *certificate = BIO_new(BIO_s_mem());
    BIO *key = BIO_new(BIO_s_mem());
    time_t end = time(NULL) + (time_t)days * 86400;
    X509_NAME *name;
    int n;

    *pair = (struct self_signed){.key = make_key(type, bits)};
    assert_non_null(x509);
    name = X509_get_subject_name(x509);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x509), 1), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"test",
                                                -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(x509, name), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x509), 0));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(x509), end));
    assert_int_equal(X509_set_pubkey(x509, pair->key), 1);
    assert_true(X509_sign(x509, pair->key,
                          type == EVP_PKEY_RSA ? EVP_sha256() : NULL) > 0);

    pair->not_after = end;
    fingerprint(x509, EVP_sha1(), pair->x5t_sha1);
    fingerprint(x509, EVP_sha256(), pair->x5t_sha256);
    assert_int_equal(PEM_write_bio_X509(certificate, x509), 1);
    assert_int_equal(
        PEM_write_bio_PrivateKey(key, pair->key, NULL, NULL, 0, NULL, NULL), 1);
    pair->certificate_pem = bio_text(certificate);
    pair->key_pem = bio_text(key);
    n = asprintf(&pair->both_pem, "%s%s", pair->certificate_pem, pair->key_pem);
    assert_true(n > 0);
    X509_free(x509);
}

void
self_signed_clear(struct self_signed *pair)
{
    EVP_PKEY_free(pair->key);
    free(pair->certificate_pem);
    free(pair->key_pem);
    free(pair->both_pem);
    *pair = (struct self_signed){0};
}

/* The decoded bytes of one part, and how many; owned. */
static unsigned char *
decode(const char *text, size_t len, size_t *out)
{
    size_t padded = (len + 3) / 4 * 4;
    unsigned char *base64 = malloc(padded + 1);
    unsigned char *bytes = malloc(padded + 1);
    int n;

    assert_non_null(base64);
    assert_non_null(bytes);
    for (size_t i = 0; i < padded; i++)
        base64[i] = (unsigned char)(i >= len         ? '='
                                    : text[i] == '-' ? '+'
                                    : text[i] == '_' ? '/'
                                                     : text[i]);
    n = EVP_DecodeBlock(bytes, base64, (int)padded);
    assert_true(n >= 0);
    *out = (size_t)n - (padded - len);
    free(base64);
    return bytes;
}

static json_t *
decode_json(const char *text, size_t len)
{
    size_t n = 0;
    unsigned char *bytes = decode(text, len, &n);
    json_t *root = json_loadb((const char *)bytes, n, 0, NULL);

    free(bytes);
    return root;
}

bool
self_signed_verify(const struct self_signed *pair, const char *jwt, size_t len,
                   bool is_pss, json_t **header, json_t **claims)
{
    const char *end = jwt + len;
    const char *dot1 = memchr(jwt, '.', len);
    const char *dot2 =
        dot1 != NULL ? memchr(dot1 + 1, '.', (size_t)(end - dot1 - 1)) : NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey = NULL;
    unsigned char *signature;
    size_t n = 0;
    int rc;

    assert_non_null(dot2);
    assert_int_equal(
        EVP_DigestVerifyInit(context, &pkey, EVP_sha256(), NULL, pair->key), 1);
    if (is_pss) {
        assert_int_equal(
            EVP_PKEY_CTX_set_rsa_padding(pkey, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey, 32), 1);
    }
    signature = decode(dot2 + 1, (size_t)(end - dot2 - 1), &n);
    rc = EVP_DigestVerify(context, signature, n, (const unsigned char *)jwt,
                          (size_t)(dot2 - jwt));
    free(signature);
    EVP_MD_CTX_free(context);
    if (rc != 1)
        return false;
    *header = decode_json(jwt, (size_t)(dot1 - jwt));
    *claims = decode_json(dot1 + 1, (size_t)(dot2 - dot1 - 1));
    return *header != NULL && *claims != NULL;
}
