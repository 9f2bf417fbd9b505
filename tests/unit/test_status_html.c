/* The page for a person: a row is mailboxes, and what the page says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/status_html.h"

#define NOW      INT64_C(1790000000)
#define DAY      INT64_C(86400)
#define PAGE_MAX ((size_t)1 << 20)

/* A mailbox that is well, with what differs. */
#define WELL(name, how, ...)                                                 \
    {                                                                        \
        .address = name, .credential = "c", .state = how, .has_token = true, \
        .token_state = "ready", .left_s = 1800, __VA_ARGS__                  \
    }
#define ILL(how, left, ...)                                                  \
    {                                                                        \
        .address = "ill@b", .credential = "c", .state = how, .left_s = left, \
        __VA_ARGS__                                                          \
    }

static const struct status_html_daemon plain = {
    .version = "1", .config = "/etc", .started_wall = NOW};

struct row {
    const char *name;
    struct status_html_row mailboxes[3];
    struct status_html_daemon daemon; /* no version: `plain` */
    const char *want[3];
    const char *want_not; /* NULL: anything */
};

static struct row rows[] = {
    {.name = "nothing at all",
     .want = {"0 of 0 mailboxes are well", "</html>\n"}},
    {.name = "a mailbox that is well",
     .mailboxes = {WELL("a@b", "ok", .certificate_ends = 0)},
     .want = {"<title>1 of 1 mailbox is well</title>",
              "<tr><td>a@b</td><td>c</td><td>ok</td><td>ready</td>"
              "<td class=\"number\">30m</td><td>-</td><td>-</td><td>-</td>"
              "</tr>"},
     .want_not = "class=\"bad\""},
    {.name = "an error and what to do",
     .mailboxes = {WELL("a@b", "ok", .reason = "bad-secret",
                        .text = "it is <old>", .hint = "make a 'new' one")},
     .want = {"0 of 1 mailbox is well",
              "bad-secret: it is &lt;old&gt;<span class=\"hint\">make a "
              "&#39;new&#39; one</span>"},
     .want_not = "<old>"},
    {.name = "an error without a hint",
     .mailboxes = {WELL("a@b", "ok", .reason = "throttled",
                        .text = "status 429")},
     .want = {"<td>throttled: status 429</td>"}},
    {.name = "without a token no mail goes",
     .mailboxes = {ILL("ok", 0, .token_state = "backoff")},
     .want = {"0 of 1", "<td class=\"bad\">no token</td>", "<td>backoff</td>"}},
    {.name = "nothing is known of its token",
     .mailboxes = {ILL("ok", -1, .hint = NULL)},
     .want = {"0 of 1", "<td class=\"bad\">no token</td><td>-</td>"
                        "<td class=\"number\">-</td>"}},
    {.name = "denied",
     .mailboxes = {WELL("a@b", "denied", .hint = NULL)},
     .want = {"0 of 1", "<td class=\"bad\">denied</td>"}},
    {.name = "denied and without a token",
     .mailboxes = {ILL("denied", -1, .hint = NULL)},
     .want = {"0 of 1", "<td class=\"bad\">denied</td>"}},
    {.name = "trouble comes first",
     .mailboxes = {WELL("well@b", "ok", .hint = NULL),
                   ILL("denied", -1, .hint = NULL)},
     .want = {"1 of 2 mailboxes are well", "<td>ill@b</td>",
              "</tr>\n<tr><td>well@b</td>"}},
    {.name = "days of a certificate",
     .mailboxes = {WELL("a@b", "ok", .certificate_ends = NOW + 11 * DAY + 1)},
     .want = {"<td class=\"number\">11 d</td>"}},
    {.name = "few days of a certificate",
     .mailboxes = {WELL("a@b", "ok", .certificate_ends = NOW + 5 * DAY - 1)},
     .want = {"<td class=\"number bad\">4 d</td>"}},
    {.name = "days of a sign-in",
     .mailboxes = {WELL("a@b", "ok", .sign_in_ends = NOW + 80 * DAY)},
     .want = {"<td>-</td><td class=\"number\">80 d</td>"}},
    {.name = "the daemon",
     .daemon = {.version = "1.2<3",
                .config = "/a&b",
                .started_wall = NOW - 1000,
                .clients = 4,
                .requests = 5,
                .tokens_given = 6,
                .refusals = 7,
                .deferred = 8,
                .denied_mailboxes = 9},
     .want = {"xoauth2-tokend 1.2&lt;3, /a&amp;b, up for 16m",
              "connections: 4, lookups: 5, tokens given: 6, refusals "
              "reported: 7, statuses deferred: 8, denied: 9",
              "2026-09-21 14:13:20 UTC"}},
    {.name = "no script, and nothing from elsewhere",
     .mailboxes = {WELL("<script src=\"http://x/\">", "ok", .hint = NULL)},
     .want = {"&lt;script src=&quot;http://x/&quot;&gt;"},
     .want_not = "<script"},
};

static void
render(const struct status_html *html, const struct status_html_daemon *daemon,
       struct buf *out)
{
    buf_init(out, PAGE_MAX);
    status_html_render(html, daemon, out);
    assert_false(buf_failed(out));
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct status_html html;
    struct buf page;

    status_html_init(&html, NOW);
    for (size_t i = 0; i < ARRAY_LEN(row->mailboxes); i++)
        if (row->mailboxes[i].address != NULL)
            status_html_add(&html, &row->mailboxes[i]);
    render(&html, row->daemon.version != NULL ? &row->daemon : &plain, &page);
    for (size_t i = 0; i < ARRAY_LEN(row->want) && row->want[i] != NULL; i++) {
        if (strstr(buf_str(&page), row->want[i]) == NULL)
            print_error("%s\n", buf_str(&page));
        assert_non_null(strstr(buf_str(&page), row->want[i]));
    }
    if (row->want_not != NULL)
        assert_null(strstr(buf_str(&page), row->want_not));
    buf_clear(&page);
    status_html_clear(&html);
}

struct long_row {
    const char *name;
    size_t ill;
    size_t well;
    size_t want_ill;
    size_t want_well;
    const char *want;
};

static struct long_row long_rows[] = {
    {"as many as the table takes", 1, STATUS_HTML_ROWS_MAX - 1, 1,
     STATUS_HTML_ROWS_MAX - 1, "499 of 500 mailboxes are well"},
    {"those that are well are cut first", 2, STATUS_HTML_ROWS_MAX, 2,
     STATUS_HTML_ROWS_MAX - 2, "500 of 502 mailboxes are well"},
    {"many are ill", STATUS_HTML_ROWS_MAX + 1, 5, STATUS_HTML_ROWS_MAX, 0,
     "5 of 506 mailboxes are well"},
    {"many are well", 0, 3 * STATUS_HTML_ROWS_MAX, 0, STATUS_HTML_ROWS_MAX,
     "1500 of 1500 mailboxes are well"},
};

static size_t
count_text(const char *text, const char *wanted)
{
    size_t count = 0;

    while ((text = strstr(text, wanted)) != NULL) {
        text += strlen(wanted);
        count++;
    }
    return count;
}

static void
check_long_row(void **state)
{
    static const struct status_html_row well = WELL("a@b", "ok", .hint = NULL);
    static const struct status_html_row ill = ILL("ok", -1, .hint = NULL);
    const struct long_row *row = *state;
    struct status_html html;
    struct buf page;

    status_html_init(&html, NOW);
    for (size_t i = 0; i < row->well; i++)
        status_html_add(&html, &well);
    for (size_t i = 0; i < row->ill; i++)
        status_html_add(&html, &ill);
    render(&html, &plain, &page);
    assert_int_equal(count_text(buf_str(&page), "<tr><td>ill@b</td>"),
                     row->want_ill);
    assert_int_equal(count_text(buf_str(&page), "<tr><td>a@b</td>"),
                     row->want_well);
    assert_int_equal(count_text(buf_str(&page), "</td></tr>\n"),
                     row->want_ill + row->want_well);
    assert_non_null(strstr(buf_str(&page), row->want));
    assert_int_equal(strstr(buf_str(&page), "There are more") != NULL,
                     row->ill + row->well > STATUS_HTML_ROWS_MAX);
    buf_clear(&page);
    status_html_clear(&html);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(long_rows)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[n++] = (struct CMUnitTest){.name = rows[i].name,
                                         .test_func = check_row,
                                         .initial_state = &rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(long_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = long_rows[i].name,
                                         .test_func = check_long_row,
                                         .initial_state = &long_rows[i]};
    return cmocka_run_group_tests_name("status_html", tests, NULL, NULL);
}
