/*
 * Client assertions: what OpenSSL says of them, and which certificates and keys
 * are refused with which words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "common/util.h"
#include "tests/unit/self_signed.h"
#include "token-daemon/assertion.h"

#define AUDIENCE "https://login.example.org/contoso/oauth2/v2.0/token"
#define CLIENT   "0000-1111"
#define NOW      INT64_C(1767323045)

static struct self_signed pair;

static struct assertion_key *
load(const char *certificate, const char *key, struct err *err)
{
    const struct assertion_material material = {
        .certificate = certificate,
        .certificate_len = strlen(certificate),
        .private_key = key,
        .private_key_len = strlen(key),
    };

    return assertion_key_load(&material, err);
}

static int
set_up(void **state)
{
    (void)state;
    self_signed_init(&pair, EVP_PKEY_RSA, 2048, 30);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    self_signed_clear(&pair);
    return 0;
}

static void
check_string(const json_t *object, const char *key, const char *want)
{
    const char *got = json_string_value(json_object_get(object, key));

    assert_non_null(got);
    assert_string_equal(got, want);
}

static void
check_number(const json_t *object, const char *key, int64_t want)
{
    const json_t *got = json_object_get(object, key);

    assert_true(json_is_integer(got));
    assert_int_equal(json_integer_value(got), want);
}

/* Sign, verify by OpenSSL, and look at each field. */
static void
check_algorithm(enum config_assertion algorithm, const char *alg,
                const char *thumbprint_name, const char *thumbprint)
{
    struct err err = {ERR_NONE, ""};
    struct assertion_key *key = load(pair.certificate_pem, pair.key_pem, &err);
    struct assertion_claims claims = {.audience = AUDIENCE,
                                      .issuer = CLIENT,
                                      .subject = CLIENT,
                                      .id = "an-id",
                                      .now = NOW,
                                      .lifetime = ASSERTION_LIFETIME};
    bool is_pss = algorithm == CONFIG_ASSERTION_PS256;
    json_t *header = NULL, *body = NULL;
    struct buf jwt;

    assert_non_null(key);
    buf_init(&jwt, ASSERTION_LENGTH_MAX);
    assert_int_equal(assertion_sign(key, algorithm, &claims, &jwt, &err), 0);
    assert_null(strpbrk(buf_str(&jwt), "+/= \n"));
    assert_true(self_signed_verify(&pair, buf_str(&jwt), jwt.len, is_pss,
                                   &header, &body));
    assert_int_equal(json_object_size(header), 3);
    check_string(header, "alg", alg);
    check_string(header, "typ", "JWT");
    check_string(header, thumbprint_name, thumbprint);
    assert_int_equal(json_object_size(body), 7);
    check_string(body, "aud", AUDIENCE);
    check_string(body, "iss", CLIENT);
    check_string(body, "sub", CLIENT);
    check_string(body, "jti", "an-id");
    check_number(body, "nbf", NOW);
    check_number(body, "iat", NOW);
    check_number(body, "exp", NOW + 600);
    json_decref(header);
    json_decref(body);

    /* One bit of the claims later, the signature holds no more. */
    jwt.data[strcspn(jwt.data, ".") + 5] ^= 1;
    header = body = NULL;
    assert_false(self_signed_verify(&pair, buf_str(&jwt), jwt.len, is_pss,
                                    &header, &body));
    buf_clear(&jwt);
    assertion_key_free(&key);
    assert_null(key);
}

static void
ps256_names_the_certificate_by_sha256(void **state)
{
    (void)state;
    check_algorithm(CONFIG_ASSERTION_PS256, "PS256", "x5t#S256",
                    pair.x5t_sha256);
}

static void
rs256_names_the_certificate_by_sha1(void **state)
{
    (void)state;
    check_algorithm(CONFIG_ASSERTION_RS256, "RS256", "x5t", pair.x5t_sha1);
}

static void
certificate_and_key_may_be_one_text_in_any_order(void **state)
{
    struct err err = {ERR_NONE, ""};
    struct assertion_key *key = load(pair.both_pem, pair.both_pem, &err);
    char *swapped = NULL;

    (void)state;
    assert_non_null(key);
    assert_int_equal(assertion_key_not_after(key), pair.not_after);
    assertion_key_free(&key);
    assertion_key_free(&key);

    assert_true(asprintf(&swapped, "Bag Attributes\n%s\nsome: text\n%s",
                         pair.key_pem, pair.certificate_pem) > 0);
    key = load(swapped, swapped, &err);
    assert_non_null(key);
    assertion_key_free(&key);
    free(swapped);
}

static void
check_refused(const char *certificate, const char *key_pem, const char *want)
{
    struct err err = {ERR_NONE, ""};
    struct assertion_key *key = load(certificate, key_pem, &err);

    assert_null(key);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, want));
}

static void
what_is_missing_is_named(void **state)
{
    (void)state;
    check_refused("", pair.key_pem, "no certificate in it");
    check_refused("no PEM at all", pair.key_pem, "no certificate in it");
    check_refused(pair.key_pem, pair.key_pem, "no certificate in it");
    check_refused("-----BEGIN CERTIFICATE-----\nAAAA\n"
                  "-----END CERTIFICATE-----\n",
                  pair.key_pem, "no certificate in it");
    check_refused(pair.certificate_pem, "", "no private key in it");
    check_refused(pair.certificate_pem, pair.certificate_pem,
                  "no private key in it");
}

static void
a_key_cut_off_anywhere_is_refused(void **state)
{
    size_t len = strlen(pair.key_pem);

    (void)state;
    for (size_t n = 0; n + 2 < len; n += 7) {
        char *cut = strndup(pair.key_pem, n);

        assert_non_null(cut);
        check_refused(pair.certificate_pem, cut, "no private key in it");
        free(cut);
    }
}

static void
the_key_of_another_certificate_is_refused(void **state)
{
    struct self_signed other;

    (void)state;
    self_signed_init(&other, EVP_PKEY_RSA, 2048, 30);
    check_refused(pair.certificate_pem, other.key_pem, "another certificate");
    self_signed_clear(&other);
}

static void
short_keys_and_other_kinds_are_refused(void **state)
{
    struct self_signed other;

    (void)state;
    self_signed_init(&other, EVP_PKEY_RSA, 1024, 30);
    check_refused(other.certificate_pem, other.key_pem, "1024 bits");
    self_signed_clear(&other);
    self_signed_init(&other, EVP_PKEY_ED25519, 0, 30);
    check_refused(other.certificate_pem, other.key_pem, "not an RSA key");
    self_signed_clear(&other);
}

/* And OpenSSL does not ask on the terminal. */
static void
an_encrypted_key_is_refused(void **state)
{
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char passphrase[] = "secret";
    char *data = NULL;
    char *pem;
    long len;

    (void)state;
    assert_int_equal(PEM_write_bio_PrivateKey(bio, pair.key, EVP_aes_128_cbc(),
                                              passphrase, 6, NULL, NULL),
                     1);
    len = BIO_get_mem_data(bio, &data);
    pem = strndup(data, (size_t)len);
    assert_non_null(pem);
    check_refused(pair.certificate_pem, pem, "is encrypted");
    free(pem);
    BIO_free(bio);
}

static void
claims_that_are_no_utf8_are_refused(void **state)
{
    struct err err = {ERR_NONE, ""};
    struct assertion_key *key = load(pair.both_pem, pair.both_pem, &err);
    struct assertion_claims claims = {.audience = AUDIENCE,
                                      .issuer = "\xff",
                                      .subject = "\xff",
                                      .id = "x",
                                      .now = NOW,
                                      .lifetime = ASSERTION_LIFETIME};
    struct buf jwt;

    (void)state;
    assert_non_null(key);
    buf_init(&jwt, ASSERTION_LENGTH_MAX);
    assert_int_equal(
        assertion_sign(key, CONFIG_ASSERTION_PS256, &claims, &jwt, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    buf_clear(&jwt);
    assertion_key_free(&key);
}

static void
a_buffer_too_small_is_an_error(void **state)
{
    struct err err = {ERR_NONE, ""};
    struct assertion_key *key = load(pair.both_pem, pair.both_pem, &err);
    struct assertion_claims claims = {.audience = AUDIENCE,
                                      .issuer = CLIENT,
                                      .subject = CLIENT,
                                      .id = "x",
                                      .now = NOW,
                                      .lifetime = ASSERTION_LIFETIME};
    struct buf jwt;

    (void)state;
    assert_non_null(key);
    buf_init(&jwt, 100);
    assert_int_equal(
        assertion_sign(key, CONFIG_ASSERTION_PS256, &claims, &jwt, &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    buf_clear(&jwt);
    assertion_key_free(&key);
}

static void
ids_are_guids_and_differ(void **state)
{
    char first[ASSERTION_ID_SIZE], second[ASSERTION_ID_SIZE];
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(assertion_new_id(first, &err), 0);
    assert_int_equal(assertion_new_id(second, &err), 0);
    assert_string_not_equal(first, second);
    assert_int_equal(strlen(first), 36);
    assert_int_equal(strspn(first, "0123456789abcdef-"), 36);
    assert_int_equal(first[8], '-');
    assert_int_equal(first[13], '-');
    assert_int_equal(first[14], '4');
    assert_int_equal(first[18], '-');
    assert_non_null(strchr("89ab", first[19]));
    assert_int_equal(first[23], '-');
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ps256_names_the_certificate_by_sha256),
        cmocka_unit_test(rs256_names_the_certificate_by_sha1),
        cmocka_unit_test(certificate_and_key_may_be_one_text_in_any_order),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(a_key_cut_off_anywhere_is_refused),
        cmocka_unit_test(the_key_of_another_certificate_is_refused),
        cmocka_unit_test(short_keys_and_other_kinds_are_refused),
        cmocka_unit_test(an_encrypted_key_is_refused),
        cmocka_unit_test(claims_that_are_no_utf8_are_refused),
        cmocka_unit_test(a_buffer_too_small_is_an_error),
        cmocka_unit_test(ids_are_guids_and_differ),
    };

    return cmocka_run_group_tests_name("assertion", tests, set_up, tear_down);
}
