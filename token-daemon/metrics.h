/*
 * metrics - what is counted, and how Prometheus reads it.
 *
 * Pure: knows nothing of HTTP or clocks. What happens is counted here, one
 * increment each; what is at the moment (tokens, clients, ...) is gathered by
 * the caller when somebody asks. Rendered as exposition.h has it.
 *
 * Bounded: labels are credentials that are configured, fixed words, and at most
 * METRICS_DENIED_MAX mailboxes; never a sender. Never a secret.
 */
#ifndef TOKEN_DAEMON_METRICS_H
#define TOKEN_DAEMON_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "common/histogram.h"
#include "common/socketmap.h"
#include "token-daemon/problem.h"
#include "token-daemon/troubles.h"

#define METRICS_DENIED_MAX 100                /* mailboxes that are named */
#define METRICS_SIZE_MAX   ((size_t)64 << 20) /* bytes of an exposition */

struct metrics;

/* Owned; NULL when out of memory. */
struct metrics *metrics_new(void) __attribute__((warn_unused_result));
void metrics_free(struct metrics **metrics);

/*
 * Count for the credentials of this configuration (copies their names); what
 * others have counted is forgotten. Errors: ERR_SYSTEM; nothing has changed.
 */
int metrics_configure(struct metrics *metrics, const struct config *config,
                      struct err *err) __attribute__((warn_unused_result));

/* ---- what happens ---- */

/*
 * A token request ended after so long (< 0: not timed). A credential that is
 * not configured is not counted.
 */
void metrics_request(struct metrics *metrics, const char *credential,
                     enum problem outcome, int64_t took_ms);

enum metrics_lookup {
    METRICS_LOOKUP_TOKEN,
    METRICS_LOOKUP_XOAUTH2,
    METRICS_LOOKUP_REFUSED,
    METRICS_LOOKUP_LOGIN,
    METRICS_LOOKUP_SENDAS,
    METRICS_LOOKUP_STATUS,
    METRICS_LOOKUP_UNKNOWN,
};

/* A lookup was answered. */
void metrics_lookup(struct metrics *metrics, enum metrics_lookup name,
                    enum socketmap_status status);

/* Somebody got a token, or the reason why not, after so long; 0: at once. */
void metrics_token_wait(struct metrics *metrics, int64_t waited_ms);

/* A new refresh token was in memory only for so long. */
void metrics_window(struct metrics *metrics, int64_t window_us);

/* A secret, certificate or key was rotated, or that failed. */
void metrics_rotation(struct metrics *metrics, const char *credential,
                      bool is_done);

/* The configuration was read again, or that failed. */
void metrics_reload(struct metrics *metrics, bool is_done);

/* ---- what is ---- */

/* One of the tokens of a credential. */
struct metrics_token {
    int64_t expires_wall;       /* s since 1970; 0: none, or it has expired */
    int64_t fetched_wall;       /* the last success; 0: never */
    const char *reason;         /* of the last failure; NULL or "": none */
    int64_t refresh_token_ends; /* s since 1970; 0: not known, or none */
    bool is_refresh_token_ending;
};

/* Add up with metrics_credential_add(); begin with the name and zeros. */
struct metrics_credential {
    const char *name; /* borrowed */
    bool is_used;     /* does a mailbox log in with it? By the caller */
    size_t tokens;
    size_t alive;
    int64_t first_expiry; /* s since 1970; of those that live; 0: none does */
    int64_t last_success; /* s since 1970; 0: never */
    size_t failing[PROBLEM_COUNT]; /* by what the last request met */
    size_t failing_otherwise;
    int64_t refresh_tokens_end; /* s since 1970, the first; 0: not known */
    size_t refresh_tokens_ending;
    size_t keys; /* secrets, certificates, ... that it may be proven with */
    size_t keys_failing;
    int64_t certificate_ends; /* s since 1970; 0: none, or not known */
    int64_t secret_ends;      /* the same */
    bool has_skew;
    int64_t skew_s; /* our clock minus the provider's */
};

void metrics_credential_add(struct metrics_credential *credential,
                            const struct metrics_token *token);

struct metrics_gauges {
    int64_t started_wall; /* s since 1970 */
    const struct metrics_credential *credentials;
    size_t credential_count;
    size_t waiters;
    size_t clients;
    uint64_t refusals; /* since the start, as is `deferred` */
    uint64_t deferred;
    size_t mailboxes_ok;
    size_t mailboxes_refused;
    size_t mailboxes_denied;
    const char *const *denied; /* those to be named */
    size_t denied_count;       /* at most METRICS_DENIED_MAX are */
    /* Where state is kept; has_state false: it is not. */
    bool has_state;
    bool is_state_writable;
    size_t state_queued;
    int64_t state_lag_ms;         /* what waits for the disk, since when */
    uint64_t state_failed_writes; /* since the start */
    const struct histogram *state_commits; /* borrowed */
    /* What is wrong, by kind, and for how long mail has been waiting. */
    size_t troubles[TROUBLES_KINDS];
    int64_t mail_waiting_ms; /* 0: none does */
    /* The hook. */
    uint64_t hook_done;
    uint64_t hook_failed;
    uint64_t hook_killed;
    uint64_t hook_dropped; /* events that nobody was told of */
};

/* Append the exposition. */
void metrics_render(const struct metrics *metrics,
                    const struct metrics_gauges *gauges, struct buf *out);

/*
 * Does every credential in use have a living token? Appends one line that says
 * so, or that names the first that has none.
 */
bool metrics_is_healthy(const struct metrics_gauges *gauges, struct buf *out);

#endif
