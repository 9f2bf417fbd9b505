/*
 * token_record: one row is the bytes of one record; and what is encoded comes
 * back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/secret.h"
#include "common/util.h"
#include "token-daemon/token_record.h"

#define BUF_MAX (1 << 20)

struct row {
    const char *name;
    const char *data;
    const char *want_error; /* NULL: it is good */
    const char *want_access;
    int64_t want_expires;
};

static struct row rows[] = {
    {
        .name = "nothing but the version",
        .data = "{\"version\":1}",
    },
    {
        .name = "members of a later time",
        .data = "{\"version\":1,\"colour\":{\"a\":[1,null]},"
                "\"access_token\":\"at\",\"expires\":7}",
        .want_access = "at",
        .want_expires = 7,
    },
    {
        .name = "members in any order",
        .data = "{\"expires\":7,\"access_token\":\"at\",\"version\":1}",
        .want_access = "at",
        .want_expires = 7,
    },
    {
        .name = "a later version",
        .data = "{\"version\":3,\"access_token\":\"at\"}",
        .want_error = "later version",
    },
    {
        .name = "a token behind the object",
        .data =
            "{\"version\":2,\"access_token_bytes\":5,\"expires\":7}\na\"t\\\n",
        .want_access = "a\"t\\\n",
        .want_expires = 7,
    },
    {
        .name = "a token behind the object is cut short",
        .data = "{\"version\":2,\"access_token_bytes\":7}\nsecret",
        .want_error = "access_token is cut short",
    },
    {
        .name = "the second token is not there",
        .data = "{\"version\":2,\"access_token_bytes\":6,"
                "\"refresh_token_bytes\":1}\nsecret",
        .want_error = "refresh_token is cut short",
    },
    {
        .name = "more than the tokens behind the object",
        .data = "{\"version\":2,\"access_token_bytes\":5}\nsecret",
        .want_error = "has a rest",
    },
    {
        .name = "a token in both places",
        .data = "{\"version\":2,\"access_token_bytes\":6,"
                "\"access_token\":\"secret\"}\nsecret",
        .want_error = "access_token is cut short, or no text",
    },
    {
        .name = "a token behind the object is not UTF-8",
        .data = "{\"version\":2,\"access_token_bytes\":1}\n\xff",
        .want_error = "access_token is cut short, or no text",
    },
    {
        .name = "a token longer than tokens are",
        .data = "{\"version\":2,\"access_token_bytes\":65537}\n",
        .want_error = "access_token_bytes is no number, or out of range",
    },
    {
        .name = "no version",
        .data = "{\"access_token\":\"at\"}",
        .want_error = "no version",
    },
    {
        .name = "version zero",
        .data = "{\"version\":0}",
        .want_error = "no version",
    },
    {
        .name = "the version is a text",
        .data = "{\"version\":\"1\"}",
        .want_error = "no version",
    },
    {.name = "empty", .data = "", .want_error = "no JSON object"},
    {.name = "an array", .data = "[]", .want_error = "no JSON object"},
    {
        .name = "cut short",
        .data = "{\"version\":1,\"access_token\":\"secret",
        .want_error = "no JSON object",
    },
    {
        .name = "something behind it",
        .data = "{\"version\":1} x",
        .want_error = "no JSON object",
    },
    {
        .name = "a member twice",
        .data = "{\"version\":1,\"expires\":1,\"expires\":2}",
        .want_error = "no JSON object",
    },
    {
        .name = "a token with a NUL",
        .data = "{\"version\":1,\"access_token\":\"secret\\u0000\"}",
        .want_error = "no JSON object",
    },
    {
        .name = "a token that is a number",
        .data = "{\"version\":1,\"refresh_token\":\"secret\","
                "\"access_token\":1}",
        .want_error = "access_token is no text",
    },
    {
        .name = "a time that is a text",
        .data = "{\"version\":1,\"access_token\":\"secret\","
                "\"expires\":\"1\"}",
        .want_error = "expires is no number",
    },
    {
        .name = "a time that is a fraction",
        .data = "{\"version\":1,\"expires\":1.5}",
        .want_error = "expires is no number",
    },
    {
        .name = "a time below zero",
        .data = "{\"version\":1,\"due\":-1}",
        .want_error = "due is no number, or out of range",
    },
    {
        .name = "a time beyond the year 9999",
        .data = "{\"version\":1,\"not_before\":253402300800}",
        .want_error = "not_before is no number, or out of range",
    },
    {
        .name = "too many failures",
        .data = "{\"version\":1,\"failures\":2147483648}",
        .want_error = "failures is no number, or out of range",
    },
    {
        .name = "a reason longer than reasons are",
        .data = "{\"version\":1,"
                "\"reason\":\"12345678901234567890123456789012\"}",
        .want_error = "reason is no text",
    },
};

static void
check_row(void **state)
{
    static const struct token_record none;
    const struct row *row = *state;
    struct token_record record = {.failures = 1};
    struct err err = {ERR_NONE, ""};
    int rc = token_record_decode(row->data, strlen(row->data), &record, &err);

    if (row->want_error != NULL) {
        assert_int_equal(rc, -1);
        assert_int_equal(err.code, ERR_PROTO);
        if (strstr(err.text, row->want_error) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.text, row->want_error);
        assert_null(strstr(err.text, "secret"));
        assert_memory_equal(&record, &none, sizeof(record));
        return;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(record.expires_wall, row->want_expires);
    if (row->want_access == NULL)
        assert_null(record.access_token);
    else
        assert_string_equal(record.access_token, row->want_access);
    assert_null(record.refresh_token);
    assert_int_equal(record.failures, 0);
    token_record_clear(&record);
    assert_memory_equal(&record, &none, sizeof(record));
    token_record_clear(&record);
}

static char *
make_text(size_t len, char c)
{
    char *text = malloc(len + 1);

    assert_non_null(text);
    memset(text, c, len);
    text[len] = '\0';
    return text;
}

static void
encode(const struct token_record *record, struct buf *out)
{
    struct err err;

    buf_init(out, BUF_MAX);
    assert_int_equal(token_record_encode(record, out, &err), 0);
    assert_false(buf_failed(out));
}

static void
what_is_encoded_comes_back(void **state)
{
    struct token_record record = {
        .access_token = secret_dup("eyJ0.at-_~+/="),
        .expires_wall = 1700003599,
        .lifetime_s = 3599,
        .refresh_token = secret_dup("0.AXoA\"\\ \xc3\xa9"),
        .refresh_token_obtained_wall = 1690000000,
        .refresh_token_used_wall = 1690000009,
        .refresh_token_expires_wall = 253402300799,
        .refresh_token_life_s = 7776000,
        .scope = secret_dup("https://outlook.office.com/SMTP.Send x"),
        .user = secret_dup("a@b.c"),
        .not_before_wall = 1700000001,
        .due_wall = 1700000002,
        .failures = 2147483647,
        .reason = "idp-unreachable-and-more-of-that",
    };
    struct token_record back;
    struct err err;
    struct buf data;

    (void)state;
    record.reason[TOKEN_RECORD_REASON_MAX - 1] = '\0';
    encode(&record, &data);
    assert_int_equal(token_record_decode(data.data, data.len, &back, &err), 0);
    assert_string_equal(back.access_token, record.access_token);
    assert_int_equal(back.expires_wall, record.expires_wall);
    assert_int_equal(back.lifetime_s, record.lifetime_s);
    assert_string_equal(back.refresh_token, record.refresh_token);
    assert_int_equal(back.refresh_token_obtained_wall,
                     record.refresh_token_obtained_wall);
    assert_int_equal(back.refresh_token_used_wall,
                     record.refresh_token_used_wall);
    assert_int_equal(back.refresh_token_expires_wall,
                     record.refresh_token_expires_wall);
    assert_int_equal(back.refresh_token_life_s, record.refresh_token_life_s);
    assert_string_equal(back.scope, record.scope);
    assert_string_equal(back.user, record.user);
    assert_int_equal(back.not_before_wall, record.not_before_wall);
    assert_int_equal(back.due_wall, record.due_wall);
    assert_int_equal(back.failures, record.failures);
    assert_string_equal(back.reason, record.reason);
    token_record_clear(&back);
    token_record_clear(&record);
    buf_clear(&data);
}

static void
the_largest_comes_back(void **state)
{
    struct token_record record = {
        .access_token = make_text(TOKEN_RECORD_TEXT_MAX, '\1'),
        .refresh_token = make_text(TOKEN_RECORD_TEXT_MAX, 'r'),
        .scope = make_text(TOKEN_RECORD_NAME_MAX, 's'),
        .user = make_text(TOKEN_RECORD_NAME_MAX, '\1'), /* six bytes each */
    };
    struct token_record back;
    struct err err;
    struct buf data;

    (void)state;
    encode(&record, &data);
    assert_int_equal(token_record_decode(data.data, data.len, &back, &err), 0);
    assert_int_equal(strlen(back.access_token), TOKEN_RECORD_TEXT_MAX);
    assert_int_equal(strlen(back.refresh_token), TOKEN_RECORD_TEXT_MAX);
    assert_string_equal(back.user, record.user);
    token_record_clear(&back);
    token_record_clear(&record);
    buf_clear(&data);
}

/* What can't be decoded again is not encoded; nothing is written then. */
static void
assert_refused(struct token_record *record, const char *want)
{
    struct err err = {ERR_NONE, ""};
    struct buf out;

    buf_init(&out, BUF_MAX);
    assert_int_equal(token_record_encode(record, &out, &err), -1);
    assert_int_equal(err.code, ERR_PROTO);
    if (strstr(err.text, want) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.text, want);
    assert_int_equal(out.len, 0);
    buf_clear(&out);
    token_record_clear(record);
}

static void
what_would_not_come_back_is_refused(void **state)
{
    struct token_record record = {0};

    (void)state;
    record.access_token = make_text(TOKEN_RECORD_TEXT_MAX + 1, 'a');
    assert_refused(&record, "access_token can't be kept");
    record.scope = make_text(TOKEN_RECORD_NAME_MAX + 1, 'a');
    assert_refused(&record, "scope can't be kept");
    record.user = secret_dup("\xff");
    assert_refused(&record, "user can't be kept");
    record.due_wall = -1;
    assert_refused(&record, "due can't be kept: out of range");
    record.expires_wall = INT64_C(253402300800);
    assert_refused(&record, "expires can't be kept: out of range");
    record.failures = 2147483648u;
    assert_refused(&record, "failures can't be kept: out of range");
}

static void
what_is_too_large_is_not_parsed(void **state)
{
    char *data = make_text(TOKEN_RECORD_MAX + 1, ' ');
    struct token_record record;
    struct err err = {ERR_NONE, ""};

    (void)state;
    memcpy(data, "{\"version\":1}", 13);
    assert_int_equal(
        token_record_decode(data, TOKEN_RECORD_MAX + 1, &record, &err), -1);
    assert_int_equal(err.code, ERR_PROTO);
    assert_int_equal(token_record_decode(data, TOKEN_RECORD_MAX, &record, &err),
                     0);
    token_record_clear(&record);
    free(data);
}

int
main(void)
{
    static const struct CMUnitTest fixed[] = {
        cmocka_unit_test(what_is_encoded_comes_back),
        cmocka_unit_test(the_largest_comes_back),
        cmocka_unit_test(what_would_not_come_back_is_refused),
        cmocka_unit_test(what_is_too_large_is_not_parsed),
    };
    struct CMUnitTest tests[ARRAY_LEN(fixed) + ARRAY_LEN(rows)];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        tests[count++] = fixed[i];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[count++] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    return cmocka_run_group_tests_name("token_record", tests, NULL, NULL);
}
