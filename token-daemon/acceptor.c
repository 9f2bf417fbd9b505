/*
 * acceptor - takes connections from a listening socket, a few at a time.
 */
#include "token-daemon/acceptor.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "common/log.h"

/*
 * After so many who only cost time, nobody is accepted for a moment: they can't
 * take more than part of a processor, and whoever comes behind a backlog that
 * is full of them (4,096) waits for less than a second.
 */
#define BURDENS_MAX     16
#define BURDEN_PAUSE_US 1000
#define FAULT_PAUSE_US  100000 /* accept() failed: out of descriptors */

struct acceptor {
    acceptor_fn *accepted;
    void *arg;
    struct event *acceptable;
    struct event *resume; /* after a pause */
    unsigned burdens;     /* since the last pause */
    uint64_t faults;      /* in a row */
};

/* Leave the rest in the backlog for a moment. */
static void
pause_accepting(struct acceptor *acceptor, int pause_us)
{
    const struct timeval pause = {0, pause_us};

    acceptor->burdens = 0;
    if (evtimer_add(acceptor->resume, &pause) == 0)
        (void)event_del(acceptor->acceptable);
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *acceptor = arg;

    (void)fd;
    (void)what;
    if (event_add(acceptor->acceptable, NULL) < 0)
        pause_accepting(acceptor, FAULT_PAUSE_US);
}

static void
note_fault(struct acceptor *acceptor)
{
    if (log_is_due(++acceptor->faults))
        log_warning("connections wait, as none can be accepted now; raise "
                    "LimitNOFILE if this goes on");
    pause_accepting(acceptor, FAULT_PAUSE_US);
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
    struct acceptor *acceptor = arg;
    int fd;

    (void)what;
    for (int i = 0; i < ACCEPTOR_TURN; i++) {
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN)
            return;
        if (fd < 0 && !is_passing(errno)) {
            note_fault(acceptor);
            return;
        }
        if (fd < 0)
            continue;
        acceptor->faults = 0;
        if (acceptor->accepted(fd, acceptor->arg))
            continue;
        if (++acceptor->burdens >= BURDENS_MAX) {
            pause_accepting(acceptor, BURDEN_PAUSE_US);
            return;
        }
    }
}

struct acceptor *
acceptor_new(struct event_base *base, int fd, acceptor_fn *accepted, void *arg)
{
    struct acceptor *acceptor = calloc(1, sizeof(*acceptor));

    if (acceptor == NULL)
        return NULL;
    acceptor->accepted = accepted;
    acceptor->arg = arg;
    (void)evutil_make_socket_nonblocking(fd);
    acceptor->acceptable =
        event_new(base, fd, EV_READ | EV_PERSIST, on_acceptable, acceptor);
    acceptor->resume = evtimer_new(base, on_resume, acceptor);
    if (acceptor->acceptable == NULL || acceptor->resume == NULL ||
        event_add(acceptor->acceptable, NULL) < 0)
        acceptor_free(&acceptor);
    return acceptor;
}

void
acceptor_free(struct acceptor **acceptor)
{
    if (*acceptor == NULL)
        return;
    if ((*acceptor)->acceptable != NULL)
        event_free((*acceptor)->acceptable);
    if ((*acceptor)->resume != NULL)
        event_free((*acceptor)->resume);
    free(*acceptor);
    *acceptor = NULL;
}
