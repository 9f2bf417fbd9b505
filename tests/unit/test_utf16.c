/*
 * utf16: a row is some bytes and the UTF-8 that they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/utf16.h"
#include "common/util.h"

#define BYTES(text) .data = (text), .len = sizeof(text) - 1

static const struct row {
    const char *data;
    size_t len;
    const char *want; /* NULL: it has no mark */
} rows[] = {
    {BYTES("\xff\xfe"), ""},
    {BYTES("\xff\xfe"
           "a\0@\0"),
     "a@"},
    {BYTES("\xfe\xff\0a\0@"), "a@"},
    {BYTES("\xff\xfe\xfc\0"), "\xc3\xbc"},
    {BYTES("\xff\xfe\xac\x20"), "\xe2\x82\xac"},
    {BYTES("\xff\xfe\x3d\xd8\x00\xde"), "\xf0\x9f\x98\x80"},
    {BYTES("\xfe\xff\xd8\x3d\xde\x00"), "\xf0\x9f\x98\x80"},
    /* surrogates without their other half, and half a character */
    {BYTES("\xff\xfe\x3d\xd8"
           "a\0"),
     "\xef\xbf\xbd"
     "a"},
    {BYTES("\xff\xfe\x00\xde"), "\xef\xbf\xbd"},
    {BYTES("\xff\xfe\x3d\xd8"), "\xef\xbf\xbd"},
    {BYTES("\xff\xfe"
           "a\0b"),
     "a\xef\xbf\xbd"},
    {BYTES(""), NULL},
    {BYTES("\xff"), NULL},
    {BYTES("a@b.c"), NULL},
    {BYTES("\xef\xbb\xbf"
           "a"),
     NULL},
};

static void
it_becomes_utf8(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *data = malloc(rows[i].len + 1);
        struct buf got;

        assert_non_null(data);
        memcpy(data, rows[i].data, rows[i].len);
        data = realloc(data, rows[i].len > 0 ? rows[i].len : 1);
        assert_non_null(data);
        buf_init(&got, 100);
        assert_int_equal(utf16_has_mark(data, rows[i].len),
                         rows[i].want != NULL);
        if (rows[i].want != NULL) {
            utf16_append(&got, data, rows[i].len);
            assert_string_equal(buf_str(&got), rows[i].want);
        }
        buf_clear(&got);
        free(data);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_becomes_utf8),
    };

    return cmocka_run_group_tests_name("utf16", tests, NULL, NULL);
}
