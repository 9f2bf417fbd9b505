/*
 * key_pkcs11 - a private key that never leaves its token (an HSM, a card).
 */
/*
 * OpenSSL 3 calls engines deprecated, in favour of providers; Debian 12 has
 * the token's engine only.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "token-daemon/key_pkcs11.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#define SCHEME      "pkcs11"
#define ENGINE_NAME "pkcs11"

/* PKCS #11, section 5.1: what C_Login may say of a PIN. */
#define CKR_PIN_INCORRECT 0xa0
#define CKR_PIN_INVALID   0xa1
#define CKR_PIN_LEN_RANGE 0xa2
#define CKR_PIN_EXPIRED   0xa3
#define CKR_PIN_LOCKED    0xa4

#define KEY_BITS_MIN   2048
#define SIGNATURE_SIZE 1024 /* bytes: 8192 bits */

struct key_pkcs11 {
    ENGINE *engine; /* NULL: the key is a provider's */
    bool is_running;
    EVP_PKEY *key;
};

/* Did the token say that the PIN is wrong? Empties OpenSSL's queue. */
static bool
was_pin_refused(void)
{
    bool was_refused = false;
    unsigned long code;

    while ((code = ERR_get_error()) != 0) {
        switch (ERR_GET_REASON(code)) {
        case CKR_PIN_INCORRECT:
        case CKR_PIN_INVALID:
        case CKR_PIN_LEN_RANGE:
        case CKR_PIN_EXPIRED:
        case CKR_PIN_LOCKED:
            was_refused = true;
            break;
        default: /* any number may be an error */
            break;
        }
    }
    return was_refused;
}

/* ---- By a provider ------------------------------------------------------- */

static bool
has_provider(void)
{
    OSSL_STORE_LOADER *loader = OSSL_STORE_LOADER_fetch(NULL, SCHEME, NULL);

    ERR_clear_error(); /* that there is none is no error */
    OSSL_STORE_LOADER_free(loader);
    return loader != NULL;
}

static int
give_pin(char *out, int size, int is_writing, void *arg)
{
    const char *pin = arg;
    size_t len = pin != NULL ? strlen(pin) : 0;

    (void)is_writing;
    if (pin == NULL || size < 0 || len > (size_t)size)
        return -1;
    memcpy(out, pin, len);
    return (int)len;
}

/* The first private key that the URI leads to; NULL: none. */
static EVP_PKEY *
load_by_store(const char *uri, const char *pin)
{
    UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(give_pin, 0);
    OSSL_STORE_CTX *store = NULL;
    OSSL_STORE_INFO *info;
    EVP_PKEY *key = NULL;

    if (ui != NULL)
        store = OSSL_STORE_open(uri, ui, (void *)(uintptr_t)pin, NULL, NULL);
    while (store != NULL && key == NULL && !OSSL_STORE_eof(store)) {
        info = OSSL_STORE_load(store);
        if (info == NULL)
            break;
        if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            key = OSSL_STORE_INFO_get1_PKEY(info);
        OSSL_STORE_INFO_free(info);
    }
    (void)OSSL_STORE_close(store);
    UI_destroy_method(ui);
    return key;
}

/* ---- By the engine ------------------------------------------------------- */

static int
start_engine(struct key_pkcs11 *opened, const char *pin, struct err *err)
{
    ENGINE_load_builtin_engines(); /* `dynamic`, which loads the others */
    opened->engine = ENGINE_by_id(ENGINE_NAME);
    if (opened->engine == NULL)
        return err_set(err, ERR_CONFIG,
                       "OpenSSL has no engine \"" ENGINE_NAME "\": install "
                       "libengine-pkcs11-openssl");
    /* Its own complaints would go to standard error. */
    (void)ENGINE_ctrl_cmd_string(opened->engine, "QUIET", NULL, 0);
    if (ENGINE_init(opened->engine) != 1)
        return err_set(err, ERR_CONFIG,
                       "the engine \"" ENGINE_NAME "\" does not start: no "
                       "token's module can be loaded by p11-kit");
    opened->is_running = true;
    if (pin != NULL &&
        ENGINE_ctrl_cmd_string(opened->engine, "PIN", pin, 0) != 1)
        return err_set(err, ERR_SYSTEM, "the engine takes no PIN");
    return 0;
}

static EVP_PKEY *
load_by_engine(struct key_pkcs11 *opened, const char *uri, const char *pin,
               struct err *err)
{
    if (start_engine(opened, pin, err) < 0)
        return NULL;
    /* It would ask on the terminal for what is missing. */
    return ENGINE_load_private_key(opened->engine, uri,
                                   (UI_METHOD *)(uintptr_t)UI_null(), NULL);
}

static int
load(struct key_pkcs11 *opened, const char *uri, const char *pin,
     struct err *err)
{
    struct err reason = {ERR_NONE, ""};

    ERR_clear_error();
    opened->key = has_provider() ? load_by_store(uri, pin)
                                 : load_by_engine(opened, uri, pin, &reason);
    if (opened->key != NULL)
        return 0;
    if (was_pin_refused())
        return err_set(err, ERR_DENIED,
                       "the token refused the PIN, or is locked: correct "
                       "passphrase");
    if (reason.code != ERR_NONE)
        return err_set(err, reason.code, "%s", reason.text);
    return err_set(err, ERR_CONFIG,
                   "there is no such private key in a token that can be "
                   "reached: check the URI with p11tool --list-all%s",
                   pin == NULL ? ", and set passphrase to its PIN" : "");
}

void
key_pkcs11_close(struct key_pkcs11 **key)
{
    struct key_pkcs11 *old = *key;

    if (old == NULL)
        return;
    EVP_PKEY_free(old->key);
    if (old->is_running)
        (void)ENGINE_finish(old->engine); /* nothing can be done about it */
    if (old->engine != NULL)
        (void)ENGINE_free(old->engine);
    ERR_clear_error();
    free(old);
    *key = NULL;
}

struct key_pkcs11 *
key_pkcs11_open(const char *uri, const char *pin, struct err *err)
{
    struct key_pkcs11 *opened = calloc(1, sizeof(*opened));

    if (opened == NULL)
        (void)err_set(err, ERR_SYSTEM, "out of memory");
    else if (load(opened, uri, pin, err) < 0)
        key_pkcs11_close(&opened);
    ERR_clear_error();
    return opened;
}

static int
check_key(const EVP_PKEY *key, struct err *err)
{
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
        EVP_PKEY_get_bits(key) >= KEY_BITS_MIN)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "the token's key is not RSA of at least %d bits",
                   KEY_BITS_MIN);
}

static int
set_up_signature(EVP_PKEY_CTX *context, bool is_pss)
{
    if (EVP_PKEY_sign_init(context) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(
            context, is_pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) <= 0 ||
        EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) <= 0)
        return -1;
    if (is_pss && (EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) <= 0 ||
                   EVP_PKEY_CTX_set_rsa_pss_saltlen(
                       context, RSA_PSS_SALTLEN_DIGEST) <= 0))
        return -1;
    return 0;
}

int
key_pkcs11_sign(const struct key_pkcs11 *key, bool is_pss,
                const unsigned char digest[KEY_PKCS11_DIGEST_SIZE],
                struct buf *out, struct err *err)
{
    unsigned char signature[SIGNATURE_SIZE];
    size_t len = sizeof(signature);
    EVP_PKEY_CTX *context;
    int rc = -1;

    if (check_key(key->key, err) < 0)
        return -1;
    context = EVP_PKEY_CTX_new(key->key, NULL);
    if (context == NULL || set_up_signature(context, is_pss) < 0 ||
        EVP_PKEY_sign(context, signature, &len, digest,
                      KEY_PKCS11_DIGEST_SIZE) != 1) {
        (void)err_set(err, ERR_SYSTEM, "the token does not sign");
    } else {
        buf_append(out, signature, len);
        rc = 0;
    }
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return rc;
}

struct evp_pkey_st *
key_pkcs11_key(const struct key_pkcs11 *key)
{
    return key->key;
}
