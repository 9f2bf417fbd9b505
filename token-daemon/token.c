/*
 * token - one cached access token: its state, when it is to be fetched again,
 * and what somebody who asks for it gets.
 */
#include "token-daemon/token.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/secret.h"
#include "token-daemon/fingerprint.h"

#define JITTER_SHARE         0.1 /* of the time until the next fetch */
#define NO_MEMORY_DELAY_MS   1000
#define REPORTS_FORGOTTEN_MS (2 * (int64_t)TOKEN_EXTRA_INTERVAL_MAX_MS)

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

void
token_init(struct token *token, int64_t now)
{
    *token = (struct token){.state = TOKEN_EMPTY, .due_at = now};
}

void
token_clear(struct token *token)
{
    secret_free(&token->text);
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
 * answers the same text: then half of what remains, and not too soon.
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
    delay -= (int64_t)((double)delay * JITTER_SHARE * jitter);
    if (is_same_text)
        delay = min_of(max_of(delay, policy->refetch_interval_ms), left);
    return delay;
}

int
token_succeed(struct token *token, const struct token_issue *issue,
              const struct token_policy *policy, int64_t now, int64_t wall,
              double jitter, struct err *err)
{
    bool is_same_text =
        token->text != NULL && strcmp(token->text, issue->text) == 0;

    assert(token->state == TOKEN_FETCHING);
    if (!is_same_text) {
        char *text = secret_dup(issue->text);

        if (text == NULL ||
            fingerprint_make(text, token->fingerprint, err) < 0) {
            struct err no_memory = {ERR_SYSTEM, "out of memory"};

            secret_free(&text);
            token_fail(token,
                       &(struct token_failure){.err = &no_memory,
                                               .reason = "out-of-memory",
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
    token->due_at = now + refresh_delay(issue, is_same_text, token->lifetime_ms,
                                        policy, jitter);
    token->not_before = 0;
    token->failures = 0;
    token->error = (struct err){ERR_NONE, ""};
    token->reason[0] = '\0';
    token->hint[0] = '\0';
    return 0;
}

void
token_fail(struct token *token, const struct token_failure *failure,
           int64_t now, int64_t wall)
{
    assert(token->state == TOKEN_FETCHING);
    token->state = TOKEN_BACKOFF;
    token->failures++;
    token->error = *failure->err;
    (void)snprintf(token->reason, sizeof(token->reason), "%s", failure->reason);
    (void)snprintf(token->hint, sizeof(token->hint), "%s",
                   failure->hint != NULL ? failure->hint : "");
    token->failed_wall = wall;
    token->not_before = now + failure->retry_after_ms;
    token->due_at = max_of(now + failure->delay_ms, token->not_before);
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
        return token->due_at < wish->deadline ? TOKEN_WAIT : TOKEN_REFUSE;
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
