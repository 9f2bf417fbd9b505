/*
 * control_exchange - one request of an operator, from its line to the last line
 * of its answer; for those who implement verbs.
 *
 * A verb is a function that gets an exchange and ends it, now or later, by
 * control_answer() or control_refuse(); the exchange is gone then. Before that
 * it may tell what happens, any number of times. One that goes on after the
 * verb's function has returned waits (control_wait()): it may then be cancelled
 * because the asker is gone, and may get further lines.
 *
 * What changes something or shows a secret leaves a row in the audit trail when
 * it ends: who, which verb, of what, and how it went.
 */
#ifndef TOKEN_DAEMON_CONTROL_EXCHANGE_H
#define TOKEN_DAEMON_CONTROL_EXCHANGE_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/sendas.h"
#include "token-daemon/control.h"
#include "token-daemon/refresher.h"

struct json_t; /* of jansson */

/* What a verb does that does not answer during the call. */
struct control_wait_ops {
    /* The asker is gone: stop and free, without an answer. */
    void (*cancel)(void *wait);
    /* A further line, a JSON object; borrowed. NULL: none is taken, and what
     * comes waits until the answer. */
    void (*line)(void *wait, const struct json_t *root);
    /* What the audit trail says when the asker is gone, asked before cancel:
     * what has become of the wish. NULL: "given up". */
    const char *(*outcome)(const void *wait);
    /* Make a little more of a long answer, a fraction of a millisecond's work;
     * called until the exchange ends. NULL: it waits for something else. */
    void (*more)(void *wait);
};

struct control_exchange {
    const struct control_env *env;
    struct control_logins *logins; /* those that go on; of the control */
    const struct json_t *root;     /* the request; NULL when the call is over */
    struct control_peer peer;
    const char *verb;     /* static */
    char *subject;        /* a mailbox or credential; owned; NULL: none */
    int64_t started_wall; /* of the daemon, s since 1970 */
    bool is_audited;
    struct control_asker asker;
    struct buf parts;                   /* of an answer that is wanted whole */
    const struct control_wait_ops *ops; /* NULL: does not wait (yet) */
    void *wait;
    bool *is_over; /* told when the exchange ends during the call; or NULL */
};

/* A string of JSON; what is no UTF-8 is shown with ? for each such byte. */
struct json_t *control_string(const char *text);

/* The same, or null for NULL and "". */
struct json_t *control_optional_string(const char *text);

/* End it well. Steals `result`; NULL is out of memory, which hangs up. */
void control_answer(struct control_exchange *exchange, struct json_t *result);

/* The same, with what the audit trail says of it. */
void control_answer_as(struct control_exchange *exchange, struct json_t *result,
                       const char *outcome);

/*
 * End it well when what was changed is on the disk, or when it is known that it
 * is not yet, or after some seconds: adds "durable" to `result`, which is
 * stolen; NULL is out of memory.
 */
void control_answer_durable(struct control_exchange *exchange,
                            struct json_t *result);

/* End it badly, with a stable word and a text without secrets. */
void control_refuse(struct control_exchange *exchange, const char *code,
                    const char *text);

/* The same, from how an operator's wish failed. */
void control_refuse_err(struct control_exchange *exchange,
                        const struct err *err);

/* Say what happens: {"version": 1, "event": EVENT, ...}. Steals `fields`. */
void control_tell(struct control_exchange *exchange, const char *event,
                  struct json_t *fields);

/*
 * A long answer: any number of parts of its line, then its end, which ends the
 * exchange well.
 */
void control_part(struct control_exchange *exchange, const char *text,
                  size_t len);
void control_end_parts(struct control_exchange *exchange);

/* The same of a piece of JSON. Steals `json`; NULL is left out, false. */
bool control_part_json(struct control_exchange *exchange, struct json_t *json);

/* It goes on after the call. `ops` is static; `wait` is ops->cancel's. */
void control_wait(struct control_exchange *exchange,
                  const struct control_wait_ops *ops, void *wait);

/*
 * The mailbox that the request names, which becomes the subject. False: the
 * exchange has ended. `out` points into the request and the policy.
 */
bool control_find_mailbox(struct control_exchange *exchange,
                          struct sendas_match *out);

/*
 * A text of the request that must be there; NULL: the exchange has ended with
 * `complaint`.
 */
const char *control_text(struct control_exchange *exchange, const char *key,
                         const char *complaint);

/* May who asks use all verbs? */
bool control_may_all(const struct control_exchange *exchange);

/* The key of the token of a mailbox. */
struct refresher_key control_key_of(const struct sendas_match *match);

/*
 * End the exchange when the mailbox has a token; any, or one other than that of
 * `old_serial`. With `is_asked_for` the answer has the token in it.
 */
struct control_wish {
    int64_t min_ms;
    uint64_t old_serial; /* 0: any does */
    bool is_asked_for;
};
void control_wait_for_token(struct control_exchange *exchange,
                            const struct sendas_match *match,
                            const struct control_wish *wish);

/* The sign-ins that go on. Owned; NULL when out of memory. */
struct control_logins *control_logins_new(void)
    __attribute__((warn_unused_result));
void control_logins_free(struct control_logins **logins);

/* See control_stop() and control_linger(). */
void control_logins_stop(struct control_logins *logins);
bool control_logins_linger(struct control_logins *logins,
                           void (*stopped)(void *arg), void *arg);

/* The verbs, by file. */
void control_verb_status(struct control_exchange *exchange);
void control_verb_token(struct control_exchange *exchange);
void control_verb_refresh(struct control_exchange *exchange);
void control_verb_invalidate(struct control_exchange *exchange);
void control_verb_login(struct control_exchange *exchange);
void control_verb_logout(struct control_exchange *exchange);
void control_verb_rotate(struct control_exchange *exchange);
void control_verb_audit(struct control_exchange *exchange);
void control_verb_export(struct control_exchange *exchange);
void control_verb_import(struct control_exchange *exchange);

#endif
