/*
 * One row is one text and the room that there is for it; one row is one test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "sasl-xoauth2/printable.h"

struct row {
    const char *name;
    const char *text;
    size_t size;
    const char *want;
};

static struct row rows[] = {
    {"plain", "a b~", 16, "a b~"},
    {"empty", "", 16, ""},
    {"line breaks and colours", "a\r\n\033[0m", 16, "a???[0m"},
    {"UTF-8", "j\303\266rg", 16, "j??rg"},
    {"delete", "a\177", 16, "a?"},
    {"just fits", "12345", 6, "12345"},
    {"is cut", "123456", 6, "12..."},
    {"is cut to dots", "123456", 4, "..."},
    {"no room for all dots", "123456", 3, ".."},
    {"no room at all", "123456", 1, ""},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    char out[16];

    memset(out, '#', sizeof(out));
    assert_string_equal(printable(out, row->size, row->text, strlen(row->text)),
                        row->want);
    for (size_t i = row->size; i < sizeof(out); i++)
        assert_int_equal(out[i], '#');
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
    return cmocka_run_group_tests_name("printable", tests, NULL, NULL);
}
