/*
 * token - one cached access token: its state, when it is to be fetched again,
 * and what somebody who asks for it gets.
 */
#include "token-daemon/token.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"
#include "token-daemon/fingerprint.h"

#define JITTER_SHARE       0.1 /* of the time until the next fetch */
#define NO_MEMORY_DELAY_MS 1000
/* A back-off or a Retry-After. */
#define PLAN_MAX_MS          (INT64_C(60) * 60 * 1000)
#define REPORTS_FORGOTTEN_MS (2 * TOKEN_EXTRA_INTERVAL_MAX_MS)

static int64_t
min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t
max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What is said when there is no memory to say more. */
static struct token_problem no_memory = {
    .err = {ERR_SYSTEM, "out of memory"},
    .reason = "out-of-memory",
};

/* NULL: all is well. */
static void
set_problem(struct token *token, const struct token_failure *failure,
            int64_t wall)
{
    struct token_problem *problem = token->problem;

    if (failure == NULL) {
        if (problem != &no_memory)
            free(problem);
        token->problem = NULL;
        return;
    }
    if (problem == NULL || problem == &no_memory)
        problem = calloc(1, sizeof(*problem));
    token->problem = problem != NULL ? problem : &no_memory;
    if (problem == NULL)
        return;
    problem->err = *failure->err;
    (void)snprintf(problem->reason, sizeof(problem->reason), "%s",
                   failure->reason);
    (void)snprintf(problem->hint, sizeof(problem->hint), "%s",
                   failure->hint != NULL ? failure->hint : "");
    problem->at_wall = wall;
}

const struct token_problem *
token_problem(const struct token *token)
{
    static const struct token_problem none = {0};

    return token->problem != NULL ? token->problem : &none;
}

void
token_init(struct token *token, int64_t now)
{
    *token = (struct token){.state = TOKEN_EMPTY, .due_at = now};
}

void
token_clear(struct token *token)
{
    secret_free(&token->text);
    set_problem(token, NULL, 0);
    *token = (struct token){0};
}

void
token_reset(struct token *token, int64_t now)
{
    token_clear(token);
    token_init(token, now);
}

void
token_begin(struct token *token, const struct token_policy *policy, int64_t now)
{
    assert(token->state != TOKEN_FETCHING);
    if (token->is_extra_wanted) {
        if (token->extra_interval_ms == 0)
            token->extra_interval_ms = policy->refetch_interval_ms;
        token->extra_at = now + policy->refetch_interval_ms;
        token->extra_slow_at = now + token->extra_interval_ms;
        token->extra_interval_ms = max_of(
            policy->refetch_interval_ms,
            min_of(2 * token->extra_interval_ms, TOKEN_EXTRA_INTERVAL_MAX_MS));
        token->is_extra_wanted = false;
    }
    token->state = TOKEN_FETCHING;
    token->due_at = TOKEN_NEVER;
}

/*
 * How long until the next fetch? Half of the life, or what the provider asked
 * for, but early enough for the most demanding server. An issuer that caches
 * answers the same text: then half of what remains, and not too soon. What the
 * token is asked with may have to be used sooner than that.
 */
static int64_t
refresh_delay(const struct token_issue *issue, bool is_same_text,
              int64_t issued_lifetime_ms, const struct token_policy *policy,
              double jitter)
{
    int64_t left = issue->lifetime_s * 1000;
    int64_t margin = min_of(policy->margin_ms, issued_lifetime_ms / 2);
    int64_t delay = left / 2;

    if (!is_same_text && issue->refresh_in_s > 0 &&
        issue->refresh_in_s < issue->lifetime_s)
        delay = issue->refresh_in_s * 1000;
    if (left > margin)
        delay = min_of(delay, left - margin);
    if (issue->pause_s > 0)
        delay = min_of(
            delay, max_of(issue->pause_s * 1000, policy->refetch_interval_ms));
    delay -= (int64_t)((double)delay * JITTER_SHARE * jitter);
    if (is_same_text)
        delay = min_of(max_of(delay, policy->refetch_interval_ms), left);
    return delay;
}

static bool
is_same_text(const struct token *token, const struct token_issue *issue)
{
    return token->text != NULL && strcmp(token->text, issue->text) == 0;
}

int64_t
token_refresh_delay(const struct token *token, const struct token_issue *issue,
                    const struct token_policy *policy, double jitter)
{
    bool is_same = is_same_text(token, issue);

    return refresh_delay(
        issue, is_same, is_same ? token->lifetime_ms : issue->lifetime_s * 1000,
        policy, jitter);
}

int
token_succeed(struct token *token, const struct token_issue *issue,
              const struct token_policy *policy, int64_t now, int64_t wall,
              double jitter, struct err *err)
{
    int64_t delay = token_refresh_delay(token, issue, policy, jitter);

    assert(token->state == TOKEN_FETCHING);
    if (!is_same_text(token, issue)) {
        char *text = secret_dup(issue->text);

        if (text == NULL ||
            fingerprint_make(text, token->fingerprint, err) < 0) {
            secret_free(&text);
            token_fail(token,
                       &(struct token_failure){.err = &no_memory.err,
                                               .reason = no_memory.reason,
                                               .delay_ms = NO_MEMORY_DELAY_MS},
                       now, wall);
            return err_set(err, ERR_SYSTEM, "out of memory");
        }
        secret_free(&token->text);
        token->text = text;
        token->serial = issue->serial;
        token->lifetime_ms = issue->lifetime_s * 1000;
    }
    token->state = TOKEN_READY;
    token->fetched_at = now;
    token->expires_at = now + issue->lifetime_s * 1000;
    token->expires_wall = wall + issue->lifetime_s;
    token->due_at = now + delay;
    token->not_before = 0;
    token->failures = 0;
    set_problem(token, NULL, 0);
    return 0;
}

void
token_fail(struct token *token, const struct token_failure *failure,
           int64_t now, int64_t wall)
{
    assert(token->state == TOKEN_FETCHING);
    token->state = TOKEN_BACKOFF;
    token->failures++;
    set_problem(token, failure, wall);
    token->not_before = now + failure->retry_after_ms;
    token->due_at = max_of(now + failure->delay_ms, token->not_before);
}

void
token_block(struct token *token, const struct token_failure *failure,
            int64_t wall)
{
    assert(token->state != TOKEN_FETCHING);
    token->state = TOKEN_BACKOFF;
    token->due_at = TOKEN_NEVER;
    token->is_extra_wanted = false;
    set_problem(token, failure, wall);
}

/* A point in time of one clock by the other; 0 and NEVER stay "none". */
static int64_t
to_wall(int64_t at, int64_t now, int64_t wall)
{
    return at == TOKEN_NEVER || at == 0 ? 0 : wall + (at - now + 999) / 1000;
}

void
token_snapshot(const struct token *token, int64_t now, int64_t wall,
               struct token_snapshot *out)
{
    bool is_alive = token_is_alive(token, now);

    *out = (struct token_snapshot){
        .text = is_alive ? token->text : NULL,
        .lifetime_s = is_alive ? token->lifetime_ms / 1000 : 0,
        .expires_wall = is_alive ? to_wall(token->expires_at, now, wall) : 0,
        .due_wall = to_wall(token->due_at, now, wall),
        .not_before_wall =
            token->not_before > now ? to_wall(token->not_before, now, wall) : 0,
        .failures = token->failures,
        .reason = token_problem(token)->reason,
    };
}

/* ms of CLOCK_BOOTTIME, at most `limit_ms` ahead. */
static int64_t
from_wall(int64_t at_wall, int64_t now, int64_t wall, int64_t limit_ms)
{
    int64_t ahead_s = at_wall - wall;

    if (ahead_s <= 0)
        return now;
    return now + (ahead_s < limit_ms / 1000 ? ahead_s * 1000 : limit_ms);
}

int
token_restore(struct token *token, const struct token_snapshot *snapshot,
              uint64_t serial, int64_t now, int64_t wall, struct err *err)
{
    const struct err passed_on = {ERR_RETRY,
                                  "the last request before the restart failed"};
    int64_t lifetime_ms = snapshot->lifetime_s * 1000;
    int64_t limit_ms = max_of(lifetime_ms, PLAN_MAX_MS);

    assert(token->state == TOKEN_EMPTY);
    if (snapshot->text != NULL && snapshot->expires_wall > wall &&
        lifetime_ms > 0) {
        char *text = secret_dup(snapshot->text);

        if (text == NULL ||
            fingerprint_make(text, token->fingerprint, err) < 0) {
            secret_free(&text);
            return err_set(err, ERR_SYSTEM, "out of memory");
        }
        token->text = text;
        token->serial = serial;
        token->lifetime_ms = lifetime_ms;
        token->expires_at =
            from_wall(snapshot->expires_wall, now, wall, lifetime_ms);
        token->expires_wall = wall + (token->expires_at - now) / 1000;
        token->state = TOKEN_READY;
        /* At the latest now: as old as what is left of its life says. */
        token->fetched_at = token->expires_at - lifetime_ms;
    }
    if (snapshot->not_before_wall > wall)
        token->not_before =
            from_wall(snapshot->not_before_wall, now, wall, PLAN_MAX_MS);
    token->failures = snapshot->failures;
    if (snapshot->failures > 0) {
        token->state = TOKEN_BACKOFF;
        set_problem(token,
                    &(struct token_failure){.err = &passed_on,
                                            .reason = snapshot->reason},
                    wall);
    }
    token->due_at = max_of(from_wall(snapshot->due_wall, now, wall, limit_ms),
                           token->not_before);
    return 0;
}

bool
token_is_alive(const struct token *token, int64_t now)
{
    return token->text != NULL && now < token->expires_at;
}

/* A text that has not expired, but with less life left than was asked for. */
static enum token_verdict
judge_short_lived(const struct token *token, const struct token_policy *policy,
                  int64_t now)
{
    switch (token->state) {
    case TOKEN_FETCHING:
        return TOKEN_WAIT;
    case TOKEN_READY:
        /* A text just fetched is the best there is. */
        return now - token->fetched_at < policy->refetch_interval_ms
                   ? TOKEN_SERVE
                   : TOKEN_WAIT_BEGIN;
    case TOKEN_EMPTY:
    case TOKEN_BACKOFF:
        return TOKEN_SERVE;
    }
    return TOKEN_SERVE;
}

static bool
needs_somebody(const struct token *token)
{
    enum err_code code = token_problem(token)->err.code;

    return code == ERR_CONFIG || code == ERR_REAUTH;
}

static enum token_verdict
judge_dead(const struct token *token, const struct token_wish *wish)
{
    switch (token->state) {
    case TOKEN_FETCHING:
        return TOKEN_WAIT;
    case TOKEN_EMPTY:
    case TOKEN_READY:
        return TOKEN_WAIT_BEGIN;
    case TOKEN_BACKOFF:
        /* What somebody must mend first is told at once. */
        return token->due_at < wish->deadline && !needs_somebody(token)
                   ? TOKEN_WAIT
                   : TOKEN_REFUSE;
    }
    return TOKEN_REFUSE;
}

/* Does a fetch that this asker's report wants come in time for the asker? */
static bool
should_wait_for_extra(const struct token *token, const struct token_wish *wish)
{
    if (wish->refused_serial == 0 || wish->refused_serial != token->serial)
        return false;
    return token->state == TOKEN_FETCHING ||
           (token->is_extra_wanted && token->due_at < wish->deadline);
}

enum token_verdict
token_judge(const struct token *token, const struct token_wish *wish,
            const struct token_policy *policy, int64_t now)
{
    if (!token_is_alive(token, now))
        return judge_dead(token, wish);
    if (should_wait_for_extra(token, wish))
        return TOKEN_WAIT;
    if (token->expires_at - now >= min_of(wish->min_ms, token->lifetime_ms / 2))
        return TOKEN_SERVE;
    return judge_short_lived(token, policy, now);
}

enum token_report_answer
token_report(struct token *token, int64_t now, int64_t *until)
{
    int64_t earliest = max_of(max_of(token->extra_at, token->extra_slow_at),
                              token->not_before);

    if (token->state == TOKEN_FETCHING)
        return TOKEN_REPORT_FETCHING;
    if (token->extra_interval_ms != 0 &&
        now - token->extra_slow_at > REPORTS_FORGOTTEN_MS)
        token->extra_interval_ms = 0;
    token->is_extra_wanted = true;
    if (token->state == TOKEN_BACKOFF)
        earliest = max_of(earliest, token->due_at);
    if (now >= earliest)
        return TOKEN_REPORT_FETCH;
    token->due_at = min_of(token->due_at, earliest);
    *until = earliest;
    return TOKEN_REPORT_LIMITED;
}

void
token_accepted(struct token *token)
{
    token->extra_slow_at = 0;
    token->extra_interval_ms = 0;
    token->is_extra_wanted = false;
}

void
token_retry_now(struct token *token, int64_t now)
{
    if (token->state == TOKEN_BACKOFF)
        token->due_at = max_of(now, token->not_before);
}

void
token_adopt(struct token *token, const struct token_policy *policy)
{
    int64_t margin = min_of(policy->margin_ms, token->lifetime_ms / 2);

    if (token->state == TOKEN_READY)
        token->due_at =
            min_of(token->due_at,
                   max_of(token->expires_at - margin,
                          token->fetched_at + policy->refetch_interval_ms));
}

const char *
token_state_name(enum token_state state)
{
    switch (state) {
    case TOKEN_EMPTY:
        return "empty";
    case TOKEN_FETCHING:
        return "fetching";
    case TOKEN_READY:
        return "ready";
    case TOKEN_BACKOFF:
        return "backoff";
    }
    return "unknown";
}
