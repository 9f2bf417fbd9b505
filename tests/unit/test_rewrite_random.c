/*
 * Random messages under random policies: what comes out has one permitted
 * sender, and is left alone when it comes back. The generator has a seed of its
 * own for each test, so that a failure can be repeated.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/from_field.h"
#include "common/log.h"
#include "common/utf8.h"
#include "common/util.h"
#include "tests/unit/mail.h"

#define POLICIES 40  /* for each seed */
#define MESSAGES 100 /* for each policy */

static uint64_t random_state;

/* xorshift64*, by Marsaglia and Vigna. A number below `limit`. */
static size_t
below(size_t limit)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (size_t)((random_state * UINT64_C(2685821657736338717)) >> 33) %
           limit;
}

#define PICK(list) ((list)[below(ARRAY_LEN(list))])

static const char *const addresses[] = {
    "relay@contoso.com",
    "erp@contoso.com",
    "alerts@contoso.com",
    "a@printers.contoso.com",
    "app@apps.contoso.com",
    "RELAY@Contoso.COM",
    "scan@inside.example",
    "evil@e.example",
    "m\xc3\xbc@x.example",
    "b\xc3\xbcro@contoso.com",
    "office@contoso.com",
    ("a@b\xc3\xbc"
     "cher.example"),
    "a@west.cloud.contoso.com",
    "a@contoso.com",
    "x@gw.inside.example",
    "noreply@fabrikam.com",
    "x@y.local",
    "root",
};

/* ---- policies ---- */

static void
append_option(struct buf *conf, const char *name, const char *const *values,
              size_t count)
{
    size_t choice = below(count + 1);

    if (choice == count)
        return; /* the default */
    buf_append_str(conf, name);
    buf_append_str(conf, " = ");
    buf_append_str(conf, values[choice]);
    buf_append_str(conf, "\n");
}

static void
append_quoted(struct buf *conf, const char *text)
{
    buf_append_char(conf, '"');
    buf_append_str(conf, text);
    buf_append_char(conf, '"');
}

/* Up to `limit` of the items of a list that are not taken, which they are then.
 */
static void
append_some(struct buf *conf, const char *name, const char *const *items,
            bool *is_taken, size_t count, size_t limit)
{
    size_t wanted = below(limit + 1);
    size_t done = 0;

    for (size_t i = below(count); done < wanted && below(20) > 0;
         i = (i + 1) % count) {
        if (is_taken[i] || below(3) == 0)
            continue;
        is_taken[i] = true;
        buf_append_str(conf, done == 0 ? name : ", ");
        if (done++ == 0)
            buf_append_str(conf, " = {");
        append_quoted(conf, items[i]);
    }
    if (done > 0)
        buf_append_str(conf, "}\n");
}

/* Who may log in; those with an ASCII address of their own come first. */
static const char *const titles[] = {
    "relay@contoso.com",
    "erp@contoso.com",
    "lan@fabrikam.com",
    "b\xc3\xbcro@contoso.com",
    "@apps.contoso.com",
    "@.cloud.contoso.com",
    ("@b\xc3\xbc"
     "cher.example"),
};
#define PLAIN_TITLES 3

static const char *const entries[] = {
    "alerts@contoso.com",   "@printers.contoso.com",   "@.contoso.com",
    "office@contoso.com",   "m\xc3\xbc@x.example",     "@y.local",
    "noreply@fabrikam.com", "@m\xc3\xbcnchen.example", "@.inside.example",
};

static void
append_mailboxes(struct buf *conf, bool has_mailbox[ARRAY_LEN(titles)])
{
    bool is_taken[ARRAY_LEN(entries)] = {false};

    for (size_t i = 0; i < ARRAY_LEN(titles); i++) {
        has_mailbox[i] = i == 0 || below(3) > 0;
        if (!has_mailbox[i])
            continue;
        buf_append_str(conf, "mailbox ");
        append_quoted(conf, titles[i]);
        buf_append_str(conf, " { credential = \"c\"\n");
        if (titles[i][0] != '@') /* there everybody logs in as itself */
            append_some(conf, "send_as", entries, is_taken, ARRAY_LEN(entries),
                        3);
        buf_append_str(conf, "}\n");
    }
}

/* One mailbox or several that can be in anybody's From. */
static void
append_pool(struct buf *conf, const char *name, const bool *has_mailbox)
{
    size_t first = below(PLAIN_TITLES);
    const char *separator = " = {";

    buf_append_str(conf, name);
    for (size_t k = 0; k < PLAIN_TITLES; k++) {
        size_t i = (first + k) % PLAIN_TITLES;

        if (!has_mailbox[i] || (i != 0 && below(2) == 0))
            continue;
        buf_append_str(conf, separator);
        append_quoted(conf, titles[i]);
        separator = ", ";
    }
    buf_append_str(conf, "}\n");
}

/* At least one of them. */
static void
append_criteria(struct buf *conf, const char *const *criteria, size_t count)
{
    size_t sure = below(count);

    for (size_t i = 0; i < count; i++)
        if (i == sure || below(4) == 0) {
            buf_append_str(conf, criteria[i]);
            buf_append_char(conf, '\n');
        }
}

static void
append_rules(struct buf *conf, const bool *has_mailbox)
{
    static const char *const exempts[] = {
        "client = \"192.0.2.0/28\"", "daemon = \"scan\"",
        "recipient = {\"@local.example\", \"@.local.example\"}"};
    static const char *const routes[] = {
        "client = \"192.0.2.0/24\"",
        "daemon = \"scan\"",
        "login = {\"erp\", \"fax\"}",
        "sender = {\"@e.example\", \"x@y.local\"}",
        "from = {\"@inside.example\", \"m\xc3\xbc@x.example\"}",
        "from = \"@.contoso.com\"",
        "recipient = \"@example.com\"",
    };
    size_t exempt_count = below(4) == 0 ? 1 + below(2) : 0;
    size_t route_count = below(4);

    for (size_t i = 0; i < exempt_count; i++) {
        buf_append_str(conf, "exempt {\n");
        append_criteria(conf, exempts, ARRAY_LEN(exempts));
        buf_append_str(conf, "}\n");
    }
    for (size_t i = 0; i < route_count; i++) {
        size_t begin = below(2) == 0 ? 0 : 4; /* only one `from` in each */

        buf_append_str(conf, "route {\n");
        append_criteria(conf, routes + begin, begin == 0 ? 5 : 1);
        append_pool(conf, "mailbox", has_mailbox);
        buf_append_str(conf, "}\n");
    }
}

static void
append_milter(struct buf *conf, const bool *has_mailbox)
{
    static const char *const permitted[] = {"\"rewrite\"", "\"reject\"",
                                            "\"reject\""};
    static const char *const reply_to[] = {"\"always\"", "\"deliverable\"",
                                           "\"never\""};
    static const char *const null_sender[] = {"\"keep\"", "\"rewrite\"",
                                              "\"discard\""};
    static const char *const templates[] = {
        "\"%n\"",
        "\"%a\"",
        "\"%n <%a>\"",
        "\"%n via %d\"",
        "\"B\xc3\xbcro (%n)\"",
        "\"Scanner, 3rd\"",
        "\"=?utf-8?q?x?=\"",
        "\"100%%\"",
    };
    static const char *const template_for[] = {"\"nameless\"", "\"all\""};
    static const char *const dkim[] = {"\"strip\"", "\"keep\"", "\"rename\""};
    static const char *const deliverable[] = {
        "{\"@inside.example\", \"x@y.local\"}"};
    static const char *const hops[] = {"1", "3"};

    if (below(6) == 0) {
        buf_append_str(conf, "not_permitted = reject null_sender = discard\n");
    } else {
        append_pool(conf, "default_mailbox", has_mailbox);
        append_option(conf, "not_permitted", permitted, ARRAY_LEN(permitted));
        append_option(conf, "null_sender", null_sender, ARRAY_LEN(null_sender));
    }
    append_option(conf, "reply_to", reply_to, ARRAY_LEN(reply_to));
    append_option(conf, "name_template", templates, ARRAY_LEN(templates));
    append_option(conf, "name_template_for", template_for,
                  ARRAY_LEN(template_for));
    append_option(conf, "dkim", dkim, ARRAY_LEN(dkim));
    append_option(conf, "deliverable", deliverable, ARRAY_LEN(deliverable));
    append_option(conf, "hop_limit", hops, ARRAY_LEN(hops));
}

static struct sendas *
make_policy(void)
{
    bool has_mailbox[ARRAY_LEN(titles)];
    struct sendas *policy;
    struct buf conf;

    buf_init(&conf, 10000);
    buf_append_str(&conf, "credential \"c\" { provider = \"microsoft\" "
                          "tenant = \"t.example\" client_id = \"i\" "
                          "client_secret = {\"file:/nonexistent\"} }\n");
    append_mailboxes(&conf, has_mailbox);
    buf_append_str(&conf, "milter {\n");
    append_milter(&conf, has_mailbox);
    append_rules(&conf, has_mailbox);
    buf_append_str(&conf, "}\n");
    assert_false(buf_failed(&conf));
    policy = mail_policy(buf_str(&conf));
    buf_clear(&conf);
    return policy;
}

/* ---- messages ---- */

static void
append_value(struct buf *value)
{
    static const char *const parts[] = {
        " ",
        "\n ",
        "\t",
        "\"",
        "\\",
        "<",
        ">",
        "(",
        ")",
        ",",
        ";",
        ":",
        "@",
        ".",
        "%",
        "!",
        "[",
        "]",
        "\001",
        "\r",
        "\x7f",
        "\xc3",
        "=?",
        "?=",
        "Scan",
        "\"Doe, John\"",
        "M\xc3\xbcller",
        "M\xfcller",
        "=?utf-8?q?M=C3=BC?=",
        "=?utf-8?b?PGFAYj4=?=",
        "=?iso-2022-jp?b?GyRCPHUbKEI=?=",
        "(3rd floor)",
        "\xe2\x80\xae",
        "=?utf-8?q?=00?=",
        "xxxxxxxxxxxxxxxxxxxx",
    };
    size_t count = 1 + below(8);

    buf_append_char(value, ' ');
    for (size_t i = 0; i < count; i++) {
        switch (below(4)) {
        case 0:
            buf_append_char(value, '<');
            buf_append_str(value, PICK(addresses));
            buf_append_char(value, '>');
            break;
        case 1:
            buf_append_str(value, PICK(addresses));
            break;
        default:
            buf_append_str(value, PICK(parts));
            break;
        }
        if (below(2) == 0)
            buf_append_char(value, ' ');
    }
}

/* Mostly what a device sends, else anything. */
static void
append_sender(struct buf *value)
{
    static const char *const names[] = {
        "Scan",          "\"Scan, 3rd\"",           "John Q. Public",
        "M\xc3\xbcller", "=?utf-8?q?M=C3=BCller?=", "\"\"",
    };

    if (below(2) == 0) {
        append_value(value);
        return;
    }
    buf_append_char(value, ' ');
    if (below(3) > 0) {
        buf_append_str(value, PICK(names));
        buf_append_str(value, " <");
        buf_append_str(value, PICK(addresses));
        buf_append_char(value, '>');
    } else {
        buf_append_str(value, PICK(addresses));
    }
}

static void
add_field(struct mail *mail, const char *name)
{
    struct buf value;

    buf_init(&value, 10000);
    if (strstr(name, "DKIM") != NULL || strstr(name, "Message-Sig") != NULL)
        buf_append_str(&value, below(2) == 0 ? " i=1; h=from:to; b=x"
                                             : " i=1; h=to:sender; b=x");
    else
        append_sender(&value);
    assert_false(buf_failed(&value));
    mail_add(mail, name, buf_str(&value));
    buf_clear(&value);
}

static void
make_message(struct mail *mail)
{
    static const char *const names[] = {
        "From",           "From",
        "FROM ",          "Sender",
        "Sender\t",       "Reply-To",
        "Resent-From",    "Resent-Sender",
        "Received",       "Received",
        "Subject",        "X-Original-From",
        "Auto-Submitted", "DKIM-Signature",
        "ARC-Seal",       "ARC-Message-Signature",
    };
    static const char *const recipients[] = {
        "<someone@example.com>", "<a@local.example>", "<a@b.local.example>"};
    static const char *const logins[] = {NULL, "erp", "ERP", "other"};
    static const char *const daemons[] = {NULL, "scan", "submission"};
    static const char *const clients[] = {NULL, "192.0.2.1", "192.0.2.99",
                                          "198.51.100.1"};
    char sender[400];
    size_t count = below(8);
    const char *parameter = below(3) == 0 ? "SMTPUTF8" : NULL;

    (void)snprintf(sender, sizeof(sender), "<%s>",
                   below(4) == 0 ? "" : PICK(addresses));
    mail_init(mail, sender, parameter, "");
    mail->recipient = PICK(recipients);
    mail->login = PICK(logins);
    mail->daemon = PICK(daemons);
    mail->client = PICK(clients);
    if (below(4) > 0)
        add_field(mail, "From");
    for (size_t i = 0; i < count; i++)
        add_field(mail, PICK(names));
}

/* ---- what must be ---- */

static size_t
count_fields(const struct mail *mail, const char *name)
{
    size_t count = 0;

    while (mail_value(mail, name, count + 1) != NULL)
        count++;
    return count;
}

/* The address is one that the mailbox which sends may use. */
static void
check_permitted(const struct sendas *policy, const struct rewrite_plan *plan,
                const char *address)
{
    struct sendas_match match;

    assert_true(sendas_find(policy, address, &match));
    assert_true(address_equal(match.login, plan->ruling.decision.login));
}

static void
check_senders(const struct sendas *policy, const struct rewrite_plan *plan,
              const struct mail *mail, const char *name)
{
    size_t count = count_fields(mail, name);

    for (size_t i = 1; i <= count; i++) {
        const char *value = mail_value(mail, name, i);
        struct from_field field;

        from_field_parse(value, strlen(value), &field);
        assert_int_equal(field.kind, FROM_FIELD_PLAIN);
        assert_true(field.is_address_ascii || mail->parameter != NULL);
        check_permitted(policy, plan, field.address);
    }
}

/* What was written has no byte that it must not have, and is short. */
static void
check_edits(const struct rewrite_plan *plan)
{
    for (size_t i = 0; i < plan->edit_count; i++) {
        const struct rewrite_edit *edit = &plan->edits[i];

        if (edit->value == NULL)
            continue;
        for (const char *p = edit->value; *p != '\0'; p++) {
            bool is_fold = *p == '\n' && (p[1] == ' ' || p[1] == '\t');

            assert_true(is_fold || *p == '\t' ||
                        ((unsigned char)*p >= ' ' && *p != '\177'));
        }
        assert_true(strlen(edit->value) +
                        strlen(rewrite_name_text(edit->name)) + 1 <=
                    NEW_FIELD_MAX);
    }
}

static void
check_outcome(const struct sendas *policy, const struct rewrite_plan *plan,
              const struct mail *mail)
{
    char sender[400];

    assert_int_equal(count_fields(mail, "From"), 1);
    assert_true(count_fields(mail, "Sender") <= 1);
    assert_true(plan->ruling.action != RULING_REWRITTEN ||
                count_fields(mail, "X-Original-From") <= 1);
    check_senders(policy, plan, mail, "From");
    check_senders(policy, plan, mail, "Sender");
    check_senders(policy, plan, mail, "Resent-From");
    check_senders(policy, plan, mail, "Resent-Sender");
    assert_true(address_from_path(mail->sender, sender, sizeof(sender)));
    if (sender[0] != '\0') {
        check_permitted(policy, plan, sender);
        assert_true(mail->parameter != NULL ||
                    utf8_is_ascii(sender, strlen(sender)));
    }
    check_edits(plan);
}

/* How often each action was taken. */
static size_t seen[RULING_HELD + 1];

static void
check_message(struct sendas *policy)
{
    const struct config_milter *settings = &sendas_config(policy)->milter;
    struct rewrite_plan plan;
    struct mail mail;
    bool is_null;

    make_message(&mail);
    is_null = strcmp(mail.sender, "<>") == 0;
    assert_int_equal(mail_filter(&mail, policy, &plan), 0);
    seen[plan.ruling.action]++;
    switch (plan.ruling.action) {
    case RULING_REJECTED:
        assert_int_equal(settings->not_permitted, CONFIG_NOT_PERMITTED_REJECT);
        assert_false(is_null);
        assert_int_equal(plan.edit_count, 0);
        break;
    case RULING_LOOPING:
        assert_true(count_fields(&mail, "Received") >
                    (size_t)settings->hop_limit);
        assert_false(is_null);
        assert_int_equal(plan.edit_count, 0);
        break;
    case RULING_KEPT:
    case RULING_REWRITTEN:
        check_outcome(policy, &plan, &mail);
        rewrite_plan_clear(&plan);
        assert_int_equal(mail_filter(&mail, policy, &plan), 0);
        assert_int_equal(plan.ruling.action, RULING_KEPT);
        assert_int_equal(plan.edit_count, 0);
        break;
    case RULING_EXEMPT:
        assert_true(settings->exempt_count > 0);
        assert_int_equal(plan.edit_count, 0);
        break;
    case RULING_DISCARDED:
        assert_int_equal(settings->null_sender, CONFIG_NULL_SENDER_DISCARD);
        assert_true(is_null);
        assert_int_equal(plan.edit_count, 0);
        break;
    case RULING_OVERFULL:
    case RULING_HELD:
        fail_msg("there are not so many fields");
    }
    rewrite_plan_clear(&plan);
    mail_clear(&mail);
}

static void
check_seed(void **state)
{
    memset(seen, 0, sizeof(seen));
    random_state = (uint64_t)(uintptr_t)*state;
    for (size_t i = 0; i < POLICIES; i++) {
        struct sendas *policy = make_policy();

        for (size_t k = 0; k < MESSAGES; k++)
            check_message(policy);
        sendas_unref(&policy);
    }
    /* None of the cases is there by name only. */
    for (size_t i = 0; i < RULING_OVERFULL; i++)
        if (seen[i] < 10)
            fail_msg("%s: %zu", ruling_action_text((enum ruling_action)i),
                     seen[i]);
}

int
main(void)
{
    static char names[5][40];
    struct CMUnitTest tests[ARRAY_LEN(names)];

    /* Policies are read by the hundred; what is missing here is no news. */
    log_open("test_rewrite_random", LOG_SINK_STDERR, -1);

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        uintptr_t seed = (i + 1) * 20260113;

        (void)snprintf(names[i], sizeof(names[i]), "seed %" PRIuPTR, seed);
        tests[i] = (struct CMUnitTest){
            .name = names[i],
            .test_func = check_seed,
            .initial_state = (void *)seed, /* NOLINT: a number in a pointer */
        };
    }
    return cmocka_run_group_tests_name("rewrite_random", tests, NULL, NULL);
}
