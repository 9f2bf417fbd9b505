/* The forms that are posted, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/grant.h"

struct row {
    const char *name;
    struct grant_input input;
    const char *want;
};

static struct row rows[] = {
    {"client credentials with a secret",
     {.client_id = "0000-1111",
      .scope = "https://outlook.office365.com/.default",
      .secret = "abc"},
     "grant_type=client_credentials&client_id=0000-1111&"
     "scope=https%3A%2F%2Foutlook.office365.com%2F.default&client_secret=abc"},
    {"every byte of a secret that could break the form is escaped",
     {.client_id = "c", .secret = "a&b=c+d e%f~_-.*\xc3\xa9\x01\x7f"},
     "grant_type=client_credentials&client_id=c&client_secret="
     "a%26b%3Dc%2Bd%20e%25f%7E_-.*%C3%A9%01%7F"},
    {"client credentials with an assertion",
     {.client_id = "c", .scope = "s", .assertion = "e30.e30.AA-_"},
     "grant_type=client_credentials&client_id=c&scope=s&"
     "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-"
     "type%3Ajwt-bearer&client_assertion=e30.e30.AA-_"},
    {"no scope, and neither secret nor assertion",
     {.client_id = "c"},
     "grant_type=client_credentials&client_id=c"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    const struct grant *grant = grant_find(CONFIG_GRANT_CLIENT_CREDENTIALS);
    struct buf body;

    buf_init(&body, GRANT_BODY_MAX);
    grant->build(&row->input, &body);
    assert_false(buf_failed(&body));
    assert_string_equal(buf_str(&body), row->want);
    buf_clear(&body);
}

static void
a_form_over_the_limit_fails(void **state)
{
    const struct grant_input input = {.client_id = "c", .secret = "0123456789"};
    struct buf body;

    (void)state;
    buf_init(&body, 60);
    grant_client_credentials.build(&input, &body);
    assert_true(buf_failed(&body));
    buf_clear(&body);
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
    tests[ARRAY_LEN(rows)] =
        (struct CMUnitTest)cmocka_unit_test(a_form_over_the_limit_fails);
    return cmocka_run_group_tests_name("grant", tests, NULL, NULL);
}
