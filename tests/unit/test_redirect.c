/* What a browser was sent to: one row is one text that comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/redirect.h"

#define STATE "s-t_a.t~e"

struct row {
    const char *name;
    const char *text;
    const char *want_code;   /* NULL: see the rest */
    const char *want_issuer; /* NULL: none */
    enum problem want_problem;
    const char *want_error; /* of an answer; NULL: none that is known */
    const char *want_text;  /* a part of what is said; NULL: it was good */
    bool is_refused;        /* it is no answer at all */
};

static struct row rows[] = {
    {.name = "a whole URL",
     .text = "http://localhost:8400/?code=0.AX0-_~&state=" STATE
             "&session_state=7#",
     .want_code = "0.AX0-_~"},
    {.name = "a path and a query",
     .text = "/?state=" STATE "&code=x",
     .want_code = "x"},
    {.name = "a query alone", .text = "code=x&state=" STATE, .want_code = "x"},
    {.name = "blanks and a line end from pasting",
     .text = "  \thttp://localhost/?code=x&state=" STATE " \r\n",
     .want_code = "x"},
    {.name = "percent signs and plus signs are undone, in either case",
     .text = "?code=4%2f0%2FAd%2Bb&state=%73-t%5Fa.t~e&iss=https%3A%2F%2Fi",
     .want_code = "4/0/Ad+b",
     .want_issuer = "https://i"},
    {.name = "what follows # is not looked at",
     .text = "http://localhost/?code=x&state=" STATE "#code=y",
     .want_code = "x"},
    {.name = "another sign-in's state",
     .text = "?code=x&state=another",
     .is_refused = true,
     .want_text = "it belongs to another sign-in"},
    {.name = "a state that only begins right",
     .text = "?code=x&state=" STATE "x",
     .is_refused = true,
     .want_text = "it belongs to another sign-in"},
    {.name = "no state",
     .text = "?code=x",
     .is_refused = true,
     .want_text = "there is no state in it"},
    {.name = "an error without a state is anybody's",
     .text = "?error=access_denied",
     .is_refused = true,
     .want_text = "there is no state in it"},
    {.name = "an empty state",
     .text = "?code=x&state=",
     .is_refused = true,
     .want_text = "there is no state in it"},
    {.name = "no code",
     .text = "?state=" STATE,
     .is_refused = true,
     .want_text = "there is no code in it"},
    {.name = "an empty code",
     .text = "?code=&state=" STATE,
     .is_refused = true,
     .want_text = "there is no code in it"},
    {.name = "two codes",
     .text = "?code=x&state=" STATE "&code=y",
     .is_refused = true,
     .want_text = "it can't be understood"},
    {.name = "two states",
     .text = "?code=x&state=" STATE "&state=" STATE,
     .is_refused = true,
     .want_text = "it can't be understood"},
    {.name = "a NUL in the code",
     .text = "?code=x%00y&state=" STATE,
     .is_refused = true,
     .want_text = "it can't be understood"},
    {.name = "a line end in the code",
     .text = "?code=x%0Ay&state=" STATE,
     .is_refused = true,
     .want_text = "there is no code in it"},
    {.name = "half a percent sign",
     .text = "?state=" STATE "&code=%4",
     .is_refused = true,
     .want_text = "it can't be understood"},
    {.name = "a percent sign before no digits",
     .text = "?state=" STATE "&code=%zz",
     .is_refused = true,
     .want_text = "it can't be understood"},
    {.name = "the authorize URL itself, pasted back",
     .text =
         "https://login.example.org/authorize?response_type=code&state=" STATE,
     .is_refused = true,
     .want_text = "there is no code in it"},
    {.name = "nothing",
     .text = "",
     .is_refused = true,
     .want_text = "no state"},
    {.name = "the person said no",
     .text = "?error=access_denied&error_description=PLANTED&state=" STATE,
     .want_problem = PROBLEM_ACCESS_DENIED,
     .want_error = "access_denied",
     .want_text = "answered the sign-in with access_denied"},
    {.name = "an error comes before a code",
     .text = "?error=server_error&code=x&state=" STATE,
     .want_problem = PROBLEM_UNAVAILABLE,
     .want_error = "server_error",
     .want_text = "server_error"},
    {.name = "Microsoft's number chooses the hint",
     .text = "?error=consent_required&state=" STATE
             "&error_description=AADSTS65001%3a+PLANTED",
     .want_problem = PROBLEM_NEEDS_LOGIN,
     .want_error = "consent_required",
     .want_text = "consent_required AADSTS65001"},
    {.name = "an error that is not known is not repeated",
     .text = "?error=PLANTED&state=" STATE,
     .want_problem = PROBLEM_BAD_REQUEST,
     .want_text = "an unknown error"},
};

static void
check_answer(const struct row *row, const struct redirect *got)
{
    if (row->want_issuer == NULL)
        assert_null(got->issuer);
    else
        assert_string_equal(got->issuer, row->want_issuer);
    if (row->want_code != NULL) {
        assert_string_equal(got->code, row->want_code);
        return;
    }
    assert_null(got->code);
    assert_int_equal(got->failure.problem, row->want_problem);
    assert_int_equal(got->err.code, problem_code(row->want_problem));
    assert_non_null(strstr(got->err.text, row->want_text));
    assert_null(strstr(got->err.text, "PLANTED"));
    if (row->want_error == NULL)
        assert_null(got->failure.error);
    else
        assert_string_equal(got->failure.error, row->want_error);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    size_t len = strlen(row->text);
    char *text = malloc(len + 1); /* so that reading on is seen */
    struct redirect got = {0};
    struct err err = {ERR_NONE, ""};
    int rc;

    assert_non_null(text);
    memcpy(text, row->text, len);
    rc = redirect_parse(text, len, STATE, &got, &err);
    free(text);
    assert_int_equal(rc, row->is_refused ? -1 : 0);
    if (rc < 0) {
        assert_int_equal(err.code, ERR_PROTO);
        assert_non_null(strstr(err.text, row->want_text));
        assert_null(got.code);
    } else {
        check_answer(row, &got);
    }
    redirect_clear(&got);
    redirect_clear(&got);
}

static void
a_text_over_the_cap_is_refused(void **state)
{
    char *text = malloc(REDIRECT_MAX + 1);
    struct redirect got = {0};
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_non_null(text);
    memset(text, 'x', REDIRECT_MAX + 1);
    assert_int_equal(redirect_parse(text, REDIRECT_MAX + 1, STATE, &got, &err),
                     -1);
    assert_non_null(strstr(err.text, "longer"));
    free(text);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = check_row,
                                       .initial_state = &rows[i]};
    tests[ARRAY_LEN(rows)] =
        (struct CMUnitTest)cmocka_unit_test(a_text_over_the_cap_is_refused);
    return cmocka_run_group_tests_name("redirect", tests, NULL, NULL);
}
