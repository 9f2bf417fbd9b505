/*
 * control_transfer - the verbs that move what is held to another host.
 *
 * Nothing plain leaves: each record is sealed with a key that the operator's
 * program makes of a passphrase, bound to its kind and name, and the last line
 * is bound to how many there are. What is taken in is opened whole before any
 * of it is used.
 *
 *     {"event": "record", "kind": K, "name": N, "sealed": "..."} ...
 *     {"ok": true, "result": {"count": 7, "sealed": "...", "renewing": [N]}}
 *
 *     {"kind": K, "name": N, "sealed": "..."} ...
 *     {"count": 7, "sealed": "..."}
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/secret.h"
#include "token-daemon/base64url.h"
#include "token-daemon/control_exchange.h"
#include "token-daemon/control_reference.h"
#include "token-daemon/graph_rotator.h"
#include "token-daemon/names.h"
#include "token-daemon/opening.h"
#include "token-daemon/seal.h"

#define END_KIND        "end" /* of the last line, whose name is the count */
#define RECORDS_AT_ONCE 2     /* a fraction of a millisecond */
#define SEALED_MAX      (STORE_VALUE_MAX + SEAL_OVERHEAD)
#define TEXT_MAX        (SEALED_MAX * 4 / 3 + 4)

/* The key of the request. NULL: the exchange has ended. */
static struct seal *
take_key(struct control_exchange *exchange)
{
    const char *text = control_text(exchange, "key", "this verb wants a key");
    struct err err = {ERR_NONE, ""};
    struct seal_key key;
    struct seal *seal = NULL;

    if (text == NULL)
        return NULL;
    if (seal_key_parse(text, strlen(text), &key, &err) == 0)
        seal = seal_new(&key, &err);
    secret_wipe(&key, sizeof(key));
    if (seal == NULL)
        control_refuse(exchange, "bad-request", err.text);
    return seal;
}

/* What is sealed under this kind and name, as text in `out`. */
static int
seal_text(struct seal *seal, const char *kind, const char *name,
          const char *value, size_t len, struct buf *out, struct err *err)
{
    const struct seal_label label = {kind, name};
    struct buf sealed;
    int rc;

    buf_init(&sealed, SEALED_MAX);
    rc = seal_close(seal, &label, value, len, &sealed, err);
    if (rc == 0)
        base64url_append(out, sealed.data, sealed.len);
    if (buf_failed(out))
        rc = err_set(err, ERR_SYSTEM, "out of memory");
    buf_clear(&sealed);
    return rc;
}

/* ---- export ------------------------------------------------------------- */

/* Tokens are named first, as they may come and go meanwhile. */
struct export_wait {
    struct control_exchange *exchange;
    struct seal *seal;
    struct names tokens;
    size_t count;
    json_t *renewing; /* names of credentials that renew themselves */
    struct err err;   /* the first that went wrong */
};

/* Two hosts must not renew one and the same. */
static void
note_renewing(struct export_wait *export, const struct store_record *record)
{
    const struct control_env *env = export->exchange->env;
    struct graph_renewal_info info;

    /* On failure the file is good all the same. */
    if (strcmp(record->kind, GRAPH_ROTATOR_KIND) == 0 &&
        env->graph_rotator != NULL &&
        graph_rotator_describe(env->graph_rotator, record->name, &info))
        (void)json_array_append_new(export->renewing,
                                    control_string(record->name));
}

/* state_record_fn */
static void
tell_record(const struct store_record *record, void *arg)
{
    struct export_wait *export = arg;
    struct buf text;

    if (export->err.code != ERR_NONE)
        return;
    buf_init(&text, TEXT_MAX);
    if (seal_text(export->seal, record->kind, record->name, record->value,
                  record->len, &text, &export->err) == 0) {
        control_tell(export->exchange, "record",
                     json_pack("{s:o, s:o, s:s}", "kind",
                               control_string(record->kind), "name",
                               control_string(record->name), "sealed",
                               buf_str(&text)));
        export->count++;
        note_renewing(export, record);
    }
    buf_clear(&text);
}

static void
export_free(void *arg)
{
    struct export_wait *export = arg;

    json_decref(export->renewing);
    names_clear(&export->tokens);
    seal_free(&export->seal);
    free(export);
}

static void
finish_export(struct export_wait *export)
{
    struct control_exchange *exchange = export->exchange;
    struct err err = export->err;
    json_t *result = NULL;
    struct buf text;
    char count[24];

    buf_init(&text, TEXT_MAX);
    (void)snprintf(count, sizeof(count), "%zu", export->count);
    if (err.code == ERR_NONE &&
        seal_text(export->seal, END_KIND, count, "", 0, &text, &err) == 0)
        result =
            json_pack("{s:I, s:s, s:O*}", "count", (json_int_t) export->count,
                      "sealed", buf_str(&text), "renewing", export->renewing);
    log_info("what is held was exported by an operator",
             F_INT("records", export->count));
    buf_clear(&text);
    export_free(export);
    if (err.code == ERR_NONE)
        control_answer(exchange, result);
    else
        control_refuse(exchange, "failed", err.text);
}

/* control_wait_ops.more */
static void
export_more(void *arg)
{
    struct export_wait *export = arg;
    const struct control_env *env = export->exchange->env;
    const char *name = NULL;

    for (int i = 0; i < RECORDS_AT_ONCE && export->err.code == ERR_NONE; i++) {
        name = names_next(&export->tokens);
        if (name == NULL)
            break;
        env->export_token(env->arg, name, tell_record, export);
    }
    if (name != NULL && export->err.code == ERR_NONE)
        return;
    if (export->err.code == ERR_NONE)
        env->export_others(env->arg, tell_record, export);
    finish_export(export);
}

/* state_each_token() visitor. */
static void
note_name(const char *name, void *arg)
{
    struct export_wait *export = arg;

    names_add(&export->tokens, name);
}

void
control_verb_export(struct control_exchange *exchange)
{
    static const struct control_wait_ops ops = {.cancel = export_free,
                                                .more = export_more};
    const struct control_env *env = exchange->env;
    struct seal *seal = take_key(exchange);
    struct export_wait *export;

    if (seal == NULL)
        return;
    export = calloc(1, sizeof(*export));
    if (export == NULL) {
        seal_free(&seal);
        control_answer(exchange, NULL);
        return;
    }
    export->exchange = exchange;
    export->seal = seal;
    export->renewing = json_array();
    names_init(&export->tokens);
    env->each_token(env->arg, note_name, export);
    if (names_failed(&export->tokens))
        err_set(&export->err, ERR_SYSTEM, "out of memory");
    control_wait(exchange, &ops, export);
}

/* ---- import ------------------------------------------------------------- */

struct import_wait {
    struct control_exchange *exchange;
    struct seal *seal;
    struct opening *records; /* those that have come, opened */
};

static void
import_free(struct import_wait *wait)
{
    seal_free(&wait->seal);
    opening_free(&wait->records);
    free(wait);
}

static void
cancel_import(void *arg)
{
    import_free(arg);
}

static void
refuse_import(struct import_wait *wait, const char *code, const char *text)
{
    control_refuse(wait->exchange, code, text);
    import_free(wait);
}

/* Open what a line holds. */
static int
open_text(struct import_wait *wait, const char *kind, const char *name,
          const char *sealed, struct buf *plain, struct err *err)
{
    const struct seal_label label = {kind, name};
    struct buf bytes;
    int rc;

    buf_init(&bytes, SEALED_MAX);
    if (base64url_decode(&bytes, sealed, strlen(sealed)) < 0 ||
        buf_failed(&bytes))
        rc = err_set(err, ERR_PROTO, "a line of the file is damaged");
    else
        rc = seal_open(wait->seal, &label, bytes.data, bytes.len, plain, err);
    buf_clear(&bytes);
    return rc;
}

/* The last line has come: all are there, or none is taken. */
static void
finish_import(struct import_wait *wait, json_int_t count, const char *sealed)
{
    const struct control_env *env = wait->exchange->env;
    struct err err = {ERR_NONE, ""};
    struct buf plain;
    char name[24];
    int kept;

    buf_init(&plain, STORE_VALUE_MAX);
    (void)snprintf(name, sizeof(name), "%lld", (long long)count);
    if (count < 0 || (size_t)count != wait->records->count) {
        refuse_import(wait, "bad-request",
                      "the file is not whole; nothing was taken");
    } else if (open_text(wait, END_KIND, name, sealed, &plain, &err) < 0) {
        refuse_import(wait, "bad-passphrase", err.text);
    } else if ((kept = env->import_records(env->arg, wait->records->records,
                                           wait->records->count, &err)) < 0) {
        refuse_import(wait, "failed", err.text);
    } else {
        log_info("what another host held was imported by an operator",
                 F_INT("records", wait->records->count), F_INT("kept", kept));
        control_answer_durable(wait->exchange,
                               json_pack("{s:I, s:I, s:i}", "count", count,
                                         "taken", count - kept, "kept", kept));
        import_free(wait);
    }
    buf_clear(&plain);
}

/* A record more. The exchange may have ended by it. */
static void
add_record(struct import_wait *wait, const struct store_record *record)
{
    const struct store_reader reader = opening_reader(wait->records);
    struct err err = {ERR_NONE, ""};
    int found = 0;

    if (!control_reference_is_allowed(wait->exchange))
        found = control_reference_in_record(record, &err);
    if (found > 0) {
        control_reference_refuse(wait->exchange, "a key in the file");
        import_free(wait);
        return;
    }
    if (found == 0)
        reader.record(record, reader.arg);
    if (found < 0 || wait->records->is_short_of_memory)
        refuse_import(wait, "failed", "out of memory");
}

/* control_wait_ops.line */
static void
on_import_line(void *arg, const json_t *root)
{
    struct import_wait *wait = arg;
    const char *kind = json_string_value(json_object_get(root, "kind"));
    const char *name = json_string_value(json_object_get(root, "name"));
    const char *sealed = json_string_value(json_object_get(root, "sealed"));
    const json_t *count = json_object_get(root, "count");
    struct err err = {ERR_NONE, ""};
    struct buf plain;

    if (sealed != NULL && json_is_integer(count)) {
        finish_import(wait, json_integer_value(count), sealed);
        return;
    }
    if (kind == NULL || name == NULL || sealed == NULL) {
        refuse_import(wait, "bad-request",
                      "a line of the file is not understood");
        return;
    }
    buf_init(&plain, STORE_VALUE_MAX);
    if (open_text(wait, kind, name, sealed, &plain, &err) < 0) {
        refuse_import(wait, "bad-passphrase",
                      "it is another passphrase, or the file was changed; "
                      "nothing was taken");
    } else {
        add_record(wait, &(struct store_record){.kind = kind,
                                                .name = name,
                                                .value = buf_str(&plain),
                                                .len = plain.len});
    }
    buf_clear(&plain);
}

void
control_verb_import(struct control_exchange *exchange)
{
    static const struct control_wait_ops ops = {.cancel = cancel_import,
                                                .line = on_import_line};
    struct import_wait *wait = calloc(1, sizeof(*wait));
    struct seal *seal = take_key(exchange);

    if (seal == NULL) {
        free(wait);
        return;
    }
    if (wait != NULL)
        wait->records = opening_new();
    if (wait == NULL || wait->records == NULL) {
        seal_free(&seal);
        free(wait);
        control_answer(exchange, NULL);
        return;
    }
    wait->seal = seal;
    wait->exchange = exchange;
    control_wait(exchange, &ops, wait);
}
