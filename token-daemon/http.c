/*
 * http - HTTPS requests that never block the event loop.
 *
 * curl tells by two callbacks which sockets to watch and when to be called
 * again; both become libevent events, which call curl_multi_socket_action().
 * What has ended is collected after that call, never from within curl, so that
 * the callers' callbacks may start and cancel other calls.
 */
#include "token-daemon/http.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <unistd.h>

#include <curl/curl.h>
#include <event2/event.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/util.h"
#include "token-daemon/hardening.h"

/*
 * At once; further calls wait their turn, and their time limit runs meanwhile.
 * So many that a provider that takes seconds for each answer does not make the
 * requests of thousands of mailboxes wait for each other until they fail.
 */
#define HOST_CONNECTIONS_MAX 1024
#define HEADERS_MAX          ((size_t)64 * 1024) /* bytes, of one answer */
#define METADATA_HOST        "169.254.169.254"

/* Names of libcurl 7.85 and 7.87 for what older ones have otherwise. */
#if LIBCURL_VERSION_NUM >= 0x075500
#define PROTOCOLS       CURLOPT_PROTOCOLS_STR
#define PROTOCOLS_HTTPS "https"
#define PROTOCOLS_HTTP  "http"
#else
#define PROTOCOLS       CURLOPT_PROTOCOLS
#define PROTOCOLS_HTTPS ((long)CURLPROTO_HTTPS)
#define PROTOCOLS_HTTP  ((long)CURLPROTO_HTTP)
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
#define QUICK_EXIT CURLOPT_QUICK_EXIT
#else
#define QUICK_EXIT CURLOPT_NOSIGNAL
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
#define CA_CACHE   CURLOPT_CA_CACHE_TIMEOUT
#define CA_CACHE_S 300L
#else
#define CA_CACHE   CURLOPT_NOSIGNAL
#define CA_CACHE_S 1L
#endif

/* A socket of curl's that is being watched. */
struct http_socket {
    LIST_ENTRY(http_socket) link;
    struct event *event;
};

struct http {
    struct event_base *base;
    CURLM *multi;
    CURLSH *share; /* TLS sessions */
    struct event *timer;
    bool has_bundle; /* the system's CA certificates are in one file */
    TAILQ_HEAD(, http_call) waiting;
    struct event *starter; /* of the first of them */
    LIST_HEAD(, http_call) calls;
    LIST_HEAD(, http_socket) sockets;
};

struct http_call {
    LIST_ENTRY(http_call) link;
    TAILQ_ENTRY(http_call) turn;
    bool is_waiting; /* in `waiting`; curl does not know it yet */
    struct http *http;
    CURL *easy;
    CURLU *url;
    char *host;    /* curl's; for messages */
    bool is_plain; /* http, not https */
    bool is_here;  /* this host, or its metadata service: no proxy */
    struct curl_slist *headers;
    struct buf body; /* of the request */
    http_done_fn *done;
    void *arg;
    struct http_answer answer;
    struct buf answer_body;
    size_t header_bytes;
    bool is_too_long;
    bool is_doomed; /* see act() */
};

/* ---- The answer, as it comes --------------------------------------------- */

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_call *call = arg;
    size_t len = size * count;

    buf_append(&call->answer_body, data, len);
    if (buf_failed(&call->answer_body)) {
        call->is_too_long = true;
        return 0; /* makes curl end the transfer */
    }
    return len;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Keep the value of the header `name`, when this line is it. */
static void
keep_header(const char *line, size_t len, const char *name, char *out,
            size_t size)
{
    size_t name_len = strlen(name);

    if (len <= name_len || line[name_len] != ':' ||
        strncasecmp(line, name, name_len) != 0)
        return;
    line += name_len + 1;
    len -= name_len + 1;
    while (len > 0 && is_blank(line[0])) {
        line++;
        len--;
    }
    while (len > 0 && is_blank(line[len - 1]))
        len--;
    if (len >= size || memchr(line, '\0', len) != NULL)
        return;
    memcpy(out, line, len);
    out[len] = '\0';
}

static size_t
on_header(char *line, size_t size, size_t count, void *arg)
{
    struct http_call *call = arg;
    struct http_answer *answer = &call->answer;
    size_t len = size * count;

    call->header_bytes += len;
    if (call->header_bytes > HEADERS_MAX) {
        call->is_too_long = true;
        return 0;
    }
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
        /* A new block: what a proxy or a 100 said before does not count. */
        answer->retry_after[0] = '\0';
        answer->date[0] = '\0';
        answer->www_authenticate[0] = '\0';
    }
    keep_header(line, len, "Retry-After", answer->retry_after,
                sizeof(answer->retry_after));
    keep_header(line, len, "Date", answer->date, sizeof(answer->date));
    keep_header(line, len, "WWW-Authenticate", answer->www_authenticate,
                sizeof(answer->www_authenticate));
    return len;
}

/* ---- Calls --------------------------------------------------------------- */

static void
free_call(struct http_call *call)
{
    LIST_REMOVE(call, link);
    if (call->is_waiting)
        TAILQ_REMOVE(&call->http->waiting, call, turn);
    if (call->easy != NULL) {
        (void)curl_multi_remove_handle(call->http->multi, call->easy);
        curl_easy_cleanup(call->easy);
    }
    curl_slist_free_all(call->headers);
    curl_free(call->host);
    curl_url_cleanup(call->url);
    buf_clear(&call->body);
    buf_clear(&call->answer_body);
    free(call);
}

static enum err_code
code_of(CURLcode code)
{
    switch ((int)code) {
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
        return ERR_SYSTEM;
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_CIPHER:
        return ERR_CONFIG;
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer of HTTP/0.9, or of no HTTP */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return ERR_PROTO;
    }
    return ERR_RETRY;
}

/* Say why there is no answer. Only texts of ours and of curl's own tables. */
static void
describe_failure(struct http_call *call, CURLcode code)
{
    struct err *err = &call->answer.err;
    long verify = 0;

    if (call->is_too_long) {
        (void)err_set(err, ERR_PROTO,
                      "the answer of %s is longer than %zu bytes", call->host,
                      HTTP_BODY_MAX);
        return;
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        (void)curl_easy_getinfo(call->easy, CURLINFO_SSL_VERIFYRESULT, &verify);
        (void)err_set(err, ERR_RETRY,
                      "the certificate of %s is not trusted (X.509 error %ld): "
                      "check ca_file, this host's clock, and proxies that open "
                      "TLS",
                      call->host, verify);
        return;
    }
    if (code == CURLE_SSL_CACERT_BADFILE) {
        (void)err_set(err, ERR_CONFIG,
                      "no answer from %s: ca_file can't be read, or there is "
                      "no certificate in it",
                      call->host);
        return;
    }
    (void)err_set(err, code_of(code), "no answer from %s: %s", call->host,
                  curl_easy_strerror(code));
}

/* curl is done with this call: tell, and free it. */
static void
finish_call(struct http_call *call, CURLcode code)
{
    struct http_answer *answer = &call->answer;
    long status = 0;

    answer->at_us = clock_boot_us();
    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK) {
        answer->status = (int)status;
        answer->body = buf_str(&call->answer_body);
        answer->body_len = call->answer_body.len;
    } else {
        describe_failure(call, code);
    }
    call->done(answer, call->arg);
    free_call(call);
}

static void
collect(struct http *http)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct http_call *call = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        finish_call(call, code);
    }
}

/* ---- curl on libevent ---------------------------------------------------- */

static struct http_call *
find_doomed(struct http *http)
{
    struct http_call *call;

    LIST_FOREACH(call, &http->calls, link)
    {
        if (call->is_doomed) /* NOLINT(*-unix.Malloc): as in http_free() */
            break;
    }
    return call;
}

/*
 * Something happened at `fd`, or the time has come. When curl is out of memory
 * (or a callback of ours is) it leaves calls behind that nothing would ever
 * wake, so then all that are running end. Callbacks may start new ones and
 * cancel old ones meanwhile.
 */
static void
act(struct http *http, curl_socket_t fd, int what)
{
    struct http_call *call;
    int running;

    if (curl_multi_socket_action(http->multi, fd, what, &running) == CURLM_OK) {
        collect(http);
        return;
    }
    LIST_FOREACH(call, &http->calls, link)
    {
        call->is_doomed = true;
    }
    collect(http);
    while ((call = find_doomed(http)) != NULL)
        finish_call(call, CURLE_OUT_OF_MEMORY);
}

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
    act(arg, fd,
        ((what & EV_READ) ? CURL_CSELECT_IN : 0) |
            ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0));
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void
free_socket(struct http_socket *watched)
{
    LIST_REMOVE(watched, link);
    event_free(watched->event);
    free(watched);
}

/* A new entry for `fd`, which curl hands back at each further change. */
static struct http_socket *
new_socket(struct http *http, curl_socket_t fd)
{
    struct http_socket *watched = calloc(1, sizeof(*watched));

    if (watched == NULL)
        return NULL;
    watched->event = event_new(http->base, fd, 0, on_socket, http);
    if (watched->event == NULL) {
        free(watched);
        return NULL;
    }
    LIST_INSERT_HEAD(&http->sockets, watched, link);
    (void)curl_multi_assign(http->multi, fd, watched);
    return watched;
}

/* curl: watch this socket for that. -1 makes curl fail its transfers. */
static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
             void *socket_arg)
{
    struct http *http = arg;
    struct http_socket *watched = socket_arg;
    short events = EV_PERSIST;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watched != NULL)
            free_socket(watched);
        (void)curl_multi_assign(http->multi, fd, NULL);
        return 0;
    }
    if (watched == NULL)
        watched = new_socket(http, fd);
    if (watched == NULL)
        return -1;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= EV_READ;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= EV_WRITE;
    (void)event_del(watched->event);
    if (event_assign(watched->event, http->base, fd, events, on_socket, http) <
            0 ||
        event_add(watched->event, NULL) < 0)
        return -1;
    return 0;
}

/* curl: call again in so many milliseconds; -1: not at all. */
static int
set_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct http *http = arg;
    struct timeval wait;

    (void)multi;
    if (timeout_ms < 0)
        return event_del(http->timer);
    wait.tv_sec = timeout_ms / 1000;
    wait.tv_usec = timeout_ms % 1000 * 1000;
    return event_add(http->timer, &wait);
}

/*
 * The next call begins. One at a time: setting up a connection takes some time
 * even where nothing blocks, and a thousand of them would be felt.
 */
static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct http *http = arg;
    struct http_call *call = TAILQ_FIRST(&http->waiting);

    (void)fd;
    (void)what;
    if (call == NULL)
        return;
    TAILQ_REMOVE(&http->waiting, call, turn);
    call->is_waiting = false;
    if (!TAILQ_EMPTY(&http->waiting))
        event_active(http->starter, EV_TIMEOUT, 0);
    if (curl_multi_add_handle(http->multi, call->easy) != CURLM_OK)
        finish_call(call, CURLE_OUT_OF_MEMORY);
}

/* Is the system's list of CA certificates a file, and there? */
static bool
has_bundle(void)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

    return info->age >= CURLVERSION_SEVENTH && info->cainfo != NULL &&
           access(info->cainfo, R_OK) == 0;
}

/* ---- Public -------------------------------------------------------------- */

struct http *
http_new(struct event_base *base, struct err *err)
{
    struct http *http = calloc(1, sizeof(*http));

    if (http == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, hardening_malloc,
                             hardening_free, hardening_realloc,
                             hardening_strdup, hardening_calloc) != CURLE_OK) {
        free(http);
        (void)err_set(err, ERR_SYSTEM, "libcurl can't be initialised");
        return NULL;
    }
    http->base = base;
    TAILQ_INIT(&http->waiting);
    LIST_INIT(&http->calls);
    LIST_INIT(&http->sockets);
    http->timer = evtimer_new(base, on_timer, http);
    http->starter = evtimer_new(base, on_turn, http);
    http->has_bundle = has_bundle();
    http->multi = curl_multi_init();
    http->share = curl_share_init();
    if (http->timer == NULL || http->starter == NULL || http->multi == NULL ||
        http->share == NULL ||
        curl_share_setopt(http->share, CURLSHOPT_SHARE,
                          CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK ||
        curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) !=
            CURLM_OK ||
        curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) != CURLM_OK ||
        curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, set_timer) !=
            CURLM_OK ||
        curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) != CURLM_OK ||
        curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                          (long)HOST_CONNECTIONS_MAX) != CURLM_OK) {
        http_free(&http);
        (void)err_set(err, ERR_SYSTEM, "libcurl can't be set up");
    }
    return http;
}

void
http_free(struct http **http)
{
    struct http *old = *http;

    if (old == NULL)
        return;
    /* The analyser does not see that LIST_REMOVE() changes the head. */
    while (!LIST_EMPTY(&old->calls))
        free_call(LIST_FIRST(&old->calls)); /* NOLINT(*-unix.Malloc) */
    if (old->multi != NULL)
        (void)curl_multi_cleanup(old->multi);
    while (!LIST_EMPTY(&old->sockets))
        free_socket(LIST_FIRST(&old->sockets)); /* NOLINT(*-unix.Malloc) */
    if (old->timer != NULL)
        event_free(old->timer);
    if (old->starter != NULL)
        event_free(old->starter);
    (void)curl_share_cleanup(old->share);
    free(old);
    curl_global_cleanup();
    *http = NULL;
}

/* 127.0.0.0/8, ::1, and the one name that always means this host. */
static bool
is_loopback(const char *host)
{
    struct in_addr address;

    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &address) == 1 &&
           ntohl(address.s_addr) >> 24 == 127;
}

/* Read the URL, once, by the very parser that the transfer uses. */
static int
read_url(struct http_call *call, const char *text, struct err *err)
{
    char *scheme = NULL;
    int rc = -1;

    call->url = curl_url();
    if (call->url == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    if (curl_url_set(call->url, CURLUPART_URL, text, CURLU_DISALLOW_USER) !=
            CURLUE_OK ||
        curl_url_get(call->url, CURLUPART_HOST, &call->host, 0) != CURLUE_OK ||
        curl_url_get(call->url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK) {
        (void)err_set(err, ERR_CONFIG,
                      "it is not a URL of the form https://HOST/PATH");
        goto out;
    }
    call->is_here =
        is_loopback(call->host) || strcmp(call->host, METADATA_HOST) == 0;
    call->is_plain = strcasecmp(scheme, "http") == 0;
    if (strcasecmp(scheme, "https") != 0 &&
        !(call->is_plain && call->is_here)) {
        (void)err_set(err, ERR_CONFIG,
                      "its URL must begin with https:// (http:// is for this "
                      "host and %s only)",
                      METADATA_HOST);
        goto out;
    }
    rc = 0;
out:
    curl_free(scheme);
    return rc;
}

static int
add_header(struct http_call *call, const char *line)
{
    struct curl_slist *longer = curl_slist_append(call->headers, line);

    if (longer == NULL)
        return -1;
    call->headers = longer;
    return 0;
}

/* What is the same for every request, and what this one is. */
static int
copy_request(struct http_call *call, const struct http_request *request)
{
    if (add_header(call, "Accept: application/json") < 0 ||
        add_header(call, "Expect:") < 0) /* never wait for a 100 */
        return -1;
    for (size_t i = 0; request->headers != NULL && request->headers[i] != NULL;
         i++)
        if (add_header(call, request->headers[i]) < 0)
            return -1;
    buf_init(&call->body, request->body_len);
    if (request->body != NULL)
        buf_append(&call->body, request->body, request->body_len);
    return buf_failed(&call->body) ? -1 : 0;
}

/* Sets one option, unless one before it was refused. */
#define SET(option, value) \
    (code = code != CURLE_OK ? code : curl_easy_setopt(easy, option, value))

static CURLcode
set_callbacks(struct http_call *call)
{
    CURL *easy = call->easy;
    CURLcode code = CURLE_OK;

    SET(CURLOPT_PRIVATE, call);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, call);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, call);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(QUICK_EXIT, 1L); /* a name server that hangs must not hang us */
    return code;
}

static CURLcode
set_content(struct http_call *call, const struct http_request *request)
{
    CURL *easy = call->easy;
    CURLcode code = CURLE_OK;
    long timeout_ms =
        request->timeout_ms > 0 ? request->timeout_ms : HTTP_TIMEOUT_MS;

    SET(CURLOPT_CURLU, call->url);
    SET(CURLOPT_HTTPHEADER, call->headers);
    SET(CURLOPT_USERAGENT, "xoauth2-tokend");
    SET(CURLOPT_TIMEOUT_MS, timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_TIMEOUT_MS);
    if (request->body != NULL) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDS, buf_str(&call->body)); /* not copied */
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
    }
    return code;
}

/* Whom it may talk to, and how. */
static CURLcode
set_peers(struct http_call *call, const struct http_request *request)
{
    CURL *easy = call->easy;
    CURLcode code = CURLE_OK;

    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(PROTOCOLS, call->is_plain ? PROTOCOLS_HTTP : PROTOCOLS_HTTPS);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    /* An empty string keeps curl from looking at the environment. */
    SET(CURLOPT_PROXY,
        request->proxy != NULL && !call->is_here ? request->proxy : "");
    SET(CURLOPT_NOPROXY, "");
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (request->ca_file != NULL)
        SET(CURLOPT_CAINFO, request->ca_file);
    /* Read once in a while, as that takes longer than all the rest; curl does
     * so where there is no directory of certificates beside the file. */
    if (request->ca_file != NULL || call->http->has_bundle)
        SET(CURLOPT_CAPATH, NULL);
    SET(CA_CACHE, CA_CACHE_S);
    SET(CURLOPT_SHARE, call->http->share);
    SET(CURLOPT_FRESH_CONNECT, request->is_single_use ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, request->is_single_use ? 1L : 0L);
    return code;
}

static CURLcode
set_options(struct http_call *call, const struct http_request *request)
{
    CURLcode code = set_callbacks(call);

    if (code == CURLE_OK)
        code = set_content(call, request);
    if (code == CURLE_OK)
        code = set_peers(call, request);
    return code;
}

struct http_call *
http_start(struct http *http, const struct http_request *request,
           http_done_fn *done, void *arg, struct err *err)
{
    struct http_call *call = calloc(1, sizeof(*call));
    CURLcode code;

    if (call == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    call->http = http;
    call->done = done;
    call->arg = arg;
    buf_init(&call->answer_body, HTTP_BODY_MAX);
    LIST_INSERT_HEAD(&http->calls, call, link);

    if (read_url(call, request->url, err) < 0)
        goto fail;
    call->easy = curl_easy_init();
    if (call->easy == NULL || copy_request(call, request) < 0) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        goto fail;
    }
    code = set_options(call, request);
    if (code != CURLE_OK) {
        (void)err_set(err, code_of(code), "libcurl refuses an option: %s",
                      curl_easy_strerror(code));
        goto fail;
    }
    call->is_waiting = true;
    TAILQ_INSERT_TAIL(&http->waiting, call, turn);
    event_active(http->starter, EV_TIMEOUT, 0);
    return call;
fail:
    free_call(call);
    return NULL;
}

void
http_cancel(struct http_call **call)
{
    if (*call == NULL)
        return;
    free_call(*call);
    *call = NULL;
}
