/*
 * control_token - the verbs about the token of a mailbox: show it, fetch
 * another, and sign out.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/log.h"
#include "common/secret.h"
#include "token-daemon/control_exchange.h"

#define PATIENCE_MS 15000 /* for `token` */
#define MIN_MAX_S   86400

/* ---- Waiting for a token ------------------------------------------------ */

struct token_wait {
    struct control_exchange *exchange;
    struct refresher_waiter *waiter;
    uint64_t old_serial; /* of the token that is to be replaced; 0: any does */
    bool is_asked_for; /* the token is the answer, not only that it is there */
    char mailbox[];
};

static void
cancel_token(void *arg)
{
    struct token_wait *wait = arg;

    refresher_forget(&wait->waiter);
    free(wait);
}

static void
on_token(const struct refresher_answer *answer, void *arg)
{
    struct token_wait *wait = arg;
    const struct token *token = answer->token;
    const char *reason = token_problem(token)->reason;
    const char *text = token_problem(token)->err.text;
    bool is_stale = wait->old_serial != 0 && token->serial == wait->old_serial;
    json_t *result;

    if (answer->is_given && !(is_stale && reason[0] != '\0')) {
        result = json_pack("{s:o, s:I, s:s}", "mailbox",
                           control_string(wait->mailbox), "expires",
                           (json_int_t)token->expires_wall, "fingerprint",
                           token->fingerprint);
        if (wait->is_asked_for)
            (void)json_object_set_new(result, "token",
                                      json_string(token->text));
        control_answer(wait->exchange, result);
    } else {
        if (reason[0] == '\0') {
            reason = "fetching";
            text = "the provider has not answered yet";
        }
        control_refuse(wait->exchange, reason, text);
    }
    free(wait);
}

void
control_wait_for_token(struct control_exchange *exchange,
                       const struct sendas_match *match,
                       const struct control_wish *wish)
{
    static const struct control_wait_ops ops = {.cancel = cancel_token};
    size_t size = strlen(match->login) + 1;
    struct token_wait *wait = calloc(1, sizeof(*wait) + size);
    struct refresher_waiter *waiter;

    if (wait == NULL) {
        control_answer(exchange, NULL);
        return;
    }
    wait->exchange = exchange;
    wait->old_serial = wish->old_serial;
    wait->is_asked_for = wish->is_asked_for;
    memcpy(wait->mailbox, match->login, size);
    waiter = refresher_ask(exchange->env->refresher,
                           &(struct refresher_question){
                               .key = control_key_of(match),
                               .min_ms = wish->min_ms,
                               .refused_serial = wish->old_serial,
                               .patience_ms = PATIENCE_MS,
                           },
                           on_token, wait);
    if (waiter == NULL)
        return; /* answered, and `wait` is gone */
    wait->waiter = waiter;
    control_wait(exchange, &ops, wait);
}

/* ---- The verbs ---------------------------------------------------------- */

void
control_verb_token(struct control_exchange *exchange)
{
    const json_t *min = json_object_get(exchange->root, "min");
    struct sendas_match match;

    if (min != NULL && (!json_is_integer(min) || json_integer_value(min) < 0 ||
                        json_integer_value(min) > MIN_MAX_S)) {
        control_refuse(exchange, "bad-request",
                       "token wants min as seconds from 0 to 86400");
        return;
    }
    if (!control_find_mailbox(exchange, &match))
        return;
    control_wait_for_token(
        exchange, &match,
        &(struct control_wish){.min_ms = json_integer_value(min) * 1000,
                               .is_asked_for = true});
}

/* Fetch now; the token that is there goes on being served meanwhile. */
void
control_verb_refresh(struct control_exchange *exchange)
{
    struct refresher *refresher = exchange->env->refresher;
    struct err err = {ERR_NONE, ""};
    struct sendas_match match;
    struct refresher_key key;
    const struct token *token;

    if (!control_find_mailbox(exchange, &match))
        return;
    key = control_key_of(&match);
    if (refresher_fetch(refresher, &key, false, &err) < 0) {
        control_refuse_err(exchange, &err);
        return;
    }
    token = refresher_peek(refresher, &key);
    control_wait_for_token(
        exchange, &match,
        &(struct control_wish){.old_serial =
                                   token != NULL ? token->serial : 0});
}

/* Serve the token that is there no more, and fetch another. */
void
control_verb_invalidate(struct control_exchange *exchange)
{
    struct err err = {ERR_NONE, ""};
    struct sendas_match match;
    struct refresher_key key;

    if (!control_find_mailbox(exchange, &match))
        return;
    key = control_key_of(&match);
    log_info("token invalidated by an operator", F_STR("mailbox", match.login));
    if (refresher_fetch(exchange->env->refresher, &key, true, &err) < 0)
        control_refuse_err(exchange, &err);
    else
        control_answer(exchange, json_object());
}

void
control_verb_logout(struct control_exchange *exchange)
{
    struct err err = {ERR_NONE, ""};
    struct sendas_match match;
    struct refresher_key key;

    if (!control_find_mailbox(exchange, &match))
        return;
    key = control_key_of(&match);
    if (refresher_sign_out(exchange->env->refresher, &key, &err) < 0) {
        control_refuse_err(exchange, &err);
        return;
    }
    log_info("signed out by an operator", F_STR("mailbox", match.login));
    control_answer_durable(exchange, json_object());
}
