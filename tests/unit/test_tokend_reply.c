/*
 * One row is one reply to `token`; one row is one test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "sasl-xoauth2/tokend_reply.h"

struct row {
    const char *name;
    enum socketmap_status status;
    const char *data;
    enum err_code want_code; /* ERR_NONE: the next two apply */
    int64_t want_expires_at;
    const char *want_token;
    const char *want_text; /* begins the error's text */
};

static struct row rows[] = {
    {
        .name = "a token",
        .status = SOCKETMAP_OK,
        .data = "1790000000 eyJ0.eyJh.c2ln",
        .want_expires_at = 1790000000,
        .want_token = "eyJ0.eyJh.c2ln",
    },
    {
        .name = "the greatest expiry",
        .status = SOCKETMAP_OK,
        .data = "999999999999999999 t",
        .want_expires_at = 999999999999999999,
        .want_token = "t",
    },
    {
        .name = "an expiry that is too long",
        .status = SOCKETMAP_OK,
        .data = "9999999999999999999 t",
        .want_code = ERR_PROTO,
        .want_text = "the expiry is too long",
    },
    {
        .name = "no expiry",
        .status = SOCKETMAP_OK,
        .data = "eyJ0.eyJh.c2ln",
        .want_code = ERR_PROTO,
        .want_text = "no expiry before the token",
    },
    {
        .name = "only an expiry",
        .status = SOCKETMAP_OK,
        .data = "1790000000",
        .want_code = ERR_PROTO,
        .want_text = "no expiry before the token",
    },
    {
        .name = "nothing at all",
        .status = SOCKETMAP_OK,
        .data = "",
        .want_code = ERR_PROTO,
        .want_text = "no expiry before the token",
    },
    {
        .name = "an empty token",
        .status = SOCKETMAP_OK,
        .data = "1790000000 ",
        .want_code = ERR_PROTO,
        .want_text = "the token is empty",
    },
    {
        .name = "a negative expiry",
        .status = SOCKETMAP_OK,
        .data = "-1 t",
        .want_code = ERR_PROTO,
        .want_text = "no expiry before the token",
    },
    {
        .name = "a token with a blank",
        .status = SOCKETMAP_OK,
        .data = "1790000000 secret part",
        .want_code = ERR_PROTO,
        .want_text = "the token is empty",
    },
    {
        .name = "a token that brings in a field",
        .status = SOCKETMAP_OK,
        .data = "1790000000 secret\001user=other",
        .want_code = ERR_PROTO,
        .want_text = "the token is empty",
    },
    {
        .name = "unknown mailbox",
        .status = SOCKETMAP_PERM,
        .data = "unknown-mailbox no section covers it",
        .want_code = ERR_NOTFOUND,
        .want_text = "unknown-mailbox no section covers it; add the mailbox",
    },
    {
        .name = "not found",
        .status = SOCKETMAP_NOTFOUND,
        .data = "",
        .want_code = ERR_NOTFOUND,
        .want_text = "unknown-mailbox; add the mailbox",
    },
    {
        .name = "a server that is not served",
        .status = SOCKETMAP_PERM,
        .data = "foreign-server",
        .want_code = ERR_CONFIG,
        .want_text = "foreign-server; keep LOGIN and PLAIN there by "
                     "smtp_sasl_mechanism_filter = login, plain",
    },
    {
        .name = "a word that only begins like one we know",
        .status = SOCKETMAP_PERM,
        .data = "foreign-server-of-another-kind",
        .want_code = ERR_DENIED,
        .want_text = "foreign-server-of-another-kind; an administrator",
    },
    {
        .name = "a login is needed",
        .status = SOCKETMAP_PERM,
        .data = "needs-login credential contoso",
        .want_code = ERR_REAUTH,
        .want_text = "needs-login credential contoso; ",
    },
    {
        .name = "a login is needed, and tokend calls that temporary",
        .status = SOCKETMAP_TEMP,
        .data = "needs-login",
        .want_code = ERR_REAUTH,
        .want_text = "needs-login; ",
    },
    {
        .name = "denied",
        .status = SOCKETMAP_PERM,
        .data = "denied",
        .want_code = ERR_DENIED,
        .want_text = "denied; an administrator must act",
    },
    {
        .name = "the provider is down",
        .status = SOCKETMAP_TEMP,
        .data = "idp-unreachable login.microsoftonline.com",
        .want_code = ERR_RETRY,
        .want_text =
            "idp-unreachable login.microsoftonline.com; the mail waits",
    },
    {
        .name = "a timeout",
        .status = SOCKETMAP_TIMEOUT,
        .data = "",
        .want_code = ERR_RETRY,
        .want_text = "no reason given; the mail waits",
    },
    {
        .name = "a reason with control bytes",
        .status = SOCKETMAP_PERM,
        .data = "odd\r\nwarning: \033[31m",
        .want_code = ERR_DENIED,
        .want_text = "odd??warning: ?[31m; ",
    },
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    const struct socketmap_reply reply = {row->status, row->data,
                                          strlen(row->data)};
    struct tokend_token token = {0};
    struct err err = {ERR_NONE, ""};
    int rc = tokend_reply_token(&reply, &token, &err);

    assert_int_equal(err.code, row->want_code);
    assert_int_equal(rc, row->want_code == ERR_NONE ? 0 : -1);
    if (rc < 0) {
        assert_null(token.text);
        assert_null(strstr(err.text, "secret"));
        assert_memory_equal(err.text, row->want_text, strlen(row->want_text));
        return;
    }
    assert_int_equal(token.expires_at, row->want_expires_at);
    assert_int_equal(token.len, strlen(row->want_token));
    assert_memory_equal(token.text, row->want_token, token.len);
}

static void
a_long_reason_is_cut_and_the_step_is_not(void **state)
{
    static const enum socketmap_status statuses[] = {
        SOCKETMAP_NOTFOUND, SOCKETMAP_TEMP, SOCKETMAP_TIMEOUT, SOCKETMAP_PERM};
    static const char *const words[] = {"foreign-server ", "unknown-mailbox ",
                                        "needs-login ", "odd "};
    char data[4096];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        for (size_t j = 0; j < ARRAY_LEN(words); j++) {
            struct socketmap_reply reply = {statuses[i], data, sizeof(data)};
            struct tokend_token token;
            struct err err = {ERR_NONE, ""};

            memset(data, 'x', sizeof(data));
            memcpy(data, words[j], strlen(words[j]));
            assert_int_equal(tokend_reply_token(&reply, &token, &err), -1);
            assert_non_null(strstr(err.text, "...; "));
            assert_true(strlen(err.text) < ERR_TEXT_MAX - 1);
        }
    }
}

static void
the_answer_to_a_report_is_made_printable(void **state)
{
    struct socketmap_reply reply = {SOCKETMAP_OK, "limited until\n12:00", 19};
    char out[TOKEND_REPLY_REASON_MAX];

    (void)state;
    assert_string_equal(tokend_reply_refused(&reply, out, sizeof(out)),
                        "limited until?12:00");
    reply.len = 0;
    assert_string_equal(tokend_reply_refused(&reply, out, sizeof(out)),
                        "no reason given");
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 2] = {
        cmocka_unit_test(a_long_reason_is_cut_and_the_step_is_not),
        cmocka_unit_test(the_answer_to_a_report_is_made_printable),
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[2 + i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    return cmocka_run_group_tests_name("tokend_reply", tests, NULL, NULL);
}
