/*
 * keeper - keeps one token.
 */
#include "token-daemon/keeper.h"

#include <stdlib.h>
#include <string.h>

#include "token-daemon/grant.h"
#include "token-daemon/keeper_parts.h"
#include "token-daemon/problem.h"
#include "token-daemon/provider.h"
#include "token-daemon/strangers.h"

/* What is said of a token that a reload has taken away. */
static struct token_problem gone_problem = {
    .err = {ERR_CONFIG, "the credential is no longer configured"},
    .reason = "unknown-mailbox",
};

const struct token *
keeper_gone(void)
{
    static const struct token gone = {.state = TOKEN_BACKOFF,
                                      .due_at = TOKEN_NEVER,
                                      .problem = &gone_problem};

    return &gone;
}

/* ---- Life --------------------------------------------------------------- */

void
keeper_wait_for_login(struct keeper *keeper)
{
    const struct err err = {ERR_REAUTH, "nobody has signed in for it yet"};

    if (!grant_needs_login(keeper->credential->grant) ||
        keeper_refresh_text(keeper) != NULL ||
        keeper->token.state == TOKEN_FETCHING)
        return;
    token_block(&keeper->token,
                &(struct token_failure){
                    .err = &err,
                    .reason = problem_word(PROBLEM_NEEDS_LOGIN),
                    .hint = "run: xoauth2ctl login MAILBOX",
                },
                keeper_wall(keeper));
}

/* Who logs in: the end of the name, where that is written the same. */
static char *
copy_user(char *name, const char *user)
{
    char *blank = strchr(name, ' ');

    return blank != NULL && strcmp(blank + 1, user) == 0 ? blank + 1
                                                         : strdup(user);
}

/* Is it a part of the name? */
static bool
is_user_shared(const struct keeper *keeper)
{
    const char *blank = strchr(keeper->name, ' ');

    return blank != NULL && keeper->user == blank + 1;
}

struct keeper *
keeper_new(struct keeper_shared *shared,
           const struct config_credential *credential, const char *name,
           const char *user)
{
    size_t size = strlen(name) + 1;
    struct keeper *keeper = calloc(1, sizeof(*keeper) + size);

    if (keeper == NULL)
        return NULL;
    memcpy(keeper->name, name, size);
    keeper->shared = shared;
    keeper->credential = credential;
    TAILQ_INIT(&keeper->waiters);
    TAILQ_INIT(&keeper->passed_over);
    token_init(&keeper->token, keeper_now(keeper));
    keeper->is_to_spread = true;
    shared->keeper_count++;
    if (user != NULL)
        keeper->user = copy_user(keeper->name, user);
    if ((user != NULL && keeper->user == NULL) ||
        planner_reserve(shared->planner, shared->keeper_count) < 0)
        keeper_free(&keeper);
    return keeper;
}

/* Nothing comes back to it any more. Twice is fine. */
static void
disarm(struct keeper *keeper)
{
    const struct refresher_env *env = &keeper->shared->env;

    env->cancel(&keeper->acquire);
    keeper_probe_drop(keeper);
    if (env->unsave != NULL)
        env->unsave(env->arg, keeper);
    keeper_waiters_drop(keeper);
    planner_set(keeper->shared->planner, &keeper->entry, TOKEN_NEVER);
}

void
keeper_free(struct keeper **keeper)
{
    struct keeper *k = *keeper;

    *keeper = NULL;
    if (k == NULL)
        return;
    disarm(k);
    if (k->holds > 0) {
        k->is_gone = true; /* keeper_release() comes back here */
        k->is_leaving = false;
        return;
    }
    k->shared->keeper_count--;
    strangers_remove(k->shared->strangers, &k->stranger);
    keeper_fetch_drop_held(k);
    token_clear(&k->token);
    key_unref(&k->key);
    refresh_token_clear(&k->refresh);
    if (!is_user_shared(k))
        free(k->user);
    free(k);
}

void
keeper_release(struct keeper *keeper)
{
    keeper->holds--;
    if (keeper->holds == 0 && keeper->is_gone && !keeper->is_leaving)
        keeper_free(&keeper);
}

bool
keeper_has_to_spend(const struct keeper *keeper)
{
    return keeper_refresh_text(keeper) != NULL &&
           grant_needs_login(keeper->credential->grant);
}

bool
keeper_is_spending(const struct keeper *keeper)
{
    return (keeper->acquire != NULL || keeper_probe_is_asking(keeper)) &&
           keeper->is_spending;
}

bool
keeper_stop(struct keeper *keeper)
{
    planner_set(keeper->shared->planner, &keeper->entry, TOKEN_NEVER);
    if (keeper_is_spending(keeper))
        return true;
    keeper_probe_drop(keeper);
    keeper->shared->env.cancel(&keeper->acquire);
    return false;
}

void
keeper_retire(struct keeper **keeper, bool may_leave)
{
    static const char text[] = "the credential is no longer configured";
    struct keeper *k = *keeper;

    *keeper = NULL;
    keeper_hold(k);
    k->is_gone = true;
    k->is_leaving = may_leave;
    if (may_leave) {
        keeper_probe_disown(k, ERR_NOTFOUND, text);
    } else {
        k->shared->env.cancel(&k->acquire);
        keeper_probe_fail(k, ERR_NOTFOUND, text);
    }
    planner_set(k->shared->planner, &k->entry, TOKEN_NEVER);
    if (k->shared->env.unsave != NULL)
        k->shared->env.unsave(k->shared->env.arg, k);
    keeper_waiters_refuse(k);
    keeper_release(k);
}

void
keeper_return(struct keeper *keeper, const struct config_credential *credential)
{
    bool was_unsaved = keeper_is_unsaved(keeper);

    keeper->is_gone = keeper->is_leaving = false;
    keeper_adopt(keeper, credential);
    keeper->unsaved = 0; /* nobody would tell of those any more */
    if (was_unsaved)
        (void)keeper_secure(keeper);
}

const char *
keeper_name(const struct keeper *keeper)
{
    return keeper->name;
}

const char *
keeper_credential(const struct keeper *keeper)
{
    return keeper->credential->name;
}

const struct token *
keeper_token(const struct keeper *keeper)
{
    return &keeper->token;
}

/* ---- Strangers ------------------------------------------------------------
 */

void
keeper_judge_stranger(struct keeper *keeper)
{
    struct strangers *strangers = keeper->shared->strangers;
    int64_t now = keeper_now(keeper);
    bool is_one = keeper->is_on_demand && keeper->refresh.text == NULL &&
                  !token_is_alive(&keeper->token, now);

    if (!is_one)
        strangers_remove(strangers, &keeper->stranger);
    else if (keeper->stranger == NULL)
        keeper->stranger = strangers_add(strangers, keeper, now);
}

void
keeper_set_on_demand(struct keeper *keeper, bool is_on_demand)
{
    keeper->is_on_demand = is_on_demand;
    keeper_judge_stranger(keeper);
}

void
keeper_want(struct keeper *keeper)
{
    if (keeper->stranger != NULL)
        strangers_want(keeper->shared->strangers, keeper->stranger,
                       keeper_now(keeper));
}

bool
keeper_is_idle(const struct keeper *keeper)
{
    return keeper->waiter_count == 0 && keeper->holds == 0 &&
           keeper->acquire == NULL && keeper->probe == NULL &&
           keeper->unsaved == 0;
}

size_t
keeper_place(const struct keeper *keeper)
{
    return keeper->place;
}

void
keeper_set_place(struct keeper *keeper, size_t place)
{
    keeper->place = (uint32_t)place;
}

/* ---- New settings ------------------------------------------------------- */

static bool
is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
is_same_ref(const struct config_ref *a, const struct config_ref *b)
{
    return is_same_text(a->written, b->written);
}

/* Are both the same application of the same issuer? */
static bool
is_same_application(const struct config_credential *a,
                    const struct config_credential *b)
{
    return a->provider == b->provider && is_same_text(a->tenant, b->tenant) &&
           is_same_text(a->client_id, b->client_id) &&
           is_same_text(a->issuer, b->issuer) &&
           is_same_text(a->token_url, b->token_url);
}

/* Would both ask the same issuer for the same token? */
static bool
is_same_token(const struct config_credential *a,
              const struct config_credential *b)
{
    return is_same_application(a, b) && a->grant == b->grant &&
           a->identity == b->identity &&
           is_same_text(a->identity_value, b->identity_value) &&
           is_same_text(a->scope, b->scope);
}

/* Would both send the same request? */
static bool
is_same_request(const struct config_credential *a,
                const struct config_credential *b)
{
    if (a->client_secret_count != b->client_secret_count ||
        a->assertion_algorithm != b->assertion_algorithm)
        return false;
    for (size_t i = 0; i < a->client_secret_count; i++)
        if (!is_same_ref(&a->client_secrets[i], &b->client_secrets[i]))
            return false;
    return is_same_token(a, b) &&
           is_same_ref(&a->certificate, &b->certificate) &&
           is_same_ref(&a->private_key, &b->private_key) &&
           is_same_ref(&a->passphrase, &b->passphrase) &&
           is_same_ref(&a->federated_token, &b->federated_token) &&
           is_same_ref(&a->service_account_key, &b->service_account_key) &&
           is_same_text(a->ca_file, b->ca_file) &&
           is_same_text(a->proxy, b->proxy);
}

/* A request in flight is no failure of anybody's; due again at once. */
static void
restart_request(struct keeper *keeper)
{
    const struct err err = {ERR_RETRY, "the settings changed"};

    keeper->shared->env.cancel(&keeper->acquire);
    keeper->is_outdated = keeper->is_unwanted = false;
    token_fail(&keeper->token,
               &(struct token_failure){.err = &err, .reason = "reloaded"},
               keeper_now(keeper), keeper_wall(keeper));
    keeper->token.failures = 0;
}

void
keeper_adopt(struct keeper *keeper, const struct config_credential *credential)
{
    static const char text[] = "the configuration was read again meanwhile";
    int64_t now = keeper_now(keeper);
    bool may_finish = keeper_is_spending(keeper);
    bool is_same = is_same_request(keeper->credential, credential);

    keeper_probe_doom(keeper, may_finish, ERR_RETRY, text);
    if (keeper->acquire != NULL && !is_same) {
        if (may_finish)
            keeper->is_outdated = true;
        else
            restart_request(keeper);
    }
    if (!is_same_application(keeper->credential, credential)) {
        if (keeper->refresh.text != NULL && keeper->application == 0)
            keeper->application = keeper_application(keeper->credential);
        keeper_fetch_drop_held(keeper); /* not to be used by this one */
    }
    if (!is_same_token(keeper->credential, credential) &&
        keeper->held == NULL) {
        keeper->is_asking_later = false;
        keeper->is_unwanted = may_finish;
        if (keeper->acquire != NULL)
            keeper->token.expires_at = now; /* the answer comes to it */
        else
            token_reset(&keeper->token, now);
    }
    keeper->credential = credential;
    keeper_judge_aside(keeper);
    if (keeper->stranger != NULL && keeper->acquire == NULL && !is_same)
        token_reset(&keeper->token, now); /* what was refused may work now */
    token_retry_now(&keeper->token, now);
}

/* Is more planned for that second than an even spread would bring? */
static bool
is_crowded(const struct keeper *keeper, int64_t at)
{
    int64_t period_s = keeper->token.lifetime_ms / 2 / 1000;
    size_t share =
        keeper->shared->keeper_count / (period_s > 0 ? (size_t)period_s : 1);

    return planner_load(keeper->shared->planner, at) > share + 1;
}

/*
 * What was planned before a restart may lie in the past, or at one moment for
 * all, as they were obtained at one moment: then it is spread anew.
 */
static void
spread(struct keeper *keeper, int64_t window_ms)
{
    struct planner *planner = keeper->shared->planner;
    struct token *token = &keeper->token;
    int64_t now = keeper_now(keeper);

    if (token->state == TOKEN_EMPTY || token->due_at <= now)
        token->due_at = planner_choose(planner, now, now + window_ms);
    else if (!is_crowded(keeper, token->due_at))
        return;
    else if (token->state == TOKEN_READY)
        token->due_at = planner_choose(planner, now, token->due_at);
    else
        token->due_at =
            planner_choose(planner, token->due_at, token->due_at + window_ms);
}

void
keeper_plan(struct keeper *keeper, int64_t window_ms)
{
    keeper_wait_for_login(keeper);
    token_adopt(&keeper->token, &keeper->shared->policy);
    if (keeper->token.due_at != TOKEN_NEVER &&
        (keeper->is_to_spread || keeper->token.state == TOKEN_EMPTY)) {
        spread(keeper, window_ms);
        keeper->is_to_spread = false;
    }
    keeper_fetch_plan(keeper);
}

/* A stranger whom the provider refused: it is asked again only when somebody
 * asks us, and when that is its turn. */
static void
retry_stranger(struct keeper *keeper)
{
    int64_t now = keeper_now(keeper);
    enum err_code code = token_problem(&keeper->token)->err.code;

    if (keeper->stranger == NULL)
        return;
    keeper_want(keeper);
    if (keeper->token.state == TOKEN_BACKOFF && keeper->token.due_at <= now &&
        (code == ERR_CONFIG || code == ERR_REAUTH) &&
        strangers_may_retry(keeper->shared->strangers, keeper->credential->name,
                            now))
        keeper_fetch_begin(keeper);
}

/* ---- Questions ---------------------------------------------------------- */

struct refresher_waiter *
keeper_ask(struct keeper *keeper, const struct refresher_question *question,
           refresher_answer_fn answer, void *arg)
{
    int64_t now = keeper_now(keeper);
    struct refresher_answer reply = {.token = &keeper->token};
    struct refresher_waiter *waiter;
    struct token_wish wish = {
        .min_ms = question->min_ms,
        .refused_serial = question->refused_serial,
        .deadline = now + question->patience_ms,
    };

    retry_stranger(keeper);
    switch (token_judge(&keeper->token, &wish, &keeper->shared->policy, now)) {
    case TOKEN_SERVE:
        reply.is_given = true;
        answer(&reply, arg);
        return NULL;
    case TOKEN_REFUSE:
        answer(&reply, arg);
        return NULL;
    case TOKEN_WAIT_BEGIN:
        keeper_fetch_begin(keeper);
        break;
    case TOKEN_WAIT:
        break;
    }
    waiter = keeper_waiters_add(keeper, &wish, answer, arg);
    if (waiter != NULL && keeper->stranger != NULL)
        keeper_fetch_plan(keeper);
    if (waiter == NULL) {
        reply.is_late = true;
        answer(&reply, arg);
    }
    return waiter;
}

enum token_report_answer
keeper_report(struct keeper *keeper, int64_t *until_wall)
{
    int64_t now = keeper_now(keeper);
    int64_t until = now;
    enum token_report_answer answer = token_report(&keeper->token, now, &until);

    switch (answer) {
    case TOKEN_REPORT_FETCH:
        keeper_fetch_begin(keeper);
        break;
    case TOKEN_REPORT_LIMITED:
        /* Rounded up, so that nobody comes back too early. */
        *until_wall = keeper_wall(keeper) + (until - now + 999) / 1000;
        keeper_fetch_plan(keeper);
        break;
    case TOKEN_REPORT_FETCHING:
        break;
    }
    return answer;
}

void
keeper_accepted(struct keeper *keeper)
{
    token_accepted(&keeper->token);
}

void
keeper_describe(const struct keeper *keeper, struct refresher_info *out)
{
    const struct config_credential *credential = keeper->credential;
    int64_t idle_s = provider_refresh_idle_s(credential);
    int64_t warns = refresh_token_warns(&keeper->refresh, idle_s);

    *out = (struct refresher_info){
        .credential = credential,
        .user = keeper->user,
        .token = &keeper->token,
        .waiters = keeper->waiter_count,
        .requests = keeper->requests,
        .not_after = keeper->not_after,
        .has_skew = keeper->has_skew,
        .skew_s = keeper->skew_s,
        .has_refresh_token = keeper_refresh_text(keeper) != NULL,
        .refresh_obtained_wall = keeper->refresh.obtained_wall,
        .refresh_expires_wall = refresh_token_ends(&keeper->refresh, idle_s),
        .is_refresh_ending = warns != 0 && warns <= keeper_wall(keeper),
        .now = keeper_now(keeper),
    };
    if (keeper->key != NULL)
        out->secret = keeper->key->source;
}
