/*
 * control - the verbs of xoauth2ctl: one JSON object in, one out.
 *
 *     {"version": 1, "verb": "status"}
 *     {"version": 1, "verb": "token", "mailbox": "a@b", "min": 300}
 *     {"version": 1, "verb": "refresh", "mailbox": "a@b"}
 *     {"version": 1, "verb": "invalidate", "mailbox": "a@b"}
 *     {"version": 1, "verb": "login", "mailbox": "a@b", "refresh_token": "..."}
 *     {"version": 1, "verb": "logout", "mailbox": "a@b"}
 *     {"version": 1, "verb": "reload"}
 *  -> {"version": 1, "ok": true, "result": {...}}
 *  -> {"version": 1, "ok": false, "error": {"code": "...", "text": "..."}}
 *
 * Every request is answered exactly once; what waits for a token later.
 * Knows nothing of sockets. Only `token`, `refresh` and `login` ever answer a
 * secret: the token.
 */
#ifndef TOKEN_DAEMON_CONTROL_H
#define TOKEN_DAEMON_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/sendas.h"
#include "token-daemon/lookups.h"
#include "token-daemon/refresher.h"

#define CONTROL_VERSION     1
#define CONTROL_REQUEST_MAX 65536 /* bytes, with the newline */

struct control;
struct control_pending;

struct control_env {
    struct refresher *refresher; /* borrowed: for the control's life */
    struct lookups *lookups;     /* likewise */
    /* The policy in force, borrowed: during the call. */
    const struct sendas *(*policy)(void *arg);
    /* Read the configuration again; on failure nothing has changed. */
    int (*reload)(void *arg, struct err *err);
    size_t (*clients)(void *arg); /* open lookup connections */
    int64_t (*wall)(void *arg);
    void *arg;
};

/* Owned; NULL when out of memory. */
struct control *control_new(const struct control_env *env)
    __attribute__((warn_unused_result));
void control_free(struct control **control);

/* One line without its newline; borrowed: during the call. NULL: no memory. */
typedef void (*control_reply_fn)(const char *line, void *arg);

/*
 * Answer one line. NULL when it was answered during the call; else a handle
 * for control_forget(), valid until the answer.
 */
struct control_pending *control_ask(struct control *control, const char *line,
                                    size_t len, control_reply_fn reply,
                                    void *arg);

/* The asker is gone: do not answer. Sets *pending to NULL; takes NULL. */
void control_forget(struct control_pending **pending);

#endif
