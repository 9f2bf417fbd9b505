/*
 * refresher - keeps every token fresh; the only module that decides when.
 */
#include "token-daemon/refresher.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/log.h"
#include "common/strmap.h"
#include "token-daemon/backoff.h"
#include "token-daemon/hardening.h"

#define MARGIN_DEFAULT_S    300 /* what a server wants left, unless told */
#define START_SPREAD_MS     5   /* for each credential, at start */
#define SKEW_WORTH_A_LINE_S 60

TAILQ_HEAD(waiter_list, refresher_waiter);

struct entry;

struct refresher_waiter {
    TAILQ_ENTRY(refresher_waiter) link;
    struct waiter_list *list; /* the one it is in */
    struct entry *entry;
    struct token_wish wish;
    void *timer; /* fires at the deadline */
    refresher_answer_fn answer;
    void *arg;
};

struct entry {
    TAILQ_ENTRY(entry) link;
    struct refresher *refresher;
    const struct config_credential *credential; /* in refresher->config */
    struct token token;
    struct acquire *acquire; /* in flight exactly in state FETCHING */
    void *timer;             /* fires at token.due_at */
    struct waiter_list waiters;
    struct waiter_list passed_over; /* while the others are being answered */
    size_t waiter_count;
    bool is_answering; /* so it must not be freed */
    bool is_gone;      /* no longer configured */
    size_t secret_index;
    uint64_t requests;
    int64_t not_after; /* s since 1970; 0: no certificate */
    bool has_skew;
    int64_t skew_s;
};

TAILQ_HEAD(entry_list, entry);

struct refresher {
    struct refresher_env env;
    struct config *config;
    struct token_policy policy;
    struct strmap *by_name;
    struct entry_list entries;
    uint64_t serial; /* of the last token that was obtained */
};

/* What is said of a credential that a reload has taken away. */
static const struct token gone = {
    .state = TOKEN_BACKOFF,
    .due_at = TOKEN_NEVER,
    .error = {ERR_CONFIG, "the credential is no longer configured"},
    .reason = "unknown-mailbox",
};

static void begin_fetch(struct entry *entry);

static int64_t
now_of(const struct refresher *refresher)
{
    return refresher->env.boot_ms(refresher->env.arg);
}

static int64_t
wall_of(const struct refresher *refresher)
{
    return refresher->env.wall(refresher->env.arg);
}

/* ---- Waiters ------------------------------------------------------------ */

static void
waiter_free(struct refresher_waiter *waiter)
{
    TAILQ_REMOVE(waiter->list, waiter, link);
    waiter->entry->waiter_count--;
    waiter->entry->refresher->env.timer_free(waiter->timer);
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
    struct refresher_answer answer = {.token = &waiter->entry->token,
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
        token_is_alive(&waiter->entry->token, now_of(waiter->entry->refresher));

    answer_waiter(waiter, is_alive, !is_alive);
}

/* Cancel, answer nobody, wipe. The entry is in no list and no map. */
static void
entry_free(struct entry *entry)
{
    struct refresher_waiter *waiter;

    entry->refresher->env.cancel(&entry->acquire);
    while ((waiter = TAILQ_FIRST(&entry->waiters)) != NULL)
        waiter_free(waiter);
    entry->refresher->env.timer_free(entry->timer);
    token_clear(&entry->token);
    free(entry);
}

/*
 * The state has changed: answer everybody who needs to wait no longer. An
 * answer may do anything: ask again, send another one away, and reload, which
 * may even take the credential away.
 */
static void
answer_waiters(struct entry *entry)
{
    struct refresher_waiter *waiter;

    entry->is_answering = true;
    while ((waiter = TAILQ_FIRST(&entry->waiters)) != NULL) {
        switch (token_judge(&entry->token, &waiter->wish,
                            &entry->refresher->policy,
                            now_of(entry->refresher))) {
        case TOKEN_SERVE:
            answer_waiter(waiter, true, false);
            continue;
        case TOKEN_REFUSE:
            answer_waiter(waiter, false, false);
            continue;
        case TOKEN_WAIT_BEGIN:
            begin_fetch(entry);
            break;
        case TOKEN_WAIT:
            break;
        }
        waiter_move(waiter, &entry->passed_over);
    }
    while ((waiter = TAILQ_FIRST(&entry->passed_over)) != NULL)
        waiter_move(waiter, &entry->waiters);
    entry->is_answering = false;
    if (entry->is_gone)
        entry_free(entry);
}

static struct refresher_waiter *
add_waiter(struct entry *entry, const struct token_wish *wish,
           refresher_answer_fn answer, void *arg)
{
    const struct refresher_env *env = &entry->refresher->env;
    struct refresher_waiter *waiter = calloc(1, sizeof(*waiter));

    if (waiter == NULL)
        return NULL;
    waiter->timer = env->timer_new(env->arg, on_deadline, waiter);
    if (waiter->timer == NULL) {
        free(waiter);
        return NULL;
    }
    waiter->entry = entry;
    waiter->wish = *wish;
    waiter->answer = answer;
    waiter->arg = arg;
    waiter->list = &entry->waiters;
    TAILQ_INSERT_TAIL(&entry->waiters, waiter, link);
    entry->waiter_count++;
    env->timer_set(waiter->timer, wish->deadline - now_of(entry->refresher));
    return waiter;
}

/* ---- Requests ----------------------------------------------------------- */

/* Set the timer to what the token says, off while a request is in flight. */
static void
schedule(struct entry *entry)
{
    int64_t now = now_of(entry->refresher);
    int64_t due = entry->token.due_at;

    if (due == TOKEN_NEVER)
        entry->refresher->env.timer_set(entry->timer, -1);
    else
        entry->refresher->env.timer_set(entry->timer,
                                        due > now ? due - now : 0);
}

static void
note_skew(struct entry *entry, const struct acquire_result *result)
{
    int64_t size = result->skew_s < 0 ? -result->skew_s : result->skew_s;
    int64_t old = entry->skew_s < 0 ? -entry->skew_s : entry->skew_s;

    if (!result->has_skew)
        return;
    if (size >= SKEW_WORTH_A_LINE_S && old < SKEW_WORTH_A_LINE_S)
        log_warning("the provider's clock differs from ours; check NTP",
                    F_STR("credential", entry->credential->name),
                    F_INT("skew_s", result->skew_s));
    entry->has_skew = true;
    entry->skew_s = result->skew_s;
}

static void
fail(struct entry *entry, const struct acquire_result *result)
{
    struct refresher *refresher = entry->refresher;
    struct token *token = &entry->token;
    int64_t now = now_of(refresher);
    bool is_new = strcmp(token->reason, result->reason) != 0;
    enum log_level level;
    struct token_failure failure = {
        .err = &result->err,
        .reason = result->reason,
        .hint = result->hint,
        .delay_ms = backoff_delay_ms(&(struct backoff_input){
            .attempt = token->failures + 1,
            .problem = result->problem,
            .retry_after_s = result->retry_after_s,
            .random = refresher->env.chance(refresher->env.arg),
        }),
        .retry_after_ms = result->retry_after_s * 1000,
    };

    token_fail(token, &failure, now, wall_of(refresher));
    if (!is_new && !log_is_due(token->failures))
        return;
    level = result->err.code == ERR_CONFIG || result->err.code == ERR_REAUTH
                ? LOG_LEVEL_ERROR
                : LOG_LEVEL_WARNING;
    LOG_AT(level, "token request failed",
           F_STR("credential", entry->credential->name),
           F_STR("reason", result->reason), F_STR("error", result->err.text),
           F_STR("hint", result->hint), F_INT("attempt", token->failures),
           F_INT("retry_s", (token->due_at - now) / 1000),
           F_INT("token_left_s", token_is_alive(token, now)
                                     ? (token->expires_at - now) / 1000
                                     : 0),
           F_END);
}

static void
succeed(struct entry *entry, const struct acquire_result *result)
{
    struct refresher *refresher = entry->refresher;
    struct token *token = &entry->token;
    unsigned failures = token->failures;
    struct err err = {ERR_NONE, ""};
    struct token_issue issue = {
        .text = result->token.access,
        .serial = ++refresher->serial,
        .lifetime_s = result->token.lifetime,
        .refresh_in_s = result->token.refresh_in,
    };

    if (token_succeed(token, &issue, &refresher->policy, now_of(refresher),
                      wall_of(refresher),
                      refresher->env.chance(refresher->env.arg), &err) < 0) {
        log_error("token could not be kept",
                  F_STR("credential", entry->credential->name),
                  F_STR("error", err.text));
        return;
    }
    hardening_lock(token->text, strlen(token->text));
    entry->secret_index = result->secret_index;
    entry->not_after = result->not_after;
    log_info("token refreshed", F_STR("credential", entry->credential->name),
             F_STR("token", token->fingerprint),
             F_INT("lifetime_s", issue.lifetime_s),
             F_INT("secret", result->secret_index + 1),
             F_INT("attempt", failures + 1));
}

static void
on_acquired(struct acquire_result *result, void *arg)
{
    struct entry *entry = arg;

    entry->acquire = NULL;
    entry->requests += result->requests;
    note_skew(entry, result);
    if (result->err.code == ERR_NONE)
        succeed(entry, result);
    else
        fail(entry, result);
    schedule(entry);
    answer_waiters(entry);
}

static void
begin_fetch(struct entry *entry)
{
    struct refresher *refresher = entry->refresher;
    const struct refresher_env *env = &refresher->env;

    token_begin(&entry->token, &refresher->policy, now_of(refresher));
    schedule(entry);
    entry->acquire = env->start(env->arg,
                                &(struct acquire_request){
                                    .config = refresher->config,
                                    .credential = entry->credential,
                                    .first_secret = entry->secret_index,
                                },
                                on_acquired, entry);
    if (entry->acquire == NULL) {
        struct acquire_result result = {
            .err = {ERR_SYSTEM, "out of memory"},
            .problem = PROBLEM_INTERNAL,
            .reason = problem_word(PROBLEM_INTERNAL),
        };

        fail(entry, &result);
        schedule(entry);
    }
}

static void
on_due(void *arg)
{
    struct entry *entry = arg;

    if (entry->token.state == TOKEN_FETCHING)
        return;
    if (now_of(entry->refresher) < entry->token.due_at)
        schedule(entry); /* the event loop's clock is coarser than ours */
    else
        begin_fetch(entry);
}

/* ---- Entries and configuration ------------------------------------------ */

static struct entry *
find(const struct refresher *refresher, const char *name)
{
    return strmap_get(refresher->by_name, name, strlen(name));
}

static struct entry *
entry_new(struct refresher *refresher,
          const struct config_credential *credential)
{
    struct entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL)
        return NULL;
    entry->timer = refresher->env.timer_new(refresher->env.arg, on_due, entry);
    if (entry->timer == NULL) {
        free(entry);
        return NULL;
    }
    entry->refresher = refresher;
    entry->credential = credential;
    TAILQ_INIT(&entry->waiters);
    TAILQ_INIT(&entry->passed_over);
    token_init(&entry->token, now_of(refresher));
    return entry;
}

/* The credential is gone: whoever waits for it is told so. */
static void
entry_retire(struct entry *entry)
{
    struct refresher_waiter *waiter;

    entry->is_gone = true;
    entry->refresher->env.cancel(&entry->acquire);
    entry->refresher->env.timer_set(entry->timer, -1);
    entry->token.error = gone.error;
    memcpy(entry->token.reason, gone.reason, sizeof(gone.reason));
    while ((waiter = TAILQ_FIRST(&entry->passed_over)) != NULL ||
           (waiter = TAILQ_FIRST(&entry->waiters)) != NULL)
        answer_waiter(waiter, false, false);
    if (!entry->is_answering)
        entry_free(entry);
}

static bool
is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Would both ask the same issuer for the same token? */
static bool
is_same_token(const struct config_credential *a,
              const struct config_credential *b)
{
    return a->provider == b->provider && a->grant == b->grant &&
           is_same_text(a->tenant, b->tenant) &&
           is_same_text(a->client_id, b->client_id) &&
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
        if (!is_same_text(a->client_secrets[i].text, b->client_secrets[i].text))
            return false;
    return is_same_token(a, b) &&
           is_same_text(a->certificate.text, b->certificate.text) &&
           is_same_text(a->private_key.text, b->private_key.text) &&
           is_same_text(a->ca_file, b->ca_file) &&
           is_same_text(a->proxy, b->proxy);
}

/* Go on with the new settings of a credential. */
static void
entry_adopt(struct entry *entry, const struct config_credential *credential)
{
    int64_t now = now_of(entry->refresher);

    if (entry->acquire != NULL &&
        !is_same_request(entry->credential, credential)) {
        struct err err = {ERR_RETRY, "the settings changed"};

        /* Due again at once, and no failure of anybody's. */
        entry->refresher->env.cancel(&entry->acquire);
        token_fail(&entry->token,
                   &(struct token_failure){.err = &err, .reason = "reloaded"},
                   now, wall_of(entry->refresher));
        entry->token.failures = 0;
    }
    if (!is_same_token(entry->credential, credential))
        token_reset(&entry->token, now);
    entry->credential = credential;
    entry->secret_index = 0;
    token_retry_now(&entry->token, now);
}

static int64_t
margin_ms(const struct config *config)
{
    int margin = MARGIN_DEFAULT_S;

    for (size_t i = 0; i < config->relay_count; i++)
        if (config->relays[i].min_token_lifetime > margin)
            margin = config->relays[i].min_token_lifetime;
    return (int64_t)margin * 1000;
}

/* Entries for credentials that are new; on failure none of them is left. */
static int
make_entries(struct refresher *refresher, const struct config *config,
             struct entry_list *fresh, struct err *err)
{
    struct entry *entry;

    for (size_t i = 0; i < config->credential_count; i++) {
        if (find(refresher, config->credentials[i].name) != NULL)
            continue;
        entry = entry_new(refresher, &config->credentials[i]);
        if (entry == NULL)
            goto no_memory;
        TAILQ_INSERT_TAIL(fresh, entry, link);
    }
    return 0;
no_memory:
    while ((entry = TAILQ_FIRST(fresh)) != NULL) {
        TAILQ_REMOVE(fresh, entry, link);
        entry_free(entry);
    }
    return err_set(err, ERR_SYSTEM, "out of memory");
}

/* A map from name to entry for `config`, out of the old and fresh entries. */
static struct strmap *
make_map(struct refresher *refresher, const struct config *config,
         struct entry_list *fresh)
{
    struct strmap *map = strmap_new();
    struct entry *entry = TAILQ_FIRST(fresh);

    for (size_t i = 0; map != NULL && i < config->credential_count; i++) {
        const char *name = config->credentials[i].name;
        struct entry *value = find(refresher, name);

        if (value == NULL) {
            value = entry;
            entry = TAILQ_NEXT(entry, link);
        }
        if (strmap_add(map, name, value) != STRMAP_ADDED)
            strmap_free(&map);
    }
    return map;
}

/*
 * Put the entries in the order of `config`, those that stay with their new
 * settings; what is left in `old` is no longer configured.
 */
static void
swap_entries(struct refresher *refresher, const struct config *config,
             struct strmap *map, struct entry_list *fresh,
             struct entry_list *old)
{
    TAILQ_CONCAT(old, &refresher->entries, link);
    for (size_t i = 0; i < config->credential_count; i++) {
        const char *name = config->credentials[i].name;
        struct entry *entry = find(refresher, name);

        if (entry != NULL) {
            TAILQ_REMOVE(old, entry, link);
            entry_adopt(entry, &config->credentials[i]);
        } else {
            entry = strmap_get(map, name, strlen(name));
            TAILQ_REMOVE(fresh, entry, link);
        }
        TAILQ_INSERT_TAIL(&refresher->entries, entry, link);
    }
    strmap_free(&refresher->by_name);
    refresher->by_name = map;
}

/* Set the timers after the settings have changed. */
static void
plan(struct refresher *refresher, size_t credential_count)
{
    struct entry *entry;

    TAILQ_FOREACH(entry, &refresher->entries, link)
    {
        if (entry->token.state == TOKEN_EMPTY)
            entry->token.due_at =
                now_of(refresher) +
                (int64_t)(refresher->env.chance(refresher->env.arg) *
                          START_SPREAD_MS * (double)credential_count);
        token_adopt(&entry->token, &refresher->policy);
        schedule(entry);
    }
}

int
refresher_configure(struct refresher *refresher, struct config *config,
                    struct err *err)
{
    struct entry_list fresh = TAILQ_HEAD_INITIALIZER(fresh);
    struct entry_list old = TAILQ_HEAD_INITIALIZER(old);
    struct config *old_config = refresher->config;
    struct strmap *map;
    struct entry *entry;

    if (make_entries(refresher, config, &fresh, err) < 0)
        return -1;
    map = make_map(refresher, config, &fresh);
    if (map == NULL) {
        while ((entry = TAILQ_FIRST(&fresh)) != NULL) {
            TAILQ_REMOVE(&fresh, entry, link);
            entry_free(entry);
        }
        return err_set(err, ERR_SYSTEM, "out of memory");
    }

    /* Nothing can fail from here on. */
    refresher->policy = (struct token_policy){
        .refetch_interval_ms = (int64_t)config->tokend.refetch_interval * 1000,
        .margin_ms = margin_ms(config),
    };
    swap_entries(refresher, config, map, &fresh, &old);
    refresher->config = config_ref(config);
    plan(refresher, config->credential_count);
    /* Last, as whoever is told may ask or even reload again. */
    while ((entry = TAILQ_FIRST(&old)) != NULL) {
        TAILQ_REMOVE(&old, entry, link);
        entry_retire(entry);
    }
    config_unref(&old_config);
    return 0;
}

struct refresher *
refresher_new(const struct refresher_env *env)
{
    struct refresher *refresher = calloc(1, sizeof(*refresher));

    if (refresher == NULL)
        return NULL;
    refresher->env = *env;
    TAILQ_INIT(&refresher->entries);
    refresher->by_name = strmap_new();
    if (refresher->by_name == NULL) {
        free(refresher);
        return NULL;
    }
    return refresher;
}

void
refresher_free(struct refresher **refresher)
{
    struct entry *entry;

    if (*refresher == NULL)
        return;
    while ((entry = TAILQ_FIRST(&(*refresher)->entries)) != NULL) {
        TAILQ_REMOVE(&(*refresher)->entries, entry, link);
        entry_free(entry);
    }
    strmap_free(&(*refresher)->by_name);
    config_unref(&(*refresher)->config);
    free(*refresher);
    *refresher = NULL;
}

/* ---- Questions ---------------------------------------------------------- */

struct refresher_waiter *
refresher_ask(struct refresher *refresher,
              const struct refresher_question *question,
              refresher_answer_fn answer, void *arg)
{
    int64_t now = now_of(refresher);
    struct entry *entry = find(refresher, question->credential);
    struct refresher_answer reply = {0};
    struct refresher_waiter *waiter;
    struct token_wish wish = {
        .min_ms = question->min_ms,
        .refused_serial = question->refused_serial,
        .deadline = now + question->patience_ms,
    };

    if (entry == NULL) {
        /* Only while a reload takes the credential away. */
        answer(&(struct refresher_answer){.token = &gone}, arg);
        return NULL;
    }
    reply.token = &entry->token;
    switch (token_judge(&entry->token, &wish, &refresher->policy, now)) {
    case TOKEN_SERVE:
        reply.is_given = true;
        answer(&reply, arg);
        return NULL;
    case TOKEN_REFUSE:
        answer(&reply, arg);
        return NULL;
    case TOKEN_WAIT_BEGIN:
        begin_fetch(entry);
        break;
    case TOKEN_WAIT:
        break;
    }
    waiter = add_waiter(entry, &wish, answer, arg);
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

const struct token *
refresher_peek(struct refresher *refresher, const char *credential)
{
    const struct entry *entry = find(refresher, credential);

    return entry != NULL ? &entry->token : NULL;
}

enum token_report_answer
refresher_report(struct refresher *refresher, const char *credential,
                 int64_t *until_wall)
{
    struct entry *entry = find(refresher, credential);
    int64_t now = now_of(refresher);
    int64_t until = now;
    enum token_report_answer answer;

    if (entry == NULL)
        return TOKEN_REPORT_FETCHING;
    answer = token_report(&entry->token, now, &until);
    switch (answer) {
    case TOKEN_REPORT_FETCH:
        begin_fetch(entry);
        break;
    case TOKEN_REPORT_LIMITED:
        /* Rounded up, so that nobody comes back too early. */
        *until_wall = wall_of(refresher) + (until - now + 999) / 1000;
        schedule(entry);
        break;
    case TOKEN_REPORT_FETCHING:
        break;
    }
    return answer;
}

void
refresher_accepted(struct refresher *refresher, const char *credential)
{
    struct entry *entry = find(refresher, credential);

    if (entry != NULL)
        token_accepted(&entry->token);
}

void
refresher_each(struct refresher *refresher,
               void (*visit)(const struct refresher_info *info, void *arg),
               void *arg)
{
    struct entry *entry;

    TAILQ_FOREACH(entry, &refresher->entries, link)
    {
        struct refresher_info info = {
            .credential = entry->credential,
            .token = &entry->token,
            .waiters = entry->waiter_count,
            .secret_index = entry->secret_index,
            .requests = entry->requests,
            .not_after = entry->not_after,
            .secret =
                entry->token.serial > 0 &&
                        entry->secret_index <
                            entry->credential->client_secret_count
                    ? entry->credential->client_secrets[entry->secret_index]
                          .text
                    : NULL,
            .has_skew = entry->has_skew,
            .skew_s = entry->skew_s,
            .now = now_of(refresher),
        };

        visit(&info, arg);
    }
}
