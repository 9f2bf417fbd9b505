/*
 * Keys made beside the event loop, looked at by OpenSSL alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "token-daemon/assertion.h"
#include "token-daemon/key_maker.h"

#define NOW      INT64_C(1800000000)
#define LIFETIME (INT64_C(90) * 86400)
#define NAME     "xoauth2-relay 0123456789abcdef"

static const struct own_certificate_order order = {
    .name = NAME, .now = NOW, .lifetime_s = LIFETIME};

struct outcome {
    struct event_base *base;
    int calls;
    int ticks; /* of the event loop meanwhile */
    struct own_certificate own;
};

static void
on_made(const struct own_certificate *own, const struct err *err, void *arg)
{
    struct outcome *outcome = arg;

    assert_int_equal(err->code, ERR_NONE);
    assert_non_null(own);
    outcome->calls++;
    outcome->own.certificate = strdup(own->certificate);
    outcome->own.private_key = strdup(own->private_key);
    memcpy(outcome->own.thumbprint, own->thumbprint, sizeof(own->thumbprint));
    (void)event_base_loopbreak(outcome->base);
}

static void
make(struct outcome *outcome)
{
    struct err err = {ERR_NONE, ""};

    assert_non_null(
        key_maker_start(outcome->base, &order, on_made, outcome, &err));
    assert_int_equal(outcome->calls, 0);
    (void)event_base_dispatch(outcome->base);
    assert_int_equal(outcome->calls, 1);
}

static int64_t
seconds_of(const ASN1_TIME *time)
{
    struct tm tm = {0};

    assert_int_equal(ASN1_TIME_to_tm(time, &tm), 1);
    return timegm(&tm);
}

static void
check_thumbprint(const X509 *x509, const char *thumbprint)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char hex[2 * EVP_MAX_MD_SIZE + 1];

    assert_int_equal(X509_digest(x509, EVP_sha1(), bytes, &len), 1);
    for (unsigned i = 0; i < len; i++)
        (void)snprintf(hex + 2 * i, 3, "%02X", bytes[i]);
    assert_string_equal(hex, thumbprint);
}

static void
a_certificate_is_its_keys_and_lives_as_long_as_asked(void **state)
{
    struct outcome outcome = {.base = event_base_new()};
    struct assertion_material material = {.certificate = NULL};
    struct assertion_key *loaded;
    struct err err = {ERR_NONE, ""};
    char name[128];
    BIO *bio;
    X509 *x509;

    (void)state;
    make(&outcome);
    bio = BIO_new_mem_buf(outcome.own.certificate, -1);
    x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_non_null(x509);
    assert_int_equal(seconds_of(X509_get0_notBefore(x509)),
                     NOW - OWN_CERTIFICATE_EARLY_S);
    assert_int_equal(seconds_of(X509_get0_notAfter(x509)), NOW + LIFETIME);
    assert_int_equal(X509_verify(x509, X509_get0_pubkey(x509)), 1);
    assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(x509)), 2048);
    assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(x509),
                                          NID_commonName, name,
                                          sizeof(name)) > 0);
    assert_string_equal(name, NAME);
    check_thumbprint(x509, outcome.own.thumbprint);

    /* It is what assertions are signed by. */
    material.certificate = outcome.own.certificate;
    material.certificate_len = strlen(outcome.own.certificate);
    material.private_key = outcome.own.private_key;
    material.private_key_len = strlen(outcome.own.private_key);
    loaded = assertion_key_load(&material, &err);
    assert_string_equal(err.text, "");
    assert_non_null(loaded);
    assert_int_equal(assertion_key_not_after(loaded), NOW + LIFETIME);
    assertion_key_free(&loaded);
    X509_free(x509);
    BIO_free(bio);
    own_certificate_clear(&outcome.own);
    event_base_free(outcome.base);
}

static void
no_two_are_the_same(void **state)
{
    struct outcome a = {.base = event_base_new()};
    struct outcome b = {.base = a.base};

    (void)state;
    make(&a);
    make(&b);
    assert_string_not_equal(a.own.private_key, b.own.private_key);
    assert_string_not_equal(a.own.thumbprint, b.own.thumbprint);
    own_certificate_clear(&a.own);
    own_certificate_clear(&b.own);
    event_base_free(a.base);
}

/* However far it has come. */
static void
a_job_can_be_cancelled(void **state)
{
    struct outcome outcome = {.base = event_base_new()};
    struct err err = {ERR_NONE, ""};

    (void)state;
    for (int i = 0; i < 8; i++) {
        struct key_maker *maker =
            key_maker_start(outcome.base, &order, on_made, &outcome, &err);

        assert_non_null(maker);
        if (i % 2 == 1)
            (void)event_base_loop(outcome.base, EVLOOP_NONBLOCK);
        if (outcome.calls == 0)
            key_maker_cancel(&maker);
        assert_int_equal(outcome.calls, 0);
        assert_null(maker);
    }
    (void)event_base_loop(outcome.base, EVLOOP_NONBLOCK);
    assert_int_equal(outcome.calls, 0);
    key_maker_cancel(&(struct key_maker *){NULL});
    event_base_free(outcome.base);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_is_its_keys_and_lives_as_long_as_asked),
        cmocka_unit_test(no_two_are_the_same),
        cmocka_unit_test(a_job_can_be_cancelled),
    };

    return cmocka_run_group_tests_name("key_maker", tests, NULL, NULL);
}
