/*
 * planner - one timer for what thousands of keepers plan.
 */
#include "token-daemon/planner.h"

#include <stdlib.h>

#define FIRED_PER_TURN 4

struct planner {
    const struct refresher_env *env;
    planner_fire_fn *fire;
    struct timetable *timetable;
    void *timer;
    int64_t set_to; /* when the timer fires; TOKEN_NEVER: it is off */
};

static int64_t
now_of(const struct planner *planner)
{
    return planner->env->boot_ms(planner->env->arg);
}

/* Let the timer fire when the first is due. */
static void
set_timer(struct planner *planner)
{
    const struct timetable_entry *first = timetable_first(planner->timetable);
    int64_t at = first != NULL ? first->at : TOKEN_NEVER;
    int64_t now;

    if (at == planner->set_to)
        return;
    planner->set_to = at;
    now = now_of(planner);
    if (at == TOKEN_NEVER)
        planner->env->timer_set(planner->timer, -1);
    else
        planner->env->timer_set(planner->timer, at > now ? at - now : 0);
}

static void
on_timer(void *arg)
{
    struct planner *planner = arg;
    int64_t now = now_of(planner);
    struct timetable_entry *entry;

    planner->set_to = TOKEN_NEVER; /* it is off */
    for (size_t i = 0; i < FIRED_PER_TURN; i++) {
        entry = timetable_first(planner->timetable);
        if (entry == NULL || entry->at > now)
            break;
        timetable_drop(planner->timetable, entry);
        planner->fire(entry);
    }
    set_timer(planner);
}

struct planner *
planner_new(const struct refresher_env *env, planner_fire_fn *fire)
{
    struct planner *planner = calloc(1, sizeof(*planner));

    if (planner == NULL)
        return NULL;
    planner->env = env;
    planner->fire = fire;
    planner->set_to = TOKEN_NEVER;
    planner->timetable = timetable_new();
    planner->timer = env->timer_new(env->arg, on_timer, planner);
    if (planner->timetable == NULL || planner->timer == NULL)
        planner_free(&planner);
    return planner;
}

void
planner_free(struct planner **planner)
{
    struct planner *p = *planner;

    if (p == NULL)
        return;
    if (p->timer != NULL)
        p->env->timer_free(p->timer);
    timetable_free(&p->timetable);
    free(p);
    *planner = NULL;
}

int
planner_reserve(struct planner *planner, size_t count)
{
    return timetable_reserve(planner->timetable, count);
}

void
planner_set(struct planner *planner, struct timetable_entry *entry, int64_t at)
{
    if (at == TOKEN_NEVER)
        timetable_drop(planner->timetable, entry);
    else
        timetable_plan(planner->timetable, entry, at);
    set_timer(planner);
}

uint32_t
planner_load(const struct planner *planner, int64_t at)
{
    return timetable_load(planner->timetable, at);
}

int64_t
planner_choose(const struct planner *planner, int64_t earliest, int64_t latest)
{
    const struct refresher_env *env = planner->env;
    uint32_t best_load = UINT32_MAX;
    int64_t best = earliest;

    for (int i = 0; i < PLANNER_TRIES && best_load > 0; i++) {
        int64_t at = earliest + (int64_t)(env->chance(env->arg) *
                                          (double)(latest - earliest));
        uint32_t load = planner_load(planner, at);

        if (load < best_load) {
            best_load = load;
            best = at;
        }
    }
    return best;
}
