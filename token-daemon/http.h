/*
 * http - HTTPS requests that never block the event loop.
 *
 * The only module that knows curl. TLS 1.2 or later with verification; plain
 * HTTP to this host and to 169.254.169.254 (a cloud's metadata service) only;
 * no redirects, no cookies, no proxies from the environment. Connections are
 * kept and used again, but for what must not be sent twice. Calls begin one per
 * turn of the event loop. Answers are capped. No text it makes holds a URL's
 * query, a body or a byte of an answer.
 */
#ifndef TOKEN_DAEMON_HTTP_H
#define TOKEN_DAEMON_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define HTTP_TIMEOUT_MS         30000
#define HTTP_CONNECT_TIMEOUT_MS 10000
#define HTTP_BODY_MAX           ((size_t)256 * 1024) /* bytes of an answer's body */
#define HTTP_HEADER_MAX         128 /* bytes of a header that is kept, with NUL */
#define HTTP_CHALLENGE_MAX      512 /* of WWW-Authenticate */

struct event_base;
struct http;
struct http_call;

/*
 * One for the process: it sets curl's allocators (those of hardening.h).
 * Owned: http_free(). Errors: ERR_SYSTEM.
 */
struct http *http_new(struct event_base *base, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Close all connections; set *http to NULL. Takes NULL. Calls still running
 * are cancelled: their pointers are dead then. Not from within http_done_fn.
 */
void http_free(struct http **http);

struct http_request {
    const char *url;            /* https://..., no user or password in it */
    const char *const *headers; /* `Name: value`, NULL at the end; or NULL */
    const char *body;           /* NULL: GET; else POST. Copied, wiped after */
    size_t body_len;            /* bytes */
    const char *ca_file;        /* PEM; in place of the system's. NULL: those */
    const char *proxy;          /* NULL: none. Never used for this host */
    int timeout_ms;             /* for all of it; 0: HTTP_TIMEOUT_MS */
    /*
     * It holds something that counts once, such as a refresh token. On a kept
     * connection that the server is about to close curl would send it again
     * by itself, so it gets a connection of its own; TLS sessions are resumed.
     */
    bool is_single_use;
};

struct http_answer {
    /*
     * ERR_NONE: there was an answer, whatever its status. ERR_RETRY: there was
     * none. ERR_CONFIG: a CA file or proxy that can't be used. ERR_PROTO: what
     * came was no HTTP, or too long. ERR_SYSTEM.
     */
    struct err err;
    int status;                        /* 0: none */
    int64_t at_us;                     /* of CLOCK_BOOTTIME, when it came */
    const char *body;                  /* borrowed: until the call returns */
    size_t body_len;                   /* bytes */
    char retry_after[HTTP_HEADER_MAX]; /* field value; "": none */
    char date[HTTP_HEADER_MAX];
    char www_authenticate[HTTP_CHALLENGE_MAX];
};

/* Called exactly once, unless cancelled, from the event loop. */
typedef void http_done_fn(const struct http_answer *answer, void *arg);

/*
 * Start a request; everything in *request is copied. `done` never comes from
 * within. After `done` the pointer must be forgotten. NULL with ERR_CONFIG when
 * the URL is not allowed, ERR_SYSTEM otherwise; `done` is not called then.
 */
struct http_call *http_start(struct http *http,
                             const struct http_request *request,
                             http_done_fn *done, void *arg, struct err *err)
    __attribute__((warn_unused_result));

/* Give up without a call of `done`; set *call to NULL. Takes NULL. */
void http_cancel(struct http_call **call);

#endif
