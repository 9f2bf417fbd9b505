/*
 * textfile: one row is one file's bytes. What can't be read at all is below.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/textfile.h"
#include "common/util.h"
#include "tests/unit/scratch.h"

#define BYTES(text) .bytes = (text), .len = sizeof(text) - 1

struct row {
    const char *name;
    const char *bytes;
    size_t len;
    const char *want;       /* NULL: refused */
    const char *want_error; /* what the error holds */
};

static struct row rows[] = {
    {.name = "nothing", BYTES(""), .want = ""},
    {.name = "plain lines", BYTES("a\n\tb\n"), .want = "a\n\tb\n"},
    {.name = "no newline at the end", BYTES("a"), .want = "a"},
    {.name = "carriage returns at line ends",
     BYTES("a\r\nb\r\n"),
     .want = "a\nb\n"},
    {.name = "a byte order mark", BYTES("\xef\xbb\xbf#a"), .want = "#a"},
    {.name = "UTF-8 of two, three and four bytes",
     BYTES("\xc3\xbc \xe2\x82\xac \xf0\x9f\x93\xa0"),
     .want = "\xc3\xbc \xe2\x82\xac \xf0\x9f\x93\xa0"},
    {.name = "a NUL", BYTES("a\nb\0c"), .want_error = ":2: byte 0x00"},
    {.name = "a carriage return in a line",
     BYTES("a\rb\n"),
     .want_error = ":1: byte 0x0d"},
    {.name = "a carriage return at the end of the file",
     BYTES("a\n\r"),
     .want_error = ":2: byte 0x0d"},
    {.name = "an escape", BYTES("\n\n\x1b[0m"), .want_error = ":3: byte 0x1b"},
    {.name = "a delete", BYTES("\x7f"), .want_error = ":1: byte 0x7f"},
    {.name = "a control character of two bytes",
     BYTES("\xc2\x85"),
     .want_error = ":1: this is not UTF-8"},
    {.name = "Latin-1",
     BYTES("a\nM\xfcller\n"),
     .want_error = ":2: this is not"},
    {.name = "an overlong slash",
     BYTES("\xc0\xaf"),
     .want_error = ":1: this is not UTF-8"},
    {.name = "UTF-8 cut at the end",
     BYTES("\xe2\x82"),
     .want_error = ":1: this is not UTF-8"},
    {.name = "UTF-16 of a shell on Windows",
     BYTES("\xff\xfe"
           "a\0"),
     .want_error = ":1: this is UTF-16"},
    {.name = "UTF-16, the other way round",
     BYTES("\xfe\xff"
           "\0a"),
     .want_error = ":1: this is UTF-16"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct textfile file = {0};
    struct err err = {ERR_NONE, ""};
    int rc;

    scratch_write("file", row->bytes, row->len, 0644);
    rc = textfile_read(scratch_path("file"), 1000, &file, &err);
    if (row->want == NULL) {
        assert_int_equal(rc, -1);
        assert_int_equal(err.code, ERR_CONFIG);
        assert_ptr_equal(strstr(err.text, scratch_path("file")), err.text);
        assert_non_null(strstr(err.text, row->want_error));
        assert_null(file.text);
        return;
    }
    assert_int_equal(rc, 0);
    assert_string_equal(file.text, row->want);
    assert_int_equal(file.len, strlen(row->want));
    textfile_clear(&file);
    assert_null(file.text);
    textfile_clear(&file);
}

static void
expect_unreadable(const char *path, size_t max, const char *want)
{
    struct textfile file = {0};
    struct err err = {ERR_NONE, ""};

    assert_int_equal(textfile_read(path, max, &file, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_ptr_equal(strstr(err.text, "cannot read "), err.text);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, want));
    assert_null(file.text);
}

static void
what_is_no_readable_file_is_named(void **state)
{
    (void)state;
    expect_unreadable(scratch_path("none"), 10, "No such file");
    expect_unreadable(scratch_directory(), 10, "not a regular file");
    assert_int_equal(mkfifo(scratch_path("fifo"), 0600), 0);
    expect_unreadable(scratch_path("fifo"), 10, "not a regular file");
}

static void
a_file_may_be_as_large_as_it_is_allowed_to_be(void **state)
{
    struct textfile file = {0};
    struct err err = {ERR_NONE, ""};
    char text[5000];

    (void)state;
    memset(text, 'x', sizeof(text));
    scratch_write("file", text, sizeof(text), 0644);
    assert_int_equal(
        textfile_read(scratch_path("file"), sizeof(text), &file, &err), 0);
    assert_int_equal(file.len, sizeof(text));
    textfile_clear(&file);
    expect_unreadable(scratch_path("file"), sizeof(text) - 1,
                      "larger than 4999 bytes");
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 2];
    size_t count = 0;

    for (; count < ARRAY_LEN(rows); count++) {
        tests[count] = (struct CMUnitTest){
            .name = rows[count].name,
            .test_func = check_row,
            .initial_state = &rows[count],
        };
    }
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(what_is_no_readable_file_is_named);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(
        a_file_may_be_as_large_as_it_is_allowed_to_be);
    return cmocka_run_group_tests_name("textfile", tests, scratch_set_up,
                                       scratch_tear_down);
}
