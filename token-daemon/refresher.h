/*
 * refresher - keeps every token fresh.
 *
 * One token for each credential whose tokens are the application's, whatever
 * the number of its mailboxes; else one for each mailbox. Each is kept by a
 * keeper, which decides when; here is which there are. On shutdown the waiters
 * are dropped unanswered, so that their connections close and they ask the
 * next process. Runs in the event loop's thread.
 *
 * Clock, chance, timers, the request itself and the durable state come through
 * the environment, so that a test can run hours of it in no time.
 */
#ifndef TOKEN_DAEMON_REFRESHER_H
#define TOKEN_DAEMON_REFRESHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/acquire.h"
#include "token-daemon/problem.h"
#include "token-daemon/token.h"

#define REFRESHER_NAME_MAX 600 /* bytes of the name of a stored token */

struct refresher;
struct refresher_waiter;
struct key;
struct token_record;

/*
 * Is what was to be stored on the disk now, and since when (µs of
 * CLOCK_BOOTTIME)? If not it is tried again.
 */
typedef void refresher_saved_fn(bool is_durable, int64_t durable_us, void *arg);

/* How a token request ended; all of it is borrowed during the call. */
struct refresher_ended {
    const char *credential;
    const char *user;      /* NULL: one token for the whole credential */
    enum problem problem;  /* NONE: there is a new token */
    const struct err *err; /* NULL: there is a new token */
    const char *hint;      /* NULL: none */
    int64_t alive_until;   /* of the token in force: CLOCK_BOOTTIME, ms; 0:
                              there is none */
    int64_t not_after;     /* the certificate's, s since 1970; 0: none used */
    int64_t took_ms;       /* < 0: a sign-in brought it, nothing was asked */
    bool is_stranger;      /* of an "@domain" mailbox, and without a token: the
                              user may have been invented */
};

struct refresher_env {
    int64_t (*boot_ms)(void *arg); /* CLOCK_BOOTTIME */
    int64_t (*wall)(void *arg);    /* s since 1970 */
    double (*chance)(void *arg);   /* [0, 1) */

    /* A timer that is off; NULL when out of memory. */
    void *(*timer_new)(void *arg, void (*fire)(void *fire_arg), void *fire_arg);
    void (*timer_set)(void *timer, int64_t delay_ms); /* < 0: off */
    void (*timer_free)(void *timer);

    /* acquire_start() and acquire_cancel(), or what stands in for them. */
    struct acquire *(*start)(void *arg, const struct acquire_request *request,
                             acquire_done_fn *done, void *done_arg);
    void (*cancel)(struct acquire **acquire);

    /*
     * Store a record under a name, without waiting for the disk; it is
     * borrowed during the call. `done` may be NULL; it is not called during
     * the call, nor when that returns -1. unsave() stops calls with this
     * `done_arg`. unstore() removes what is stored. All NULL: no durable state.
     */
    int (*save)(void *arg, const char *name, const struct token_record *record,
                refresher_saved_fn *done, void *done_arg);
    void (*unsave)(void *arg, const void *done_arg);
    void (*unstore)(void *arg, const char *name);

    /* For those who look on: a token request ended. NULL: nobody does. */
    void (*ended)(void *arg, const struct refresher_ended *ended);
    /* And a new refresh token is on the disk, so long after it came. */
    void (*durable)(void *arg, int64_t window_us);

    void *arg;
};

/* Keeps `env` (copied). Owned; NULL when out of memory. */
struct refresher *refresher_new(const struct refresher_env *env)
    __attribute__((warn_unused_result));

/* Cancel what is in flight, drop the waiters, wipe the tokens. Takes NULL. */
void refresher_free(struct refresher **refresher);

/*
 * The process is about to end: ask for nothing any more and cancel what is in
 * flight, but for requests that carry a refresh token, as their answers may be
 * all that is left of a login. `stopped` is called when the last of these has
 * ended and what it brought is with env.save(); false: there is none, and it
 * is not called.
 */
bool refresher_stop(struct refresher *refresher, void (*stopped)(void *arg),
                    void *arg);

/*
 * Work with this configuration from now on (keeps a reference). A token stays
 * when what it was obtained with stays; requests and back-offs of a credential
 * that changed start again at once, but for a request that carries a refresh
 * token: that is let finish. Errors: ERR_SYSTEM; the
 * old configuration then stays.
 */
int refresher_configure(struct refresher *refresher, struct config *config,
                        struct err *err) __attribute__((warn_unused_result));

/* The answer to somebody who waits. */
struct refresher_answer {
    const struct token *token; /* borrowed: during the call */
    bool is_given;             /* false: token_problem() says why not */
    bool is_late;              /* not given as the deadline passed first */
};
typedef void (*refresher_answer_fn)(const struct refresher_answer *answer,
                                    void *arg);

/* Which token is meant. */
struct refresher_key {
    const char *credential; /* a name */
    const char *user;       /* who logs in; counts where tokens are per user */
};

struct refresher_question {
    struct refresher_key key; /* one that is not configured is refused */
    int64_t min_ms;           /* life that must be left */
    uint64_t refused_serial;  /* the serial this asker saw refused; 0: none */
    int64_t patience_ms;      /* until when an answer must be given */
};

/*
 * Ask for a token. Mostly answered during the call, which then returns NULL;
 * else later, and the result is a handle for refresher_forget(), valid until
 * the answer. Out of memory is answered like a failure.
 */
struct refresher_waiter *
refresher_ask(struct refresher *refresher,
              const struct refresher_question *question,
              refresher_answer_fn answer, void *arg);

/* The asker is gone: do not answer. Sets *waiter to NULL; takes NULL. */
void refresher_forget(struct refresher_waiter **waiter);

/* The token as it is now, borrowed: until the next call. NULL: none there. */
const struct token *refresher_peek(struct refresher *refresher,
                                   const struct refresher_key *key);

/*
 * A server refused the current text; see token_report(). *until_wall is set
 * for LIMITED. A token that is not there gives FETCHING.
 */
enum token_report_answer refresher_report(struct refresher *refresher,
                                          const struct refresher_key *key,
                                          int64_t *until_wall);

/* A server accepted a login with it. */
void refresher_accepted(struct refresher *refresher,
                        const struct refresher_key *key);

/*
 * Go on with what another process stored under `name`; for names that are not
 * configured it is kept in memory in case they will be, as is what was known of
 * those that no longer are. Before the first refresher_configure(), or later
 * when the state was opened late.
 */
void refresher_restore(struct refresher *refresher, const char *name,
                       struct token_record *record); /* takes what is in it */

/*
 * Take what another host had: of a token that is kept what is known already
 * counts, of one that is not configured the newer record; what was taken is
 * stored. Takes what is in `record`. 1: a sign-in is not taken, as what is here
 * goes on, which the log says; an access token alone is no loss. Errors:
 * ERR_SYSTEM.
 */
int refresher_import(struct refresher *refresher, const char *name,
                     struct token_record *record, struct err *err)
    __attribute__((warn_unused_result));

/* Store all there is, also of what is not configured: for a state that was made
 * anew, and for an export. */
void refresher_save_all(struct refresher *refresher);

/* What each of these is stored under; no call of this module from `visit`. */
void refresher_each_name(struct refresher *refresher,
                         void (*visit)(const char *name, void *arg), void *arg);

/* Store the one of this name, if it is still there. */
void refresher_save_name(struct refresher *refresher, const char *name);

/*
 * A person signed in: takes what is in `token`. Errors: ERR_NOTFOUND (not
 * configured), ERR_CONFIG (this grant has no sign-in), ERR_SYSTEM.
 */
int refresher_sign_in(struct refresher *refresher,
                      const struct refresher_key *key,
                      struct oauth_token *token, struct err *err)
    __attribute__((warn_unused_result));

/* Forget what a sign-in left, here and in the state. Errors likewise. */
int refresher_sign_out(struct refresher *refresher,
                       const struct refresher_key *key, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Fetch now; `drops` also stops serving the token that is there. Errors:
 * ERR_NOTFOUND, ERR_REAUTH (a login is needed first), ERR_RETRY (the provider
 * said not before a time, which the text names).
 */
int refresher_fetch(struct refresher *refresher,
                    const struct refresher_key *key, bool drops,
                    struct err *err) __attribute__((warn_unused_result));

/*
 * How a probe ended. On success its token is in use already, and what is left
 * of result->token is not the callee's.
 */
typedef void refresher_probed_fn(const struct acquire_result *result,
                                 void *arg);

/*
 * Ask for a token with this key alone (held until the end), by one of the
 * credential's tokens, and after what that one has in flight: two requests
 * with one refresh token could cost the login. When it works the new token is
 * used; when not nothing has changed. `done` is called once and never during
 * the call, unless refresher_unprobe() comes first; also when the configuration
 * is read again meanwhile (ERR_RETRY). Errors: ERR_NOTFOUND (no such
 * credential, or nobody has asked for a token of it yet), ERR_REAUTH (nobody
 * has signed in, so there is nothing to ask with), ERR_RETRY (a probe is under
 * way), ERR_SYSTEM.
 */
int refresher_probe(struct refresher *refresher, const char *credential,
                    struct key *key, refresher_probed_fn *done, void *arg,
                    struct err *err) __attribute__((warn_unused_result));

/* Give up the probe that was begun with this `arg`, if it has not ended. */
void refresher_unprobe(struct refresher *refresher, const void *arg);

/* For status: each token in turn. */
struct refresher_info {
    const struct config_credential *credential;
    const char *user;          /* NULL: one token for the whole credential */
    const struct token *token; /* borrowed: during the call */
    size_t waiters;
    uint64_t requests; /* token requests sent, each secret counted */
    int64_t not_after; /* the certificate's, s since 1970; 0: none used */
    /* Reference of the secret that worked last; NULL: none, or not known, as
     * the token is of before the start. */
    const char *secret;
    bool has_skew;
    int64_t skew_s; /* our clock minus the provider's */
    int64_t now;    /* CLOCK_BOOTTIME, ms */
    bool has_refresh_token;
    int64_t refresh_obtained_wall; /* s since 1970 */
    int64_t refresh_expires_wall;  /* s since 1970; 0: not known */
    bool is_refresh_ending;        /* and it is worth a word */
};
/* One of them. False: none is there. */
bool refresher_describe(struct refresher *refresher,
                        const struct refresher_key *key,
                        struct refresher_info *out);

void refresher_each(struct refresher *refresher,
                    void (*visit)(const struct refresher_info *info, void *arg),
                    void *arg);

#endif
