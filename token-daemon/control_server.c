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
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "common/log.h"
#include "token-daemon/acceptor.h"
#include "token-daemon/control_access.h"
#include "token-daemon/peer_identity.h"

#define LIMITED_MAX     32 /* connections of those who may some things */
#define TRUSTED_MAX     64 /* and of those who may all; apart from the others */
#define IDLE_S          60
#define WRITE_TIMEOUT_S 20
#define OUTPUT_MAX      65536 /* bytes; stop answering who does not read */

/* Who may do nothing at all gets this last answer. */
static const char not_allowed[] =
    "{\"version\":1,\"ok\":false,\"error\":{\"code\":\"not-allowed\","
    "\"text\":\"only root and whom control_allow, control_read or an operator "
    "section of relay.conf names may use the control socket\"}}\n";

/* Nobody takes the place of one of another kind. */
enum kind {
    KIND_STRANGER, /* may do nothing; has no place */
    KIND_LIMITED,
    KIND_TRUSTED,
};

struct client {
    TAILQ_ENTRY(client) link; /* the first that came is the first */
    struct control_server *server;
    struct bufferevent *bev;
    struct control_exchange *pending;
    struct event *next;  /* when a long answer goes on; NULL: never had one */
    struct event *watch; /* whether it is still there; NULL: never waited */
    int watch_fd;        /* a duplicate: reading may be off meanwhile */
    struct peer_identity identity;
    enum kind kind;    /* by the rules in force */
    bool is_answering; /* inside answer_lines() */
    bool is_paused;    /* nothing is read until it can be answered */
    bool has_ended;    /* the client sends no more */
    bool is_closing;   /* nothing more is read; close when all is written */
};

struct control_server {
    struct event_base *base;
    struct control *control;
    struct config *config; /* who may ask; NULL: nobody but root yet */
    struct acceptor *acceptor;
    TAILQ_HEAD(, client) clients;
};

static void
client_free(struct client *client)
{
    control_forget(&client->pending);
    TAILQ_REMOVE(&client->server->clients, client, link);
    if (client->watch != NULL) {
        event_free(client->watch);
        (void)close(client->watch_fd);
    }
    if (client->next != NULL)
        event_free(client->next);
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

/* control_part_fn */
static void
on_part(const char *text, size_t len, void *arg)
{
    struct client *client = arg;

    if (bufferevent_write(client->bev, text, len) < 0)
        client->is_closing = true;
}

static size_t
unread_len(const struct client *client)
{
    return evbuffer_get_length(bufferevent_get_output(client->bev));
}

/* Can a further line be taken now? */
static bool
is_ready(const struct client *client)
{
    return !client->is_closing &&
           (client->pending == NULL || control_takes_lines(client->pending)) &&
           unread_len(client) <= OUTPUT_MAX;
}

/* Who it is, and what that one may do by the rules that are in force now. */
static struct control_peer
peer_of(const struct control_server *server,
        const struct peer_identity *identity)
{
    static const struct config_tokend nothing = {0};
    const struct config *config = server->config;

    return (struct control_peer){
        .uid = identity->uid,
        .pid = identity->pid,
        .verbs = control_access_verbs(
            config != NULL ? &config->tokend : &nothing, identity, geteuid()),
    };
}

static enum kind
kind_of(const struct control_peer *peer)
{
    if (peer->verbs == 0)
        return KIND_STRANGER;
    return peer->verbs == CONFIG_VERBS_ALL ? KIND_TRUSTED : KIND_LIMITED;
}

static void
note_stranger(const struct control_server *server,
              const struct control_peer *peer)
{
    if (control_note_stranger(server->control, peer))
        log_warning("control refused; name the user or a group of it in "
                    "control_allow, control_read or an operator section if "
                    "that is right",
                    F_INT("uid", peer->uid), F_INT("pid", peer->pid));
}

/* A request, by the rules of this moment. */
static void
ask(struct client *client, const char *line, size_t len)
{
    const struct control_server *server = client->server;
    const struct control_peer peer = peer_of(server, &client->identity);

    if (peer.verbs != 0) {
        client->pending =
            control_ask(server->control, &peer, line, len,
                        &(struct control_asker){
                            .reply = on_reply, .part = on_part, .arg = client});
        return;
    }
    note_stranger(server, &peer);
    (void)bufferevent_write(client->bev, not_allowed, strlen(not_allowed));
    client->is_closing = true;
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

/* A long answer goes on. May free the client. */
static void
on_next(evutil_socket_t fd, short what, void *arg)
{
    struct client *client = arg;

    (void)fd;
    (void)what;
    client->is_answering = true;
    if (client->pending != NULL && control_has_more(client->pending))
        control_more(client->pending);
    client->is_answering = false;
    answer_lines(client);
}

/*
 * Have it go on in the next round of the loop, after all others; or when what
 * there is was read: who does not read is waited for, until the write's time
 * is over.
 */
static void
schedule_next(struct client *client)
{
    static const struct timeval now = {0, 0};

    if (client->pending == NULL || client->is_closing ||
        !control_has_more(client->pending) || unread_len(client) > OUTPUT_MAX)
        return;
    if (client->next == NULL)
        client->next = evtimer_new(client->server->base, on_next, client);
    if (client->next == NULL || evtimer_add(client->next, &now) < 0) {
        log_error("a long answer is cut off, out of memory");
        client->is_closing = true;
    }
}

/* May free the client. */
static void
answer_lines(struct client *client)
{
    client->is_answering = true;
    while (is_ready(client) && answer_next(client))
        ;
    client->is_answering = false;
    pause_reading(client);
    set_patience(client);
    if (client->pending != NULL && client->watch == NULL)
        start_watch(client);
    schedule_next(client);
    if ((client->is_closing ||
         (client->has_ended && client->pending == NULL)) &&
        unread_len(client) == 0)
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
client_new(struct control_server *server, int fd,
           const struct peer_identity *identity)
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
    client->identity = *identity;
    TAILQ_INSERT_TAIL(&server->clients, client, link);
    bufferevent_setcb(client->bev, on_readable, on_readable, on_event, client);
    bufferevent_setwatermark(client->bev, EV_READ, 0, CONTROL_REQUEST_MAX);
    set_patience(client);
    return client;
}

/* ---- Who comes in ------------------------------------------------------- */

/* How many of this kind there are; with `uid`, of that user only. */
static size_t
count_clients(const struct control_server *server, enum kind kind,
              const uid_t *uid)
{
    const struct client *client;
    size_t count = 0;

    TAILQ_FOREACH(client, &server->clients, link)
    {
        if (client->kind == kind &&
            (uid == NULL || client->identity.uid == *uid))
            count++;
    }
    return count;
}

/*
 * Who makes room for one more of this kind: of the user with the most
 * connections the first that came, rather one that waits for nothing. So
 * nobody can push the others out by coming often.
 */
static struct client *
find_dispensable(const struct control_server *server, enum kind kind)
{
    struct client *client;
    struct client *found = NULL;
    size_t most = 0;
    size_t count;

    TAILQ_FOREACH(client, &server->clients, link)
    {
        if (client->kind != kind)
            continue;
        count = count_clients(server, kind, &client->identity.uid);
        if (count < most || (count == most && (client->pending != NULL ||
                                               found->pending == NULL)))
            continue;
        most = count;
        found = client;
    }
    return found;
}

/* Say so and hang up; a fresh connection has room for that. */
static void
turn_away(const struct control_server *server, const struct control_peer *peer,
          int fd)
{
    note_stranger(server, peer);
    (void)send(fd, not_allowed, strlen(not_allowed),
               MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)close(fd);
}

/* acceptor_fn; who comes is judged before anybody makes room. */
static bool
on_accepted(int fd, void *arg)
{
    struct control_server *server = arg;
    struct peer_identity identity;
    struct control_peer peer;
    struct client *client;
    enum kind kind;
    bool is_full;

    if (!peer_identity_read(fd, &identity)) {
        (void)close(fd);
        return false;
    }
    peer = peer_of(server, &identity);
    kind = kind_of(&peer);
    if (kind == KIND_STRANGER) {
        turn_away(server, &peer, fd);
        return false;
    }
    is_full = count_clients(server, kind, NULL) >=
              (kind == KIND_TRUSTED ? TRUSTED_MAX : LIMITED_MAX);
    if (is_full)
        client_free(find_dispensable(server, kind));
    client = client_new(server, fd, &identity);
    if (client == NULL) {
        log_error("a control connection was closed, out of memory");
        (void)close(fd);
        return false;
    }
    client->kind = kind;
    if (bufferevent_enable(client->bev, EV_READ | EV_WRITE) < 0)
        client_free(client);
    return !is_full;
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
    server->acceptor = acceptor_new(base, fd, on_accepted, server);
    if (server->acceptor == NULL)
        control_server_free(&server);
    return server;
}

void
control_server_allow(struct control_server *server, struct config *config)
{
    struct config *old = server->config;
    struct client *client;

    server->config = config_ref(config);
    config_unref(&old);
    TAILQ_FOREACH(client, &server->clients, link)
    {
        const struct control_peer peer = peer_of(server, &client->identity);

        client->kind = kind_of(&peer);
    }
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
    acceptor_free(&(*server)->acceptor);
    /* The analyser does not see that TAILQ_REMOVE() changes the head. */
    while ((client = TAILQ_FIRST(&(*server)->clients)) != NULL)
        client_free(client); /* NOLINT(*-unix.Malloc) */
    config_unref(&(*server)->config);
    free(*server);
    *server = NULL;
}
