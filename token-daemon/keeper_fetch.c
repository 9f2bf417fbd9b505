/*
 * keeper_fetch - one keeper's requests: when, and what becomes of the answer.
 */
#include "token-daemon/keeper_parts.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "token-daemon/backoff.h"
#include "token-daemon/fingerprint.h"
#include "token-daemon/hardening.h"
#include "token-daemon/problem.h"
#include "token-daemon/strangers.h"

#define SKEW_WORTH_A_LINE_S 60
#define SPREAD_FIRST        9  /* tenths of the time to the second fetch */
#define RETRY_SPREAD        10 /* a tenth of the time to the next try */

/* Is there nobody for whom to ask the provider? */
static bool
is_unwanted_stranger(const struct keeper *keeper)
{
    return keeper->stranger != NULL && keeper->waiter_count == 0;
}

void
keeper_fetch_plan(struct keeper *keeper)
{
    /* What waits for the disk waits no longer than the old token lives. */
    bool is_waiting = keeper->held != NULL || keeper->is_asking_later;

    if (keeper->shared->is_stopping)
        return;
    if (is_unwanted_stranger(keeper)) {
        planner_set(keeper->shared->planner, &keeper->entry, TOKEN_NEVER);
        return;
    }
    planner_set(keeper->shared->planner, &keeper->entry,
                is_waiting ? keeper->token.expires_at : keeper->token.due_at);
}

void
keeper_fetch_note_skew(struct keeper *keeper,
                       const struct acquire_result *result)
{
    int64_t size = result->skew_s < 0 ? -result->skew_s : result->skew_s;
    int64_t old = keeper->skew_s < 0 ? -keeper->skew_s : keeper->skew_s;

    if (!result->has_skew)
        return;
    if (size >= SKEW_WORTH_A_LINE_S && old < SKEW_WORTH_A_LINE_S)
        log_warning("the provider's clock differs from ours; check NTP",
                    F_STR("credential", keeper->credential->name),
                    F_INT("skew_s", result->skew_s));
    keeper->has_skew = true;
    keeper->skew_s = result->skew_s;
}

static void
log_failure(const struct keeper *keeper, const struct acquire_result *result,
            uint64_t unsaid)
{
    const struct token *token = &keeper->token;
    int64_t now = keeper_now(keeper);
    enum log_level level =
        result->err.code == ERR_CONFIG || result->err.code == ERR_REAUTH
            ? LOG_LEVEL_ERROR
            : LOG_LEVEL_WARNING;

    LOG_AT(level, "token request failed",
           F_STR("credential", keeper->credential->name),
           F_STR("user", keeper->user), F_STR("reason", result->reason),
           F_STR("error", result->err.text), F_STR("hint", result->hint),
           F_INT("attempt", token->failures),
           F_INT("retry_s", (token->due_at - now) / 1000),
           F_INT("token_left_s", token_is_alive(token, now)
                                     ? (token->expires_at - now) / 1000
                                     : 0),
           F_INT("other_users_unsaid", unsaid), F_END);
}

static void
fail(struct keeper *keeper, const struct acquire_result *result)
{
    struct token *token = &keeper->token;
    bool is_new = strcmp(token_problem(token)->reason, result->reason) != 0;
    uint64_t unsaid = 0;
    struct token_failure failure = {
        .err = &result->err,
        .reason = result->reason,
        .hint = result->hint,
        .delay_ms = backoff_delay_ms(&(struct backoff_input){
            .attempt = token->failures + 1,
            /* A new key takes seconds to be known everywhere. */
            .problem =
                result->may_spread && result->problem == PROBLEM_BAD_SECRET
                    ? PROBLEM_UNAVAILABLE
                    : result->problem,
            .retry_after_s = result->retry_after_s,
            .random = keeper_chance(keeper),
        }),
        .retry_after_ms = result->retry_after_s * 1000,
    };

    token_fail(token, &failure, keeper_now(keeper), keeper_wall(keeper));
    /* Those who were told the same time come one after the other. */
    if (keeper->user != NULL)
        token->due_at = planner_choose(
            keeper->shared->planner, token->due_at,
            token->due_at +
                (token->due_at - keeper_now(keeper)) / RETRY_SPREAD);
    keeper_judge_stranger(keeper);
    if ((is_new || log_is_due(token->failures)) &&
        (keeper->stranger == NULL ||
         strangers_may_say(keeper->shared->strangers, keeper->credential->name,
                           keeper_now(keeper), &unsaid)))
        log_failure(keeper, result, unsaid);
}

/*
 * The many tokens of a start are all fetched in one minute. The second fetch
 * of each comes at any time of its half-life, so that they are spread evenly
 * from then on; and always in a second for which little is planned.
 */
static double
jitter_of(const struct keeper *keeper, const struct token_issue *issue)
{
    bool is_first = keeper->user != NULL && keeper->token.text == NULL;
    uint32_t best_load = UINT32_MAX;
    double best = 0;

    for (int i = 0; i < PLANNER_TRIES && best_load > 0; i++) {
        double jitter = keeper_chance(keeper) * (is_first ? SPREAD_FIRST : 1);
        int64_t delay = token_refresh_delay(&keeper->token, issue,
                                            &keeper->shared->policy, jitter);
        uint32_t load =
            planner_load(keeper->shared->planner, keeper_now(keeper) + delay);

        if (load < best_load) {
            best_load = load;
            best = jitter;
        }
    }
    return best;
}

/* The token of `issued` is in force from now on. */
static void
use(struct keeper *keeper, const struct oauth_token *issued)
{
    struct token *token = &keeper->token;
    unsigned failures = token->failures;
    struct err err = {ERR_NONE, ""};
    struct token_issue issue = {
        .text = issued->access,
        .serial = ++keeper->shared->serial,
        .lifetime_s = issued->lifetime,
        .refresh_in_s = issued->refresh_in,
        .pause_s = keeper_record_pause(keeper),
    };

    if (token_succeed(token, &issue, &keeper->shared->policy,
                      keeper_now(keeper), keeper_wall(keeper),
                      jitter_of(keeper, &issue), &err) < 0) {
        log_error("token could not be kept",
                  F_STR("credential", keeper->credential->name),
                  F_STR("user", keeper->user), F_STR("error", err.text));
        return;
    }
    keeper_judge_stranger(keeper);
    hardening_lock(token->text, strlen(token->text));
    log_info("token refreshed", F_STR("credential", keeper->credential->name),
             F_STR("user", keeper->user), F_STR("token", token->fingerprint),
             F_INT("lifetime_s", issue.lifetime_s),
             F_STR("secret", keeper->key != NULL ? keeper->key->source : NULL),
             F_INT("attempt", failures + 1));
}

/* Something has changed: go on, and answer. The keeper may be gone then. */
static void
go_on(struct keeper *keeper)
{
    keeper_fetch_plan(keeper);
    keeper_hold(keeper);
    keeper_probe_begin(keeper);
    if (!keeper->is_gone)
        keeper_waiters_answer(keeper);
    keeper_release(keeper);
}

/* What waited to be durable is in force from now on. */
static void
use_held(struct keeper *keeper)
{
    struct oauth_token *issued = keeper->held;

    keeper->held = NULL;
    use(keeper, issued);
    oauth_token_clear(issued);
    free(issued);
}

void
keeper_fetch_drop_held(struct keeper *keeper)
{
    if (keeper->held == NULL)
        return;
    oauth_token_clear(keeper->held);
    free(keeper->held);
    keeper->held = NULL;
}

/*
 * From the provider's answer until the commit the new refresh token is in
 * memory only, and with a provider that takes each one once the old one is
 * dead: who is killed meanwhile has to sign in again.
 */
static void
note_window(const struct keeper *keeper, int64_t durable_us)
{
    const struct refresher_env *env = &keeper->shared->env;
    int64_t window_us = durable_us - keeper->answered_us;
    char mark[TOKEN_FINGERPRINT_LEN + 1] = "";
    struct err err = {ERR_NONE, ""};

    if (keeper->refresh.text == NULL ||
        fingerprint_make(keeper->refresh.text, mark, &err) < 0)
        mark[0] = '\0';
    log_debug("a new refresh token is durable",
              F_STR("credential", keeper->credential->name),
              F_STR("user", keeper->user), F_STR("refresh_token", mark),
              F_INT("window_us", window_us));
    if (env->durable != NULL)
        env->durable(env->arg, window_us);
}

/* Of all keepers the 1st, 10th, 100th in a row is logged. */
static void
note_unsaved(const struct keeper *keeper)
{
    if (log_is_due(++keeper->shared->unsaved))
        log_error("a new refresh token is held in memory only; it is written "
                  "again until that works",
                  F_STR("credential", keeper->credential->name),
                  F_STR("user", keeper->user),
                  F_INT("count", keeper->shared->unsaved));
}

static void ask(struct keeper *keeper);

/* refresher_saved_fn */
static void
on_saved(bool is_durable, int64_t durable_us, void *arg)
{
    struct keeper *keeper = arg;

    keeper->unsaved--;
    if (is_durable)
        keeper->shared->unsaved = 0;
    else
        note_unsaved(keeper);
    if (keeper->unsaved > 0)
        return; /* a newer one is on its way */
    if (is_durable && keeper->answered_us > 0)
        note_window(keeper, durable_us);
    if (keeper->held != NULL) {
        use_held(keeper);
        go_on(keeper);
    } else if (keeper->is_asking_later) {
        ask(keeper);
    } else {
        keeper_probe_begin(keeper);
    }
}

/* Store a new refresh token. 0: on_saved() will be called. */
static int
store_rotated(struct keeper *keeper, int64_t answered_us)
{
    keeper->answered_us = answered_us;
    keeper->unsaved++;
    if (keeper_record_store(keeper, on_saved) == 0)
        return 0;
    keeper->unsaved--;
    return -1;
}

int
keeper_secure(struct keeper *keeper)
{
    if (keeper->refresh.text == NULL) {
        keeper_save(keeper);
        return 0;
    }
    if (store_rotated(keeper, 0) == 0)
        return 0;
    note_unsaved(keeper);
    return -1;
}

/* A newer refresh token takes the place of the old one. Takes it. */
static void
renew_refresh_token(struct keeper *keeper, struct oauth_token *token)
{
    bool is_newer = token->refresh != NULL;

    refresh_token_renew(&keeper->refresh, token, keeper_wall(keeper));
    if (is_newer)
        hardening_lock(keeper->refresh.text, strlen(keeper->refresh.text));
}

/* The same, of the application that the credential is now. */
static void
take_refresh_token(struct keeper *keeper, struct oauth_token *token)
{
    if (token->refresh != NULL ||
        (keeper->refresh.text != NULL && !keeper->is_aside)) {
        keeper->application = keeper_application(keeper->credential);
        keeper->is_aside = false;
    }
    renew_refresh_token(keeper, token);
}

/* The same, of a request with former settings: perhaps another application's,
 * which is put aside. */
static void
take_unwanted(struct keeper *keeper, struct oauth_token *token)
{
    if (keeper->is_aside)
        renew_refresh_token(keeper, token);
    else
        take_refresh_token(keeper, token);
}

static void
note_key(struct keeper *keeper, struct key *key)
{
    struct key *old = keeper->key;

    keeper->key = key != NULL ? key_ref(key) : NULL;
    key_unref(&old);
}

void
keeper_fetch_succeed(struct keeper *keeper, struct acquire_result *result)
{
    bool is_rotated = result->token.refresh != NULL;

    note_key(keeper, result->key);
    keeper->not_after = result->not_after;
    take_refresh_token(keeper, &result->token);
    /* Out of memory: it is in force at once. */
    if (is_rotated && token_is_alive(&keeper->token, keeper_now(keeper)) &&
        (keeper->held = malloc(sizeof(*keeper->held))) != NULL) {
        *keeper->held = result->token;
        result->token = (struct oauth_token){0};
        if (store_rotated(keeper, result->answered_us) < 0)
            use_held(keeper);
        return;
    }
    use(keeper, &result->token);
    if (!is_rotated)
        keeper_save(keeper);
    else if (store_rotated(keeper, result->answered_us) < 0)
        note_unsaved(keeper);
}

/* An answer whose access token can't be used may still have the refresh token
 * that is good from now on. True: it had one. */
static bool
take_from_failure(struct keeper *keeper, struct oauth_token *token)
{
    if (token->refresh == NULL)
        return false;
    if (keeper->is_unwanted)
        take_unwanted(keeper, token);
    else
        take_refresh_token(keeper, token);
    return true;
}

/* Store what a failed request leaves. */
static void
save_failure(struct keeper *keeper, const struct acquire_result *result,
             bool is_rotated)
{
    if (!is_rotated)
        keeper_save(keeper);
    else if (store_rotated(keeper, result->answered_us) < 0)
        note_unsaved(keeper);
}

void
keeper_fetch_tell(const struct keeper *keeper,
                  const struct acquire_result *result, int64_t took_ms)
{
    const struct refresher_env *env = &keeper->shared->env;
    bool has_failed = result->err.code != ERR_NONE;
    bool is_alive = token_is_alive(&keeper->token, keeper_now(keeper));

    if (env->ended == NULL)
        return;
    env->ended(env->arg,
               &(struct refresher_ended){
                   .credential = keeper->credential->name,
                   .user = keeper->user,
                   .problem = result->problem,
                   .err = has_failed ? &result->err : NULL,
                   .hint = result->hint,
                   .alive_until = is_alive ? keeper->token.expires_at : 0,
                   .not_after = result->not_after,
                   .took_ms = took_ms,
                   .is_stranger = keeper->stranger != NULL,
               });
}

void
keeper_fetch_finish(struct keeper *keeper, struct acquire_result *result,
                    int64_t took_ms)
{
    bool has_failed = result->err.code != ERR_NONE;
    bool is_rotated = has_failed && take_from_failure(keeper, &result->token);

    if (!has_failed && keeper->is_unwanted) {
        take_unwanted(keeper, &result->token);
        token_reset(&keeper->token, keeper_now(keeper));
    } else if (!has_failed) {
        take_refresh_token(keeper, &result->token);
        use(keeper, &result->token);
    } else if (keeper->token.state == TOKEN_FETCHING) {
        fail(keeper, result);
    }
    /* Who stores it goes on until it is durable, without us. */
    if (keeper_record_store(keeper, NULL) < 0 && (!has_failed || is_rotated))
        note_unsaved(keeper);
    keeper_fetch_tell(keeper, result, took_ms);
    keeper->shared->finished(keeper->shared, keeper);
}

void
keeper_fetch_salvage(struct keeper *keeper, struct acquire_result *result)
{
    keeper->is_unwanted = false;
    take_unwanted(keeper, &result->token);
    token_reset(&keeper->token, keeper_now(keeper));
    keeper_wait_for_login(keeper);
    if (store_rotated(keeper, result->answered_us) < 0)
        note_unsaved(keeper);
}

/* With former settings: what failed is tried with those of now. */
static void
end_outdated(struct keeper *keeper, struct acquire_result *result)
{
    bool is_unwanted = keeper->is_unwanted;
    bool has_failed = result->err.code != ERR_NONE;
    bool is_rotated = has_failed && take_from_failure(keeper, &result->token);

    keeper->is_outdated = keeper->is_unwanted = false;
    if (has_failed) {
        fail(keeper, result);
        token_retry_now(&keeper->token, keeper_now(keeper));
        keeper_wait_for_login(keeper);
        save_failure(keeper, result, is_rotated);
    } else if (is_unwanted) {
        keeper_fetch_salvage(keeper, result);
    } else {
        keeper_fetch_succeed(keeper, result);
    }
}

/* acquire_done_fn */
static void
on_acquired(struct acquire_result *result, void *arg)
{
    struct keeper *keeper = arg;
    int64_t took_ms = keeper_now(keeper) - keeper->asked_at;

    keeper->acquire = NULL;
    keeper->requests += result->requests;
    keeper_fetch_note_skew(keeper, result);
    if (keeper->is_gone || keeper->shared->is_stopping) {
        keeper_fetch_finish(keeper, result, took_ms);
        return;
    }
    if (keeper->is_outdated) {
        end_outdated(keeper, result);
    } else if (result->err.code == ERR_NONE) {
        keeper_fetch_succeed(keeper, result);
    } else {
        bool is_rotated = take_from_failure(keeper, &result->token);

        fail(keeper, result);
        save_failure(keeper, result, is_rotated);
    }
    keeper_fetch_tell(keeper, result, took_ms);
    go_on(keeper);
}

/* Send the request; in state FETCHING. */
static void
ask(struct keeper *keeper)
{
    const struct refresher_env *env = &keeper->shared->env;

    if (keeper->shared->is_stopping)
        return;
    keeper->asked_at = keeper_now(keeper);
    keeper->is_asking_later = false;
    keeper->is_spending = keeper_has_to_spend(keeper);
    keeper_fetch_plan(keeper);
    keeper->acquire =
        env->start(env->arg,
                   &(struct acquire_request){
                       .config = keeper->shared->config,
                       .credential = keeper->credential,
                       .user = keeper->user,
                       .refresh_token = keeper_refresh_text(keeper),
                   },
                   on_acquired, keeper);
    if (keeper->acquire == NULL) {
        struct acquire_result result = {
            .err = {ERR_SYSTEM, "out of memory"},
            .problem = PROBLEM_INTERNAL,
            .reason = problem_word(PROBLEM_INTERNAL),
        };

        fail(keeper, &result);
        keeper_fetch_tell(keeper, &result, -1);
        keeper_fetch_plan(keeper);
    }
}

void
keeper_fetch_begin(struct keeper *keeper)
{
    if (keeper->shared->is_stopping)
        return;
    if (keeper_probe_is_asking(keeper))
        return; /* its end looks again at what is wanted */
    token_begin(&keeper->token, &keeper->shared->policy, keeper_now(keeper));
    if (keeper->unsaved > 0 &&
        token_is_alive(&keeper->token, keeper_now(keeper))) {
        keeper->is_asking_later = true;
        keeper_fetch_plan(keeper);
        return;
    }
    ask(keeper);
}

void
keeper_fire(struct timetable_entry *entry)
{
    struct keeper *keeper =
        (struct keeper *)(void *)((char *)entry -
                                  offsetof(struct keeper, entry));

    if (keeper->held != NULL) {
        use_held(keeper); /* the old token expires first */
        go_on(keeper);
    } else if (keeper->is_asking_later) {
        ask(keeper); /* likewise */
    } else if (!is_unwanted_stranger(keeper)) {
        keeper_fetch_begin(keeper);
    }
}

/* ---- What an operator does ---------------------------------------------- */

/* Whatever is under way or waits for the disk: nobody wants it any more. True:
 * a stop was waiting for it. */
static bool
stop_fetch(struct keeper *keeper)
{
    bool was_awaited =
        keeper->shared->is_stopping && keeper_is_spending(keeper);

    keeper_probe_doom(keeper, false, ERR_RETRY,
                      "somebody signed in or out meanwhile");
    keeper->shared->env.cancel(&keeper->acquire);
    keeper_fetch_drop_held(keeper);
    keeper->is_asking_later = false;
    keeper->is_outdated = keeper->is_unwanted = false;
    return was_awaited;
}

/* All is as it is to be: tell those who waited for what was before. */
static void
end_change(struct keeper *keeper, bool was_awaited)
{
    keeper_judge_stranger(keeper);
    keeper_fetch_plan(keeper);
    keeper_hold(keeper);
    (void)keeper_probe_tell(keeper);
    if (!keeper->is_gone)
        keeper_waiters_answer(keeper);
    if (was_awaited)
        keeper->shared->finished(keeper->shared, keeper);
    keeper_release(keeper);
}

void
keeper_sign_in(struct keeper *keeper, struct oauth_token *token)
{
    bool was_awaited = stop_fetch(keeper);

    take_refresh_token(keeper, token);
    token_reset(&keeper->token, keeper_now(keeper));
    if (token->access != NULL) {
        token_begin(&keeper->token, &keeper->shared->policy,
                    keeper_now(keeper));
        use(keeper, token);
        keeper_fetch_tell(keeper,
                          &(struct acquire_result){.err = {ERR_NONE, ""}}, -1);
    }
    if (store_rotated(keeper, 0) < 0)
        note_unsaved(keeper);
    end_change(keeper, was_awaited);
}

void
keeper_sign_out(struct keeper *keeper)
{
    const struct refresher_env *env = &keeper->shared->env;
    bool was_awaited = stop_fetch(keeper);

    refresh_token_clear(&keeper->refresh);
    keeper->is_aside = false;
    token_reset(&keeper->token, keeper_now(keeper));
    keeper_wait_for_login(keeper);
    if (env->unstore != NULL)
        env->unstore(env->arg, keeper->name);
    end_change(keeper, was_awaited);
}

bool
keeper_fetch(struct keeper *keeper, bool drops, int64_t *not_before_wall)
{
    struct token *token = &keeper->token;
    int64_t now = keeper_now(keeper);

    if (drops)
        token->expires_at = now;
    if (token->state == TOKEN_FETCHING || token->due_at == TOKEN_NEVER)
        return true;
    if (token->not_before > now) {
        *not_before_wall =
            keeper_wall(keeper) + (token->not_before - now + 999) / 1000;
        return false;
    }
    keeper_fetch_begin(keeper);
    return true;
}
