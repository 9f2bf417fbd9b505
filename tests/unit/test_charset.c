/* charset: what names are known, what their bytes mean, what they decode to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/charset.h"
#include "common/utf8.h"
#include "common/util.h"

struct row {
    const char *name; /* of the charset */
    const char *text;
    const char *want; /* UTF-8; NULL: not valid */
};

static struct row rows[] = {
    {"utf-8", "M\xc3\xbcller", "M\xc3\xbcller"},
    {"UTF8", "\xff", NULL},
    {"us-ascii", "plain", "plain"},
    {"us-ascii", "\xc3", NULL},
    {"iso-8859-1", "M\xfcller", "M\xc3\xbcller"},
    {"iso-8859-1", "\x80", "\xe2\x82\xac"}, /* windows-1252 in truth */
    {"ISO_8859-1", "\x81", "\xc2\x81"},
    {"iso-8859-2", "\xb3", "\xc5\x82"},
    {"iso8859-5", "\xb0", "\xd0\x90"},
    {"iso-8859-7", "\xe1", "\xce\xb1"},
    {"iso-8859-8-i", "\xe0", "\xd7\x90"},
    {"iso-8859-9", "\xfd", "\xc4\xb1"},
    {"ISO-8859-15", "\xa4", "\xe2\x82\xac"},
    {"latin-9", "\xa4", "\xe2\x82\xac"},
    {"windows-1250", "\x9a", "\xc5\xa1"},
    {"cp1251", "\xc0", "\xd0\x90"},
    {"Windows-1252", "\x80", "\xe2\x82\xac"},
    {"windows-1252", "\x81", NULL},
    {"windows-1258", "\xd0", "\xc4\x90"},
    {"koi8-r", "\xc1", "\xd0\xb0"},
    {"KOI8-U", "\xa4", "\xd1\x94"},
    {"gb2312", "\xb4\xf2", "\xe6\x89\x93"},
    {"gb2312", "\x81\x40", "\xe4\xb8\x82"}, /* gbk in truth */
    {"gbk", "\x81\x40", "\xe4\xb8\x82"},
    {"gb18030", "\x81\x30\x84\x36", "\xc2\xa5"},
    {"big5", "\xa4\x40", "\xe4\xb8\x80"},
    {"big5", "\xa4", NULL},
    {"euc-jp", "\xa5\xd7", "\xe3\x83\x97"},
    {"euc-kr", "\xb0\xa1", "\xea\xb0\x80"},
    {"ks_c_5601-1987", "\xb0\xa1", "\xea\xb0\x80"},
    {"shift_jis", "\x83\x76", "\xe3\x83\x97"},
    {"shift_jis", "\x87\x40", "\xe2\x91\xa0"}, /* cp932 in truth */
    {"x-sjis", "\xb1", "\xef\xbd\xb1"},
    {"iso-2022-jp", "\033$B<u\033(B", "\xe5\x8f\x97"},
    {"iso-2022-jp", "\033$B<", NULL},
    {"utf-7", "+ADw-a", "<a"},
    {"iso-2022-kr", "\033$)C\016\060\041\017", "\xea\xb0\x80"},
    {"unknown-8bit", "M\xfcller", "M\xc3\xbcller"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    const struct charset *charset = charset_find(row->name, strlen(row->name));
    struct buf got;

    assert_non_null(charset);
    buf_init(&got, 1000);
    assert_int_equal(
        charset_append_utf8(charset, row->text, strlen(row->text), &got),
        row->want != NULL);
    assert_string_equal(buf_str(&got), row->want != NULL ? row->want : "");
    buf_clear(&got);
}

static void
what_is_not_listed_is_not_known(void **state)
{
    static const char *const names[] = {
        "",         "-",      "cp037",         "cp500",   "unicode-escape",
        "hz",       "x-user", "utf-8//IGNORE", "utf-8\t", "utf-8/",
        "rot13",    "base64", "iso-8859-12",   "utf",     "utf-88",
        "m\xc3\xbc"};
    static const char with_nul[] = "utf\0-8";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_null(charset_find(names[i], strlen(names[i])));
    assert_null(charset_find(with_nul, sizeof(with_nul) - 1));
    for (size_t len = 0; len < 5; len++)
        assert_null(charset_find("utf-8", len));
    assert_non_null(charset_find("utf-8", 5));
}

static enum charset_shape
shape_of(const char *name)
{
    const struct charset *charset = charset_find(name, strlen(name));

    assert_non_null(charset);
    return charset->shape;
}

static void
a_charset_that_shifts_is_not_plain(void **state)
{
    (void)state;
    assert_int_equal(shape_of("utf-8"), CHARSET_ASCII);
    assert_int_equal(shape_of("windows-1251"), CHARSET_ASCII);
    assert_int_equal(shape_of("euc-jp"), CHARSET_ASCII);
    assert_int_equal(shape_of("shift_jis"), CHARSET_TRAILING);
    assert_int_equal(shape_of("big5"), CHARSET_TRAILING);
    assert_int_equal(shape_of("gb18030"), CHARSET_TRAILING);
    assert_int_equal(shape_of("iso-2022-jp"), CHARSET_ISO_2022_JP);
    assert_int_equal(shape_of("iso-2022-jp-2"), CHARSET_OPAQUE);
    assert_int_equal(shape_of("iso-2022-kr"), CHARSET_OPAQUE);
    assert_int_equal(shape_of("utf-7"), CHARSET_OPAQUE);
    assert_int_equal(shape_of("utf7"), CHARSET_OPAQUE);
    assert_int_equal(shape_of("unicode-1-1-utf-7"), CHARSET_OPAQUE);
    assert_int_equal(shape_of("utf-16"), CHARSET_OPAQUE);
}

/* Longer than what is converted at a time, and cut within characters. */
static void
long_text_is_converted_whole(void **state)
{
    const struct charset *charset = charset_find("euc-jp", 6);
    struct buf text;
    struct buf got;

    (void)state;
    buf_init(&text, 10000);
    buf_init(&got, 10000);
    buf_append_char(&text, 'x');
    for (size_t i = 0; i < 1000; i++)
        buf_append_str(&text, "\xa5\xd7");
    assert_true(charset_append_utf8(charset, text.data, text.len, &got));
    assert_int_equal(got.len, 1 + 3 * 1000);
    assert_true(utf8_is_valid(got.data, got.len));
    assert_false(buf_failed(&got));
    buf_clear(&got);

    buf_init(&got, 100);
    (void)charset_append_utf8(charset, text.data, text.len, &got);
    assert_true(buf_failed(&got));
    buf_clear(&got);
    buf_clear(&text);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 3];
    size_t count = ARRAY_LEN(rows);

    for (size_t i = 0; i < count; i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(what_is_not_listed_is_not_known);
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(a_charset_that_shifts_is_not_plain);
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(long_text_is_converted_whole);
    return cmocka_run_group_tests_name("charset", tests, NULL, NULL);
}
