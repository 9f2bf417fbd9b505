/*
 * hook - tell a command of events, one at a time.
 *
 * The command gets one event on its standard input and has 10 seconds; then it
 * is killed with all that it started. Whatever it does, the caller never waits:
 * events queue up, and past the limit the oldest is dropped, counted, and said
 * in the log. What it writes to its standard error goes to the log, cut and
 * without control bytes. Knows nothing of what the events mean.
 */
#ifndef TOKEN_DAEMON_HOOK_H
#define TOKEN_DAEMON_HOOK_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "token-daemon/child.h"

#define HOOK_LIMIT_MS  10000
#define HOOK_QUEUE_MAX 64              /* events, beside the one being told */
#define HOOK_EVENT_MAX CHILD_INPUT_MAX /* bytes of one event */

struct event_base;
struct hook;

/* Owned; NULL when out of memory. A command may take `limit_ms`. */
struct hook *hook_new(struct event_base *base, int limit_ms)
    __attribute__((warn_unused_result));

/* Kill what runs, drop what waits. Takes NULL. */
void hook_free(struct hook **hook);

/*
 * Run this command from now on (copies); of kind NONE: nothing, and what waits
 * is dropped. One that runs goes on.
 */
void hook_configure(struct hook *hook, const struct config_ref *command);

/* Tell of one event: its name, for the log, and its bytes (copies). */
void hook_tell(struct hook *hook, const char *name, const char *bytes,
               size_t len);

struct hook_counts {
    uint64_t done;    /* exit status 0 */
    uint64_t failed;  /* another, or it could not be started */
    uint64_t killed;  /* took too long */
    uint64_t dropped; /* never told: too many, too long, or no memory */
    size_t waiting;   /* now, the one being told not counted */
};

void hook_count(const struct hook *hook, struct hook_counts *out);

#endif
