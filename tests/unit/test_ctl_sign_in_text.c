/*
 * What a person who signs in is told: one row is what tokend said and the text
 * that it becomes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/buf.h"
#include "common/util.h"
#include "token-daemon/ctl_sign_in_text.h"

enum what { PROMPT, OUTCOME, SUMMARY };

static struct row {
    const char *name;
    enum what what;
    const char *json; /* ' stands for " */
    int port;
    const char *want[5]; /* each is in the text */
    const char *avoid;   /* is not; or NULL */
} rows[] = {
    {"a browser with a page here",
     PROMPT,
     "{'url': 'https://idp.example/a?b', 'user_code': null}",
     34567,
     {"\n    https://idp.example/a?b\n", "http://localhost:34567/", "paste it"},
     "code:"},
    {"a browser without a page",
     PROMPT,
     "{'url': 'https://idp.example/', 'user_code': null}",
     0,
     {"\n    https://idp.example/\n", "will then fail", "paste it"},
     "comes back"},
    {"a device's code",
     PROMPT,
     "{'url': 'https://idp.example/d', 'user_code': 'AB-CD', "
     "'complete_url': null}",
     0,
     {"\n    https://idp.example/d\n", "\n    AB-CD\n"},
     "has the code"},
    {"a device's code in an address",
     PROMPT,
     "{'url': 'https://idp.example/d', 'user_code': 'AB-CD', "
     "'complete_url': 'https://idp.example/d?c=AB-CD'}",
     0,
     {"\n    https://idp.example/d?c=AB-CD\n"},
     "paste"},
    {"it worked",
     OUTCOME,
     "{'ok': true, 'result': {'mailbox': 'a@b', 'account': 'c@d'}}",
     0,
     {"sends mail of a@b, with what c@d may do."},
     NULL},
    {"it worked, and nobody says who it was",
     OUTCOME,
     "{'ok': true, 'result': {'mailbox': 'a@b', 'account': null}}",
     0,
     {"sends mail of a@b."},
     "with what"},
    {"it failed",
     OUTCOME,
     "{'ok': false, 'error': {'code': 'x', 'text': 'because of that'}}",
     0,
     {"because of that"},
     "sends"},
    {"all is said",
     SUMMARY,
     "{'mailbox': 'a@b', 'credential': 'c', 'account': 'a@b', "
     "'account_match': 'same', 'scope': 'mail', 'expires': 1790000000}",
     0,
     {"a@b: signed in", "account      a@b\n", "credential   c\n",
      "scope        mail\n", "2026-09-21 14:13:20"},
     "which needs"},
    {"another account",
     SUMMARY,
     "{'mailbox': 'a@b', 'credential': 'c', 'account': 'd@e', "
     "'account_match': 'other', 'scope': null, 'expires': 0}",
     0,
     {"d@e, which needs the right", "as asked for", "until  -\n"},
     NULL},
    {"no account",
     SUMMARY,
     "{'mailbox': 'a@b', 'credential': 'c', 'account': null, "
     "'account_match': 'unknown', 'scope': null, 'expires': 0}",
     0,
     {"not said: without openid"},
     NULL},
    {"nothing that is expected", SUMMARY, "{}", 0, {"signed in"}, NULL},
};

static json_t *
parse(const char *text)
{
    char *copy = strdup(text);
    json_t *root;

    assert_non_null(copy);
    for (char *at = strchr(copy, '\''); at != NULL; at = strchr(at, '\''))
        *at = '"';
    root = json_loads(copy, 0, NULL);
    assert_non_null(root);
    free(copy);
    return root;
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    json_t *root = parse(row->json);
    struct buf out;

    buf_init(&out, CTL_SIGN_IN_TEXT_MAX);
    switch (row->what) {
    case PROMPT:
        ctl_sign_in_prompt(root, row->port, &out);
        break;
    case OUTCOME:
        ctl_sign_in_outcome(root, &out);
        break;
    case SUMMARY:
        ctl_sign_in_summary(root, &out);
        break;
    }
    assert_false(buf_failed(&out));
    for (size_t i = 0; i < ARRAY_LEN(row->want) && row->want[i] != NULL; i++)
        if (strstr(buf_str(&out), row->want[i]) == NULL)
            fail_msg("no \"%s\" in \"%s\"", row->want[i], buf_str(&out));
    if (row->avoid != NULL)
        assert_null(strstr(buf_str(&out), row->avoid));
    buf_clear(&out);
    json_decref(root);
}

static void
a_countdown_is_minutes_and_seconds(void **state)
{
    static const struct {
        int64_t seconds;
        const char *want;
    } cases[] = {
        {0, "waiting, 0:00 left"},
        {59, "waiting, 0:59 left"},
        {900, "waiting, 15:00 left"},
    };
    struct buf out;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_init(&out, 100);
        ctl_sign_in_countdown(cases[i].seconds, &out);
        assert_string_equal(buf_str(&out), cases[i].want);
        buf_clear(&out);
    }
}

int
main(void)
{
    static char zone[] = "TZ=UTC";
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];

    (void)putenv(zone);
    tzset();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = check_row,
                                       .initial_state = &rows[i]};
    tests[ARRAY_LEN(rows)] =
        (struct CMUnitTest)cmocka_unit_test(a_countdown_is_minutes_and_seconds);
    return cmocka_run_group_tests_name("ctl_sign_in_text", tests, NULL, NULL);
}
