/*
 * What is found of certificates and keys before they are used: one row is one
 * credential, whose options name files of this program's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include "common/config.h"
#include "common/util.h"
#include "tests/unit/scratch.h"
#include "tests/unit/self_signed.h"
#include "token-daemon/credential_check.h"

#define DAY 86400

static struct self_signed pair, other;

static struct row {
    const char *name;
    const char *options; /* @ stands for the directory */
    int64_t later;       /* s after the certificate ends, less 0 is before */
    const char *want;    /* what the error holds; NULL: it is good */
} rows[] = {
    {"secrets", "client_secret = {\"file:@/right\", \"exec:/nonexistent\"}",
     -DAY, NULL},
    {"a second secret that is not there",
     "client_secret = {\"file:@/right\", \"file:@/none\"}", -DAY,
     "client_secret: file:"},
    {"a secret of a newline", "client_secret = \"file:@/newline\"", -DAY,
     "/newline is empty"},
    {"certificate and key in one file", "certificate = \"file:@/both\"", -DAY,
     NULL},
    {"certificate and key",
     "certificate = \"file:@/cert\" private_key = \"file:@/key\"", -DAY, NULL},
    {"a certificate that others may read beside its key",
     "certificate = \"file:@/public\" private_key = \"file:@/key\"", -DAY,
     NULL},
    {"a certificate that others may write",
     "certificate = \"file:@/common\" private_key = \"file:@/key\"", -DAY,
     "is open to everybody (mode 0646)"},
    {"a certificate with its key that others may read",
     "certificate = \"file:@/shown\"", -DAY,
     "is open to everybody (mode 0644)"},
    {"a key that is encrypted, with its passphrase",
     "certificate = \"file:@/cert\" private_key = \"file:@/locked\" "
     "passphrase = \"file:@/right\"",
     -DAY, NULL},
    {"a passphrase of a command is not asked for",
     "certificate = \"file:@/cert\" private_key = \"file:@/locked\" "
     "passphrase = \"exec:/nonexistent\"",
     -DAY, NULL},
    {"a certificate of a command is not asked for",
     "certificate = \"exec:/nonexistent\"", -DAY, NULL},
    {"a key in a token",
     "certificate = \"file:@/cert\" "
     "private_key = \"pkcs11:token=none\"",
     -DAY, NULL},
    {"no file", "certificate = \"file:@/none\"", -DAY, "certificate: "},
    {"garbage", "certificate = \"file:@/garbage\"", -DAY,
     "certificate: there is no certificate in it"},
    {"a certificate without its key", "certificate = \"file:@/cert\"", -DAY,
     "certificate: there is no private key in it"},
    {"garbage for a key",
     "certificate = \"file:@/cert\" private_key = \"file:@/garbage\"", -DAY,
     "there is no private key in it"},
    {"a key of another certificate",
     "certificate = \"file:@/cert\" private_key = \"file:@/other\"", -DAY,
     "belongs to another certificate"},
    {"an encrypted key without a passphrase",
     "certificate = \"file:@/cert\" private_key = \"file:@/locked\"", -DAY,
     "the private key is encrypted: set passphrase"},
    {"a wrong passphrase",
     "certificate = \"file:@/cert\" private_key = \"file:@/locked\" "
     "passphrase = \"file:@/garbage\"",
     -DAY, "the passphrase does not open the private key"},
    {"a garbage certificate beside a token's key",
     "certificate = \"file:@/garbage\" private_key = \"pkcs11:token=none\"",
     -DAY, "there is no certificate in it"},
    {"a certificate that ends now", "certificate = \"file:@/both\"", 0,
     "it expired 0 days ago"},
    {"a certificate that has ended", "certificate = \"file:@/both\"", 9 * DAY,
     "it expired 9 days ago"},
};

static char *
replace(const char *text)
{
    static char out[4096];
    size_t len = 0;

    for (; *text != '\0' && len < sizeof(out) - 1; text++)
        if (*text == '@')
            len += (size_t)snprintf(out + len, sizeof(out) - len, "%s",
                                    scratch_directory());
        else
            out[len++] = *text;
    out[len] = '\0';
    return out;
}

static struct config *
load(const char *section)
{
    struct err err = {ERR_NONE, ""};
    struct config *config;
    char text[8192];

    (void)snprintf(text, sizeof(text),
                   "%s\nmailbox \"a@b.example\" { credential = \"c\" }\n"
                   "milter { default_mailbox = \"a@b.example\" }\n"
                   "tokend { allow = {} }\n",
                   section);
    scratch_write_text("relay.conf", text);
    config = config_load(scratch_path("relay.conf"), &err);
    if (config == NULL)
        fail_msg("%s", err.text);
    return config;
}

static void
check(struct config *config, int64_t now, const char *want)
{
    struct err err = {ERR_NONE, ""};
    int rc = credential_check(config, now, &err);

    if (want == NULL && rc < 0)
        fail_msg("%s", err.text);
    assert_int_equal(rc, want == NULL ? 0 : -1);
    if (want != NULL) {
        assert_int_equal(err.code, ERR_CONFIG);
        assert_non_null(strstr(err.text, "relay.conf:"));
        assert_non_null(strstr(err.text, "section credential \"c\""));
        if (strstr(err.text, want) == NULL)
            fail_msg("\"%s\" is not in \"%s\"", want, err.text);
    }
    config_unref(&config);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    char section[8192];

    (void)snprintf(section, sizeof(section),
                   "credential \"c\" {\n tenant = \"t.example\"\n"
                   " client_id = \"id\"\n %s\n}\n",
                   replace(row->options));
    check(load(section), pair.not_after + row->later, row->want);
}

static void
a_service_accounts_file(void **state)
{
    static const char section[] =
        "credential \"c\" {\n provider = \"google\"\n"
        " grant = \"service_account\"\n"
        " service_account_key = \"file:@/account\"\n}\n";
    json_t *good =
        json_pack("{s:s, s:s, s:s}", "type", "service_account", "client_email",
                  "a@b.example", "private_key", pair.key_pem);
    json_t *bad =
        json_pack("{s:s, s:s, s:s}", "type", "service_account", "client_email",
                  "a@b.example", "private_key", "no key");
    char *text = json_dumps(good, 0);

    (void)state;
    scratch_write("account", text, strlen(text), 0600);
    check(load(replace(section)), 0, NULL);
    free(text);
    text = json_dumps(bad, 0);
    scratch_write("account", text, strlen(text), 0600);
    check(load(replace(section)), 0,
          "service_account_key: there is no private key in it");
    scratch_write("account", text, 9, 0600);
    check(load(replace(section)), 0, "service_account_key: ");
    free(text);
    json_decref(good);
    json_decref(bad);
}

static void
write_locked(void)
{
    static char passphrase[] = "open sesame";
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long len;

    assert_non_null(bio);
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pair.key,
                                                   EVP_aes_256_cbc(), NULL, 0,
                                                   NULL, passphrase),
                     1);
    len = BIO_get_mem_data(bio, &text);
    scratch_write("locked", text, (size_t)len, 0600);
    BIO_free(bio);
}

static int
set_up(void **state)
{
    assert_int_equal(scratch_set_up(state), 0);
    self_signed_init(&pair, EVP_PKEY_RSA, 2048, 30);
    self_signed_init(&other, EVP_PKEY_RSA, 2048, 30);
    scratch_write("cert", pair.certificate_pem, strlen(pair.certificate_pem),
                  0600);
    scratch_write("public", pair.certificate_pem, strlen(pair.certificate_pem),
                  0644);
    scratch_write("common", pair.certificate_pem, strlen(pair.certificate_pem),
                  0646);
    scratch_write("shown", pair.both_pem, strlen(pair.both_pem), 0644);
    scratch_write("key", pair.key_pem, strlen(pair.key_pem), 0600);
    scratch_write("both", pair.both_pem, strlen(pair.both_pem), 0600);
    scratch_write("other", other.key_pem, strlen(other.key_pem), 0600);
    scratch_write("garbage", "no PEM\n", 7, 0600);
    scratch_write("right", "open sesame\n", 12, 0600);
    scratch_write("newline", "\n", 1, 0600);
    write_locked();
    return 0;
}

static int
tear_down(void **state)
{
    self_signed_clear(&pair);
    self_signed_clear(&other);
    return scratch_tear_down(state);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = check_row,
                                       .initial_state = &rows[i]};
    tests[ARRAY_LEN(rows)] =
        (struct CMUnitTest)cmocka_unit_test(a_service_accounts_file);
    return cmocka_run_group_tests_name("credential_check", tests, set_up,
                                       tear_down);
}
