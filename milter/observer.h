/*
 * observer - the status page, in a thread of its own.
 *
 * Gathers what the page shows, and changes nothing. See common/status_page.h.
 */
#ifndef MILTER_OBSERVER_H
#define MILTER_OBSERVER_H

#include <stdint.h>

#include "common/err.h"
#include "common/unix_listener.h"
#include "milter/activity.h"
#include "milter/metrics.h"
#include "milter/policy.h"

struct observer;

/* Whom to ask. Everything is borrowed: until observer_free(). */
struct observer_sources {
    const struct metrics *metrics;
    struct activity *activity;
    struct policy *policy;
    int64_t started_wall; /* s since 1970 */
};

/*
 * Serve the page at `where`, which is what `metrics` in relay.conf says; a
 * socket of `inherited` with that address is used. Owned. Errors: ERR_CONFIG
 * with what to do, ERR_SYSTEM.
 */
struct observer *
observer_new(const char *where, struct unix_listener_inherited *inherited,
             const struct observer_sources *sources, struct err *err)
    __attribute__((warn_unused_result));

/* Stop serving; waits for the thread. Takes NULL and sets it to NULL. */
void observer_free(struct observer **observer);

#endif
