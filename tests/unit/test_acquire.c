/*
 * Whole attempts to get a token: secrets from files, the real curl, and a token
 * endpoint that answers by a script.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <jansson.h>

#include "common/util.h"
#include "tests/unit/scripted_server.h"
#include "tests/unit/self_signed.h"
#include "token-daemon/acquire.h"
#include "token-daemon/http.h"
#include "token-daemon/signer.h"

#define GUARD_S   30                 /* for a loop that would never end */
#define SHORT     80                 /* ms; for an answer that never comes */
#define NOW       INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */
#define PATH_SIZE 128
#define SECRETS   3

static struct event_base *base;
static struct http *http;
static struct signer *signer;
static struct self_signed pair;
static char directory[] = "/tmp/test_acquire.XXXXXX";

/* The configuration under test. The count of references starts at ours. */
static char credential_name[] = "contoso";
static char client_id[] = "0000-1111";
static char scope[] = "https://outlook.example.org/.default";
static char token_url[PATH_SIZE];
static char paths[SECRETS + 2][PATH_SIZE];
static char texts[SECRETS + 2][PATH_SIZE + 8];
static struct config_ref secrets[SECRETS];
static struct config_credential credential;
static struct config config;

/* What the callback said; the token was taken over. */
static struct {
    unsigned calls;
    struct acquire_result result;
} got;

static int64_t
fixed_wall(void)
{
    return NOW;
}

static void
on_done(struct acquire_result *result, void *arg)
{
    assert_ptr_equal(arg, &got);
    got.calls++;
    got.result = *result;
    result->token = (struct oauth_token){0};
    (void)event_base_loopbreak(base);
}

/* A reference to a file of this test's directory with that content. */
static struct config_ref
write_ref(size_t slot, const char *name, const char *content)
{
    int fd;

    (void)snprintf(paths[slot], PATH_SIZE, "%s/%s", directory, name);
    (void)snprintf(texts[slot], sizeof(texts[slot]), "file:%s", paths[slot]);
    fd = open(paths[slot], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(close(fd), 0);
    return (struct config_ref){CONFIG_REF_FILE, NULL, texts[slot], paths[slot]};
}

/* A credential with three secrets, whose provider is this server. */
static void
configure(const struct scripted_server *server)
{
    char name[16];

    for (size_t i = 0; i < SECRETS; i++) {
        char content[32];

        (void)snprintf(name, sizeof(name), "secret%zu", i);
        (void)snprintf(content, sizeof(content), "PLANTED&%zu\n", i);
        secrets[i] = write_ref(i, name, content);
    }
    (void)snprintf(token_url, sizeof(token_url), "http://127.0.0.1:%d/token",
                   server != NULL ? scripted_server_port(server) : 1);
    credential = (struct config_credential){
        .name = credential_name,
        .provider = CONFIG_PROVIDER_CUSTOM,
        .client_id = client_id,
        .client_secrets = secrets,
        .client_secret_count = SECRETS,
        .token_url = token_url,
        .scope = scope,
    };
    config = (struct config){
        .credentials = &credential,
        .credential_count = 1,
        .reference_count = 1,
    };
    oauth_token_clear(&got.result.token);
    memset(&got, 0, sizeof(got));
}

static struct acquire *
start(size_t first_secret, int timeout_ms)
{
    const struct acquire_context context = {.base = base,
                                            .http = http,
                                            .signer = signer,
                                            .wall = fixed_wall,
                                            .timeout_ms = timeout_ms};
    const struct acquire_request request = {.config = &config,
                                            .credential = &credential,
                                            .first_secret = first_secret};
    struct acquire *acquire = acquire_start(&context, &request, on_done, &got);

    assert_non_null(acquire);
    assert_int_equal(got.calls, 0); /* never from within */
    assert_int_equal(config.reference_count, 2);
    return acquire;
}

static void
run(void)
{
    const struct timeval guard = {.tv_sec = GUARD_S};

    (void)event_base_loopexit(base, &guard);
    (void)event_base_dispatch(base);
    assert_int_equal(got.calls, 1);
    assert_int_equal(config.reference_count, 1);
    assert_string_equal(got.result.reason, problem_word(got.result.problem));
    assert_null(strstr(got.result.err.text, "PLANTED"));
}

#define ANSWER(status, headers, body) \
    "HTTP/1.1 " status "\r\nConnection: close\r\n" headers "\r\n" body
#define TOKEN                                                     \
    ANSWER("200 OK", "Date: Sun, 06 Nov 1994 08:49:30 GMT\r\n",   \
           "{\"token_type\":\"Bearer\",\"access_token\":\"abc\"," \
           "\"expires_in\":3599}")
#define REFUSED                                                       \
    ANSWER("401 Unauthorized", "",                                    \
           "{\"error\":\"invalid_client\",\"error_codes\":[7000222]," \
           "\"error_description\":\"PLANTED\"}")

struct row {
    const char *name;
    struct scripted_step steps[SECRETS];
    size_t step_count;
    size_t first_secret;
    bool is_missing[SECRETS]; /* secrets whose file is not there */
    int timeout_ms;

    enum problem want_problem;
    enum err_code want_code;
    size_t want_requests;
    size_t want_secret_index;
    int want_status;
    int64_t want_retry_after;
    int64_t want_number;
};

static struct row rows[] = {
    {.name = "the first secret works",
     .steps = {{TOKEN, SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_requests = 1,
     .want_status = 200},
    {.name = "it begins with the one that worked last",
     .steps = {{TOKEN, SCRIPTED_CLOSE}},
     .step_count = 1,
     .first_secret = 2,
     .want_requests = 1,
     .want_secret_index = 2,
     .want_status = 200},
    {.name = "an index from a longer list counts as the first",
     .steps = {{TOKEN, SCRIPTED_CLOSE}},
     .step_count = 1,
     .first_secret = SECRETS,
     .want_requests = 1,
     .want_status = 200},
    {.name = "a refused secret is followed by the next",
     .steps = {{REFUSED, SCRIPTED_CLOSE}, {TOKEN, SCRIPTED_CLOSE}},
     .step_count = 2,
     .want_requests = 2,
     .want_secret_index = 1,
     .want_status = 200},
    {.name = "the last is followed by the first",
     .steps = {{REFUSED, SCRIPTED_CLOSE}, {TOKEN, SCRIPTED_CLOSE}},
     .step_count = 2,
     .first_secret = 2,
     .want_requests = 2,
     .want_secret_index = 0,
     .want_status = 200},
    {.name = "all refused: once round, then the end",
     .steps = {{REFUSED, SCRIPTED_CLOSE}},
     .step_count = 1,
     .first_secret = 1,
     .want_problem = PROBLEM_BAD_SECRET,
     .want_code = ERR_CONFIG,
     .want_requests = 3,
     .want_secret_index = 0,
     .want_status = 401,
     .want_number = 7000222},
    {.name = "a secret that is not there is followed by the next",
     .steps = {{TOKEN, SCRIPTED_CLOSE}},
     .step_count = 1,
     .is_missing = {true, true, false},
     .want_requests = 1,
     .want_secret_index = 2,
     .want_status = 200},
    {.name = "no secret is there: nobody is asked",
     .steps = {{TOKEN, SCRIPTED_CLOSE}},
     .step_count = 1,
     .is_missing = {true, true, true},
     .want_problem = PROBLEM_NO_SECRET,
     .want_code = ERR_CONFIG,
     .want_secret_index = 2},
    {.name = "the provider's refusal says more than a missing file",
     .steps = {{REFUSED, SCRIPTED_CLOSE}},
     .step_count = 1,
     .is_missing = {false, true, true},
     .want_problem = PROBLEM_BAD_SECRET,
     .want_code = ERR_CONFIG,
     .want_requests = 1,
     .want_secret_index = 2,
     .want_status = 401,
     .want_number = 7000222},
    {.name = "any other error ends the attempt",
     .steps = {{ANSWER("400 Bad Request", "",
                       "{\"error\":\"invalid_scope\",\"error_codes\":[70011]}"),
                SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_problem = PROBLEM_BAD_SCOPE,
     .want_code = ERR_CONFIG,
     .want_requests = 1,
     .want_status = 400,
     .want_number = 70011},
    {.name = "a login is needed",
     .steps = {{ANSWER("400 Bad Request", "", "{\"error\":\"invalid_grant\"}"),
                SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_problem = PROBLEM_NEEDS_LOGIN,
     .want_code = ERR_REAUTH,
     .want_requests = 1,
     .want_status = 400},
    {.name = "throttled, with seconds",
     .steps = {{ANSWER("429 Too Many Requests", "Retry-After: 3\r\n", ""),
                SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_problem = PROBLEM_THROTTLED,
     .want_code = ERR_RETRY,
     .want_requests = 1,
     .want_status = 429,
     .want_retry_after = 3},
    {.name = "throttled, with a date",
     .steps = {{ANSWER("429 Too Many Requests",
                       "Retry-After: Sun, 06 Nov 1994 08:50:00 GMT\r\n", ""),
                SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_problem = PROBLEM_THROTTLED,
     .want_code = ERR_RETRY,
     .want_requests = 1,
     .want_status = 429,
     .want_retry_after = 23},
    {.name = "throttled at the second secret: the third is left alone",
     .steps = {{REFUSED, SCRIPTED_CLOSE},
               {ANSWER("429 Too Many Requests", "", ""), SCRIPTED_CLOSE}},
     .step_count = 2,
     .want_problem = PROBLEM_THROTTLED,
     .want_code = ERR_RETRY,
     .want_requests = 2,
     .want_secret_index = 1,
     .want_status = 429},
    {.name = "a server error",
     .steps = {{ANSWER("500 Oops", "", "<html>"), SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_problem = PROBLEM_UNAVAILABLE,
     .want_code = ERR_RETRY,
     .want_requests = 1,
     .want_status = 500},
    {.name = "garbage",
     .steps = {{ANSWER("200 OK", "", "PLANTED"), SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_problem = PROBLEM_BAD_ANSWER,
     .want_code = ERR_PROTO,
     .want_requests = 1,
     .want_status = 200},
    {.name = "no HTTP",
     .steps = {{"PLANTED\r\n", SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_problem = PROBLEM_BAD_ANSWER,
     .want_code = ERR_PROTO,
     .want_requests = 1},
    {.name = "a reset",
     .steps = {{NULL, SCRIPTED_RESET}},
     .step_count = 1,
     .want_problem = PROBLEM_UNREACHABLE,
     .want_code = ERR_RETRY,
     .want_requests = 1},
    {.name = "too slow",
     .steps = {{NULL, SCRIPTED_HANG}},
     .step_count = 1,
     .timeout_ms = SHORT,
     .want_problem = PROBLEM_UNREACHABLE,
     .want_code = ERR_RETRY,
     .want_requests = 1},
    {.name = "a redirect",
     .steps = {{ANSWER("308 Go", "Location: /elsewhere\r\n", ""),
                SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_problem = PROBLEM_BAD_ANSWER,
     .want_code = ERR_PROTO,
     .want_requests = 1,
     .want_status = 308},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct scripted_server *server =
        scripted_server_new(base, row->steps, row->step_count);
    const struct acquire_result *result = &got.result;

    configure(server);
    for (size_t i = 0; i < SECRETS; i++)
        if (row->is_missing[i])
            assert_int_equal(unlink(paths[i]), 0);
    (void)start(row->first_secret, row->timeout_ms);
    run();

    assert_int_equal(result->problem, row->want_problem);
    assert_int_equal(result->err.code, row->want_code);
    assert_int_equal(result->requests, row->want_requests);
    assert_int_equal(scripted_server_requests(server), row->want_requests);
    assert_int_equal(result->secret_index, row->want_secret_index);
    assert_int_equal(result->http_status, row->want_status);
    assert_int_equal(result->retry_after_s, row->want_retry_after);
    assert_int_equal(result->number, row->want_number);
    assert_int_equal(result->not_after, 0);
    if (row->want_problem == PROBLEM_NONE) {
        assert_string_equal(result->token.access, "abc");
        assert_int_equal(result->token.lifetime, 3599);
        assert_true(result->has_skew);
        assert_int_equal(result->skew_s, 7);
        assert_null(result->hint);
    } else {
        assert_null(result->token.access);
        assert_true(result->err.text[0] != '\0');
    }
    scripted_server_free(&server);
}

static void
the_form_has_the_secret_percent_encoded(void **state)
{
    const struct scripted_step step = {TOKEN, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);

    (void)state;
    configure(server);
    (void)start(1, 0);
    run();
    assert_non_null(
        strstr(scripted_server_request(server, 0),
               "\r\n\r\ngrant_type=client_credentials&client_id=0000-1111&"
               "scope=https%3A%2F%2Foutlook.example.org%2F.default&"
               "client_secret=PLANTED%261"));
    scripted_server_free(&server);
}

static void
a_command_may_give_the_secret(void **state)
{
    const struct scripted_step step = {TOKEN, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);
    char text[] = "exec:/bin/echo hello";
    char value[] = "/bin/echo hello";

    (void)state;
    configure(server);
    secrets[0] = (struct config_ref){CONFIG_REF_EXEC, NULL, text, value};
    (void)start(0, 0);
    run();
    assert_string_equal(got.result.token.access, "abc");
    assert_non_null(
        strstr(scripted_server_request(server, 0), "client_secret=hello"));
    scripted_server_free(&server);
}

/* What the form field client_assertion of the first request holds. */
static void
check_assertion(const struct scripted_server *server, bool is_pss)
{
    static const char field[] = "&client_assertion=";
    const char *text = scripted_server_request(server, 0);
    const char *jwt = strstr(text, field);
    json_t *header = NULL, *claims = NULL;

    assert_non_null(jwt);
    assert_null(strstr(text, "client_secret"));
    jwt += sizeof(field) - 1;
    assert_true(
        self_signed_verify(&pair, jwt, strlen(jwt), is_pss, &header, &claims));
    assert_string_equal(json_string_value(json_object_get(claims, "aud")),
                        token_url);
    assert_string_equal(json_string_value(json_object_get(claims, "sub")),
                        client_id);
    assert_int_equal(json_integer_value(json_object_get(claims, "nbf")), NOW);
    json_decref(header);
    json_decref(claims);
}

static void
a_certificate_proves_itself_by_ps256(void **state)
{
    const struct scripted_step step = {TOKEN, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);

    (void)state;
    configure(server);
    credential.client_secret_count = 0;
    credential.certificate = write_ref(SECRETS, "both.pem", pair.both_pem);
    (void)start(0, 0);
    run();
    assert_string_equal(got.result.token.access, "abc");
    assert_int_equal(got.result.not_after, pair.not_after);
    check_assertion(server, true);
    scripted_server_free(&server);
}

static void
a_certificate_and_its_key_may_be_two_files_and_rs256(void **state)
{
    const struct scripted_step step = {TOKEN, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);

    (void)state;
    configure(server);
    credential.certificate =
        write_ref(SECRETS, "certificate.pem", pair.certificate_pem);
    credential.private_key = write_ref(SECRETS + 1, "key.pem", pair.key_pem);
    credential.assertion_algorithm = CONFIG_ASSERTION_RS256;
    (void)start(0, 0);
    run();
    assert_string_equal(got.result.token.access, "abc");
    check_assertion(server, false);
    scripted_server_free(&server);
}

static void
a_refused_certificate_ends_the_attempt(void **state)
{
    const struct scripted_step step = {REFUSED, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);

    (void)state;
    configure(server);
    credential.certificate = write_ref(SECRETS, "both.pem", pair.both_pem);
    (void)start(0, 0);
    run();
    assert_int_equal(got.result.problem, PROBLEM_BAD_SECRET);
    assert_int_equal(got.result.requests, 1);
    scripted_server_free(&server);
}

static void
a_certificate_without_its_key_is_named(void **state)
{
    (void)state;
    configure(NULL);
    credential.certificate =
        write_ref(SECRETS, "certificate.pem", pair.certificate_pem);
    (void)start(0, 0);
    run();
    assert_int_equal(got.result.problem, PROBLEM_NO_SECRET);
    assert_int_equal(got.result.err.code, ERR_CONFIG);
    assert_non_null(strstr(got.result.err.text, "credential \"contoso\""));
    assert_non_null(strstr(got.result.err.text, "no private key"));
    assert_int_equal(got.result.requests, 0);

    configure(NULL);
    credential.certificate =
        write_ref(SECRETS, "certificate.pem", pair.certificate_pem);
    credential.private_key = write_ref(SECRETS + 1, "key.pem", "");
    assert_int_equal(unlink(paths[SECRETS + 1]), 0);
    (void)start(0, 0);
    run();
    assert_int_equal(got.result.problem, PROBLEM_NO_SECRET);
    assert_non_null(strstr(got.result.err.text, "No such file"));
}

static void
settings_that_allow_no_request_are_named(void **state)
{
    (void)state;
    configure(NULL);
    (void)snprintf(token_url, sizeof(token_url), "http://login.example.org/");
    (void)start(0, 0);
    run();
    assert_int_equal(got.result.problem, PROBLEM_BAD_SETTINGS);
    assert_non_null(strstr(got.result.err.text, "https://"));

    configure(NULL);
    credential.token_url = NULL;
    (void)start(0, 0);
    run();
    assert_int_equal(got.result.problem, PROBLEM_BAD_SETTINGS);
    assert_non_null(strstr(got.result.err.text, "token_url"));

    configure(NULL);
    credential.client_secret_count = 0;
    (void)start(0, 0);
    run();
    assert_int_equal(got.result.problem, PROBLEM_BAD_SETTINGS);
    assert_non_null(strstr(got.result.err.text, "neither"));
    assert_int_equal(got.result.requests, 0);
}

static void
an_attempt_can_be_cancelled_at_each_step(void **state)
{
    const struct scripted_step step = {NULL, SCRIPTED_HANG};
    struct scripted_server *server = scripted_server_new(base, &step, 1);
    char text[] = "exec:/bin/sleep 1000";
    char value[] = "/bin/sleep 1000";
    struct acquire *acquire;

    (void)state;
    configure(server);
    acquire = start(0, 0);
    acquire_cancel(&acquire); /* before the beginning */
    assert_null(acquire);
    assert_int_equal(config.reference_count, 1);
    acquire_cancel(&acquire);

    acquire = start(0, 0);
    while (scripted_server_requests(server) == 0)
        assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
    acquire_cancel(&acquire); /* while it waits for the answer */
    assert_int_equal(config.reference_count, 1);

    secrets[0] = (struct config_ref){CONFIG_REF_EXEC, NULL, text, value};
    acquire = start(0, 0);
    (void)event_base_loop(base, EVLOOP_ONCE);
    acquire_cancel(&acquire); /* while it waits for the secret */
    assert_int_equal(config.reference_count, 1);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(got.calls, 0);
    scripted_server_free(&server);
}

static int
set_up(void **state)
{
    struct err err = {ERR_NONE, ""};

    (void)state;
    self_signed_init(&pair, EVP_PKEY_RSA, 2048, 30);
    base = event_base_new();
    if (base == NULL || mkdtemp(directory) == NULL)
        return -1;
    http = http_new(base, &err);
    signer = signer_new(base, &err);
    return http != NULL && signer != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    static const char *const names[] = {"secret0", "secret1",
                                        "secret2", "both.pem",
                                        "key.pem", "certificate.pem"};
    char path[PATH_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    oauth_token_clear(&got.result.token);
    self_signed_clear(&pair);
    signer_free(&signer);
    http_free(&http);
    event_base_free(base);
    return rmdir(directory);
}

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(the_form_has_the_secret_percent_encoded),
        cmocka_unit_test(a_command_may_give_the_secret),
        cmocka_unit_test(a_certificate_proves_itself_by_ps256),
        cmocka_unit_test(a_certificate_and_its_key_may_be_two_files_and_rs256),
        cmocka_unit_test(a_refused_certificate_ends_the_attempt),
        cmocka_unit_test(a_certificate_without_its_key_is_named),
        cmocka_unit_test(settings_that_allow_no_request_are_named),
        cmocka_unit_test(an_attempt_can_be_cancelled_at_each_step),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[ARRAY_LEN(rows) + i] = others[i];
    return cmocka_run_group_tests_name("acquire", tests, set_up, tear_down);
}
