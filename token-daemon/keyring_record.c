/*
 * keyring_record - what is stored of one credential's keys, as bytes.
 *
 *     {"version":1,"salt":"...","client":"...",
 *      "kept":[{"kind":"secret","stage":"ahead","text":"...","added":...,...}],
 *      "configured":[{"refs":"file:/...","seen":"...","worked":...,...}]}
 */
#include "token-daemon/keyring_record.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/config_reference.h"
#include "common/config_value.h"
#include "common/utf8.h"
#include "common/util.h"

#define VERSION     1
#define SALT_DIGITS ((size_t)2 * KEY_SALT_LEN)
#define TIME_MAX    INT64_C(253402300799) /* s: the end of the year 9999 */

static const char *const part_names[KEY_PART_COUNT] = {
    "text", "certificate", "private_key", "passphrase"};
static const char *const ref_names[KEY_PART_COUNT] = {
    "text_ref", "certificate_ref", "private_key_ref", "passphrase_ref"};
static const size_t part_limits[KEY_PART_COUNT] = {
    KEY_SECRET_MAX, KEY_PEM_MAX, KEY_PEM_MAX, KEY_PASSPHRASE_MAX};
static const enum key_kind kinds[] = {KEY_SECRET, KEY_CERTIFICATE, KEY_ACCOUNT,
                                      KEY_FEDERATED};
static const struct {
    const char *word;
    enum key_stage stage;
} stages[] = {
    {"candidate", KEY_CANDIDATE}, {"ahead", KEY_AHEAD}, {"behind", KEY_BEHIND}};

void
keyring_record_clear(struct keyring_record *record)
{
    key_list_clear(&record->kept);
    for (size_t i = 0; i < record->memo_count; i++)
        free(record->memos[i].refs);
    free(record->memos);
    *record = (struct keyring_record){0};
}

char *
keyring_record_refs(const struct key *key)
{
    struct buf text;
    char *copy = NULL;

    buf_init(&text, KEYRING_RECORD_MAX);
    buf_append_str(&text, key_kind_word(key->kind));
    for (size_t i = 0; i < KEY_PART_COUNT; i++) {
        const struct config_ref *ref = &key->refs[i];

        buf_append_char(&text, '\n');
        if (ref->kind != CONFIG_REF_NONE)
            buf_append_str(&text,
                           ref->written != NULL ? ref->written : ref->text);
    }
    if (!buf_failed(&text))
        copy = strdup(buf_str(&text));
    buf_clear(&text);
    return copy;
}

/* A memo more, which is empty. NULL: out of memory. */
static struct keyring_memo *
add_memo(struct keyring_record *record)
{
    struct keyring_memo *memos = reallocarray(
        record->memos, record->memo_count + 1, sizeof(*record->memos));

    if (memos == NULL)
        return NULL;
    record->memos = memos;
    memos[record->memo_count] = (struct keyring_memo){0};
    return &memos[record->memo_count++];
}

int
keyring_record_note(struct keyring_record *record, const struct key *key)
{
    struct keyring_memo *memo = add_memo(record);

    if (memo == NULL)
        return -1;
    memo->refs = keyring_record_refs(key);
    memo->health = key->health;
    memo->added_wall = key->added_wall;
    memcpy(memo->seen, key->seen, sizeof(memo->seen));
    memcpy(memo->refused, key->refused, sizeof(memo->refused));
    return memo->refs != NULL ? 0 : -1;
}

/* ---- to bytes ---- */

/* What can't be a JSON string is left out; that is checked before it is kept.
 * Members that are missing read as empty. */
static int
set_text(json_t *object, const char *name, const char *text)
{
    if (text == NULL || text[0] == '\0' || !utf8_is_valid(text, strlen(text)))
        return 0;
    return json_object_set_new(object, name, json_string(text));
}

static int
set_time(json_t *object, const char *name, int64_t at)
{
    return at > 0 ? json_object_set_new(object, name, json_integer(at)) : 0;
}

static int
add_health(json_t *object, const struct key_health *health)
{
    const char *reason =
        health->problem != PROBLEM_NONE ? problem_word(health->problem) : NULL;

    return set_text(object, "id", health->id) < 0 ||
                   set_time(object, "not_after", health->not_after) < 0 ||
                   set_time(object, "worked", health->worked_wall) < 0 ||
                   set_time(object, "failed", health->failed_wall) < 0 ||
                   set_text(object, "reason", reason) < 0 ||
                   set_text(object, "error", health->text) < 0
               ? -1
               : 0;
}

static int
add_parts(json_t *object, const struct key *key, struct err *err)
{
    for (size_t i = 0; i < KEY_PART_COUNT; i++) {
        const struct config_ref *ref = &key->refs[i];
        const char *text =
            key->material != NULL ? key->material->texts[i] : NULL;
        size_t len = text != NULL ? key->material->lens[i] : 0;

        if (len > part_limits[i] || strlen(text != NULL ? text : "") != len ||
            (text != NULL && !utf8_is_valid(text, len)))
            return err_set(err, ERR_CONFIG,
                           "%s is no text, or longer than %zu bytes",
                           part_names[i], part_limits[i]);
        if (set_text(object, part_names[i], text) < 0 ||
            (ref->kind != CONFIG_REF_NONE &&
             set_text(object, ref_names[i], ref->written) < 0))
            return err_set(err, ERR_SYSTEM, "out of memory");
    }
    return 0;
}

static json_t *
encode_kept(const struct key *key, struct err *err)
{
    json_t *object = json_pack("{s:s}", "kind", key_kind_word(key->kind));
    const char *stage = "ahead";

    for (size_t i = 0; i < ARRAY_LEN(stages); i++)
        if (stages[i].stage == key->stage)
            stage = stages[i].word;
    if (object == NULL || set_text(object, "stage", stage) < 0 ||
        set_text(object, "origin", key->origin) < 0 ||
        set_text(object, "tag", key->tag) < 0 ||
        set_time(object, "added", key->added_wall) < 0 ||
        add_health(object, &key->health) < 0) {
        json_decref(object);
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    if (add_parts(object, key, err) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *
encode_memo(const struct keyring_memo *memo)
{
    json_t *object = json_object();

    if (object != NULL && set_text(object, "refs", memo->refs) == 0 &&
        set_text(object, "seen", memo->seen) == 0 &&
        set_text(object, "refused", memo->refused) == 0 &&
        set_time(object, "added", memo->added_wall) == 0 &&
        add_health(object, &memo->health) == 0)
        return object;
    json_decref(object);
    return NULL;
}

static void
write_salt(const struct key_salt *salt, char out[SALT_DIGITS + 1])
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < KEY_SALT_LEN; i++) {
        out[2 * i] = hex[salt->bytes[i] >> 4];
        out[2 * i + 1] = hex[salt->bytes[i] & 15];
    }
    out[SALT_DIGITS] = '\0';
}

static int
fill(json_t *root, const struct keyring_record *record, struct err *err)
{
    char salt[SALT_DIGITS + 1];
    json_t *kept = json_array();
    json_t *configured = json_array();

    write_salt(&record->salt, salt);
    if (json_object_set_new(root, "kept", kept) < 0 ||
        json_object_set_new(root, "configured", configured) < 0 ||
        json_object_set_new(root, "version", json_integer(VERSION)) < 0 ||
        set_text(root, "salt", salt) < 0 ||
        set_text(root, "client", record->client) < 0)
        return err_set(err, ERR_SYSTEM, "out of memory");
    for (size_t i = 0; i < record->kept.count; i++) {
        json_t *object = encode_kept(record->kept.keys[i], err);

        if (object == NULL)
            return -1;
        if (json_array_append_new(kept, object) < 0)
            return err_set(err, ERR_SYSTEM, "out of memory");
    }
    for (size_t i = 0; i < record->memo_count; i++)
        if (json_array_append_new(configured, encode_memo(&record->memos[i])) <
            0)
            return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}

static int
append_to_buf(const char *data, size_t len, void *arg)
{
    struct buf *out = arg;

    buf_append(out, data, len);
    return buf_failed(out) ? -1 : 0;
}

int
keyring_record_encode(const struct keyring_record *record, struct buf *out,
                      struct err *err)
{
    json_t *root = json_object();
    int rc = -1;

    if (root == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    if (fill(root, record, err) < 0)
        goto out;
    if (json_dumpb(root, NULL, 0, JSON_COMPACT) > KEYRING_RECORD_MAX) {
        (void)err_set(err, ERR_CONFIG,
                      "the keys that are kept are longer than %zu bytes",
                      KEYRING_RECORD_MAX);
        goto out;
    }
    if (json_dump_callback(root, append_to_buf, out, JSON_COMPACT) < 0) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        goto out;
    }
    rc = 0;
out:
    json_decref(root);
    return rc;
}

/* ---- and back ---- */

/* Into an array of `size` bytes; what is missing or too long is "". */
static void
get_text(const json_t *object, const char *name, char *out, size_t size)
{
    const json_t *member = json_object_get(object, name);
    size_t len = json_string_length(member);

    out[0] = '\0';
    if (json_is_string(member) && len < size)
        memcpy(out, json_string_value(member), len + 1);
}

static int64_t
get_time(const json_t *object, const char *name)
{
    int64_t at = json_integer_value(json_object_get(object, name));

    return at > 0 && at <= TIME_MAX ? at : 0;
}

static void
get_health(const json_t *object, struct key_health *out)
{
    char reason[32];

    get_text(object, "id", out->id, sizeof(out->id));
    get_text(object, "error", out->text, sizeof(out->text));
    get_text(object, "reason", reason, sizeof(reason));
    out->not_after = get_time(object, "not_after");
    out->worked_wall = get_time(object, "worked");
    out->failed_wall = get_time(object, "failed");
    if (strcmp(reason, problem_word(PROBLEM_BAD_SECRET)) == 0)
        out->problem = PROBLEM_BAD_SECRET;
    else if (reason[0] != '\0')
        out->problem = PROBLEM_NO_SECRET;
}

/* The kind of such a word, as a key without anything. */
static struct key *
new_of_word(const char *word, const struct key_salt *salt, struct err *err)
{
    struct key *key;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (word == NULL || strcmp(word, key_kind_word(kinds[i])) != 0)
            continue;
        key = key_new(kinds[i], salt);
        if (key == NULL)
            (void)err_set(err, ERR_SYSTEM, "out of memory");
        return key;
    }
    (void)err_set(err, ERR_PROTO, "a stored key is of an unknown kind");
    return NULL;
}

static int
get_ref(const json_t *object, size_t part, struct key *key, struct err *err)
{
    const char *text =
        json_string_value(json_object_get(object, ref_names[part]));
    struct err reason = {ERR_NONE, ""};

    if (text == NULL)
        return 0;
    if ((part == KEY_PART_PRIVATE_KEY ? config_value_key_ref(text, &reason)
                                      : config_value_ref(text, &reason)) < 0)
        return err_set(err, ERR_PROTO, "a stored key has a bad reference");
    if (config_reference_parse(text, &key->refs[part]) < 0)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}

static int
get_parts(const json_t *object, struct key *key, struct err *err)
{
    struct key_part_text parts[KEY_PART_COUNT] = {{NULL, 0}};
    bool has_any = false;

    for (size_t i = 0; i < KEY_PART_COUNT; i++) {
        const json_t *member = json_object_get(object, part_names[i]);

        if (get_ref(object, i, key, err) < 0)
            return -1;
        if (member == NULL)
            continue;
        parts[i] = (struct key_part_text){json_string_value(member),
                                          json_string_length(member)};
        if (!json_is_string(member) || parts[i].len == 0 ||
            parts[i].len > part_limits[i])
            return err_set(err, ERR_PROTO, "a stored key is no text");
        has_any = true;
    }
    if (!has_any)
        return 0;
    key->material = key_material_new(parts, &key->salt, err);
    return key->material != NULL ? 0 : -1;
}

static int
decode_kept(const json_t *object, struct keyring_record *record,
            struct err *err)
{
    struct key *key = new_of_word(
        json_string_value(json_object_get(object, "kind")), &record->salt, err);
    const char *stage = json_string_value(json_object_get(object, "stage"));
    int rc = -1;

    if (key == NULL)
        return -1;
    key->stage = KEY_BEHIND; /* of a word that a later version may have */
    for (size_t i = 0; i < ARRAY_LEN(stages); i++)
        if (stage != NULL && strcmp(stage, stages[i].word) == 0)
            key->stage = stages[i].stage;
    get_text(object, "origin", key->origin, sizeof(key->origin));
    get_text(object, "tag", key->tag, sizeof(key->tag));
    key->added_wall = get_time(object, "added");
    get_health(object, &key->health);
    if (get_parts(object, key, err) < 0)
        goto out;
    if (key_list_add(&record->kept, key) < 0) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        goto out;
    }
    rc = 0;
out:
    key_unref(&key);
    return rc;
}

static int
decode_memo(const json_t *object, struct keyring_record *record,
            struct err *err)
{
    const char *refs = json_string_value(json_object_get(object, "refs"));
    struct keyring_memo *memo;

    if (refs == NULL || refs[0] == '\0')
        return 0;
    memo = add_memo(record);
    if (memo != NULL)
        memo->refs = strdup(refs);
    if (memo == NULL || memo->refs == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    get_health(object, &memo->health);
    memo->added_wall = get_time(object, "added");
    get_text(object, "seen", memo->seen, sizeof(memo->seen));
    get_text(object, "refused", memo->refused, sizeof(memo->refused));
    return 0;
}

static int
get_salt(const json_t *root, struct key_salt *out, struct err *err)
{
    const char *text = json_string_value(json_object_get(root, "salt"));

    if (text == NULL || strlen(text) != SALT_DIGITS ||
        strspn(text, "0123456789abcdef") != SALT_DIGITS)
        return err_set(err, ERR_PROTO, "a record of keys has no salt");
    for (size_t i = 0; i < KEY_SALT_LEN; i++) {
        const char pair[] = {text[2 * i], text[2 * i + 1], '\0'};

        out->bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return 0;
}

static int
take(const json_t *root, struct keyring_record *record, struct err *err)
{
    const json_t *version = json_object_get(root, "version");
    const json_t *kept = json_object_get(root, "kept");
    const json_t *configured = json_object_get(root, "configured");

    if (!json_is_integer(version) || json_integer_value(version) < 1)
        return err_set(err, ERR_PROTO, "a record of keys has no version");
    if (json_integer_value(version) > VERSION)
        return err_set(err, ERR_PROTO,
                       "a record of keys is of a later version of this "
                       "program");
    if (json_array_size(kept) > KEYRING_RECORD_KEYS_MAX ||
        json_array_size(configured) > KEYRING_RECORD_KEYS_MAX)
        return err_set(err, ERR_PROTO, "a record has too many keys");
    if (get_salt(root, &record->salt, err) < 0)
        return -1;
    get_text(root, "client", record->client, sizeof(record->client));
    for (size_t i = 0; i < json_array_size(kept); i++)
        if (decode_kept(json_array_get(kept, i), record, err) < 0)
            return -1;
    for (size_t i = 0; i < json_array_size(configured); i++)
        if (decode_memo(json_array_get(configured, i), record, err) < 0)
            return -1;
    return 0;
}

int
keyring_record_decode(const char *data, size_t len, struct keyring_record *out,
                      struct err *err)
{
    struct keyring_record record = {0};
    json_t *root = NULL;
    json_error_t where; /* not for a message: it quotes the input */
    int rc = -1;

    *out = (struct keyring_record){0};
    if (len > KEYRING_RECORD_MAX)
        return err_set(err, ERR_PROTO, "a record of keys is over %zu bytes",
                       KEYRING_RECORD_MAX);
    root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(root)) {
        (void)err_set(err, ERR_PROTO, "a record of keys is no JSON object");
        goto out;
    }
    if (take(root, &record, err) < 0)
        goto out;
    *out = record; /* what it owns moves to the caller */
    record = (struct keyring_record){0};
    rc = 0;
out:
    keyring_record_clear(&record);
    json_decref(root);
    return rc;
}
