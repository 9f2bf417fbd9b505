/* repeats: which repetition it is, within an hour, for so many failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "token-daemon/repeats.h"

#define MAX  4
#define HOUR INT64_C(3600000) /* ms */

static int
set_up(void **state)
{
    *state = repeats_new(MAX);
    assert_non_null(*state);
    return 0;
}

static int
tear_down(void **state)
{
    struct repeats *repeats = *state;

    repeats_free(&repeats);
    assert_null(repeats);
    repeats_free(&repeats);
    return 0;
}

static void
each_failure_is_counted_by_itself(void **state)
{
    assert_int_equal(repeats_count(*state, "what", "a@b", 0), 1);
    assert_int_equal(repeats_count(*state, "what", "a@b", 0), 2);
    assert_int_equal(repeats_count(*state, "what", "c@b", 0), 1);
    assert_int_equal(repeats_count(*state, "else", "a@b", 0), 1);
    assert_int_equal(repeats_count(*state, "what", "A@B", 0), 3);
}

static void
what_and_whom_may_be_missing(void **state)
{
    assert_int_equal(repeats_count(*state, NULL, NULL, 0), 1);
    assert_int_equal(repeats_count(*state, "what", NULL, 0), 1);
    assert_int_equal(repeats_count(*state, NULL, "a@b", 0), 1);
    assert_int_equal(repeats_count(*state, NULL, NULL, 0), 2);
}

static void
after_an_hour_of_silence_it_counts_from_one(void **state)
{
    assert_int_equal(repeats_count(*state, "what", "a@b", 0), 1);
    assert_int_equal(repeats_count(*state, "what", "a@b", HOUR), 2);
    assert_int_equal(repeats_count(*state, "what", "a@b", 2 * HOUR), 3);
    assert_int_equal(repeats_count(*state, "what", "a@b", 3 * HOUR + 1), 1);
}

static void
when_it_is_full_it_starts_afresh(void **state)
{
    char whom[16];

    for (int i = 0; i < MAX; i++) {
        (void)snprintf(whom, sizeof(whom), "m%d@b", i);
        assert_int_equal(repeats_count(*state, "what", whom, 0), 1);
    }
    assert_int_equal(repeats_count(*state, "what", "m0@b", 0), 2);
    assert_int_equal(repeats_count(*state, "what", "more@b", 0), 1);
    assert_int_equal(repeats_count(*state, "what", "m0@b", 0), 1);
    assert_int_equal(repeats_count(*state, "what", "more@b", 0), 2);
}

static void
what_is_too_long_counts_as_its_beginning(void **state)
{
    char whom[2000];

    memset(whom, 'x', sizeof(whom) - 1);
    whom[sizeof(whom) - 1] = '\0';
    assert_int_equal(repeats_count(*state, "what", whom, 0), 1);
    whom[sizeof(whom) - 2] = 'y';
    assert_int_equal(repeats_count(*state, "what", whom, 0), 2);
    whom[0] = 'y';
    assert_int_equal(repeats_count(*state, "what", whom, 0), 1);
}

#define REPEATS_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        REPEATS_TEST(each_failure_is_counted_by_itself),
        REPEATS_TEST(what_and_whom_may_be_missing),
        REPEATS_TEST(after_an_hour_of_silence_it_counts_from_one),
        REPEATS_TEST(when_it_is_full_it_starts_afresh),
        REPEATS_TEST(what_is_too_long_counts_as_its_beginning),
    };

    return cmocka_run_group_tests_name("repeats", tests, NULL, NULL);
}
