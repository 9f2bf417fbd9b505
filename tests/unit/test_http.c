/* Requests by the real curl, against a server in the same event loop. */
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

#include "common/buf.h"
#include "common/util.h"
#include "tests/unit/scripted_server.h"
#include "token-daemon/http.h"

#define GUARD_S 30 /* for a loop that would never end */
#define SHORT   80 /* ms; for an answer that never comes */

static struct event_base *base;
static struct http *http;

/* What the last callback said. */
static struct {
    unsigned calls;
    unsigned left; /* the loop ends after that many */
    struct http_answer answer;
    char *body;
    struct http_call *victim; /* to be cancelled by the callback */
} got;

static void
on_done(const struct http_answer *answer, void *arg)
{
    assert_ptr_equal(arg, &got);
    got.calls++;
    got.answer = *answer;
    free(got.body);
    got.body = answer->body != NULL ? strndup(answer->body, answer->body_len)
                                    : strdup("");
    http_cancel(&got.victim);
    if (--got.left == 0)
        (void)event_base_loopbreak(base);
}

static void
expect(unsigned calls)
{
    free(got.body);
    memset(&got, 0, sizeof(got));
    got.left = calls;
}

static void
run(void)
{
    const struct timeval guard = {.tv_sec = GUARD_S};

    (void)event_base_loopexit(base, &guard);
    (void)event_base_dispatch(base);
}

static struct http_call *
start(const struct http_request *request)
{
    struct err err = {ERR_NONE, ""};
    unsigned calls = got.calls;
    struct http_call *call = http_start(http, request, on_done, &got, &err);

    assert_non_null(call);
    assert_int_equal(got.calls, calls); /* never from within */
    return call;
}

static const char *
url_of(const struct scripted_server *server)
{
    static char url[64];

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/token?a=b",
                   scripted_server_port(server));
    return url;
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void
a_post_is_what_it_says(void **state)
{
    const struct scripted_step steps[] = {{OK, SCRIPTED_KEEP}};
    struct scripted_server *server =
        scripted_server_new(base, steps, ARRAY_LEN(steps));
    const char *const headers[] = {"Metadata: true", NULL};
    char body[] = "x=1&y=2";
    const struct http_request request = {
        .url = url_of(server), .headers = headers, .body = body, .body_len = 7};
    const char *text;

    (void)state;
    expect(1);
    (void)start(&request);
    memset(body, '-', 7); /* it was copied */
    run();
    assert_int_equal(got.calls, 1);
    assert_int_equal(got.answer.err.code, ERR_NONE);
    assert_int_equal(got.answer.status, 200);
    assert_string_equal(got.body, "ok");
    assert_string_equal(got.answer.retry_after, "");
    assert_string_equal(got.answer.date, "");

    text = scripted_server_request(server, 0);
    assert_memory_equal(text, "POST /token?a=b HTTP/1.1\r\n", 26);
    assert_non_null(strstr(text, "\r\nMetadata: true\r\n"));
    assert_non_null(strstr(text, "\r\nAccept: application/json\r\n"));
    assert_non_null(strstr(
        text, "\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
    assert_null(strstr(text, "Expect:"));
    assert_non_null(strstr(text, "\r\n\r\nx=1&y=2"));
    scripted_server_free(&server);
}

static void
without_a_body_it_is_a_get(void **state)
{
    const struct scripted_step steps[] = {{OK, SCRIPTED_KEEP}};
    struct scripted_server *server =
        scripted_server_new(base, steps, ARRAY_LEN(steps));
    const struct http_request request = {.url = url_of(server)};

    (void)state;
    expect(1);
    (void)start(&request);
    run();
    assert_int_equal(got.answer.status, 200);
    assert_memory_equal(scripted_server_request(server, 0), "GET /token", 10);
    scripted_server_free(&server);
}

static void
connections_are_used_again(void **state)
{
    const struct scripted_step steps[] = {{OK, SCRIPTED_KEEP}};
    struct scripted_server *server =
        scripted_server_new(base, steps, ARRAY_LEN(steps));
    const struct http_request request = {.url = url_of(server)};

    (void)state;
    for (int i = 0; i < 5; i++) {
        expect(1);
        (void)start(&request);
        run();
        assert_int_equal(got.answer.status, 200);
    }
    assert_int_equal(scripted_server_requests(server), 5);
    assert_int_equal(scripted_server_connections(server), 1);
    scripted_server_free(&server);
}

/* A server that closes a kept connection when the next request has come. */
static const struct scripted_step closing[] = {
    {OK, SCRIPTED_KEEP}, {NULL, SCRIPTED_RESET}, {OK, SCRIPTED_KEEP}};

static void
post(struct scripted_server *server, bool is_single_use)
{
    const struct http_request request = {.url = url_of(server),
                                         .body = "a=b",
                                         .body_len = 3,
                                         .is_single_use = is_single_use};

    expect(1);
    (void)start(&request);
    run();
}

/* What the next test is about: curl does this by itself. */
static void
what_may_be_repeated_is(void **state)
{
    struct scripted_server *server =
        scripted_server_new(base, closing, ARRAY_LEN(closing));

    (void)state;
    post(server, false);
    post(server, false);
    assert_int_equal(got.answer.status, 200);
    assert_int_equal(scripted_server_requests(server), 3);
    scripted_server_free(&server);
}

static void
what_counts_once_is_sent_once(void **state)
{
    struct scripted_server *server =
        scripted_server_new(base, closing, ARRAY_LEN(closing));

    (void)state;
    post(server, true);
    assert_int_equal(got.answer.status, 200);
    post(server, true);
    assert_int_equal(got.answer.status, 0);
    assert_int_equal(got.answer.err.code, ERR_RETRY);
    assert_int_equal(scripted_server_requests(server), 2);
    assert_int_equal(scripted_server_connections(server), 2);
    /* Nor on a connection that something else has left behind. */
    post(server, false);
    assert_int_equal(got.answer.status, 200);
    post(server, true);
    assert_int_equal(got.answer.status, 200);
    assert_int_equal(scripted_server_requests(server), 4);
    assert_int_equal(scripted_server_connections(server), 4);
    scripted_server_free(&server);
}

/* A proxy of the environment would see the body. */
static void
the_environment_names_no_proxy(void **state)
{
    const struct scripted_step steps[] = {{OK, SCRIPTED_KEEP}};
    const struct scripted_step none[] = {{NULL, SCRIPTED_RESET}};
    struct scripted_server *server =
        scripted_server_new(base, steps, ARRAY_LEN(steps));
    struct scripted_server *proxy =
        scripted_server_new(base, none, ARRAY_LEN(none));
    char variable[64];
    char *environment[] = {variable, NULL};
    char **usual = environ;
    char url[64];
    struct http_request request = {.url = url_of(server)};

    (void)state;
    (void)snprintf(variable, sizeof(variable), "http_proxy=http://127.0.0.1:%d",
                   scripted_server_port(proxy));
    environ = environment;
    expect(1);
    (void)start(&request);
    run();
    assert_int_equal(got.answer.status, 200);
    environ = usual;

    /* Nor is a configured one used for this host. */
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d",
                   scripted_server_port(proxy));
    request.proxy = url;
    expect(1);
    (void)start(&request);
    run();
    assert_int_equal(got.answer.status, 200);
    assert_int_equal(scripted_server_connections(proxy), 0);
    scripted_server_free(&proxy);
    scripted_server_free(&server);
}

static void
a_configured_proxy_is_used_for_others(void **state)
{
    const struct scripted_step steps[] = {
        {"HTTP/1.1 407 Proxy Authentication Required\r\n"
         "Content-Length: 0\r\n\r\n",
         SCRIPTED_CLOSE}};
    struct scripted_server *proxy =
        scripted_server_new(base, steps, ARRAY_LEN(steps));
    char url[64];
    const struct http_request request = {.url =
                                             "https://login.example.org/token",
                                         .body = "secret=PLANTED",
                                         .body_len = 14,
                                         .proxy = url};

    (void)state;
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d",
                   scripted_server_port(proxy));
    expect(1);
    (void)start(&request);
    run();
    assert_int_equal(got.answer.err.code, ERR_RETRY);
    assert_int_equal(got.answer.status, 0);
    assert_memory_equal(scripted_server_request(proxy, 0),
                        "CONNECT login.example.org:443 HTTP/1.1", 38);
    assert_null(strstr(scripted_server_request(proxy, 0), "PLANTED"));
    scripted_server_free(&proxy);
}

struct answer_row {
    const char *name;
    struct scripted_step step;
    enum err_code want_code;
    int want_status;
    const char *want_retry_after; /* NULL: none */
    const char *want_date;
};

static struct answer_row answer_rows[] = {
    {.name = "an error status is an answer",
     .step = {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", SCRIPTED_KEEP},
     .want_status = 503},
    {.name = "headers of time, in any case, with blanks around",
     .step = {"HTTP/1.1 429 Slow\r\nretry-AFTER: \t 17 \r\n"
              "DATE:Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n",
              SCRIPTED_KEEP},
     .want_status = 429,
     .want_retry_after = "17",
     .want_date = "Sun, 06 Nov 1994 08:49:37 GMT"},
    {.name = "headers with a longer name are others",
     .step = {"HTTP/1.1 429 Slow\r\nRetry-After-All: 17\r\nX-Date: x\r\n"
              "Content-Length: 0\r\n\r\n",
              SCRIPTED_KEEP},
     .want_status = 429},
    {.name = "a header too long to be one is left out",
     .step = {"HTTP/1.1 429 Slow\r\nRetry-After: "
              "0000000000000000000000000000000000000000000000000000000000000000"
              "0000000000000000000000000000000000000000000000000000000000000001"
              "\r\nContent-Length: 0\r\n\r\n",
              SCRIPTED_KEEP},
     .want_status = 429},
    {.name = "what came before the final answer does not count",
     .step = {"HTTP/1.1 100 Continue\r\nRetry-After: 99\r\n\r\n"
              "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
              SCRIPTED_KEEP},
     .want_status = 200},
    {.name = "a redirect is an answer and not followed",
     .step = {"HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\n"
              "Content-Length: 0\r\n\r\n",
              SCRIPTED_KEEP},
     .want_status = 307},
    {.name = "an answer without a length ends with the connection",
     .step = {"HTTP/1.0 200 OK\r\n\r\nok", SCRIPTED_CLOSE},
     .want_status = 200},
    {.name = "a reset", .step = {NULL, SCRIPTED_RESET}, .want_code = ERR_RETRY},
    {.name = "closed without an answer",
     .step = {NULL, SCRIPTED_CLOSE},
     .want_code = ERR_RETRY},
    {.name = "closed in the middle of the body",
     .step = {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nPLANTED",
              SCRIPTED_CLOSE},
     .want_code = ERR_RETRY},
    {.name = "no answer in time",
     .step = {NULL, SCRIPTED_HANG},
     .want_code = ERR_RETRY},
    {.name = "a part of an answer in time",
     .step = {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nPLANTED",
              SCRIPTED_HANG},
     .want_code = ERR_RETRY},
    {.name = "no HTTP at all",
     .step = {"220 mail.example.org ESMTP PLANTED\r\n", SCRIPTED_CLOSE},
     .want_code = ERR_PROTO},
    {.name = "a length that is none",
     .step = {"HTTP/1.1 200 OK\r\nContent-Length: PLANTED\r\n\r\n",
              SCRIPTED_CLOSE},
     .want_code = ERR_PROTO},
};

static void
check_answer(void **state)
{
    const struct answer_row *row = *state;
    struct scripted_server *server = scripted_server_new(base, &row->step, 1);
    const struct http_request request = {
        .url = url_of(server),
        .body = "secret=PLANTED",
        .body_len = 14,
        .timeout_ms = row->step.then == SCRIPTED_HANG ? SHORT : 0};

    expect(1);
    (void)start(&request);
    run();
    assert_int_equal(got.calls, 1);
    assert_int_equal(got.answer.err.code, row->want_code);
    assert_int_equal(got.answer.status, row->want_status);
    assert_null(strstr(got.answer.err.text, "PLANTED"));
    assert_null(strstr(got.answer.err.text, "a=b"));
    assert_string_equal(got.answer.retry_after, row->want_retry_after != NULL
                                                    ? row->want_retry_after
                                                    : "");
    assert_string_equal(got.answer.date,
                        row->want_date != NULL ? row->want_date : "");
    assert_int_equal(scripted_server_requests(server), 1);
    scripted_server_free(&server);
}

/* An answer whose body and headers are about that long. */
static void
append_long_answer(struct buf *out, size_t body, size_t headers)
{
    static const char filler[995] = {0};
    size_t at;

    buf_append_str(out, "HTTP/1.1 200 OK\r\nContent-Length: ");
    buf_append_int(out, (int64_t)body);
    buf_append_str(out, "\r\n");
    for (size_t i = 0; i < headers; i += 1000) {
        buf_append_str(out, "X: ");
        at = out->len;
        buf_append(out, filler, sizeof(filler));
        memset(out->data + at, 'x', sizeof(filler));
        buf_append_str(out, "\r\n");
    }
    buf_append_str(out, "\r\n");
    for (size_t i = 0; i < body; i++)
        buf_append_char(out, 'x');
    assert_false(buf_failed(out));
}

static void
check_length(size_t body, size_t headers, enum err_code want)
{
    struct scripted_step step = {NULL, SCRIPTED_KEEP};
    struct scripted_server *server;
    struct http_request request = {.url = NULL};
    struct buf text;

    buf_init(&text, body + headers + 1000);
    append_long_answer(&text, body, headers);
    step.answer = buf_str(&text);
    server = scripted_server_new(base, &step, 1);
    request.url = url_of(server);
    expect(1);
    (void)start(&request);
    run();
    assert_int_equal(got.answer.err.code, want);
    if (want == ERR_NONE)
        assert_int_equal(strlen(got.body), body);
    scripted_server_free(&server);
    buf_clear(&text);
}

static void
answers_are_capped(void **state)
{
    (void)state;
    check_length(HTTP_BODY_MAX, 0, ERR_NONE);
    check_length(HTTP_BODY_MAX + 1, 0, ERR_PROTO);
    check_length(10, 60000, ERR_NONE);
    check_length(10, 70000, ERR_PROTO);
}

static void
nobody_listens(void **state)
{
    const struct scripted_step step = {OK, SCRIPTED_KEEP};
    struct scripted_server *server = scripted_server_new(base, &step, 1);
    const struct http_request request = {.url = url_of(server)};

    (void)state;
    (void)request.url;
    scripted_server_free(&server); /* the port is nobody's now */
    expect(1);
    (void)start(&request);
    run();
    assert_int_equal(got.answer.err.code, ERR_RETRY);
    assert_non_null(strstr(got.answer.err.text, "no answer from 127.0.0.1"));
}

/* A server that speaks no TLS, asked for HTTPS. */
static void
plain_text_where_tls_is_due_is_no_answer(void **state)
{
    const struct scripted_step step = {OK, SCRIPTED_KEEP};
    struct scripted_server *server = scripted_server_new(base, &step, 1);
    char url[64];
    const struct http_request request = {.url = url, .timeout_ms = SHORT};

    (void)state;
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%d/",
                   scripted_server_port(server));
    expect(1);
    (void)start(&request);
    run();
    assert_int_equal(got.answer.err.code, ERR_RETRY);
    assert_int_equal(scripted_server_requests(server), 0);
    scripted_server_free(&server);
}

static void
a_missing_ca_file_is_the_administrators(void **state)
{
    const struct scripted_step step = {OK, SCRIPTED_KEEP};
    struct scripted_server *server = scripted_server_new(base, &step, 1);
    struct err err = {ERR_NONE, ""};
    char url[64];
    const struct http_request request = {.url = url,
                                         .ca_file = "/nonexistent/ca.pem"};

    (void)state;
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%d/",
                   scripted_server_port(server));
    expect(1);
    (void)err;
    (void)start(&request);
    run();
    assert_int_equal(got.answer.err.code, ERR_CONFIG);
    scripted_server_free(&server);
}

struct url_row {
    const char *name;
    const char *url;
    bool is_good;
};

static struct url_row url_rows[] = {
    {"https", "https://login.example.org/token", true},
    {"https in capitals", "HTTPS://login.example.org/token", true},
    {"http to this host", "http://127.0.0.1:1/token", true},
    {"http to this host by name", "http://localhost:1/token", true},
    {"http to this host, IPv6", "http://[::1]:1/token", true},
    {"http to another address of this host", "http://127.1.2.3:1/", true},
    {"http to the metadata service", "http://169.254.169.254/metadata", true},
    {"http to others", "http://login.example.org/token", false},
    {"http to a name that begins like this host",
     "http://127.0.0.1.example.org/", false},
    {"http to a name that ends like this host", "http://xlocalhost/", false},
    {"http to a neighbour of the metadata service", "http://169.254.169.253/",
     false},
    {"a user in the URL hides the host", "http://127.0.0.1@example.org/",
     false},
    {"a password in the URL", "https://user:pass@login.example.org/", false},
    {"file", "file:///etc/passwd", false},
    {"ftp to this host", "ftp://127.0.0.1/", false},
    {"no scheme", "login.example.org/token", false},
    {"empty", "", false},
    {"a blank in it", "https://login.example.org/a b", false},
    {"a line break in it", "https://login.example.org/\r\nX: y", false},
};

static void
check_url(void **state)
{
    const struct url_row *row = *state;
    const struct http_request request = {.url = row->url};
    struct err err = {ERR_NONE, ""};
    struct http_call *call = http_start(http, &request, on_done, &got, &err);

    if (row->is_good) {
        assert_non_null(call);
        http_cancel(&call); /* nothing is sent before the loop runs */
        assert_null(call);
        return;
    }
    assert_null(call);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_null(strstr(err.text, "pass@"));
}

static void
calls_can_be_cancelled_at_any_time(void **state)
{
    const struct scripted_step steps[] = {{OK, SCRIPTED_KEEP},
                                          {NULL, SCRIPTED_HANG}};
    struct scripted_server *server =
        scripted_server_new(base, steps, ARRAY_LEN(steps));
    const struct http_request request = {.url = url_of(server)};
    struct http_call *call;

    (void)state;
    /* Before anything was sent. */
    expect(1);
    call = start(&request);
    http_cancel(&call);
    http_cancel(&call);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(got.calls, 0);

    /* By the callback of another, while it waits for its answer. */
    (void)start(&request);
    got.victim = start(&request);
    run();
    assert_int_equal(got.calls, 1);
    assert_null(got.victim);
    assert_int_equal(got.answer.status, 200);
    scripted_server_free(&server);
}

static void
freeing_ends_what_is_running(void **state)
{
    const struct scripted_step steps[] = {{NULL, SCRIPTED_HANG}};
    struct scripted_server *server =
        scripted_server_new(base, steps, ARRAY_LEN(steps));
    const struct http_request request = {.url = url_of(server)};
    struct err err = {ERR_NONE, ""};

    (void)state;
    expect(1);
    for (int i = 0; i < 3; i++)
        (void)start(&request);
    while (scripted_server_requests(server) < 3)
        assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
    http_free(&http);
    assert_null(http);
    assert_int_equal(got.calls, 0);
    http_free(&http);
    scripted_server_free(&server);
    http = http_new(base, &err);
    assert_non_null(http);
}

static int
set_up(void **state)
{
    struct err err = {ERR_NONE, ""};

    (void)state;
    base = event_base_new();
    if (base == NULL)
        return -1;
    http = http_new(base, &err);
    return http != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    free(got.body);
    http_free(&http);
    event_base_free(base);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(a_post_is_what_it_says),
        cmocka_unit_test(without_a_body_it_is_a_get),
        cmocka_unit_test(connections_are_used_again),
        cmocka_unit_test(what_may_be_repeated_is),
        cmocka_unit_test(what_counts_once_is_sent_once),
        cmocka_unit_test(the_environment_names_no_proxy),
        cmocka_unit_test(a_configured_proxy_is_used_for_others),
        cmocka_unit_test(answers_are_capped),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(plain_text_where_tls_is_due_is_no_answer),
        cmocka_unit_test(a_missing_ca_file_is_the_administrators),
        cmocka_unit_test(calls_can_be_cancelled_at_any_time),
        cmocka_unit_test(freeing_ends_what_is_running),
    };
    struct CMUnitTest
        tests[ARRAY_LEN(answer_rows) + ARRAY_LEN(url_rows) + ARRAY_LEN(others)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(answer_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = answer_rows[i].name,
                                         .test_func = check_answer,
                                         .initial_state = &answer_rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(url_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = url_rows[i].name,
                                         .test_func = check_url,
                                         .initial_state = &url_rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests_name("http", tests, set_up, tear_down);
}
