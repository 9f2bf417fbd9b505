/*
 * wire_client - a client of a server that lives in the test's own event loop.
 */
#include "tests/unit/wire_client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/buf.h"

#define QUIET_ROUNDS 8
#define SPIN_LIMIT_S 5
#define GOT_MAX      ((size_t)64 << 20) /* bytes */

struct wire_client {
    struct event_base *base;
    int fd;
    bool is_closed;
    struct buf got;
};

static void
set_address(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof(address->sun_path));
    memcpy(address->sun_path, path, strlen(path));
}

struct wire_client *
wire_client_new(struct event_base *base, const char *path)
{
    struct wire_client *client = calloc(1, sizeof(*client));
    struct sockaddr_un address;

    assert_non_null(client);
    set_address(&address, path);
    client->base = base;
    buf_init(&client->got, GOT_MAX);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(client->fd >= 0);
    assert_int_equal(
        connect(client->fd, (const struct sockaddr *)&address, sizeof(address)),
        0);
    return client;
}

void
wire_client_free(struct wire_client **client)
{
    if (*client == NULL)
        return;
    (void)close((*client)->fd);
    buf_clear(&(*client)->got);
    free(*client);
    *client = NULL;
}

/* Read what is there. Did anything happen? */
static bool
take(struct wire_client *client)
{
    char part[16384];
    ssize_t n;

    if (client->is_closed)
        return false;
    n = read(client->fd, part, sizeof(part));
    if (n > 0) {
        buf_append(&client->got, part, (size_t)n);
        assert_false(buf_failed(&client->got));
        return true;
    }
    if (n < 0 && errno == EAGAIN)
        return false;
    assert_true(n == 0 || errno == ECONNRESET);
    client->is_closed = true;
    return true;
}

static void
on_guard(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)event_base_loopbreak(arg);
}

/* One round of the loop. It ends when nothing is left to do; a server that
 * always has something to do fails the test. */
static void
go_round(struct event_base *base)
{
    static const struct timeval limit = {SPIN_LIMIT_S, 0};
    struct event *guard = evtimer_new(base, on_guard, base);

    assert_non_null(guard);
    assert_int_equal(evtimer_add(guard, &limit), 0);
    assert_true(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
    event_free(guard);
    assert_false(event_base_got_break(base));
}

void
wire_client_work(struct event_base *base)
{
    for (int i = 0; i < QUIET_ROUNDS; i++)
        go_round(base);
}

void
wire_client_settle(struct wire_client *client)
{
    for (int quiet = 0; quiet < QUIET_ROUNDS; quiet++) {
        go_round(client->base);
        while (take(client))
            quiet = 0;
    }
}

size_t
wire_client_push(struct wire_client *client, const void *data, size_t len)
{
    const char *next = data;
    size_t left = len;

    while (left > 0) {
        ssize_t n = send(client->fd, next, left, MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EPIPE))
            break;
        assert_true(n > 0);
        next += n;
        left -= (size_t)n;
    }
    wire_client_work(client->base);
    return len - left;
}

void
wire_client_send(struct wire_client *client, const void *data, size_t len)
{
    const char *next = data;

    while (len > 0 && !client->is_closed) {
        size_t sent = wire_client_push(client, next, len);

        next += sent;
        len -= sent;
        wire_client_settle(client);
    }
    wire_client_settle(client);
}

void
wire_client_end(struct wire_client *client)
{
    assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
    wire_client_settle(client);
}

const char *
wire_client_got(const struct wire_client *client)
{
    return buf_str(&client->got);
}

size_t
wire_client_got_len(const struct wire_client *client)
{
    return client->got.len;
}

void
wire_client_drop(struct wire_client *client)
{
    buf_reset(&client->got);
}

bool
wire_client_is_closed(const struct wire_client *client)
{
    return client->is_closed;
}

int
wire_client_listen(const char *path, int backlog)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    set_address(&address, path);
    assert_true(fd >= 0);
    assert_int_equal(
        bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}
