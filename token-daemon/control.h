/*
 * control - the verbs of xoauth2ctl: one JSON object in, one or more out.
 *
 *     {"version": 1, "verb": "status"}
 *     {"version": 1, "verb": "token", "mailbox": "a@b", "min": 300}
 *     {"version": 1, "verb": "refresh", "mailbox": "a@b"}
 *     {"version": 1, "verb": "invalidate", "mailbox": "a@b"}
 *     {"version": 1, "verb": "login", "mailbox": "a@b", "refresh_token": "..."}
 *     {"version": 1, "verb": "login", "mailbox": "a@b", "method": "device"}
 *     {"version": 1, "verb": "logout", "mailbox": "a@b"}
 *     {"version": 1, "verb": "rotate", "credential": "c", "secret": "..."}
 *     {"version": 1, "verb": "audit", "count": 100}
 *     {"version": 1, "verb": "export", "key": "..."}
 *     {"version": 1, "verb": "import", "key": "..."}
 *     {"version": 1, "verb": "reload"}
 *  -> {"version": 1, "event": "prompt", ...}
 *  -> {"version": 1, "ok": true, "result": {...}}
 *  -> {"version": 1, "ok": false, "error": {"code": "...", "text": "..."}}
 *
 * Every request is answered by exactly one line with "ok", its last; verbs that
 * take long may tell events before that, and take further lines. Knows nothing
 * of sockets. Only `token` ever answers a secret.
 */
#ifndef TOKEN_DAEMON_CONTROL_H
#define TOKEN_DAEMON_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/err.h"
#include "common/sendas.h"
#include "token-daemon/keyring.h"
#include "token-daemon/login_flow.h"
#include "token-daemon/lookups.h"
#include "token-daemon/refresher.h"
#include "token-daemon/rotation.h"
#include "token-daemon/sent_away.h"
#include "token-daemon/store.h"

#define CONTROL_VERSION     1
#define CONTROL_REQUEST_MAX (512 * 1024) /* bytes, with the newline */

struct control;
struct control_exchange;
struct graph_rotator;

struct control_env {
    struct refresher *refresher;         /* borrowed: for the control's life */
    struct lookups *lookups;             /* likewise */
    struct keyring *keyring;             /* likewise; NULL: none is shown */
    struct rotation *rotation;           /* likewise */
    struct graph_rotator *graph_rotator; /* likewise; NULL: none */
    /* The policy in force, borrowed: during the call. */
    struct sendas *(*policy)(void *arg);
    /* Read the configuration again; on failure nothing has changed. */
    int (*reload)(void *arg, struct err *err);
    size_t (*clients)(void *arg); /* open lookup connections */
    int64_t (*wall)(void *arg);
    /* Add a row to the audit trail; never fails. */
    void (*audit)(void *arg, const struct store_audit *entry);
    /* Somebody was sent away; true: log it. See sent_away_note(). Or NULL. */
    bool (*sent_away)(void *arg, const struct sent_away_refusal *refusal);
    /*
     * Read the last `count` rows; see writer_read_audit(). Errors: ERR_RETRY.
     * forget_audit() stops calls with this `done_arg`.
     */
    int (*read_audit)(void *arg, size_t count,
                      void (*done)(const struct store_audit *rows, size_t count,
                                   const struct err *err, void *done_arg),
                      void *done_arg, struct err *err);
    void (*forget_audit)(void *arg, const void *done_arg);
    /*
     * See state_settle(); unsettle() stops calls with this `done_arg`. And
     * timers as refresher_env has them.
     */
    int (*settle)(void *arg, refresher_saved_fn *done, void *done_arg);
    void (*unsettle)(void *arg, const void *done_arg);
    void *(*timer_new)(void *arg, void (*fire)(void *fire_arg), void *fire_arg);
    void (*timer_set)(void *timer, int64_t delay_ms);
    void (*timer_free)(void *timer);
    /* How people sign in: login_flow's functions, or what stands in. */
    struct {
        struct config *(*config)(void *arg); /* in force; borrowed */
        struct login_flow *(*start)(void *arg,
                                    const struct login_flow_request *request,
                                    login_flow_fn *tell, void *tell_arg);
        int (*answer)(struct login_flow *flow, const char *text, size_t len,
                      struct err *err);
        bool (*is_exchanging)(const struct login_flow *flow);
        void (*cancel)(struct login_flow **flow);
    } login;
    /* See state_each_token() and those behind it, and state_import(). */
    void (*each_token)(void *arg,
                       void (*visit)(const char *name, void *visit_arg),
                       void *visit_arg);
    void (*export_token)(void *arg, const char *name,
                         void (*tell)(const struct store_record *record,
                                      void *tell_arg),
                         void *tell_arg);
    void (*export_others)(void *arg,
                          void (*tell)(const struct store_record *record,
                                       void *tell_arg),
                          void *tell_arg);
    int (*import_records)(void *arg, const struct store_record *records,
                          size_t count, struct err *err);
    void *arg;
};

/* Who asks. */
struct control_peer {
    uid_t uid;
    pid_t pid;
    uint32_t verbs; /* CONFIG_VERB_BIT()s of what that one may ask for now */
};

/* Owned; NULL when out of memory. */
struct control *control_new(const struct control_env *env)
    __attribute__((warn_unused_result));
void control_free(struct control **control);

/*
 * The process is about to end, and all askers will be sent away: sign-ins whose
 * code or token the provider may have taken already are then let finish.
 */
void control_stop(struct control *control);

/* After that: `stopped` is called when the last of these has ended; false:
 * there is none, and it is not called. */
bool control_linger(struct control *control, void (*stopped)(void *arg),
                    void *arg);

/*
 * One line without its newline; borrowed: during the call. NULL: no memory,
 * which is always the last. After the last one the exchange is gone.
 */
typedef void control_reply_fn(const char *line, bool is_last, void *arg);

/* A part of the line that the next control_reply_fn ends; borrowed likewise. */
typedef void control_part_fn(const char *text, size_t len, void *arg);

/* Who is answered. */
struct control_asker {
    control_reply_fn *reply;
    /* Long answers come in parts, each when control_more() is called. NULL:
     * they are made whole, during the call. */
    control_part_fn *part;
    void *arg;
};

/*
 * Answer one line. NULL when the last line of the answer came during the call;
 * else a handle, valid until the last line comes. Wipe `line` if it may hold a
 * secret.
 */
struct control_exchange *control_ask(struct control *control,
                                     const struct control_peer *peer,
                                     const char *line, size_t len,
                                     const struct control_asker *asker);

/* Somebody who may not even ask was sent away. True: log it. */
bool control_note_stranger(struct control *control,
                           const struct control_peer *peer);

/* Does it wait for control_more()? */
bool control_has_more(const struct control_exchange *exchange);

/* Go on with a long answer, for less than a millisecond; it may end by that. */
void control_more(struct control_exchange *exchange);

/* Does it take further lines? If not they wait until it has ended. */
bool control_takes_lines(const struct control_exchange *exchange);

/* A further line for it; what is no JSON object is told as an event. */
void control_feed(struct control_exchange *exchange, const char *line,
                  size_t len);

/* The asker is gone: stop. Sets *exchange to NULL; takes NULL. */
void control_forget(struct control_exchange **exchange);

#endif
