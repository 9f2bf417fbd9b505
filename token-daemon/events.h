/*
 * events - who must be told of what: edges, not states.
 *
 * The other modules say how something went, every time; here it is decided
 * whether that is news, and what of it becomes an event (a JSON object for the
 * on_event command), a line in the log, or both. Nothing that is said here is
 * a secret. Runs in the event loop's thread; clock and timers come through the
 * environment.
 *
 * An event is
 *
 *     {"version": 1, "event": "needs-login", "at": 1790000000,
 *      "host": "relay1", "credential": "contoso", "mailbox": "a@contoso.com",
 *      "reason": "needs-login", "text": "...", "hint": "...",
 *      "since": 1789990000, "lasts_s": 10000}
 *
 * in one line; what is not known is left out. xoauth2-tokend(8) lists them.
 */
#ifndef TOKEN_DAEMON_EVENTS_H
#define TOKEN_DAEMON_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/problem.h"
#include "token-daemon/troubles.h"

#define EVENTS_VERSION 1

struct events;

struct events_env {
    int64_t (*boot_ms)(void *arg); /* CLOCK_BOOTTIME */
    int64_t (*wall)(void *arg);    /* s since 1970 */

    /* A timer that is off; NULL when out of memory. */
    void *(*timer_new)(void *arg, void (*fire)(void *fire_arg), void *fire_arg);
    void (*timer_set)(void *timer, int64_t delay_ms); /* < 0: off */
    void (*timer_free)(void *timer);

    /* Tell of one event, which is borrowed: during the call. */
    void (*tell)(void *arg, const char *name, const char *json, size_t len);

    void *arg;
};

/* `host` (copied) is who we are. Owned; NULL when out of memory. */
struct events *events_new(const struct events_env *env, const char *host)
    __attribute__((warn_unused_result));
void events_free(struct events **events);

/* Forget, without a word, what concerns nothing of this configuration. */
void events_configure(struct events *events, const struct config *config);

/* How a token request ended. */
struct events_token {
    const char *credential;
    const char *mailbox;   /* NULL: the token serves the whole credential */
    enum problem problem;  /* NONE: there is a new token */
    const struct err *err; /* when it failed */
    const char *hint;      /* NULL: none */
    int64_t alive_until;   /* of the token that is served: CLOCK_BOOTTIME, ms;
                              in the past, or 0: there is none */
    bool is_stranger;      /* nobody but the asker vouches for the mailbox */
};

void events_token(struct events *events, const struct events_token *outcome);

/* A server refuses the newest token of a mailbox, or has accepted it. */
void events_denied(struct events *events, const char *credential,
                   const char *mailbox, const char *hint);
void events_accepted(struct events *events, const char *credential,
                     const char *mailbox);

/* A server refuses a message; it waits, as an administrator can mend that. */
struct events_refusal {
    const char *credential; /* NULL: not known, nor is the mailbox */
    const char *mailbox;
    const char *reason; /* stable word */
    const char *hint;
    bool is_of_sender; /* other senders' messages may go all the same */
};

void events_refused(struct events *events,
                    const struct events_refusal *refusal);

/* Writing what is to outlive a restart failed, or (NULL) works. */
void events_state(struct events *events, const struct err *err);

/* A secret, certificate or key was exchanged, or (`err`) that failed. */
void events_rotated(struct events *events, const char *credential,
                    const struct err *err);

enum events_expiring {
    EVENTS_SECRET,
    EVENTS_CERTIFICATE,
    EVENTS_REFRESH_TOKEN, /* of a mailbox */
};

/*
 * What is in use ends at `ends`, s since 1970 (0: not known). To be called
 * whenever it is looked at; says so when few days are left.
 */
void events_expires(struct events *events, enum events_expiring what,
                    const char *credential, const char *mailbox, int64_t ends);

/* What is wrong at the moment. */
void events_summarise(const struct events *events,
                      struct troubles_summary *out);

#endif
