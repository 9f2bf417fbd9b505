/*
 * signals - waits for the signals that tell the milter what to do.
 *
 * libmilter starts a thread of its own that waits for SIGHUP, SIGTERM and
 * SIGINT and then ends the process at once, in the middle of messages; it can't
 * be told not to. Of two threads that wait for one signal either may get it. So
 * this program has a sigwait() which takes the place of the C library's for
 * libmilter: its thread waits for ever, and all signals come here.
 */
#include "milter/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

/*
 * Visible to libmilter. Nothing else here calls it. The parameters are the C
 * library's, and const can't be added.
 */
__attribute__((visibility("default"))) int
/* NOLINTNEXTLINE(readability-*) */
sigwait(const sigset_t *set, int *number)
{
    (void)set;
    (void)number;
    for (;;)
        (void)pause();
}

static void
fill(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGUSR1);
    (void)sigaddset(set, SIGUSR2);
    (void)sigaddset(set, SIGHUP);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
}

void
signals_init(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t set;

    fill(&set);
    /* Neither can fail with these arguments. */
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

/* The signal's number, or -1. */
static int
wait_once(const sigset_t *set, int64_t max_ms)
{
    const struct timespec most = {
        .tv_sec = (time_t)(max_ms / 1000),
        .tv_nsec = (long)(max_ms % 1000 * 1000000),
    };

    return max_ms > 0 ? sigtimedwait(set, NULL, &most) : sigwaitinfo(set, NULL);
}

enum signals_order
signals_wait(int64_t max_ms)
{
    sigset_t set;
    int number;

    fill(&set);
    do
        number = wait_once(&set, max_ms);
    while (number < 0 && errno == EINTR);
    switch (number) {
    case SIGUSR1:
    case SIGHUP:
        return SIGNALS_RELOAD;
    case SIGTERM:
    case SIGINT:
        return SIGNALS_STOP;
    case SIGUSR2:
        return SIGNALS_FAILED;
    default:
        return SIGNALS_NONE;
    }
}

void
signals_fail(void)
{
    (void)kill(getpid(), SIGUSR2);
}
