/*
 * How xoauth2ctl shows things: one row is a span of time, or a whole answer to
 * `status` and the table that it becomes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/buf.h"
#include "common/util.h"
#include "token-daemon/ctl_format.h"

#define WALL 1790000000

struct span {
    const char *name;
    int64_t seconds;
    const char *want;
};

static struct span spans[] = {
    {"no time", 0, "0s"},
    {"a second", 1, "1s"},
    {"seconds up to two minutes", 119, "119s"},
    {"two minutes", 120, "2m"},
    {"minutes up to two hours", 7199, "119m"},
    {"two hours", 7200, "2h00m"},
    {"hours and minutes", 11159, "3h05m"},
    {"hours up to two days", 172799, "47h59m"},
    {"two days", 172800, "2d"},
    {"a year", 31536000, "365d"},
    {"more than a number of minutes can hold", INT64_MAX, "106751991167300d"},
    {"a time that has passed", -5, "-5s"},
};

static void
check_span(void **state)
{
    const struct span *row = *state;
    struct buf out;

    buf_init(&out, 100);
    ctl_format_span(row->seconds, &out);
    assert_string_equal(buf_str(&out), row->want);
    buf_clear(&out);
}

struct row {
    const char *name;
    const char *json; /* ' stands for " */
    const char *want;
};

#define HEAD  "MAILBOX CREDENTIAL LOGIN    TOKEN     LEFT       NEXT       "
#define HEAD2 "CERTIFICATE REFRESH ERROR\n"

static struct row rows[] = {
    {"nothing is configured", "{'credentials':[],'mailboxes':[]}", HEAD HEAD2},
    {"nothing at all was answered", "{}", HEAD HEAD2},
    {"fields of another type show as nothing",
     "{'credentials':7,'mailboxes':[{'address':1,'credential':null}]}",
     HEAD HEAD2
     "-       -          -        -         -          -          -           "
     "-       -\n"},
    {"a mailbox with a token",
     "{'credentials':[{'name':'c','state':'ready','token_left_s':3500,"
     "'next_fetch_s':1700,'error':null,'certificate_not_after':null}],"
     "'mailboxes':[{'address':'a@b','credential':'c','state':'ok'}]}",
     HEAD HEAD2
     "a@b     c          ok       ready     58m        28m        -           "
     "-       -\n"},
    {"a fetch in flight has no next one",
     "{'credentials':[{'name':'c','state':'fetching','token_left_s':0,"
     "'next_fetch_s':null,'error':null}],"
     "'mailboxes':[{'address':'a@b','credential':'c','state':'denied'}]}",
     HEAD HEAD2
     "a@b     c          denied   fetching  0s         -          -           "
     "-       -\n"},
    {"a certificate shows its days",
     "{'credentials':[{'name':'c','state':'ready','token_left_s':60,"
     "'next_fetch_s':30,'error':null,'certificate_not_after':1790864000}],"
     "'mailboxes':[{'address':'a@b','credential':'c','state':'ok'}]}",
     HEAD HEAD2
     "a@b     c          ok       ready     60s        30s        10d         "
     "-       -\n"},
    {"a refresh token that is known to end shows its days",
     "{'credentials':[{'name':'c','state':'ready','token_left_s':60,"
     "'next_fetch_s':30,'error':null,"
     "'refresh_token':{'obtained':1,'expires':1790864000}}],"
     "'mailboxes':[{'address':'a@b','credential':'c','state':'ok'}]}",
     HEAD HEAD2
     "a@b     c          ok       ready     60s        30s        -           "
     "10d     -\n"},
    {"a certificate that has ended shows so",
     "{'credentials':[{'name':'c','state':'ready','token_left_s':60,"
     "'next_fetch_s':30,'error':null,'certificate_not_after':1789827200}],"
     "'mailboxes':[{'address':'a@b','credential':'c','state':'ok'}]}",
     HEAD HEAD2
     "a@b     c          ok       ready     60s        30s        -2d         "
     "-       -\n"},
    {"columns are as wide as what is in them",
     "{'credentials':[{'name':'contoso-app','state':'ready','token_left_s':1,"
     "'next_fetch_s':1,'error':null}],'mailboxes':["
     "{'address':'relay@contoso.com','credential':'contoso-app','state':'ok'},"
     "{'address':'a@b','credential':'contoso-app','state':'refused'}]}",
     "MAILBOX           CREDENTIAL  LOGIN    TOKEN     LEFT       NEXT       "
     "CERTIFICATE REFRESH ERROR\n"
     "relay@contoso.com contoso-app ok       ready     1s         1s         "
     "-           -       -\n"
     "a@b               contoso-app refused  ready     1s         1s         "
     "-           -       -\n"},
    {"what fails is told once for each credential, with what to do",
     "{'credentials':[{'name':'c','state':'backoff','token_left_s':0,"
     "'next_fetch_s':60,'error':{'reason':'bad-secret','text':'the secret is "
     "refused','hint':'add a new one','at':1}},{'name':'d','state':'backoff',"
     "'token_left_s':0,'next_fetch_s':1,'error':{'reason':'throttled',"
     "'text':'too many requests','hint':null,'at':1}}],'mailboxes':["
     "{'address':'a@b','credential':'c','state':'ok'},"
     "{'address':'b@b','credential':'c','state':'ok'}]}",
     HEAD HEAD2
     "a@b     c          ok       backoff   0s         60s        -           "
     "-       bad-secret\n"
     "b@b     c          ok       backoff   0s         60s        -           "
     "-       bad-secret\n"
     "\nc: bad-secret: the secret is refused; add a new one\n"
     "\nd: throttled: too many requests\n"},
    {"a mailbox whose credential is not listed",
     "{'credentials':[],'mailboxes':[{'address':'a@b','credential':'c',"
     "'state':'ok'}]}",
     HEAD HEAD2
     "a@b     c          ok       -         -          -          -           "
     "-       -\n"},
};

/* With " in the place of '. */
static json_t *
read_json(const char *text)
{
    struct buf copy;
    json_t *root;

    buf_init(&copy, 8192);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_append_char(&copy, '"');
        else
            buf_append_char(&copy, *text);
    }
    root = json_loads(buf_str(&copy), JSON_REJECT_DUPLICATES, NULL);
    buf_clear(&copy);
    assert_non_null(root);
    return root;
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    json_t *root = read_json(row->json);
    struct buf out;

    buf_init(&out, 65536);
    ctl_format_status(root, WALL, &out);
    assert_string_equal(buf_str(&out), row->want);
    buf_clear(&out);
    json_decref(root);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(spans) + ARRAY_LEN(rows)];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(spans); i++)
        tests[count++] = (struct CMUnitTest){
            .name = spans[i].name,
            .test_func = check_span,
            .initial_state = &spans[i],
        };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[count++] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    return cmocka_run_group_tests_name("ctl_format", tests, NULL, NULL);
}
