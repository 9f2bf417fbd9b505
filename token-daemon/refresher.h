/*
 * refresher - keeps every token fresh; the only module that decides when.
 *
 * One token for each credential, whatever the number of its mailboxes; one
 * request in flight for each token, however many wait for it. Each waiter is
 * answered exactly once, in order, also when a request fails; on shutdown the
 * waiters are dropped unanswered, so that their connections close and they ask
 * the next process. Runs in the event loop's thread.
 *
 * Clock, chance, timers and the request itself come through the environment,
 * so that a test can run hours of it in no time.
 */
#ifndef TOKEN_DAEMON_REFRESHER_H
#define TOKEN_DAEMON_REFRESHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/acquire.h"
#include "token-daemon/token.h"

struct refresher;
struct refresher_waiter;

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

    void *arg;
};

/* Keeps `env` (copied). Owned; NULL when out of memory. */
struct refresher *refresher_new(const struct refresher_env *env)
    __attribute__((warn_unused_result));

/* Cancel what is in flight, drop the waiters, wipe the tokens. Takes NULL. */
void refresher_free(struct refresher **refresher);

/*
 * Work with this configuration from now on (keeps a reference). A token stays
 * when what it was obtained with stays; requests and back-offs of a credential
 * that changed start again at once. Errors: ERR_SYSTEM; the old configuration
 * then stays.
 */
int refresher_configure(struct refresher *refresher, struct config *config,
                        struct err *err) __attribute__((warn_unused_result));

/* The answer to somebody who waits. */
struct refresher_answer {
    const struct token *token; /* borrowed: during the call */
    bool is_given; /* false: token->reason and token->error say why not */
    bool is_late;  /* not given as the deadline passed first */
};
typedef void (*refresher_answer_fn)(const struct refresher_answer *answer,
                                    void *arg);

struct refresher_question {
    const char *credential;  /* a name; one that is not configured is refused */
    int64_t min_ms;          /* life that must be left */
    uint64_t refused_serial; /* the serial this asker saw refused; 0: none */
    int64_t patience_ms;     /* until when an answer must be given */
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
                                   const char *credential);

/*
 * A server refused the current text; see token_report(). *until_wall is set
 * for LIMITED. A credential that is not there gives FETCHING.
 */
enum token_report_answer refresher_report(struct refresher *refresher,
                                          const char *credential,
                                          int64_t *until_wall);

/* A server accepted a login with it. */
void refresher_accepted(struct refresher *refresher, const char *credential);

/* For status: each token in turn. */
struct refresher_info {
    const struct config_credential *credential;
    const struct token *token; /* borrowed: during the call */
    size_t waiters;
    size_t secret_index; /* of the secret that worked last */
    uint64_t requests;   /* token requests sent, each secret counted */
    int64_t not_after;   /* the certificate's, s since 1970; 0: none used */
    const char *secret;  /* reference of the secret that worked last, or NULL */
    bool has_skew;
    int64_t skew_s; /* our clock minus the provider's */
    int64_t now;    /* CLOCK_BOOTTIME, ms */
};
void refresher_each(struct refresher *refresher,
                    void (*visit)(const struct refresher_info *info, void *arg),
                    void *arg);

#endif
