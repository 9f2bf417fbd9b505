/*
 * control - the verbs of xoauth2ctl: one JSON object in, one out.
 */
#include <config.h>

#include "token-daemon/control.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/utf8.h"
#include "common/util.h"

#define PATIENCE_MS       15000 /* for `token` */
#define MIN_MAX_S         86400
#define REFRESH_TOKEN_MAX 16384 /* bytes */

struct control {
    struct control_env env;
    int64_t started_wall; /* s since 1970 */
};

struct control_pending {
    struct control *control;
    struct refresher_waiter *waiter;
    uint64_t old_serial; /* of the token that is to be replaced; 0: any does */
    bool is_asked_for; /* the token is the answer, not only that it is there */
    control_reply_fn reply;
    void *arg;
    char mailbox[];
};

/* One request, while it is being answered. */
struct request {
    struct control *control;
    const json_t *root;
    control_reply_fn reply;
    void *arg;
};

/* ---- Answers ------------------------------------------------------------ */

/* Send and drop `body`; it is stolen. */
static void
send_json(control_reply_fn reply, void *arg, json_t *body)
{
    char *line = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_malloc_t allocate;
    json_free_t release;

    reply(line, arg);
    json_decref(body);
    json_get_alloc_funcs(&allocate, &release);
    release(line);
}

/*
 * A string of JSON. What is no UTF-8, such as a file's name or a text that was
 * cut within a character, is shown with ? for each byte outside ASCII.
 */
static json_t *
string(const char *text)
{
    size_t len = strlen(text);
    struct buf ascii;
    json_t *result;

    if (utf8_is_valid(text, len))
        return json_stringn(text, len);
    buf_init(&ascii, len);
    for (size_t i = 0; i < len; i++)
        if ((text[i] & 0x80) != 0)
            buf_append_char(&ascii, '?');
        else
            buf_append_char(&ascii, text[i]);
    result = json_string(buf_str(&ascii));
    buf_clear(&ascii);
    return result;
}

static void
send_error(control_reply_fn reply, void *arg, const char *code,
           const char *text)
{
    send_json(reply, arg,
              json_pack("{s:i, s:b, s:{s:s, s:o}}", "version", CONTROL_VERSION,
                        "ok", 0, "error", "code", code, "text", string(text)));
}

/* `result` is stolen. */
static void
send_result(control_reply_fn reply, void *arg, json_t *result)
{
    if (result == NULL) {
        reply(NULL, arg);
        return;
    }
    send_json(reply, arg,
              json_pack("{s:i, s:b, s:o}", "version", CONTROL_VERSION, "ok", 1,
                        "result", result));
}

/* ---- status ------------------------------------------------------------- */

static json_t *
optional_string(const char *text)
{
    return text != NULL && text[0] != '\0' ? string(text) : json_null();
}

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
                     string(problem->err.text), "hint",
                     optional_string(problem->hint), "at",
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
            "name", string(info->credential->name), "user",
            info->user != NULL ? string(info->user) : json_null(), "state",
            token_state_name(token->state), "has_token", is_alive,
            "fingerprint",
            optional_string(is_alive ? token->fingerprint : NULL),
            "token_left_s",
            is_alive ? seconds_until(token->expires_at, info->now)
                     : (json_int_t)0,
            "failures", (json_int_t)token->failures, "next_fetch_s", next,
            "error", describe_error(token), "waiters",
            (json_int_t)info->waiters, "requests", (json_int_t)info->requests,
            "secret", optional_string(info->secret), "certificate_not_after",
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
    return json_pack("{s:o, s:o, s:s, s:o}", "address", string(address),
                     "credential", string(credential), "state", state, "since",
                     suspect != NULL ? json_integer(suspect->since_wall)
                                     : json_null());
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
        match.rule == SENDAS_RULE_MAILBOX_DOMAIN)
        (void)json_array_append_new(
            mailboxes->list,
            describe_mailbox(address, match.mailbox->credential->name,
                             suspect));
}

/* Those of the configuration, then who was refused of an @domain. */
static json_t *
describe_mailboxes(const struct control *control)
{
    struct mailboxes mailboxes = {control->env.policy(control->env.arg),
                                  json_array()};
    const struct config *config = sendas_config(mailboxes.policy);

    if (mailboxes.list == NULL)
        return NULL;
    for (size_t i = 0; i < config->mailbox_count; i++) {
        const struct config_mailbox *mailbox = &config->mailboxes[i];

        (void)json_array_append_new(
            mailboxes.list,
            describe_mailbox(
                mailbox->title, mailbox->credential->name,
                lookups_suspect(control->env.lookups, mailbox->title)));
    }
    lookups_each_suspect(control->env.lookups, describe_suspect, &mailboxes);
    return mailboxes.list;
}

static struct control_pending *
answer_status(const struct request *request)
{
    const struct control *control = request->control;
    const struct control_env *env = &control->env;
    json_t *credentials = json_array();
    struct lookups_counts counts;

    lookups_count(env->lookups, &counts);
    if (credentials != NULL)
        refresher_each(env->refresher, describe_credential, credentials);
    send_result(
        request->reply, request->arg,
        json_pack("{s:{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:o, s:o}",
                  "daemon", "version", PACKAGE_VERSION, "config",
                  string(sendas_config(env->policy(env->arg))->path), "started",
                  (json_int_t)control->started_wall, "clients",
                  (json_int_t)env->clients(env->arg), "requests",
                  (json_int_t)counts.requests, "tokens_given",
                  (json_int_t)counts.tokens_given, "refusals",
                  (json_int_t)counts.refusals, "deferred",
                  (json_int_t)counts.deferred, "denied_mailboxes",
                  (json_int_t)counts.denied_mailboxes, "credentials",
                  credentials, "mailboxes", describe_mailboxes(control)));
    return NULL;
}

/* ---- token, refresh, invalidate, login, logout -------------------------- */

/* The mailbox that the request names. False: the request has been answered. */
static bool
find_mailbox(const struct request *request, struct sendas_match *out)
{
    const struct control_env *env = &request->control->env;
    const char *mailbox =
        json_string_value(json_object_get(request->root, "mailbox"));

    if (mailbox == NULL) {
        send_error(request->reply, request->arg, "bad-request",
                   "this verb wants a mailbox");
        return false;
    }
    if (sendas_find_login(env->policy(env->arg), mailbox, out))
        return true;
    send_error(request->reply, request->arg, "unknown-mailbox",
               "no mailbox section has this address or its @domain");
    return false;
}

static struct refresher_key
key_of(const struct sendas_match *match)
{
    return (struct refresher_key){match->mailbox->credential->name,
                                  match->login};
}

static void
on_token(const struct refresher_answer *answer, void *arg)
{
    struct control_pending *pending = arg;
    const struct token *token = answer->token;
    const char *reason = token_problem(token)->reason;
    const char *text = token_problem(token)->err.text;
    bool is_stale =
        pending->old_serial != 0 && token->serial == pending->old_serial;

    if (answer->is_given && !(is_stale && reason[0] != '\0')) {
        json_t *result = json_pack(
            "{s:o, s:I, s:s}", "mailbox", string(pending->mailbox), "expires",
            (json_int_t)token->expires_wall, "fingerprint", token->fingerprint);

        if (pending->is_asked_for)
            (void)json_object_set_new(result, "token",
                                      json_string(token->text));
        send_result(pending->reply, pending->arg, result);
    } else {
        if (reason[0] == '\0') {
            reason = "fetching";
            text = "the provider has not answered yet";
        }
        send_error(pending->reply, pending->arg, reason, text);
    }
    free(pending);
}

/* What is waited for. */
struct wish {
    int64_t min_ms;
    uint64_t old_serial;
    bool is_asked_for;
};

/* Answer when there is a token, another one than that of `old_serial`. */
static struct control_pending *
wait_for_token(const struct request *request, const struct sendas_match *match,
               const struct wish *wish)
{
    size_t size = strlen(match->login) + 1;
    struct control_pending *pending = calloc(1, sizeof(*pending) + size);
    struct refresher_waiter *waiter;

    if (pending == NULL) {
        request->reply(NULL, request->arg);
        return NULL;
    }
    pending->control = request->control;
    pending->old_serial = wish->old_serial;
    pending->is_asked_for = wish->is_asked_for;
    pending->reply = request->reply;
    pending->arg = request->arg;
    memcpy(pending->mailbox, match->login, size);
    waiter = refresher_ask(request->control->env.refresher,
                           &(struct refresher_question){
                               .key = key_of(match),
                               .min_ms = wish->min_ms,
                               .refused_serial = wish->old_serial,
                               .patience_ms = PATIENCE_MS,
                           },
                           on_token, pending);
    if (waiter == NULL)
        return NULL; /* answered, and `pending` is gone */
    pending->waiter = waiter;
    return pending;
}

static struct control_pending *
answer_token(const struct request *request)
{
    const json_t *min = json_object_get(request->root, "min");
    struct sendas_match match;

    if (min != NULL && (!json_is_integer(min) || json_integer_value(min) < 0 ||
                        json_integer_value(min) > MIN_MAX_S)) {
        send_error(request->reply, request->arg, "bad-request",
                   "token wants min as seconds from 0 to 86400");
        return NULL;
    }
    if (!find_mailbox(request, &match))
        return NULL;
    return wait_for_token(
        request, &match,
        &(struct wish){.min_ms = json_integer_value(min) * 1000,
                       .is_asked_for = true});
}

/* How an operator's wish failed, as the code and text of an error. */
static void
send_err(const struct request *request, const struct err *err)
{
    const char *code = "failed";

    if (err->code == ERR_REAUTH)
        code = "needs-login";
    else if (err->code == ERR_RETRY)
        code = "throttled";
    else if (err->code == ERR_CONFIG)
        code = "no-sign-in";
    else if (err->code == ERR_NOTFOUND)
        code = "unknown-mailbox";
    send_error(request->reply, request->arg, code, err->text);
}

/* Fetch now; the token that is there goes on being served meanwhile. */
static struct control_pending *
answer_refresh(const struct request *request)
{
    struct refresher *refresher = request->control->env.refresher;
    struct err err = {ERR_NONE, ""};
    struct sendas_match match;
    struct refresher_key key;
    const struct token *token;

    if (!find_mailbox(request, &match))
        return NULL;
    key = key_of(&match);
    if (refresher_fetch(refresher, &key, false, &err) < 0) {
        send_err(request, &err);
        return NULL;
    }
    token = refresher_peek(refresher, &key);
    return wait_for_token(
        request, &match,
        &(struct wish){.old_serial = token != NULL ? token->serial : 0});
}

/* Serve the token that is there no more, and fetch another. */
static struct control_pending *
answer_invalidate(const struct request *request)
{
    struct err err = {ERR_NONE, ""};
    struct sendas_match match;
    struct refresher_key key;

    if (!find_mailbox(request, &match))
        return NULL;
    key = key_of(&match);
    log_info("token invalidated by an operator", F_STR("mailbox", match.login));
    if (refresher_fetch(request->control->env.refresher, &key, true, &err) < 0)
        send_err(request, &err);
    else
        send_result(request->reply, request->arg, json_object());
    return NULL;
}

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

/* A refresh token that was obtained elsewhere; answers when it has worked. */
static struct control_pending *
answer_login(const struct request *request)
{
    const char *text =
        json_string_value(json_object_get(request->root, "refresh_token"));
    struct oauth_token token = {0};
    struct err err = {ERR_NONE, ""};
    struct sendas_match match;
    struct refresher_key key;

    if (!is_refresh_token(text)) {
        send_error(request->reply, request->arg, "bad-request",
                   "login wants a refresh token, one line of printable ASCII");
        return NULL;
    }
    if (!find_mailbox(request, &match))
        return NULL;
    key = key_of(&match);
    token.refresh = secret_dup(text);
    if (token.refresh == NULL) {
        request->reply(NULL, request->arg);
        return NULL;
    }
    if (refresher_sign_in(request->control->env.refresher, &key, &token, &err) <
        0) {
        oauth_token_clear(&token);
        send_err(request, &err);
        return NULL;
    }
    oauth_token_clear(&token);
    log_info("signed in with a refresh token", F_STR("mailbox", match.login));
    return wait_for_token(request, &match, &(struct wish){0});
}

static struct control_pending *
answer_logout(const struct request *request)
{
    struct err err = {ERR_NONE, ""};
    struct sendas_match match;
    struct refresher_key key;

    if (!find_mailbox(request, &match))
        return NULL;
    key = key_of(&match);
    if (refresher_sign_out(request->control->env.refresher, &key, &err) < 0) {
        send_err(request, &err);
        return NULL;
    }
    log_info("signed out by an operator", F_STR("mailbox", match.login));
    send_result(request->reply, request->arg, json_object());
    return NULL;
}

/* ---- reload ------------------------------------------------------------- */

static struct control_pending *
answer_reload(const struct request *request)
{
    const struct control_env *env = &request->control->env;
    struct err err = {ERR_NONE, ""};

    if (env->reload(env->arg, &err) < 0)
        send_error(request->reply, request->arg, "bad-configuration", err.text);
    else
        send_result(request->reply, request->arg, json_object());
    return NULL;
}

/* ---- The table ---------------------------------------------------------- */

static const struct {
    const char *name;
    struct control_pending *(*answer)(const struct request *request);
} verbs[] = {
    {"status", answer_status},   {"token", answer_token},
    {"refresh", answer_refresh}, {"invalidate", answer_invalidate},
    {"login", answer_login},     {"logout", answer_logout},
    {"reload", answer_reload},
};

static struct control_pending *
dispatch(const struct request *request)
{
    const char *verb =
        json_string_value(json_object_get(request->root, "verb"));
    const json_t *version = json_object_get(request->root, "version");

    if (!json_is_integer(version) ||
        json_integer_value(version) != CONTROL_VERSION) {
        send_error(request->reply, request->arg, "bad-version",
                   "this daemon speaks version 1; use the xoauth2ctl that came "
                   "with it");
        return NULL;
    }
    for (size_t i = 0; verb != NULL && i < ARRAY_LEN(verbs); i++)
        if (strcmp(verb, verbs[i].name) == 0)
            return verbs[i].answer(request);
    send_error(
        request->reply, request->arg, "unknown-verb",
        "the verbs are status, token, refresh, invalidate, login, logout "
        "and reload");
    return NULL;
}

struct control_pending *
control_ask(struct control *control, const char *line, size_t len,
            control_reply_fn reply, void *arg)
{
    struct request request = {.control = control, .reply = reply, .arg = arg};
    struct control_pending *pending = NULL;
    json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(root)) {
        request.root = root;
        pending = dispatch(&request);
    } else {
        send_error(reply, arg, "bad-request",
                   "a request is one JSON object on one line");
    }
    json_decref(root);
    return pending;
}

void
control_forget(struct control_pending **pending)
{
    if (*pending == NULL)
        return;
    refresher_forget(&(*pending)->waiter);
    free(*pending);
    *pending = NULL;
}

struct control *
control_new(const struct control_env *env)
{
    struct control *control = calloc(1, sizeof(*control));

    if (control == NULL)
        return NULL;
    control->env = *env;
    control->started_wall = env->wall(env->arg);
    return control;
}

void
control_free(struct control **control)
{
    free(*control);
    *control = NULL;
}
