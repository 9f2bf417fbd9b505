/*
 * status_page - what goes on, read-only, over HTTP on this machine.
 *
 * The daemons serve these paths:
 *
 *     /             a page for a person
 *     /status.json  the same for programs
 *     /metrics      for Prometheus
 *     /healthz      200 or 503, and one line
 *
 * GET and HEAD only; no request has a body. Headers, connections and their
 * lives are bounded. Over TCP, requests for any name but this machine's own
 * loopback names are refused, so that no page in a browser can read it by a
 * name of its own that leads here. Knows nothing of what it shows. Everything
 * happens in the thread that runs the event loop.
 */
#ifndef COMMON_STATUS_PAGE_H
#define COMMON_STATUS_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

#define STATUS_PAGE_HEADERS_MAX     8192 /* bytes of a request */
#define STATUS_PAGE_CONNECTIONS_MAX 32
#define STATUS_PAGE_IDLE_S          10
#define STATUS_PAGE_REQUEST_MS      5000  /* until a request must be whole */
#define STATUS_PAGE_LIFE_MS         60000 /* of a connection */
#define STATUS_PAGE_SIZE_MAX        ((size_t)64 << 20) /* bytes of an answer */

#define STATUS_PAGE_HTML "text/html; charset=utf-8"
#define STATUS_PAGE_JSON "application/json"
#define STATUS_PAGE_TEXT "text/plain; charset=utf-8"

struct event_base;
struct status_page;

struct status_page_route {
    const char *path; /* "/metrics" */
    const char *type; /* its Content-Type */
    /* Append the body. True: status 200; false: 503, as all is not well. */
    bool (*write)(struct buf *out, void *arg);
};

struct status_page_settings {
    int fd; /* a listening, non-blocking socket; borrowed: for its life */
    const struct status_page_route *routes; /* the same */
    size_t route_count;
    void *arg;      /* of write() */
    int life_ms;    /* after so long a connection is closed */
    int request_ms; /* or when it has asked nothing whole for so long; 0: for
                       STATUS_PAGE_REQUEST_MS */
};

/* Serve; `base` is borrowed for its life. Owned; NULL when out of memory. */
struct status_page *status_page_new(struct event_base *base,
                                    const struct status_page_settings *settings)
    __attribute__((warn_unused_result));

/* Close every connection. Takes NULL. */
void status_page_free(struct status_page **page);

/* Open connections. */
size_t status_page_connections(const struct status_page *page);

/* Pure: is it a name of this machine, without its port? */
bool status_page_is_own_name(const char *host);

#endif
