/*
 * own_certificate - a new RSA key with a certificate that it signs itself.
 */
#include "token-daemon/own_certificate.h"

#include <limits.h>
#include <stddef.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/secret.h"

#define SERIAL_SIZE 16 /* bytes */

void
own_certificate_clear(struct own_certificate *own)
{
    secret_free(&own->certificate);
    secret_free(&own->private_key);
    *own = (struct own_certificate){.certificate = NULL};
}

/* Called again and again while primes are looked for; 0 ends that. */
static int
go_on(EVP_PKEY_CTX *context)
{
    const struct own_certificate_order *order =
        EVP_PKEY_CTX_get_app_data(context);

    return order->is_cancelled == NULL || !atomic_load(order->is_cancelled);
}

static EVP_PKEY *
make_key(const struct own_certificate_order *order)
{
    struct own_certificate_order seen = *order; /* by go_on() */
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
    EVP_PKEY *key = NULL;

    if (context == NULL)
        return NULL;
    EVP_PKEY_CTX_set_app_data(context, &seen);
    EVP_PKEY_CTX_set_cb(context, go_on);
    if (EVP_PKEY_keygen_init(context) <= 0 ||
        EVP_PKEY_CTX_set_rsa_keygen_bits(context, OWN_CERTIFICATE_BITS) <= 0 ||
        EVP_PKEY_keygen(context, &key) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}

/* RFC 5280, section 4.1.2.2: positive, and not to be guessed. */
static int
set_serial(X509 *x509)
{
    unsigned char bytes[SERIAL_SIZE];
    BIGNUM *number = NULL;
    int rc = -1;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return -1;
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
    number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    if (number != NULL &&
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != NULL)
        rc = 0;
    BN_free(number);
    return rc;
}

static int
set_times(X509 *x509, const struct own_certificate_order *order)
{
    time_t begin = (time_t)(order->now - OWN_CERTIFICATE_EARLY_S);
    time_t end = (time_t)(order->now + order->lifetime_s);

    return ASN1_TIME_set(X509_getm_notBefore(x509), begin) != NULL &&
                   ASN1_TIME_set(X509_getm_notAfter(x509), end) != NULL
               ? 0
               : -1;
}

static int
set_name(X509 *x509, const char *text)
{
    X509_NAME *name = X509_get_subject_name(x509);

    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                      (const unsigned char *)text, -1, -1,
                                      0) == 1 &&
                   X509_set_issuer_name(x509, name) == 1
               ? 0
               : -1;
}

static int
add_extension(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    int rc = -1;

    if (extension != NULL && X509_add_ext(x509, extension, -1) == 1)
        rc = 0;
    X509_EXTENSION_free(extension);
    return rc;
}

static X509 *
make_certificate(EVP_PKEY *key, const struct own_certificate_order *order)
{
    X509 *x509 = X509_new();

    if (x509 != NULL && X509_set_version(x509, X509_VERSION_3) == 1 &&
        set_serial(x509) == 0 && set_times(x509, order) == 0 &&
        set_name(x509, order->name) == 0 && X509_set_pubkey(x509, key) == 1 &&
        add_extension(x509, NID_basic_constraints, "critical,CA:FALSE") == 0 &&
        add_extension(x509, NID_key_usage, "critical,digitalSignature") == 0 &&
        X509_sign(x509, key, EVP_sha256()) > 0)
        return x509;
    X509_free(x509);
    return NULL;
}

/* The content of a BIO; NULL on failure. Frees the BIO. */
static char *
take_text(BIO *bio, bool is_written)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *text = NULL;

    if (is_written && data != NULL && len > 0)
        text = secret_copy(data, (size_t)len);
    BIO_free(bio);
    return text;
}

static int
write_texts(EVP_PKEY *key, X509 *x509, struct own_certificate *out)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (bio == NULL)
        return -1;
    out->certificate = take_text(bio, PEM_write_bio_X509(bio, x509) == 1);
    bio = BIO_new(BIO_s_secmem()); /* wiped when it is freed */
    if (out->certificate == NULL || bio == NULL)
        return -1;
    out->private_key =
        take_text(bio, PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL,
                                                NULL) == 1);
    return out->private_key != NULL ? 0 : -1;
}

static int
set_thumbprint(const X509 *x509, struct own_certificate *out)
{
    static const char hex[] = "0123456789ABCDEF";
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (X509_digest(x509, EVP_sha1(), bytes, &len) != 1 ||
        2 * (size_t)len + 1 != sizeof(out->thumbprint))
        return -1;
    for (size_t i = 0; i < len; i++) {
        out->thumbprint[2 * i] = hex[bytes[i] >> 4];
        out->thumbprint[2 * i + 1] = hex[bytes[i] & 15];
    }
    out->thumbprint[2 * (size_t)len] = '\0';
    return 0;
}

int
own_certificate_make(const struct own_certificate_order *order,
                     struct own_certificate *out, struct err *err)
{
    EVP_PKEY *key = make_key(order);
    X509 *x509 = NULL;
    int rc = -1;

    *out = (struct own_certificate){.certificate = NULL};
    if (key != NULL)
        x509 = make_certificate(key, order);
    if (x509 == NULL || write_texts(key, x509, out) < 0 ||
        set_thumbprint(x509, out) < 0) {
        own_certificate_clear(out);
        (void)err_set(err, ERR_SYSTEM, "a key could not be made");
        goto out;
    }
    rc = 0;
out:
    ERR_clear_error();
    X509_free(x509);
    EVP_PKEY_free(key); /* wipes the private numbers */
    return rc;
}
