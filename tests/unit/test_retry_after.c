/* One row is one field value, read at 2026-01-02 03:04:05 GMT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/retry_after.h"

#define NOW INT64_C(1767323045)

struct row {
    const char *name;
    const char *text;
    bool is_good;
    int64_t want; /* s to wait */
};

static struct row rows[] = {
    {"seconds", "120", true, 120},
    {"no seconds", "0", true, 0},
    {"leading zeros", "0003", true, 3},
    {"an hour is the most", "3600", true, 3600},
    {"more than an hour is cut", "3601", true, 3600},
    {"a number that fits nowhere is cut", "99999999999999999999999999", true,
     3600},
    {"nothing", "", false, 0},
    {"a blank before", " 3", false, 0},
    {"a blank after", "3 ", false, 0},
    {"a sign", "-3", false, 0},
    {"a fraction", "1.5", false, 0},
    {"hexadecimal", "0x10", false, 0},
    {"words", "soon", false, 0},
    {"IMF-fixdate ahead", "Fri, 02 Jan 2026 03:04:35 GMT", true, 30},
    {"IMF-fixdate that has passed", "Fri, 02 Jan 2026 03:04:00 GMT", true, 0},
    {"IMF-fixdate a day ahead is cut", "Sat, 03 Jan 2026 03:04:05 GMT", true,
     3600},
    {"RFC 850 date ahead", "Friday, 02-Jan-26 03:05:05 GMT", true, 60},
    {"RFC 850 date of the last century", "Sunday, 06-Nov-94 08:49:37 GMT", true,
     0},
    {"asctime date ahead", "Fri Jan  2 03:04:06 2026", true, 1},
    {"asctime date with two digits", "Tue Jan 13 03:04:06 2026", true, 3600},
    {"a leap second", "Fri, 02 Jan 2026 03:04:60 GMT", true, 55},
    {"a time zone that is not GMT", "Fri, 02 Jan 2026 03:04:35 CET", false, 0},
    {"no time zone", "Fri, 02 Jan 2026 03:04:35", false, 0},
    {"something after it", "Fri, 02 Jan 2026 03:04:35 GMT ", false, 0},
    {"one digit for the day", "Fri, 2 Jan 2026 03:04:35 GMT", false, 0},
    {"a month that is none", "Fri, 02 Jam 2026 03:04:35 GMT", false, 0},
    {"day 0", "Fri, 00 Jan 2026 03:04:35 GMT", false, 0},
    {"29 February of a common year", "Sun, 29 Feb 2026 03:04:35 GMT", false, 0},
    {"hour 24", "Fri, 02 Jan 2026 24:04:35 GMT", false, 0},
    {"minute 60", "Fri, 02 Jan 2026 03:60:35 GMT", false, 0},
    {"second 61", "Fri, 02 Jan 2026 03:04:61 GMT", false, 0},
    {"a year before 1970", "Wed, 01 Jan 1969 00:00:00 GMT", false, 0},
    {"a sign in the year", "Fri, 02 Jan +026 03:04:35 GMT", false, 0},
    {"cut off in the middle", "Fri, 02 Jan 20", false, 0},
    {"cut off after the weekday", "Fri,", false, 0},
    {"a weekday only", "Friday", false, 0},
    {"asctime cut off after the month", "Fri Jan ", false, 0},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    int64_t got = -7;

    assert_int_equal(retry_after_parse(row->text, NOW, &got), row->is_good);
    assert_int_equal(got, row->is_good ? row->want : -7);
}

/* RFC 9110, section 5.6.7: three ways to write one moment. */
static void
the_three_formats_of_the_standard_agree(void **state)
{
    static const char *const texts[] = {
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int64_t got = 0;

        assert_true(retry_after_date(texts[i], NOW, &got));
        assert_int_equal(got, 784111777);
    }
}

static void
two_digit_years_are_at_most_fifty_years_ahead(void **state)
{
    int64_t got = 0;

    (void)state;
    assert_true(
        retry_after_date("Wednesday, 01-Jan-76 00:00:00 GMT", NOW, &got));
    assert_int_equal(got, INT64_C(3345062400)); /* 2076 */
    assert_true(
        retry_after_date("Saturday, 01-Jan-77 00:00:00 GMT", NOW, &got));
    assert_int_equal(got, INT64_C(220924800)); /* 1977 */
}

static void
leap_days_are_known(void **state)
{
    int64_t got = 0;

    (void)state;
    assert_true(retry_after_date("Tue, 29 Feb 2000 00:00:00 GMT", NOW, &got));
    assert_int_equal(got, 951782400);
    assert_false(retry_after_date("Mon, 29 Feb 2100 00:00:00 GMT", NOW, &got));
}

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(the_three_formats_of_the_standard_agree),
        cmocka_unit_test(two_digit_years_are_at_most_fifty_years_ahead),
        cmocka_unit_test(leap_days_are_known),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[ARRAY_LEN(rows) + i] = others[i];
    return cmocka_run_group_tests_name("retry_after", tests, NULL, NULL);
}
