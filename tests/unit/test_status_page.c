/*
 * The status page over real sockets: a row is a request as it is on the wire,
 * and what the answer must and must not hold.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/exposition.h"
#include "common/status_page.h"
#include "common/util.h"

#define GUARD_S    30 /* for a loop that would never end */
#define LIFE_MS    60000
#define SHORT_MS   300
#define ANSWER_MAX 65536

static struct event_base *base;
static struct status_page *page;
static int listener = -1;
static bool is_healthy;
static char answer[ANSWER_MAX];

/* ---- What the page shows ---- */

static bool
show_metrics(struct buf *out, void *arg)
{
    assert_ptr_equal(arg, answer);
    buf_append_str(out, "xoauth2_waiters 7\n");
    return true;
}

static bool
show_health(struct buf *out, void *arg)
{
    assert_ptr_equal(arg, answer);
    buf_append_str(out, is_healthy ? "all is well\n" : "contoso has none\n");
    return is_healthy;
}

static bool
show_status(struct buf *out, void *arg)
{
    assert_ptr_equal(arg, answer);
    buf_append_str(out, "{\"version\":1,\"ok\":true}\n");
    return true;
}

static bool
show_page(struct buf *out, void *arg)
{
    assert_ptr_equal(arg, answer);
    buf_append_str(out, "<!DOCTYPE html>\n");
    return true;
}

/* More than there may be. */
static bool
show_too_much(struct buf *out, void *arg)
{
    assert_ptr_equal(arg, answer);
    out->failed = true;
    return true;
}

static const struct status_page_route routes[] = {
    {"/", STATUS_PAGE_HTML, show_page},
    {"/status.json", STATUS_PAGE_JSON, show_status},
    {"/metrics", EXPOSITION_CONTENT_TYPE, show_metrics},
    {"/healthz", STATUS_PAGE_TEXT, show_health},
    {"/much", STATUS_PAGE_TEXT, show_too_much},
};

/* ---- Sockets ---- */

static int
listen_on(const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, address, len), 0);
    assert_int_equal(listen(fd, 100), 0);
    return fd;
}

static int
connect_to_page(void)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    int fd;

    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len),
                     0);
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    /* The backlog takes it; nobody needs to accept it yet. */
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void
on_data(evutil_socket_t fd, short what, void *arg)
{
    size_t *len = arg;
    ssize_t n = recv(fd, answer + *len, sizeof(answer) - 1 - *len, 0);

    (void)what;
    if (n > 0)
        *len += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        (void)event_base_loopbreak(base);
}

/* What comes until the page closes the connection. */
static void
read_to_end(int fd)
{
    struct timeval guard = {.tv_sec = GUARD_S};
    size_t len = 0;
    struct event *event =
        event_new(base, fd, EV_READ | EV_PERSIST, on_data, &len);

    assert_int_equal(event_add(event, NULL), 0);
    (void)event_base_loopexit(base, &guard);
    (void)event_base_dispatch(base);
    assert_true(event_base_got_break(base));
    answer[len] = '\0';
    event_free(event);
    assert_int_equal(close(fd), 0);
}

static void
ask(const char *request)
{
    int fd = connect_to_page();

    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL),
                     strlen(request));
    read_to_end(fd);
}

/* Let the page do what it can do now. */
static void
turn(void)
{
    for (int i = 0; i < 10; i++)
        (void)event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
wait_for_connections(size_t count)
{
    struct timeval guard = {.tv_sec = GUARD_S};

    (void)event_base_loopexit(base, &guard);
    while (status_page_connections(page) != count && !event_base_got_exit(base))
        (void)event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(status_page_connections(page), count);
}

static void
serve(int life_ms, int request_ms)
{
    page = status_page_new(base, &(struct status_page_settings){
                                     .fd = listener,
                                     .routes = routes,
                                     .route_count = ARRAY_LEN(routes),
                                     .arg = answer,
                                     .life_ms = life_ms,
                                     .request_ms = request_ms,
                                 });
    assert_non_null(page);
}

static int
set_up_tcp(void **state)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};

    (void)state;
    is_healthy = true;
    base = event_base_new();
    listener = listen_on((const struct sockaddr *)&address, sizeof(address));
    serve(LIFE_MS, LIFE_MS);
    return 0;
}

static int
set_up_unix(void **state)
{
    /* A name of the kernel's own choice, in no directory. */
    const struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)state;
    is_healthy = true;
    base = event_base_new();
    listener = listen_on((const struct sockaddr *)&address,
                         sizeof(address.sun_family));
    serve(LIFE_MS, LIFE_MS);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    status_page_free(&page);
    status_page_free(&page);
    turn();
    event_base_free(base);
    assert_int_equal(close(listener), 0); /* borrowed: still ours */
    return 0;
}

/* ---- Requests ---- */

#define GET(path, host) \
    "GET " path " HTTP/1.1\r\nHost: " host "\r\nConnection: close\r\n\r\n"
#define DO(method, rest)                                                      \
    method                                                                    \
        " /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" rest \
        "\r\n"

struct row {
    const char *name;
    const char *request;
    bool is_ill;
    const char *want;     /* how the answer begins */
    const char *want_too; /* what is in it; NULL: anything */
    const char *want_not; /* what is not; NULL: anything */
};

static struct row rows[] = {
    {.name = "metrics",
     .request = GET("/metrics", "127.0.0.1:9717"),
     .want = "HTTP/1.1 200 OK\r\n",
     .want_too = "\r\n\r\nxoauth2_waiters 7\n"},
    {.name = "metrics have the type of their format",
     .request = GET("/metrics", "localhost"),
     .want = "HTTP/1.1 200 OK\r\n",
     .want_too = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"},
    {.name = "a query changes nothing",
     .request = GET("/metrics?name[]=x", "localhost:9717"),
     .want = "HTTP/1.1 200 OK\r\n",
     .want_too = "xoauth2_waiters"},
    {.name = "the status as JSON",
     .request = GET("/status.json", "[::1]:9717"),
     .want = "HTTP/1.1 200 OK\r\n",
     .want_too = "\r\n\r\n{\"version\":1,\"ok\":true}\n"},
    {.name = "the status is of type JSON",
     .request = GET("/status.json", "127.8.8.8"),
     .want = "HTTP/1.1 200 OK\r\n",
     .want_too = "Content-Type: application/json\r\n"},
    {.name = "a page for a person",
     .request = GET("/", "LocalHost"),
     .want = "HTTP/1.1 200 OK\r\n",
     .want_too = "\r\n\r\n<!DOCTYPE html>"},
    {.name = "a page is of type HTML",
     .request = GET("/", "LocalHost"),
     .want = "HTTP/1.1 200 OK\r\n",
     .want_too = "Content-Type: text/html; charset=utf-8\r\n"},
    {.name = "the page may load and run nothing",
     .request = GET("/", "localhost"),
     .want = "HTTP/1.1 200 OK\r\n",
     .want_too = "Content-Security-Policy: default-src 'none';"},
    {.name = "healthy",
     .request = GET("/healthz", "localhost"),
     .want = "HTTP/1.1 200 OK\r\n",
     .want_too = "\r\n\r\nall is well\n"},
    {.name = "not healthy",
     .request = GET("/healthz", "localhost"),
     .is_ill = true,
     .want = "HTTP/1.1 503 Service Unavailable\r\n",
     .want_too = "\r\n\r\ncontoso has none\n"},
    {.name = "nothing may be kept",
     .request = GET("/healthz", "localhost"),
     .want = "HTTP/1.1 200 OK\r\n",
     .want_too = "Cache-Control: no-store\r\n"},
    {.name = "another path",
     .request = GET("/etc/passwd", "localhost"),
     .want = "HTTP/1.1 404 ",
     .want_too = "there are /, /status.json, /metrics, /healthz, /much\n"},
    {.name = "an answer that can't be made",
     .request = GET("/much", "localhost"),
     .want = "HTTP/1.1 500 "},
    {.name = "a path that leads about",
     .request = GET("/x/../metrics", "localhost"),
     .want = "HTTP/1.1 404 "},
    {.name = "a name that somebody else made lead here",
     .request = GET("/metrics", "evil.example"),
     .want = "HTTP/1.1 421 ",
     .want_not = "xoauth2_"},
    {.name = "a name that begins well",
     .request = GET("/metrics", "localhost.evil.example"),
     .want = "HTTP/1.1 421 ",
     .want_not = "xoauth2_"},
    {.name = "an address of the network",
     .request = GET("/metrics", "10.0.0.1:9717"),
     .want = "HTTP/1.1 421 ",
     .want_not = "xoauth2_"},
    {.name = "no name at all",
     .request = "GET /metrics HTTP/1.0\r\n\r\n",
     .want = "HTTP/1.0 421 ",
     .want_not = "xoauth2_"},
    {.name = "another name in the target itself",
     .request = GET("http://evil.example/metrics", "localhost"),
     .want = "HTTP/1.1 421 ",
     .want_not = "xoauth2_"},
    {.name = "HEAD has the length of what it does not send",
     .request = DO("HEAD", ""),
     .want = "HTTP/1.1 200 OK\r\n",
     .want_too = "Content-Length: 18\r\n",
     .want_not = "xoauth2_"},
    {.name = "POST",
     .request = DO("POST", "Content-Length: 0\r\n"),
     .want = "HTTP/1.1 405 ",
     .want_too = "Allow: GET, HEAD\r\n",
     .want_not = "xoauth2_"},
    {.name = "PUT",
     .request = DO("PUT", "Content-Length: 0\r\n"),
     .want = "HTTP/1.1 405 "},
    {.name = "DELETE", .request = DO("DELETE", ""), .want = "HTTP/1.1 405 "},
    {.name = "OPTIONS", .request = DO("OPTIONS", ""), .want = "HTTP/1.1 405 "},
    {.name = "TRACE",
     .request = DO("TRACE", ""),
     .want = "HTTP/1.1 405 ",
     .want_not = "TRACE"},
    {.name = "a body",
     .request = DO("POST", "Content-Length: 5\r\n") "hello",
     .want = "HTTP/1.1 413 ",
     .want_not = "xoauth2_"},
    {.name = "a method that there is not",
     .request = DO("BREW", ""),
     .want = "HTTP/1.1 501 ",
     .want_not = "xoauth2_"},
    {.name = "no request",
     .request = "hello\r\n\r\n",
     .want = "HTTP/1.1 400 ",
     .want_not = "xoauth2_"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;

    is_healthy = !row->is_ill;
    ask(row->request);
    if (strncmp(answer, row->want, strlen(row->want)) != 0 ||
        (row->want_too != NULL && strstr(answer, row->want_too) == NULL))
        print_error("%s\n", answer);
    assert_memory_equal(answer, row->want, strlen(row->want));
    if (row->want_too != NULL)
        assert_non_null(strstr(answer, row->want_too));
    if (row->want_not != NULL)
        assert_null(strstr(answer, row->want_not));
}

static void
headers_have_an_end(void **state)
{
    static char request[2 * STATUS_PAGE_HEADERS_MAX];
    int used = snprintf(request, sizeof(request),
                        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ");

    (void)state;
    memset(request + used, 'x', sizeof(request) - (size_t)used - 1);
    ask(request);
    assert_null(strstr(answer, "xoauth2_"));
    assert_null(strstr(answer, "200 OK"));
}

static void
any_name_will_do_on_a_unix_socket(void **state)
{
    (void)state;
    ask(GET("/metrics", "relay.example.com"));
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    ask("GET /metrics HTTP/1.0\r\n\r\n");
    assert_memory_equal(answer, "HTTP/1.0 200 OK\r\n", 17);
}

static void
one_connection_takes_many_requests(void **state)
{
    (void)state;
    ask("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" GET("/metrics",
                                                               "localhost"));
    assert_non_null(strstr(answer, "all is well"));
    assert_non_null(strstr(answer, "xoauth2_waiters 7"));
}

static void
connections_are_bounded_and_the_rest_waits(void **state)
{
    int fds[STATUS_PAGE_CONNECTIONS_MAX + 10];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = connect_to_page();
    wait_for_connections(STATUS_PAGE_CONNECTIONS_MAX);
    turn();
    assert_int_equal(status_page_connections(page),
                     STATUS_PAGE_CONNECTIONS_MAX);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        assert_int_equal(close(fds[i]), 0);
    /* They end, so there is room again. */
    ask(GET("/healthz", "localhost"));
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    wait_for_connections(0);
}

static void
a_connection_that_says_nothing_ends(void **state)
{
    (void)state;
    status_page_free(&page);
    turn();
    serve(SHORT_MS, LIFE_MS);
    read_to_end(connect_to_page());
    assert_string_equal(answer, "");
    wait_for_connections(0);
}

/* Somebody dribbles: its time for one request is over before its life. */
static void
a_request_that_never_gets_whole_ends(void **state)
{
    int fd;

    (void)state;
    status_page_free(&page);
    turn();
    serve(LIFE_MS, SHORT_MS);
    fd = connect_to_page();
    assert_int_equal(send(fd, "GET /", 5, MSG_NOSIGNAL), 5);
    read_to_end(fd);
    assert_string_equal(answer, "");
    wait_for_connections(0);
}

static void
wait_for_end_of(int fd)
{
    struct timeval guard = {.tv_sec = GUARD_S};
    char byte;

    (void)event_base_loopexit(base, &guard);
    while (recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && !event_base_got_exit(base))
        (void)event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

/* Who holds connections half open keeps nobody out. */
static void
half_open_ones_make_room_for_who_asks(void **state)
{
    static const char half[] = "GET /metrics HTTP/1.1\r\nHost: loc";
    int fds[200];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = connect_to_page();
        assert_int_equal(send(fds[i], half, sizeof(half) - 1, MSG_NOSIGNAL),
                         sizeof(half) - 1);
        if (i % 50 == 49) /* no more than the backlog takes */
            wait_for_end_of(fds[i - 40]);
    }
    ask(GET("/healthz", "localhost"));
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    assert_true(status_page_connections(page) <= STATUS_PAGE_CONNECTIONS_MAX);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        assert_int_equal(close(fds[i]), 0);
    wait_for_connections(0);
}

static void
freeing_ends_what_is_open(void **state)
{
    int fd = connect_to_page();
    char byte;

    (void)state;
    turn();
    assert_int_equal(status_page_connections(page), 1);
    status_page_free(&page);
    turn();
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    assert_int_equal(close(fd), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up_tcp, tear_down)

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test_setup_teardown(any_name_will_do_on_a_unix_socket,
                                        set_up_unix, tear_down),
        TEST(headers_have_an_end),
        TEST(one_connection_takes_many_requests),
        TEST(connections_are_bounded_and_the_rest_waits),
        TEST(a_connection_that_says_nothing_ends),
        TEST(a_request_that_never_gets_whole_ends),
        TEST(half_open_ones_make_room_for_who_asks),
        TEST(freeing_ends_what_is_open),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[n++] = (struct CMUnitTest){rows[i].name, check_row, set_up_tcp,
                                         tear_down, &rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests_name("status_page", tests, NULL, NULL);
}
