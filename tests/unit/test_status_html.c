/* The page for a person: a row is a status, and what the page says of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/util.h"
#include "token-daemon/status_html.h"

#define NOW  1790000000
#define MAIL "\"mailboxes\": "
#define CRED "\"credentials\": "

struct row {
    const char *name;
    const char *status;
    const char *want[3];
    const char *want_not; /* NULL: anything */
};

static struct row rows[] = {
    {.name = "nothing at all",
     .status = "{}",
     .want = {"0 of 0 mailboxes are well", "</html>\n"}},
    {.name = "no status",
     .status = "[]",
     .want = {"0 of 0 mailboxes are well"}},
    {.name = "a mailbox that is well",
     .status = "{" CRED "[{\"name\": \"contoso\", \"user\": null, "
               "\"state\": \"ready\", \"has_token\": true, "
               "\"token_left_s\": 1800, \"error\": null}], " MAIL
               "[{\"address\": \"a@b\", \"credential\": \"contoso\", "
               "\"state\": \"ok\"}]}",
     .want =
         {"<title>1 of 1 mailbox is well</title>",
          "<tr><td>a@b</td><td>contoso</td><td>ok</td><td>ready</td>"
          "<td class=\"number\">30m</td><td>-</td><td>-</td><td>-</td></tr>"},
     .want_not = "class=\"bad\""},
    {.name = "each has a token of its own",
     .status = "{" CRED "[{\"name\": \"c\", \"user\": \"a@b\", "
               "\"has_token\": true, \"token_left_s\": 60},"
               "{\"name\": \"c\", \"user\": \"d@b\", \"has_token\": true, "
               "\"token_left_s\": 61}], " MAIL
               "[{\"address\": \"D@b\", \"credential\": \"c\", "
               "\"state\": \"ok\"}]}",
     .want = {"61s"},
     .want_not = "60s"},
    {.name = "an error and what to do",
     .status = "{" CRED "[{\"name\": \"c\", \"has_token\": true, \"error\": "
               "{\"reason\": \"bad-secret\", \"text\": \"it is <old>\", "
               "\"hint\": \"make a 'new' one\"}}], " MAIL
               "[{\"address\": \"a@b\", \"credential\": \"c\", "
               "\"state\": \"ok\"}]}",
     .want = {"0 of 1 mailbox is well",
              "bad-secret: it is &lt;old&gt;<span class=\"hint\">make a "
              "&#39;new&#39; one</span>"},
     .want_not = "<old>"},
    {.name = "without a token no mail goes",
     .status = "{" CRED "[{\"name\": \"c\", \"has_token\": false}], " MAIL
               "[{\"address\": \"a@b\", \"credential\": \"c\", "
               "\"state\": \"ok\"}]}",
     .want = {"0 of 1", "<td class=\"bad\">no token</td>"}},
    {.name = "without a credential neither",
     .status = "{" MAIL "[{\"address\": \"a@b\", \"credential\": \"c\", "
               "\"state\": \"ok\"}]}",
     .want = {"0 of 1", "<td class=\"bad\">no token</td>"}},
    {.name = "denied",
     .status = "{" CRED "[{\"name\": \"c\", \"has_token\": true}], " MAIL
               "[{\"address\": \"a@b\", \"credential\": \"c\", "
               "\"state\": \"denied\"}]}",
     .want = {"0 of 1", "<td class=\"bad\">denied</td>"}},
    {.name = "trouble comes first",
     .status = "{" CRED "[{\"name\": \"c\", \"has_token\": true}], " MAIL
               "[{\"address\": \"well@b\", \"credential\": \"c\", "
               "\"state\": \"ok\"}, "
               "{\"address\": \"ill@b\", \"credential\": \"c\", "
               "\"state\": \"denied\"}]}",
     .want = {"1 of 2 mailboxes are well", "ill@b"},
     .want_not =
         "well@b</td><td>c</td><td>ok</td><td>-</td>"
         "<td class=\"number\">-</td><td>-</td><td>-</td><td>-</td></tr>\n"
         "<tr><td>ill@b"},
    {.name = "days of a certificate",
     .status = "{" CRED "[{\"name\": \"c\", \"has_token\": true, "
               "\"certificate_not_after\": 1790950400}], " MAIL
               "[{\"address\": \"a@b\", \"credential\": \"c\", "
               "\"state\": \"ok\"}]}",
     .want = {"<td class=\"number\">11 d</td>"}},
    {.name = "few days of a certificate",
     .status = "{" CRED "[{\"name\": \"c\", \"has_token\": true, "
               "\"certificate_not_after\": 1790350000}], " MAIL
               "[{\"address\": \"a@b\", \"credential\": \"c\", "
               "\"state\": \"ok\"}]}",
     .want = {"<td class=\"number bad\">4 d</td>"}},
    {.name = "days of a sign-in",
     .status = "{" CRED "[{\"name\": \"c\", \"has_token\": true, "
               "\"refresh_token\": {\"obtained\": 1, "
               "\"expires\": 1790950400}}], " MAIL
               "[{\"address\": \"a@b\", \"credential\": \"c\", "
               "\"state\": \"ok\"}]}",
     .want = {"<td>-</td><td class=\"number\">11 d</td>"}},
    {.name = "the daemon",
     .status = "{\"daemon\": {\"version\": \"1.2<3\", \"config\": \"/a&b\", "
               "\"started\": 1789999000, \"clients\": 4, \"requests\": 5, "
               "\"tokens_given\": 6, \"refusals\": 7, \"deferred\": 8, "
               "\"denied_mailboxes\": 9}}",
     .want = {"xoauth2-tokend 1.2&lt;3, /a&amp;b, up for 16m",
              "connections: 4, lookups: 5, tokens given: 6, refusals "
              "reported: 7, statuses deferred: 8, denied: 9",
              "2026-09-21 14:13:20 UTC"}},
    {.name = "no script, and nothing from elsewhere",
     .status = "{\"daemon\": {\"config\": "
               "\"<script src=\\\"http://x/\\\">\"}}",
     .want = {"&lt;script src=&quot;http://x/&quot;&gt;"},
     .want_not = "<script"},
};

static void
render(const char *status, struct buf *out)
{
    json_t *root = json_loads(status, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(root);
    buf_init(out, STATUS_HTML_SIZE_MAX);
    status_html_render(root, NOW, out);
    assert_false(buf_failed(out));
    json_decref(root);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct buf page;

    render(row->status, &page);
    for (size_t i = 0; i < ARRAY_LEN(row->want) && row->want[i] != NULL; i++) {
        if (strstr(buf_str(&page), row->want[i]) == NULL)
            print_error("%s\n", buf_str(&page));
        assert_non_null(strstr(buf_str(&page), row->want[i]));
    }
    if (row->want_not != NULL)
        assert_null(strstr(buf_str(&page), row->want_not));
    buf_clear(&page);
}

static void
a_long_table_is_cut_and_says_so(void **state)
{
    static char status[200000];
    size_t used = 0;
    size_t count = 0;
    struct buf page;

    (void)state;
    used += (size_t)snprintf(status, sizeof(status), "{" MAIL "[");
    for (size_t i = 0; i <= STATUS_HTML_ROWS_MAX; i++)
        used += (size_t)snprintf(
            status + used, sizeof(status) - used,
            "%s{\"address\": \"m%zu@b\", \"credential\": \"c\"}",
            i == 0 ? "" : ",", i);
    assert_true(used + 2 < sizeof(status));
    memcpy(status + used, "]}", 3);
    render(status, &page);
    for (const char *at = buf_str(&page); (at = strstr(at, "<tr><td>")) != NULL;
         at++)
        count++;
    assert_int_equal(count, STATUS_HTML_ROWS_MAX);
    assert_non_null(strstr(buf_str(&page), "0 of 501 mailboxes are well"));
    assert_non_null(strstr(buf_str(&page), "There are more"));
    buf_clear(&page);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1] = {
        cmocka_unit_test(a_long_table_is_cut_and_says_so),
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i + 1] = (struct CMUnitTest){.name = rows[i].name,
                                           .test_func = check_row,
                                           .initial_state = &rows[i]};
    return cmocka_run_group_tests_name("status_html", tests, NULL, NULL);
}
