/*
 * control - the verbs of xoauth2ctl: one JSON object in, one or more out.
 */
#include "token-daemon/control.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/config_value.h"
#include "common/log.h"
#include "common/util.h"
#include "token-daemon/control_exchange.h"

/* Bytes of a long answer to who takes it whole. */
#define PARTS_MAX ((size_t)64 << 20)

struct control {
    struct control_env env;
    struct control_logins *logins;
    int64_t started_wall; /* s since 1970 */
};

/* log_overhear_fn */
static void
add_warning(enum log_level level, const char *line, void *arg)
{
    (void)level;
    /* Without memory it is in the log all the same. */
    (void)json_array_append_new(arg, control_string(line));
}

/* The answer has the warnings that the log has: who typed it can act on them.
 */
static void
verb_reload(struct control_exchange *exchange)
{
    const struct control_env *env = exchange->env;
    struct err err = {ERR_NONE, ""};
    json_t *warnings = json_array();
    int rc;

    log_overhear(add_warning, warnings);
    rc = env->reload(env->arg, &err);
    log_overhear(NULL, NULL);
    if (rc == 0) {
        control_answer(exchange, json_pack("{s:o}", "warnings", warnings));
        return;
    }
    control_refuse(exchange, "bad-configuration", err.text);
    json_decref(warnings);
}

/* By enum config_verb; config_words_verb has their names. */
static const struct verb {
    void (*run)(struct control_exchange *exchange);
    bool is_harmless; /* changes nothing, shows no secret */
} verbs[] = {
    [CONFIG_VERB_STATUS] = {control_verb_status, true},
    [CONFIG_VERB_TOKEN] = {control_verb_token, false},
    [CONFIG_VERB_REFRESH] = {control_verb_refresh, false},
    [CONFIG_VERB_INVALIDATE] = {control_verb_invalidate, false},
    [CONFIG_VERB_LOGIN] = {control_verb_login, false},
    [CONFIG_VERB_LOGOUT] = {control_verb_logout, false},
    [CONFIG_VERB_ROTATE] = {control_verb_rotate, false},
    [CONFIG_VERB_AUDIT] = {control_verb_audit, true},
    [CONFIG_VERB_EXPORT] = {control_verb_export, false},
    [CONFIG_VERB_IMPORT] = {control_verb_import, false},
    [CONFIG_VERB_RELOAD] = {verb_reload, false},
};
_Static_assert(ARRAY_LEN(verbs) == CONFIG_VERB_COUNT, "a row for each verb");

static void
refuse_verb(struct control_exchange *exchange)
{
    struct buf text;

    buf_init(&text, 256);
    buf_append_str(&text, "the verbs are ");
    for (int i = 0; i < CONFIG_VERB_COUNT; i++) {
        buf_append_str(&text, i > 0 ? ", " : "");
        buf_append_str(&text, config_value_word_name(config_words_verb, i));
    }
    control_refuse(exchange, "unknown-verb", buf_str(&text));
    buf_clear(&text);
}

/* Of what it is, so that the audit trail has it also when it is refused. */
static void
note_subject(struct control_exchange *exchange)
{
    const char *text =
        json_string_value(json_object_get(exchange->root, "mailbox"));

    if (text == NULL)
        text = json_string_value(json_object_get(exchange->root, "credential"));
    if (text != NULL && exchange->subject == NULL)
        exchange->subject = strdup(text);
}

/* True: it is worth a line of the log. */
static bool
note_sent_away(const struct control_env *env,
               const struct sent_away_refusal *refusal)
{
    return env->sent_away == NULL || env->sent_away(env->arg, refusal);
}

/* The verb is none of this user's: say what would make it so. */
static void
refuse_peer(struct control_exchange *exchange, bool is_harmless)
{
    const struct sent_away_refusal refusal = {.uid = exchange->peer.uid,
                                              .what = exchange->verb,
                                              .subject = exchange->subject,
                                              .reason = "not-allowed"};
    struct buf text;

    exchange->is_audited = false; /* in the trail by this: */
    if (note_sent_away(exchange->env, &refusal))
        log_warning("control refused: this verb is none of this user's; name "
                    "the user in control_allow, or add an operator section, if "
                    "that is right",
                    F_INT("uid", exchange->peer.uid),
                    F_INT("pid", exchange->peer.pid),
                    F_STR("verb", exchange->verb));
    buf_init(&text, ERR_TEXT_MAX);
    buf_append_str(&text, "you may not use ");
    buf_append_str(&text, exchange->verb);
    buf_append_str(&text, "; in the tokend section of relay.conf, name your "
                          "user or group in control_allow, ");
    buf_append_str(&text, is_harmless ? "in control_read, " : "");
    buf_append_str(&text, "or in an operator section with verbs = {\"");
    buf_append_str(&text, exchange->verb);
    buf_append_str(&text, "\"}");
    control_refuse(exchange, "not-allowed", buf_str(&text));
    buf_clear(&text);
}

/* The verb of this name; CONFIG_VERB_COUNT: there is none. */
static int
find_verb(const char *name)
{
    int found = CONFIG_VERB_COUNT;
    struct err unknown = {ERR_NONE, ""};

    if (name != NULL)
        (void)config_value_word(config_words_verb, name, &found, &unknown);
    return found;
}

static void
dispatch(struct control_exchange *exchange)
{
    const json_t *version = json_object_get(exchange->root, "version");
    int number;

    if (!json_is_integer(version) ||
        json_integer_value(version) != CONTROL_VERSION) {
        control_refuse(exchange, "bad-version",
                       "this daemon speaks version 1; use the xoauth2ctl that "
                       "came with it");
        return;
    }
    number =
        find_verb(json_string_value(json_object_get(exchange->root, "verb")));
    if (number == CONFIG_VERB_COUNT) {
        refuse_verb(exchange);
        return;
    }
    exchange->verb = config_value_word_name(config_words_verb, number);
    exchange->is_audited = !verbs[number].is_harmless;
    note_subject(exchange);
    if ((exchange->peer.verbs & CONFIG_VERB_BIT(number)) != 0)
        verbs[number].run(exchange);
    else
        refuse_peer(exchange, verbs[number].is_harmless);
}

struct control_exchange *
control_ask(struct control *control, const struct control_peer *peer,
            const char *line, size_t len, const struct control_asker *asker)
{
    struct control_exchange *exchange = calloc(1, sizeof(*exchange));
    json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    bool is_over = false;

    if (exchange == NULL) {
        json_decref(root);
        asker->reply(NULL, true, asker->arg);
        return NULL;
    }
    *exchange = (struct control_exchange){
        .env = &control->env,
        .logins = control->logins,
        .root = root,
        .peer = *peer,
        .started_wall = control->started_wall,
        .asker = *asker,
        .is_over = &is_over,
    };
    buf_init(&exchange->parts, PARTS_MAX);
    if (json_is_object(root))
        dispatch(exchange);
    else
        control_refuse(exchange, "bad-request",
                       "a request is one JSON object on one line");
    json_decref(root);
    while (!is_over && asker->part == NULL && control_has_more(exchange))
        control_more(exchange);
    if (is_over)
        return NULL;
    exchange->root = NULL;
    exchange->is_over = NULL;
    return exchange;
}

bool
control_note_stranger(struct control *control, const struct control_peer *peer)
{
    return note_sent_away(&control->env,
                          &(struct sent_away_refusal){.uid = peer->uid,
                                                      .what = "control",
                                                      .reason = "not-allowed"});
}

struct control *
control_new(const struct control_env *env)
{
    struct control *control = calloc(1, sizeof(*control));

    if (control == NULL)
        return NULL;
    control->logins = control_logins_new();
    if (control->logins == NULL) {
        free(control);
        return NULL;
    }
    control->env = *env;
    control->started_wall = env->wall(env->arg);
    return control;
}

void
control_stop(struct control *control)
{
    control_logins_stop(control->logins);
}

bool
control_linger(struct control *control, void (*stopped)(void *arg), void *arg)
{
    return control_logins_linger(control->logins, stopped, arg);
}

void
control_free(struct control **control)
{
    if (*control == NULL)
        return;
    control_logins_free(&(*control)->logins);
    free(*control);
    *control = NULL;
}
