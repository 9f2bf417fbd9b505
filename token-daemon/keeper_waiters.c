/*
 * keeper_waiters - those who wait for what one keeper fetches.
 */
#include "token-daemon/keeper_parts.h"

#include <stdlib.h>

struct refresher_waiter {
    TAILQ_ENTRY(refresher_waiter) link;
    struct waiter_list *list; /* the one it is in */
    struct keeper *keeper;
    struct token_wish wish;
    void *timer; /* fires at the deadline */
    refresher_answer_fn answer;
    void *arg;
};

/*
 * The analyser does not see that TAILQ_REMOVE() changes the head: it has to be
 * silenced wherever the head is looked at again.
 */
static void
waiter_free(struct refresher_waiter *waiter)
{
    TAILQ_REMOVE(waiter->list, waiter, link);
    waiter->keeper->waiter_count--;
    waiter->keeper->shared->env.timer_free(waiter->timer);
    free(waiter);
}

/* To the end of another list. */
static void
waiter_move(struct refresher_waiter *waiter, struct waiter_list *list)
{
    TAILQ_REMOVE(waiter->list, waiter, link);
    TAILQ_INSERT_TAIL(list, waiter, link);
    waiter->list = list;
}

/* Answer once and for all. The callback may ask again. */
static void
answer_waiter(struct refresher_waiter *waiter, bool is_given, bool is_late)
{
    const struct keeper *keeper = waiter->keeper;
    struct refresher_answer answer = {.token = keeper->is_gone ? keeper_gone()
                                                               : &keeper->token,
                                      .is_given = is_given,
                                      .is_late = is_late};
    refresher_answer_fn fn = waiter->answer;
    void *arg = waiter->arg;

    waiter_free(waiter);
    fn(&answer, arg);
}

/* The deadline: what is still alive is better than nothing. */
static void
on_deadline(void *arg)
{
    struct refresher_waiter *waiter = arg;
    bool is_alive =
        token_is_alive(&waiter->keeper->token, keeper_now(waiter->keeper));

    answer_waiter(waiter, is_alive, !is_alive);
}

void
keeper_waiters_answer(struct keeper *keeper)
{
    struct refresher_waiter *waiter;

    keeper_hold(keeper);
    while ((waiter = TAILQ_FIRST(&keeper->waiters)) != NULL) {
        switch (token_judge(&keeper->token, &waiter->wish,
                            &keeper->shared->policy, keeper_now(keeper))) {
        case TOKEN_SERVE:
            answer_waiter(waiter, true, false); /* NOLINT(*-unix.Malloc) */
            continue;
        case TOKEN_REFUSE:
            answer_waiter(waiter, false, false); /* NOLINT(*-unix.Malloc) */
            continue;
        case TOKEN_WAIT_BEGIN:
            keeper_fetch_begin(keeper);
            break;
        case TOKEN_WAIT:
            break;
        }
        waiter_move(waiter, &keeper->passed_over); /* NOLINT(*-unix.Malloc) */
    }
    while ((waiter = TAILQ_FIRST(&keeper->passed_over)) != NULL)
        waiter_move(waiter, &keeper->waiters);
    keeper_release(keeper);
}

struct refresher_waiter *
keeper_waiters_add(struct keeper *keeper, const struct token_wish *wish,
                   refresher_answer_fn answer, void *arg)
{
    const struct refresher_env *env = &keeper->shared->env;
    struct refresher_waiter *waiter = calloc(1, sizeof(*waiter));

    if (waiter == NULL)
        return NULL;
    waiter->timer = env->timer_new(env->arg, on_deadline, waiter);
    if (waiter->timer == NULL) {
        free(waiter);
        return NULL;
    }
    waiter->keeper = keeper;
    waiter->wish = *wish;
    waiter->answer = answer;
    waiter->arg = arg;
    waiter->list = &keeper->waiters;
    TAILQ_INSERT_TAIL(&keeper->waiters, waiter, link);
    keeper->waiter_count++;
    env->timer_set(waiter->timer, wish->deadline - keeper_now(keeper));
    return waiter;
}

void
keeper_waiters_refuse(struct keeper *keeper)
{
    struct refresher_waiter *waiter;

    while ((waiter = TAILQ_FIRST(&keeper->passed_over)) != NULL ||
           (waiter = TAILQ_FIRST(&keeper->waiters)) != NULL)
        answer_waiter(waiter, false, false); /* NOLINT(*-unix.Malloc) */
}

void
keeper_waiters_drop(struct keeper *keeper)
{
    struct refresher_waiter *waiter;

    while ((waiter = TAILQ_FIRST(&keeper->waiters)) != NULL)
        waiter_free(waiter); /* NOLINT(*-unix.Malloc) */
}

void
refresher_forget(struct refresher_waiter **waiter)
{
    if (*waiter == NULL)
        return;
    waiter_free(*waiter);
    *waiter = NULL;
}
