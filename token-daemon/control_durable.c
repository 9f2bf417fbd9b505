/*
 * control_durable - an answer that says whether what was changed is on the
 * disk, so that an operator knows what a restart would do.
 */
#include <stdlib.h>

#include <jansson.h>

#include "common/log.h"
#include "token-daemon/control_exchange.h"

#define PATIENCE_MS 5000 /* for a disk that hangs */

struct durable_wait {
    struct control_exchange *exchange;
    json_t *result;
    void *timer;
};

static void
wait_free(struct durable_wait *wait)
{
    const struct control_env *env = wait->exchange->env;

    if (wait->timer != NULL)
        env->timer_free(wait->timer);
    json_decref(wait->result);
    free(wait);
}

static void
answer(struct control_exchange *exchange, json_t *result, bool is_durable)
{
    if (!is_durable)
        log_warning("an operator's change is held in memory only; it is "
                    "written as soon as the disk takes it",
                    F_STR("verb", exchange->verb),
                    F_STR("subject", exchange->subject));
    (void)json_object_set_new(result, "durable", json_boolean(is_durable));
    control_answer_as(exchange, result,
                      is_durable ? "done" : "done, in memory only so far");
}

/* Frees it. */
static void
end_wait(struct durable_wait *wait, bool is_durable)
{
    struct control_exchange *exchange = wait->exchange;
    json_t *result = json_incref(wait->result);

    wait_free(wait);
    answer(exchange, result, is_durable);
}

/* refresher_saved_fn */
static void
on_settled(bool is_durable, int64_t durable_us, void *arg)
{
    (void)durable_us;
    end_wait(arg, is_durable);
}

static void
on_patience(void *arg)
{
    struct durable_wait *wait = arg;
    const struct control_env *env = wait->exchange->env;

    env->unsettle(env->arg, wait);
    end_wait(wait, false);
}

static void
cancel(void *arg)
{
    struct durable_wait *wait = arg;
    const struct control_env *env = wait->exchange->env;

    env->unsettle(env->arg, wait);
    wait_free(wait);
}

static const char *
outcome(const void *arg)
{
    (void)arg;
    return "done, in memory only so far";
}

void
control_answer_durable(struct control_exchange *exchange, json_t *result)
{
    static const struct control_wait_ops ops = {.cancel = cancel,
                                                .outcome = outcome};
    const struct control_env *env = exchange->env;
    struct durable_wait *wait;

    if (result == NULL) {
        control_answer(exchange, NULL);
        return;
    }
    wait = calloc(1, sizeof(*wait));
    if (wait == NULL) {
        answer(exchange, result, false);
        return;
    }
    wait->exchange = exchange;
    wait->result = result;
    wait->timer = env->timer_new(env->arg, on_patience, wait);
    if (wait->timer == NULL || env->settle(env->arg, on_settled, wait) < 0) {
        end_wait(wait, false);
        return;
    }
    env->timer_set(wait->timer, PATIENCE_MS);
    control_wait(exchange, &ops, wait);
}
