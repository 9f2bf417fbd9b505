/*
 * keeper_probe - tries one key: a request with that key only, while no other
 * is in flight.
 */
#include "token-daemon/keeper_parts.h"

#include <stdlib.h>

#include "token-daemon/grant.h"
#include "token-daemon/problem.h"

/* A key that is being tried. */
struct keeper_probe {
    struct key *key;
    refresher_probed_fn *done; /* NULL: nobody wants to know any more */
    void *arg;
    struct acquire *acquire; /* NULL: it waits for what is in flight */
    int64_t asked_at;        /* CLOCK_BOOTTIME, ms */
    bool is_new;             /* its caller hears of it by a result */
    /* It is not wanted any more, which is still to be told; NONE: it is. */
    enum err_code verdict;
    const char *verdict_text; /* static */
};

bool
keeper_probe_is_asking(const struct keeper *keeper)
{
    return keeper->probe != NULL && keeper->probe->acquire != NULL;
}

void
keeper_probe_drop(struct keeper *keeper)
{
    struct keeper_probe *probe = keeper->probe;

    keeper->probe = NULL;
    if (probe == NULL)
        return;
    keeper->shared->env.cancel(&probe->acquire);
    key_unref(&probe->key);
    free(probe);
}

static void
end_probe(struct keeper *keeper, const struct acquire_result *result)
{
    refresher_probed_fn *done = keeper->probe->done;
    void *arg = keeper->probe->arg;

    keeper_probe_drop(keeper);
    if (done != NULL)
        done(result, arg);
}

void
keeper_probe_fail(struct keeper *keeper, enum err_code code, const char *text)
{
    struct acquire_result result = {.problem = PROBLEM_INTERNAL};

    if (keeper->probe == NULL)
        return;
    (void)err_set(&result.err, code, "%s", text);
    result.reason = problem_word(result.problem);
    end_probe(keeper, &result);
}

void
keeper_probe_disown(struct keeper *keeper, enum err_code code, const char *text)
{
    struct acquire_result result = {.problem = PROBLEM_INTERNAL};
    struct keeper_probe *probe = keeper->probe;
    refresher_probed_fn *done;
    void *arg;

    if (!keeper_probe_is_asking(keeper) || !keeper_is_spending(keeper)) {
        keeper_probe_fail(keeper, code, text);
        return;
    }
    done = probe->done;
    arg = probe->arg;
    probe->done = NULL;
    probe->arg = NULL;
    (void)err_set(&result.err, code, "%s", text);
    result.reason = problem_word(result.problem);
    if (done != NULL)
        done(&result, arg);
}

void
keeper_probe_doom(struct keeper *keeper, bool may_finish, enum err_code code,
                  const char *text)
{
    struct keeper_probe *probe = keeper->probe;

    if (probe == NULL)
        return;
    if (!may_finish || !keeper_probe_is_asking(keeper) ||
        !keeper_is_spending(keeper))
        keeper->shared->env.cancel(&probe->acquire);
    if (probe->done == NULL && probe->acquire == NULL) {
        keeper_probe_drop(keeper);
    } else if (probe->done != NULL && probe->verdict == ERR_NONE) {
        probe->verdict = code;
        probe->verdict_text = text;
    }
}

bool
keeper_probe_tell(struct keeper *keeper)
{
    struct keeper_probe *probe = keeper->probe;
    enum err_code verdict;

    if (probe == NULL || probe->verdict == ERR_NONE)
        return false;
    verdict = probe->verdict;
    probe->verdict = ERR_NONE;
    keeper_probe_disown(keeper, verdict, probe->verdict_text);
    return true;
}

/* acquire_done_fn */
static void
on_probed(struct acquire_result *result, void *arg)
{
    struct keeper *keeper = arg;
    int64_t took_ms = keeper_now(keeper) - keeper->probe->asked_at;
    bool is_last = keeper->is_gone || keeper->shared->is_stopping;

    keeper->probe->acquire = NULL;
    keeper->requests += result->requests;
    keeper_fetch_note_skew(keeper, result);
    if (result->err.code == ERR_NONE && !keeper->is_unwanted)
        token_begin(&keeper->token, &keeper->shared->policy,
                    keeper_now(keeper));
    if (is_last) {
        keeper_probe_drop(keeper);
        keeper_fetch_finish(keeper, result, took_ms);
        return;
    }
    if (result->err.code == ERR_NONE) {
        if (keeper->is_unwanted)
            keeper_fetch_salvage(keeper, result);
        else
            keeper_fetch_succeed(keeper, result);
        keeper_fetch_tell(keeper, result, took_ms);
    }
    keeper->is_unwanted = false;
    keeper_fetch_plan(keeper);
    keeper_hold(keeper);
    end_probe(keeper, result);
    if (!keeper->is_gone)
        keeper_waiters_answer(keeper);
    keeper_release(keeper);
}

/* Is a refresh token used, or is a new one not durable yet? */
static bool
is_busy(const struct keeper *keeper)
{
    return keeper->acquire != NULL || keeper->held != NULL ||
           keeper->is_asking_later || keeper->unsaved > 0;
}

void
keeper_probe_begin(struct keeper *keeper)
{
    const struct refresher_env *env = &keeper->shared->env;
    struct keeper_probe *probe = keeper->probe;
    struct key_list keys;

    if (probe == NULL || probe->acquire != NULL || probe->verdict != ERR_NONE ||
        is_busy(keeper) || keeper->shared->is_stopping)
        return;
    keys = (struct key_list){&probe->key, 1};
    probe->asked_at = keeper_now(keeper);
    keeper->is_spending = keeper_has_to_spend(keeper);
    probe->acquire =
        env->start(env->arg,
                   &(struct acquire_request){
                       .config = keeper->shared->config,
                       .credential = keeper->credential,
                       .user = keeper->user,
                       .keys = &keys,
                       .refresh_token = keeper_refresh_text(keeper),
                   },
                   on_probed, keeper);
    if (probe->acquire == NULL && !probe->is_new)
        keeper_probe_fail(keeper, ERR_SYSTEM, "out of memory");
}

bool
keeper_may_probe(const struct keeper *keeper)
{
    return !grant_needs_login(keeper->credential->grant) ||
           keeper_refresh_text(keeper) != NULL;
}

bool
keeper_is_well(const struct keeper *keeper)
{
    return keeper->token.state == TOKEN_READY && keeper_may_probe(keeper);
}

int
keeper_probe(struct keeper *keeper, struct key *key, refresher_probed_fn *done,
             void *arg, struct err *err)
{
    struct keeper_probe *probe;
    bool must_wait = is_busy(keeper);

    if (keeper->probe != NULL)
        return err_set(err, ERR_RETRY, "another key is being tried just now");
    probe = calloc(1, sizeof(*probe));
    if (probe == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    probe->key = key_ref(key);
    probe->done = done;
    probe->arg = arg;
    probe->is_new = true;
    keeper->probe = probe;
    keeper_probe_begin(keeper);
    probe->is_new = false;
    if (must_wait || probe->acquire != NULL)
        return 0;
    keeper_probe_drop(keeper);
    return err_set(err, ERR_SYSTEM, "out of memory");
}

void
keeper_unprobe(struct keeper *keeper, const void *arg)
{
    bool was_probing = keeper_probe_is_asking(keeper);

    if (keeper->probe == NULL || keeper->probe->done == NULL ||
        keeper->probe->arg != arg)
        return;
    if (keeper_is_spending(keeper) && was_probing) {
        keeper->probe->done = NULL; /* its answer is worth more */
        keeper->probe->arg = NULL;
        return;
    }
    keeper_probe_drop(keeper);
    if (was_probing)
        keeper_fetch_plan(keeper);
}
