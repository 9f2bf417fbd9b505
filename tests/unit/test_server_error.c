/*
 * One row is one challenge of a server; one row is one test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "sasl-xoauth2/server_error.h"

struct row {
    const char *name;
    const char *challenge;
    int want;
};

static struct row rows[] = {
    {"Google's",
     "{\"status\":\"400\",\"schemes\":\"Bearer\",\"scope\":"
     "\"https://mail.google.com/\"}",
     400},
    {"a number", "{\"status\":401}", 401},
    {"blanks and a line break", "{ \"status\" :\r\n \"403\" }", 403},
    {"last and cut", "{\"status\":\"400", 400},
    {"a word of RFC 7628", "{\"status\":\"invalid_token\"}", 0},
    {"two digits", "{\"status\":\"40\"}", 0},
    {"four digits", "{\"status\":\"4000\"}", 0},
    {"a sign", "{\"status\":-400}", 0},
    {"no status", "{\"error\":\"400\"}", 0},
    {"no colon", "{\"status\" \"400\"}", 0},
    {"nothing after the key", "{\"status\"", 0},
    {"nothing after the colon", "{\"status\":", 0},
    {"nothing after the quote", "{\"status\":\"", 0},
    {"not JSON", "535 no", 0},
    {"empty", "", 0},
};

static void
check_row(void **state)
{
    const struct row *row = *state;

    assert_int_equal(
        server_error_status(row->challenge, strlen(row->challenge)), row->want);
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
    return cmocka_run_group_tests_name("server_error", tests, NULL, NULL);
}
