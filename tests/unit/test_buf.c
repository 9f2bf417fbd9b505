/* buf: the cap, the sticky error, and what reset, consume and clear leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"

static void
appends_grow_and_end_with_nul(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 10000);
    for (int i = 0; i < 1000; i++)
        buf_append_str(&buf, "0123456789");
    assert_false(buf_failed(&buf));
    assert_int_equal(buf.len, 10000);
    assert_int_equal(strlen(buf_str(&buf)), 10000);
    buf_clear(&buf);
    assert_null(buf.data);
    buf_clear(&buf);
}

static void
the_byte_over_the_limit_fails_for_good(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 4);
    buf_append_str(&buf, "1234");
    assert_false(buf_failed(&buf));
    buf_append_char(&buf, '5');
    assert_true(buf_failed(&buf));
    buf_append(&buf, "", 0);
    assert_true(buf_failed(&buf));
    assert_string_equal(buf_str(&buf), "1234");
    buf_reset(&buf);
    assert_false(buf_failed(&buf));
    buf_append(&buf, "x", SIZE_MAX);
    assert_true(buf_failed(&buf));
    buf_clear(&buf);
}

static void
numbers_are_decimal(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    buf_append_int(&buf, INT64_MIN);
    buf_append_char(&buf, ' ');
    buf_append_int(&buf, 0);
    assert_string_equal(buf_str(&buf), "-9223372036854775808 0");
    buf_clear(&buf);
}

static void
consume_keeps_the_rest(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    assert_string_equal(buf_str(&buf), "");
    buf_consume(&buf, 0);
    buf_append_str(&buf, "abcdef");
    buf_consume(&buf, 2);
    assert_string_equal(buf_str(&buf), "cdef");
    buf_consume(&buf, 4);
    assert_string_equal(buf_str(&buf), "");
    buf_clear(&buf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_grow_and_end_with_nul),
        cmocka_unit_test(the_byte_over_the_limit_fails_for_good),
        cmocka_unit_test(numbers_are_decimal),
        cmocka_unit_test(consume_keeps_the_rest),
    };

    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
