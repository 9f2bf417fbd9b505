/*
 * observer - everything that looks on: counters, events, the hook, the page.
 *
 * Owns them, gathers what they show from the parts that do the work, and
 * changes nothing there. The parts may tell it what happens before it knows
 * them, and it may be told by none of them.
 */
#ifndef TOKEN_DAEMON_OBSERVER_H
#define TOKEN_DAEMON_OBSERVER_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/sendas.h"
#include "token-daemon/control.h"
#include "token-daemon/keyring.h"
#include "token-daemon/lookups.h"
#include "token-daemon/metrics.h"
#include "token-daemon/refresher.h"
#include "token-daemon/writer.h"

struct event_base;
struct observer;

struct observer_env {
    struct event_base *base;       /* borrowed: for the observer's life */
    int64_t (*boot_ms)(void *arg); /* CLOCK_BOOTTIME */
    int64_t (*wall)(void *arg);    /* s since 1970 */

    /* A timer that is off; NULL when out of memory. */
    void *(*timer_new)(void *arg, void (*fire)(void *fire_arg), void *fire_arg);
    void (*timer_set)(void *timer, int64_t delay_ms); /* < 0: off */
    void (*timer_free)(void *timer);

    size_t (*clients)(void *arg); /* open lookup connections */
    /* How the disk does. False: what is kept there can't be reached yet. */
    bool (*state)(void *arg, struct writer_status *out);
    /* The policy in force, borrowed: during the call. */
    struct sendas *(*policy)(void *arg);
    void *arg;
};

/* Owned; NULL when out of memory. */
struct observer *observer_new(const struct observer_env *env)
    __attribute__((warn_unused_result));
void observer_free(struct observer **observer);

/* Whom to ask; all borrowed: until observer_free(). */
struct observer_sources {
    struct refresher *refresher;
    struct keyring *keyring;
    struct lookups *lookups;
    struct control *control;
};

/* Begin to look. */
void observer_watch(struct observer *observer,
                    const struct observer_sources *sources);

/*
 * Go on with this configuration: which credentials are counted, which command
 * is told. Errors: ERR_SYSTEM; nothing has changed then.
 */
int observer_configure(struct observer *observer, const struct config *config,
                       struct err *err) __attribute__((warn_unused_result));

/* Serve the status page on a listening socket, borrowed likewise. */
int observer_serve(struct observer *observer, int fd, struct err *err)
    __attribute__((warn_unused_result));

/* Where lookups are counted; valid for the observer's life. */
struct metrics *observer_metrics(struct observer *observer);

/* What is told by the parts; see refresher_env and lookups_env. */
void observer_request_ended(struct observer *observer,
                            const struct refresher_ended *ended);
void observer_durable(struct observer *observer, int64_t window_us);
void observer_denied(struct observer *observer, const char *credential,
                     const char *mailbox, const char *hint);
void observer_refused(struct observer *observer, const char *credential,
                      const char *mailbox,
                      const struct delivery_status *status);
void observer_accepted(struct observer *observer, const char *credential,
                       const char *mailbox);
/* A secret, certificate or key was exchanged, or (`err`) that failed. */
void observer_rotated(struct observer *observer, const char *credential,
                      const struct err *err);
/* The configuration was read again, or that failed. */
void observer_reloaded(struct observer *observer, bool is_done);

#endif
