/*
 * control_rotate - the verb `rotate`: a new secret or certificate for a
 * credential, tried before anything changes.
 *
 *     {"version": 1, "verb": "rotate", "credential": "contoso",
 *      "secret": "..."           the secret, or a service account's key; or
 *      "secret_ref": "file:..."  where it is; or
 *      "certificate": "PEM", "private_key": "PEM" or "pkcs11:...",
 *      "passphrase": "...",      of the private key, or its token's PIN; or
 *      "forget": true,           see control_forget.c; or
 *      "now": true,              have it renew itself now
 *      "wait": 60, "dry_run": true}
 *  -> {"version": 1, "event": "waiting", "reason": "bad-secret", ...}
 *  -> {"version": 1, "ok": true, "result": {"durable": true, "keys": [...]}}
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/config_reference.h"
#include "common/config_value.h"
#include "common/log.h"
#include "token-daemon/control_exchange.h"
#include "token-daemon/control_keys.h"
#include "token-daemon/control_reference.h"
#include "token-daemon/control_renewal.h"
#include "token-daemon/control_rotate.h"

#define WAIT_MAX_S 600

struct rotate_wait {
    struct control_exchange *exchange;
    struct rotation_job *job;
    bool is_dry_run;
    char reference[CONTROL_REFERENCE_SIZE]; /* that was given; "": none */
    char credential[];
};

/* ---- Answers ------------------------------------------------------------- */

static void
answer(struct rotate_wait *wait, const struct key *key, bool is_durable)
{
    const struct control_env *env = wait->exchange->env;
    json_t *result = json_pack(
        "{s:o, s:b, s:b, s:o, s:o}", "credential",
        control_string(wait->credential), "dry_run", (int)wait->is_dry_run,
        "durable", (int)is_durable, "id",
        key != NULL ? control_optional_string(key->health.id) : json_null(),
        "keys",
        control_keys_describe(env->keyring, wait->credential,
                              env->wall(env->arg)));

    if (key != NULL && key->health.not_after != 0)
        (void)json_object_set_new(result, "not_after",
                                  json_integer(key->health.not_after));
    control_answer(wait->exchange, result);
    free(wait);
}

/* For the trail: not only whose key, but which (NULL: none yet), and where the
 * secret is when that was given. */
static void
name_key(struct control_exchange *exchange, const char *credential,
         const struct key *key, const char *reference)
{
    char text[STORE_AUDIT_DETAIL_MAX];
    char *copy;

    (void)snprintf(text, sizeof(text), "%s%s%s%s%s%s%s", credential,
                   key != NULL ? ", " : "",
                   key != NULL ? key_kind_word(key->kind) : "",
                   key != NULL ? " " : "", key != NULL ? key->health.id : "",
                   reference[0] != '\0' ? ", by " : "", reference);
    copy = strdup(text);
    if (copy == NULL)
        return;
    free(exchange->subject);
    exchange->subject = copy;
}

const char *
control_rotate_code(enum problem problem)
{
    if (problem == PROBLEM_BAD_SECRET)
        return "secret-refused";
    if (problem == PROBLEM_NO_SECRET)
        return "bad-input";
    return problem_word(problem);
}

/* What the operator may do about it is part of the text. */
static void
refuse(struct rotate_wait *wait, const struct rotation_news *news)
{
    char text[2 * ERR_TEXT_MAX];

    (void)snprintf(text, sizeof(text), "%s%s%s; nothing has changed",
                   news->err.text, news->hint != NULL ? "; " : "",
                   news->hint != NULL ? news->hint : "");
    name_key(wait->exchange, wait->credential, news->key, wait->reference);
    control_refuse(wait->exchange, control_rotate_code(news->problem), text);
    free(wait);
}

void
control_rotate_tell(struct control_exchange *exchange,
                    const struct rotation_news *news)
{
    control_tell(exchange, "waiting",
                 json_pack("{s:s, s:o, s:o, s:I, s:I, s:I}", "reason",
                           problem_word(news->problem), "text",
                           control_string(news->err.text), "hint",
                           control_optional_string(news->hint), "tries",
                           (json_int_t)news->tries, "next_ms",
                           (json_int_t)news->next_ms, "left_s",
                           (json_int_t)news->left_s));
}

/* rotation_fn */
static void
on_news(const struct rotation_news *news, void *arg)
{
    struct rotate_wait *wait = arg;

    switch (news->step) {
    case ROTATION_REFUSED:
    case ROTATION_UNANSWERED:
        control_rotate_tell(wait->exchange, news);
        break;
    case ROTATION_DONE:
        name_key(wait->exchange, wait->credential, news->key, wait->reference);
        answer(wait, news->key, news->is_durable);
        break;
    case ROTATION_FAILED:
        refuse(wait, news);
        break;
    }
}

/* Has the new key been put first? */
static bool
is_in_force(const struct rotate_wait *wait)
{
    return rotation_is_promoted(wait->job);
}

static const char *
outcome(const void *arg)
{
    return is_in_force(arg) ? "done, who asked is gone"
                            : "given up, who asked is gone: nothing has "
                              "changed";
}

static void
cancel(void *arg)
{
    struct rotate_wait *wait = arg;

    if (!is_in_force(wait))
        log_warning("secret not rotated: who asked for it is gone, and nothing "
                    "has changed",
                    F_STR("credential", wait->credential));
    rotation_cancel(&wait->job);
    free(wait);
}

void
control_rotate_refuse(struct control_exchange *exchange, const struct err *err)
{
    const char *code = "failed";

    if (err->code == ERR_NOTFOUND)
        code = "unknown-credential";
    else if (err->code == ERR_CONFIG)
        code = "bad-input";
    control_refuse(exchange, code, err->text);
}

/* ---- The new key --------------------------------------------------------- */

/* What is given by reference, or NULL. */
static const char *
reference_of(const json_t *root)
{
    const char *text = json_string_value(json_object_get(root, "secret_ref"));
    const char *key = json_string_value(json_object_get(root, "private_key"));

    if (text != NULL || key == NULL ||
        config_value_ref_kind(key) != CONFIG_REF_PKCS11)
        return text;
    return key;
}

/* A text of the request, or nothing. */
static struct key_part_text
part_of(const json_t *root, const char *name)
{
    const json_t *member = json_object_get(root, name);

    return (struct key_part_text){json_string_value(member),
                                  json_string_length(member)};
}

static struct key *
key_of_secret(const struct control_exchange *exchange, const char *credential,
              struct err *err)
{
    struct rotation *rotation = exchange->env->rotation;
    const struct key_part_text parts[KEY_PART_COUNT] = {
        [KEY_PART_TEXT] = part_of(exchange->root, "secret")};
    enum key_kind kind;

    if (rotation_text_kind(rotation, credential, &kind, err) < 0)
        return NULL;
    return rotation_new_key(rotation, credential, kind, parts, err);
}

/* A private key that stays in its token is named, not sent. */
static int
add_uri(struct key *key, const char *text, struct err *err)
{
    struct config_ref ref;
    struct err reason = {ERR_NONE, ""};
    int rc;

    if (config_value_key_ref(text, &reason) < 0)
        return err_set(err, ERR_CONFIG, "the private key's URI %s",
                       reason.text);
    if (config_reference_parse(text, &ref) < 0)
        return err_set(err, ERR_SYSTEM, "out of memory");
    rc = key_set_ref(key, KEY_PART_PRIVATE_KEY, &ref, err);
    config_reference_clear(&ref);
    return rc;
}

static struct key *
key_of_certificate(const struct control_exchange *exchange,
                   const char *credential, struct err *err)
{
    const struct key_part_text private_key =
        part_of(exchange->root, "private_key");
    bool is_elsewhere =
        private_key.text != NULL &&
        config_value_ref_kind(private_key.text) == CONFIG_REF_PKCS11;
    struct key_part_text parts[KEY_PART_COUNT] = {
        [KEY_PART_CERTIFICATE] = part_of(exchange->root, "certificate"),
        [KEY_PART_PASSPHRASE] = part_of(exchange->root, "passphrase")};
    struct key *key;

    if (!is_elsewhere)
        parts[KEY_PART_PRIVATE_KEY] = private_key;
    key = rotation_new_key(exchange->env->rotation, credential, KEY_CERTIFICATE,
                           parts, err);
    if (key != NULL && is_elsewhere && add_uri(key, private_key.text, err) < 0)
        key_unref(&key);
    return key;
}

/* Exactly one of the three ways to say what is new. NULL: *err says. */
static struct key *
make_key(const struct control_exchange *exchange, const char *credential,
         struct err *err)
{
    const char *ref =
        json_string_value(json_object_get(exchange->root, "secret_ref"));
    bool has_secret = json_object_get(exchange->root, "secret") != NULL;
    bool has_certificate =
        json_object_get(exchange->root, "certificate") != NULL;
    struct key *key;

    if ((int)(ref != NULL) + (int)has_secret + (int)has_certificate != 1) {
        (void)err_set(err, ERR_CONFIG,
                      "rotate wants one of secret, secret_ref, certificate and "
                      "forget");
        return NULL;
    }
    if (ref != NULL)
        key = rotation_new_ref(exchange->env->rotation, credential, ref, err);
    else if (has_secret)
        key = key_of_secret(exchange, credential, err);
    else
        key = key_of_certificate(exchange, credential, err);
    if (key != NULL)
        (void)snprintf(key->origin, sizeof(key->origin), "operator");
    return key;
}

/* ---- The verb ------------------------------------------------------------ */

static const struct control_wait_ops wait_ops = {.cancel = cancel,
                                                 .outcome = outcome};

static struct rotate_wait *
new_wait(struct control_exchange *exchange, const char *credential)
{
    size_t size = strlen(credential) + 1;
    struct rotate_wait *wait = calloc(1, sizeof(*wait) + size);

    if (wait == NULL) {
        control_answer(exchange, NULL);
        return NULL;
    }
    wait->exchange = exchange;
    wait->is_dry_run = json_is_true(json_object_get(exchange->root, "dry_run"));
    control_reference_name(reference_of(exchange->root), wait->reference);
    memcpy(wait->credential, credential, size);
    return wait;
}

static void
start(struct control_exchange *exchange, const char *credential, int64_t wait_s)
{
    const struct control_env *env = exchange->env;
    struct err err = {ERR_NONE, ""};
    struct key *key = make_key(exchange, credential, &err);
    struct rotate_wait *wait;

    if (key == NULL) {
        control_rotate_refuse(exchange, &err);
        return;
    }
    wait = new_wait(exchange, credential);
    if (wait == NULL)
        goto out;
    wait->job = rotation_start(env->rotation,
                               &(struct rotation_order){
                                   .credential = credential,
                                   .key = key,
                                   .is_dry_run = wait->is_dry_run,
                                   .wait_s = wait_s,
                               },
                               on_news, wait, &err);
    if (wait->job == NULL) {
        free(wait);
        control_rotate_refuse(exchange, &err);
        goto out;
    }
    control_wait(exchange, &wait_ops, wait);
out:
    key_unref(&key);
}

/* False: the exchange has ended. */
static bool
check_reference(struct control_exchange *exchange, const char *credential)
{
    char name[CONTROL_REFERENCE_SIZE];

    control_reference_name(reference_of(exchange->root), name);
    if (name[0] != '\0')
        name_key(exchange, credential, NULL, name);
    if (control_reference_is_allowed(exchange) ||
        json_object_get(exchange->root, "secret_ref") == NULL)
        return true;
    control_reference_refuse(exchange, "this request");
    return false;
}

void
control_verb_rotate(struct control_exchange *exchange)
{
    const json_t *wait = json_object_get(exchange->root, "wait");
    const char *credential = control_text(
        exchange, "credential", "rotate wants the name of a credential");

    if (credential == NULL || !check_reference(exchange, credential))
        return;
    if (exchange->env->rotation == NULL) {
        control_refuse(exchange, "failed", "this daemon rotates nothing");
        return;
    }
    if (wait != NULL &&
        (!json_is_integer(wait) || json_integer_value(wait) < 0 ||
         json_integer_value(wait) > WAIT_MAX_S)) {
        control_refuse(exchange, "bad-request",
                       "rotate wants wait as seconds from 0 to 600");
        return;
    }
    if (json_is_true(json_object_get(exchange->root, "forget")))
        control_forget_keys(exchange, credential,
                            wait != NULL ? json_integer_value(wait) : 0);
    else if (json_is_true(json_object_get(exchange->root, "now")))
        control_renewal_now(exchange, credential);
    else
        start(exchange, credential,
              wait != NULL ? json_integer_value(wait) : ROTATION_WAIT_S);
}
