/*
 * signals - waits for the signals that tell the milter what to do.
 */
#ifndef MILTER_SIGNALS_H
#define MILTER_SIGNALS_H

enum signals_order {
    SIGNALS_RELOAD, /* SIGUSR1, SIGHUP */
    SIGNALS_STOP,   /* SIGTERM, SIGINT */
    SIGNALS_FAILED, /* signals_fail() was called */
};

/*
 * Block them in this thread and in all that it starts, and ignore SIGPIPE. To
 * be called before there are other threads.
 */
void signals_init(void);

/* Wait for the next one. One thread only. */
enum signals_order signals_wait(void);

/* Make signals_wait() give FAILED: another thread can't go on. */
void signals_fail(void);

#endif
