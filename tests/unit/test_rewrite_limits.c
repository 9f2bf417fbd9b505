/*
 * What one message may take: a row is a message with many fields of one name,
 * and what becomes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "milter/message.h"
#include "tests/unit/mail.h"

#define RELAY   "relay@contoso.com"
#define DEVICE  "scan@inside.example"
#define MILLION 1000000

struct row {
    const char *name;
    const char *settings;
    const char *sender; /* NULL: RELAY */
    const char *from;   /* NULL: none */
    const char *field;  /* many of these */
    const char *value;
    size_t count;
    size_t others; /* fields that are not looked at */
    enum ruling_action want;
    size_t want_edits;       /* of fields */
    const char *want_status; /* NULL: none */
    const char *want_text;   /* is in the refusal */
    bool is_internal;
};

static struct row rows[] = {
    {.name = "as many as may be",
     .from = RELAY,
     .field = "Sender",
     .count = REWRITE_EDITS_MAX,
     .want = RULING_KEPT,
     .want_edits = REWRITE_EDITS_MAX},
    {.name = "one more",
     .from = RELAY,
     .field = "Sender",
     .count = REWRITE_EDITS_MAX + 1,
     .want = RULING_OVERFULL,
     .want_edits = REWRITE_EDITS_MAX + 1,
     .want_status = "5.6.0",
     .want_text = "signature fields to mend (501); at most 500."},
    {.name = "a million Sender fields",
     .from = RELAY,
     .field = "SENDER",
     .value = " " DEVICE,
     .count = MILLION,
     .want = RULING_OVERFULL,
     .want_edits = MILLION,
     .want_status = "5.6.0",
     .want_text = "(1000000); at most 500."},
    {.name = "a million From fields, the envelope to be changed as well",
     .sender = "<" DEVICE ">",
     .field = "From",
     .value = " " DEVICE,
     .count = MILLION,
     .want = RULING_OVERFULL,
     .want_edits = MILLION + 2,
     .want_status = "5.6.0"},
    {.name = "Resent-From",
     .from = RELAY,
     .field = "Resent-From",
     .count = 10050,
     .want = RULING_OVERFULL,
     .want_edits = 10050,
     .want_status = "5.6.0"},
    {.name = "traces that others left, as From is rewritten",
     .from = DEVICE,
     .field = "X-Original-From",
     .count = 10050,
     .want = RULING_OVERFULL,
     .want_edits = 10052,
     .want_status = "5.6.0"},
    {.name = "traces that others left, as From stays",
     .from = RELAY,
     .field = "X-Original-From",
     .count = 10050,
     .want = RULING_KEPT},
    {.name = "signatures, as From is rewritten",
     .from = DEVICE,
     .field = "DKIM-Signature",
     .value = " h=from:to",
     .count = 10050,
     .want = RULING_OVERFULL,
     .want_edits = 10053,
     .want_status = "5.6.0"},
    {.name = "signatures that are kept",
     .settings = "dkim = \"keep\"",
     .from = DEVICE,
     .field = "DKIM-Signature",
     .count = 9000,
     .want = RULING_REWRITTEN,
     .want_edits = 3},
    {.name = "signatures, as nothing changes",
     .from = RELAY,
     .field = "ARC-Message-Signature",
     .count = 10050,
     .want = RULING_KEPT},
    {.name = "a chain of signatures to be renamed",
     .settings = "dkim = \"rename\"",
     .from = DEVICE,
     .field = "ARC-Message-Signature",
     .value = " h=from",
     .count = 10050,
     .want = RULING_OVERFULL,
     .want_edits = 10053 + MESSAGE_FIELDS_MAX,
     .want_status = "5.6.0"},
    {.name = "a bounce is held, as nobody would be told",
     .sender = "<>",
     .field = "From",
     .value = " " DEVICE,
     .count = 10050,
     .want = RULING_HELD,
     .want_edits = 10052,
     .want_status = "5.6.0",
     .want_text = "(10052); at most 500."},
    {.name = "so is a notice of Postfix itself",
     .settings = "not_permitted = \"reject\"",
     .sender = "double-bounce@gw.inside.example",
     .field = "From",
     .value = " " DEVICE,
     .count = 10050,
     .want = RULING_HELD,
     .want_edits = 10052,
     .want_status = "5.6.0",
     .is_internal = true},
    {.name = "what is refused anyway is refused for that",
     .settings = "not_permitted = \"reject\"",
     .field = "From",
     .value = " " DEVICE,
     .count = 10050,
     .want = RULING_REJECTED,
     .want_status = "5.7.1",
     .want_text = "several fields"},
    {.name = "what is thrown away anyway is thrown away",
     .settings = "null_sender = \"discard\"",
     .sender = "<>",
     .field = "From",
     .count = 10050,
     .want = RULING_DISCARDED},
    {.name = "what is exempt is not counted",
     .settings = "exempt { recipient = \"@example.com\" }",
     .field = "From",
     .count = 10050,
     .want = RULING_EXEMPT},
    {.name = "a header as long as it may be",
     .from = DEVICE,
     .others = REWRITE_FIELDS_MAX - 1,
     .want = RULING_REWRITTEN,
     .want_edits = 3},
    {.name = "a header of one field more",
     .from = DEVICE,
     .others = REWRITE_FIELDS_MAX,
     .want = RULING_OVERFULL,
     .want_edits = 3,
     .want_status = "5.6.0",
     .want_text = "has to be mended (10001); at most 10000."},
    {.name = "a header of a million fields of which none changes",
     .from = RELAY,
     .others = MILLION,
     .want = RULING_KEPT},
    {.name = "the same when only the envelope does",
     .sender = "<" DEVICE ">",
     .from = RELAY,
     .others = MILLION,
     .want = RULING_KEPT},
};

static struct sendas *
policy_for(const char *settings)
{
    char conf[1000];
    int len = snprintf(
        conf, sizeof(conf),
        "credential \"c\" { provider = \"microsoft\" tenant = \"t.example\" "
        "client_id = \"i\" client_secret = {\"file:/nonexistent\"} }\n"
        "mailbox \"" RELAY "\" { credential = \"c\" }\n"
        "milter { default_mailbox = \"" RELAY "\"\n%s }\n",
        settings != NULL ? settings : "");

    assert_true(len > 0 && (size_t)len < sizeof(conf));
    return mail_policy(conf);
}

static void
gather(const struct row *row, struct sendas *policy, struct message *out)
{
    char sender[100];
    char *const arguments[] = {sender, NULL};

    (void)snprintf(sender, sizeof(sender), "%s",
                   row->sender != NULL ? row->sender : "<" RELAY ">");
    message_begin(out, sendas_ref(policy), arguments);
    if (row->is_internal)
        message_set_origin(out, "4bXyz", "0");
    message_add_recipient(out, "<someone@example.com>");
    for (size_t i = 0; i < row->count; i++)
        message_add_field(out, row->field,
                          row->value != NULL ? row->value : "");
    for (size_t i = 0; i < row->others; i++)
        message_add_other(out);
    if (row->from != NULL) {
        char value[100];

        (void)snprintf(value, sizeof(value), " %s", row->from);
        message_add_field(out, "From", value);
    }
    assert_false(out->has_failed);
}

static void
check_refusal(const struct row *row, const struct rewrite_plan *plan)
{
    struct buf text;

    buf_init(&text, 900); /* what fits into a reply */
    rewrite_refusal(plan, &text);
    assert_false(buf_failed(&text));
    if (row->want_status == NULL) {
        assert_int_equal(text.len, 0);
    } else {
        assert_string_equal(rewrite_refusal_status(plan), row->want_status);
        assert_true(text.len > 0);
    }
    if (row->want_text != NULL)
        assert_non_null(strstr(buf_str(&text), row->want_text));
    buf_clear(&text);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct sendas *policy = policy_for(row->settings);
    struct err err = {ERR_NONE, ""};
    struct message message = {0};
    struct rewrite_message view;
    struct rewrite_plan plan;
    bool is_done;

    gather(row, policy, &message);
    message_view(&message, &view);
    assert_int_equal(rewrite_plan(policy, &view, &plan, &err), 0);
    assert_string_equal(ruling_action_text(plan.ruling.action),
                        ruling_action_text(row->want));
    assert_int_equal(plan.field_edits, row->want_edits);
    check_refusal(row, &plan);
    is_done = row->want == RULING_KEPT || row->want == RULING_REWRITTEN;
    if (!is_done)
        assert_null(plan.ruling.new_sender);
    /* All that is needed, or nothing: also what is held in memory. */
    assert_int_equal(plan.edit_count,
                     is_done ? row->want_edits +
                                   (plan.ruling.new_sender != NULL ? 1 : 0)
                             : 0);
    assert_true(message.field_count <= MESSAGE_FIELDS_MAX + 1);
    rewrite_plan_clear(&plan);
    message_clear(&message);
    sendas_unref(&policy);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    return cmocka_run_group_tests_name("rewrite_limits", tests, NULL, NULL);
}
