/*
 * control_status - what `status` answers: every token, every mailbox.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "token-daemon/control_exchange.h"
#include "token-daemon/control_keys.h"
#include "token-daemon/control_renewal.h"
#include "token-daemon/names.h"

#define ROWS_AT_ONCE 16 /* about a tenth of a millisecond */

/* Seconds until `at`, never negative. */
static json_int_t
seconds_until(int64_t at, int64_t now)
{
    return at > now ? (json_int_t)((at - now) / 1000) : 0;
}

static json_t *
describe_error(const struct token *token)
{
    const struct token_problem *problem = token_problem(token);

    if (problem->err.code == ERR_NONE)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:I}", "reason", problem->reason, "text",
                     control_string(problem->err.text), "hint",
                     control_optional_string(problem->hint), "at",
                     (json_int_t)problem->at_wall);
}

/* When it was obtained and when it ends; never itself. */
static json_t *
describe_refresh_token(const struct refresher_info *info)
{
    if (!info->has_refresh_token)
        return json_null();
    return json_pack("{s:I, s:o}", "obtained",
                     (json_int_t)info->refresh_obtained_wall, "expires",
                     info->refresh_expires_wall != 0
                         ? json_integer(info->refresh_expires_wall)
                         : json_null());
}

/* One token. */
static json_t *
describe_credential(const struct refresher_info *info)
{
    const struct token *token = info->token;
    bool is_alive = token_is_alive(token, info->now);
    json_t *next = token->due_at == TOKEN_NEVER
                       ? json_null()
                       : json_integer(seconds_until(token->due_at, info->now));

    return json_pack(
        "{s:o, s:o, s:s, s:b, s:o, s:I, s:I, s:o, s:o, s:I, s:I, s:o, "
        "s:o, s:o, s:o}",
        "name", control_string(info->credential->name), "user",
        info->user != NULL ? control_string(info->user) : json_null(), "state",
        token_state_name(token->state), "has_token", is_alive, "fingerprint",
        control_optional_string(is_alive ? token->fingerprint : NULL),
        "token_left_s",
        is_alive ? seconds_until(token->expires_at, info->now) : (json_int_t)0,
        "failures", (json_int_t)token->failures, "next_fetch_s", next, "error",
        describe_error(token), "waiters", (json_int_t)info->waiters, "requests",
        (json_int_t)info->requests, "secret",
        control_optional_string(info->secret), "certificate_not_after",
        info->not_after != 0 ? json_integer(info->not_after) : json_null(),
        "clock_skew_s",
        info->has_skew ? json_integer(info->skew_s) : json_null(),
        "refresh_token", describe_refresh_token(info));
}

static json_t *
describe_mailbox(const char *address, const char *credential,
                 const struct suspect *suspect)
{
    const char *state = "ok";

    if (suspect != NULL)
        state = suspect->is_denied ? "denied" : "refused";
    return json_pack(
        "{s:o, s:o, s:s, s:o}", "address", control_string(address),
        "credential", control_string(credential), "state", state, "since",
        suspect != NULL ? json_integer(suspect->since_wall) : json_null());
}

/* ---- The answer, a few rows at a time -------------------------------------
 */

/* What is told of is taken down first: it may come and go meanwhile. */
enum stage {
    STAGE_CREDENTIALS,
    STAGE_MAILBOXES, /* those of the configuration */
    STAGE_SUSPECTS,  /* those of an @domain that were refused */
    STAGE_KEYS,
};

struct status_wait {
    struct control_exchange *exchange;
    struct sendas *policy; /* a reference */
    struct names tokens;   /* of each a credential, then a user or "" */
    struct names suspects; /* addresses */
    enum stage stage;
    size_t mailbox;    /* the next one */
    bool is_first_row; /* of its list */
};

static void
wait_free(void *arg)
{
    struct status_wait *wait = arg;

    names_clear(&wait->tokens);
    names_clear(&wait->suspects);
    sendas_unref(&wait->policy);
    free(wait);
}

static void
add_text(struct status_wait *wait, const char *text)
{
    control_part(wait->exchange, text, strlen(text));
}

/* Steals `row`; without memory it is left out, and the rest is of use. */
static void
add_row(struct status_wait *wait, json_t *row)
{
    if (row == NULL)
        return;
    if (!wait->is_first_row)
        add_text(wait, ",");
    wait->is_first_row = false;
    if (!control_part_json(wait->exchange, row))
        add_text(wait, "null");
}

/* The list before has ended. */
static void
begin_list(struct status_wait *wait, enum stage stage, const char *text)
{
    add_text(wait, text);
    wait->stage = stage;
    wait->is_first_row = true;
}

static void
tell_token(struct status_wait *wait)
{
    const struct control_env *env = wait->exchange->env;
    const char *credential = names_next(&wait->tokens);
    const char *user = credential != NULL ? names_next(&wait->tokens) : NULL;
    struct refresher_info info;
    json_t *row;

    if (user == NULL) {
        begin_list(wait, STAGE_MAILBOXES, "],\"mailboxes\":[");
        return;
    }
    if (!refresher_describe(
            env->refresher,
            &(struct refresher_key){credential, user[0] != '\0' ? user : NULL},
            &info))
        return;
    row = describe_credential(&info);
    control_renewal_describe(env, row);
    add_row(wait, row);
}

static void
tell_mailbox(struct status_wait *wait)
{
    const struct control_env *env = wait->exchange->env;
    const struct config *config = sendas_config(wait->policy);
    const struct config_mailbox *mailbox;

    if (wait->mailbox >= config->mailbox_count) {
        wait->stage = STAGE_SUSPECTS;
        return;
    }
    mailbox = &config->mailboxes[wait->mailbox++];
    add_row(wait,
            describe_mailbox(mailbox->title, mailbox->credential->name,
                             lookups_suspect(env->lookups, mailbox->title)));
}

static void
tell_suspect(struct status_wait *wait)
{
    const char *address = names_next(&wait->suspects);
    const struct suspect *suspect;
    struct sendas_match match;

    if (address == NULL) {
        wait->stage = STAGE_KEYS;
        return;
    }
    suspect = lookups_suspect(wait->exchange->env->lookups, address);
    if (suspect != NULL && sendas_find_login(wait->policy, address, &match) &&
        sendas_rule_is_own(match.rule))
        add_row(wait, describe_mailbox(address, match.mailbox->credential->name,
                                       suspect));
}

/* Few; then it ends. */
static void
tell_keys(struct status_wait *wait)
{
    struct control_exchange *exchange = wait->exchange;
    const struct control_env *env = exchange->env;

    add_text(wait, "],\"keys\":");
    if (!control_part_json(
            exchange,
            control_keys_describe(env->keyring, NULL, env->wall(env->arg))))
        add_text(wait, "[]");
    add_text(wait, "}}");
    wait_free(wait);
    control_end_parts(exchange);
}

/* control_wait_ops.more */
static void
tell_more(void *arg)
{
    struct status_wait *wait = arg;

    for (int i = 0; i < ROWS_AT_ONCE && wait->stage != STAGE_KEYS; i++) {
        switch (wait->stage) {
        case STAGE_CREDENTIALS:
            tell_token(wait);
            break;
        case STAGE_MAILBOXES:
            tell_mailbox(wait);
            break;
        case STAGE_SUSPECTS:
            tell_suspect(wait);
            break;
        case STAGE_KEYS:
            break;
        }
    }
    if (wait->stage == STAGE_KEYS)
        tell_keys(wait);
}

/* refresher_each() visitor. */
static void
note_token(const struct refresher_info *info, void *arg)
{
    struct status_wait *wait = arg;

    names_add(&wait->tokens, info->credential->name);
    names_add(&wait->tokens, info->user != NULL ? info->user : "");
}

/* lookups_each_suspect() visitor. */
static void
note_suspect(const char *address, const struct suspect *suspect, void *arg)
{
    struct status_wait *wait = arg;

    (void)suspect;
    names_add(&wait->suspects, address);
}

static json_t *
describe_daemon(const struct status_wait *wait)
{
    const struct control_exchange *exchange = wait->exchange;
    const struct control_env *env = exchange->env;
    struct lookups_counts counts;

    lookups_count(env->lookups, &counts);
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "version",
                     PACKAGE_VERSION, "config",
                     control_string(sendas_config(wait->policy)->path),
                     "started", (json_int_t)exchange->started_wall, "clients",
                     (json_int_t)env->clients(env->arg), "requests",
                     (json_int_t)counts.requests, "tokens_given",
                     (json_int_t)counts.tokens_given, "refusals",
                     (json_int_t)counts.refusals, "deferred",
                     (json_int_t)counts.deferred, "denied_mailboxes",
                     (json_int_t)counts.denied_mailboxes);
}

void
control_verb_status(struct control_exchange *exchange)
{
    static const struct control_wait_ops ops = {.cancel = wait_free,
                                                .more = tell_more};
    _Static_assert(CONTROL_VERSION == 1, "the answer begins with the version");
    const struct control_env *env = exchange->env;
    struct status_wait *wait = calloc(1, sizeof(*wait));
    json_t *head;

    if (wait == NULL) {
        control_answer(exchange, NULL);
        return;
    }
    wait->exchange = exchange;
    wait->policy = sendas_ref(env->policy(env->arg));
    names_init(&wait->tokens);
    names_init(&wait->suspects);
    refresher_each(env->refresher, note_token, wait);
    lookups_each_suspect(env->lookups, note_suspect, wait);
    head = describe_daemon(wait);
    if (head == NULL || names_failed(&wait->tokens) ||
        names_failed(&wait->suspects)) {
        json_decref(head);
        wait_free(wait);
        control_answer(exchange, NULL);
        return;
    }
    control_wait(exchange, &ops, wait);
    add_text(wait, "{\"version\":1,\"ok\":true,\"result\":{\"daemon\":");
    if (!control_part_json(exchange, head))
        add_text(wait, "null");
    begin_list(wait, STAGE_CREDENTIALS, ",\"credentials\":[");
}
