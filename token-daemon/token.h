/*
 * token - one cached access token: its state, when it is to be fetched again,
 * and what somebody who asks for it gets.
 *
 * Pure: owns the text of the token and wipes it; knows nothing of timers, HTTP
 * or who waits. The caller passes the time in. Points in time are milliseconds
 * of CLOCK_BOOTTIME, unless the name says wall; spans are in the unit their
 * name says.
 *
 *     EMPTY --begin--> FETCHING --succeed--> READY
 *                       ^    |                 |
 *                       |    +--fail--> BACKOFF|
 *                       |                  |   |
 *                       +------begin-------+---+
 *
 * An old token stays in force in every state until it expires: a failing
 * refresh takes nothing away.
 */
#ifndef TOKEN_DAEMON_TOKEN_H
#define TOKEN_DAEMON_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define TOKEN_NEVER           INT64_MAX
#define TOKEN_FINGERPRINT_LEN 16 /* hexadecimal digits */
#define TOKEN_HINT_MAX        256
#define TOKEN_REASON_MAX      32

/* The report interval doubles up to this while nobody succeeds. */
#define TOKEN_EXTRA_INTERVAL_MAX_MS (INT64_C(15) * 60 * 1000)

enum token_state {
    TOKEN_EMPTY,    /* nothing was asked of the provider yet */
    TOKEN_FETCHING, /* a request is in flight */
    TOKEN_READY,    /* the last request succeeded */
    TOKEN_BACKOFF,  /* the last request failed; the next is at due_at */
};

/* How often and how early to fetch; the same for all tokens of a process. */
struct token_policy {
    int64_t refetch_interval_ms;
    int64_t margin_ms; /* the longest that a server wants left */
};

/* The last failure, for whoever asks. */
struct token_problem {
    struct err err;                /* code NONE: there is none */
    char reason[TOKEN_REASON_MAX]; /* stable word; "" for none */
    char hint[TOKEN_HINT_MAX];     /* for the operator; may be empty */
    int64_t at_wall;               /* s since 1970 */
};

struct token {
    enum token_state state;
    char *text; /* owned; NULL: none was ever obtained */
    char fingerprint[TOKEN_FINGERPRINT_LEN + 1];
    uint64_t serial;     /* tells this text from all others; 0: no text */
    int64_t lifetime_ms; /* the life this text was issued with */
    int64_t expires_at;
    int64_t expires_wall; /* s since 1970 */
    int64_t fetched_at;   /* the last success */
    int64_t due_at;       /* when to begin the next fetch; TOKEN_NEVER: not */
    int64_t not_before;   /* the provider's Retry-After: no request earlier */
    unsigned failures;    /* in a row */
    /* The extra fetch that reports of a refusal may cause. */
    bool is_extra_wanted;          /* the next fetch is one */
    int64_t extra_at;              /* never before this */
    int64_t extra_slow_at;         /* nor before this while nobody succeeds */
    int64_t extra_interval_ms;     /* 0: no report since somebody succeeded */
    struct token_problem *problem; /* owned; NULL: the last request went well */
};

/* An empty token, due at `now`. */
void token_init(struct token *token, int64_t now);

/* Wipe and free. */
void token_clear(struct token *token);

/* A request starts. When a report wanted it, it counts as the extra one. */
void token_begin(struct token *token, const struct token_policy *policy,
                 int64_t now);

/* What a provider answered. */
struct token_issue {
    const char *text; /* copies */
    uint64_t serial;  /* what a new text is known by; each fetch of the process
                         gets a higher one than all before */
    int64_t lifetime_s;   /* of what remains; > 0 */
    int64_t refresh_in_s; /* 0: not said */
    int64_t pause_s; /* the next fetch is to come sooner; 0: no such limit */
};

/*
 * The request succeeded. `jitter` in [0, 1) spreads the next fetch. Errors:
 * ERR_SYSTEM when out of memory; the token is then as after a failure that is
 * tried again in a second.
 */
int token_succeed(struct token *token, const struct token_issue *issue,
                  const struct token_policy *policy, int64_t now, int64_t wall,
                  double jitter, struct err *err)
    __attribute__((warn_unused_result));

/*
 * In how many milliseconds the next fetch will be due after token_succeed()
 * with the same arguments.
 */
int64_t token_refresh_delay(const struct token *token,
                            const struct token_issue *issue,
                            const struct token_policy *policy, double jitter);

/* Why a request failed and when to try again. */
struct token_failure {
    const struct err *err;  /* copies */
    const char *reason;     /* stable word; copies */
    const char *hint;       /* NULL: none; copies */
    int64_t delay_ms;       /* until the next try */
    int64_t retry_after_ms; /* 0, or what the provider demanded */
};

void token_fail(struct token *token, const struct token_failure *failure,
                int64_t now, int64_t wall);

/*
 * Nothing can be asked until something is done by hand: refused with this
 * until the next success; never due.
 */
void token_block(struct token *token, const struct token_failure *failure,
                 int64_t wall);

/* What went wrong last, borrowed: until it changes. Never NULL. */
const struct token_problem *token_problem(const struct token *token);

/*
 * What outlives the process: points in time by the wall clock, as the other
 * one starts anew. Texts are borrowed.
 */
struct token_snapshot {
    const char *text; /* NULL: none that lives */
    int64_t lifetime_s;
    int64_t expires_wall;
    int64_t due_wall;        /* 0: none is planned */
    int64_t not_before_wall; /* 0: none */
    unsigned failures;
    const char *reason; /* of the last failure; "": none */
};

void token_snapshot(const struct token *token, int64_t now, int64_t wall,
                    struct token_snapshot *out);

/*
 * Go on where another process left off; only when EMPTY. A text is believed to
 * live no longer than it was issued for, whatever the wall clock says now, and
 * no plan lies further ahead than that. Errors: ERR_SYSTEM; still EMPTY then.
 */
int token_restore(struct token *token, const struct token_snapshot *snapshot,
                  uint64_t serial, int64_t now, int64_t wall, struct err *err)
    __attribute__((warn_unused_result));

/* Is there a text that has not expired? */
bool token_is_alive(const struct token *token, int64_t now);

enum token_verdict {
    TOKEN_SERVE,
    TOKEN_WAIT,       /* for the fetch in flight or due at token->due_at */
    TOKEN_WAIT_BEGIN, /* the same, and the fetch should begin now */
    TOKEN_REFUSE,     /* answer with token->reason */
};

/* Somebody who asks for a token. */
struct token_wish {
    int64_t min_ms; /* life that must be left; clamped to half of the life
                       the token was issued with */
    uint64_t refused_serial; /* this asker has reported the token of that
                                serial as refused; 0: none */
    int64_t deadline;        /* by which an answer must be given */
};

enum token_verdict token_judge(const struct token *token,
                               const struct token_wish *wish,
                               const struct token_policy *policy, int64_t now);

enum token_report_answer {
    TOKEN_REPORT_FETCH,    /* begin a fetch now */
    TOKEN_REPORT_FETCHING, /* one is in flight already */
    TOKEN_REPORT_LIMITED,  /* not before *until; it is due by itself then */
};

/*
 * The current text was refused by a server. It stays in force; at most one
 * extra fetch per interval follows, now or at *until (which is then due_at).
 */
enum token_report_answer token_report(struct token *token, int64_t now,
                                      int64_t *until);

/* Somebody logged in with it: the next report is the first again. */
void token_accepted(struct token *token);

/* Forget the text, as it was obtained with other settings. */
void token_reset(struct token *token, int64_t now);

/*
 * The operator changed something: whatever waits for a later try is due now,
 * but for what the provider itself demanded.
 */
void token_retry_now(struct token *token, int64_t now);

/*
 * The policy has changed: a server that wants more life left than all did
 * before brings the next fetch forward.
 */
void token_adopt(struct token *token, const struct token_policy *policy);

/* The name of a state for status and logs. */
const char *token_state_name(enum token_state state);

#endif
