/*
 * control_logins - the sign-ins that go on.
 */
#include "token-daemon/control_logins.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

struct control_logins {
    TAILQ_HEAD(, control_login) list;
    size_t count;
    bool is_stopping;
    void (*stopped)(void *arg); /* NULL: nobody waits for the last one */
    void *stopped_arg;
};

struct control_logins *
control_logins_new(void)
{
    struct control_logins *logins = calloc(1, sizeof(*logins));

    if (logins != NULL)
        TAILQ_INIT(&logins->list);
    return logins;
}

struct control_login *
control_login_new(struct control_exchange *exchange,
                  const struct sendas_match *match)
{
    const struct control_env *env = exchange->env;
    size_t size = strlen(match->login) + 1;
    struct control_login *login = calloc(1, sizeof(*login) + size);

    if (login == NULL)
        return NULL;
    login->logins = exchange->logins;
    login->env = env;
    login->exchange = exchange;
    login->may_differ =
        json_is_true(json_object_get(exchange->root, "other_account"));
    login->config = config_ref(env->login.config(env->arg));
    login->match = *match;
    memcpy(login->mailbox, match->login, size);
    login->match.login = login->mailbox;
    TAILQ_INSERT_TAIL(&login->logins->list, login, link);
    login->logins->count++;
    return login;
}

struct control_login *
control_logins_find(const struct control_logins *logins, const char *mailbox)
{
    struct control_login *login;

    TAILQ_FOREACH(login, &logins->list, link)
    {
        if (strcasecmp(login->mailbox, mailbox) == 0)
            return login;
    }
    return NULL;
}

size_t
control_logins_count(const struct control_logins *logins)
{
    return logins->count;
}

void
control_logins_leave(struct control_login *login)
{
    struct control_logins *logins = login->logins;

    TAILQ_REMOVE(&logins->list, login, link);
    logins->count--;
}

void
control_login_free(struct control_login *login)
{
    struct control_logins *logins = login->logins;

    config_unref(&login->config);
    free(login);
    if (logins->count == 0 && logins->stopped != NULL)
        logins->stopped(logins->stopped_arg);
}

void
control_logins_stop(struct control_logins *logins)
{
    logins->is_stopping = true;
}

bool
control_logins_are_stopping(const struct control_logins *logins)
{
    return logins->is_stopping;
}

bool
control_logins_linger(struct control_logins *logins, void (*stopped)(void *arg),
                      void *arg)
{
    if (logins->count == 0)
        return false;
    logins->stopped = stopped;
    logins->stopped_arg = arg;
    return true;
}

void
control_logins_free(struct control_logins **logins)
{
    struct control_login *login;

    if (*logins == NULL)
        return;
    (*logins)->stopped = NULL;
    /* Those whose askers are gone. */
    while ((login = TAILQ_FIRST(&(*logins)->list)) != NULL) {
        login->env->login.cancel(&login->flow);
        control_logins_leave(login);
        control_login_free(login);
    }
    free(*logins);
    *logins = NULL;
}
