/*
 * observer - the status page, in a thread of its own.
 *
 * The thread runs an event loop until something can be read from `stop`. All of
 * libevent is used in that thread only, but for making and freeing it.
 */
#include "milter/observer.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/exposition.h"
#include "common/status_listener.h"
#include "common/status_page.h"
#include "common/util.h"
#include "milter/status_report.h"

#define SOCKET_MODE 0660
#define INSTALL_MAX 512 /* bytes of a command that makes a directory */

struct observer {
    struct observer_sources sources;
    struct status_listener listener;
    struct event_base *base;
    struct event *stop_event;
    int stop; /* an eventfd; -1: none */
    struct status_page *page;
    pthread_t thread;
    bool is_running;
};

/* ---- What the page shows ------------------------------------------------- */

static void
gather(const struct observer *observer, struct metrics_gauges *out)
{
    struct sendas *policy = policy_get(observer->sources.policy);

    *out = (struct metrics_gauges){
        .started_wall = observer->sources.started_wall,
        .entries = sendas_count(policy),
        .memory = sendas_memory(policy),
    };
    activity_count(observer->sources.activity, &out->sessions, &out->messages);
    sendas_unref(&policy);
}

static bool
show_page(struct buf *out, void *arg)
{
    const struct observer *observer = arg;
    struct metrics_gauges gauges;

    gather(observer, &gauges);
    status_report_html(observer->sources.metrics, &gauges, clock_wall(), out);
    return true;
}

static bool
show_status(struct buf *out, void *arg)
{
    const struct observer *observer = arg;
    struct metrics_gauges gauges;

    gather(observer, &gauges);
    status_report_json(observer->sources.metrics, &gauges, out);
    return true;
}

static bool
show_metrics(struct buf *out, void *arg)
{
    const struct observer *observer = arg;
    struct metrics_gauges gauges;

    gather(observer, &gauges);
    metrics_render(observer->sources.metrics, &gauges, out);
    return true;
}

/*
 * Also with a file that can't be used: whoever would restart the milter for a
 * 503 would have none.
 */
static bool
show_health(struct buf *out, void *arg)
{
    const struct observer *observer = arg;

    buf_append_str(out,
                   metrics_has_reload_failed(observer->sources.metrics)
                       ? "serving, but the newest configuration can't be used\n"
                       : "serving\n");
    return true;
}

static const struct status_page_route routes[] = {
    {"/", STATUS_PAGE_HTML, show_page},
    {"/status.json", STATUS_PAGE_JSON, show_status},
    {"/metrics", EXPOSITION_CONTENT_TYPE, show_metrics},
    {"/healthz", STATUS_PAGE_TEXT, show_health},
};

/* ---- The thread ---------------------------------------------------------- */

static void
on_stop(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)event_base_loopbreak(arg);
}

static void *
run(void *arg)
{
    const struct observer *observer = arg;

    (void)event_base_dispatch(observer->base);
    return NULL;
}

/* ---- Life ---------------------------------------------------------------- */

static int
listen_at(struct observer *observer, const char *where,
          struct unix_listener_inherited *inherited, struct err *err)
{
    const char *path = strchr(where, ':') + 1; /* or a port */
    const char *slash = strrchr(path, '/');
    char line[INSTALL_MAX];

    (void)snprintf(line, sizeof(line),
                   "install -d -o xoauth2-milter -g xoauth2-admin -m 2750 %.*s",
                   slash != NULL ? (int)(slash - path) : 0, path);
    return status_listener_open(
        &observer->listener,
        &(struct unix_listener_wish){
            .path = where, .mode = SOCKET_MODE, .install_line = line},
        inherited, err);
}

static int
start(struct observer *observer, struct err *err)
{
    observer->base = event_base_new();
    observer->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (observer->base == NULL || observer->stop < 0)
        return err_set(err, ERR_SYSTEM, "can't make an event loop: %s",
                       strerror(errno));
    observer->stop_event = event_new(observer->base, observer->stop, EV_READ,
                                     on_stop, observer->base);
    observer->page =
        status_page_new(observer->base, &(struct status_page_settings){
                                            .fd = observer->listener.fd,
                                            .routes = routes,
                                            .route_count = ARRAY_LEN(routes),
                                            .arg = observer,
                                            .life_ms = STATUS_PAGE_LIFE_MS,
                                        });
    if (observer->stop_event == NULL || observer->page == NULL ||
        event_add(observer->stop_event, NULL) < 0)
        return err_set(err, ERR_SYSTEM, "out of memory");
    if (pthread_create(&observer->thread, NULL, run, observer) != 0)
        return err_set(err, ERR_SYSTEM, "can't start a thread");
    observer->is_running = true;
    return 0;
}

struct observer *
observer_new(const char *where, struct unix_listener_inherited *inherited,
             const struct observer_sources *sources, struct err *err)
{
    struct observer *observer = calloc(1, sizeof(*observer));

    if (observer == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    observer->sources = *sources;
    observer->stop = -1;
    observer->listener.fd = -1;
    if (listen_at(observer, where, inherited, err) < 0 ||
        start(observer, err) < 0)
        observer_free(&observer);
    return observer;
}

void
observer_free(struct observer **observer)
{
    struct observer *o = *observer;

    if (o == NULL)
        return;
    if (o->is_running) {
        /* Can't fail: the counter is far from its end. */
        (void)eventfd_write(o->stop, 1);
        (void)pthread_join(o->thread, NULL);
    }
    status_page_free(&o->page);
    if (o->stop_event != NULL)
        event_free(o->stop_event);
    if (o->base != NULL)
        event_base_free(o->base);
    if (o->stop >= 0)
        (void)close(o->stop);
    status_listener_close(&o->listener);
    free(o);
    *observer = NULL;
}
