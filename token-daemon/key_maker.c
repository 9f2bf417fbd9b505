/*
 * key_maker - makes a key and its certificate beside the event loop.
 */
#include "token-daemon/key_maker.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

struct key_maker {
    char name[KEY_MAKER_NAME_MAX];
    int64_t now;
    int64_t lifetime_s;
    key_maker_fn *done;
    void *arg;
    pthread_t thread;
    bool has_thread;
    int fd; /* becomes readable when the thread is done; -1: none */
    struct event *ready;
    atomic_bool is_cancelled;

    /* The thread's, until it is done. */
    struct own_certificate own;
    struct err err;
    int rc;
};

static void
free_maker(struct key_maker *maker)
{
    atomic_store(&maker->is_cancelled, true);
    if (maker->has_thread)
        (void)pthread_join(maker->thread, NULL);
    if (maker->ready != NULL)
        event_free(maker->ready);
    if (maker->fd >= 0)
        (void)close(maker->fd);
    own_certificate_clear(&maker->own);
    free(maker);
}

static void *
run(void *arg)
{
    struct key_maker *maker = arg;
    const uint64_t one = 1;

    maker->rc = own_certificate_make(
        &(struct own_certificate_order){
            .name = maker->name,
            .now = maker->now,
            .lifetime_s = maker->lifetime_s,
            .is_cancelled = &maker->is_cancelled,
        },
        &maker->own, &maker->err);
    /* Of an eventfd of ours that nobody else writes to: it can't be full. */
    if (write(maker->fd, &one, sizeof(one)) != sizeof(one))
        abort();
    return NULL;
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct key_maker *maker = arg;

    (void)fd;
    (void)what;
    (void)pthread_join(maker->thread, NULL);
    maker->has_thread = false;
    maker->done(maker->rc == 0 ? &maker->own : NULL, &maker->err, maker->arg);
    free_maker(maker);
}

/* Signals are the event loop's. */
static bool
start_thread(struct key_maker *maker)
{
    sigset_t all, old;

    (void)sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
        return false;
    maker->has_thread = pthread_create(&maker->thread, NULL, run, maker) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return maker->has_thread;
}

struct key_maker *
key_maker_start(struct event_base *base,
                const struct own_certificate_order *order, key_maker_fn *done,
                void *arg, struct err *err)
{
    struct key_maker *maker = calloc(1, sizeof(*maker));

    if (maker == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    (void)snprintf(maker->name, sizeof(maker->name), "%s", order->name);
    maker->now = order->now;
    maker->lifetime_s = order->lifetime_s;
    maker->done = done;
    maker->arg = arg;
    maker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (maker->fd >= 0)
        maker->ready = event_new(base, maker->fd, EV_READ, on_ready, maker);
    if (maker->ready == NULL || event_add(maker->ready, NULL) < 0 ||
        !start_thread(maker)) {
        (void)err_set(err, ERR_SYSTEM, "a thread could not be started");
        free_maker(maker);
        return NULL;
    }
    return maker;
}

void
key_maker_cancel(struct key_maker **maker)
{
    if (*maker == NULL)
        return;
    free_maker(*maker);
    *maker = NULL;
}
