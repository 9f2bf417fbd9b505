/*
 * csv: a row is a text, and what is read of it: fields with `|` after each,
 * records with the line and a slash before each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/csv.h"
#include "common/util.h"

struct row {
    const char *name;
    const char *text;
    char delimiter;    /* 0: a comma */
    const char *want;  /* before an error, too */
    const char *error; /* NULL: none */
};

static struct row rows[] = {
    {.name = "nothing", .text = "", .want = ""},
    {.name = "a field", .text = "a", .want = "1/a|"},
    {.name = "lines with and without an end",
     .text = "a,b\nc,d",
     .want = "1/a|b|2/c|d|"},
    {.name = "an end at the end", .text = "a\n", .want = "1/a|"},
    {.name = "empty lines", .text = "\n\na\n\nb\n\n", .want = "3/a|5/b|"},
    {.name = "empty fields", .text = ",,\n,", .want = "1/|||2/||"},
    {.name = "empty fields in quotes", .text = "\"\",\"\"", .want = "1/||"},
    {.name = "quotes", .text = "\"a\",\"b\"\n", .want = "1/a|b|"},
    {.name = "the delimiter in quotes",
     .text = "\"a,b\",c",
     .want = "1/a,b|c|"},
    {.name = "doubled quotes",
     .text = "\"a \"\"b\"\"\",\"\"\"\"",
     .want = "1/a \"b\"|\"|"},
    {.name = "lines in quotes",
     .text = "\"a\nb\n\",c\nd",
     .want = "1/a\nb\n|c|4/d|"},
    {.name = "blanks are part of a field",
     .text = " a , b",
     .want = "1/ a | b|"},
    {.name = "another delimiter",
     .text = "a,b;\"c;d\"",
     .delimiter = ';',
     .want = "1/a,b|c;d|"},
    {.name = "tabs", .text = "a\tb", .delimiter = '\t', .want = "1/a|b|"},
    {.name = "a quote in a field",
     .text = "a\nb\"c\"",
     .want = "1/a|",
     .error = "FILE:2: a quote stands in the middle of a field"},
    {.name = "a quote after a blank",
     .text = "a, \"b\"",
     .want = "",
     .error = "FILE:1: a quote stands in the middle"},
    {.name = "text after a quote",
     .text = "x\n\"a\nb\"c",
     .want = "1/x|",
     .error = "FILE:3: text follows a closing quote"},
    {.name = "a quote that is never closed",
     .text = "a\n\"b\nc\n",
     .want = "1/a|",
     .error = "FILE:2: a quote is opened here and never closed"},
    {.name = "only a quote",
     .text = "\"",
     .want = "",
     .error = "FILE:1: a quote is opened here"},
    {.name = "a doubled quote that is never closed",
     .text = "\"\"\"",
     .want = "",
     .error = "FILE:1: a quote is opened here"},
};

/* All of it as text; false with *err. */
static bool
read_all(struct csv *csv, struct buf *out, struct err *err)
{
    for (;;) {
        enum csv_result result = csv_next(csv, err);

        if (result != CSV_RECORD)
            return result == CSV_END;
        buf_append_int(out, csv->line);
        buf_append_char(out, '/');
        for (size_t i = 0; i < csv->count; i++) {
            buf_append_str(out, csv_field(csv, i));
            buf_append_char(out, '|');
        }
    }
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    size_t len = strlen(row->text);
    char *text = malloc(len + 1); /* of just this size, for the sanitizer */
    struct err err = {ERR_NONE, ""};
    struct csv csv;
    struct buf got;

    assert_non_null(text);
    memcpy(text, row->text, len);
    buf_init(&got, 1000);
    csv_init(&csv, "FILE", text, len, 1,
             row->delimiter != 0 ? row->delimiter : ',');
    assert_int_equal(read_all(&csv, &got, &err), row->error == NULL);
    assert_string_equal(buf_str(&got), row->want);
    if (row->error != NULL) {
        assert_int_equal(err.code, ERR_CONFIG);
        if (strncmp(err.text, row->error, strlen(row->error)) != 0)
            fail_msg("\"%s\" where \"%s\" is wanted", err.text, row->error);
    }
    csv_clear(&csv);
    buf_clear(&got);
    free(text);
}

/* A text of `count` times `c`, and what is said of it. */
static void
check_limit(char c, size_t count, const char *error)
{
    char *text = malloc(count);
    struct err err = {ERR_NONE, ""};
    struct csv csv;

    assert_non_null(text);
    memset(text, c, count);
    csv_init(&csv, "FILE", text, count, 7, ',');
    assert_int_equal(csv_next(&csv, &err),
                     error == NULL ? CSV_RECORD : CSV_BAD);
    assert_string_equal(err.text, error != NULL ? error : "");
    csv_clear(&csv);
    free(text);
}

static void
records_have_limits(void **state)
{
    (void)state;
    check_limit(',', CSV_FIELDS_MAX - 1, NULL);
    check_limit(',', CSV_FIELDS_MAX, "FILE:7: a line has too many fields");
    check_limit('x', CSV_RECORD_MAX - 1, NULL);
    check_limit('x', CSV_RECORD_MAX, "FILE:7: a line is too long");
    check_limit('x', CSV_RECORD_MAX * 3, "FILE:7: a line is too long");
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    tests[ARRAY_LEN(rows)] =
        (struct CMUnitTest)cmocka_unit_test(records_have_limits);
    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
