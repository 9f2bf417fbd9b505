/*
 * An attempt to get a token with the keys of a keyring: which is tried when one
 * is refused or its file has changed, and what each is told. Real files, the
 * real curl, and a token endpoint that answers by a script.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/util.h"
#include "tests/unit/scratch.h"
#include "tests/unit/scripted_server.h"
#include "tests/unit/self_signed.h"
#include "token-daemon/acquire.h"
#include "token-daemon/http.h"
#include "token-daemon/keyring.h"
#include "token-daemon/signer.h"

#define GUARD_S 30 /* for a loop that would never end */
#define NOW     INT64_C(1790000000)
#define OLD     "PLANTED-old"
#define NEW     "PLANTED-new"
#define THIRD   "PLANTED-third"

#define ANSWER(status, body) \
    "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" body
#define TOKEN                                                           \
    {                                                                   \
        ANSWER("200 OK", "{\"token_type\":\"Bearer\",\"access_token\":" \
                         "\"abc\",\"expires_in\":3599}"),               \
            SCRIPTED_CLOSE                                              \
    }
#define REFUSED                                                       \
    {                                                                 \
        ANSWER("401 Unauthorized", "{\"error\":\"invalid_client\"}"), \
            SCRIPTED_CLOSE                                            \
    }

static struct event_base *base;
static struct http *http;
static struct signer *signer;
static struct keyring *keyring;
static struct scripted_server *server;
static int64_t now;
static char name[] = "contoso";
static char client_id[] = "id";
static char scope[] = "scope";
static char token_url[64];
static char path[256];
static char text[] = "file:...";
static struct config_ref secret;
static struct config_credential credential;
static struct config config;

static struct {
    unsigned calls;
    enum problem problem;
    struct err err;
    bool has_token;
    bool may_spread;
    size_t requests;
} got;

static int64_t
fixed_wall(void)
{
    return now;
}

static int64_t
env_wall(void *arg)
{
    (void)arg;
    return now;
}

static void
on_done(struct acquire_result *result, void *arg)
{
    (void)arg;
    got.calls++;
    got.problem = result->problem;
    got.err = result->err;
    got.has_token = result->token.access != NULL;
    got.may_spread = result->may_spread;
    got.requests = result->requests;
    (void)event_base_loopbreak(base);
}

static void
write_secret(const char *value)
{
    scratch_write("secret", value, strlen(value), 0600);
}

static int
set_up(void **state)
{
    struct err err = {ERR_NONE, ""};

    (void)state;
    now = NOW;
    base = event_base_new();
    assert_non_null(base);
    http = http_new(base, &err);
    assert_non_null(http);
    signer = signer_new(base, &err);
    assert_non_null(signer);
    keyring = keyring_new(&(struct keyring_env){.wall = env_wall});
    assert_non_null(keyring);
    write_secret(OLD);
    (void)snprintf(path, sizeof(path), "%s", scratch_path("secret"));
    secret = (struct config_ref){CONFIG_REF_FILE, text, text, path};
    credential = (struct config_credential){
        .name = name,
        .provider = CONFIG_PROVIDER_CUSTOM,
        .client_id = client_id,
        .client_secrets = &secret,
        .client_secret_count = 1,
        .token_url = token_url,
        .scope = scope,
    };
    config = (struct config){.credentials = &credential,
                             .credential_count = 1,
                             .reference_count = 1};
    assert_int_equal(keyring_configure(keyring, &config, &err), 0);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    if (server != NULL)
        scripted_server_free(&server);
    keyring_free(&keyring);
    signer_free(&signer);
    http_free(&http);
    event_base_free(base);
    return 0;
}

/* One attempt; the provider answers by these steps. */
static void
attempt(const struct scripted_step *steps, size_t count,
        const struct key_list *keys)
{
    const struct timeval guard = {.tv_sec = GUARD_S};
    const struct acquire_context context = {.base = base,
                                            .http = http,
                                            .signer = signer,
                                            .wall = fixed_wall,
                                            .keyring = keyring};
    const struct acquire_request request = {
        .config = &config, .credential = &credential, .keys = keys};

    if (server != NULL)
        scripted_server_free(&server);
    server = scripted_server_new(base, steps, count);
    (void)snprintf(token_url, sizeof(token_url), "http://127.0.0.1:%d/token",
                   scripted_server_port(server));
    memset(&got, 0, sizeof(got));
    assert_non_null(acquire_start(&context, &request, on_done, NULL));
    (void)event_base_loopexit(base, &guard);
    (void)event_base_dispatch(base);
    assert_int_equal(got.calls, 1);
    assert_int_equal(scripted_server_requests(server), got.requests);
    assert_null(strstr(got.err.text, "PLANTED"));
}

static void
attempt_well(void)
{
    const struct scripted_step steps[] = {TOKEN};

    attempt(steps, ARRAY_LEN(steps), NULL);
    assert_true(got.has_token);
    assert_int_equal(got.requests, 1);
}

static void
attempt_refused_once(void)
{
    const struct scripted_step steps[] = {REFUSED, TOKEN};

    attempt(steps, ARRAY_LEN(steps), NULL);
    assert_true(got.has_token);
    assert_int_equal(got.requests, 2);
}

static void
assert_sent(size_t request, const char *value)
{
    assert_non_null(strstr(scripted_server_request(server, request), value));
}

/* The configured one, or the first. */
static struct key *
first_key(void)
{
    struct key_list list = {0};
    struct key *key;

    assert_int_equal(keyring_list(keyring, &credential, &list), 0);
    key = list.keys[0];
    key_list_clear(&list);
    return key;
}

/* Keep one, as a rotation does. */
static void
rotate_in(const char *value)
{
    const struct key_part_text parts[KEY_PART_COUNT] = {
        [KEY_PART_TEXT] = {value, strlen(value)}};
    struct err err = {ERR_NONE, ""};
    struct key_salt salt;
    struct key *key;

    assert_int_equal(keyring_salt(keyring, name, &salt, &err), 0);
    key = key_new(KEY_SECRET, &salt);
    assert_non_null(key);
    key->material = key_material_new(parts, &salt, &err);
    assert_non_null(key->material);
    assert_int_equal(keyring_add(keyring, name, key, KEY_AHEAD, &err), 0);
    key_unref(&key);
}

static void
what_is_new_in_a_file_is_tried_first(void **state)
{
    (void)state;
    attempt_well();
    assert_sent(0, OLD);
    write_secret(NEW);
    attempt_well();
    assert_sent(0, NEW);
    assert_int_equal(first_key()->health.problem, PROBLEM_NONE);
}

static void
when_that_is_refused_what_was_there_before_is_used(void **state)
{
    const struct key *key = first_key();

    (void)state;
    attempt_well();
    write_secret(NEW);
    attempt_refused_once();
    assert_sent(0, NEW);
    assert_sent(1, OLD);
    assert_int_equal(key->health.problem, PROBLEM_NONE);
    assert_string_not_equal(key->health.text, "");
    /* From now on without the detour... */
    attempt_well();
    assert_sent(0, OLD);
    /* ...until it changes again. */
    write_secret(THIRD);
    attempt_well();
    assert_sent(0, THIRD);
    assert_string_equal(key->health.text, "");
}

static void
what_was_refused_is_tried_again_when_the_old_one_is_refused_too(void **state)
{
    (void)state;
    attempt_well();
    write_secret(NEW);
    attempt_refused_once();
    attempt_refused_once();
    assert_sent(0, OLD);
    assert_sent(1, NEW);
}

static void
when_both_are_refused_that_is_the_result(void **state)
{
    const struct scripted_step steps[] = {REFUSED, REFUSED};

    (void)state;
    attempt_well();
    write_secret(NEW);
    attempt(steps, ARRAY_LEN(steps), NULL);
    assert_int_equal(got.problem, PROBLEM_BAD_SECRET);
    assert_int_equal(got.requests, 2);
    assert_int_equal(first_key()->health.problem, PROBLEM_BAD_SECRET);
}

static void
a_file_that_is_gone_is_remembered(void **state)
{
    (void)state;
    attempt_well();
    assert_int_equal(unlink(path), 0);
    attempt_well();
    assert_sent(0, OLD);
    assert_non_null(strstr(first_key()->health.text, "No such file"));
}

static void
a_rotated_one_is_used_and_the_file_is_its_fallback(void **state)
{
    (void)state;
    rotate_in(NEW);
    attempt_well();
    assert_sent(0, NEW);
    attempt_refused_once();
    assert_sent(0, NEW);
    assert_sent(1, OLD);
    assert_true(got.may_spread);
    /* It is new, so it may not be known everywhere: first again. */
    attempt_well();
    assert_sent(0, NEW);
    /* But not for ever. */
    now += KEYRING_SPREAD_S;
    attempt_refused_once();
    assert_false(got.may_spread);
    attempt_well();
    assert_sent(0, OLD);
}

static void
a_probe_tries_what_is_new_only_and_takes_nothing_away(void **state)
{
    const struct scripted_step steps[] = {REFUSED};
    struct key *key = first_key();
    const struct key_list keys = {&key, 1};

    (void)state;
    attempt_well();
    write_secret(NEW);
    attempt(steps, ARRAY_LEN(steps), &keys);
    assert_int_equal(got.problem, PROBLEM_BAD_SECRET);
    assert_int_equal(got.requests, 1);
    assert_sent(0, NEW);
    assert_int_equal(key->health.problem, PROBLEM_NONE);
    attempt_well();
    assert_sent(0, OLD);
}

static void
a_probe_does_not_send_a_certificate_that_has_expired(void **state)
{
    const struct scripted_step steps[] = {TOKEN};
    struct key_part_text parts[KEY_PART_COUNT] = {{NULL, 0}};
    const struct key_salt salt = {{0}};
    struct err err = {ERR_NONE, ""};
    struct self_signed pair;
    struct key *key = key_new(KEY_CERTIFICATE, &salt);
    const struct key_list keys = {&key, 1};

    (void)state;
    assert_non_null(key);
    self_signed_init(&pair, EVP_PKEY_RSA, 2048, 30);
    parts[KEY_PART_CERTIFICATE] =
        (struct key_part_text){pair.both_pem, strlen(pair.both_pem)};
    key->material = key_material_new(parts, &salt, &err);
    assert_non_null(key->material);
    now = pair.not_after - 1;
    attempt(steps, ARRAY_LEN(steps), &keys);
    assert_true(got.has_token);
    assert_int_equal(strlen(key->health.id), 40);
    assert_int_equal(key->health.not_after, pair.not_after);
    now = pair.not_after;
    attempt(steps, ARRAY_LEN(steps), &keys);
    assert_int_equal(got.problem, PROBLEM_NO_SECRET);
    assert_int_equal(got.requests, 0);
    assert_non_null(strstr(got.err.text, "has expired on "));
    key_unref(&key);
    self_signed_clear(&pair);
}

#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(what_is_new_in_a_file_is_tried_first),
        FILE_TEST(when_that_is_refused_what_was_there_before_is_used),
        FILE_TEST(
            what_was_refused_is_tried_again_when_the_old_one_is_refused_too),
        FILE_TEST(when_both_are_refused_that_is_the_result),
        FILE_TEST(a_file_that_is_gone_is_remembered),
        FILE_TEST(a_rotated_one_is_used_and_the_file_is_its_fallback),
        FILE_TEST(a_probe_tries_what_is_new_only_and_takes_nothing_away),
        FILE_TEST(a_probe_does_not_send_a_certificate_that_has_expired),
    };

    return cmocka_run_group_tests_name("acquire_keys", tests, scratch_set_up,
                                       scratch_tear_down);
}
