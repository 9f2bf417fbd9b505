/*
 * signals - waits for the signals that tell the milter what to do.
 */
#ifndef MILTER_SIGNALS_H
#define MILTER_SIGNALS_H

#include <stdint.h>

enum signals_order {
    SIGNALS_RELOAD, /* SIGUSR1, SIGHUP */
    SIGNALS_STOP,   /* SIGTERM, SIGINT */
    SIGNALS_FAILED, /* signals_fail() was called */
    SIGNALS_NONE,   /* the time is up */
};

/*
 * Block them in this thread and in all that it starts, and ignore SIGPIPE. To
 * be called before there are other threads.
 */
void signals_init(void);

/*
 * Wait for the next one, at most `max_ms` milliseconds; 0: for ever. One thread
 * only.
 */
enum signals_order signals_wait(int64_t max_ms);

/* Make signals_wait() give FAILED: another thread can't go on. */
void signals_fail(void);

#endif
