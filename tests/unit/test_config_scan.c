/*
 * config_scan: one row is one text; what is wrong with it, and in which line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/config_scan.h"
#include "common/util.h"

struct row {
    const char *name;
    const char *text;
    unsigned want_line;     /* 0: it is good */
    const char *want_error; /* what the error holds */
    const char *want_text;  /* afterwards; NULL: unchanged */
};

static struct row rows[] = {
    {.name = "nothing", .text = ""},
    {.name = "blanks", .text = " \t\n\n"},
    {.name = "options, words and strings",
     .text = "a = b\nc_d = \"e f\"\ng = 'h\"i'\nj = a/b.c:d@e-F_9\nk=0"},
    {.name = "lists", .text = "a = {}\nb = {c}\nd = {\"e\", 'f', }\n"},
    {.name = "sections, with a title and without",
     .text = "a \"b\" { c = d e = f }\ng { h { i = j } }\nk l { }"},
    {.name = "an include", .text = "include(\"x.conf\")\ninclude ( 'y' )"},
    {.name = "escapes", .text = "a = \"\\\"\\\\\"\nb = '\\'\\\\'"},
    {.name = "one option in two sections",
     .text = "a \"1\" { x = y }\na \"2\" { x = y }\nx = y"},
    {.name = "a dollar without a brace", .text = "a = \"$HOME {$}\""},
    {.name = "comments are blanked, with what they hide",
     .text = "a = b # \"c\n// d\n/* e }\n*/ f = g # h",
     .want_text = "a = b     \n    \n      \n   f = g    "},
    {.name = "what looks like a comment in a string is none",
     .text = "a = \"# // /*\""},
    {.name = "two slashes within a word", .text = "a = https://host/x"},

    {.name = "an unclosed section",
     .text = "# x\n\na \"b\" {\n c = d\n",
     .want_line = 3,
     .want_error = "this { is never closed"},
    {.name = "the inner one is closed, the outer one is not",
     .text = "a {\nb {\n}\n",
     .want_line = 1,
     .want_error = "this { is never closed"},
    {.name = "an unclosed list",
     .text = "a = {\n\"b\",\n",
     .want_line = 1,
     .want_error = "this list is never closed"},
    {.name = "an unclosed include",
     .text = "include(\n\"b\"\n",
     .want_line = 3,
     .want_error = "include(\"FILE\")"},
    {.name = "an unclosed string",
     .text = "a = \"b\nc = d\"\n",
     .want_line = 1,
     .want_error = "quote is missing"},
    {.name = "an unclosed string at the end of the file",
     .text = "\n\na = 'b",
     .want_line = 3,
     .want_error = "quote is missing"},
    {.name = "a backslash at the end of the file",
     .text = "a = \"b\\",
     .want_line = 1,
     .want_error = "\\"},
    {.name = "an unclosed comment",
     .text = "a = b\n/* c\nd = e\n",
     .want_line = 2,
     .want_error = "comment is never closed"},
    {.name = "a comment that only seems closed",
     .text = "/*/\n",
     .want_line = 1,
     .want_error = "comment is never closed"},
    {.name = "the end in the middle of an option",
     .text = "a =\n",
     .want_line = 2,
     .want_error = "a value must follow ="},
    {.name = "one brace too many",
     .text = "a { }\n}\n",
     .want_line = 2,
     .want_error = "closes nothing"},
    {.name = "an option twice",
     .text = "a { b = c\n d = e\n b = f }",
     .want_line = 3,
     .want_error = "b is already set in line 1"},
    {.name = "a list twice, once empty",
     .text = "a { b = {\"c\"}\n b = {} }",
     .want_line = 2,
     .want_error = "b is already set in line 1"},
    {.name = "an option twice, a section between",
     .text = "a { b = c\n d { b = e }\n b = f }",
     .want_line = 3,
     .want_error = "b is already set in line 1"},
    {.name = "an environment variable in a string",
     .text = "a = \"x${HOME}\"",
     .want_line = 1,
     .want_error = "is not replaced"},
    {.name = "an environment variable in single quotes",
     .text = "a = '${HOME:-hunter2}'",
     .want_line = 1,
     .want_error = "is not replaced"},
    {.name = "an environment variable outside of a string",
     .text = "a = ${HOME}",
     .want_line = 1,
     .want_error = "means nothing here"},
    {.name = "an escape that means something elsewhere",
     .text = "a = \"hunter2\\n\"",
     .want_line = 1,
     .want_error = "write \\\\ for one"},
    {.name = "a NUL by an escape",
     .text = "a = \"\\0\"",
     .want_line = 1,
     .want_error = "write \\\\ for one"},
    {.name = "appending to a list",
     .text = "a += {\"b\"}",
     .want_line = 1,
     .want_error = "means nothing here"},
    {.name = "a semicolon",
     .text = "a = b;",
     .want_line = 1,
     .want_error = "means nothing here"},
    {.name = "a missing comma",
     .text = "a = {\"b\"\n\"hunter2\"}",
     .want_line = 2,
     .want_error = "a comma or the closing }"},
    {.name = "a comma too many",
     .text = "a = {\"b\",, \"c\"}",
     .want_line = 1,
     .want_error = "a list holds values"},
    {.name = "a list in a list",
     .text = "a = {{\"b\"}}",
     .want_line = 1,
     .want_error = "a list holds values"},
    {.name = "a value without a name",
     .text = "a = \"b\" \"hunter2\"",
     .want_line = 1,
     .want_error = "an option's name"},
    {.name = "a word that can be no name",
     .text = "a = \"b\" Hunter2 = c",
     .want_line = 1,
     .want_error = "an option's name"},
    {.name = "a forgotten =",
     .text = "a \"hunter2\"\nb = c",
     .want_line = 2,
     .want_error = "followed by {"},
    {.name = "a colon for an =",
     .text = "a: hunter2",
     .want_line = 1,
     .want_error = "an option's name"},
    {.name = "two values",
     .text = "a = b,",
     .want_line = 1,
     .want_error = "an option's name"},
    {.name = "a name alone",
     .text = "a }",
     .want_line = 1,
     .want_error = "write NAME = VALUE"},
    {.name = "an include of a word",
     .text = "include(x)",
     .want_line = 1,
     .want_error = "include(\"FILE\")"},
    {.name = "an include of two files",
     .text = "include(\"x\", \"y\")",
     .want_line = 1,
     .want_error = "include(\"FILE\")"},
    {.name = "sections in sections in sections in sections in sections",
     .text = "a{b{c{d{\ne{",
     .want_line = 2,
     .want_error = "nested too deeply"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    const char *want_text = row->want_text != NULL ? row->want_text : row->text;
    struct err err = {ERR_NONE, ""};
    char place[32];
    /* Exactly as long as it is, so that a sanitizer sees a read behind it. */
    size_t len = strlen(row->text);
    char *text = malloc(len + 1);
    int rc;

    assert_non_null(text);
    memcpy(text, row->text, len + 1);
    rc = config_scan("x.conf", text, len, &err);
    if (row->want_line == 0) {
        assert_string_equal(err.text, "");
        assert_int_equal(rc, 0);
        assert_string_equal(text, want_text);
    } else {
        assert_int_equal(rc, -1);
        assert_int_equal(err.code, ERR_CONFIG);
        (void)snprintf(place, sizeof(place), "x.conf:%u: ", row->want_line);
        assert_ptr_equal(strstr(err.text, place), err.text);
        assert_non_null(strstr(err.text, row->want_error));
        assert_null(strstr(err.text, "unter2"));
    }
    free(text);
}

static void
a_string_has_a_limit(void **state)
{
    char text[CONFIG_SCAN_STRING_MAX + 16];
    struct err err = {ERR_NONE, ""};

    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text, "a = \"", 5);
    text[CONFIG_SCAN_STRING_MAX + 3] = '"'; /* with its quotes */
    assert_int_equal(
        config_scan("x.conf", text, CONFIG_SCAN_STRING_MAX + 4, &err), 0);
    text[CONFIG_SCAN_STRING_MAX + 3] = 'x';
    text[CONFIG_SCAN_STRING_MAX + 4] = '"';
    assert_int_equal(
        config_scan("x.conf", text, CONFIG_SCAN_STRING_MAX + 5, &err), -1);
    assert_non_null(strstr(err.text, "x.conf:1: this value is longer"));
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];
    size_t count = 0;

    for (; count < ARRAY_LEN(rows); count++) {
        tests[count] = (struct CMUnitTest){
            .name = rows[count].name,
            .test_func = check_row,
            .initial_state = &rows[count],
        };
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_string_has_a_limit);
    return cmocka_run_group_tests_name("config_scan", tests, NULL, NULL);
}
