/*
 * One row is a message and where its header ends. Each is given at once and
 * byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "milter/header.h"

struct row {
    const char *name;
    const char *text;
    size_t len;         /* 0: up to the NUL */
    const char *fields; /* their names with a blank behind each */
    const char *body;   /* begins with this */
    bool has_separator;
    bool is_crlf;
    size_t prefix_len;
};

static struct row rows[] = {
    {"an ordinary message", "From: a\nTo: b\n\nbody\n", 0, "From To ", "body\n",
     true, false, 0},
    {"with CRLF", "From: a\r\nTo: b\r\n\r\nbody\r\n", 0, "From To ", "body\r\n",
     true, true, 0},
    {"folds", "From:\n a\r\n\tb\nTo: c\n\n", 0, "From To ", "", true, false, 0},
    {"nothing", "", 0, "", "", false, false, 0},
    {"an empty line only", "\r\nbody", 0, "", "body", true, true, 0},
    {"no body", "From: a\n", 0, "From ", "", false, false, 0},
    {"a last line without an end", "From: a\nTo: b", 0, "From To ", "", false,
     false, 0},
    {"a line that is no field ends it", "From: a\nno field\nTo: b\n\nx", 0,
     "From ", "no field\nTo: b\n\nx", false, false, 0},
    {"a fold without a field ends it", " From: a\nTo: b\n\n", 0, "",
     " From: a\nTo: b\n\n", false, false, 0},
    {"a blank before the colon", "From \t: a\n\n", 0, "From ", "", true, false,
     0},
    {"a bare CR before the colon is a blank", "From \r\r: a\n\n", 0, "From ",
     "", true, false, 0},
    {"a blank within the name ends it", "Fr om: a\n\n", 0, "", "Fr om: a\n\n",
     false, false, 0},
    {"a control byte in the name ends it", "To: x\nFr\001om: a\n\n", 0, "To ",
     "Fr\001om: a\n\n", false, false, 0},
    {"a colon without a name ends it", ": a\n\n", 0, "", ": a\n\n", false,
     false, 0},
    {"what mailboxes have in front",
     "From a@b Sat Nov 21 05:58:50 2026\nTo: b\n\n", 0, "To ", "", true, false,
     34},
    {"the same later on ends it", "To: b\nFrom a@b Sat Nov 21\n\n", 0, "To ",
     "From a@b Sat Nov 21\n\n", false, false, 0},
    {"a bare CR ends no line", "To: a\rFrom: b\n\nx", 0, "To ", "x", true,
     false, 0},
    {"a bare CR alone in a line ends it", "To: a\n\r\r\nFrom: b\n", 0, "To ",
     "\r\r\nFrom: b\n", false, false, 0},
    {"a line of blanks is a fold", "To: a\n \nFrom: b\n\nx", 0, "To From ", "x",
     true, false, 0},
    {"NUL is a byte like any other", "To: a\0b\nFrom: c\n\nx", 18, "To From ",
     "x", true, false, 0},
};

static void
check_names(const struct header *header, const char *text, const char *want)
{
    for (size_t i = 0; i < header->count; i++) {
        const struct header_field *field = &header->fields[i];

        assert_memory_equal(text + field->at, want, field->name_len);
        assert_int_equal(want[field->name_len], ' ');
        assert_int_equal(text[field->value_at - 1], ':');
        if (i + 1 < header->count)
            assert_int_equal(field->at + field->len, field[1].at);
        else
            assert_int_equal(field->at + field->len, header->len);
        want += field->name_len + 1;
    }
    assert_string_equal(want, "");
}

static void
check_header(const struct row *row, const struct header *header, size_t len)
{
    assert_true(header->is_complete);
    check_names(header, row->text, row->fields);
    assert_int_equal(header->has_separator, row->has_separator);
    assert_int_equal(header->is_crlf, row->is_crlf);
    assert_int_equal(header->prefix_len, row->prefix_len);
    assert_int_equal(len - header->body_at, strlen(row->body));
    assert_memory_equal(row->text + header->body_at, row->body,
                        strlen(row->body));
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    size_t len = row->len > 0 ? row->len : strlen(row->text);
    struct header header = {0};
    size_t taken = 0;

    assert_int_equal(header_take(&header, row->text, len, true), HEADER_END);
    check_header(row, &header, len);
    header_clear(&header);

    while (taken < len &&
           header_take(&header, row->text, taken, false) == HEADER_MORE)
        taken++;
    assert_int_equal(header_take(&header, row->text, taken, taken == len),
                     HEADER_END);
    check_header(row, &header, len);
    header_clear(&header);
    header_clear(&header);
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
    return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
