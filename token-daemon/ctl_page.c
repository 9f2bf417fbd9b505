/*
 * ctl_page - the page to which a browser is sent after a sign-in.
 */
#include "token-daemon/ctl_page.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "common/html.h"
#include "common/util.h"

#define PORT_TRIES  8 /* one that is free on both addresses */
#define IDLE_S      60
#define HEADERS_MAX ((ev_ssize_t)CTL_PAGE_URI_MAX + 16384) /* bytes */
#define BACKLOG     16
#define HTTP_BUSY   409
#define PAGE_MAX    16384 /* bytes */

struct ctl_page {
    struct evhttp *http;
    int port;
    const struct ctl_page_ops *ops;
    void *arg;
    struct evhttp_request *waiting; /* for ctl_page_show(); or NULL */
    size_t unsent;                  /* answers on their way */
};

/* ---- What is shown ------------------------------------------------------ */

void
ctl_page_render(bool is_good, const char *text, struct buf *out)
{
    buf_append_str(
        out, "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
             "<title>");
    buf_append_str(out, is_good ? "Signed in" : "Not signed in");
    buf_append_str(out, "</title>\n<style>body{font:1.1em/1.5 sans-serif;"
                        "max-width:40em;margin:4em auto;padding:0 1em}"
                        "h1{border-left:.4em solid ");
    buf_append_str(out, is_good ? "#176b2c" : "#a01515");
    buf_append_str(out, ";padding-left:.6em}</style>\n<h1>");
    buf_append_str(out, is_good ? "Signed in" : "Not signed in");
    buf_append_str(out, "</h1>\n<p id=\"outcome\">");
    html_escape(text, out);
    buf_append_str(out, "</p>\n<p>You can close this window; xoauth2ctl says "
                        "the same.</p>\n</html>\n");
}

static void
on_sent(struct evhttp_request *request, void *arg)
{
    struct ctl_page *page = arg;

    (void)request;
    page->unsent--;
    if (page->unsent == 0)
        page->ops->sent(page->arg);
}

/* A browser keeps nothing of it, and does nothing else with it. */
static int
add_headers(struct evhttp_request *request)
{
    static const struct {
        const char *name;
        const char *value;
    } fields[] = {
        {"Content-Type", "text/html; charset=utf-8"},
        {"Cache-Control", "no-store"},
        {"Connection", "close"},
        {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Content-Security-Policy",
         "default-src 'none'; style-src 'unsafe-inline'; "
         "frame-ancestors 'none'; form-action 'none'; base-uri 'none'"},
    };
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (evhttp_add_header(headers, fields[i].name, fields[i].value) < 0)
            return -1;
    return 0;
}

static void
answer(struct ctl_page *page, struct evhttp_request *request, int status,
       bool is_good, const char *text)
{
    struct evbuffer *body = evbuffer_new();
    struct buf html;

    buf_init(&html, PAGE_MAX);
    ctl_page_render(is_good, text, &html);
    page->unsent++;
    evhttp_request_set_on_complete_cb(request, on_sent, page);
    if (body == NULL || buf_failed(&html) || add_headers(request) < 0 ||
        evbuffer_add(body, html.data, html.len) < 0)
        evhttp_send_error(request, HTTP_INTERNAL, "out of memory");
    else
        evhttp_send_reply(request, status, is_good ? "OK" : "Not signed in",
                          body);
    if (body != NULL)
        evbuffer_free(body);
    buf_clear(&html);
}

/* The browser that waited is gone. */
static void
on_closed(struct evhttp_connection *connection, void *arg)
{
    struct ctl_page *page = arg;

    (void)connection;
    page->waiting = NULL;
}

void
ctl_page_show(struct ctl_page *page, bool is_good, const char *text)
{
    struct evhttp_request *request = page->waiting;

    if (request == NULL)
        return;
    page->waiting = NULL;
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), NULL,
                                  NULL);
    answer(page, request, is_good ? HTTP_OK : HTTP_BADREQUEST, is_good, text);
}

bool
ctl_page_is_done(const struct ctl_page *page)
{
    return page->unsent == 0;
}

/* ---- Who comes ---------------------------------------------------------- */

/* Does the query say how a sign-in ended? RFC 6749, section 4.1.2. */
static bool
has_outcome(const char *query)
{
    for (const char *at = query; at != NULL; at = strchr(at, '&')) {
        at += *at == '&' ? 1 : 0;
        if (strncmp(at, "code=", 5) == 0 || strncmp(at, "error=", 6) == 0)
            return true;
    }
    return false;
}

/* A name of ours, so that no page elsewhere speaks here by one of its own. */
static bool
is_own_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]",
                                        "::1"};

    for (size_t i = 0; host != NULL && i < ARRAY_LEN(names); i++)
        if (strcasecmp(host, names[i]) == 0)
            return true;
    return false;
}

static void
on_request(struct evhttp_request *request, void *arg)
{
    const char *uri = evhttp_request_get_uri(request);
    const struct evhttp_uri *parts = evhttp_request_get_evhttp_uri(request);
    const char *path = parts != NULL ? evhttp_uri_get_path(parts) : NULL;
    const char *query = parts != NULL ? evhttp_uri_get_query(parts) : NULL;
    struct ctl_page *page = arg;

    if (!is_own_name(evhttp_request_get_host(request)) || path == NULL ||
        strcmp(path, "/") != 0 || !has_outcome(query)) {
        answer(page, request, HTTP_NOTFOUND, false,
               "Only the answer to a sign-in is taken here.");
        return;
    }
    if (page->waiting != NULL) {
        answer(page, request, HTTP_BUSY, false,
               "Another answer is being looked at.");
        return;
    }
    page->waiting = request;
    evhttp_connection_set_closecb(evhttp_request_get_connection(request),
                                  on_closed, page);
    page->ops->came(uri, page->arg);
}

/* ---- Listening ---------------------------------------------------------- */

/* A listening socket, or -1 with errno. *port is filled in where it was 0. */
static int
listen_on(int family, int *port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)*port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)*port),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *address =
        family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t size = family == AF_INET ? sizeof(v4) : sizeof(v6);
    const int yes = 1;
    int fd =
        socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    int reason;

    if (fd >= 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
        (family == AF_INET ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) == 0) &&
        bind(fd, address, size) == 0 && listen(fd, BACKLOG) == 0 &&
        getsockname(fd, address, &size) == 0) {
        *port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
        return fd;
    }
    reason = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = reason;
    return -1;
}

static int
serve(struct ctl_page *page, int fd)
{
    if (evhttp_accept_socket(page->http, fd) == 0)
        return 0;
    (void)close(fd);
    errno = ENOMEM;
    return -1;
}

/* Both addresses, or the one that there is. -1 with errno. */
static int
listen_on_both(struct ctl_page *page, int port)
{
    int v4 = listen_on(AF_INET, &port);
    int reason = errno;
    int v6;

    if (v4 < 0 && reason == EADDRINUSE)
        return -1;
    v6 = listen_on(AF_INET6, &port);
    if (v6 < 0 && (v4 < 0 || errno == EADDRINUSE)) {
        reason = errno;
        if (v4 >= 0)
            (void)close(v4);
        errno = reason;
        return -1;
    }
    page->port = port;
    if (v4 >= 0 && serve(page, v4) < 0) {
        if (v6 >= 0)
            (void)close(v6);
        return -1;
    }
    return v6 >= 0 ? serve(page, v6) : 0;
}

struct ctl_page *
ctl_page_open(struct event_base *base, int port, const struct ctl_page_ops *ops,
              void *arg, struct err *err)
{
    struct ctl_page *page = calloc(1, sizeof(*page));
    int rc = -1;

    if (page != NULL)
        page->http = evhttp_new(base);
    if (page == NULL || page->http == NULL) {
        free(page);
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    page->ops = ops;
    page->arg = arg;
    evhttp_set_allowed_methods(page->http, EVHTTP_REQ_GET);
    evhttp_set_max_headers_size(page->http, HEADERS_MAX);
    evhttp_set_max_body_size(page->http, 0);
    evhttp_set_timeout(page->http, IDLE_S);
    evhttp_set_gencb(page->http, on_request, page);
    for (int i = 0; rc < 0 && i < (port == 0 ? PORT_TRIES : 1); i++)
        rc = listen_on_both(page, port);
    if (rc == 0)
        return page;
    (void)err_set(err, errno == EADDRINUSE ? ERR_CONFIG : ERR_SYSTEM,
                  "http://localhost:%d/ can't be served here: %s", port,
                  strerror(errno));
    ctl_page_close(&page);
    return NULL;
}

void
ctl_page_close(struct ctl_page **page)
{
    if (*page == NULL)
        return;
    if ((*page)->waiting != NULL)
        evhttp_connection_set_closecb(
            evhttp_request_get_connection((*page)->waiting), NULL, NULL);
    evhttp_free((*page)->http);
    free(*page);
    *page = NULL;
}

int
ctl_page_port(const struct ctl_page *page)
{
    return page->port;
}
