/*
 * One row is the start of a message and what it becomes. Every row that passes
 * is filtered twice: the second time must change nothing.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "milter/filter.h"
#include "tests/unit/mail.h"

#define RELAY "relay@contoso.com"

struct row {
    const char *name;
    const char *settings; /* of the milter section; NULL: none */
    struct filter_envelope envelope;
    const char *text;
    size_t len;            /* 0: up to the NUL */
    const char *want;      /* up to the body; NULL: it does not pass */
    size_t want_len;       /* 0: up to the NUL */
    const char *explained; /* is in what is explained */
};

static const char *const recipients[] = {"<a@local.example>",
                                         "b@local.example"};

static struct row rows[] = {
    {.name = "a permitted sender",
     .text = "From: " RELAY "\nTo: x\n\nbody",
     .want = "From: " RELAY "\nTo: x\n\n",
     .explained = "message kept\n"},
    {.name = "a sender that is not",
     .text = "Subject: x\nFrom: \"Scan, 3\" <s@x.example>\n\nbody",
     .want = "Subject: x\nFrom: \"Scan, 3\" <" RELAY ">\n"
             "X-Original-From: \"Scan, 3\" <s@x.example>\n"
             "Reply-To: s@x.example\n\n",
     .explained = "  change From number 1: \"Scan, 3\" <" RELAY ">\n"},
    {.name = "lines end as they did, in folds, too",
     .text = "From: a@x.example,\r\n b@x.example\r\nTo: x\r\n y\r\n\r\n",
     .want = "From: " RELAY "\r\nTo: x\r\n y\r\n"
             "X-Original-From: a@x.example, b@x.example\r\n"
             "Reply-To: a@x.example,\r\n b@x.example\r\n\r\n",
     .explained = "  add Reply-To: a@x.example,\n    b@x.example\n"},
    {.name = "no From and no body",
     .envelope = {.sender = "scan@x.example"},
     .text = "To: x",
     .want = "To: x\nFrom: " RELAY "\nReply-To: scan@x.example\n\n",
     .explained = "From is: missing\n"},
    {.name = "nothing at all",
     .text = "",
     .want = "From: " RELAY "\n\n",
     .explained = "From is: missing\n"},
    {.name = "several From, of which one is hidden",
     .text = "From: " RELAY "\nFROM : evil@x.example\nX: a\rFrom: b@y.example\n"
             "\nbody",
     .want = "From: " RELAY "\nX: a From: b@y.example\n"
             "X-Original-From: " RELAY ", evil@x.example\n"
             "Reply-To: evil@x.example\n\n",
     .explained = "  delete From number 2\n"},
    {.name = "a NUL in From",
     .text = "From: " RELAY "\0, evil@x.example\n\n",
     .len = 42,
     .want = "From: " RELAY "\nX-Original-From: " RELAY " , evil@x.example\n"
             "Reply-To: evil@x.example\n\n",
     .explained = "control bytes"},
    {.name = "a NUL elsewhere stays",
     .text = "From: " RELAY "\nX: a\0b\n\n",
     .len = 32,
     .want = "From: " RELAY "\nX: a\0b\n\n",
     .want_len = 32,
     .explained = "message kept\n"},
    {.name = "what some take for a header is the body for all",
     .text = "From: " RELAY "\nno field\nFrom: evil@x.example\n\n",
     .want = "From: " RELAY "\n\n",
     .explained = "message kept\n"},
    {.name = "the line that mailboxes have stays in front",
     .text = "From a@b Sat Nov 21 05:58:50 2026\nFrom: " RELAY "\n\n",
     .want = "From a@b Sat Nov 21 05:58:50 2026\nFrom: " RELAY "\n\n",
     .explained = "message kept\n"},
    {.name = "that line alone, and without an end",
     .text = "From a@b\rFrom: x",
     .want = "From a@b From: x\nFrom: " RELAY "\n\n",
     .explained = "From is: missing\n"},
    {.name = "lines of two kinds, of which the first goes",
     .text = "Sender: x\nFrom: " RELAY "\r\n\nbody",
     .want = "From: " RELAY "\r\n\n",
     .explained = "  delete Sender number 1\n"},
    {.name = "an exempt message stays byte for byte",
     .settings = "exempt { recipient = \"@local.example\" }",
     .envelope = {.recipients = recipients, .recipient_count = 2},
     .text = "From: a\rFrom: b\nFrom: c\nno field\n\n",
     .want = "From: a\rFrom: b\nFrom: c\n",
     .explained = "message exempt\n"},
    {.name = "and so does every message with audit",
     .settings = "not_permitted = \"audit\"",
     .text = "From: a\rFrom: b\nFrom: c\n\n",
     .want = "From: a\rFrom: b\nFrom: c\n\n",
     .explained = "message would be rewritten\n"},
    {.name = "no field keeps blanks before its colon",
     .envelope = {.sender = RELAY},
     .text = "Subject : x : y\nTo\t \t:a@b.example,\n c@d.example\n"
             "From: " RELAY "\n\nBody : x\n",
     .want = "Subject: x : y\nTo:a@b.example,\n c@d.example\n"
             "From: " RELAY "\n\n",
     .explained = "message kept\n"},
    {.name = "a CR before the colon does not hide a From:",
     .envelope = {.sender = RELAY},
     .text = "From \r: boss@x.example\nTo: a@b.example\n\n",
     .want = "From: " RELAY "\nTo: a@b.example\n"
             "X-Original-From: boss@x.example\n"
             "Reply-To: boss@x.example\n\n",
     .explained = "message rewritten\n"},
    {.name = "a refusal",
     .settings = "not_permitted = \"reject\"",
     .text = "From: s@x.example\n\n",
     .explained = "reply: From address s@x.example is not permitted"},
    {.name = "a loop",
     .settings = "hop_limit = 1",
     .text = "Received: a\nReceived: b\nFrom: " RELAY "\n\n",
     .explained = "reply: Mail loop"},
    {.name = "a bounce that is thrown away",
     .settings = "null_sender = \"discard\"",
     .envelope = {.sender = ""},
     .text = "From: " RELAY "\n\n",
     .explained = "message discarded\n"},
    {.name = "the null sender in brackets is the null sender",
     .envelope = {.sender = "<>"},
     .text = "From: erp@contoso.com\n\n",
     .want = "From: " RELAY "\nX-Original-From: erp@contoso.com\n"
             "Reply-To: erp@contoso.com\n\n",
     .explained = "envelope sender: <>\n"},
    {.name = "one that is not known is not the null sender",
     .settings = "null_sender = \"discard\"",
     .text = "From: erp@contoso.com\n\n",
     .want = "From: erp@contoso.com\n\n",
     .explained = "message kept\n"},
    {.name = "a mailbox that was given and may send it",
     .envelope = {.sender = RELAY, .mailbox = "RELAY@contoso.com"},
     .text = "From: alerts@contoso.com\n\n",
     .want = "From: alerts@contoso.com\n\n",
     .explained = "mailbox: " RELAY "\n"},
    {.name = "a mailbox that was given and may not send it",
     .envelope = {.sender = "erp@contoso.com", .mailbox = "erp@contoso.com"},
     .text = "From: alerts@contoso.com\n\n",
     .want = "From: erp@contoso.com\nX-Original-From: alerts@contoso.com\n"
             "Reply-To: alerts@contoso.com\n\n",
     .explained = "rule: the mailbox was given\n"},
    {.name = "a mailbox that was given does not make a refusal void",
     .settings = "not_permitted = \"reject\"",
     .envelope = {.sender = RELAY, .mailbox = RELAY},
     .text = "From: s@x.example\n\n",
     .explained = "message rejected\n"},
    {.name = "a bounce, and a mailbox that was given",
     .settings = "not_permitted = \"reject\"",
     .envelope = {.sender = "", .mailbox = "erp@contoso.com"},
     .text = "From: MAILER-DAEMON@x.example\nReply-To: x@y.example\n\n",
     .want = "From: erp@contoso.com\nReply-To: x@y.example\n"
             "X-Original-From: MAILER-DAEMON@x.example\n\n",
     .explained = "rule: the mailbox was given\n"},
    {.name = "a route by login",
     .settings = "route { login = \"erp\" mailbox = \"erp@contoso.com\" }",
     .envelope = {.login = "ERP"},
     .text = "From: s@x.example\nReply-To: x@y.example\n\n",
     .want = "From: erp@contoso.com\nReply-To: x@y.example\n"
             "X-Original-From: s@x.example\n\n",
     .explained = "rule: route at line"},
    {.name = "UTF-8 where the message may have it",
     .envelope = {.is_smtputf8 = true},
     .text = "From: M\xc3\xbcller <s@x.example>\nReply-To: x@y.example\n\n",
     .want = "From: M\xc3\xbcller <" RELAY ">\nReply-To: x@y.example\n"
             "X-Original-From: =?utf-8?q?M=C3=BCller?= <s@x.example>\n\n",
     .explained = "message rewritten\n"},
};

static struct sendas *
policy_for(const char *settings)
{
    char conf[2000];
    int len = snprintf(
        conf, sizeof(conf),
        "credential \"c\" { provider = \"microsoft\" tenant = \"t.example\" "
        "client_id = \"i\" client_secret = {\"file:/nonexistent\"} }\n"
        "mailbox \"" RELAY "\" { credential = \"c\" send_as = "
        "{\"alerts@contoso.com\", \"@printers.contoso.com\"} }\n"
        "mailbox \"erp@contoso.com\" { credential = \"c\" }\n"
        "milter { default_mailbox = \"" RELAY "\"\n%s }\n",
        settings != NULL ? settings : "");

    assert_true(len > 0 && (size_t)len < sizeof(conf));
    return mail_policy(conf);
}

/* Filter it; what comes out is in *out, which is empty when nothing may. */
static void
run(const struct row *row, struct sendas *policy, const char *text, size_t len,
    struct buf *out, struct buf *explained)
{
    struct err err = {ERR_NONE, ""};
    struct filter filter = {0};
    struct header header = {0};

    assert_int_equal(header_take(&header, text, len, true), HEADER_END);
    assert_int_equal(
        filter_decide(&filter, policy, &row->envelope, &header, text, &err), 0);
    filter_explain(&filter, explained);
    assert_false(buf_failed(explained));
    if (filter_passes(&filter))
        assert_int_equal(filter_write(&filter, &header, text, out, &err), 0);
    filter_clear(&filter);
    header_clear(&header);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct sendas *policy = policy_for(row->settings);
    size_t len = row->len > 0 ? row->len : strlen(row->text);
    const char *want = row->want != NULL ? row->want : "";
    size_t want_len = row->want_len > 0 ? row->want_len : strlen(want);
    struct buf out;
    struct buf again;
    struct buf explained;

    buf_init(&out, 100000);
    buf_init(&again, 100000);
    buf_init(&explained, 100000);
    run(row, policy, row->text, len, &out, &explained);
    if (out.len != want_len || memcmp(buf_str(&out), want, want_len) != 0)
        assert_string_equal(buf_str(&out), want);
    assert_int_equal(out.len, want_len);
    assert_non_null(strstr(buf_str(&explained), row->explained));
    if (row->want != NULL) {
        buf_reset(&explained);
        run(row, policy, buf_str(&out), out.len, &again, &explained);
        assert_int_equal(again.len, out.len);
        assert_memory_equal(again.data, out.data, out.len);
    }
    buf_clear(&explained);
    buf_clear(&again);
    buf_clear(&out);
    sendas_unref(&policy);
}

static void
a_mailbox_that_is_none_is_an_error(void **state)
{
    const struct filter_envelope envelope = {.mailbox = "alerts@contoso.com"};
    struct sendas *policy = policy_for(NULL);
    struct err err = {ERR_NONE, ""};
    struct filter filter = {0};
    struct header header = {0};

    (void)state;
    assert_int_equal(header_take(&header, "", 0, true), HEADER_END);
    assert_int_equal(
        filter_decide(&filter, policy, &envelope, &header, "", &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    filter_clear(&filter);
    header_clear(&header);
    sendas_unref(&policy);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    tests[ARRAY_LEN(rows)] = (struct CMUnitTest){
        .name = "a mailbox that is none is an error",
        .test_func = a_mailbox_that_is_none_is_an_error,
    };
    return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
