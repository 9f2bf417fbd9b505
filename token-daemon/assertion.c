/*
 * assertion - signed JWTs.
 *
 *     BASE64URL(header) "." BASE64URL(claims) "." BASE64URL(signature)
 */
#include "token-daemon/assertion.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "common/secret.h"
#include "token-daemon/base64url.h"

#define KEY_BITS_MIN 2048
#define JSON_MAX     4096 /* bytes of header or claims */

#define OTHER_CERTIFICATE "the private key belongs to another certificate"

struct assertion_key {
    EVP_PKEY *key;  /* NULL, or only the public half: it is elsewhere */
    char *x5t_sha1; /* base64url of the DER's digest; NULL: no certificate */
    char *x5t_sha256;
    char thumbprint[ASSERTION_THUMBPRINT_SIZE];
    int64_t not_after; /* s since 1970; 0: no certificate */
};

/* What sets the two algorithms apart. */
static const struct algorithm {
    const char *name;       /* RFC 7518, section 3.1 */
    const char *thumbprint; /* header field, RFC 7515, sections 4.1.7, 4.1.8 */
    bool is_sha256;         /* is that field the SHA-256 one? */
    int padding;
} algorithms[] = {
    [CONFIG_ASSERTION_PS256] = {"PS256", "x5t#S256", true,
                                RSA_PKCS1_PSS_PADDING},
    [CONFIG_ASSERTION_RS256] = {"RS256", "x5t", false, RSA_PKCS1_PADDING},
};

/* What OpenSSL asks for when a key is encrypted; on the terminal, if let. */
struct passphrase {
    const char *text; /* NULL: there is none */
    bool was_asked;
};

static int /* NOLINTNEXTLINE(readability-non-const-parameter) */
give_passphrase(char *out, int size, int is_writing, void *arg)
{
    struct passphrase *passphrase = arg;
    size_t len;

    (void)is_writing;
    passphrase->was_asked = true;
    if (passphrase->text == NULL)
        return -1;
    len = strlen(passphrase->text);
    if (size < 0 || len > (size_t)size)
        return -1;
    memcpy(out, passphrase->text, len);
    return (int)len;
}

static BIO *
open_pem(const char *text, size_t len)
{
    return len <= INT_MAX ? BIO_new_mem_buf(text, (int)len) : NULL;
}

static X509 *
read_certificate(const char *text, size_t len, struct err *err)
{
    BIO *bio = open_pem(text, len);
    struct passphrase none = {NULL, false};
    X509 *certificate = NULL;

    if (bio == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    certificate = PEM_read_bio_X509(bio, NULL, give_passphrase, &none);
    if (certificate == NULL)
        (void)err_set(err, ERR_CONFIG,
                      "there is no certificate in it: PEM is expected, with a "
                      "line BEGIN CERTIFICATE");
    BIO_free(bio);
    return certificate;
}

static EVP_PKEY *
read_key(const struct assertion_material *material, struct err *err)
{
    BIO *bio = open_pem(material->private_key, material->private_key_len);
    struct passphrase passphrase = {material->passphrase, false};
    EVP_PKEY *key = NULL;

    if (bio == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    key = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &passphrase);
    if (key == NULL && passphrase.was_asked)
        (void)err_set(err, ERR_CONFIG,
                      passphrase.text != NULL
                          ? "the passphrase does not open the private key"
                          : "the private key is encrypted: set passphrase, or "
                            "keep it without one, readable by the daemon only");
    else if (key == NULL)
        (void)err_set(err, ERR_CONFIG,
                      "there is no private key in it: PEM is expected, with "
                      "a line BEGIN PRIVATE KEY");
    BIO_free(bio);
    return key;
}

/* The base64url of a digest of the certificate's DER form; NULL: failed. */
static char *
thumbprint(const X509 *certificate, const EVP_MD *digest)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct buf text;
    char *copy = NULL;

    if (X509_digest(certificate, digest, bytes, &len) != 1)
        return NULL;
    buf_init(&text, 128);
    base64url_append(&text, bytes, len);
    if (!buf_failed(&text))
        copy = strdup(buf_str(&text));
    buf_clear(&text);
    return copy;
}

/* The same, as people compare it. */
static void
write_thumbprint(const X509 *certificate, char out[ASSERTION_THUMBPRINT_SIZE])
{
    static const char hex[] = "0123456789ABCDEF";
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (X509_digest(certificate, EVP_sha1(), bytes, &len) != 1)
        return;
    for (unsigned i = 0; i < (ASSERTION_THUMBPRINT_SIZE - 1) / 2; i++) {
        out[2 * i] = hex[bytes[i] >> 4];
        out[2 * i + 1] = hex[bytes[i] & 15];
    }
}

static int
read_not_after(const X509 *certificate, int64_t *out)
{
    struct tm tm = {0};

    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1)
        return -1;
    *out = timegm(&tm);
    return 0;
}

static int
check_key(const EVP_PKEY *key, struct err *err)
{
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA)
        return err_set(err, ERR_CONFIG,
                       "the private key is not an RSA key, which PS256 and "
                       "RS256 need");
    if (EVP_PKEY_get_bits(key) < KEY_BITS_MIN)
        return err_set(err, ERR_CONFIG,
                       "the RSA key has %d bits: at least %d are needed",
                       EVP_PKEY_get_bits(key), KEY_BITS_MIN);
    return 0;
}

/* What the header and the status say of the certificate. */
static int
note_certificate(struct assertion_key *loaded, const X509 *x509,
                 struct err *err)
{
    if (X509_check_private_key(x509, loaded->key) != 1)
        return err_set(err, ERR_CONFIG, OTHER_CERTIFICATE);
    write_thumbprint(x509, loaded->thumbprint);
    loaded->x5t_sha1 = thumbprint(x509, EVP_sha1());
    loaded->x5t_sha256 = thumbprint(x509, EVP_sha256());
    if (loaded->x5t_sha1 == NULL || loaded->x5t_sha256 == NULL)
        return err_set(err, ERR_SYSTEM, "the certificate can't be hashed");
    if (read_not_after(x509, &loaded->not_after) < 0)
        return err_set(err, ERR_CONFIG, "the certificate has no end date");
    return 0;
}

struct assertion_key *
assertion_key_load(const struct assertion_material *material, struct err *err)
{
    struct assertion_key *loaded = calloc(1, sizeof(*loaded));
    X509 *x509 = NULL;
    int rc = -1;

    if (loaded == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    if (material->certificate != NULL) {
        x509 = read_certificate(material->certificate,
                                material->certificate_len, err);
        if (x509 == NULL)
            goto out;
    }
    if (material->private_key != NULL) {
        loaded->key = read_key(material, err);
        if (loaded->key == NULL)
            goto out;
    } else if (x509 != NULL) {
        loaded->key = X509_get_pubkey(x509);
    }
    if ((loaded->key != NULL && check_key(loaded->key, err) < 0) ||
        (x509 != NULL && note_certificate(loaded, x509, err) < 0))
        goto out;
    rc = 0;
out:
    /* Its texts are about the input; ours say what to do. */
    ERR_clear_error();
    X509_free(x509);
    if (rc < 0)
        assertion_key_free(&loaded);
    return loaded;
}

void
assertion_key_free(struct assertion_key **key)
{
    if (*key == NULL)
        return;
    EVP_PKEY_free((*key)->key); /* wipes the private numbers */
    free((*key)->x5t_sha1);
    free((*key)->x5t_sha256);
    free(*key);
    *key = NULL;
}

int64_t
assertion_key_not_after(const struct assertion_key *key)
{
    return key->not_after;
}

const char *
assertion_key_thumbprint(const struct assertion_key *key)
{
    return key->thumbprint;
}

/* RFC 9562, section 5.4: version 4. */
int
assertion_new_id(char out[ASSERTION_ID_SIZE], struct err *err)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[16];
    char *at = out;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_SYSTEM, "no random numbers");
    }
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex[bytes[i] >> 4];
        *at++ = hex[bytes[i] & 15];
    }
    *at = '\0';
    return 0;
}

static int
append_to_buf(const char *data, size_t len, void *arg)
{
    struct buf *buf = arg;

    buf_append(buf, data, len);
    return buf_failed(buf) ? -1 : 0;
}

/* Append the base64url of an object, and drop the object. */
static int
append_part(struct buf *out, json_t *object, struct err *err)
{
    struct buf text;
    int rc = -1;

    if (object == NULL)
        return err_set(err, ERR_CONFIG,
                       "client_id, scope or token_url is not valid UTF-8");
    buf_init(&text, JSON_MAX);
    if (json_dump_callback(object, append_to_buf, &text, JSON_COMPACT) < 0) {
        (void)err_set(err, ERR_CONFIG,
                      "client_id, scope or token_url is too long");
        goto out;
    }
    base64url_append(out, buf_str(&text), text.len);
    rc = 0;
out:
    buf_clear(&text);
    json_decref(object);
    return rc;
}

/* RFC 7518, sections 3.3 and 3.5. */
static int
set_padding(EVP_PKEY_CTX *pkey, int padding)
{
    if (EVP_PKEY_CTX_set_rsa_padding(pkey, padding) <= 0)
        return -1;
    if (padding == RSA_PKCS1_PSS_PADDING &&
        (EVP_PKEY_CTX_set_rsa_mgf1_md(pkey, EVP_sha256()) <= 0 ||
         EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey, RSA_PSS_SALTLEN_DIGEST) <= 0))
        return -1;
    return 0;
}

/* Appends the signature over all of `out`. */
static int
append_signature(struct buf *out, EVP_PKEY *key, int padding)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey = NULL; /* the context's */
    const unsigned char *input = (const unsigned char *)buf_str(out);
    unsigned char signature[1024]; /* 8192 bits */
    size_t len = sizeof(signature);
    int rc = -1;

    if (context == NULL ||
        EVP_DigestSignInit(context, &pkey, EVP_sha256(), NULL, key) != 1 ||
        set_padding(pkey, padding) < 0)
        goto out;
    if (EVP_DigestSign(context, signature, &len, input, out->len) != 1)
        goto out;
    buf_append_char(out, '.');
    base64url_append(out, signature, len);
    rc = 0;
out:
    ERR_clear_error();
    EVP_MD_CTX_free(context);
    secret_wipe(signature, sizeof(signature));
    return rc;
}

/* Is that the key's signature of the text? */
static bool
is_signature(EVP_PKEY *key, int padding, const struct buf *text,
             const struct buf *signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey = NULL; /* the context's */
    bool is_good =
        context != NULL &&
        EVP_DigestVerifyInit(context, &pkey, EVP_sha256(), NULL, key) == 1 &&
        set_padding(pkey, padding) == 0 &&
        EVP_DigestVerify(context, (const unsigned char *)buf_str(signature),
                         signature->len, (const unsigned char *)buf_str(text),
                         text->len) == 1;

    ERR_clear_error();
    EVP_MD_CTX_free(context);
    return is_good;
}

static json_t *
make_header(const struct assertion_key *key, const struct algorithm *by,
            const struct assertion_claims *claims)
{
    const char *x5t = by->is_sha256 ? key->x5t_sha256 : key->x5t_sha1;

    if (x5t == NULL)
        return json_pack("{s:s, s:s, s:s*}", "alg", by->name, "typ", "JWT",
                         "kid", claims->key_id);
    return json_pack("{s:s, s:s, s:s*, s:s}", "alg", by->name, "typ", "JWT",
                     "kid", claims->key_id, by->thumbprint, x5t);
}

static json_t *
make_claims(const struct assertion_claims *claims)
{
    return json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:I, s:I, s:I}", "aud",
                     claims->audience, "iss", claims->issuer, "sub",
                     claims->subject, "scope", claims->scope, "jti", claims->id,
                     "nbf", (json_int_t)claims->now, "iat",
                     (json_int_t)claims->now, "exp",
                     (json_int_t)claims->now + claims->lifetime);
}

/* Header and claims, as they are signed. */
static int
append_parts(const struct assertion_key *key, const struct algorithm *by,
             const struct assertion_claims *claims, struct buf *out,
             struct err *err)
{
    if (append_part(out, make_header(key, by, claims), err) < 0)
        return -1;
    buf_append_char(out, '.');
    return append_part(out, make_claims(claims), err);
}

int
assertion_sign(const struct assertion_key *key, enum config_assertion algorithm,
               const struct assertion_claims *claims, struct buf *out,
               struct err *err)
{
    const struct algorithm *by = &algorithms[algorithm];
    struct buf text;
    int rc = -1;

    buf_init(&text, ASSERTION_LENGTH_MAX);
    if (append_parts(key, by, claims, &text, err) < 0)
        goto out;
    if (append_signature(&text, key->key, by->padding) < 0) {
        (void)err_set(err, ERR_SYSTEM, "signing the assertion failed");
        goto out;
    }
    buf_append(out, buf_str(&text), text.len);
    if (buf_failed(&text) || buf_failed(out)) {
        (void)err_set(err, ERR_SYSTEM, "no room for the assertion");
        goto out;
    }
    rc = 0;
out:
    buf_clear(&text);
    return rc;
}

int
assertion_begin(const struct assertion_key *key,
                enum config_assertion algorithm,
                const struct assertion_claims *claims, struct buf *out,
                unsigned char digest[ASSERTION_DIGEST_SIZE], struct err *err)
{
    if (append_parts(key, &algorithms[algorithm], claims, out, err) < 0)
        return -1;
    if (buf_failed(out) || EVP_Digest(buf_str(out), out->len, digest, NULL,
                                      EVP_sha256(), NULL) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_SYSTEM, "no room for the assertion");
    }
    return 0;
}

int
assertion_end(const struct assertion_key *key, enum config_assertion algorithm,
              struct buf *begun, const struct buf *signature, struct err *err)
{
    if (key->key != NULL &&
        !is_signature(key->key, algorithms[algorithm].padding, begun,
                      signature))
        return err_set(err, ERR_CONFIG, OTHER_CERTIFICATE);
    buf_append_char(begun, '.');
    base64url_append(begun, buf_str(signature), signature->len);
    if (buf_failed(begun))
        return err_set(err, ERR_SYSTEM, "no room for the assertion");
    return 0;
}
