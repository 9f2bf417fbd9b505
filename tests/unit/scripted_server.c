/*
 * scripted_server - for tests: an HTTP server that answers by a script.
 */
#include "tests/unit/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

struct client {
    LIST_ENTRY(client) link;
    struct scripted_server *server;
    struct bufferevent *stream;
    enum scripted_then then;
};

struct scripted_server {
    struct event_base *base;
    const struct scripted_step *steps;
    size_t count;
    struct evconnlistener *listener;
    LIST_HEAD(, client) clients;
    size_t connections;
    size_t requests;
    char *texts[SCRIPTED_SERVER_TEXTS_MAX];
};

static void
free_client(struct client *client)
{
    LIST_REMOVE(client, link);
    bufferevent_free(client->stream);
    free(client);
}

static void
reset(struct client *client)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    assert_int_equal(setsockopt(bufferevent_getfd(client->stream), SOL_SOCKET,
                                SO_LINGER, &at_once, sizeof(at_once)),
                     0);
    free_client(client);
}

/* How long the request in `text` is, or 0 when it is not complete. */
static size_t
request_length(const char *text, size_t len)
{
    static const char field[] = "\r\nContent-Length: ";
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    const char *length;
    size_t total;

    if (end == NULL)
        return 0;
    total = (size_t)(end - text) + 4;
    length = memmem(text, total, field, sizeof(field) - 1);
    if (length != NULL)
        total += (size_t)strtoul(length + sizeof(field) - 1, NULL, 10);
    return total <= len ? total : 0;
}

static void
answer(struct client *client)
{
    struct scripted_server *server = client->server;
    size_t index = server->requests - 1;
    const struct scripted_step *step =
        &server->steps[index < server->count ? index : server->count - 1];

    client->then = step->then;
    if (step->then == SCRIPTED_RESET)
        reset(client);
    else if (step->answer != NULL)
        assert_int_equal(bufferevent_write(client->stream, step->answer,
                                           strlen(step->answer)),
                         0);
    else if (step->then == SCRIPTED_CLOSE)
        free_client(client);
}

static void
on_read(struct bufferevent *stream, void *arg)
{
    struct client *client = arg;
    struct scripted_server *server = client->server;
    struct evbuffer *input = bufferevent_get_input(stream);
    size_t len = evbuffer_get_length(input);
    const char *text = (const char *)evbuffer_pullup(input, -1);
    size_t total = text != NULL ? request_length(text, len) : 0;

    if (total == 0)
        return;
    if (server->requests < SCRIPTED_SERVER_TEXTS_MAX) {
        server->texts[server->requests] = strndup(text, total);
        assert_non_null(server->texts[server->requests]);
    }
    server->requests++;
    assert_int_equal(evbuffer_drain(input, total), 0);
    answer(client);
}

static void
on_written(struct bufferevent *stream, void *arg)
{
    struct client *client = arg;

    (void)stream;
    if (client->then == SCRIPTED_CLOSE)
        free_client(client);
}

static void
on_event(struct bufferevent *stream, short what, void *arg)
{
    (void)stream;
    (void)what;
    free_client(arg);
}

static void
on_connection(struct evconnlistener *listener, evutil_socket_t fd,
              struct sockaddr *address, int len, void *arg)
{
    struct scripted_server *server = arg;
    struct client *client = calloc(1, sizeof(*client));

    (void)listener;
    (void)address;
    (void)len;
    assert_non_null(client);
    client->server = server;
    client->then = SCRIPTED_KEEP;
    client->stream =
        bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    assert_non_null(client->stream);
    LIST_INSERT_HEAD(&server->clients, client, link);
    server->connections++;
    bufferevent_setcb(client->stream, on_read, on_written, on_event, client);
    assert_int_equal(bufferevent_enable(client->stream, EV_READ | EV_WRITE), 0);
}

struct scripted_server *
scripted_server_new(struct event_base *base, const struct scripted_step *steps,
                    size_t count)
{
    struct scripted_server *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET};

    assert_non_null(server);
    server->base = base;
    server->steps = steps;
    server->count = count;
    LIST_INIT(&server->clients);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listener = evconnlistener_new_bind(
        base, on_connection, server, LEV_OPT_CLOSE_ON_FREE, -1,
        (struct sockaddr *)&address, sizeof(address));
    assert_non_null(server->listener);
    return server;
}

void
scripted_server_free(struct scripted_server **server)
{
    while (!LIST_EMPTY(&(*server)->clients))
        free_client(LIST_FIRST(&(*server)->clients));
    evconnlistener_free((*server)->listener);
    for (size_t i = 0; i < SCRIPTED_SERVER_TEXTS_MAX; i++)
        free((*server)->texts[i]);
    free(*server);
    *server = NULL;
}

int
scripted_server_port(const struct scripted_server *server)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);

    assert_int_equal(getsockname(evconnlistener_get_fd(server->listener),
                                 (struct sockaddr *)&address, &len),
                     0);
    return ntohs(address.sin_port);
}

size_t
scripted_server_connections(const struct scripted_server *server)
{
    return server->connections;
}

size_t
scripted_server_requests(const struct scripted_server *server)
{
    return server->requests;
}

const char *
scripted_server_request(const struct scripted_server *server, size_t index)
{
    assert_true(index < server->requests);
    assert_non_null(server->texts[index]);
    return server->texts[index];
}
