/*
 * credential_check - are secrets, certificates and keys what they should be?
 */
#include "token-daemon/credential_check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/buf.h"
#include "common/util.h"
#include "token-daemon/assertion.h"
#include "token-daemon/secret_source.h"
#include "token-daemon/service_account.h"

#define SECTION_NAME_MAX 64 /* characters of a credential's name */

/* What is read of a credential. An empty one: there is none, or not here. */
struct parts {
    struct buf certificate;
    struct buf private_key;
    struct buf passphrase;
    struct buf account; /* Google's file */
};

/* What a file has to say, or why not. */
struct reading {
    struct buf *out;
    struct err *err;
    int rc;
};

static void
on_read(const char *secret, size_t len, const struct err *err, void *arg)
{
    struct reading *reading = arg;

    if (secret == NULL) {
        *reading->err = *err;
        return;
    }
    buf_append(reading->out, secret, len);
    reading->rc = buf_failed(reading->out)
                      ? err_set(reading->err, ERR_SYSTEM, "out of memory")
                      : 0;
}

static bool
can_be_read(const struct config_ref *ref)
{
    return ref->kind == CONFIG_REF_FILE ||
           (ref->kind == CONFIG_REF_CREDENTIAL &&
            getenv("CREDENTIALS_DIRECTORY") != NULL);
}

/* Read it, when that can be done without asking anybody. */
static int
read_part(const struct config_ref *ref, bool is_public, struct buf *out,
          struct err *err)
{
    struct reading reading = {.out = out, .err = err, .rc = -1};
    struct event_base *base;
    struct secret_source *source;

    if (!can_be_read(ref))
        return 0;
    base = event_base_new();
    if (base == NULL)
        return err_set(err, ERR_SYSTEM, "no event loop");
    source = (is_public ? secret_source_read_public : secret_source_read)(
        base, ref, SECRET_SOURCE_LIMIT_MS, on_read, &reading);
    if (source == NULL)
        (void)err_set(err, ERR_SYSTEM, "out of memory");
    else if (event_base_dispatch(base) < 0)
        (void)err_set(err, ERR_SYSTEM, "no event loop");
    event_base_free(base);
    return reading.rc;
}

static const char *
text_of(const struct buf *part)
{
    return part->len > 0 ? buf_str(part) : NULL;
}

/* Is there a passphrase that we are not to know here? */
static bool
is_passphrase_elsewhere(const struct config_credential *credential,
                        const struct parts *parts)
{
    return credential->passphrase.kind != CONFIG_REF_NONE &&
           parts->passphrase.len == 0;
}

static int
check_dates(const struct assertion_key *key, int64_t now, struct err *err)
{
    int64_t not_after = assertion_key_not_after(key);

    if (not_after == 0 || not_after > now)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "it expired %lld days ago; make another and register it",
                   (long long)((now - not_after) / 86400));
}

/* Certificate and key as far as they are here, and whether they fit. */
static int
check_key(const struct config_credential *credential, const struct parts *parts,
          int64_t now, struct err *err)
{
    const struct buf *private_key = &parts->private_key;
    struct assertion_material material = {
        .certificate = text_of(&parts->certificate),
        .certificate_len = parts->certificate.len,
        .passphrase = text_of(&parts->passphrase),
    };
    struct assertion_key *key;
    int rc;

    if (credential->private_key.kind == CONFIG_REF_NONE)
        private_key = &parts->certificate;
    if (!is_passphrase_elsewhere(credential, parts)) {
        material.private_key = text_of(private_key);
        material.private_key_len = private_key->len;
    }
    if (material.certificate == NULL && material.private_key == NULL)
        return 0;
    key = assertion_key_load(&material, err);
    if (key == NULL)
        return -1;
    rc = check_dates(key, now, err);
    assertion_key_free(&key);
    return rc;
}

static int
check_account(const struct buf *text, struct err *err)
{
    struct service_account account = {0};
    struct assertion_material material = {.certificate = NULL};
    struct assertion_key *key = NULL;

    if (text->len == 0)
        return 0;
    if (service_account_parse(buf_str(text), text->len, &account, err) == 0) {
        material.private_key = account.private_key;
        material.private_key_len = strlen(account.private_key);
        key = assertion_key_load(&material, err);
    }
    service_account_clear(&account);
    if (key == NULL)
        return -1;
    assertion_key_free(&key);
    return 0;
}

/* Say where it is configured, by which option. */
static int
blame(const struct config_credential *credential, const char *option,
      struct err *err)
{
    struct err cause = *err;

    return err_set(err, cause.code,
                   "%s:%u: section credential \"%.*s\" (ends here): %s: %s",
                   credential->file, credential->line, SECTION_NAME_MAX,
                   credential->name, option, cause.text);
}

static int
check_client_secrets(const struct config_credential *credential,
                     struct err *err)
{
    struct buf secret;
    int rc = 0;

    buf_init(&secret, SECRET_SOURCE_MAX);
    for (size_t i = 0; rc == 0 && i < credential->client_secret_count; i++) {
        buf_reset(&secret);
        rc = read_part(&credential->client_secrets[i], false, &secret, err);
    }
    buf_clear(&secret);
    return rc < 0 ? blame(credential, "client_secret", err) : 0;
}

static int
check_parts(const struct config_credential *credential, struct parts *parts,
            int64_t now, struct err *err)
{
    const struct {
        const char *option;
        const struct config_ref *ref;
        struct buf *out;
        bool is_public;
    } reads[] = {
        {"certificate", &credential->certificate, &parts->certificate,
         credential->private_key.kind != CONFIG_REF_NONE},
        {"private_key", &credential->private_key, &parts->private_key, false},
        {"passphrase", &credential->passphrase, &parts->passphrase, false},
        {"service_account_key", &credential->service_account_key,
         &parts->account, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(reads); i++)
        if (read_part(reads[i].ref, reads[i].is_public, reads[i].out, err) < 0)
            return blame(credential, reads[i].option, err);
    if (check_client_secrets(credential, err) < 0)
        return -1;
    if (check_key(credential, parts, now, err) < 0)
        return blame(credential,
                     parts->certificate.len > 0 ? "certificate" : "private_key",
                     err);
    if (check_account(&parts->account, err) < 0)
        return blame(credential, "service_account_key", err);
    return 0;
}

static int
check_credential(const struct config_credential *credential, int64_t now,
                 struct err *err)
{
    struct parts parts;
    int rc;

    buf_init(&parts.certificate, SECRET_SOURCE_MAX);
    buf_init(&parts.private_key, SECRET_SOURCE_MAX);
    buf_init(&parts.passphrase, SECRET_SOURCE_MAX);
    buf_init(&parts.account, SECRET_SOURCE_MAX);
    rc = check_parts(credential, &parts, now, err);
    buf_clear(&parts.certificate);
    buf_clear(&parts.private_key);
    buf_clear(&parts.passphrase);
    buf_clear(&parts.account);
    return rc;
}

int
credential_check(const struct config *config, int64_t now, struct err *err)
{
    for (size_t i = 0; i < config->credential_count; i++)
        if (check_credential(&config->credentials[i], now, err) < 0)
            return -1;
    return 0;
}
