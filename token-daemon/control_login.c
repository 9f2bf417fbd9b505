/*
 * control_login - the verb by which a person signs in for a mailbox: with a
 * browser, with a code that they type on another device, or with a refresh
 * token that they bring.
 *
 *     {"version": 1, "verb": "login", "mailbox": "a@b", "method": "code"}
 *  -> {"event": "begin", "method": "code", "redirect_port": 0, ...}
 *     {"port": 34567}             where the local page is; 0: there is none
 *  -> {"event": "prompt", "url": "https://...", "expires_in": 900}
 *     {"redirect": "http://..."}  what the browser was sent to, or what was
 *  -> {"event": "rejected", ...}  pasted; may come again when it was not it
 *  -> the answer
 *
 * A device's code needs no port: `prompt` comes at once, with "user_code", then
 * `waiting` each time the provider was asked, then the answer. With a
 * "refresh_token" there is only the answer: the token is tried, and what that
 * gave is kept even when the asker has gone meanwhile, as it may have been good
 * for that one use only.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/secret.h"
#include "token-daemon/control_exchange.h"
#include "token-daemon/control_logins.h"
#include "token-daemon/grant.h"
#include "token-daemon/login_flow.h"

#define REFRESH_TOKEN_MAX 16384 /* bytes */
#define PORT_WAIT_S       30    /* who asks sends it at once */
#define URI_MAX           64    /* bytes of a redirect URI, with the NUL */
#define TEXT_MAX_BYTES    1024

/* ---- How it ends -------------------------------------------------------- */

static void
refuse(const struct control_login *login, const char *code, const char *text)
{
    if (login->exchange != NULL)
        control_refuse(login->exchange, code, text);
}

static const char *
method_word(const struct control_login *login)
{
    if (login->is_brought)
        return "refresh-token";
    return login->by_device ? "device" : "code";
}

/* With what the operator may do, and who it was where that matters. */
static void
refuse_failure(struct control_login *login,
               const struct login_flow_event *event)
{
    const struct acquire_result *result = event->result;
    struct buf text;

    buf_init(&text, TEXT_MAX_BYTES);
    buf_append_str(&text, result->err.text);
    if (event->account_match == LOGIN_FLOW_ACCOUNT_OTHER &&
        event->account != NULL) {
        buf_append_str(&text, " (");
        buf_append_str(&text, event->account);
        buf_append_str(&text, ")");
    }
    if (result->hint != NULL) {
        buf_append_str(&text, "; ");
        buf_append_str(&text, result->hint);
    }
    if (login->is_brought)
        buf_append_str(&text, "; nothing has changed here");
    log_warning(
        "a sign-in failed", F_STR("mailbox", login->mailbox),
        F_STR("reason", result->reason), F_STR("error", result->err.text),
        F_STR("account", event->account), F_INT("number", result->number),
        F_STR("method", method_word(login)));
    refuse(login, result->reason, buf_str(&text));
    buf_clear(&text);
}

static const char *
match_word(enum login_flow_account match)
{
    const char *word = "unknown";

    switch (match) {
    case LOGIN_FLOW_ACCOUNT_SAME:
        word = "same";
        break;
    case LOGIN_FLOW_ACCOUNT_OTHER:
        word = "other";
        break;
    case LOGIN_FLOW_ACCOUNT_UNKNOWN:
        break;
    }
    return word;
}

static bool
is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Would the application that has signed in still be asked for tokens? */
static bool
is_still_configured(const struct control_login *login)
{
    const struct control_env *env = login->env;
    const struct config_credential *then = login->match.mailbox->credential;
    const struct config_credential *now;
    struct sendas_match match;

    if (!sendas_find_login(env->policy(env->arg), login->mailbox, &match))
        return false;
    now = match.mailbox->credential;
    return strcmp(then->name, now->name) == 0 &&
           then->provider == now->provider && then->grant == now->grant &&
           is_same_text(then->client_id, now->client_id) &&
           is_same_text(then->tenant, now->tenant) &&
           is_same_text(then->issuer, now->issuer) &&
           is_same_text(then->token_url, now->token_url);
}

static json_t *
describe_success(const struct control_login *login,
                 const struct login_flow_event *event)
{
    const struct refresher_key key = control_key_of(&login->match);
    const struct token *token = refresher_peek(login->env->refresher, &key);

    return json_pack(
        "{s:o, s:o, s:o, s:s, s:o, s:I, s:o}", "mailbox",
        control_string(login->mailbox), "credential",
        control_string(key.credential), "account",
        control_optional_string(event->account), "account_match",
        match_word(event->account_match), "scope",
        control_optional_string(event->scope), "expires",
        token != NULL ? (json_int_t)token->expires_wall : (json_int_t)0,
        "fingerprint",
        control_optional_string(token != NULL ? token->fingerprint : NULL));
}

/* The tokens are the refresher's from now on. */
static void
conclude(struct control_login *login, struct login_flow_event *event)
{
    const struct refresher_key key = control_key_of(&login->match);
    struct oauth_token *token = &event->result->token;
    struct err err = {ERR_NONE, ""};
    json_t *result;

    if (!is_still_configured(login)) {
        refuse(login, "bad-configuration",
               "the credential was changed meanwhile; sign in again");
        return;
    }
    if (refresher_sign_in(login->env->refresher, &key, token, &err) < 0) {
        if (login->exchange != NULL)
            control_refuse_err(login->exchange, &err);
        return;
    }
    log_info("signed in", F_STR("mailbox", login->mailbox),
             F_STR("credential", key.credential),
             F_STR("account", event->account),
             F_STR("method", method_word(login)));
    if (login->exchange == NULL)
        return;
    result = describe_success(login, event);
    control_answer_durable(login->exchange, result);
}

/* ---- What is told meanwhile --------------------------------------------- */

static void
tell_prompt(const struct control_login *login,
            const struct login_flow_event *event)
{
    const char *name = event->kind == LOGIN_FLOW_WAITING ? "waiting" : "prompt";

    control_tell(login->exchange, name,
                 json_pack("{s:o, s:o, s:o, s:I, s:I}", "url",
                           control_optional_string(event->url), "user_code",
                           control_optional_string(event->user_code),
                           "complete_url",
                           control_optional_string(event->complete_url),
                           "expires_in", (json_int_t)event->lifetime,
                           "interval", (json_int_t)event->interval));
}

/* login_flow_fn */
static void
on_flow(struct login_flow_event *event, void *arg)
{
    struct control_login *login = arg;

    switch (event->kind) {
    case LOGIN_FLOW_PROMPT:
    case LOGIN_FLOW_WAITING:
        if (login->exchange != NULL) {
            tell_prompt(login, event);
            return;
        }
        login->env->login.cancel(&login->flow); /* nobody is left to wait */
        control_logins_leave(login);
        break;
    case LOGIN_FLOW_DONE:
        control_logins_leave(login);
        conclude(login, event);
        break;
    case LOGIN_FLOW_FAILED:
        control_logins_leave(login);
        refuse_failure(login, event);
        break;
    }
    control_login_free(login);
}

static void
start_flow(struct control_login *login, const char *redirect_uri,
           const char *refresh_token)
{
    const struct control_env *env = login->env;
    const struct login_flow_request request = {
        .config = login->config,
        .credential = login->match.mailbox->credential,
        .mailbox = login->mailbox,
        .by_device = login->by_device,
        .redirect_uri = redirect_uri,
        .may_differ = login->may_differ,
        .refresh_token = refresh_token,
    };

    login->flow = env->login.start(env->arg, &request, on_flow, login);
    if (login->flow != NULL)
        return;
    control_logins_leave(login);
    control_answer(login->exchange, NULL);
    control_login_free(login);
}

/* ---- What the asker sends on -------------------------------------------- */

static void
reject(const struct control_login *login, const char *text)
{
    control_tell(login->exchange, "rejected",
                 json_pack("{s:o}", "text", control_string(text)));
}

static void
use_port(struct control_login *login, const json_t *port)
{
    int fixed = login->match.mailbox->credential->redirect_port;
    json_int_t number = json_integer_value(port);
    char uri[URI_MAX];

    if (!json_is_integer(port) || number < 0 || number > 65535 ||
        (number != 0 && fixed != 0 && number != fixed)) {
        reject(login, "port wants the port of the local page, or 0");
        return;
    }
    (void)snprintf(uri, sizeof(uri), "http://localhost:%d/", (int)number);
    login->env->timer_free(login->timer);
    login->timer = NULL;
    start_flow(login, number != 0 ? uri : NULL, NULL);
}

static void
use_redirect(struct control_login *login, const char *text)
{
    const struct control_env *env = login->env;
    struct err err = {ERR_NONE, ""};

    if (env->login.answer(login->flow, text, strlen(text), &err) < 0)
        reject(login, err.text);
}

static void
on_line(void *arg, const json_t *root)
{
    struct control_login *login = arg;
    const json_t *port = json_object_get(root, "port");
    const char *redirect = json_string_value(json_object_get(root, "redirect"));

    if (port != NULL && login->flow == NULL)
        use_port(login, port);
    else if (redirect != NULL && login->flow != NULL)
        use_redirect(login, redirect);
    else
        reject(login, login->flow == NULL ? "port is wanted first"
                                          : "redirect is wanted");
}

/* May the provider have taken a code already? */
static bool
is_exchanging(const struct control_login *login)
{
    return login->flow != NULL && login->env->login.is_exchanging(login->flow);
}

static void
give_up(struct control_login *login)
{
    login->env->login.cancel(&login->flow);
    control_logins_leave(login);
    control_login_free(login);
}

static void
cancel_login(void *arg)
{
    struct control_login *login = arg;

    if (control_logins_are_stopping(login->logins) && is_exchanging(login)) {
        login->exchange = NULL;
        return;
    }
    log_info("a sign-in was given up", F_STR("mailbox", login->mailbox));
    give_up(login);
}

/* ---- The beginning ------------------------------------------------------ */

/* By which way. False: the exchange has ended. */
static bool
read_method(struct control_exchange *exchange,
            const struct config_credential *credential, bool *by_device)
{
    const json_t *method = json_object_get(exchange->root, "method");
    const char *text = json_string_value(method);

    *by_device = credential->grant == CONFIG_GRANT_DEVICE_CODE;
    if (method == NULL)
        return true;
    if (text == NULL ||
        (strcmp(text, "code") != 0 && strcmp(text, "device") != 0)) {
        control_refuse(exchange, "bad-request",
                       "login wants method code or device");
        return false;
    }
    *by_device = strcmp(text, "device") == 0;
    return true;
}

/*
 * Who may not use all verbs keeps nobody who may from a mailbox; but what the
 * provider may have taken already is let finish, which it does soon.
 */
static bool
may_displace(const struct control_exchange *exchange,
             const struct control_login *other)
{
    return control_may_all(exchange) && !other->place.is_trusted &&
           other->exchange != NULL && !other->is_brought &&
           !is_exchanging(other);
}

/* End it for another one; the other one has begun. */
static void
displace(struct control_login *other)
{
    struct control_exchange *exchange = other->exchange;

    give_up(other);
    control_refuse(exchange, "busy",
                   "somebody who may use all verbs signs in for this mailbox "
                   "now, so this sign-in has ended");
}

/* May it begin? False: the exchange has ended. */
static bool
check_login(struct control_exchange *exchange, const struct sendas_match *match)
{
    const struct control_login *other;
    struct err err = {ERR_NONE, ""};

    if (!grant_needs_login(match->mailbox->credential->grant)) {
        (void)err_set(&err, ERR_CONFIG,
                      "credential \"%s\" gets its tokens without anybody; only "
                      "the grants authorization_code and device_code need a "
                      "sign-in",
                      match->mailbox->credential->name);
        control_refuse_err(exchange, &err);
        return false;
    }
    other = control_logins_find(exchange->logins, match->login);
    if (other != NULL && !may_displace(exchange, other)) {
        control_refuse(exchange, "busy",
                       "somebody signs in for this mailbox right now; wait for "
                       "it, or end that xoauth2ctl");
        return false;
    }
    return true;
}

/* NULL: the exchange has ended. */
static struct control_login *
begin(struct control_exchange *exchange, const struct sendas_match *match,
      const struct control_wait_ops *ops)
{
    struct control_login *other =
        control_logins_find(exchange->logins, match->login);
    struct control_login *login = control_login_new(exchange, match);

    if (login == NULL)
        return NULL;
    control_wait(exchange, ops, login);
    if (other != NULL)
        displace(other);
    return login;
}

/* Nobody else could sign in for that mailbox. */
static void
on_no_port(void *arg)
{
    struct control_login *login = arg;
    struct control_exchange *exchange = login->exchange;
    char text[TEXT_MAX_BYTES];

    log_info("a sign-in was ended: its asker has sent no port",
             F_STR("mailbox", login->mailbox));
    give_up(login);
    (void)snprintf(text, sizeof(text),
                   "the port of the local page was not sent within %d s, so "
                   "the sign-in has ended; begin again",
                   PORT_WAIT_S);
    control_refuse(exchange, "needs-login", text);
}

/* Wait for it, but not for ever. False: out of memory. */
static bool
await_port(struct control_login *login)
{
    const struct control_env *env = login->env;

    login->timer = env->timer_new(env->arg, on_no_port, login);
    if (login->timer == NULL)
        return false;
    env->timer_set(login->timer, INT64_C(1000) * PORT_WAIT_S);
    return true;
}

static void
sign_in(struct control_exchange *exchange)
{
    static const struct control_wait_ops ops = {.cancel = cancel_login,
                                                .line = on_line};
    struct sendas_match match;
    struct control_login *login;
    bool by_device;

    if (!control_find_mailbox(exchange, &match) ||
        !check_login(exchange, &match) ||
        !read_method(exchange, match.mailbox->credential, &by_device))
        return;
    login = begin(exchange, &match, &ops);
    if (login == NULL)
        return;
    login->by_device = by_device;
    if (!by_device && !await_port(login)) {
        give_up(login);
        control_answer(exchange, NULL);
        return;
    }
    control_tell(exchange, "begin",
                 json_pack("{s:o, s:o, s:s, s:i}", "mailbox",
                           control_string(login->mailbox), "credential",
                           control_string(match.mailbox->credential->name),
                           "method", by_device ? "device" : "code",
                           "redirect_port",
                           match.mailbox->credential->redirect_port));
    if (by_device)
        start_flow(login, NULL, NULL);
}

/* ---- A refresh token that is brought ------------------------------------ */

/* Is it what RFC 6749, appendix A.17, allows, and of a sane length? */
static bool
is_refresh_token(const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;

    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return len > 0 && len <= REFRESH_TOKEN_MAX;
}

/* The asker is gone, but the try may have used the token up. */
static void
leave_brought(void *arg)
{
    struct control_login *login = arg;

    login->exchange = NULL;
}

/* Nothing changes before a token request with it has worked. */
static void
bring_token(struct control_exchange *exchange, const char *text)
{
    static const struct control_wait_ops ops = {.cancel = leave_brought};
    struct sendas_match match;
    struct control_login *login;

    if (!is_refresh_token(text)) {
        control_refuse(
            exchange, "bad-request",
            "login wants a refresh token, one line of printable ASCII");
        return;
    }
    if (!control_find_mailbox(exchange, &match) ||
        !check_login(exchange, &match))
        return;
    login = begin(exchange, &match, &ops);
    if (login == NULL)
        return;
    login->is_brought = true;
    start_flow(login, NULL, text);
}

void
control_verb_login(struct control_exchange *exchange)
{
    const json_t *text = json_object_get(exchange->root, "refresh_token");

    if (text != NULL)
        bring_token(exchange, json_string_value(text));
    else
        sign_in(exchange);
}
