/*
 * The page to which a browser is sent: over real sockets of both loopback
 * addresses. A row is a request and what it is answered with at once.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/util.h"
#include "token-daemon/ctl_page.h"

static struct row {
    const char *name;
    const char *request; /* without the empty line at its end */
    const char *want;    /* the beginning of the answer; NULL: it waits */
} rows[] = {
    {"a code", "GET /?code=c&state=s HTTP/1.1\r\nHost: localhost", NULL},
    {"an error",
     "GET /?error=access_denied&state=s HTTP/1.1\r\nHost: localhost", NULL},
    {"a code that is not the first",
     "GET /?state=s&code=c HTTP/1.1\r\nHost: 127.0.0.1", NULL},
    {"nothing", "GET / HTTP/1.1\r\nHost: localhost", "HTTP/1.1 404 "},
    {"something else", "GET /?decode=1 HTTP/1.1\r\nHost: localhost",
     "HTTP/1.1 404 "},
    {"another path", "GET /favicon.ico?code=c HTTP/1.1\r\nHost: localhost",
     "HTTP/1.1 404 "},
    {"a name of elsewhere that leads here",
     "GET /?code=c&state=s HTTP/1.1\r\nHost: evil.example", "HTTP/1.1 404 "},
    {"no name", "GET /?code=c&state=s HTTP/1.0", "HTTP/1.0 404 "},
    {"another method",
     "POST /?code=c&state=s HTTP/1.1\r\nHost: localhost\r\n"
     "Content-Length: 0",
     "HTTP/1.1 5"},
};

struct world {
    const struct row *row;
    struct event_base *base;
    struct ctl_page *page;
    char uri[256]; /* that came last; "": none */
    unsigned sent;
};

static void
on_came(const char *uri, void *arg)
{
    struct world *world = arg;

    (void)snprintf(world->uri, sizeof(world->uri), "%s", uri);
}

static void
on_sent(void *arg)
{
    struct world *world = arg;

    world->sent++;
}

static const struct ctl_page_ops ops = {.came = on_came, .sent = on_sent};

static int
set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct err err = {ERR_NONE, ""};

    assert_non_null(world);
    world->row = *state;
    world->base = event_base_new();
    assert_non_null(world->base);
    world->page = ctl_page_open(world->base, 0, &ops, world, &err);
    assert_non_null(world->page);
    *state = world;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *world = *state;

    ctl_page_close(&world->page);
    event_base_free(world->base);
    free(world);
    return 0;
}

static int
connect_to(const struct world *world, int family)
{
    uint16_t port = htons((uint16_t)ctl_page_port(world->page));
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = port,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = port,
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const struct sockaddr *address = family == AF_INET
                                         ? (const struct sockaddr *)&v4
                                         : (const struct sockaddr *)&v6;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(
        connect(fd, address, family == AF_INET ? sizeof(v4) : sizeof(v6)), 0);
    return fd;
}

static int
request_by(const struct world *world, int family, const char *request)
{
    int fd = connect_to(world, family);

    assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
    assert_int_equal(send(fd, "\r\n\r\n", 4, 0), 4);
    return fd;
}

/* Run the loop until the other side has closed; what it sent. */
static void
receive(const struct world *world, int fd, char *out, size_t size)
{
    size_t len = 0;
    ssize_t n;

    for (;;) {
        n = recv(fd, out + len, size - 1 - len, MSG_DONTWAIT);
        if (n == 0)
            break;
        if (n > 0)
            len += (size_t)n;
        else
            assert_int_equal(event_base_loop(world->base, EVLOOP_ONCE), 0);
    }
    out[len] = '\0';
    (void)close(fd);
}

static void
wait_for_uri(const struct world *world)
{
    while (world->uri[0] == '\0')
        assert_int_equal(event_base_loop(world->base, EVLOOP_ONCE), 0);
}

static void
check_row(void **state)
{
    struct world *world = *state;
    const struct row *row = world->row;
    int fd = request_by(world, AF_INET, row->request);
    char text[8192];

    if (row->want == NULL) {
        wait_for_uri(world);
        ctl_page_show(world->page, true, "it is <well>");
        assert_false(ctl_page_is_done(world->page));
    }
    receive(world, fd, text, sizeof(text));
    if (row->want != NULL) {
        assert_memory_equal(text, row->want, strlen(row->want));
        assert_string_equal(world->uri, "");
        return;
    }
    assert_memory_equal(text, "HTTP/1.1 200 ", 13);
    assert_non_null(strstr(text, "it is &lt;well&gt;"));
    assert_non_null(strstr(text, "no-store"));
    assert_non_null(strstr(text, "default-src 'none'"));
    assert_memory_equal(row->request + 4, world->uri, strlen(world->uri));
    assert_true(ctl_page_is_done(world->page));
    assert_int_equal(world->sent, 1);
}

static void
it_is_at_both_addresses(void **state)
{
    struct world *world = *state;
    char text[8192];
    int fd;

    fd = request_by(world, AF_INET6,
                    "GET /?code=c HTTP/1.1\r\nHost: [::1]:1234");
    wait_for_uri(world);
    ctl_page_show(world->page, false, "it is not");
    receive(world, fd, text, sizeof(text));
    assert_memory_equal(text, "HTTP/1.1 400 ", 13);
    assert_non_null(strstr(text, "it is not"));
}

static void
a_second_browser_is_sent_away(void **state)
{
    static const char request[] = "GET /?code=c HTTP/1.1\r\nHost: localhost";
    struct world *world = *state;
    int first = request_by(world, AF_INET, request);
    char text[8192];

    wait_for_uri(world);
    receive(world, request_by(world, AF_INET, request), text, sizeof(text));
    assert_memory_equal(text, "HTTP/1.1 409 ", 13);
    ctl_page_show(world->page, true, "well");
    receive(world, first, text, sizeof(text));
    assert_memory_equal(text, "HTTP/1.1 200 ", 13);
}

static void
a_browser_that_went_away_does_no_harm(void **state)
{
    static const char request[] = "GET /?code=c HTTP/1.1\r\nHost: localhost";
    struct world *world = *state;
    char text[8192];
    int fd;

    (void)close(request_by(world, AF_INET, request));
    wait_for_uri(world);
    ctl_page_show(world->page, true, "nobody reads it");
    ctl_page_show(world->page, true, "nobody waits");
    world->uri[0] = '\0';
    fd = request_by(world, AF_INET, request);
    wait_for_uri(world);
    ctl_page_show(world->page, true, "well");
    receive(world, fd, text, sizeof(text));
    assert_memory_equal(text, "HTTP/1.1 200 ", 13);
}

static void
a_port_that_is_taken(void **state)
{
    struct world *world = *state;
    struct err err = {ERR_NONE, ""};

    assert_null(ctl_page_open(world->base, ctl_page_port(world->page), &ops,
                              world, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, "can't be served here"));
}

static void
closed_while_a_browser_waits(void **state)
{
    struct world *world = *state;
    int fd =
        request_by(world, AF_INET, "GET /?code=c HTTP/1.1\r\nHost: localhost");

    wait_for_uri(world);
    ctl_page_close(&world->page);
    (void)close(fd);
}

int
main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test_setup_teardown(it_is_at_both_addresses, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_second_browser_is_sent_away, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_browser_that_went_away_does_no_harm,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_port_that_is_taken, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(closed_while_a_browser_waits, set_up,
                                        tear_down),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .setup_func = set_up,
            .teardown_func = tear_down,
            .initial_state = &rows[i],
        };
    memcpy(&tests[ARRAY_LEN(rows)], others, sizeof(others));
    return cmocka_run_group_tests_name("ctl_page", tests, NULL, NULL);
}
