/*
 * Signing beside the loop: with keys in memory, and with a key that a token
 * (SoftHSM's) has made and never gives out.
 */
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/util.h"
#include "tests/unit/scratch.h"
#include "tests/unit/self_signed.h"
#include "token-daemon/key_pkcs11.h"
#include "token-daemon/signer.h"
#include "token-daemon/token_signer.h"

#define GUARD_S   30 /* for a loop that would never end */
#define NOW       INT64_C(1767323045)
#define JOBS      40
#define PIN       "1234-PLANTED"
#define URI       "pkcs11:token=relay;object=signing;type=private"
#define TOKEN_DIR "tokens"

static struct event_base *base;
static struct signer *signer;
static struct self_signed pair;

static struct outcome {
    unsigned calls;
    struct err err;
    char assertion[ASSERTION_LENGTH_MAX];
    int64_t not_after;
} got[JOBS];
static size_t told; /* calls in all */

static void
on_signed(const struct signer_result *result, void *arg)
{
    struct outcome *outcome = arg;

    outcome->calls++;
    outcome->err = result->err;
    outcome->not_after = result->not_after;
    assert_int_equal(result->assertion != NULL, result->err.code == ERR_NONE);
    if (result->assertion != NULL)
        (void)snprintf(outcome->assertion, sizeof(outcome->assertion), "%s",
                       result->assertion);
    assert_null(strstr(result->err.text, "PLANTED"));
    told++;
    (void)event_base_loopbreak(base);
}

/* An order by the pair's certificate and this key. */
static struct signer_order
make_order(const char *key)
{
    return (struct signer_order){
        .material =
            {
                .certificate = pair.certificate_pem,
                .certificate_len = strlen(pair.certificate_pem),
                .private_key = key,
                .private_key_len = strlen(key),
            },
        .algorithm = CONFIG_ASSERTION_PS256,
        .claims =
            {
                .audience = "https://login.example.org/token",
                .issuer = "i",
                .subject = "s",
                .id = "n",
                .now = NOW,
                .lifetime = 60,
            },
    };
}

static void
forget(void)
{
    memset(got, 0, sizeof(got));
    told = 0;
}

static struct signer_job *
order_into(size_t index, const struct signer_order *order)
{
    struct signer_job *job = signer_sign(signer, order, on_signed, &got[index]);

    assert_non_null(job);
    assert_int_equal(got[index].calls, 0); /* never from within */
    return job;
}

static void
run_until(size_t count)
{
    const struct timeval guard = {.tv_sec = GUARD_S};

    while (told < count) {
        size_t before = told;

        (void)event_base_loopexit(base, &guard);
        (void)event_base_dispatch(base);
        assert_true(told > before);
    }
}

static void
check_signature(const struct self_signed *by, const char *jwt, bool is_pss)
{
    json_t *header = NULL, *claims = NULL;

    assert_true(
        self_signed_verify(by, jwt, strlen(jwt), is_pss, &header, &claims));
    assert_string_equal(json_string_value(json_object_get(claims, "sub")), "s");
    json_decref(header);
    json_decref(claims);
}

/* ---- Keys in memory ------------------------------------------------------ */

static void
every_order_is_signed_once(void **state)
{
    struct signer_order order = make_order(pair.key_pem);
    char subject[] = "s";

    (void)state;
    forget();
    order.claims.subject = subject;
    for (size_t i = 0; i < JOBS; i++)
        (void)order_into(i, &order);
    memset(subject, 'x', 1); /* what was ordered was copied */
    run_until(JOBS);
    for (size_t i = 0; i < JOBS; i++) {
        assert_int_equal(got[i].calls, 1);
        assert_int_equal(got[i].not_after, pair.not_after);
        check_signature(&pair, got[i].assertion, true);
    }
    assert_int_equal(told, JOBS);
}

static void
what_is_no_key_is_told(void **state)
{
    struct signer_order order = make_order("PLANTED");

    (void)state;
    forget();
    (void)order_into(0, &order);
    run_until(1);
    assert_int_equal(got[0].err.code, ERR_CONFIG);
    assert_non_null(strstr(got[0].err.text, "no private key"));
}

static void
a_claim_that_is_no_utf8_is_told(void **state)
{
    struct signer_order order = make_order(pair.key_pem);

    (void)state;
    forget();
    order.claims.scope = "\xff";
    (void)order_into(0, &order);
    run_until(1);
    assert_int_equal(got[0].err.code, ERR_CONFIG);
}

static void
cancelled_orders_are_never_told(void **state)
{
    struct signer_order order = make_order(pair.key_pem);
    struct signer_job *jobs[JOBS];

    (void)state;
    forget();
    for (size_t i = 0; i < JOBS; i++)
        jobs[i] = order_into(i, &order);
    run_until(1); /* some are waiting, one is running, some may be finished */
    for (size_t i = 0; i < JOBS; i++) {
        if (got[i].calls > 0)
            continue;
        if (i % 2 == 1) {
            signer_cancel(&jobs[i]);
            assert_null(jobs[i]);
            signer_cancel(&jobs[i]);
            got[i].calls = 100;
            told++;
        }
    }
    run_until(JOBS);
    for (size_t i = 0; i < JOBS; i++)
        assert_true(got[i].calls == 1 || got[i].calls == 100);
}

static void
a_signer_may_be_freed_with_orders_pending(void **state)
{
    struct signer_order order = make_order(pair.key_pem);
    struct err err = {ERR_NONE, ""};
    struct signer *other = signer_new(base, &err);

    (void)state;
    forget();
    assert_non_null(other);
    for (size_t i = 0; i < JOBS; i++)
        assert_non_null(signer_sign(other, &order, on_signed, &got[i]));
    signer_free(&other);
    assert_null(other);
    signer_free(&other);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(told, 0);
}

/* ---- A key in a token ---------------------------------------------------- */

static bool has_token; /* false: the tools are not installed */
static struct self_signed token_pair;
static char certificate_pem[4096];

/* Run a command to its end, with nothing to read; its exit status. */
static int
run(const char *const argv[])
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = -1;

    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", 0, 0), 0);
    assert_int_equal(
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, 1, 2), 0);
    if (posix_spawnp(&pid, argv[0], &actions, NULL,
                     (char *const *)(uintptr_t)argv, environ) == 0)
        assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)posix_spawn_file_actions_destroy(&actions);
    return status;
}

/* A token of our own, with a key that is made in it. */
static bool
make_token(void)
{
    static char variable[600];
    char text[1200];
    static const char *const init[] = {"softhsm2-util",
                                       "--init-token",
                                       "--free",
                                       "--label",
                                       "relay",
                                       "--pin",
                                       PIN,
                                       "--so-pin",
                                       "4321",
                                       NULL};
    static const char *const generate[] = {"p11tool",
                                           "--login",
                                           "--set-pin=" PIN,
                                           "--generate-privkey=rsa",
                                           "--bits=2048",
                                           "--label=signing",
                                           "--id=01",
                                           "--outfile=/dev/null",
                                           "pkcs11:token=relay",
                                           NULL};

    assert_int_equal(mkdir(scratch_path(TOKEN_DIR), 0700), 0);
    (void)snprintf(text, sizeof(text),
                   "directories.tokendir = %s\nobjectstore.backend = file\n"
                   "log.level = ERROR\n",
                   scratch_path(TOKEN_DIR));
    scratch_write_text("softhsm2.conf", text);
    (void)snprintf(variable, sizeof(variable), "SOFTHSM2_CONF=%s",
                   scratch_path("softhsm2.conf"));
    assert_int_equal(putenv(variable), 0);
    if (run(init) != 0)
        return false;
    assert_int_equal(run(generate), 0);
    return true;
}

static bool
is_installed(void)
{
    if (!has_token)
        print_message("softhsm2, gnutls-bin or libengine-pkcs11-openssl is not "
                      "installed\n");
    return has_token;
}

/* By a URI, with a certificate that is another key's. */
static struct signer_order
make_token_order(const char *pin)
{
    struct signer_order order = make_order("");

    order.material.private_key = NULL;
    order.uri = URI;
    order.pin = pin;
    return order;
}

/* Starting a process takes longer than a millisecond. */
static void
a_slow_token_is_given_up_and_holds_up_nobody(void **state)
{
    struct signer_order slow = make_token_order("PLANTED-slow");
    struct signer_order fast = make_order(pair.key_pem);

    (void)state;
    if (!is_installed())
        skip();
    forget();
    slow.limit_ms = 1;
    (void)order_into(0, &slow);
    (void)order_into(1, &fast);
    run_until(2);
    assert_int_equal(got[0].err.code, ERR_RETRY);
    assert_non_null(strstr(got[0].err.text, "does not answer"));
    check_signature(&pair, got[1].assertion, true);
}

static void
a_refused_pin_is_not_tried_again(void **state)
{
    struct signer_order order = make_token_order("PLANTED-wrong");

    (void)state;
    if (!is_installed())
        skip();
    forget();
    (void)order_into(0, &order);
    run_until(1);
    assert_int_equal(got[0].err.code, ERR_DENIED);
    assert_non_null(strstr(got[0].err.text, "the token refused the PIN"));
    (void)order_into(1, &order);
    run_until(2);
    assert_int_equal(got[1].err.code, ERR_DENIED);
    assert_non_null(strstr(got[1].err.text, "refused this PIN before"));
}

/* A certificate for that key, signed in the token. */
static void
certify(void)
{
    struct err err = {ERR_NONE, ""};
    struct key_pkcs11 *key = key_pkcs11_open(URI, PIN, &err);
    X509 *x509 = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long len;

    assert_string_equal(err.text, "");
    assert_non_null(key);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x509), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x509), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x509), 86400));
    assert_int_equal(X509_set_pubkey(x509, key_pkcs11_key(key)), 1);
    assert_true(X509_sign(x509, key_pkcs11_key(key), EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, x509), 1);
    len = BIO_get_mem_data(bio, &text);
    assert_true(len > 0 && (size_t)len < sizeof(certificate_pem));
    memcpy(certificate_pem, text, (size_t)len);
    certificate_pem[len] = '\0';
    token_pair.key = X509_get_pubkey(x509);
    assert_non_null(token_pair.key);
    BIO_free(bio);
    X509_free(x509);
    key_pkcs11_close(&key);
    assert_null(key);
    key_pkcs11_close(&key);
}

static struct signer_order
make_own_order(void)
{
    struct signer_order order = make_token_order(PIN);

    order.material.certificate = certificate_pem;
    order.material.certificate_len = strlen(certificate_pem);
    return order;
}

static void
need_token(void)
{
    if (!is_installed())
        skip();
    if (token_pair.key == NULL)
        certify();
}

static void
a_token_signs_by_both_algorithms(void **state)
{
    struct signer_order order;

    (void)state;
    need_token();
    forget();
    order = make_own_order();
    (void)order_into(0, &order);
    order.algorithm = CONFIG_ASSERTION_RS256;
    (void)order_into(1, &order);
    run_until(2);
    assert_string_equal(got[0].err.text, "");
    assert_string_equal(got[1].err.text, "");
    assert_int_equal(got[0].calls, 1);
    check_signature(&token_pair, got[0].assertion, true);
    check_signature(&token_pair, got[1].assertion, false);
}

static void
its_key_never_leaves_the_token(void **state)
{
    struct err err = {ERR_NONE, ""};
    struct key_pkcs11 *key;
    BIGNUM *private_exponent = NULL;
    BIO *bio = BIO_new(BIO_s_mem());

    (void)state;
    need_token();
    key = key_pkcs11_open(URI, PIN, &err);
    assert_non_null(key);
    assert_int_equal(EVP_PKEY_get_bn_param(key_pkcs11_key(key),
                                           OSSL_PKEY_PARAM_RSA_D,
                                           &private_exponent),
                     0);
    assert_null(private_exponent);
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key_pkcs11_key(key), NULL,
                                              NULL, 0, NULL, NULL),
                     0);
    assert_int_equal(BIO_pending(bio), 0);
    BIO_free(bio);
    key_pkcs11_close(&key);
}

static void
another_certificate_does_not_fit(void **state)
{
    struct signer_order order;

    (void)state;
    need_token();
    forget();
    order = make_token_order(PIN);
    (void)order_into(0, &order);
    run_until(1);
    assert_int_equal(got[0].err.code, ERR_CONFIG);
    assert_non_null(strstr(got[0].err.text, "another certificate"));
}

static void
a_key_that_is_not_there_is_named(void **state)
{
    struct signer_order order;

    (void)state;
    need_token();
    forget();
    order = make_own_order();
    order.uri = "pkcs11:token=relay;object=none;type=private";
    (void)order_into(0, &order);
    order.uri = "pkcs11:token=none;object=signing;type=private";
    (void)order_into(1, &order);
    run_until(2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(got[i].err.code, ERR_CONFIG);
        assert_non_null(strstr(got[i].err.text, "no such private key"));
    }
}

static void
a_cancelled_order_kills_its_process(void **state)
{
    struct signer_order order;
    struct signer_job *jobs[3];

    (void)state;
    need_token();
    forget();
    order = make_own_order();
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        jobs[i] = order_into(i, &order);
    (void)event_base_loop(base, EVLOOP_NONBLOCK); /* the first one runs now */
    signer_cancel(&jobs[0]);
    signer_cancel(&jobs[1]);
    run_until(1);
    assert_int_equal(got[2].calls, 1);
    check_signature(&token_pair, got[2].assertion, true);
}

static int
set_up(void **state)
{
    struct err err = {ERR_NONE, ""};

    if (scratch_set_up(state) < 0)
        return -1;
    self_signed_init(&pair, EVP_PKEY_RSA, 2048, 30);
    has_token = make_token();
    base = event_base_new();
    if (base == NULL)
        return -1;
    signer = signer_new(base, &err);
    return signer != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    static const char *const remove[] = {"rm", "-rf", NULL, NULL};
    const char *argv[ARRAY_LEN(remove)];

    memcpy(argv, remove, sizeof(argv));
    argv[2] = scratch_path(TOKEN_DIR);
    signer_free(&signer);
    event_base_free(base);
    self_signed_clear(&pair);
    self_signed_clear(&token_pair);
    assert_int_equal(run(argv), 0);
    return scratch_tear_down(state);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_is_signed_once),
        cmocka_unit_test(what_is_no_key_is_told),
        cmocka_unit_test(a_claim_that_is_no_utf8_is_told),
        cmocka_unit_test(cancelled_orders_are_never_told),
        cmocka_unit_test(a_signer_may_be_freed_with_orders_pending),
        cmocka_unit_test(a_slow_token_is_given_up_and_holds_up_nobody),
        cmocka_unit_test(a_refused_pin_is_not_tried_again),
        cmocka_unit_test(a_token_signs_by_both_algorithms),
        cmocka_unit_test(its_key_never_leaves_the_token),
        cmocka_unit_test(another_certificate_does_not_fit),
        cmocka_unit_test(a_key_that_is_not_there_is_named),
        cmocka_unit_test(a_cancelled_order_kills_its_process),
    };

    /* A signer runs its own program again. */
    if (argc == 2 && strcmp(argv[1], TOKEN_SIGNER_ARGUMENT) == 0)
        _exit(token_signer_main());
    return cmocka_run_group_tests_name("signer", tests, set_up, tear_down);
}
