/*
 * status_page - what goes on, read-only, over HTTP on this machine.
 *
 * libevent's server has no limit of connections, and none of how long one may
 * dribble a request. So we hold a reference to the buffers of each and look at
 * them now and then: libevent takes its callbacks away from those that it has
 * done with. When there are too many the next ones wait a moment in the
 * backlog, and those that have asked nothing for longest make room for them: so
 * nobody keeps others out by saying nothing.
 */
#include "common/status_page.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/util.h"

/* Also those that are refused: the answer then says which are not. */
#define ALL_METHODS                                                        \
    (EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT | \
     EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |           \
     EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH)

#define LOOK_MS  500
#define FULL_MS  50 /* the same while there are too many */
#define GRACE_MS 50 /* who has just come is not sent away for others */
#define ROOM     (STATUS_PAGE_CONNECTIONS_MAX / 2) /* made at a time */

struct connection {
    TAILQ_ENTRY(connection) link; /* who waits for longest comes first */
    struct bufferevent *bev;      /* a reference is held */
    int64_t ends_at;              /* ms, CLOCK_BOOTTIME */
    int64_t quiet_since;          /* ms: no whole request; 0: is answered */
    bool is_shut;                 /* libevent will see that it has ended */
};

struct status_page {
    struct event_base *base;
    struct status_page_settings settings;
    bool is_tcp;
    struct evhttp *http;
    struct evconnlistener *listener; /* owned by http */
    TAILQ_HEAD(, connection) connections;
    size_t count;
    struct event *look; /* after those that ended */
};

/* What is answered. */
struct answer {
    int status;
    const char *reason;
    const char *type;
    struct buf body;
};

/* ---- Connections --------------------------------------------------------- */

/* Is libevent done with it? */
static bool
has_ended(struct bufferevent *bev)
{
    bufferevent_data_cb readcb;
    bufferevent_data_cb writecb;
    bufferevent_event_cb eventcb;
    void *arg;

    bufferevent_getcb(bev, &readcb, &writecb, &eventcb, &arg);
    return arg == NULL;
}

static void
connection_free(struct status_page *page, struct connection *connection)
{
    TAILQ_REMOVE(&page->connections, connection, link);
    page->count--;
    bufferevent_decref(connection->bev);
    free(connection);
}

/* The end of the stream is one for libevent, too. */
static void
shut(struct connection *connection)
{
    connection->is_shut = true;
    (void)shutdown(bufferevent_getfd(connection->bev), SHUT_RDWR);
}

static bool
is_quiet_for(const struct connection *connection, int64_t ms, int64_t now)
{
    return connection->quiet_since != 0 && now - connection->quiet_since >= ms;
}

/* Forget those that have ended, and end those whose time is over. */
static void
look(struct status_page *page)
{
    struct connection *connection = TAILQ_FIRST(&page->connections);
    int64_t now = clock_boot_ms();

    while (connection != NULL) {
        struct connection *next = TAILQ_NEXT(connection, link);

        if (has_ended(connection->bev))
            connection_free(page, connection);
        else if (!connection->is_shut &&
                 (connection->ends_at <= now ||
                  is_quiet_for(connection, page->settings.request_ms, now)))
            shut(connection);
        connection = next;
    }
}

/* There are too many: end some that have asked nothing. */
static void
make_room(struct status_page *page)
{
    struct connection *connection;
    int64_t now = clock_boot_ms();
    unsigned shut_count = 0;

    TAILQ_FOREACH(connection, &page->connections, link)
    {
        if (!connection->is_shut && is_quiet_for(connection, GRACE_MS, now) &&
            shut_count++ < ROOM)
            shut(connection);
    }
}

/* When to look again. -1: out of memory. */
static int
set_look(struct status_page *page)
{
    static const struct timeval soon = {0, FULL_MS * 1000};
    static const struct timeval later = {0, LOOK_MS * 1000};

    return event_add(page->look, page->count >= STATUS_PAGE_CONNECTIONS_MAX
                                     ? &soon
                                     : &later);
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
    struct status_page *page = arg;

    (void)fd;
    (void)what;
    look(page);
    if (page->count < STATUS_PAGE_CONNECTIONS_MAX)
        (void)evconnlistener_enable(page->listener);
    else
        make_room(page);
    if (set_look(page) < 0)
        log_error("the status page closes no connections, out of memory");
}

/* The connection of a request; NULL: it is not counted. */
static struct connection *
connection_of(struct status_page *page, struct evhttp_request *request)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(
        evhttp_request_get_connection(request));
    struct connection *connection;

    TAILQ_FOREACH(connection, &page->connections, link)
    {
        if (connection->bev == bev)
            return connection;
    }
    return NULL;
}

/* The answer has been sent whole: it waits for the next request. */
static void
on_answered(struct evhttp_request *request, void *arg)
{
    struct status_page *page = arg;
    struct connection *connection = connection_of(page, request);

    if (connection == NULL)
        return;
    connection->quiet_since = clock_boot_ms();
    TAILQ_REMOVE(&page->connections, connection, link);
    TAILQ_INSERT_TAIL(&page->connections, connection, link);
}

/*
 * For a connection that was just accepted. NULL: libevent makes its own, which
 * is as good but not counted.
 */
static struct bufferevent *
on_connection(struct event_base *base, void *arg)
{
    struct status_page *page = arg;
    struct connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL)
        return NULL;
    connection->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (connection->bev == NULL) {
        free(connection);
        return NULL;
    }
    look(page); /* the new one is not among them: it has no callbacks yet */
    bufferevent_incref(connection->bev);
    connection->quiet_since = clock_boot_ms();
    connection->ends_at = connection->quiet_since + page->settings.life_ms;
    TAILQ_INSERT_TAIL(&page->connections, connection, link);
    if (++page->count >= STATUS_PAGE_CONNECTIONS_MAX) {
        (void)evconnlistener_disable(page->listener);
        (void)set_look(page); /* else it is as late as it would be */
    }
    return connection->bev;
}

/* ---- Requests ------------------------------------------------------------ */

bool
status_page_is_own_name(const char *host)
{
    struct in_addr address;

    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &address) == 1 &&
            ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET);
}

static void
refuse(struct answer *answer, int status, const char *reason, const char *text)
{
    answer->status = status;
    answer->reason = reason;
    answer->type = STATUS_PAGE_TEXT;
    buf_append_str(&answer->body, text);
}

static void
refuse_path(const struct status_page *page, struct answer *answer)
{
    refuse(answer, HTTP_NOTFOUND, "Not Found", "there are");
    for (size_t i = 0; i < page->settings.route_count; i++) {
        buf_append_str(&answer->body, i == 0 ? " " : ", ");
        buf_append_str(&answer->body, page->settings.routes[i].path);
    }
    buf_append_char(&answer->body, '\n');
}

static void
find_answer(const struct status_page *page, struct evhttp_request *request,
            struct answer *answer)
{
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
    const char *host = evhttp_request_get_host(request);

    if (page->is_tcp && (host == NULL || !status_page_is_own_name(host))) {
        refuse(answer, 421, "Misdirected Request",
               "ask for localhost or a loopback address; a proxy must set the "
               "field Host to that\n");
        return;
    }
    if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
        refuse(answer, HTTP_BADMETHOD, "Method Not Allowed",
               "nothing can be changed here\n");
        return;
    }
    for (size_t i = 0; path != NULL && i < page->settings.route_count; i++) {
        const struct status_page_route *route = &page->settings.routes[i];

        if (strcmp(path, route->path) != 0)
            continue;
        answer->type = route->type;
        if (!route->write(&answer->body, page->settings.arg)) {
            answer->status = HTTP_SERVUNAVAIL;
            answer->reason = "Service Unavailable";
        }
        return;
    }
    refuse_path(page, answer);
}

/* Nothing is kept, and a browser does nothing else with it. */
static int
add_headers(struct evhttp_request *request, const struct answer *answer)
{
    const struct {
        const char *name;
        const char *value;
    } fields[] = {
        {"Content-Type", answer->type},
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Content-Security-Policy",
         "default-src 'none'; style-src 'unsafe-inline'; "
         "frame-ancestors 'none'; form-action 'none'; base-uri 'none'"},
    };
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    char len[24];

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (evhttp_add_header(headers, fields[i].name, fields[i].value) < 0)
            return -1;
    if (answer->status == HTTP_BADMETHOD &&
        evhttp_add_header(headers, "Allow", "GET, HEAD") < 0)
        return -1;
    /* Said also of what is not sent: RFC 9110, section 9.3.2. */
    (void)snprintf(len, sizeof(len), "%zu", answer->body.len);
    return evhttp_add_header(headers, "Content-Length", len);
}

/* From libevent, when a request is whole. */
static void
on_request(struct evhttp_request *request, void *arg)
{
    struct status_page *page = arg;
    struct connection *connection = connection_of(page, request);
    struct answer answer = {.status = HTTP_OK, .reason = "OK"};
    struct evbuffer *body = NULL;

    if (connection != NULL) {
        connection->quiet_since = 0;
        evhttp_request_set_on_complete_cb(request, on_answered, page);
    }
    buf_init(&answer.body, STATUS_PAGE_SIZE_MAX);
    find_answer(page, request, &answer);
    if (evhttp_request_get_command(request) != EVHTTP_REQ_HEAD)
        body = evbuffer_new();
    if (buf_failed(&answer.body) || add_headers(request, &answer) < 0 ||
        (body != NULL &&
         evbuffer_add(body, answer.body.data, answer.body.len) < 0))
        evhttp_send_error(request, HTTP_INTERNAL, "out of memory");
    else
        evhttp_send_reply(request, answer.status, answer.reason, body);
    if (body != NULL)
        evbuffer_free(body);
    buf_clear(&answer.body);
}

/* ---- Life ---------------------------------------------------------------- */

static bool
is_tcp(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    return getsockname(fd, (struct sockaddr *)&address, &len) < 0 ||
           address.ss_family != AF_UNIX;
}

/*
 * Out of descriptors or memory: leave the rest in the backlog for a moment.
 * `arg` is libevent's server, not ours, so on_look() comes by itself.
 */
static void
on_accept_failed(struct evconnlistener *listener, void *arg)
{
    (void)arg;
    log_warning("the status page can't take a connection; raise LimitNOFILE "
                "if this goes on");
    (void)evconnlistener_disable(listener);
}

static int
listen_on(struct status_page *page)
{
    struct evhttp_bound_socket *bound;

    /* A backlog of 0: it listens already. */
    page->listener = evconnlistener_new(
        page->base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC, 0, page->settings.fd);
    if (page->listener == NULL)
        return -1;
    bound = evhttp_bind_listener(page->http, page->listener);
    if (bound == NULL) {
        evconnlistener_free(page->listener);
        page->listener = NULL;
        return -1;
    }
    evconnlistener_set_error_cb(page->listener, on_accept_failed);
    return 0;
}

struct status_page *
status_page_new(struct event_base *base,
                const struct status_page_settings *settings)
{
    struct status_page *page = calloc(1, sizeof(*page));

    if (page == NULL)
        return NULL;
    TAILQ_INIT(&page->connections);
    page->base = base;
    page->settings = *settings;
    if (page->settings.request_ms == 0)
        page->settings.request_ms = STATUS_PAGE_REQUEST_MS;
    page->is_tcp = is_tcp(settings->fd);
    page->look = evtimer_new(base, on_look, page);
    page->http = evhttp_new(base);
    if (page->look == NULL || page->http == NULL || set_look(page) < 0) {
        status_page_free(&page);
        return NULL;
    }
    evhttp_set_allowed_methods(page->http, ALL_METHODS);
    evhttp_set_max_headers_size(page->http, STATUS_PAGE_HEADERS_MAX);
    evhttp_set_max_body_size(page->http, 0);
    evhttp_set_timeout(page->http, STATUS_PAGE_IDLE_S);
    evhttp_set_bevcb(page->http, on_connection, page);
    evhttp_set_gencb(page->http, on_request, page);
    if (listen_on(page) < 0)
        status_page_free(&page);
    return page;
}

void
status_page_free(struct status_page **page)
{
    struct connection *connection;

    if (*page == NULL)
        return;
    if ((*page)->http != NULL)
        evhttp_free((*page)->http);
    while ((connection = TAILQ_FIRST(&(*page)->connections)) != NULL)
        connection_free(*page, connection);
    if ((*page)->look != NULL)
        event_free((*page)->look);
    free(*page);
    *page = NULL;
}

size_t
status_page_connections(const struct status_page *page)
{
    return page->count;
}
