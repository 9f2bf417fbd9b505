/*
 * graph_record - a credential's rotation as bytes.
 *
 *     {"version":1,"client_id":"...","phase":"probing","current":{...},
 *      "candidate":{...},"private_key":"...","retired":[{...}],"due":...}
 */
#include "token-daemon/graph_record.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/secret.h"
#include "common/util.h"

#define VERSION  1
#define TIME_MAX INT64_C(253402300799) /* s: the end of the year 9999 */

static const char *const phase_words[GRAPH_ROTATION_PHASES] = {
    [GRAPH_ROTATION_IDLE] = "idle",
    [GRAPH_ROTATION_SENDING] = "sending",
    [GRAPH_ROTATION_PROBING] = "probing",
    [GRAPH_ROTATION_PROMOTING] = "promoting",
};

/* ---- to bytes ---- */

static json_t *
encode_entry(const struct graph_rotation_entry *entry)
{
    return json_pack("{s:b, s:s, s:s, s:s, s:b, s:I, s:i}", "secret",
                     entry->is_secret, "tag", entry->tag, "key_id",
                     entry->key_id, "thumbprint", entry->thumbprint, "used",
                     entry->was_used, "remove", (json_int_t)entry->remove_wall,
                     "misses", (int)entry->misses);
}

static json_t *
encode_retired(const struct graph_rotation *rotation)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < rotation->retired_count; i++)
        if (json_array_append_new(list, encode_entry(&rotation->retired[i])) <
            0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static json_t *
encode(const struct graph_rotation *rotation, const char *client_id)
{
    return json_pack(
        "{s:i, s:s, s:s, s:o, s:o, s:o, s:s*, s:s*, s:s*, s:I, s:I, s:I, s:i, "
        "s:I, s:i, s:I, s:s}",
        "version", VERSION, "client_id", client_id, "phase",
        phase_words[rotation->phase], "current",
        encode_entry(&rotation->current), "candidate",
        encode_entry(&rotation->candidate), "retired", encode_retired(rotation),
        "certificate", rotation->certificate, "private_key",
        rotation->private_key, "client_secret", rotation->secret, "rotated",
        (json_int_t)rotation->rotated_wall, "due",
        (json_int_t)rotation->due_wall, "added",
        (json_int_t)rotation->added_wall, "failures", (int)rotation->failures,
        "not_before", (json_int_t)rotation->not_before_wall, "clean_failures",
        (int)rotation->clean_failures, "clean",
        (json_int_t)rotation->clean_wall, "reason", rotation->reason);
}

static int
append_to_buf(const char *data, size_t len, void *arg)
{
    struct buf *out = arg;

    buf_append(out, data, len);
    return buf_failed(out) ? -1 : 0;
}

int
graph_record_encode(const struct graph_rotation *rotation,
                    const char *client_id, struct buf *out, struct err *err)
{
    json_t *root = encode(rotation, client_id);
    int rc = 0;

    if (root == NULL)
        return err_set(err, ERR_PROTO,
                       "it can't be kept: not UTF-8, or out of memory");
    if (json_dump_callback(root, append_to_buf, out, JSON_COMPACT) < 0)
        rc = err_set(err, ERR_SYSTEM, "no room for it");
    json_decref(root);
    return rc;
}

/* ---- from bytes ---- */

static int
fail_malformed(const char *key, struct err *err)
{
    return err_set(err, ERR_PROTO, "its member %s is malformed", key);
}

/* Into an array of `size` bytes; a member that is missing is empty. */
static int
get_text(const json_t *object, const char *key, char *out, size_t size,
         struct err *err)
{
    const json_t *member = json_object_get(object, key);

    if (member == NULL)
        return 0;
    if (!json_is_string(member) || json_string_length(member) >= size)
        return fail_malformed(key, err);
    (void)snprintf(out, size, "%s", json_string_value(member));
    return 0;
}

static int
get_secret(const json_t *object, const char *key, char **out, struct err *err)
{
    const json_t *member = json_object_get(object, key);

    if (member == NULL)
        return 0;
    if (!json_is_string(member) || json_string_length(member) == 0)
        return fail_malformed(key, err);
    *out = secret_dup(json_string_value(member));
    return *out != NULL ? 0 : err_set(err, ERR_SYSTEM, "out of memory");
}

static int
get_number(const json_t *object, const char *key, int64_t max, int64_t *out,
           struct err *err)
{
    const json_t *member = json_object_get(object, key);

    *out = 0;
    if (member == NULL)
        return 0;
    if (!json_is_integer(member) || json_integer_value(member) < 0 ||
        json_integer_value(member) > max)
        return fail_malformed(key, err);
    *out = json_integer_value(member);
    return 0;
}

static int
get_count(const json_t *object, const char *key, unsigned *out, struct err *err)
{
    int64_t number;

    if (get_number(object, key, INT32_MAX, &number, err) < 0)
        return -1;
    *out = (unsigned)number;
    return 0;
}

static int
decode_entry(const json_t *object, struct graph_rotation_entry *out,
             struct err *err)
{
    if (!json_is_object(object))
        return fail_malformed("entry", err);
    out->is_secret = json_is_true(json_object_get(object, "secret"));
    out->was_used = json_is_true(json_object_get(object, "used"));
    if (get_text(object, "tag", out->tag, sizeof(out->tag), err) < 0 ||
        get_text(object, "key_id", out->key_id, sizeof(out->key_id), err) < 0 ||
        get_text(object, "thumbprint", out->thumbprint, sizeof(out->thumbprint),
                 err) < 0 ||
        get_number(object, "remove", TIME_MAX, &out->remove_wall, err) < 0 ||
        get_count(object, "misses", &out->misses, err) < 0)
        return -1;
    return 0;
}

static int
decode_retired(const json_t *list, struct graph_rotation *out, struct err *err)
{
    if (!json_is_array(list) ||
        json_array_size(list) > GRAPH_ROTATION_RETIRED_MAX)
        return fail_malformed("retired", err);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (decode_entry(json_array_get(list, i), &out->retired[i], err) < 0)
            return -1;
    out->retired_count = json_array_size(list);
    return 0;
}

static int
decode_phase(const json_t *root, struct graph_rotation *out, struct err *err)
{
    const char *word = json_string_value(json_object_get(root, "phase"));

    for (size_t i = 0; word != NULL && i < ARRAY_LEN(phase_words); i++) {
        if (strcmp(word, phase_words[i]) != 0)
            continue;
        out->phase = (enum graph_rotation_phase)i;
        return 0;
    }
    return fail_malformed("phase", err);
}

/* Is everything there that the phase needs? */
static int
check_phase(const struct graph_rotation *rotation, struct err *err)
{
    bool is_secret = rotation->candidate.is_secret;
    bool has_key =
        rotation->certificate != NULL && rotation->private_key != NULL;

    if (rotation->phase == GRAPH_ROTATION_IDLE)
        return 0;
    if (rotation->candidate.tag[0] == '\0' || (!is_secret && !has_key) ||
        (is_secret && rotation->phase != GRAPH_ROTATION_SENDING &&
         rotation->secret == NULL))
        return fail_malformed("candidate", err);
    return 0;
}

static int
decode(const json_t *root, struct graph_rotation *out, struct err *err)
{
    if (decode_phase(root, out, err) < 0 ||
        decode_entry(json_object_get(root, "current"), &out->current, err) <
            0 ||
        decode_entry(json_object_get(root, "candidate"), &out->candidate, err) <
            0 ||
        decode_retired(json_object_get(root, "retired"), out, err) < 0 ||
        get_secret(root, "certificate", &out->certificate, err) < 0 ||
        get_secret(root, "private_key", &out->private_key, err) < 0 ||
        get_secret(root, "client_secret", &out->secret, err) < 0 ||
        get_number(root, "rotated", TIME_MAX, &out->rotated_wall, err) < 0 ||
        get_number(root, "due", TIME_MAX, &out->due_wall, err) < 0 ||
        get_number(root, "added", TIME_MAX, &out->added_wall, err) < 0 ||
        get_count(root, "failures", &out->failures, err) < 0 ||
        get_number(root, "not_before", TIME_MAX, &out->not_before_wall, err) <
            0 ||
        get_count(root, "clean_failures", &out->clean_failures, err) < 0 ||
        get_number(root, "clean", TIME_MAX, &out->clean_wall, err) < 0 ||
        get_text(root, "reason", out->reason, sizeof(out->reason), err) < 0 ||
        check_phase(out, err) < 0)
        return -1;
    /* Nobody knows what became of it. */
    out->is_doubtful = out->phase == GRAPH_ROTATION_SENDING;
    return 0;
}

int
graph_record_decode(const char *data, size_t len, const char *client_id,
                    struct graph_rotation *out, struct err *err)
{
    json_error_t where; /* its text may quote the input */
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &where);
    const char *owner = json_string_value(json_object_get(root, "client_id"));
    int rc = -1;

    *out = (struct graph_rotation){.phase = GRAPH_ROTATION_IDLE};
    if (!json_is_object(root) || owner == NULL)
        (void)err_set(err, ERR_PROTO, "it is not a rotation's record");
    else if (json_integer_value(json_object_get(root, "version")) != VERSION)
        (void)err_set(err, ERR_PROTO, "it is of another version");
    else if (strcmp(owner, client_id) != 0)
        (void)err_set(err, ERR_NOTFOUND, "it is another application's");
    else
        rc = decode(root, out, err);
    if (rc < 0)
        graph_rotation_clear(out);
    json_decref(root);
    return rc;
}
