/*
 * keeper - keeps one token.
 */
#include "token-daemon/keeper.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/log.h"
#include "token-daemon/backoff.h"
#include "token-daemon/grant.h"
#include "token-daemon/hardening.h"
#include "token-daemon/key.h"
#include "token-daemon/planner.h"
#include "token-daemon/provider.h"
#include "token-daemon/refresh_token.h"

#define SKEW_WORTH_A_LINE_S 60
#define SPREAD_FIRST        9  /* tenths of the time to the second fetch */
#define RETRY_SPREAD        10 /* a tenth of the time to the next try */

TAILQ_HEAD(waiter_list, refresher_waiter);

struct refresher_waiter {
    TAILQ_ENTRY(refresher_waiter) link;
    struct waiter_list *list; /* the one it is in */
    struct keeper *keeper;
    struct token_wish wish;
    void *timer; /* fires at the deadline */
    refresher_answer_fn answer;
    void *arg;
};

/* A key that is being tried. */
struct keeper_probe {
    struct key *key;
    refresher_probed_fn *done;
    void *arg;
    struct acquire *acquire; /* NULL: it waits for what is in flight */
    int64_t asked_at;        /* CLOCK_BOOTTIME, ms */
    bool is_new;             /* its caller hears of it by a result */
};

struct keeper {
    struct keeper_shared *shared;
    const struct config_credential *credential; /* in shared->config */
    char *name;
    char *user; /* NULL: app-only */
    struct token token;
    int64_t asked_at; /* when the last request began; CLOCK_BOOTTIME, ms */
    /* In state FETCHING one of these three: */
    struct acquire *acquire; /* a request is in flight, */
    struct oauth_token held; /* its answer waits until it is durable, */
    bool is_asking_later;    /* or it begins when what came before is. */
    size_t unsaved;          /* refresh tokens on their way to the disk */
    int64_t answered_us;     /* when the last one came; 0: not by a request */
    struct timetable_entry entry; /* token.due_at, or the end of a wait */
    bool is_to_spread; /* what it says now of when was not chosen here */
    struct keeper_probe *probe; /* NULL: none; no fetch begins while it asks */
    struct waiter_list waiters;
    struct waiter_list passed_over; /* while the others are being answered */
    size_t waiter_count;
    bool is_answering; /* so it must not be freed */
    bool is_gone;      /* no longer configured */
    bool has_skew;
    int64_t skew_s;
    size_t secret_index;
    struct key *key; /* that worked last, a reference; or NULL */
    uint64_t requests;
    int64_t not_after; /* s since 1970; 0: no certificate */
    /* What a person's sign-in left us; no text: none needed, or none yet. */
    struct refresh_token refresh;
};

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

static void begin_fetch(struct keeper *keeper);
static void begin_probe(struct keeper *keeper);

static bool
is_probing(const struct keeper *keeper)
{
    return keeper->probe != NULL && keeper->probe->acquire != NULL;
}

static int64_t
now_of(const struct keeper *keeper)
{
    return keeper->shared->env.boot_ms(keeper->shared->env.arg);
}

static int64_t
wall_of(const struct keeper *keeper)
{
    return keeper->shared->env.wall(keeper->shared->env.arg);
}

static double
chance_of(const struct keeper *keeper)
{
    return keeper->shared->env.chance(keeper->shared->env.arg);
}

/* ---- Waiters ------------------------------------------------------------ */

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
        token_is_alive(&waiter->keeper->token, now_of(waiter->keeper));

    answer_waiter(waiter, is_alive, !is_alive);
}

/*
 * The state has changed: answer everybody who needs to wait no longer. An
 * answer may do anything: ask again, send another one away, and reload, which
 * may even take the keeper away.
 */
static void
answer_waiters(struct keeper *keeper)
{
    struct refresher_waiter *waiter;

    keeper->is_answering = true;
    while ((waiter = TAILQ_FIRST(&keeper->waiters)) != NULL) {
        switch (token_judge(&keeper->token, &waiter->wish,
                            &keeper->shared->policy, now_of(keeper))) {
        case TOKEN_SERVE:
            answer_waiter(waiter, true, false);
            continue;
        case TOKEN_REFUSE:
            answer_waiter(waiter, false, false);
            continue;
        case TOKEN_WAIT_BEGIN:
            begin_fetch(keeper);
            break;
        case TOKEN_WAIT:
            break;
        }
        waiter_move(waiter, &keeper->passed_over);
    }
    while ((waiter = TAILQ_FIRST(&keeper->passed_over)) != NULL)
        waiter_move(waiter, &keeper->waiters);
    keeper->is_answering = false;
    if (keeper->is_gone)
        keeper_free(&keeper);
}

static struct refresher_waiter *
add_waiter(struct keeper *keeper, const struct token_wish *wish,
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
    env->timer_set(waiter->timer, wish->deadline - now_of(keeper));
    return waiter;
}

/* ---- Durable state ------------------------------------------------------ */

/* How long its refresh token may rest, s; 0: there is none. */
static int64_t
pause_of(const struct keeper *keeper)
{
    return refresh_token_pause(&keeper->refresh,
                               provider_refresh_idle_s(keeper->credential));
}

/* Fill in what is to be stored; texts are borrowed, so never clear it. */
static void
make_record(const struct keeper *keeper, struct token_record *out)
{
    int64_t wall = wall_of(keeper);
    int64_t pause = pause_of(keeper);
    struct token_snapshot snapshot;

    token_snapshot(&keeper->token, now_of(keeper), wall, &snapshot);
    *out = (struct token_record){
        .user = keeper->user,
        .not_before_wall = snapshot.not_before_wall,
        .due_wall = snapshot.due_wall,
        .failures = snapshot.failures,
        .secret_index = keeper->secret_index,
        .access_token = keeper->token.text,
        .expires_wall = snapshot.expires_wall,
        .lifetime_s = snapshot.lifetime_s,
    };
    refresh_token_save(&keeper->refresh, out);
    (void)snprintf(out->reason, sizeof(out->reason), "%s", snapshot.reason);
    if (keeper->held.access != NULL) {
        out->access_token = keeper->held.access;
        out->lifetime_s = keeper->held.lifetime;
        out->expires_wall = wall + keeper->held.lifetime;
        out->due_wall = wall + keeper->held.lifetime / 2;
        if (pause > 0 && wall + pause < out->due_wall)
            out->due_wall = wall + pause;
        out->failures = 0;
        out->reason[0] = '\0';
    } else if (snapshot.text == NULL) {
        out->access_token = NULL;
    }
}

/* Store the record. 0: `done` will be called, when it is not NULL. */
static int
store(struct keeper *keeper, refresher_saved_fn *done)
{
    const struct refresher_env *env = &keeper->shared->env;
    struct token_record record;

    if (env->save == NULL)
        return -1;
    make_record(keeper, &record);
    return env->save(env->arg, keeper->name, &record, done, keeper);
}

void
keeper_save(struct keeper *keeper)
{
    /* What fails is said by the one who writes, and is tried again there. */
    (void)store(keeper, NULL);
}

/* ---- Requests ----------------------------------------------------------- */

/* Plan what the token says; nothing while a request is in flight. */
static void
schedule(struct keeper *keeper)
{
    /* What waits for the disk waits no longer than the old token lives. */
    bool is_waiting = keeper->held.access != NULL || keeper->is_asking_later;

    planner_set(keeper->shared->planner, &keeper->entry,
                is_waiting ? keeper->token.expires_at : keeper->token.due_at);
}

static void
note_skew(struct keeper *keeper, const struct acquire_result *result)
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
log_failure(const struct keeper *keeper, const struct acquire_result *result)
{
    const struct token *token = &keeper->token;
    int64_t now = now_of(keeper);
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
           F_END);
}

static void
fail(struct keeper *keeper, const struct acquire_result *result)
{
    struct token *token = &keeper->token;
    bool is_new = strcmp(token_problem(token)->reason, result->reason) != 0;
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
            .random = chance_of(keeper),
        }),
        .retry_after_ms = result->retry_after_s * 1000,
    };

    token_fail(token, &failure, now_of(keeper), wall_of(keeper));
    /* Those who were told the same time come one after the other. */
    if (keeper->user != NULL)
        token->due_at = planner_choose(
            keeper->shared->planner, token->due_at,
            token->due_at + (token->due_at - now_of(keeper)) / RETRY_SPREAD);
    if (is_new || log_is_due(token->failures))
        log_failure(keeper, result);
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
        double jitter = chance_of(keeper) * (is_first ? SPREAD_FIRST : 1);
        int64_t delay = token_refresh_delay(&keeper->token, issue,
                                            &keeper->shared->policy, jitter);
        uint32_t load =
            planner_load(keeper->shared->planner, now_of(keeper) + delay);

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
        .pause_s = pause_of(keeper),
    };

    if (token_succeed(token, &issue, &keeper->shared->policy, now_of(keeper),
                      wall_of(keeper), jitter_of(keeper, &issue), &err) < 0) {
        log_error("token could not be kept",
                  F_STR("credential", keeper->credential->name),
                  F_STR("user", keeper->user), F_STR("error", err.text));
        return;
    }
    hardening_lock(token->text, strlen(token->text));
    log_info("token refreshed", F_STR("credential", keeper->credential->name),
             F_STR("user", keeper->user), F_STR("token", token->fingerprint),
             F_INT("lifetime_s", issue.lifetime_s),
             F_STR("secret", keeper->key != NULL ? keeper->key->source : NULL),
             F_INT("attempt", failures + 1));
}

/* Use what waited to be durable. */
static void
use_held(struct keeper *keeper)
{
    struct oauth_token issued = keeper->held;

    keeper->held = (struct oauth_token){0};
    use(keeper, &issued);
    oauth_token_clear(&issued);
    schedule(keeper);
    begin_probe(keeper);
    answer_waiters(keeper);
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

    log_debug("a new refresh token is durable",
              F_STR("credential", keeper->credential->name),
              F_STR("user", keeper->user), F_INT("window_us", window_us));
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
    if (keeper->held.access != NULL)
        use_held(keeper);
    else if (keeper->is_asking_later)
        ask(keeper);
    else
        begin_probe(keeper);
}

/* Store a new refresh token. 0: on_saved() will be called. */
static int
store_rotated(struct keeper *keeper, int64_t answered_us)
{
    keeper->answered_us = answered_us;
    keeper->unsaved++;
    if (store(keeper, on_saved) == 0)
        return 0;
    keeper->unsaved--;
    return -1;
}

/* A newer refresh token takes the place of the old one. Takes it. */
static void
take_refresh_token(struct keeper *keeper, struct oauth_token *token)
{
    bool is_newer = token->refresh != NULL;

    refresh_token_renew(&keeper->refresh, token, wall_of(keeper));
    if (is_newer)
        hardening_lock(keeper->refresh.text, strlen(keeper->refresh.text));
}

static void
note_key(struct keeper *keeper, struct key *key)
{
    struct key *old = keeper->key;

    keeper->key = key != NULL ? key_ref(key) : NULL;
    key_unref(&old);
}

static void
succeed(struct keeper *keeper, struct acquire_result *result)
{
    bool is_rotated = result->token.refresh != NULL;

    keeper->secret_index = result->secret_index;
    note_key(keeper, result->key);
    keeper->not_after = result->not_after;
    take_refresh_token(keeper, &result->token);
    if (is_rotated && token_is_alive(&keeper->token, now_of(keeper))) {
        keeper->held = result->token;
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

/* For those who look on. */
static void
tell_ended(const struct keeper *keeper, const struct acquire_result *result,
           int64_t took_ms)
{
    const struct refresher_env *env = &keeper->shared->env;
    bool has_failed = result->err.code != ERR_NONE;
    bool is_alive = token_is_alive(&keeper->token, now_of(keeper));

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
               });
}

/* acquire_done_fn */
static void
on_acquired(struct acquire_result *result, void *arg)
{
    struct keeper *keeper = arg;

    keeper->acquire = NULL;
    keeper->requests += result->requests;
    note_skew(keeper, result);
    if (result->err.code == ERR_NONE) {
        succeed(keeper, result);
    } else {
        fail(keeper, result);
        keeper_save(keeper);
    }
    tell_ended(keeper, result, now_of(keeper) - keeper->asked_at);
    schedule(keeper);
    begin_probe(keeper);
    answer_waiters(keeper);
}

/* Send the request; in state FETCHING. */
static void
ask(struct keeper *keeper)
{
    const struct refresher_env *env = &keeper->shared->env;

    keeper->asked_at = now_of(keeper);
    keeper->is_asking_later = false;
    schedule(keeper);
    keeper->acquire = env->start(env->arg,
                                 &(struct acquire_request){
                                     .config = keeper->shared->config,
                                     .credential = keeper->credential,
                                     .user = keeper->user,
                                     .first_secret = keeper->secret_index,
                                     .refresh_token = keeper->refresh.text,
                                 },
                                 on_acquired, keeper);
    if (keeper->acquire == NULL) {
        struct acquire_result result = {
            .err = {ERR_SYSTEM, "out of memory"},
            .problem = PROBLEM_INTERNAL,
            .reason = problem_word(PROBLEM_INTERNAL),
        };

        fail(keeper, &result);
        tell_ended(keeper, &result, -1);
        schedule(keeper);
    }
}

/*
 * A provider may take the previous refresh token until the new one is first
 * used. So the new one is not used before it is durable: who is killed then
 * goes on with the previous one.
 */
static void
begin_fetch(struct keeper *keeper)
{
    if (is_probing(keeper))
        return; /* its end looks again at what is wanted */
    token_begin(&keeper->token, &keeper->shared->policy, now_of(keeper));
    if (keeper->unsaved > 0 && token_is_alive(&keeper->token, now_of(keeper))) {
        keeper->is_asking_later = true;
        schedule(keeper);
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

    if (keeper->held.access != NULL)
        use_held(keeper); /* the old token expires first */
    else if (keeper->is_asking_later)
        ask(keeper); /* likewise */
    else
        begin_fetch(keeper);
}

/* ---- Probes ------------------------------------------------------------- */

/* Without a word. */
static void
drop_probe(struct keeper *keeper)
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

    drop_probe(keeper);
    done(result, arg);
}

/* It did not get so far. */
static void
fail_probe(struct keeper *keeper, enum err_code code, const char *text)
{
    struct acquire_result result = {.problem = PROBLEM_INTERNAL};

    if (keeper->probe == NULL)
        return;
    (void)err_set(&result.err, code, "%s", text);
    result.reason = problem_word(result.problem);
    end_probe(keeper, &result);
}

/* acquire_done_fn */
static void
on_probed(struct acquire_result *result, void *arg)
{
    struct keeper *keeper = arg;

    keeper->probe->acquire = NULL;
    keeper->requests += result->requests;
    note_skew(keeper, result);
    if (result->err.code == ERR_NONE) {
        token_begin(&keeper->token, &keeper->shared->policy, now_of(keeper));
        succeed(keeper, result);
        tell_ended(keeper, result, now_of(keeper) - keeper->probe->asked_at);
    }
    end_probe(keeper, result);
    schedule(keeper);
    answer_waiters(keeper);
}

/* Is a refresh token used, or is a new one not durable yet? */
static bool
is_busy(const struct keeper *keeper)
{
    return keeper->acquire != NULL || keeper->held.access != NULL ||
           keeper->is_asking_later || keeper->unsaved > 0;
}

/* Begin the one that waits, if nothing else is in flight. */
static void
begin_probe(struct keeper *keeper)
{
    const struct refresher_env *env = &keeper->shared->env;
    struct keeper_probe *probe = keeper->probe;
    struct key_list keys;

    if (probe == NULL || probe->acquire != NULL || is_busy(keeper))
        return;
    keys = (struct key_list){&probe->key, 1};
    probe->asked_at = now_of(keeper);
    probe->acquire = env->start(env->arg,
                                &(struct acquire_request){
                                    .config = keeper->shared->config,
                                    .credential = keeper->credential,
                                    .user = keeper->user,
                                    .keys = &keys,
                                    .refresh_token = keeper->refresh.text,
                                },
                                on_probed, keeper);
    if (probe->acquire == NULL && !probe->is_new)
        fail_probe(keeper, ERR_SYSTEM, "out of memory");
}

bool
keeper_may_probe(const struct keeper *keeper)
{
    return !grant_needs_login(keeper->credential->grant) ||
           keeper->refresh.text != NULL;
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
    begin_probe(keeper);
    probe->is_new = false;
    if (must_wait || probe->acquire != NULL)
        return 0;
    drop_probe(keeper);
    return err_set(err, ERR_SYSTEM, "out of memory");
}

void
keeper_unprobe(struct keeper *keeper, const void *arg)
{
    bool was_probing = is_probing(keeper);

    if (keeper->probe == NULL || keeper->probe->arg != arg)
        return;
    drop_probe(keeper);
    if (was_probing)
        schedule(keeper);
}

/* ---- Life --------------------------------------------------------------- */

/* Without a refresh token there is nothing to ask with: wait for a login. */
static void
wait_for_login(struct keeper *keeper)
{
    const struct err err = {ERR_REAUTH, "nobody has signed in for it yet"};

    if (!grant_needs_login(keeper->credential->grant) ||
        keeper->refresh.text != NULL || keeper->token.state == TOKEN_FETCHING)
        return;
    token_block(&keeper->token,
                &(struct token_failure){
                    .err = &err,
                    .reason = problem_word(PROBLEM_NEEDS_LOGIN),
                    .hint = "run: xoauth2ctl login MAILBOX",
                },
                wall_of(keeper));
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
    const char *blank = keeper->name != NULL ? strchr(keeper->name, ' ') : NULL;

    return blank != NULL && keeper->user == blank + 1;
}

struct keeper *
keeper_new(struct keeper_shared *shared,
           const struct config_credential *credential, const char *name,
           const char *user)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));

    if (keeper == NULL)
        return NULL;
    keeper->shared = shared;
    keeper->credential = credential;
    TAILQ_INIT(&keeper->waiters);
    TAILQ_INIT(&keeper->passed_over);
    token_init(&keeper->token, now_of(keeper));
    keeper->is_to_spread = true;
    shared->keeper_count++;
    keeper->name = strdup(name);
    if (keeper->name != NULL && user != NULL)
        keeper->user = copy_user(keeper->name, user);
    if (keeper->name == NULL || (user != NULL && keeper->user == NULL) ||
        planner_reserve(shared->planner, shared->keeper_count) < 0)
        keeper_free(&keeper);
    return keeper;
}

void
keeper_free(struct keeper **keeper)
{
    struct keeper *k = *keeper;
    struct refresher_waiter *waiter;

    if (k == NULL)
        return;
    k->shared->env.cancel(&k->acquire);
    drop_probe(k);
    if (k->shared->env.unsave != NULL)
        k->shared->env.unsave(k->shared->env.arg, k);
    while ((waiter = TAILQ_FIRST(&k->waiters)) != NULL)
        waiter_free(waiter);
    planner_set(k->shared->planner, &k->entry, TOKEN_NEVER);
    k->shared->keeper_count--;
    oauth_token_clear(&k->held);
    token_clear(&k->token);
    key_unref(&k->key);
    refresh_token_clear(&k->refresh);
    if (!is_user_shared(k))
        free(k->user);
    free(k->name);
    free(k);
    *keeper = NULL;
}

void
keeper_retire(struct keeper **keeper)
{
    struct keeper *k = *keeper;
    struct refresher_waiter *waiter;

    *keeper = NULL;
    k->is_gone = true;
    k->shared->env.cancel(&k->acquire);
    fail_probe(k, ERR_NOTFOUND, "the credential is no longer configured");
    planner_set(k->shared->planner, &k->entry, TOKEN_NEVER);
    if (k->shared->env.unsave != NULL)
        k->shared->env.unsave(k->shared->env.arg, k);
    while ((waiter = TAILQ_FIRST(&k->passed_over)) != NULL ||
           (waiter = TAILQ_FIRST(&k->waiters)) != NULL)
        answer_waiter(waiter, false, false);
    if (!k->is_answering)
        keeper_free(&k);
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

/* Would both ask the same issuer for the same token? */
static bool
is_same_token(const struct config_credential *a,
              const struct config_credential *b)
{
    return a->provider == b->provider && a->grant == b->grant &&
           a->identity == b->identity &&
           is_same_text(a->identity_value, b->identity_value) &&
           is_same_text(a->tenant, b->tenant) &&
           is_same_text(a->client_id, b->client_id) &&
           is_same_text(a->issuer, b->issuer) &&
           is_same_text(a->token_url, b->token_url) &&
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
    token_fail(&keeper->token,
               &(struct token_failure){.err = &err, .reason = "reloaded"},
               now_of(keeper), wall_of(keeper));
    keeper->token.failures = 0;
}

void
keeper_adopt(struct keeper *keeper, const struct config_credential *credential)
{
    int64_t now = now_of(keeper);

    fail_probe(keeper, ERR_RETRY, "the configuration was read again meanwhile");
    if (keeper->acquire != NULL &&
        !is_same_request(keeper->credential, credential))
        restart_request(keeper);
    if (!is_same_token(keeper->credential, credential) &&
        keeper->held.access == NULL) {
        keeper->is_asking_later = false;
        token_reset(&keeper->token, now);
    }
    keeper->credential = credential;
    keeper->secret_index = 0;
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
    int64_t now = now_of(keeper);

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
    wait_for_login(keeper);
    token_adopt(&keeper->token, &keeper->shared->policy);
    if (keeper->token.due_at != TOKEN_NEVER &&
        (keeper->is_to_spread || keeper->token.state == TOKEN_EMPTY)) {
        spread(keeper, window_ms);
        keeper->is_to_spread = false;
    }
    schedule(keeper);
}

void
keeper_restore(struct keeper *keeper, struct token_record *record)
{
    struct token_snapshot snapshot = {
        .text = record->access_token,
        .lifetime_s = record->lifetime_s,
        .expires_wall = record->expires_wall,
        .due_wall = record->due_wall,
        .not_before_wall = record->not_before_wall,
        .failures = record->failures,
        .reason = record->reason,
    };
    struct err err = {ERR_NONE, ""};

    if (keeper->refresh.text == NULL && record->refresh_token != NULL) {
        refresh_token_restore(&keeper->refresh, record);
        hardening_lock(keeper->refresh.text, strlen(keeper->refresh.text));
        if (keeper->token.due_at == TOKEN_NEVER)
            token_reset(&keeper->token, now_of(keeper));
    }
    if (keeper->token.state != TOKEN_EMPTY)
        return;
    keeper->is_to_spread = true;
    keeper->secret_index = record->secret_index;
    if (token_restore(&keeper->token, &snapshot, ++keeper->shared->serial,
                      now_of(keeper), wall_of(keeper), &err) < 0)
        log_error("a stored token could not be used, out of memory",
                  F_STR("credential", keeper->credential->name),
                  F_STR("user", keeper->user));
}

/* ---- Questions ---------------------------------------------------------- */

struct refresher_waiter *
keeper_ask(struct keeper *keeper, const struct refresher_question *question,
           refresher_answer_fn answer, void *arg)
{
    int64_t now = now_of(keeper);
    struct refresher_answer reply = {.token = &keeper->token};
    struct refresher_waiter *waiter;
    struct token_wish wish = {
        .min_ms = question->min_ms,
        .refused_serial = question->refused_serial,
        .deadline = now + question->patience_ms,
    };

    switch (token_judge(&keeper->token, &wish, &keeper->shared->policy, now)) {
    case TOKEN_SERVE:
        reply.is_given = true;
        answer(&reply, arg);
        return NULL;
    case TOKEN_REFUSE:
        answer(&reply, arg);
        return NULL;
    case TOKEN_WAIT_BEGIN:
        begin_fetch(keeper);
        break;
    case TOKEN_WAIT:
        break;
    }
    waiter = add_waiter(keeper, &wish, answer, arg);
    if (waiter == NULL) {
        reply.is_late = true;
        answer(&reply, arg);
    }
    return waiter;
}

void
refresher_forget(struct refresher_waiter **waiter)
{
    if (*waiter == NULL)
        return;
    waiter_free(*waiter);
    *waiter = NULL;
}

enum token_report_answer
keeper_report(struct keeper *keeper, int64_t *until_wall)
{
    int64_t now = now_of(keeper);
    int64_t until = now;
    enum token_report_answer answer = token_report(&keeper->token, now, &until);

    switch (answer) {
    case TOKEN_REPORT_FETCH:
        begin_fetch(keeper);
        break;
    case TOKEN_REPORT_LIMITED:
        /* Rounded up, so that nobody comes back too early. */
        *until_wall = wall_of(keeper) + (until - now + 999) / 1000;
        schedule(keeper);
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
        .secret_index = keeper->secret_index,
        .requests = keeper->requests,
        .not_after = keeper->not_after,
        .has_skew = keeper->has_skew,
        .skew_s = keeper->skew_s,
        .has_refresh_token = keeper->refresh.text != NULL,
        .refresh_obtained_wall = keeper->refresh.obtained_wall,
        .refresh_expires_wall = refresh_token_ends(&keeper->refresh, idle_s),
        .is_refresh_ending = warns != 0 && warns <= wall_of(keeper),
        .now = now_of(keeper),
    };
    if (keeper->key != NULL)
        out->secret = keeper->key->source;
    else if (keeper->token.serial > 0 &&
             keeper->secret_index < credential->client_secret_count)
        out->secret = credential->client_secrets[keeper->secret_index].text;
}

/* ---- What an operator does ---------------------------------------------- */

/* Whatever is under way or waits for the disk: nobody wants it any more. */
static void
stop_fetch(struct keeper *keeper)
{
    fail_probe(keeper, ERR_RETRY, "somebody signed in or out meanwhile");
    keeper->shared->env.cancel(&keeper->acquire);
    oauth_token_clear(&keeper->held);
    keeper->is_asking_later = false;
}

void
keeper_sign_in(struct keeper *keeper, struct oauth_token *token)
{
    stop_fetch(keeper);
    take_refresh_token(keeper, token);
    token_reset(&keeper->token, now_of(keeper));
    if (token->access != NULL) {
        token_begin(&keeper->token, &keeper->shared->policy, now_of(keeper));
        use(keeper, token);
        tell_ended(keeper, &(struct acquire_result){.err = {ERR_NONE, ""}}, -1);
    }
    if (store_rotated(keeper, 0) < 0)
        note_unsaved(keeper);
    schedule(keeper);
    answer_waiters(keeper);
}

void
keeper_sign_out(struct keeper *keeper)
{
    const struct refresher_env *env = &keeper->shared->env;

    stop_fetch(keeper);
    refresh_token_clear(&keeper->refresh);
    token_reset(&keeper->token, now_of(keeper));
    wait_for_login(keeper);
    if (env->unstore != NULL)
        env->unstore(env->arg, keeper->name);
    schedule(keeper);
    answer_waiters(keeper);
}

bool
keeper_fetch(struct keeper *keeper, bool drops, int64_t *not_before_wall)
{
    struct token *token = &keeper->token;
    int64_t now = now_of(keeper);

    if (drops)
        token->expires_at = now;
    if (token->state == TOKEN_FETCHING || token->due_at == TOKEN_NEVER)
        return true;
    if (token->not_before > now) {
        *not_before_wall =
            wall_of(keeper) + (token->not_before - now + 999) / 1000;
        return false;
    }
    begin_fetch(keeper);
    return true;
}
