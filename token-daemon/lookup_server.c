/*
 * lookup_server - the socketmap listeners.
 */
#include "token-daemon/lookup_server.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/socketmap.h"
#include "token-daemon/peer_identity.h"

#define LISTENERS_MAX   32
#define STRANGERS_MAX   64 /* connections of users who may not ask */
#define WRITE_TIMEOUT_S 20
/* Stop answering a client that does not read. */
#define OUTPUT_MAX ((size_t)4 * SOCKETMAP_REPLY_MAX)
/* Room for one request and its frame, so that a whole one always fits. */
#define INPUT_MAX       (SOCKETMAP_REQUEST_MAX + SOCKETMAP_FRAME_MORE)
#define ACCEPT_PAUSE_US 100000 /* after accept() failed: out of descriptors */
#define ACCEPTS_MAX     16     /* connections of one socket at a time */
/* Events of ours, until everything else that is ready has its turn. */
#define TURN_MAX 4096

struct client {
    TAILQ_ENTRY(client) link; /* the longest silent first */
    struct lookup_server *server;
    struct bufferevent *bev;
    struct lookups_pending *pending;
    struct peer_identity identity;
    bool is_allowed;
    bool is_answering; /* inside answer_requests() */
    bool is_paused;    /* nothing is read until it can be answered */
    bool has_ended;    /* the client sends no more */
    bool is_closing;   /* nothing more is read; close when all is written */
};

/* One listening socket. */
struct door {
    struct lookup_server *server;
    struct event *event;
    char *path; /* owned */
};

struct lookup_server {
    struct event_base *base;
    struct lookups *lookups;
    struct config *config;
    size_t max_clients;
    size_t client_count;
    size_t stranger_count; /* those of them who may not ask */
    TAILQ_HEAD(, client) silent_first;
    struct door doors[LISTENERS_MAX];
    size_t door_count;
    int priority;     /* of the other events */
    unsigned turn;    /* events of ours since the others had their turn */
    bool is_yielding; /* ours are as urgent as theirs, just now */
    struct event *yielded;
    struct event *resume; /* after a pause of accepting */
    uint64_t pauses;      /* in a row */
    struct buf scratch;
};

static void
client_free(struct client *client)
{
    struct lookup_server *server = client->server;

    lookups_forget(&client->pending);
    TAILQ_REMOVE(&server->silent_first, client, link);
    server->client_count--;
    if (!client->is_allowed)
        server->stranger_count--;
    bufferevent_free(client->bev);
    free(client);
}

/*
 * Hand the bytes to the kernel at once when nothing is queued before them: a
 * client that waits for its answer nearly always has room for it, and the
 * event loop is spared two changes of what it polls. Gives how many bytes went.
 */
static size_t
send_now(struct client *client, const char *data, size_t len)
{
    ssize_t n;

    if (evbuffer_get_length(bufferevent_get_output(client->bev)) > 0)
        return 0;
    /* Whatever is wrong with the socket, the bufferevent will meet it, too. */
    n = send(bufferevent_getfd(client->bev), data, len,
             MSG_DONTWAIT | MSG_NOSIGNAL);
    return n > 0 ? (size_t)n : 0;
}

/* Write one answer. False when out of memory: the connection must go. */
static bool
write_answer(struct client *client, enum socketmap_status status,
             const char *data, size_t len)
{
    struct buf *scratch = &client->server->scratch;
    bool is_written = false;
    size_t sent;

    buf_reset(scratch);
    socketmap_reply_encode(scratch, status, data, len);
    if (!buf_failed(scratch)) {
        sent = send_now(client, scratch->data, scratch->len);
        is_written = sent == scratch->len ||
                     bufferevent_write(client->bev, scratch->data + sent,
                                       scratch->len - sent) == 0;
    }
    buf_reset(scratch);
    return is_written;
}

static void answer_requests(struct client *client);

/* lookups_reply_fn */
static void
on_reply(enum socketmap_status status, const char *data, size_t len, void *arg)
{
    struct client *client = arg;

    client->pending = NULL;
    if (!write_answer(client, status, data, len))
        client->is_closing = true;
    if (!client->is_answering)
        answer_requests(client);
}

/* One last answer; then the connection closes. */
static void
refuse(struct client *client, const char *text)
{
    client->is_closing = true;
    (void)write_answer(client, SOCKETMAP_PERM, text, strlen(text));
}

static void
refuse_peer(struct client *client)
{
    if (lookups_note_stranger(client->server->lookups, &client->identity))
        log_warning("a user who is not in allow asked; add the user to allow "
                    "in the tokend section of relay.conf if that is right",
                    F_INT("uid", client->identity.uid),
                    F_INT("pid", client->identity.pid));
    refuse(client, "not-allowed this user may not ask; add it to allow in the "
                   "tokend section of relay.conf");
}

/* Answer the first request of the input. False when there is none. */
static bool
answer_next(struct client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->bev);
    size_t len = evbuffer_get_length(input);
    struct socketmap_frame frame;
    struct socketmap_request request;
    const char *data;

    if (len == 0)
        return false;
    data = (const char *)evbuffer_pullup(input, -1);
    if (data == NULL) {
        client->is_closing = true;
        return false;
    }
    switch (socketmap_decode(data, len, SOCKETMAP_REQUEST_MAX, &frame)) {
    case SOCKETMAP_PARTIAL:
        return false;
    case SOCKETMAP_BAD:
        refuse(client, "bad-request this is not a netstring of at most 8192 "
                       "bytes; see socketmap_table(5)");
        return false;
    case SOCKETMAP_COMPLETE:
        break;
    }
    if (!client->is_allowed)
        refuse_peer(client);
    else if (!socketmap_request_parse(frame.payload, frame.len, &request))
        refuse(client, "bad-request a request is a name, a space and a key");
    else
        client->pending = lookups_ask(client->server->lookups, &request,
                                      &client->identity, on_reply, client);
    (void)evbuffer_drain(input, frame.consumed);
    return true;
}

/*
 * Read only while what comes can be answered; the rest stays in the kernel. A
 * bufferevent whose input is full and not drained calls back without end.
 */
static void
pause_reading(struct client *client)
{
    size_t unread = evbuffer_get_length(bufferevent_get_output(client->bev));
    bool should_pause =
        client->is_closing || client->pending != NULL || unread > OUTPUT_MAX;

    if (client->has_ended || should_pause == client->is_paused)
        return;
    client->is_paused = should_pause;
    if (should_pause)
        (void)bufferevent_disable(client->bev, EV_READ);
    else if (bufferevent_enable(client->bev, EV_READ) < 0)
        client->is_closing = true;
}

/*
 * Answer until a request has to wait, the input is used up, or the client does
 * not read its answers. May free the client.
 */
static void
answer_requests(struct client *client)
{
    struct evbuffer *output = bufferevent_get_output(client->bev);

    client->is_answering = true;
    while (client->pending == NULL && !client->is_closing &&
           evbuffer_get_length(output) <= OUTPUT_MAX && answer_next(client))
        ;
    client->is_answering = false;
    pause_reading(client);
    if ((client->is_closing ||
         (client->has_ended && client->pending == NULL)) &&
        evbuffer_get_length(output) == 0)
        client_free(client);
}

/*
 * Events of the first priority that never end would leave the others waiting
 * for ever. So from time to time ours queue up behind them, each from its next
 * event on, until all that waited before have run.
 */
static void
take_turn(struct lookup_server *server)
{
    if (server->is_yielding || ++server->turn < TURN_MAX)
        return;
    server->is_yielding = true;
    event_active(server->yielded, EV_TIMEOUT, 0);
}

/* The turn of the others is over; they have run up to this event. */
static void
on_yielded(evutil_socket_t fd, short what, void *arg)
{
    struct lookup_server *server = arg;
    struct client *client;

    (void)fd;
    (void)what;
    server->is_yielding = false;
    server->turn = 0;
    TAILQ_FOREACH(client, &server->silent_first, link)
    {
        (void)bufferevent_priority_set(client->bev, 0);
    }
}

static void
on_readable(struct bufferevent *bev, void *arg)
{
    struct client *client = arg;
    struct lookup_server *server = client->server;

    take_turn(server);
    (void)bufferevent_priority_set(bev,
                                   server->is_yielding ? server->priority : 0);
    TAILQ_REMOVE(&server->silent_first, client, link);
    TAILQ_INSERT_TAIL(&server->silent_first, client, link);
    answer_requests(client);
}

/* Everything was written. */
static void
on_written(struct bufferevent *bev, void *arg)
{
    (void)bev;
    answer_requests(arg);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
    struct client *client = arg;

    (void)bev;
    if ((what & BEV_EVENT_EOF) != 0) {
        client->has_ended = true;
        answer_requests(client);
        return;
    }
    client_free(client);
}

/* The same time limit, one of many: libevent keeps those in a list. */
static const struct timeval *
common(struct event_base *base, const struct timeval *limit)
{
    const struct timeval *shared = event_base_init_common_timeout(base, limit);

    return shared != NULL ? shared : limit;
}

static struct client *
client_new(struct lookup_server *server, int fd)
{
    static const struct timeval idle = {LOOKUP_SERVER_IDLE_S, 0};
    static const struct timeval write_timeout = {WRITE_TIMEOUT_S, 0};
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
    (void)bufferevent_priority_set(client->bev, 0);
    TAILQ_INSERT_TAIL(&server->silent_first, client, link);
    server->client_count++;
    bufferevent_setcb(client->bev, on_readable, on_written, on_event, client);
    bufferevent_setwatermark(client->bev, EV_READ, 0, INPUT_MAX);
    (void)bufferevent_set_timeouts(client->bev, common(server->base, &idle),
                                   common(server->base, &write_timeout));
    return client;
}

/* Whom to send away when it is full: who is silent, but not for us. */
static struct client *
find_idlest(struct lookup_server *server)
{
    struct client *client;

    TAILQ_FOREACH(client, &server->silent_first, link)
    {
        if (client->pending == NULL)
            return client;
    }
    return TAILQ_FIRST(&server->silent_first);
}

/* Who may ask at this socket. */
static const struct config_access *
access_of(const struct door *door)
{
    const struct config_tokend *tokend = &door->server->config->tokend;

    for (size_t i = 0; i < tokend->socket_access_count; i++)
        if (strcmp(tokend->socket_accesses[i].path, door->path) == 0)
            return &tokend->socket_accesses[i].allow;
    return &tokend->allow;
}

/* Somebody came in by this door; the descriptor is ours. */
static void
welcome(const struct door *door, int fd)
{
    struct lookup_server *server = door->server;
    struct peer_identity identity;
    struct client *client;
    bool is_allowed;

    server->pauses = 0;
    if (!peer_identity_read(fd, &identity)) {
        (void)close(fd);
        return;
    }
    is_allowed =
        peer_identity_is_allowed(&identity, geteuid(), access_of(door));
    /* Strangers are told so, but can't take the place of anybody else. */
    if (!is_allowed && server->stranger_count >= STRANGERS_MAX) {
        (void)close(fd);
        return;
    }
    if (server->client_count >= server->max_clients)
        client_free(find_idlest(server));
    client = client_new(server, fd);
    if (client == NULL) {
        log_error("a connection was closed, out of memory");
        (void)close(fd);
        return;
    }
    client->identity = identity;
    client->is_allowed = is_allowed;
    if (!is_allowed)
        server->stranger_count++;
    if (bufferevent_enable(client->bev, EV_READ | EV_WRITE) < 0)
        client_free(client);
}

/* Out of descriptors or memory: leave the rest in the backlog for a moment. */
static void
pause_accepting(struct door *door)
{
    static const struct timeval pause = {0, ACCEPT_PAUSE_US};
    struct lookup_server *server = door->server;

    if (log_is_due(++server->pauses))
        log_warning("connections wait, as none can be accepted now; raise "
                    "LimitNOFILE if this goes on",
                    F_INT("clients", server->client_count));
    (void)event_del(door->event);
    (void)evtimer_add(server->resume, &pause);
}

/* Is it the connection that failed, not the accepting? See accept(2). */
static bool
is_passing(int number)
{
    return number == EINTR || number == ECONNABORTED || number == EPROTO;
}

static void
on_acceptable(evutil_socket_t listener, short what, void *arg)
{
    struct door *door = arg;
    int fd;

    (void)what;
    take_turn(door->server);
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            welcome(door, fd);
        else if (errno == EAGAIN)
            return;
        else if (!is_passing(errno)) {
            pause_accepting(door);
            return;
        }
    }
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct lookup_server *server = arg;

    (void)fd;
    (void)what;
    for (size_t i = 0; i < server->door_count; i++)
        (void)event_add(server->doors[i].event, NULL);
}

struct lookup_server *
lookup_server_new(const struct lookup_server_options *options)
{
    struct lookup_server *server = calloc(1, sizeof(*server));

    if (server == NULL)
        return NULL;
    server->base = options->base;
    server->lookups = options->lookups;
    server->max_clients = options->max_clients;
    server->priority = event_base_get_npriorities(options->base) / 2;
    server->yielded = event_new(options->base, -1, 0, on_yielded, server);
    TAILQ_INIT(&server->silent_first);
    buf_init(&server->scratch, SOCKETMAP_REPLY_MAX + SOCKETMAP_FRAME_MORE);
    server->resume = evtimer_new(options->base, on_resume, server);
    if (server->resume == NULL || server->yielded == NULL)
        lookup_server_free(&server);
    return server;
}

void
lookup_server_free(struct lookup_server **server)
{
    struct client *client;

    if (*server == NULL)
        return;
    for (size_t i = 0; i < (*server)->door_count; i++) {
        event_free((*server)->doors[i].event);
        free((*server)->doors[i].path);
    }
    /* The analyser does not see that TAILQ_REMOVE() changes the head. */
    while ((client = TAILQ_FIRST(&(*server)->silent_first)) != NULL)
        client_free(client); /* NOLINT(*-unix.Malloc) */
    if ((*server)->resume != NULL)
        event_free((*server)->resume);
    if ((*server)->yielded != NULL)
        event_free((*server)->yielded);
    buf_clear(&(*server)->scratch);
    config_unref(&(*server)->config);
    free(*server);
    *server = NULL;
}

int
lookup_server_add(struct lookup_server *server, int fd, const char *path,
                  struct err *err)
{
    struct door *door = &server->doors[server->door_count];

    if (server->door_count == LISTENERS_MAX)
        return err_set(err, ERR_CONFIG, "more than %d lookup sockets",
                       LISTENERS_MAX);
    door->server = server;
    door->path = strdup(path);
    if (door->path == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    (void)evutil_make_socket_nonblocking(fd);
    door->event =
        event_new(server->base, fd, EV_READ | EV_PERSIST, on_acceptable, door);
    if (door->event == NULL || event_priority_set(door->event, 0) < 0 ||
        event_add(door->event, NULL) < 0) {
        if (door->event != NULL)
            event_free(door->event);
        free(door->path);
        return err_set(err, ERR_SYSTEM, "out of memory");
    }
    server->door_count++;
    return 0;
}

void
lookup_server_allow(struct lookup_server *server, struct config *config)
{
    struct config *old = server->config;

    server->config = config_ref(config);
    config_unref(&old);
}

size_t
lookup_server_clients(const struct lookup_server *server)
{
    return server->client_count;
}
