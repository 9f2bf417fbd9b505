/*
 * control_server - the control socket: who may connect, lines in, lines out.
 */
#include "token-daemon/control_server.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "common/log.h"
#include "token-daemon/control_access.h"
#include "token-daemon/peer_identity.h"

#define CLIENTS_MAX     64
#define IDLE_S          60
#define WRITE_TIMEOUT_S 20
#define OUTPUT_MAX      65536 /* bytes; stop answering who does not read */

struct client {
    TAILQ_ENTRY(client) link;
    struct control_server *server;
    struct bufferevent *bev;
    struct control_exchange *pending;
    struct event *watch; /* whether it is still there; NULL: never waited */
    int watch_fd;        /* a duplicate: reading may be off meanwhile */
    struct peer_identity identity;
    bool is_answering; /* inside answer_lines() */
    bool is_paused;    /* nothing is read until it can be answered */
    bool has_ended;    /* the client sends no more */
    bool is_closing;   /* nothing more is read; close when all is written */
};

struct control_server {
    struct event_base *base;
    struct control *control;
    struct config *config; /* who may ask; NULL: nobody but root yet */
    struct evconnlistener *listener;
    TAILQ_HEAD(, client) clients;
    size_t client_count;
};

static void
client_free(struct client *client)
{
    control_forget(&client->pending);
    TAILQ_REMOVE(&client->server->clients, client, link);
    client->server->client_count--;
    if (client->watch != NULL) {
        event_free(client->watch);
        (void)close(client->watch_fd);
    }
    bufferevent_free(client->bev);
    free(client);
}

static void
write_line(struct client *client, const char *line)
{
    if (line == NULL ||
        bufferevent_write(client->bev, line, strlen(line)) < 0 ||
        bufferevent_write(client->bev, "\n", 1) < 0)
        client->is_closing = true;
}

static void answer_lines(struct client *client);

/* control_reply_fn */
static void
on_reply(const char *line, bool is_last, void *arg)
{
    struct client *client = arg;

    if (is_last)
        client->pending = NULL;
    write_line(client, line);
    if (is_last && !client->is_answering)
        answer_lines(client);
}

/* Can a further line be taken now? */
static bool
is_ready(const struct client *client)
{
    return !client->is_closing &&
           (client->pending == NULL || control_takes_lines(client->pending)) &&
           evbuffer_get_length(bufferevent_get_output(client->bev)) <=
               OUTPUT_MAX;
}

/* Who it is, and what that one may do by the rules that are in force now. */
static struct control_peer
peer_of(const struct client *client)
{
    static const struct config_tokend nothing = {0};
    const struct config *config = client->server->config;

    return (struct control_peer){
        .uid = client->identity.uid,
        .pid = client->identity.pid,
        .verbs =
            control_access_verbs(config != NULL ? &config->tokend : &nothing,
                                 &client->identity, geteuid()),
    };
}

/* One who may do nothing at all: one last answer, then it closes. */
static void
turn_away(struct client *client, const struct control_peer *peer)
{
    if (control_note_stranger(client->server->control, peer))
        log_warning("control refused; name the user or a group of it in "
                    "control_allow, control_read or an operator section if "
                    "that is right",
                    F_INT("uid", peer->uid), F_INT("pid", peer->pid));
    write_line(
        client,
        "{\"version\":1,\"ok\":false,\"error\":{\"code\":\"not-allowed\","
        "\"text\":\"only root and whom control_allow, control_read or an "
        "operator section of relay.conf names may use the control socket\"}}");
    client->is_closing = true;
}

/* A request, by the rules of this moment. */
static void
ask(struct client *client, const char *line, size_t len)
{
    const struct control_peer peer = peer_of(client);

    if (peer.verbs == 0)
        turn_away(client, &peer);
    else
        client->pending = control_ask(client->server->control, &peer, line, len,
                                      on_reply, client);
}

/* Take the first line of the input. False when there is none. */
static bool
answer_next(struct client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->bev);
    size_t len;
    char *line = evbuffer_readln(input, &len, EVBUFFER_EOL_LF);

    if (line == NULL) {
        if (evbuffer_get_length(input) >= CONTROL_REQUEST_MAX)
            client->is_closing = true;
        return false;
    }
    if (client->pending != NULL)
        control_feed(client->pending, line, len);
    else
        ask(client, line, len);
    explicit_bzero(line, len); /* it may be a secret */
    free(line);
    return true;
}

/*
 * Read only while what comes can be answered. A bufferevent whose input is full
 * and not drained calls back without end.
 */
static void
pause_reading(struct client *client)
{
    bool should_pause = !is_ready(client);

    if (client->has_ended || should_pause == client->is_paused)
        return;
    client->is_paused = should_pause;
    if (should_pause)
        (void)bufferevent_disable(client->bev, EV_READ);
    else if (bufferevent_enable(client->bev, EV_READ) < 0)
        client->is_closing = true;
}

/* Who waits for an answer may be silent meanwhile. */
static void
set_patience(struct client *client)
{
    static const struct timeval idle = {IDLE_S, 0};
    static const struct timeval write_timeout = {WRITE_TIMEOUT_S, 0};

    (void)bufferevent_set_timeouts(
        client->bev, client->pending != NULL ? NULL : &idle, &write_timeout);
}

/*
 * Something changed at the connection. Who has closed it whole is gone, and
 * nobody is left to go on for; who sends no more (a half-close) may wait.
 */
static void
on_change(evutil_socket_t fd, short what, void *arg)
{
    struct client *client = arg;
    struct pollfd poll_fd = {.fd = fd};

    (void)what;
    if (client->pending != NULL && poll(&poll_fd, 1, 0) > 0 &&
        (poll_fd.revents & (POLLHUP | POLLERR)) != 0)
        client_free(client);
}

/*
 * From now on learn at once when the client goes. Nothing is read from who
 * waits, so the end of its input would not tell; each change does (EV_ET), and
 * a descriptor of its own keeps that apart from the bufferevent's reading.
 */
static void
start_watch(struct client *client)
{
    int fd = fcntl(bufferevent_getfd(client->bev), F_DUPFD_CLOEXEC, 0);

    if (fd >= 0)
        client->watch =
            event_new(client->server->base, fd, EV_READ | EV_ET | EV_PERSIST,
                      on_change, client);
    if (client->watch != NULL && event_add(client->watch, NULL) == 0) {
        client->watch_fd = fd;
        return;
    }
    log_warning("whoever waits at the control socket is not watched, out of "
                "descriptors or memory: if they go their request goes on");
    if (client->watch != NULL)
        event_free(client->watch);
    client->watch = NULL;
    if (fd >= 0)
        (void)close(fd);
}

/* May free the client. */
static void
answer_lines(struct client *client)
{
    struct evbuffer *output = bufferevent_get_output(client->bev);

    client->is_answering = true;
    while (is_ready(client) && answer_next(client))
        ;
    client->is_answering = false;
    pause_reading(client);
    set_patience(client);
    if (client->pending != NULL && client->watch == NULL)
        start_watch(client);
    if ((client->is_closing ||
         (client->has_ended && client->pending == NULL)) &&
        evbuffer_get_length(output) == 0)
        client_free(client);
}

static void
on_readable(struct bufferevent *bev, void *arg)
{
    (void)bev;
    answer_lines(arg);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
    struct client *client = arg;

    (void)bev;
    if ((what & BEV_EVENT_EOF) != 0) {
        client->has_ended = true;
        /* Nobody is left to go on with it. */
        if (client->pending != NULL && control_takes_lines(client->pending))
            control_forget(&client->pending);
        answer_lines(client);
        return;
    }
    client_free(client);
}

static struct client *
client_new(struct control_server *server, int fd)
{
    struct client *client = calloc(1, sizeof(*client));

    if (client == NULL)
        return NULL;
    client->bev =
        bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (client->bev == NULL) {
        free(client);
        return NULL;
    }
    client->server = server;
    TAILQ_INSERT_TAIL(&server->clients, client, link);
    server->client_count++;
    bufferevent_setcb(client->bev, on_readable, on_readable, on_event, client);
    bufferevent_setwatermark(client->bev, EV_READ, 0, CONTROL_REQUEST_MAX);
    set_patience(client);
    return client;
}

/* The first that came, of those who wait for nothing; else of all. */
static struct client *
find_oldest(struct control_server *server)
{
    struct client *client;

    TAILQ_FOREACH(client, &server->clients, link)
    {
        if (client->pending == NULL)
            return client;
    }
    return TAILQ_FIRST(&server->clients);
}

static void
on_accepted(struct evconnlistener *listener, evutil_socket_t fd,
            struct sockaddr *address, int address_len, void *arg)
{
    struct control_server *server = arg;
    struct peer_identity identity;
    struct control_peer peer;
    struct client *client;

    (void)listener;
    (void)address;
    (void)address_len;
    if (!peer_identity_read(fd, &identity)) {
        (void)close(fd);
        return;
    }
    /* Who is silent makes room for who comes: an operator always gets in. */
    if (server->client_count >= CLIENTS_MAX)
        client_free(find_oldest(server));
    client = client_new(server, fd);
    if (client == NULL) {
        log_error("a control connection was closed, out of memory");
        (void)close(fd);
        return;
    }
    if (bufferevent_enable(client->bev, EV_READ | EV_WRITE) < 0) {
        client_free(client);
        return;
    }
    client->identity = identity;
    peer = peer_of(client);
    if (peer.verbs != 0)
        return;
    turn_away(client, &peer);
    (void)bufferevent_disable(client->bev, EV_READ);
}

struct control_server *
control_server_new(struct event_base *base, int fd, struct control *control)
{
    struct control_server *server = calloc(1, sizeof(*server));

    if (server == NULL)
        return NULL;
    server->base = base;
    server->control = control;
    TAILQ_INIT(&server->clients);
    server->listener = evconnlistener_new(base, on_accepted, server,
                                          LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (server->listener == NULL)
        control_server_free(&server);
    return server;
}

void
control_server_allow(struct control_server *server, struct config *config)
{
    struct config *old = server->config;

    server->config = config_ref(config);
    config_unref(&old);
}

/* Is it of users whom the socket's own group does not let in? */
static bool
is_wider(const struct config_access *access)
{
    for (size_t i = 0; i < access->count; i++)
        if (!access->peers[i].is_group ||
            strcmp(access->peers[i].name, CONTROL_SERVER_GROUP) != 0)
            return true;
    return false;
}

mode_t
control_server_mode(const struct config *config)
{
    const struct config_tokend *tokend = &config->tokend;
    bool is_open =
        tokend->control_read.count > 0 || is_wider(&tokend->control_allow);

    for (size_t i = 0; i < tokend->operator_count; i++)
        is_open = is_open || is_wider(&tokend->operators[i].who);
    return is_open ? CONTROL_SERVER_OPEN : CONTROL_SERVER_MODE;
}

void
control_server_free(struct control_server **server)
{
    struct client *client;

    if (*server == NULL)
        return;
    if ((*server)->listener != NULL)
        evconnlistener_free((*server)->listener);
    /* The analyser does not see that TAILQ_REMOVE() changes the head. */
    while ((client = TAILQ_FIRST(&(*server)->clients)) != NULL)
        client_free(client); /* NOLINT(*-unix.Malloc) */
    config_unref(&(*server)->config);
    free(*server);
    *server = NULL;
}
