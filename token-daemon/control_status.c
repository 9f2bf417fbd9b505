/*
 * control_status - what `status` answers: every token, every mailbox.
 */
#include <config.h>

#include <string.h>

#include <jansson.h>

#include "token-daemon/control_exchange.h"
#include "token-daemon/control_keys.h"
#include "token-daemon/control_renewal.h"

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

/* refresher_each() visitor: append one token to the array `arg`. */
static void
describe_credential(const struct refresher_info *info, void *arg)
{
    const struct token *token = info->token;
    bool is_alive = token_is_alive(token, info->now);
    json_t *next = token->due_at == TOKEN_NEVER
                       ? json_null()
                       : json_integer(seconds_until(token->due_at, info->now));

    /* On failure the entry is left out; status is all the same useful. */
    (void)json_array_append_new(
        arg,
        json_pack(
            "{s:o, s:o, s:s, s:b, s:o, s:I, s:I, s:o, s:o, s:I, s:I, s:o, "
            "s:o, s:o, s:o}",
            "name", control_string(info->credential->name), "user",
            info->user != NULL ? control_string(info->user) : json_null(),
            "state", token_state_name(token->state), "has_token", is_alive,
            "fingerprint",
            control_optional_string(is_alive ? token->fingerprint : NULL),
            "token_left_s",
            is_alive ? seconds_until(token->expires_at, info->now)
                     : (json_int_t)0,
            "failures", (json_int_t)token->failures, "next_fetch_s", next,
            "error", describe_error(token), "waiters",
            (json_int_t)info->waiters, "requests", (json_int_t)info->requests,
            "secret", control_optional_string(info->secret),
            "certificate_not_after",
            info->not_after != 0 ? json_integer(info->not_after) : json_null(),
            "clock_skew_s",
            info->has_skew ? json_integer(info->skew_s) : json_null(),
            "refresh_token", describe_refresh_token(info)));
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

/* What describe_suspect() adds to. */
struct mailboxes {
    const struct sendas *policy;
    json_t *list;
};

/* An address of a mailbox "@domain", when it was refused. */
static void
describe_suspect(const char *address, const struct suspect *suspect, void *arg)
{
    const struct mailboxes *mailboxes = arg;
    struct sendas_match match;

    if (sendas_find_login(mailboxes->policy, address, &match) &&
        sendas_rule_is_own(match.rule))
        (void)json_array_append_new(
            mailboxes->list,
            describe_mailbox(address, match.mailbox->credential->name,
                             suspect));
}

/* Those of the configuration, then who was refused of an @domain. */
static json_t *
describe_mailboxes(const struct control_env *env)
{
    struct mailboxes mailboxes = {env->policy(env->arg), json_array()};
    const struct config *config = sendas_config(mailboxes.policy);

    if (mailboxes.list == NULL)
        return NULL;
    for (size_t i = 0; i < config->mailbox_count; i++) {
        const struct config_mailbox *mailbox = &config->mailboxes[i];

        (void)json_array_append_new(
            mailboxes.list,
            describe_mailbox(mailbox->title, mailbox->credential->name,
                             lookups_suspect(env->lookups, mailbox->title)));
    }
    lookups_each_suspect(env->lookups, describe_suspect, &mailboxes);
    return mailboxes.list;
}

void
control_verb_status(struct control_exchange *exchange)
{
    const struct control_env *env = exchange->env;
    json_t *credentials = json_array();
    struct lookups_counts counts;

    lookups_count(env->lookups, &counts);
    if (credentials != NULL)
        refresher_each(env->refresher, describe_credential, credentials);
    control_renewal_describe(env, credentials);
    control_answer(
        exchange,
        json_pack(
            "{s:{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:o, s:o, "
            "s:o}",
            "daemon", "version", PACKAGE_VERSION, "config",
            control_string(sendas_config(env->policy(env->arg))->path),
            "started", (json_int_t)exchange->started_wall, "clients",
            (json_int_t)env->clients(env->arg), "requests",
            (json_int_t)counts.requests, "tokens_given",
            (json_int_t)counts.tokens_given, "refusals",
            (json_int_t)counts.refusals, "deferred",
            (json_int_t)counts.deferred, "denied_mailboxes",
            (json_int_t)counts.denied_mailboxes, "credentials", credentials,
            "mailboxes", describe_mailboxes(env), "keys",
            control_keys_describe(env->keyring, NULL, env->wall(env->arg))));
}
