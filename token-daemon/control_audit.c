/*
 * control_audit - what `audit` answers: who did what when.
 */
#include <stdlib.h>

#include <jansson.h>

#include "token-daemon/control_exchange.h"

#define COUNT_DEFAULT 100

struct audit_wait {
    struct control_exchange *exchange;
};

static void
cancel_audit(void *arg)
{
    struct audit_wait *wait = arg;
    const struct control_env *env = wait->exchange->env;

    env->forget_audit(env->arg, wait);
    free(wait);
}

static void
on_rows(const struct store_audit *rows, size_t count, const struct err *err,
        void *arg)
{
    struct audit_wait *wait = arg;
    json_t *list;

    if (err != NULL) {
        control_refuse(wait->exchange, "state-unreadable", err->text);
        free(wait);
        return;
    }
    list = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(
            list,
            json_pack("{s:I, s:o, s:o, s:o, s:b}", "at", (json_int_t)rows[i].at,
                      "who", control_string(rows[i].who), "what",
                      control_string(rows[i].what), "detail",
                      control_string(rows[i].detail), "is_durable",
                      rows[i].id != 0));
    control_answer(wait->exchange, json_pack("{s:o}", "entries", list));
    free(wait);
}

void
control_verb_audit(struct control_exchange *exchange)
{
    static const struct control_wait_ops ops = {.cancel = cancel_audit};
    const struct control_env *env = exchange->env;
    const json_t *count = json_object_get(exchange->root, "count");
    struct err err = {ERR_NONE, ""};
    struct audit_wait *wait;
    json_int_t wanted =
        count != NULL ? json_integer_value(count) : COUNT_DEFAULT;

    if (wanted < 1 || wanted > STORE_AUDIT_ROWS) {
        control_refuse(exchange, "bad-request",
                       "audit wants count as a number from 1 to 10000");
        return;
    }
    wait = calloc(1, sizeof(*wait));
    if (wait == NULL) {
        control_answer(exchange, NULL);
        return;
    }
    wait->exchange = exchange;
    if (env->read_audit(env->arg, (size_t)wanted, on_rows, wait, &err) < 0) {
        free(wait);
        control_refuse(exchange, "state-unreadable", err.text);
        return;
    }
    control_wait(exchange, &ops, wait);
}
