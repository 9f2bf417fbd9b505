/*
 * ruling: what becomes of a message, from its envelope and its From: alone.
 * (What the milter does then is in test_rewrite.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/log.h"
#include "common/ruling.h"
#include "common/util.h"
#include "tests/unit/scratch.h"

#define RELAY "relay@contoso.com"
#define ERP   "erp@contoso.com"
#define BUERO "b\xc3\xbcro@contoso.com"

struct row {
    const char *name;
    const char *settings; /* of the milter; NULL: none */
    const char *from;     /* NULL: there is none */
    const char *sender;   /* NULL: scan@inside.example */
    const char *mailbox;
    bool is_smtputf8;
    bool is_internal;
    size_t hops;
    enum ruling_action want;
    const char *want_login; /* NULL: none */
    const char *want_rule;
    const char *want_sender; /* NULL: it stays */
    const char *want_from;   /* what From: was; NULL: "one plain address" */
};

static struct row rows[] = {
    {
        .name = "a mailbox that is not ASCII, in a message that may have it",
        .from = "office@contoso.com",
        .is_smtputf8 = true,
        .want = RULING_KEPT,
        .want_login = BUERO,
        .want_rule = "send_as",
        .want_sender = BUERO,
    },
    {
        .name = "in another the envelope becomes From",
        .from = "office@contoso.com",
        .want = RULING_KEPT,
        .want_login = BUERO,
        .want_rule = "send_as",
        .want_sender = "office@contoso.com",
    },
    {
        .name = "its own address stays where it may be",
        .from = BUERO,
        .sender = BUERO,
        .is_smtputf8 = true,
        .want = RULING_KEPT,
        .want_login = BUERO,
        .want_rule = "mailbox",
    },
    {
        .name = "an envelope that needs SMTPUTF8 without it",
        .from = "office@contoso.com",
        .sender = BUERO,
        .want = RULING_KEPT,
        .want_login = BUERO,
        .want_rule = "send_as",
        .want_sender = "office@contoso.com",
    },
    {
        .name = "it was given, and the message may have it",
        .from = "scan@inside.example",
        .mailbox = BUERO,
        .is_smtputf8 = true,
        .want = RULING_REWRITTEN,
        .want_login = BUERO,
        .want_rule = "the mailbox was given",
        .want_sender = BUERO,
    },
    {
        .name = "it was given, and From is one that it may send",
        .from = "office@contoso.com",
        .sender = "office@contoso.com",
        .mailbox = BUERO,
        .want = RULING_KEPT,
        .want_login = BUERO,
        .want_rule = "send_as",
    },
    {
        .name = "a display name does not matter",
        .from = "\"Printer\" <alerts@contoso.com>",
        .sender = "alerts@contoso.com",
        .want = RULING_KEPT,
        .want_login = RELAY,
        .want_rule = "send_as",
    },
    {
        .name = "the envelope follows what is kept",
        .from = ERP,
        .want = RULING_KEPT,
        .want_login = ERP,
        .want_rule = "mailbox",
        .want_sender = ERP,
    },
    {
        .name = "what nobody may send",
        .from = "scan@inside.example",
        .want = RULING_REWRITTEN,
        .want_login = RELAY,
        .want_rule = "default_mailbox",
        .want_sender = RELAY,
    },
    {
        .name = "no From at all",
        .want = RULING_REWRITTEN,
        .want_login = RELAY,
        .want_rule = "default_mailbox",
        .want_sender = RELAY,
        .want_from = "missing",
    },
    {
        .name = "two addresses, both permitted",
        .from = ERP ", " RELAY,
        .want = RULING_REWRITTEN,
        .want_login = RELAY,
        .want_rule = "default_mailbox",
        .want_sender = RELAY,
        .want_from = "several addresses",
    },
    {
        .name = "UTF-8 without SMTPUTF8",
        .from = "m\xc3\xbc@contoso.com",
        .want = RULING_REWRITTEN,
        .want_login = RELAY,
        .want_rule = "default_mailbox",
        .want_sender = RELAY,
        .want_from = "an address that needs SMTPUTF8",
    },
    {
        .name = "UTF-8 with SMTPUTF8",
        .from = "m\xc3\xbc@contoso.com",
        .is_smtputf8 = true,
        .want = RULING_KEPT,
        .want_login = RELAY,
        .want_rule = "send_as",
        .want_sender = RELAY,
    },
    {
        .name = "a bounce of the default mailbox",
        .from = "alerts@contoso.com",
        .sender = "",
        .want = RULING_KEPT,
        .want_login = RELAY,
        .want_rule = "send_as",
    },
    {
        .name = "a bounce of another mailbox",
        .from = ERP,
        .sender = "",
        .want = RULING_REWRITTEN,
        .want_login = RELAY,
        .want_rule = "default_mailbox",
    },
    {
        .name = "a bounce that gets a sender",
        .settings = "null_sender = \"rewrite\"",
        .from = ERP,
        .sender = "",
        .want = RULING_KEPT,
        .want_login = ERP,
        .want_rule = "mailbox",
        .want_sender = ERP,
    },
    {
        .name = "a bounce that goes round gets none",
        .settings = "null_sender = \"rewrite\" hop_limit = 2",
        .from = ERP,
        .sender = "",
        .hops = 3,
        .want = RULING_KEPT,
        .want_login = ERP,
        .want_rule = "mailbox",
    },
    {
        .name = "bounces are thrown away",
        .settings = "null_sender = \"discard\"",
        .from = ERP,
        .sender = "",
        .want = RULING_DISCARDED,
        .want_login = ERP,
        .want_rule = "null_sender",
    },
    {
        .name = "what is not permitted is refused",
        .settings = "not_permitted = \"reject\"",
        .from = "scan@inside.example",
        .want = RULING_REJECTED,
        .want_rule = "not_permitted",
    },
    {
        .name = "a bounce never is",
        .settings = "not_permitted = \"reject\"",
        .from = "scan@inside.example",
        .sender = "",
        .want = RULING_REWRITTEN,
        .want_login = RELAY,
        .want_rule = "default_mailbox",
    },
    {
        .name = "nor a notice of the mail server",
        .settings = "not_permitted = \"reject\"",
        .from = "scan@inside.example",
        .is_internal = true,
        .want = RULING_REWRITTEN,
        .want_login = RELAY,
        .want_rule = "default_mailbox",
        .want_sender = RELAY,
    },
    {
        .name = "a message that goes round",
        .settings = "hop_limit = 2",
        .from = ERP,
        .hops = 3,
        .want = RULING_LOOPING,
        .want_login = ERP,
        .want_rule = "hop_limit",
    },
    {
        .name = "a mailbox that was given",
        .from = "alerts@contoso.com",
        .mailbox = ERP,
        .want = RULING_REWRITTEN,
        .want_login = ERP,
        .want_rule = "the mailbox was given",
        .want_sender = ERP,
    },
    {
        .name = "a route",
        .settings =
            "route { from = \"@inside.example\" mailbox = \"" ERP "\" }",
        .from = "Scan <scan@inside.example>",
        .want = RULING_REWRITTEN,
        .want_login = ERP,
        .want_rule = "route",
        .want_sender = ERP,
    },
};

static struct sendas *
make_policy(const char *settings)
{
    static const char format[] =
        "credential \"c\" { provider = \"microsoft\" tenant = \"t.example\" "
        "client_id = \"i\" client_secret = {\"file:/nonexistent\"} }\n"
        "mailbox \"" RELAY "\" { credential = \"c\" send_as = "
        "{\"alerts@contoso.com\", \"m\xc3\xbc@contoso.com\"} }\n"
        "mailbox \"" ERP "\" { credential = \"c\" }\n"
        "mailbox \"" BUERO "\" { credential = \"c\" send_as = "
        "\"office@contoso.com\" }\n"
        "milter { default_mailbox = \"" RELAY "\"\n%s\n}\n";
    struct err err = {ERR_NONE, ""};
    char text[2000];
    struct config *config;
    struct sendas *policy = NULL;

    (void)snprintf(text, sizeof(text), format,
                   settings != NULL ? settings : "");
    scratch_write_text("relay.conf", text);
    config = config_load(scratch_path("relay.conf"), &err);
    if (config != NULL)
        policy = sendas_new(config, &err);
    if (policy == NULL)
        fail_msg("%s", err.text);
    config_unref(&config);
    return policy;
}

static void
check_text(const char *got, const char *want)
{
    if (want == NULL)
        assert_null(got);
    else
        assert_string_equal(got, want);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct sendas *policy = make_policy(row->settings);
    const struct ruling_message message = {
        .envelope = {.sender = row->sender != NULL ? row->sender
                                                   : "scan@inside.example"},
        .mailbox = row->mailbox,
        .is_smtputf8 = row->is_smtputf8,
        .is_internal = row->is_internal,
        .hops = row->hops,
        .from_count = row->from != NULL ? 1 : 0,
        .from = row->from,
        .from_len = row->from != NULL ? strlen(row->from) : 0,
    };
    struct err err = {ERR_NONE, ""};
    struct ruling ruling;

    assert_int_equal(ruling_make(policy, &message, &ruling, &err), 0);
    assert_string_equal(ruling_action_text(ruling.action),
                        ruling_action_text(row->want));
    check_text(ruling.decision.login, row->want_login);
    assert_string_equal(ruling_rule_name(&ruling), row->want_rule);
    check_text(ruling.new_sender, row->want_sender);
    check_text(ruling.from_text,
               row->want_from != NULL ? row->want_from : "one plain address");
    sendas_unref(&policy);
}

static void
what_can_be_no_sender_is_told(void **state)
{
    static const char *const mailboxes[] = {"alerts@contoso.com", BUERO};
    static const char *const senders[] = {"", "scan@inside.example"};
    struct sendas *policy = make_policy(NULL);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mailboxes); i++)
        for (size_t k = 0; k < ARRAY_LEN(senders); k++) {
            const struct ruling_message message = {
                .envelope = {.sender = senders[k]}, .mailbox = mailboxes[i]};
            struct err err = {ERR_NONE, ""};
            struct ruling ruling;

            assert_int_equal(ruling_make(policy, &message, &ruling, &err), -1);
            assert_int_equal(err.code, ERR_CONFIG);
            assert_non_null(
                strstr(err.text, i == 0 ? "is no mailbox" : "is not ASCII"));
        }
    sendas_unref(&policy);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];

    /* What is missing on this machine is no news here. */
    log_open("test_ruling", LOG_SINK_STDERR, -1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    tests[ARRAY_LEN(rows)] =
        (struct CMUnitTest)cmocka_unit_test(what_can_be_no_sender_is_told);
    return cmocka_run_group_tests_name("ruling", tests, scratch_set_up,
                                       scratch_tear_down);
}
