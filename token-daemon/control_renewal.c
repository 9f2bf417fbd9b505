/*
 * control_renewal - credentials that renew themselves.
 */
#include "token-daemon/control_renewal.h"

#include <jansson.h>

#include "common/err.h"
#include "token-daemon/control_exchange.h"
#include "token-daemon/graph_rotator.h"

static json_t *
time_or_null(int64_t wall)
{
    return wall != 0 ? json_integer(wall) : json_null();
}

static json_t *
describe(const struct graph_renewal_info *info)
{
    return json_pack(
        "{s:s, s:o, s:o, s:i, s:o}", "phase", info->phase, "last",
        time_or_null(info->last_wall), "next", time_or_null(info->next_wall),
        "failures", (int)info->failures, "reason",
        info->reason[0] != '\0' ? json_string(info->reason) : json_null());
}

void
control_renewal_describe(const struct control_env *env, json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "name"));
    struct graph_renewal_info info;
    bool is_there = name != NULL && env->graph_rotator != NULL &&
                    graph_rotator_describe(env->graph_rotator, name, &info);

    /* On failure it is left out; status is all the same useful. */
    (void)json_object_set_new(row, "rotation",
                              is_there ? describe(&info) : json_null());
}

void
control_renewal_now(struct control_exchange *exchange, const char *credential)
{
    const struct control_env *env = exchange->env;
    struct graph_renewal_info info;
    struct err err = {ERR_NONE, ""};

    if (env->graph_rotator == NULL ||
        !graph_rotator_describe(env->graph_rotator, credential, &info)) {
        control_refuse(exchange, "bad-input",
                       "no credential of that name renews itself: write rotate "
                       "= \"graph\" into its section, or give the new secret "
                       "or certificate");
        return;
    }
    if (graph_rotator_hurry(env->graph_rotator, credential, &err) < 0) {
        control_refuse(exchange, "failed", err.text);
        return;
    }
    (void)graph_rotator_describe(env->graph_rotator, credential, &info);
    control_answer(exchange, json_pack("{s:o, s:o}", "credential",
                                       control_string(credential), "rotation",
                                       describe(&info)));
}
