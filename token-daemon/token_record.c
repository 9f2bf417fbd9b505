/*
 * token_record - what is kept of one token across a restart, as bytes.
 *
 *     {"version":2,"access_token_bytes":1500,"expires":1700000000,
 *      "refresh_token_bytes":900,"refresh_token_obtained":1690000000,...}
 *     <the access token><the refresh token>
 *
 * The tokens stand behind the object and a line feed, as they are: nearly all
 * of the bytes of thousands of records need no parsing then. In version 1 they
 * were members, `access_token` and `refresh_token`. A `secret_index`, which
 * said which secret of the list had worked last, is left out: the list may be
 * another one.
 */
#include "token-daemon/token_record.h"

#include <stdbool.h>
#include <string.h>

#include <jansson.h>

#include "common/secret.h"
#include "common/utf8.h"

#define VERSION    2
#define TIME_MAX   INT64_C(253402300799) /* s: the end of the year 9999 */
#define NUMBER_MAX INT32_MAX

void
token_record_clear(struct token_record *record)
{
    secret_free(&record->access_token);
    secret_free(&record->refresh_token);
    secret_free(&record->scope);
    secret_free(&record->user);
    *record = (struct token_record){0};
}

void
token_record_drop_access(struct token_record *record)
{
    secret_free(&record->access_token);
    record->expires_wall = record->lifetime_s = record->due_wall = 0;
    record->failures = 0;
    record->reason[0] = '\0';
}

static int
fail_memory(struct err *err)
{
    return err_set(err, ERR_SYSTEM, "out of memory");
}

/* NULL is a copy of NULL. */
static bool
copy_text(const char *text, char **out)
{
    *out = text != NULL ? secret_dup(text) : NULL;
    return text == NULL || *out != NULL;
}

int
token_record_copy(const struct token_record *record, struct token_record *out,
                  struct err *err)
{
    bool is_whole;

    *out = *record;
    is_whole = copy_text(record->access_token, &out->access_token);
    is_whole &= copy_text(record->refresh_token, &out->refresh_token);
    is_whole &= copy_text(record->scope, &out->scope);
    is_whole &= copy_text(record->user, &out->user);
    if (is_whole)
        return 0;
    token_record_clear(out);
    return fail_memory(err);
}

/* ---- to bytes ---- */

static int
check_text(const char *key, const char *text, size_t len, size_t max,
           struct err *err)
{
    if (len <= max && utf8_is_valid(text, len))
        return 0;
    return err_set(err, ERR_PROTO,
                   "%s can't be kept: over %zu bytes, or "
                   "not UTF-8",
                   key, max);
}

/* One that is not there gets no member. */
static int
set_text(json_t *root, const char *key, const char *text, size_t max,
         struct err *err)
{
    size_t len = text != NULL ? strlen(text) : 0;

    if (text == NULL)
        return 0;
    if (check_text(key, text, len, max, err) < 0)
        return -1;
    return json_object_set_new(root, key, json_stringn(text, len)) == 0
               ? 0
               : fail_memory(err);
}

static int
set_number(json_t *root, const char *key, int64_t number, int64_t max,
           struct err *err)
{
    if (number < 0 || number > max)
        return err_set(err, ERR_PROTO, "%s can't be kept: out of range", key);
    if (number == 0)
        return 0;
    return json_object_set_new(root, key, json_integer(number)) == 0
               ? 0
               : fail_memory(err);
}

/* A token is a member only when it is empty, which no length can say. */
static int
set_token(json_t *root, const char *key, const char *bytes_key,
          const char *token, struct err *err)
{
    size_t len = token != NULL ? strlen(token) : 0;

    if (len == 0)
        return set_text(root, key, token, TOKEN_RECORD_TEXT_MAX, err);
    if (check_text(key, token, len, TOKEN_RECORD_TEXT_MAX, err) < 0)
        return -1;
    return set_number(root, bytes_key, (int64_t)len, TOKEN_RECORD_TEXT_MAX,
                      err);
}

static int
append_to_buf(const char *data, size_t len, void *arg)
{
    struct buf *out = arg;

    buf_append(out, data, len);
    return buf_failed(out) ? -1 : 0;
}

static int
fill(json_t *root, const struct token_record *record, struct err *err)
{
    if (set_number(root, "version", VERSION, VERSION, err) < 0 ||
        set_token(root, "access_token", "access_token_bytes",
                  record->access_token, err) < 0 ||
        set_number(root, "expires", record->expires_wall, TIME_MAX, err) < 0 ||
        set_number(root, "lifetime", record->lifetime_s, TIME_MAX, err) < 0 ||
        set_token(root, "refresh_token", "refresh_token_bytes",
                  record->refresh_token, err) < 0 ||
        set_number(root, "refresh_token_obtained",
                   record->refresh_token_obtained_wall, TIME_MAX, err) < 0 ||
        set_number(root, "refresh_token_used", record->refresh_token_used_wall,
                   TIME_MAX, err) < 0 ||
        set_number(root, "refresh_token_expires",
                   record->refresh_token_expires_wall, TIME_MAX, err) < 0 ||
        set_number(root, "refresh_token_life", record->refresh_token_life_s,
                   TIME_MAX, err) < 0 ||
        set_text(root, "scope", record->scope, TOKEN_RECORD_NAME_MAX, err) <
            0 ||
        set_text(root, "user", record->user, TOKEN_RECORD_NAME_MAX, err) < 0 ||
        set_number(root, "not_before", record->not_before_wall, TIME_MAX, err) <
            0 ||
        set_number(root, "due", record->due_wall, TIME_MAX, err) < 0 ||
        set_number(root, "failures", record->failures, NUMBER_MAX, err) < 0 ||
        set_text(root, "reason",
                 record->reason[0] != '\0' ? record->reason : NULL,
                 TOKEN_RECORD_REASON_MAX - 1, err) < 0 ||
        set_text(root, "application",
                 record->application[0] != '\0' ? record->application : NULL,
                 TOKEN_RECORD_MARK_SIZE - 1, err) < 0)
        return -1;
    return 0;
}

int
token_record_encode(const struct token_record *record, struct buf *out,
                    struct err *err)
{
    const char *access = record->access_token;
    const char *refresh = record->refresh_token;
    json_t *root = json_object();
    size_t before = out->len;
    int rc = -1;

    if (root == NULL) {
        (void)fail_memory(err);
        goto out;
    }
    if (fill(root, record, err) < 0)
        goto out;
    if (json_dumpb(root, NULL, 0, JSON_COMPACT) + 1 +
            (access != NULL ? strlen(access) : 0) +
            (refresh != NULL ? strlen(refresh) : 0) >
        TOKEN_RECORD_MAX) {
        err_set(err, ERR_PROTO, "a token's record is over %zu bytes",
                TOKEN_RECORD_MAX);
        goto out;
    }
    if (json_dump_callback(root, append_to_buf, out, JSON_COMPACT) == 0) {
        buf_append_char(out, '\n');
        buf_append_str(out, access != NULL ? access : "");
        buf_append_str(out, refresh != NULL ? refresh : "");
    }
    if (buf_failed(out) || out->len == before) {
        (void)fail_memory(err);
        goto out;
    }
    rc = 0;
out:
    json_decref(root);
    return rc;
}

/* ---- and back ---- */

static int
get_text(const json_t *root, const char *key, size_t max, char **out,
         struct err *err)
{
    const json_t *member = json_object_get(root, key);

    if (member == NULL)
        return 0;
    if (!json_is_string(member) || json_string_length(member) > max)
        return err_set(err, ERR_PROTO, "%s is no text, or over %zu bytes", key,
                       max);
    *out = secret_copy(json_string_value(member), json_string_length(member));
    return *out != NULL ? 0 : fail_memory(err);
}

static int
get_number(const json_t *root, const char *key, int64_t max, int64_t *out,
           struct err *err)
{
    const json_t *member = json_object_get(root, key);
    int64_t number = json_integer_value(member); /* 0 of what is none */

    if (member != NULL &&
        (!json_is_integer(member) || number < 0 || number > max))
        return err_set(err, ERR_PROTO, "%s is no number, or out of range", key);
    *out = number;
    return 0;
}

/* What stands behind the object and was not taken yet. */
struct tail {
    const char *data;
    size_t len;
};

static int
get_token(const json_t *root, const char *key, const char *bytes_key,
          struct tail *tail, char **out, struct err *err)
{
    int64_t bytes = 0;
    size_t len;

    if (get_number(root, bytes_key, TOKEN_RECORD_TEXT_MAX, &bytes, err) < 0)
        return -1;
    len = (size_t)bytes;
    if (len == 0)
        return get_text(root, key, TOKEN_RECORD_TEXT_MAX, out, err);
    if (json_object_get(root, key) != NULL || len > tail->len ||
        memchr(tail->data, '\0', len) != NULL ||
        !utf8_is_valid(tail->data, len))
        return err_set(err, ERR_PROTO, "%s is cut short, or no text", key);
    *out = secret_copy(tail->data, len);
    tail->data += len;
    tail->len -= len;
    return *out != NULL ? 0 : fail_memory(err);
}

static int
check_version(const json_t *root, struct err *err)
{
    const json_t *member = json_object_get(root, "version");

    if (!json_is_integer(member) || json_integer_value(member) < 1)
        return err_set(err, ERR_PROTO, "a token's record has no version");
    if (json_integer_value(member) > VERSION)
        return err_set(err, ERR_PROTO,
                       "a token's record is of a later version of this "
                       "program");
    return 0;
}

/* One that is short, to an array of `size` bytes, which is zeroed. */
static int
get_word(const json_t *root, const char *key, char *out, size_t size,
         struct err *err)
{
    char *word = NULL;

    if (get_text(root, key, size - 1, &word, err) < 0)
        return -1;
    if (word != NULL)
        memcpy(out, word, strlen(word) + 1);
    secret_free(&word);
    return 0;
}

static int
take(const json_t *root, struct tail *tail, struct token_record *out,
     struct err *err)
{
    int64_t failures = 0;

    if (check_version(root, err) < 0 ||
        get_token(root, "access_token", "access_token_bytes", tail,
                  &out->access_token, err) < 0 ||
        get_number(root, "expires", TIME_MAX, &out->expires_wall, err) < 0 ||
        get_number(root, "lifetime", TIME_MAX, &out->lifetime_s, err) < 0 ||
        get_token(root, "refresh_token", "refresh_token_bytes", tail,
                  &out->refresh_token, err) < 0 ||
        get_number(root, "refresh_token_obtained", TIME_MAX,
                   &out->refresh_token_obtained_wall, err) < 0 ||
        get_number(root, "refresh_token_used", TIME_MAX,
                   &out->refresh_token_used_wall, err) < 0 ||
        get_number(root, "refresh_token_expires", TIME_MAX,
                   &out->refresh_token_expires_wall, err) < 0 ||
        get_number(root, "refresh_token_life", TIME_MAX,
                   &out->refresh_token_life_s, err) < 0 ||
        get_text(root, "scope", TOKEN_RECORD_NAME_MAX, &out->scope, err) < 0 ||
        get_text(root, "user", TOKEN_RECORD_NAME_MAX, &out->user, err) < 0 ||
        get_number(root, "not_before", TIME_MAX, &out->not_before_wall, err) <
            0 ||
        get_number(root, "due", TIME_MAX, &out->due_wall, err) < 0 ||
        get_number(root, "failures", NUMBER_MAX, &failures, err) < 0 ||
        get_word(root, "reason", out->reason, sizeof(out->reason), err) < 0 ||
        get_word(root, "application", out->application,
                 sizeof(out->application), err) < 0)
        return -1;
    out->failures = (unsigned)failures;
    return 0;
}

int
token_record_decode(const char *data, size_t len, struct token_record *out,
                    struct err *err)
{
    /* The object is on one line. */
    const char *end = memchr(data, '\n', len);
    size_t object_len = end != NULL ? (size_t)(end - data) : len;
    struct tail tail = {data, 0};
    struct token_record record = {0};
    json_t *root = NULL;
    json_error_t where; /* not for a message: it quotes the input */
    int rc = -1;

    *out = (struct token_record){0};
    if (len > TOKEN_RECORD_MAX)
        return err_set(err, ERR_PROTO, "a token's record is over %zu bytes",
                       TOKEN_RECORD_MAX);
    if (end != NULL)
        tail = (struct tail){end + 1, len - object_len - 1};
    root = json_loadb(data, object_len, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(root)) {
        err_set(err, ERR_PROTO, "a token's record is no JSON object");
        goto out;
    }
    if (take(root, &tail, &record, err) < 0)
        goto out;
    if (tail.len > 0) {
        err_set(err, ERR_PROTO, "a token's record has a rest");
        goto out;
    }
    *out = record; /* what it owns moves to the caller */
    record = (struct token_record){0};
    rc = 0;
out:
    token_record_clear(&record);
    json_decref(root);
    return rc;
}
