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
    const char *want_reason;
    const char *want_step; /* begins the step; NULL: there is none */
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
        .want_reason = "tokend-protocol: the expiry is too long",
        .want_step = "; see that it is xoauth2-tokend",
    },
    {
        .name = "no expiry",
        .status = SOCKETMAP_OK,
        .data = "eyJ0.eyJh.c2ln",
        .want_code = ERR_PROTO,
        .want_reason = "tokend-protocol: no expiry before the token",
        .want_step = "; see that it is xoauth2-tokend",
    },
    {
        .name = "only an expiry",
        .status = SOCKETMAP_OK,
        .data = "1790000000",
        .want_code = ERR_PROTO,
        .want_reason = "tokend-protocol: no expiry before the token",
        .want_step = "; see that it is xoauth2-tokend",
    },
    {
        .name = "nothing at all",
        .status = SOCKETMAP_OK,
        .data = "",
        .want_code = ERR_PROTO,
        .want_reason = "tokend-protocol: no expiry before the token",
        .want_step = "; see that it is xoauth2-tokend",
    },
    {
        .name = "an empty token",
        .status = SOCKETMAP_OK,
        .data = "1790000000 ",
        .want_code = ERR_PROTO,
        .want_reason =
            "tokend-protocol: the token is empty, longer than 32 KiB "
            "or not visible ASCII",
        .want_step = "; see that it is xoauth2-tokend",
    },
    {
        .name = "a negative expiry",
        .status = SOCKETMAP_OK,
        .data = "-1 t",
        .want_code = ERR_PROTO,
        .want_reason = "tokend-protocol: no expiry before the token",
        .want_step = "; see that it is xoauth2-tokend",
    },
    {
        .name = "a token with a blank",
        .status = SOCKETMAP_OK,
        .data = "1790000000 secret part",
        .want_code = ERR_PROTO,
        .want_reason =
            "tokend-protocol: the token is empty, longer than 32 KiB "
            "or not visible ASCII",
        .want_step = "; see that it is xoauth2-tokend",
    },
    {
        .name = "a token that brings in a field",
        .status = SOCKETMAP_OK,
        .data = "1790000000 secret\001user=other",
        .want_code = ERR_PROTO,
        .want_reason =
            "tokend-protocol: the token is empty, longer than 32 KiB "
            "or not visible ASCII",
        .want_step = "; see that it is xoauth2-tokend",
    },
    {
        .name = "unknown mailbox",
        .status = SOCKETMAP_PERM,
        .data = "unknown-mailbox",
        .want_code = ERR_NOTFOUND,
        .want_reason = "unknown-mailbox",
        .want_step = "; add the mailbox to relay.conf, or correct the login",
    },
    {
        .name = "unknown mailbox, and tokend says what to do",
        .status = SOCKETMAP_PERM,
        .data = "unknown-mailbox no section has it; add one to relay.conf",
        .want_code = ERR_NOTFOUND,
        .want_reason =
            "unknown-mailbox no section has it; add one to relay.conf",
    },
    {
        .name = "not found",
        .status = SOCKETMAP_NOTFOUND,
        .data = "",
        .want_code = ERR_NOTFOUND,
        .want_reason = "unknown-mailbox",
        .want_step = "; add the mailbox",
    },
    {
        .name = "a server that is not served",
        .status = SOCKETMAP_PERM,
        .data = "foreign-server",
        .want_code = ERR_CONFIG,
        .want_reason = "foreign-server",
        .want_step = "; to log in there by LOGIN or PLAIN, set "
                     "smtp_sasl_mechanism_filter = login, plain",
    },
    {
        .name = "a server that is not served, and tokend says what to do",
        .status = SOCKETMAP_PERM,
        .data = "foreign-server not this one; add a relay section",
        .want_code = ERR_CONFIG,
        .want_reason = "foreign-server not this one; add a relay section",
        .want_step = "; to log in there by LOGIN or PLAIN, set ",
    },
    {
        .name = "a word that only begins like one we know",
        .status = SOCKETMAP_PERM,
        .data = "foreign-server-of-another-kind",
        .want_code = ERR_DENIED,
        .want_reason = "foreign-server-of-another-kind",
        .want_step = "; an administrator must act",
    },
    {
        .name = "a login is needed",
        .status = SOCKETMAP_PERM,
        .data = "needs-login credential contoso",
        .want_code = ERR_REAUTH,
        .want_reason = "needs-login credential contoso",
        .want_step = "; the credential must be authorised again",
    },
    {
        .name = "a login is needed, and tokend calls that temporary",
        .status = SOCKETMAP_TEMP,
        .data = "needs-login",
        .want_code = ERR_REAUTH,
        .want_reason = "needs-login",
        .want_step = "; the credential must be authorised again",
    },
    {
        .name = "denied",
        .status = SOCKETMAP_PERM,
        .data = "denied",
        .want_code = ERR_DENIED,
        .want_reason = "denied",
        .want_step = "; an administrator must act",
    },
    {
        .name = "a user who may not ask, and tokend says what to do",
        .status = SOCKETMAP_PERM,
        .data = "not-allowed this user may not ask; add it to allow",
        .want_code = ERR_DENIED,
        .want_reason = "not-allowed this user may not ask; add it to allow",
    },
    {
        .name = "the provider is down",
        .status = SOCKETMAP_TEMP,
        .data = "idp-unreachable login.microsoftonline.com",
        .want_code = ERR_RETRY,
        .want_reason = "idp-unreachable login.microsoftonline.com",
        .want_step = "; the mail waits",
    },
    {
        .name = "a timeout",
        .status = SOCKETMAP_TIMEOUT,
        .data = "",
        .want_code = ERR_RETRY,
        .want_reason = "no reason given",
        .want_step = "; the mail waits",
    },
    {
        .name = "a reason with control bytes",
        .status = SOCKETMAP_PERM,
        .data = "odd\r\nwarning: \033[31m",
        .want_code = ERR_DENIED,
        .want_reason = "odd??warning: ?[31m",
        .want_step = "; an administrator must act",
    },
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    const struct socketmap_reply reply = {row->status, row->data,
                                          strlen(row->data)};
    struct tokend_token token = {0};
    struct tokend_refusal refusal = {0};
    int rc = tokend_reply_token(&reply, &token, &refusal);

    assert_int_equal(refusal.code, row->want_code);
    assert_int_equal(rc, row->want_code == ERR_NONE ? 0 : -1);
    if (rc < 0) {
        assert_null(token.text);
        assert_string_equal(refusal.reason, row->want_reason);
        if (row->want_step == NULL)
            assert_string_equal(refusal.step, "");
        else
            assert_memory_equal(refusal.step, row->want_step,
                                strlen(row->want_step));
        return;
    }
    assert_int_equal(token.expires_at, row->want_expires_at);
    assert_int_equal(token.len, strlen(row->want_token));
    assert_memory_equal(token.text, row->want_token, token.len);
}

static void
a_long_reason_is_cut_and_gets_a_step(void **state)
{
    char data[4096];
    const struct socketmap_reply reply = {SOCKETMAP_TEMP, data, sizeof(data)};
    struct tokend_token token;
    struct tokend_refusal refusal = {0};

    (void)state;
    memset(data, 'x', sizeof(data));
    memcpy(data + sizeof(data) - 2, "; ", 2); /* is cut off */
    assert_int_equal(tokend_reply_token(&reply, &token, &refusal), -1);
    assert_int_equal(strlen(refusal.reason), TOKEND_REPLY_REASON_MAX - 1);
    assert_string_equal(refusal.reason + TOKEND_REPLY_REASON_MAX - 5, "x...");
    assert_memory_equal(refusal.step, "; the mail waits", 16);
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
        cmocka_unit_test(a_long_reason_is_cut_and_gets_a_step),
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
