/*
 * What is counted of messages, and how it reads. A row is a message under a
 * policy, and the lines that Prometheus must then find.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "milter/describe.h"
#include "milter/metrics.h"
#include "milter/status_report.h"
#include "tests/unit/mail.h"

#define TEXT_SIZE ((size_t)1 << 20)
#define LINES_MAX 4
#define CONF(settings)                                                    \
    "credential \"c\" { provider = \"microsoft\" tenant = \"t.example\" " \
    "client_id = \"00001111-aaaa-2222-bbbb-3333cccc4444\" "               \
    "client_secret = \"credential:s\" }\n"                                \
    "mailbox \"relay@contoso.com\" { credential = \"c\" "                 \
    "send_as = \"alerts@contoso.com\" }\n"                                \
    "mailbox \"@apps.example\" { credential = \"c\" }\n"                  \
    "milter { default_mailbox = \"relay@contoso.com\"\n" settings "\n}\n"

struct row {
    const char *name;
    const char *settings; /* of the milter section */
    const char *sender;
    const char *header;
    size_t field_count;          /* of empty Sender fields beside these */
    const char *want[LINES_MAX]; /* NULL: no more */
};

static const char plain[] = CONF("");
static const char audit[] = CONF("not_permitted = \"audit\"");
static const char discard[] = CONF("null_sender = \"discard\"");
static const char reject[] = CONF("not_permitted = \"reject\"");
static const char loop[] = CONF("hop_limit = 1");
static const char route[] =
    CONF("route { from = \"@x.example\" mailbox = \"relay@contoso.com\" }");

static struct row rows[] = {
    {.name = "a rewritten one is its mailbox's and the default rule's",
     .settings = plain,
     .sender = "<a@x.example>",
     .header = "From: a@x.example",
     .want = {"sendas_messages_total{outcome=\"rewritten\"} 1",
              "sendas_mailbox_messages_total{mailbox=\"relay@contoso.com\","
              "outcome=\"rewritten\"} 1",
              "sendas_rule_messages_total{rule=\"default_mailbox\","
              "outcome=\"rewritten\"} 1"}},
    {.name = "a route has its line",
     .settings = route,
     .sender = "<a@x.example>",
     .header = "From: a@x.example",
     .want = {"sendas_rule_messages_total{rule=\"route at line 5\","
              "outcome=\"rewritten\"} 1"}},
    {.name = "a sender of a whole domain is counted as the domain's mailbox",
     .settings = plain,
     .sender = "<a@apps.example>",
     .header = "From: a@apps.example",
     .want = {"sendas_messages_total{outcome=\"kept\"} 1",
              "sendas_mailbox_messages_total{mailbox=\"@apps.example\","
              "outcome=\"kept\"} 1"}},
    {.name = "what an audit would rewrite",
     .settings = audit,
     .sender = "<a@x.example>",
     .header = "From: a@x.example",
     .want = {"sendas_messages_total{outcome=\"audited\"} 1",
              "sendas_messages_total{outcome=\"rewritten\"} 0"}},
    {.name = "what an audit leaves alone",
     .settings = audit,
     .sender = "<alerts@contoso.com>",
     .header = "From: alerts@contoso.com",
     .want = {"sendas_messages_total{outcome=\"kept\"} 1",
              "sendas_messages_total{outcome=\"audited\"} 0"}},
    {.name = "a discarded bounce",
     .settings = discard,
     .sender = "<>",
     .header = "From: a@x.example",
     .want = {"sendas_messages_total{outcome=\"discarded\"} 1"}},
    {.name = "a rejected one",
     .settings = reject,
     .sender = "<a@x.example>",
     .header = "From: a@x.example",
     .want = {"sendas_messages_total{outcome=\"rejected\"} 1"}},
    {.name = "one that goes round",
     .settings = loop,
     .sender = "<a@x.example>",
     .header = "Received: a\nReceived: b\nFrom: a@x.example",
     .want = {"sendas_messages_total{outcome=\"looping\"} 1"}},
    {.name = "one with too many fields",
     .settings = plain,
     .sender = "<a@x.example>",
     .header = "Subject: x",
     .field_count = 600,
     .want = {"sendas_messages_total{outcome=\"overfull\"} 1",
              "sendas_messages_total{outcome=\"held\"} 0",
              "sendas_rule_messages_total{rule=\"too many fields\","
              "outcome=\"overfull\"} 1"}},
    {.name = "a bounce with too many fields",
     .settings = plain,
     .sender = "<>",
     .header = "Subject: x",
     .field_count = 600,
     .want = {"sendas_messages_total{outcome=\"held\"} 1",
              "sendas_messages_total{outcome=\"overfull\"} 0"}},
    {.name = "what an audit would refuse for its fields",
     .settings = audit,
     .sender = "<a@x.example>",
     .header = "Subject: x",
     .field_count = 600,
     .want = {"sendas_messages_total{outcome=\"audited\"} 1",
              "sendas_messages_total{outcome=\"overfull\"} 0"}},
};

static void
assert_has(const struct buf *text, const char *want)
{
    if (strstr(buf_str(text), want) == NULL)
        print_error("no %s in\n%s\n", want, buf_str(text));
    assert_non_null(strstr(buf_str(text), want));
}

/* Decide on the message of the row, and count it. */
static void
count_row(const struct row *row, struct metrics *metrics)
{
    struct sendas *policy = mail_policy(row->settings);
    struct rewrite_plan plan;
    struct mail mail;
    struct buf rule;

    mail_init(&mail, row->sender, NULL, row->header);
    for (size_t i = 0; i < row->field_count; i++)
        mail_add(&mail, "Sender", "");
    assert_int_equal(mail_filter(&mail, policy, &plan), 0);
    buf_init(&rule, TEXT_SIZE);
    describe_rule(&plan, &rule);
    metrics_message(
        metrics, &(struct metrics_message){.policy = policy,
                                           .plan = &plan,
                                           .rule = buf_str(&rule),
                                           .is_audit = row->settings == audit});
    buf_clear(&rule);
    rewrite_plan_clear(&plan);
    mail_clear(&mail);
    sendas_unref(&policy);
}

static void
check_row(void **state)
{
    static const struct metrics_gauges gauges = {.sessions = 3};
    const struct row *row = *state;
    struct metrics *metrics = metrics_new();
    struct buf text;

    assert_non_null(metrics);
    count_row(row, metrics);
    buf_init(&text, TEXT_SIZE);
    metrics_render(metrics, &gauges, &text);
    assert_false(buf_failed(&text));
    for (size_t i = 0; i < LINES_MAX && row->want[i] != NULL; i++)
        assert_has(&text, row->want[i]);
    assert_has(&text, "\nsendas_sessions 3\n");
    assert_null(strstr(buf_str(&text), "@x.example"));
    buf_clear(&text);
    metrics_free(&metrics);
}

static void
times_failures_and_reloads(void **state)
{
    static const struct metrics_gauges gauges = {.started_wall = 1790000000};
    struct metrics *metrics = metrics_new();
    struct buf text;

    (void)state;
    assert_non_null(metrics);
    metrics_took(metrics, 10);
    metrics_took(metrics, 11);
    metrics_took(metrics, INT64_C(20000000));
    metrics_took(metrics, -1);
    metrics_failed(metrics, true);
    metrics_failed(metrics, false);
    metrics_reload(metrics, true);
    metrics_reload(metrics, false);
    buf_init(&text, TEXT_SIZE);
    metrics_render(metrics, &gauges, &text);
    assert_has(&text, "sendas_message_seconds_bucket{le=\"0.00001\"} 2\n");
    assert_has(&text, "sendas_message_seconds_bucket{le=\"0.000025\"} 3\n");
    assert_has(&text, "sendas_message_seconds_bucket{le=\"10\"} 3\n");
    assert_has(&text, "sendas_message_seconds_bucket{le=\"+Inf\"} 4\n");
    assert_has(&text, "sendas_messages_total{outcome=\"deferred\"} 1\n");
    assert_has(&text, "sendas_messages_total{outcome=\"undecided\"} 1\n");
    assert_has(&text, "sendas_config_reloads_total{outcome=\"done\"} 1\n");
    assert_has(&text, "sendas_config_reloads_total{outcome=\"failed\"} 1\n");
    assert_has(&text, "sendas_config_last_reload_successful 0\n");
    metrics_reload(metrics, true);
    assert_false(metrics_has_reload_failed(metrics));
    buf_clear(&text);
    metrics_free(&metrics);
}

static void
the_page_and_the_json_have_the_counts(void **state)
{
    static const struct metrics_gauges gauges = {.started_wall = 1790000000,
                                                 .entries = 17};
    struct metrics *metrics = metrics_new();
    struct buf text;

    (void)state;
    assert_non_null(metrics);
    count_row(&rows[0], metrics);
    buf_init(&text, TEXT_SIZE);
    status_report_html(metrics, &gauges, 1790000001, &text);
    assert_false(buf_failed(&text));
    assert_has(&text, "<td>relay@contoso.com</td>");
    assert_has(&text, "<td>entries of the policy</td>"
                      "<td class=\"number\">17</td>");
    assert_has(&text, "2026-09-21 14:13:21 UTC");
    assert_null(strstr(buf_str(&text), "could not be read"));
    buf_clear(&text);
    buf_init(&text, TEXT_SIZE);
    metrics_reload(metrics, false);
    status_report_html(metrics, &gauges, 1790000001, &text);
    assert_has(&text, "could not be read");
    buf_clear(&text);
    buf_init(&text, TEXT_SIZE);
    status_report_json(metrics, &gauges, &text);
    assert_has(&text, "\"mailboxes\":[{\"name\":\"relay@contoso.com\","
                      "\"rewritten\":1}]");
    assert_has(&text, "\"is_newest\":false");
    buf_clear(&text);
    metrics_free(&metrics);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 2];
    size_t n = 0;

    for (; n < ARRAY_LEN(rows); n++)
        tests[n] = (struct CMUnitTest){.name = rows[n].name,
                                       .test_func = check_row,
                                       .initial_state = &rows[n]};
    tests[n++] =
        (struct CMUnitTest)cmocka_unit_test(times_failures_and_reloads);
    tests[n] = (struct CMUnitTest)cmocka_unit_test(
        the_page_and_the_json_have_the_counts);
    return cmocka_run_group_tests_name("milter_metrics", tests, NULL, NULL);
}
