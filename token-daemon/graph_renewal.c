/*
 * graph_renewal - has one credential renew itself at Microsoft Graph.
 */
#include "token-daemon/graph_renewal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/log.h"
#include "token-daemon/graph_client.h"
#include "token-daemon/graph_record.h"
#include "token-daemon/graph_rotation.h"
#include "token-daemon/key.h"
#include "token-daemon/key_maker.h"
#include "token-daemon/keyring.h"
#include "token-daemon/rotation.h"

#define WAIT_MAX_S  3600 /* the wall clock may be set meanwhile */
#define UNSAVED_MS  5000 /* until a record is put again */
#define PASSING_WAY 5    /* s: what does not depend on anybody else */

/* One credential. */
struct graph_renewal {
    const struct graph_renewal_env *env;
    bool is_open; /* can the state be written? */
    char *name;
    struct buf stored; /* its record, until its application is known */
    char *client_id;   /* whose rotation it is; NULL: none yet */
    struct graph_rotation rotation;
    bool is_unsaved; /* it has changed since it was put */
    bool is_saving;
    struct config *config; /* NULL: it does not renew itself */
    const struct config_credential *credential;
    char object_id[GRAPH_ROTATION_ID_SIZE]; /* as listed; "": not known */
    void *timer;

    /* What is under way: at most one of these. */
    enum graph_rotation_step step;
    char key_id[GRAPH_ROTATION_ID_SIZE]; /* of REMOVE */
    char tag[GRAPH_ROTATION_TAG_SIZE];   /* the same */
    struct graph_rotation_made made;     /* of MAKE: the random part */
    struct key_maker *maker;
    struct graph_call *call;
    struct acquire *acquire;
    struct key *candidate; /* what is tried; NULL: not made yet */
    bool is_storing;       /* the keyring, with what was promoted */
};

/* A step ends in saving, and that in the next step. */
static void advance(struct graph_renewal *renewal);

static int64_t
now_of(const struct graph_renewal *renewal)
{
    return renewal->env->wall(renewal->env->arg);
}

static double
chance_of(const struct graph_renewal *renewal)
{
    return renewal->env->chance(renewal->env->arg);
}

static bool
is_busy(const struct graph_renewal *renewal)
{
    return renewal->maker != NULL || renewal->call != NULL ||
           renewal->acquire != NULL || renewal->is_storing ||
           renewal->is_saving;
}

static bool
wants_secret(const struct graph_renewal *renewal)
{
    return renewal->credential->certificate.kind == CONFIG_REF_NONE;
}

static void
set_timer(const struct graph_renewal *renewal, int64_t delay_ms)
{
    renewal->env->timer_set(renewal->timer, delay_ms);
}

/* ---- Saving ----------------------------------------------------------------
 */

/* refresher_saved_fn */
static void
on_saved(bool is_durable, int64_t durable_us, void *arg)
{
    struct graph_renewal *renewal = arg;

    (void)durable_us;
    renewal->is_saving = false;
    if (is_durable) {
        advance(renewal);
    } else {
        renewal->is_unsaved = true; /* it is tried; ask again */
        set_timer(renewal, UNSAVED_MS);
    }
}

static void
save(struct graph_renewal *renewal)
{
    const struct graph_renewal_env *env = renewal->env;
    struct err err = {ERR_NONE, ""};
    struct buf value;

    buf_init(&value, GRAPH_RECORD_MAX);
    if (graph_record_encode(&renewal->rotation, renewal->client_id, &value,
                            &err) < 0)
        log_error("a rotation can not be stored",
                  F_STR("credential", renewal->name), F_STR("error", err.text));
    else
        renewal->is_saving =
            env->put(env->arg, renewal->name, &value, on_saved, renewal) == 0;
    buf_clear(&value);
    renewal->is_unsaved = !renewal->is_saving;
    if (renewal->is_unsaved)
        set_timer(renewal, UNSAVED_MS);
}

/* Without a step that follows: it is not to renew itself, or is busy. */
static void
put_now(const struct graph_renewal *renewal)
{
    const struct graph_renewal_env *env = renewal->env;
    struct err err = {ERR_NONE, ""};
    struct buf value;
    int rc = 0;

    buf_init(&value, GRAPH_RECORD_MAX);
    if (renewal->client_id != NULL)
        rc = graph_record_encode(&renewal->rotation, renewal->client_id, &value,
                                 &err);
    else
        buf_append(&value, buf_str(&renewal->stored), renewal->stored.len);
    if (rc < 0)
        log_error("a rotation can not be stored",
                  F_STR("credential", renewal->name), F_STR("error", err.text));
    else if (value.len > 0)
        (void)env->put(env->arg, renewal->name, &value, NULL, NULL); /* said */
    buf_clear(&value);
}

/* ---- Failures -------------------------------------------------------------
 */

/* The 1st, 10th, 100th. */
static bool
is_told(unsigned count)
{
    while (count >= 10 && count % 10 == 0)
        count /= 10;
    return count == 1;
}

static const char *
step_word(enum graph_rotation_step step)
{
    static const char *const words[] = {
        [GRAPH_ROTATION_WAIT] = "wait",   [GRAPH_ROTATION_MAKE] = "make",
        [GRAPH_ROTATION_LIST] = "list",   [GRAPH_ROTATION_ADD] = "add",
        [GRAPH_ROTATION_PROBE] = "probe", [GRAPH_ROTATION_PROMOTE] = "use",
        [GRAPH_ROTATION_CHECK] = "check", [GRAPH_ROTATION_REMOVE] = "remove",
    };

    return words[step];
}

static void
report(const struct graph_renewal *renewal, const char *reason,
       const char *hint, const struct err *err)
{
    const struct graph_renewal_env *env = renewal->env;
    const struct graph_rotation *rotation = &renewal->rotation;
    bool is_rotating = rotation->failures > 0;
    unsigned count =
        is_rotating ? rotation->failures : rotation->clean_failures;

    if (!is_told(count))
        return;
    log_error(is_rotating ? "rotation failed, it will be tried again; what is "
                            "in use stays"
                          : "what was replaced could not be removed, it will "
                            "be tried again",
              F_STR("credential", renewal->name),
              F_STR("step", step_word(renewal->step)), F_STR("reason", reason),
              F_STR("hint", hint), F_INT("failures", count),
              F_STR("error", err->text));
    env->told(env->arg, renewal->name, err);
}

static void
fail_step(struct graph_renewal *renewal,
          const struct graph_rotation_failure *failure, const char *hint,
          const struct err *err)
{
    graph_rotation_failed(&renewal->rotation, renewal->step, failure,
                          now_of(renewal), chance_of(renewal));
    report(renewal, failure->reason, hint, err);
    save(renewal);
}

/* Something of our own. */
static void
fail_here(struct graph_renewal *renewal, const struct err *err)
{
    const struct graph_rotation_failure failure = {
        .reason = "internal", .retry_after_s = PASSING_WAY};

    fail_step(renewal, &failure, NULL, err);
}

static void
fail_out_of_memory(struct graph_renewal *renewal)
{
    struct err err = {ERR_NONE, ""};

    (void)err_set(&err, ERR_SYSTEM, "out of memory");
    fail_here(renewal, &err);
}

static void
fail_call(struct graph_renewal *renewal, const struct graph_result *result)
{
    const struct graph_rotation_failure failure = {
        .reason = result->refusal.reason,
        .is_lasting = result->refusal.is_lasting,
        .is_unknown = result->refusal.is_unknown,
        .retry_after_s = result->retry_after_s,
    };

    fail_step(renewal, &failure, result->refusal.hint, &result->err);
}

/* ---- Making ----------------------------------------------------------------
 */

static void
finish_made(struct graph_renewal *renewal)
{
    struct err err = {ERR_NONE, ""};

    if (graph_rotation_made(&renewal->rotation, &renewal->made, &err) < 0) {
        fail_here(renewal, &err);
        return;
    }
    log_info("rotation begins", F_STR("credential", renewal->name),
             F_STR("kind", renewal->rotation.candidate.is_secret
                               ? "secret"
                               : "certificate"),
             F_STR("name", renewal->rotation.candidate.tag));
    save(renewal);
}

/* key_maker_fn */
static void
on_key(const struct own_certificate *own, const struct err *err, void *arg)
{
    struct graph_renewal *renewal = arg;

    renewal->maker = NULL;
    if (own == NULL) {
        fail_here(renewal, err);
        return;
    }
    renewal->made.certificate = own->certificate;
    renewal->made.private_key = own->private_key;
    renewal->made.thumbprint = own->thumbprint;
    finish_made(renewal);
}

static void
do_make(struct graph_renewal *renewal)
{
    char tag[GRAPH_ROTATION_TAG_SIZE];
    struct err err = {ERR_NONE, ""};

    renewal->made = (struct graph_rotation_made){.certificate = NULL};
    if (getrandom(renewal->made.random, sizeof(renewal->made.random), 0) !=
        (ssize_t)sizeof(renewal->made.random)) {
        (void)err_set(&err, ERR_SYSTEM, "no random numbers");
        fail_here(renewal, &err);
        return;
    }
    if (wants_secret(renewal)) {
        finish_made(renewal);
        return;
    }
    graph_rotation_tag(renewal->made.random, tag);
    renewal->maker = key_maker_start(
        renewal->env->acquire->base,
        &(struct own_certificate_order){
            .name = tag,
            .now = now_of(renewal),
            .lifetime_s = renewal->credential->rotation.lifetime_s,
        },
        on_key, renewal, &err);
    if (renewal->maker == NULL)
        fail_here(renewal, &err);
}

/* ---- Graph ----------------------------------------------------------------
 */

static void
finish_removed(struct graph_renewal *renewal)
{
    struct keyring *keyring = renewal->env->acquire->keyring;
    struct key *key = renewal->tag[0] != '\0'
                          ? keyring_find(keyring, renewal->name, renewal->tag)
                          : NULL;

    log_info("what was replaced is removed", F_STR("credential", renewal->name),
             F_STR("key_id", renewal->key_id), F_STR("name", renewal->tag));
    graph_rotation_removed(&renewal->rotation, renewal->key_id);
    /* Not stored at once: one that no longer works does no harm. */
    if (key != NULL && keyring_remove(keyring, renewal->name, key))
        keyring_settle(keyring, renewal->name);
    save(renewal);
}

static void
finish_added(struct graph_renewal *renewal, const struct graph_added *added)
{
    struct err err = {ERR_NONE, ""};

    if (graph_rotation_added(&renewal->rotation, added->key_id, added->secret,
                             now_of(renewal), &err) < 0)
        fail_here(renewal, &err);
    else
        save(renewal);
}

/* graph_done_fn */
static void
on_called(struct graph_result *result, void *arg)
{
    struct graph_renewal *renewal = arg;

    renewal->call = NULL;
    if (result->err.code != ERR_NONE) {
        fail_call(renewal, result);
        return;
    }
    if (renewal->step == GRAPH_ROTATION_LIST) {
        memcpy(renewal->object_id, result->application.object_id,
               sizeof(renewal->object_id));
        graph_rotation_listed(&renewal->rotation, result->application.entries,
                              result->application.count, now_of(renewal));
        save(renewal);
    } else if (renewal->step == GRAPH_ROTATION_ADD) {
        finish_added(renewal, &result->added);
    } else {
        finish_removed(renewal);
    }
}

static void
call_graph(struct graph_renewal *renewal, struct graph_order *order)
{
    const char *configured = renewal->credential->rotation.object_id;

    order->config = renewal->config;
    order->credential = renewal->credential;
    order->object_id = configured;
    if (configured == NULL && renewal->object_id[0] != '\0')
        order->object_id = renewal->object_id;
    renewal->call =
        graph_call_start(renewal->env->acquire, order, on_called, renewal);
    if (renewal->call == NULL)
        fail_out_of_memory(renewal);
}

static void
do_list(struct graph_renewal *renewal)
{
    struct graph_order order = {.action = GRAPH_ACTION_GET};

    call_graph(renewal, &order);
}

static void
do_add(struct graph_renewal *renewal)
{
    const struct graph_rotation *rotation = &renewal->rotation;
    struct graph_order order = {
        .action = rotation->candidate.is_secret ? GRAPH_ACTION_ADD_PASSWORD
                                                : GRAPH_ACTION_ADD_KEY,
        .certificate = rotation->certificate,
        .tag = rotation->candidate.tag,
        .end_wall = now_of(renewal) + renewal->credential->rotation.lifetime_s,
    };

    call_graph(renewal, &order);
}

static void
do_remove(struct graph_renewal *renewal,
          const struct graph_rotation_entry *entry)
{
    struct graph_order order = {
        .action = entry->is_secret ? GRAPH_ACTION_REMOVE_PASSWORD
                                   : GRAPH_ACTION_REMOVE_KEY,
        .key_id = renewal->key_id,
    };

    memcpy(renewal->key_id, entry->key_id, sizeof(renewal->key_id));
    memcpy(renewal->tag, entry->tag, sizeof(renewal->tag));
    call_graph(renewal, &order);
}

/* ---- Trying ---------------------------------------------------------------
 */

/* The candidate, as the keyring has its keys; borrowed. NULL with *err. */
static struct key *
get_candidate(struct graph_renewal *renewal, struct err *err)
{
    const struct graph_rotation *rotation = &renewal->rotation;
    struct key_part_text parts[KEY_PART_COUNT] = {{.text = NULL}};
    struct key *key = renewal->candidate;

    if (key != NULL && strcmp(key->tag, rotation->candidate.tag) == 0)
        return key; /* which knows that it was refused before */
    key_unref(&renewal->candidate);
    parts[KEY_PART_TEXT].text = rotation->secret;
    parts[KEY_PART_CERTIFICATE].text = rotation->certificate;
    parts[KEY_PART_PRIVATE_KEY].text = rotation->private_key;
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        if (parts[i].text != NULL)
            parts[i].len = strlen(parts[i].text);
    key = rotation_new_key(renewal->env->rotation, renewal->name,
                           rotation->candidate.is_secret ? KEY_SECRET
                                                         : KEY_CERTIFICATE,
                           parts, err);
    if (key == NULL)
        return NULL;
    (void)snprintf(key->origin, sizeof(key->origin), "%s",
                   GRAPH_RENEWAL_ORIGIN);
    (void)snprintf(key->tag, sizeof(key->tag), "%s", rotation->candidate.tag);
    (void)snprintf(key->source, sizeof(key->source), "Microsoft Graph");
    renewal->candidate = key;
    return key;
}

static void
finish_probed(struct graph_renewal *renewal, bool is_accepted)
{
    struct graph_rotation *rotation = &renewal->rotation;
    enum graph_rotation_phase before = rotation->phase;
    struct err err = {ERR_NONE, ""};

    graph_rotation_probed(rotation, &renewal->credential->rotation, is_accepted,
                          now_of(renewal));
    if (rotation->phase == before) {
        advance(renewal); /* nothing that has to be durable */
        return;
    }
    if (rotation->phase == GRAPH_ROTATION_IDLE) {
        (void)err_set(&err, ERR_DENIED,
                      "what was registered was never accepted");
        report(renewal, rotation->reason, NULL, &err);
    }
    save(renewal);
}

/* acquire_done_fn */
static void
on_token(struct acquire_result *result, void *arg)
{
    struct graph_renewal *renewal = arg;
    struct graph_rotation_failure failure = {
        .reason = result->reason,
        .retry_after_s = result->retry_after_s,
    };
    bool is_refused = result->problem == PROBLEM_BAD_SECRET;

    renewal->acquire = NULL;
    if (renewal->step == GRAPH_ROTATION_PROBE &&
        (result->err.code == ERR_NONE || is_refused)) {
        finish_probed(renewal, !is_refused);
    } else if (result->err.code == ERR_NONE) {
        graph_rotation_checked(&renewal->rotation, now_of(renewal),
                               chance_of(renewal));
        save(renewal);
    } else {
        failure.is_lasting = result->err.code != ERR_RETRY;
        fail_step(renewal, &failure, result->hint, &result->err);
    }
}

/* Ask for a token with this key and no other. */
static void
try_key(struct graph_renewal *renewal, struct key *key)
{
    struct key_list list = {.keys = NULL};
    const struct acquire_request request = {
        .config = renewal->config,
        .credential = renewal->credential,
        .keys = &list,
    };

    if (key_list_add(&list, key) == 0)
        renewal->acquire =
            acquire_start(renewal->env->acquire, &request, on_token, renewal);
    key_list_clear(&list);
    if (renewal->acquire == NULL)
        fail_out_of_memory(renewal);
}

static void
do_probe(struct graph_renewal *renewal)
{
    struct err err = {ERR_NONE, ""};
    struct key *key = get_candidate(renewal, &err);

    if (key == NULL)
        fail_here(renewal, &err);
    else
        try_key(renewal, key);
}

/* Is the current one what is tried first? Else it is not to be relied on. */
static void
do_check(struct graph_renewal *renewal)
{
    static const struct graph_rotation_failure aside = {
        .reason = "current-not-used",
        .is_lasting = true,
    };
    struct key_list list = {.keys = NULL};
    struct err err = {ERR_NONE, ""};

    if (keyring_list(renewal->env->acquire->keyring, renewal->credential,
                     &list) < 0) {
        fail_out_of_memory(renewal);
    } else if (list.count > 0 &&
               strcmp(list.keys[0]->tag, renewal->rotation.current.tag) == 0) {
        try_key(renewal, list.keys[0]);
    } else {
        (void)err_set(&err, ERR_CONFIG,
                      "another secret or certificate is in use than the last "
                      "one that was made here");
        fail_step(renewal, &aside, NULL, &err);
    }
    key_list_clear(&list);
}

/* ---- Using ----------------------------------------------------------------
 */

static void
finish_promoted(struct graph_renewal *renewal)
{
    const struct graph_renewal_env *env = renewal->env;
    struct graph_rotation *rotation = &renewal->rotation;

    key_unref(&renewal->candidate);
    graph_rotation_promoted(rotation, &renewal->credential->rotation,
                            now_of(renewal), chance_of(renewal));
    log_info(
        "credential rotated", F_STR("credential", renewal->name),
        F_STR("kind", rotation->current.is_secret ? "secret" : "certificate"),
        F_STR("name", rotation->current.tag),
        F_STR("thumbprint", rotation->current.thumbprint),
        F_INT("next_s", rotation->due_wall - now_of(renewal)));
    env->told(env->arg, renewal->name, NULL);
    save(renewal);
}

/* refresher_saved_fn */
static void
on_stored(bool is_durable, int64_t durable_us, void *arg)
{
    struct graph_renewal *renewal = arg;
    struct err err = {ERR_NONE, ""};

    (void)durable_us;
    renewal->is_storing = false;
    if (is_durable) {
        finish_promoted(renewal);
        return;
    }
    (void)err_set(&err, ERR_RETRY, "the state could not be written");
    fail_here(renewal, &err);
}

/* Put it first, where it is not yet. */
static int
put_first(struct graph_renewal *renewal, struct err *err)
{
    struct keyring *keyring = renewal->env->acquire->keyring;
    struct key *known =
        keyring_find(keyring, renewal->name, renewal->rotation.candidate.tag);
    struct key *key;

    if (known != NULL)
        return 0; /* before a crash, or before the state failed */
    key = get_candidate(renewal, err);
    if (key == NULL)
        return -1;
    return keyring_add(keyring, renewal->name, key, KEY_AHEAD, err);
}

static void
do_promote(struct graph_renewal *renewal)
{
    struct rotation *rotation = renewal->env->rotation;
    struct err err = {ERR_NONE, ""};

    if (put_first(renewal, &err) < 0) {
        fail_here(renewal, &err);
        return;
    }
    renewal->is_storing =
        rotation_store(rotation, renewal->name, on_stored, renewal) == 0;
    if (!renewal->is_storing)
        on_stored(false, 0, renewal);
}

/* ---- Step by step ----------------------------------------------------------
 */

static void
wait_until(const struct graph_renewal *renewal, int64_t until, int64_t now)
{
    int64_t delay = until - now;

    if (delay < 1)
        delay = 1;
    set_timer(renewal, (delay < WAIT_MAX_S ? delay : WAIT_MAX_S) * 1000);
}

static void
take_step(struct graph_renewal *renewal, const struct graph_rotation_plan *plan,
          int64_t now)
{
    renewal->step = plan->step;
    switch (plan->step) {
    case GRAPH_ROTATION_WAIT:
        wait_until(renewal, plan->until_wall, now);
        break;
    case GRAPH_ROTATION_MAKE:
        do_make(renewal);
        break;
    case GRAPH_ROTATION_LIST:
        do_list(renewal);
        break;
    case GRAPH_ROTATION_ADD:
        do_add(renewal);
        break;
    case GRAPH_ROTATION_PROBE:
        do_probe(renewal);
        break;
    case GRAPH_ROTATION_PROMOTE:
        do_promote(renewal);
        break;
    case GRAPH_ROTATION_CHECK:
        do_check(renewal);
        break;
    case GRAPH_ROTATION_REMOVE:
        do_remove(renewal, plan->entry);
        break;
    }
}

static void
advance(struct graph_renewal *renewal)
{
    struct graph_rotation *rotation = &renewal->rotation;
    int64_t now = now_of(renewal);
    struct graph_rotation_plan plan;

    if (!renewal->is_open || renewal->config == NULL || is_busy(renewal))
        return;
    if (renewal->is_unsaved) {
        save(renewal);
        return;
    }
    if (rotation->phase != GRAPH_ROTATION_IDLE &&
        rotation->candidate.is_secret != wants_secret(renewal)) {
        graph_rotation_abandon(rotation, now);
        save(renewal);
        return;
    }
    graph_rotation_fit(rotation, &renewal->credential->rotation, now);
    graph_rotation_next(rotation, now, &plan);
    take_step(renewal, &plan, now);
}

/* The timer. */
static void
on_timer(void *arg)
{
    advance(arg);
}

/* ---- Life -----------------------------------------------------------
 */

/* Whether it was done or not is for the next process to find out. */
static void
interrupt(struct graph_renewal *renewal)
{
    const struct graph_rotation_failure failure = {.reason = "interrupted",
                                                   .is_unknown = true};
    const struct graph_renewal_env *env = renewal->env;

    if (renewal->call != NULL && renewal->step == GRAPH_ROTATION_ADD) {
        graph_rotation_failed(&renewal->rotation, renewal->step, &failure,
                              now_of(renewal), 0);
        renewal->is_unsaved = true;
    }
    set_timer(renewal, -1);
    key_maker_cancel(&renewal->maker);
    graph_call_cancel(&renewal->call);
    acquire_cancel(&renewal->acquire);
    key_unref(&renewal->candidate);
    if (renewal->is_storing)
        rotation_unstore(env->rotation, renewal);
    renewal->is_storing = false;
}

/* Go on with what is stored, when it is this application's. */
static void
load(struct graph_renewal *renewal, const char *client_id)
{
    struct err err = {ERR_NONE, ""};

    if (renewal->stored.len == 0)
        return;
    if (graph_record_decode(buf_str(&renewal->stored), renewal->stored.len,
                            client_id, &renewal->rotation, &err) < 0) {
        graph_rotation_init(&renewal->rotation, now_of(renewal));
        log_warning("a stored rotation is of no use; what it may have "
                    "registered is not removed",
                    F_STR("credential", renewal->name),
                    F_STR("error", err.text));
    }
    buf_clear(&renewal->stored);
    buf_init(&renewal->stored, GRAPH_RECORD_MAX);
}

/* Whose rotation it is. Errors: out of memory. */
static int
set_client_id(struct graph_renewal *renewal, const char *client_id)
{
    char *copy;

    if (renewal->client_id != NULL &&
        strcmp(renewal->client_id, client_id) == 0)
        return 0;
    copy = strdup(client_id);
    if (copy == NULL)
        return -1;
    if (renewal->client_id != NULL) {
        interrupt(renewal);
        log_warning("another application: its rotation begins anew, and what "
                    "was registered for the one before is not removed",
                    F_STR("credential", renewal->name));
        graph_rotation_clear(&renewal->rotation);
    }
    free(renewal->client_id);
    renewal->client_id = copy;
    renewal->object_id[0] = '\0';
    graph_rotation_init(&renewal->rotation, now_of(renewal));
    load(renewal, client_id);
    return 0;
}

struct graph_renewal *
graph_renewal_new(const struct graph_renewal_env *env, const char *name)
{
    struct graph_renewal *renewal = calloc(1, sizeof(*renewal));

    if (renewal == NULL)
        return NULL;
    renewal->env = env;
    buf_init(&renewal->stored, GRAPH_RECORD_MAX);
    renewal->name = strdup(name);
    renewal->timer = env->timer_new(env->arg, on_timer, renewal);
    if (renewal->name == NULL || renewal->timer == NULL) {
        if (renewal->timer != NULL)
            env->timer_free(renewal->timer);
        free(renewal->name);
        free(renewal);
        return NULL;
    }
    return renewal;
}

void
graph_renewal_free(struct graph_renewal **renewal)
{
    struct graph_renewal *r = *renewal;

    if (r == NULL)
        return;
    interrupt(r);
    if (r->is_saving)
        r->env->unsave(r->env->arg, r);
    r->env->timer_free(r->timer);
    graph_rotation_clear(&r->rotation);
    buf_clear(&r->stored);
    config_unref(&r->config);
    free(r->client_id);
    free(r->name);
    free(r);
    *renewal = NULL;
}

const char *
graph_renewal_name(const struct graph_renewal *renewal)
{
    return renewal->name;
}

int
graph_renewal_configure(struct graph_renewal *renewal, struct config *config,
                        const struct config_credential *credential,
                        struct err *err)
{
    if (set_client_id(renewal, credential->client_id) < 0)
        return err_set(err, ERR_SYSTEM, "out of memory");
    if (renewal->config != NULL)
        graph_rotation_retry(&renewal->rotation);
    config_unref(&renewal->config);
    renewal->config = config_ref(config);
    renewal->credential = credential;
    advance(renewal);
    return 0;
}

void
graph_renewal_stop(struct graph_renewal *renewal)
{
    interrupt(renewal);
    config_unref(&renewal->config);
    renewal->credential = NULL;
}

void
graph_renewal_restore(struct graph_renewal *renewal, const char *value,
                      size_t len)
{
    buf_reset(&renewal->stored);
    buf_append(&renewal->stored, value, len);
    if (renewal->client_id != NULL)
        load(renewal, renewal->client_id);
}

/* It is not configured here: what was known of it before stays. */
static bool
import_unused(struct graph_renewal *renewal, const char *value, size_t len)
{
    if (renewal->client_id != NULL || renewal->stored.len > 0)
        return false; /* and is put again */
    graph_renewal_restore(renewal, value, len);
    return true;
}

bool
graph_renewal_import(struct graph_renewal *renewal, const char *value,
                     size_t len)
{
    struct graph_rotation other;
    struct err err = {ERR_NONE, ""};
    bool is_taken;

    if (renewal->client_id == NULL || renewal->config == NULL)
        return import_unused(renewal, value, len);
    if (graph_record_decode(value, len, renewal->client_id, &other, &err) < 0) {
        log_warning("an imported rotation is of no use; what it may have "
                    "registered is not removed",
                    F_STR("credential", renewal->name),
                    F_STR("error", err.text));
        return false;
    }
    interrupt(renewal);
    is_taken =
        graph_rotation_merge(&renewal->rotation, &other,
                             &renewal->credential->rotation, now_of(renewal));
    log_info(is_taken ? "the rotation of another host goes on here"
                      : "the rotation of another host is older than that of "
                        "here; what it registered will be removed",
             F_STR("credential", renewal->name),
             F_STR("name", renewal->rotation.current.tag),
             F_INT("retired", renewal->rotation.retired_count));
    return is_taken;
}

void
graph_renewal_open(struct graph_renewal *renewal, bool is_lost)
{
    if (is_lost && renewal->client_id != NULL)
        renewal->is_unsaved = true;
    renewal->is_open = true;
    if (is_lost && (renewal->config == NULL || is_busy(renewal)))
        put_now(renewal);
    advance(renewal);
}

int
graph_renewal_hurry(struct graph_renewal *renewal, struct err *err)
{
    if (!renewal->is_open)
        return err_set(err, ERR_RETRY,
                       "the state can not be written at present, so nothing "
                       "is renewed");
    graph_rotation_hurry(&renewal->rotation, now_of(renewal));
    renewal->is_unsaved = true;
    advance(renewal);
    return 0;
}

bool
graph_renewal_describe(const struct graph_renewal *renewal,
                       struct graph_renewal_info *out)
{
    const struct graph_rotation *rotation = &renewal->rotation;

    if (renewal->config == NULL)
        return false;
    *out = (struct graph_renewal_info){
        .phase = graph_rotation_word(rotation),
        .last_wall = rotation->rotated_wall,
        .next_wall = rotation->due_wall > rotation->not_before_wall
                         ? rotation->due_wall
                         : rotation->not_before_wall,
        .failures = rotation->failures > rotation->clean_failures
                        ? rotation->failures
                        : rotation->clean_failures,
        .reason = rotation->reason,
    };
    return true;
}
