/*
 * control_logins - the sign-ins that go on, from who began them to the end of
 * the last that the stop waits for; for control_login.
 */
#ifndef TOKEN_DAEMON_CONTROL_LOGINS_H
#define TOKEN_DAEMON_CONTROL_LOGINS_H

#include <stdbool.h>
#include <sys/queue.h>

#include "common/config.h"
#include "common/sendas.h"
#include "token-daemon/control.h"
#include "token-daemon/control_exchange.h"
#include "token-daemon/places.h"

struct login_flow;

/* A sign-in that goes on. */
struct control_login {
    TAILQ_ENTRY(control_login) link;
    struct control_logins *logins;
    struct place place; /* of who began it, also when that one is gone */
    const struct control_env *env;
    struct control_exchange *exchange; /* NULL: the asker is gone */
    struct config *config;     /* a reference: the one that it began with */
    struct sendas_match match; /* points into that, and to `mailbox` */
    bool by_device;
    bool may_differ;
    bool is_brought;         /* a refresh token is tried, nobody is asked */
    struct login_flow *flow; /* NULL: waits for the port */
    void *timer;             /* until that has come; NULL: it has */
    char mailbox[];
};

/*
 * Begin one for the mailbox of `match`, by the exchange's request. Owned:
 * control_logins_leave(), then control_login_free(). NULL: there is no place
 * for it, or no memory, and the exchange has ended.
 */
struct control_login *control_login_new(struct control_exchange *exchange,
                                        const struct sendas_match *match)
    __attribute__((warn_unused_result));

/* The one that goes on for this mailbox, or NULL. */
struct control_login *control_logins_find(const struct control_logins *logins,
                                          const char *mailbox);

/* It goes on no longer; another one may begin. */
void control_logins_leave(struct control_login *login);

/* The last that is done with it, after it was left. */
void control_login_free(struct control_login *login);

/* Is the process about to end? */
bool control_logins_are_stopping(const struct control_logins *logins);

#endif
