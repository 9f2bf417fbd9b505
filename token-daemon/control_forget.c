/*
 * control_forget - `rotate` with `forget`: back to the configured keys.
 *
 *     {"version": 1, "verb": "rotate", "credential": "contoso",
 *      "forget": true, "force": true, "wait": 0, "dry_run": true}
 *  -> {"version": 1, "ok": true, "result": {"durable": true, "forgotten": 1,
 *      "demoted": 0, "keys": [...]}}
 *
 * What was rotated in may exist here and nowhere else. So it goes only when
 * what takes its place got a token a moment ago.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/log.h"
#include "token-daemon/control_exchange.h"
#include "token-daemon/control_keys.h"
#include "token-daemon/control_rotate.h"
#include "token-daemon/graph_renewal.h"

struct forget_wait {
    struct control_exchange *exchange;
    struct rotation_job *job; /* the probe; NULL: it is over, or is not made */
    bool is_dry_run;
    bool is_forced;
    size_t forgotten;
    size_t demoted;
    char credential[];
};

static void
answer(struct forget_wait *wait, bool is_durable)
{
    const struct control_env *env = wait->exchange->env;

    control_answer(
        wait->exchange,
        json_pack("{s:o, s:b, s:b, s:I, s:I, s:n, s:o}", "credential",
                  control_string(wait->credential), "dry_run",
                  (int)wait->is_dry_run, "durable", (int)is_durable,
                  "forgotten", (json_int_t)wait->forgotten, "demoted",
                  (json_int_t)wait->demoted, "id", "keys",
                  control_keys_describe(env->keyring, wait->credential,
                                        env->wall(env->arg))));
    free(wait);
}

/* refresher_saved_fn */
static void
on_stored(bool is_durable, int64_t durable_us, void *arg)
{
    (void)durable_us;
    answer(arg, is_durable);
}

/* The job that brought us here, if any, is gone. */
static int
forget(struct forget_wait *wait)
{
    const struct control_env *env = wait->exchange->env;
    struct keyring_forgotten forgotten =
        keyring_forget(env->keyring, wait->credential,
                       wait->is_forced ? NULL : GRAPH_RENEWAL_ORIGIN);

    wait->job = NULL;
    wait->forgotten = forgotten.dropped;
    wait->demoted = forgotten.demoted;
    log_info("rotated secrets are forgotten: the configured ones are in force",
             F_STR("credential", wait->credential),
             F_INT("count", wait->forgotten),
             F_INT("fallbacks", wait->demoted));
    return rotation_store(env->rotation, wait->credential, on_stored, wait);
}

static void
refuse(struct forget_wait *wait, const struct rotation_news *news)
{
    char text[2 * ERR_TEXT_MAX];

    (void)snprintf(text, sizeof(text),
                   "what is configured does not work: %s%s%s; nothing has "
                   "changed. Mend it, or drop what was rotated in all the "
                   "same: --force",
                   news->err.text, news->hint != NULL ? "; " : "",
                   news->hint != NULL ? news->hint : "");
    control_refuse(wait->exchange, control_rotate_code(news->problem), text);
    free(wait);
}

/* rotation_fn */
static void
on_news(const struct rotation_news *news, void *arg)
{
    struct forget_wait *wait = arg;

    switch (news->step) {
    case ROTATION_REFUSED:
    case ROTATION_UNANSWERED:
        control_rotate_tell(wait->exchange, news);
        break;
    case ROTATION_DONE:
        wait->job = NULL;
        if (wait->is_dry_run)
            answer(wait, true);
        else if (forget(wait) < 0)
            answer(wait, false);
        break;
    case ROTATION_FAILED:
        refuse(wait, news);
        break;
    }
}

static const char *
outcome(const void *arg)
{
    const struct forget_wait *wait = arg;

    return wait->job == NULL ? "done, who asked is gone"
                             : "given up, who asked is gone: nothing has "
                               "changed";
}

static void
cancel(void *arg)
{
    struct forget_wait *wait = arg;

    if (wait->job == NULL)
        rotation_unstore(wait->exchange->env->rotation, wait);
    rotation_cancel(&wait->job);
    free(wait);
}

/* What there is to forget, and to go back to. */
struct survey {
    struct key *first; /* configured; borrowed */
    size_t kept;
};

/* keyring_each() visitor */
static void
look(const struct keyring_info *info, void *arg)
{
    struct survey *survey = arg;

    if (info->key->stage == KEY_CONFIGURED && survey->first == NULL)
        survey->first = info->key;
    if (info->key->stage == KEY_AHEAD || info->key->stage == KEY_BEHIND)
        survey->kept++;
}

/* 0: it is under way; 1: there is nothing to wait for; -1 with *err. */
static int
begin(struct forget_wait *wait, int64_t wait_s, struct err *err)
{
    const struct control_env *env = wait->exchange->env;
    struct survey survey = {.first = NULL};

    keyring_each(env->keyring, wait->credential, look, &survey);
    if (survey.kept == 0 || (wait->is_forced && wait->is_dry_run))
        return 1;
    if (wait->is_forced)
        return forget(wait) == 0 ? 0 : 1;
    wait->job = rotation_start(env->rotation,
                               &(struct rotation_order){
                                   .credential = wait->credential,
                                   .key = survey.first,
                                   .is_dry_run = true,
                                   .wait_s = wait_s,
                               },
                               on_news, wait, err);
    return wait->job != NULL ? 0 : -1;
}

void
control_forget_keys(struct control_exchange *exchange, const char *credential,
                    int64_t wait_s)
{
    static const struct control_wait_ops ops = {.cancel = cancel,
                                                .outcome = outcome};
    const struct control_env *env = exchange->env;
    size_t size = strlen(credential) + 1;
    struct err err = {ERR_NONE, ""};
    struct forget_wait *wait;
    struct key_salt salt;
    int rc;

    if (keyring_salt(env->keyring, credential, &salt, &err) < 0) {
        control_rotate_refuse(exchange, &err);
        return;
    }
    wait = calloc(1, sizeof(*wait) + size);
    if (wait == NULL) {
        control_answer(exchange, NULL);
        return;
    }
    wait->exchange = exchange;
    wait->is_dry_run = json_is_true(json_object_get(exchange->root, "dry_run"));
    wait->is_forced = json_is_true(json_object_get(exchange->root, "force"));
    memcpy(wait->credential, credential, size);
    rc = begin(wait, wait_s, &err);
    if (rc == 0) {
        control_wait(exchange, &ops, wait);
    } else if (rc > 0) {
        answer(wait, wait->forgotten == 0);
    } else {
        free(wait);
        control_rotate_refuse(exchange, &err);
    }
}
