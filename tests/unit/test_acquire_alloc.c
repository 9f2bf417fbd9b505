/*
 * An attempt to get a token with the n-th allocation failing, for each n, those
 * of curl and jansson among them: it ends once, with a token or an error that
 * is not the administrator's, and nothing is leaked. The token endpoint runs in
 * a process of its own, so that its memory is not the subject.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <jansson.h>

#include "common/clock.h"
#include "tests/unit/scratch.h"
#include "tests/unit/scripted_server.h"
#include "tests/unit/self_signed.h"
#include "token-daemon/acquire.h"
#include "token-daemon/hardening.h"
#include "token-daemon/http.h"
#include "token-daemon/signer.h"

#define GUARD_S 30 /* for a loop that would never end */

#define TOKEN                                      \
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" \
    "{\"token_type\":\"Bearer\",\"access_token\":\"abc\",\"expires_in\":3599}"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
char *__wrap_strdup(const char *text);

static long left = -1; /* allocations until one fails; negative: none does */
static bool has_failed;

static bool
must_fail(void)
{
    if (left < 0 || left-- > 0)
        return false;
    has_failed = true;
    errno = ENOMEM;
    return true;
}

void *
__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __real_calloc(count, size);
}

char *
__wrap_strdup(const char *text)
{
    return must_fail() ? NULL : __real_strdup(text);
}

static struct event_base *base;
static pid_t server_pid;
static char token_url[64];
static char secret_path[256];
static char certificate_path[256];
static char ref_text[] = "file:...";
static char name[] = "contoso";
static struct config_ref secret;
static struct config_credential credential;
static struct config config;

static struct {
    unsigned calls;
    enum problem problem;
    bool has_token;
} got;

static void
on_done(struct acquire_result *result, void *arg)
{
    (void)arg;
    got.calls++;
    got.problem = result->problem;
    got.has_token = result->token.access != NULL;
    (void)event_base_loopbreak(base);
}

/* One attempt, from a new `struct http` on. False when it could not begin. */
static bool
attempt(void)
{
    const struct timeval guard = {.tv_sec = GUARD_S};
    const struct acquire_request request = {.config = &config,
                                            .credential = &credential};
    struct acquire_context context = {.base = base, .wall = clock_wall};
    struct acquire *acquire = NULL;
    struct err err = {ERR_NONE, ""};

    memset(&got, 0, sizeof(got));
    context.http = http_new(base, &err);
    if (context.http == NULL) {
        assert_int_equal(err.code, ERR_SYSTEM);
        return false;
    }
    context.signer = signer_new(base, &err);
    if (context.signer != NULL)
        acquire = acquire_start(&context, &request, on_done, NULL);
    if (acquire != NULL) {
        (void)event_base_loopexit(base, &guard);
        (void)event_base_dispatch(base);
        assert_int_equal(got.calls, 1);
    }
    signer_free(&context.signer);
    http_free(&context.http);
    return acquire != NULL;
}

/* Until an attempt needs fewer allocations than are granted. */
static void
try_each(void)
{
    long failures = 0;

    for (long n = 0;; n++) {
        bool has_begun;

        has_failed = false;
        left = n;
        has_begun = attempt();
        left = -1;
        assert_int_equal(config.reference_count, 1);
        if (!has_failed) {
            assert_true(has_begun && got.has_token);
            break;
        }
        if (!has_begun || !got.has_token) {
            failures++;
            assert_true(!has_begun || got.problem != PROBLEM_NONE);
            /* A shortage here is never blamed on the secret or on a login. */
            assert_int_not_equal(got.problem, PROBLEM_BAD_SECRET);
            assert_int_not_equal(got.problem, PROBLEM_NEEDS_LOGIN);
        }
    }
    assert_true(failures > 50);
}

static void
configure(void)
{
    credential = (struct config_credential){
        .name = name,
        .provider = CONFIG_PROVIDER_CUSTOM,
        .client_id = name,
        .token_url = token_url,
    };
    config = (struct config){.credentials = &credential,
                             .credential_count = 1,
                             .reference_count = 1};
}

static void
with_a_secret(void **state)
{
    (void)state;
    configure();
    secret = (struct config_ref){CONFIG_REF_FILE, NULL, ref_text, secret_path};
    credential.client_secrets = &secret;
    credential.client_secret_count = 1;
    try_each();
}

static void
with_a_certificate(void **state)
{
    (void)state;
    configure();
    credential.certificate =
        (struct config_ref){CONFIG_REF_FILE, NULL, ref_text, certificate_path};
    try_each();
}

/* The child: serve until killed. Tells its port through the pipe. */
static void
serve(int fd)
{
    static const struct scripted_step step = {TOKEN, SCRIPTED_CLOSE};
    struct event_base *own = event_base_new();
    struct scripted_server *server = scripted_server_new(own, &step, 1);
    int port = scripted_server_port(server);

    if (write(fd, &port, sizeof(port)) == sizeof(port))
        (void)event_base_dispatch(own);
    _exit(0);
}

static int
set_up(void **state)
{
    struct self_signed pair;
    int pipe_fds[2];
    int port = 0;

    if (scratch_set_up(state) < 0)
        return -1;
    json_set_alloc_funcs(hardening_malloc, hardening_free);
    self_signed_init(&pair, EVP_PKEY_RSA, 2048, 30);
    scratch_write("both.pem", pair.both_pem, strlen(pair.both_pem), 0600);
    scratch_write("secret", "abc", 3, 0600);
    self_signed_clear(&pair);
    (void)snprintf(certificate_path, sizeof(certificate_path), "%s",
                   scratch_path("both.pem"));
    (void)snprintf(secret_path, sizeof(secret_path), "%s",
                   scratch_path("secret"));

    if (pipe(pipe_fds) < 0)
        return -1;
    server_pid = fork();
    if (server_pid == 0)
        serve(pipe_fds[1]);
    (void)close(pipe_fds[1]);
    if (server_pid < 0 ||
        read(pipe_fds[0], &port, sizeof(port)) != sizeof(port))
        return -1;
    (void)close(pipe_fds[0]);
    (void)snprintf(token_url, sizeof(token_url), "http://127.0.0.1:%d/token",
                   port);
    base = event_base_new();
    return base != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    event_base_free(base);
    if (kill(server_pid, SIGKILL) < 0 ||
        waitpid(server_pid, NULL, 0) != server_pid)
        return -1;
    return scratch_tear_down(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_a_secret),
        cmocka_unit_test(with_a_certificate),
    };

    return cmocka_run_group_tests_name("acquire_alloc", tests, set_up,
                                       tear_down);
}
