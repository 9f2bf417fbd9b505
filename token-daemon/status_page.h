/*
 * status_page - what goes on, read-only, over HTTP on this machine.
 *
 *     /             a page for a person
 *     /status.json  what `xoauth2ctl --json status` prints, in one line
 *     /metrics      for Prometheus
 *     /healthz      200 or 503, and one line
 *
 * GET and HEAD only; no request has a body. Headers, connections and their
 * lives are bounded. Over TCP, requests for any name but this machine's own
 * loopback names are refused, so that no page in a browser can read it by a
 * name of its own that leads here. Knows nothing of what it shows.
 */
#ifndef TOKEN_DAEMON_STATUS_PAGE_H
#define TOKEN_DAEMON_STATUS_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define STATUS_PAGE_HEADERS_MAX     8192 /* bytes of a request */
#define STATUS_PAGE_CONNECTIONS_MAX 32
#define STATUS_PAGE_IDLE_S          10
#define STATUS_PAGE_LIFE_MS         60000              /* of a connection */
#define STATUS_PAGE_SIZE_MAX        ((size_t)64 << 20) /* bytes of an answer */

struct event_base;
struct status_page;

struct status_page_env {
    /* Append the exposition of metrics. */
    void (*metrics)(struct buf *out, void *arg);
    /* Append one line. Is all well? */
    bool (*health)(struct buf *out, void *arg);
    /* Append the control answer to `status`, one JSON object. */
    void (*status)(struct buf *out, void *arg);
    int64_t (*wall)(void *arg); /* s since 1970 */
    void *arg;
};

/*
 * Serve the listening, non-blocking socket `fd` (borrowed: for the page's
 * life, as is `base`). `life_ms`: after so long a connection is closed. Owned;
 * NULL when out of memory.
 */
struct status_page *status_page_new(struct event_base *base, int fd,
                                    const struct status_page_env *env,
                                    int life_ms)
    __attribute__((warn_unused_result));

/* Close every connection. Takes NULL. */
void status_page_free(struct status_page **page);

/* Open connections. */
size_t status_page_connections(const struct status_page *page);

/* Pure: is it a name of this machine, without its port? */
bool status_page_is_own_name(const char *host);

#endif
