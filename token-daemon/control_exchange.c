/*
 * control_exchange - one request of an operator, from its line to the last line
 * of its answer.
 */
#include "token-daemon/control_exchange.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/utf8.h"
#include "token-daemon/peer_identity.h"

#define PEER_NAME_MAX 96

json_t *
control_string(const char *text)
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

json_t *
control_optional_string(const char *text)
{
    return text != NULL && text[0] != '\0' ? control_string(text) : json_null();
}

/* Send and drop `body`; it is stolen. True when it could be sent. */
static bool
send_json(const struct control_exchange *exchange, json_t *body, bool is_last)
{
    char *line = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_malloc_t allocate;
    json_free_t release;

    exchange->asker.reply(line, line == NULL || is_last, exchange->asker.arg);
    json_decref(body);
    json_get_alloc_funcs(&allocate, &release);
    release(line);
    return line != NULL;
}

static void
audit(const struct control_exchange *exchange, const char *outcome)
{
    const struct control_env *env = exchange->env;
    const char *subject = exchange->subject != NULL ? exchange->subject : "";
    char who[PEER_NAME_MAX];
    struct buf detail;

    if (!exchange->is_audited || env->audit == NULL)
        return;
    peer_identity_name(exchange->peer.uid, who, sizeof(who));
    buf_init(&detail, STORE_AUDIT_DETAIL_MAX);
    buf_append_str(&detail, subject);
    buf_append_str(&detail, subject[0] != '\0' ? ": " : "");
    buf_append_str(&detail, outcome);
    /* What was asked for may be anything, and a row is one line of text. */
    for (size_t i = 0; i < detail.len; i++)
        if ((unsigned char)detail.data[i] < ' ' || detail.data[i] == '\x7f')
            detail.data[i] = '?';
    env->audit(env->arg, &(struct store_audit){.at = env->wall(env->arg),
                                               .who = who,
                                               .what = exchange->verb,
                                               .detail = buf_str(&detail)});
    buf_clear(&detail);
}

static void
end(struct control_exchange *exchange)
{
    if (exchange->is_over != NULL)
        *exchange->is_over = true;
    buf_clear(&exchange->parts);
    free(exchange->subject);
    free(exchange);
}

void
control_answer_as(struct control_exchange *exchange, json_t *result,
                  const char *outcome)
{
    audit(exchange, result != NULL ? outcome : "out of memory");
    (void)send_json(exchange,
                    result != NULL
                        ? json_pack("{s:i, s:b, s:o}", "version",
                                    CONTROL_VERSION, "ok", 1, "result", result)
                        : NULL,
                    true);
    end(exchange);
}

void
control_answer(struct control_exchange *exchange, json_t *result)
{
    control_answer_as(exchange, result, "done");
}

void
control_refuse(struct control_exchange *exchange, const char *code,
               const char *text)
{
    audit(exchange, code);
    (void)send_json(exchange,
                    json_pack("{s:i, s:b, s:{s:s, s:o}}", "version",
                              CONTROL_VERSION, "ok", 0, "error", "code", code,
                              "text", control_string(text)),
                    true);
    end(exchange);
}

void
control_refuse_err(struct control_exchange *exchange, const struct err *err)
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
    control_refuse(exchange, code, err->text);
}

void
control_tell(struct control_exchange *exchange, const char *event,
             json_t *fields)
{
    json_t *body =
        json_pack("{s:i, s:s}", "version", CONTROL_VERSION, "event", event);

    /* What can't be told is left out; the answer will come all the same. */
    if (body != NULL && fields != NULL && json_object_update(body, fields) == 0)
        (void)send_json(exchange, json_incref(body), false);
    json_decref(body);
    json_decref(fields);
}

void
control_part(struct control_exchange *exchange, const char *text, size_t len)
{
    if (exchange->asker.part != NULL)
        exchange->asker.part(text, len, exchange->asker.arg);
    else
        buf_append(&exchange->parts, text, len);
}

bool
control_part_json(struct control_exchange *exchange, json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    bool is_told = text != NULL;
    json_malloc_t allocate;
    json_free_t release;

    if (is_told)
        control_part(exchange, text, strlen(text));
    json_decref(json);
    json_get_alloc_funcs(&allocate, &release);
    release(text);
    return is_told;
}

void
control_end_parts(struct control_exchange *exchange)
{
    const struct control_asker *asker = &exchange->asker;
    bool is_told = !buf_failed(&exchange->parts);

    audit(exchange, is_told ? "done" : "out of memory");
    asker->reply(is_told ? buf_str(&exchange->parts) : NULL, true, asker->arg);
    end(exchange);
}

void
control_wait(struct control_exchange *exchange,
             const struct control_wait_ops *ops, void *wait)
{
    exchange->ops = ops;
    exchange->wait = wait;
}

const char *
control_text(struct control_exchange *exchange, const char *key,
             const char *complaint)
{
    const char *text = json_string_value(json_object_get(exchange->root, key));

    if (text == NULL)
        control_refuse(exchange, "bad-request", complaint);
    return text;
}

bool
control_find_mailbox(struct control_exchange *exchange,
                     struct sendas_match *out)
{
    const struct control_env *env = exchange->env;
    const char *mailbox =
        control_text(exchange, "mailbox", "this verb wants a mailbox");

    if (mailbox == NULL)
        return false;
    free(exchange->subject);
    exchange->subject = strdup(mailbox);
    if (sendas_find_login(env->policy(env->arg), mailbox, out))
        return true;
    control_refuse(exchange, "unknown-mailbox",
                   "no mailbox section has this address or its @domain");
    return false;
}

bool
control_may_all(const struct control_exchange *exchange)
{
    return exchange->peer.verbs == CONFIG_VERBS_ALL;
}

struct refresher_key
control_key_of(const struct sendas_match *match)
{
    return (struct refresher_key){match->mailbox->credential->name,
                                  match->login};
}

/* ---- The life of an exchange -------------------------------------------- */

bool
control_takes_lines(const struct control_exchange *exchange)
{
    return exchange->ops != NULL && exchange->ops->line != NULL;
}

bool
control_has_more(const struct control_exchange *exchange)
{
    return exchange->ops != NULL && exchange->ops->more != NULL;
}

void
control_more(struct control_exchange *exchange)
{
    exchange->ops->more(exchange->wait);
}

void
control_feed(struct control_exchange *exchange, const char *line, size_t len)
{
    json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(root))
        exchange->ops->line(exchange->wait, root);
    else
        control_tell(exchange, "bad-request",
                     json_pack("{s:s}", "text",
                               "what is sent on is one JSON object on one "
                               "line"));
    json_decref(root);
}

void
control_forget(struct control_exchange **exchange)
{
    const struct control_wait_ops *ops;

    if (*exchange == NULL)
        return;
    ops = (*exchange)->ops;
    if (ops->outcome != NULL)
        audit(*exchange, ops->outcome((*exchange)->wait));
    else
        audit(*exchange, "given up");
    ops->cancel((*exchange)->wait);
    end(*exchange);
    *exchange = NULL;
}
