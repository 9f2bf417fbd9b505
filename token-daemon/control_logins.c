/*
 * control_logins - the sign-ins that go on.
 */
#include "token-daemon/control_logins.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

/*
 * At the same time, those whose askers are gone among them. Who may use all
 * verbs may sign in for all that is to be imported; others are people.
 */
#define TRUSTED_MAX 32 /* of each user who may use all verbs */
#define USER_MAX    8  /* of each other one */
#define OTHERS_MAX  64 /* of all others together */

struct control_logins {
    TAILQ_HEAD(, control_login) list;
    struct places places;
    size_t count;
    bool is_stopping;
    void (*stopped)(void *arg); /* NULL: nobody waits for the last one */
    void *stopped_arg;
};

struct control_logins *
control_logins_new(void)
{
    struct control_logins *logins = calloc(1, sizeof(*logins));

    if (logins == NULL)
        return NULL;
    TAILQ_INIT(&logins->list);
    logins->places = (struct places){.trusted_max = TRUSTED_MAX,
                                     .user_max = USER_MAX,
                                     .others_max = OTHERS_MAX};
    return logins;
}

/* False: the exchange has ended. */
static bool
take_place(struct control_exchange *exchange, struct place *place)
{
    enum places_result result =
        places_take(&exchange->logins->places, exchange->peer.uid,
                    control_may_all(exchange), place);
    const char *text = NULL;

    switch (result) {
    case PLACES_TAKEN:
        return true;
    case PLACES_USER_FULL:
        text = "too many sign-ins of this user go on at the same time; wait "
               "for one to end, or end that xoauth2ctl";
        break;
    case PLACES_OTHERS_FULL:
        text = "too many sign-ins of all operators go on at the same time; "
               "wait for one to end, or ask who may use all verbs";
        break;
    }
    control_refuse(exchange, "busy", text);
    return false;
}

struct control_login *
control_login_new(struct control_exchange *exchange,
                  const struct sendas_match *match)
{
    const struct control_env *env = exchange->env;
    size_t size = strlen(match->login) + 1;
    struct control_login *login = calloc(1, sizeof(*login) + size);

    if (login == NULL) {
        control_answer(exchange, NULL);
        return NULL;
    }
    if (!take_place(exchange, &login->place)) {
        free(login);
        return NULL;
    }
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

void
control_logins_leave(struct control_login *login)
{
    struct control_logins *logins = login->logins;

    TAILQ_REMOVE(&logins->list, login, link);
    logins->count--;
    places_leave(&login->place);
    if (login->timer != NULL)
        login->env->timer_free(login->timer);
    login->timer = NULL;
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
