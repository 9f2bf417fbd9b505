/* address: what is one, without anything that two parsers may read apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/address.h"
#include "common/util.h"

struct row {
    const char *name;
    const char *text;
    bool want;
};

static struct row rows[] = {
    {"a plain address", "relay@contoso.com", true},
    {"a tag and other atext", "a.b+c=d!#$@x-1.example", true},
    {"UTF-8 on both sides", "b\xc3\xbcro@\xc3\xbc.example", true},
    {"a host without a dot", "root@localhost", true},
    {"no at", "relay", false},
    {"two ats", "a@b@c.example", false},
    {"nothing before the at", "@contoso.com", false},
    {"nothing after it", "relay@", false},
    {"a dot first", ".a@b.example", false},
    {"two dots", "a..b@c.example", false},
    {"a dot last", "a@b.example.", false},
    {"a quoted local part", "\"a\"@b.example", false},
    {"an address literal", "a@[127.0.0.1]", false},
    {"an underscore in the domain", "a@b_c.example", false},
    {"a blank", "a b@c.example", false},
    {"a control byte", "a\x01@c.example", false},
    {"no-break space, U+00A0",
     "\xc2\xa0"
     "a@c.example",
     false},
    {"next line, U+0085", "a@c.example\xc2\x85", false},
    {"soft hyphen, U+00AD", "a\xc2\xad@c.example", false},
    {"zero width space, U+200B", "a\xe2\x80\x8b@c.example", false},
    {"right to left override, U+202E",
     "\xe2\x80\xae"
     "a@c.example",
     false},
    {"line separator, U+2028",
     "\xe2\x80\xa8"
     "ceo@c.example",
     false},
    {"word joiner, U+2060", "a@c\xe2\x81\xa0.example", false},
    {"ideographic space, U+3000", "a@c.example\xe3\x80\x80", false},
    {"byte order mark, U+FEFF",
     "\xef\xbb\xbf"
     "a@c.example",
     false},
    {"a tag character, U+E0041", "a\xf3\xa0\x81\x81@c.example", false},
    {"no UTF-8", "a\xff@c.example", false},
    {"a surrogate", "a\xed\xa0\x80@c.example", false},
};

static void
check_row(void **state)
{
    const struct row *row = *state;

    assert_int_equal(address_is_valid(row->text, strlen(row->text)), row->want);
}

static void
paths_come_with_brackets_or_without(void **state)
{
    char in_place[] = "<a@b.example>";
    char out[32];

    (void)state;
    assert_true(address_from_path(in_place, in_place, sizeof(in_place)));
    assert_string_equal(in_place, "a@b.example");
    assert_true(address_from_path("<a@b.example>", out, sizeof(out)));
    assert_string_equal(out, "a@b.example");
    assert_true(address_from_path("a@b.example", out, sizeof(out)));
    assert_string_equal(out, "a@b.example");
    assert_true(address_from_path("<>", out, sizeof(out)));
    assert_string_equal(out, "");
    assert_true(address_from_path("", out, sizeof(out)));
    assert_string_equal(out, "");
    assert_false(address_from_path("<a@b.example", out, sizeof(out)));
    assert_false(address_from_path("<", out, sizeof(out)));
    assert_false(address_from_path("a@b.example", out, 11));
}

/* What may be said on a command line, and what is a slip. */
static void
a_path_is_told_from_a_slip(void **state)
{
    static const char *const paths[] = {
        "",
        "<>",
        "?",
        "root",
        "a@b.example",
        "<a@b.example>",
        "\"a b\"@c.example",
        "<\"a\\\"<b\"@c.example>",
        "<@r.example,@s.example:a@b.example>",
        "a@[192.0.2.1]",
        "m\xc3\xbc@b.example",
    };
    static const char *const slips[] = {
        "<",
        "<a@b.example",
        "a@b.example>",
        "a@b.example c@d.example",
        "Printer <a@b.example>",
        "<<a@b.example>>",
        "a@b.example (x)",
        "\"a b@c.example",
        "a@b.example\n",
        "a\x7f@b.example",
        "\"a\001b\"@c.example",
    };
    char longest[ADDRESS_MAX + 2];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        assert_true(address_is_path(paths[i]));
    for (size_t i = 0; i < ARRAY_LEN(slips); i++)
        assert_false(address_is_path(slips[i]));
    memset(longest, 'a', sizeof(longest));
    longest[ADDRESS_MAX + 1] = '\0';
    assert_false(address_is_path(longest));
    longest[ADDRESS_MAX] = '\0';
    assert_true(address_is_path(longest));
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 2];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    tests[ARRAY_LEN(rows)] = (struct CMUnitTest)cmocka_unit_test(
        paths_come_with_brackets_or_without);
    tests[ARRAY_LEN(rows) + 1] =
        (struct CMUnitTest)cmocka_unit_test(a_path_is_told_from_a_slip);
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
