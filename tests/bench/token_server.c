/*
 * token_server - a token endpoint over TLS that lets all wait, then answers all
 * at once.
 *
 *     token_server CERTIFICATE KEY HOLD HOLD_MS LIFE_S TOKEN_BYTES
 *
 * Prints its port. Requests wait until HOLD of them are there, or until HOLD_MS
 * have passed since the first of them; every answer has a new access token and
 * a new refresh token. At the end of standard input it prints
 * `REQUESTS MOST_AT_ONCE CONNECTIONS` and ends.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/ssl.h>

#define TOKEN_MAX 65536

struct held {
    STAILQ_ENTRY(held) link;
    struct evhttp_request *request;
};

struct server {
    struct event_base *base;
    SSL_CTX *tls;
    struct event *release;
    STAILQ_HEAD(, held) held;
    long long held_count;
    long long hold;
    struct timeval hold_time;
    long long life_s;
    long long token_len;
    unsigned long long requests;
    unsigned long long connections;
    long long most;
};

static _Noreturn void
give_up(const char *what)
{
    (void)fprintf(stderr, "token_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static long long
read_number(const char *text, long long max)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 || value > max) {
        errno = EINVAL;
        give_up(text);
    }
    return value;
}

static void
answer(struct server *server, struct evhttp_request *request)
{
    static char padding[TOKEN_MAX + 1];
    struct evbuffer *body = evbuffer_new();
    unsigned long long number = ++server->requests;

    if (body == NULL)
        give_up("answer");
    memset(padding, 'x', (size_t)server->token_len);
    padding[server->token_len] = '\0';
    (void)evbuffer_add_printf(
        body,
        "{\"token_type\":\"Bearer\",\"expires_in\":%lld,"
        "\"access_token\":\"a~%llu~%s\",\"refresh_token\":\"r~%llu~%s\"}",
        server->life_s, number, padding, number, padding);
    (void)evhttp_add_header(evhttp_request_get_output_headers(request),
                            "Content-Type", "application/json");
    evhttp_send_reply(request, 200, "OK", body);
    evbuffer_free(body);
}

static void
on_release(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;
    struct held *held;

    (void)fd;
    (void)what;
    server->held_count = 0;
    while ((held = STAILQ_FIRST(&server->held)) != NULL) {
        STAILQ_REMOVE_HEAD(&server->held, link);
        answer(server, held->request);
        free(held);
    }
}

static void
on_request(struct evhttp_request *request, void *arg)
{
    struct server *server = arg;
    struct held *held = calloc(1, sizeof(*held));

    if (held == NULL)
        give_up("request");
    held->request = request;
    STAILQ_INSERT_TAIL(&server->held, held, link);
    if (++server->held_count > server->most)
        server->most = server->held_count;
    if (server->held_count >= server->hold)
        event_active(server->release, EV_TIMEOUT, 0);
    else if (server->held_count == 1)
        (void)event_add(server->release, &server->hold_time);
}

static struct bufferevent *
on_connection(struct event_base *base, void *arg)
{
    struct server *server = arg;
    SSL *tls = SSL_new(server->tls);

    if (tls == NULL)
        give_up("SSL_new");
    server->connections++;
    return bufferevent_openssl_socket_new(
        base, -1, tls, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}

static void
on_input(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;
    char byte;

    (void)what;
    if (read(fd, &byte, 1) != 0)
        return;
    (void)printf("%llu %lld %llu\n", server->requests, server->most,
                 server->connections);
    (void)event_base_loopbreak(server->base);
}

static void
listen_somewhere(struct server *server)
{
    struct evhttp *http = evhttp_new(server->base);
    struct evhttp_bound_socket *bound =
        http != NULL ? evhttp_bind_socket_with_handle(http, "127.0.0.1", 0)
                     : NULL;
    struct sockaddr_in address = {0};
    socklen_t len = sizeof(address);

    if (bound == NULL || getsockname(evhttp_bound_socket_get_fd(bound),
                                     (struct sockaddr *)&address, &len) < 0)
        give_up("listen");
    evhttp_set_bevcb(http, on_connection, server);
    evhttp_set_gencb(http, on_request, server);
    evhttp_set_timeout(http, 120);
    (void)printf("%u\n", (unsigned)ntohs(address.sin_port));
    (void)fflush(stdout);
}

int
main(int argc, char **argv)
{
    struct server server = {.base = event_base_new()};
    struct event *input;
    long long hold_ms;

    if (argc != 7 || server.base == NULL) {
        errno = EINVAL;
        give_up("CERTIFICATE KEY HOLD HOLD_MS LIFE_S TOKEN_BYTES");
    }
    STAILQ_INIT(&server.held);
    server.hold = read_number(argv[3], 1000000);
    hold_ms = read_number(argv[4], 1000000);
    server.hold_time = (struct timeval){hold_ms / 1000, hold_ms % 1000 * 1000};
    server.life_s = read_number(argv[5], 1000000);
    server.token_len = read_number(argv[6], TOKEN_MAX);
    server.tls = SSL_CTX_new(TLS_server_method());
    if (server.tls == NULL ||
        SSL_CTX_use_certificate_chain_file(server.tls, argv[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(server.tls, argv[2], SSL_FILETYPE_PEM) != 1)
        give_up(argv[1]);
    server.release = evtimer_new(server.base, on_release, &server);
    input = event_new(server.base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input,
                      &server);
    if (server.release == NULL || input == NULL || event_add(input, NULL) < 0)
        give_up("events");
    listen_somewhere(&server);
    (void)event_base_dispatch(server.base);
    return 0;
}
