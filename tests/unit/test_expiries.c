/* What expires soon: a row is a walk through days, and when it is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/expiries.h"

#define DAY_S ((int64_t)86400)
#define NOW   ((int64_t)1790000000)
#define MAX   2
#define STOP  INT64_MIN

struct look {
    int64_t left; /* s; STOP: there is no more */
    bool want;
};

struct row {
    const char *name;
    struct look looks[10];
};

static struct row rows[] = {
    {.name = "far away", .looks = {{31 * DAY_S, false}, {STOP, false}}},
    {.name = "each stage is said once",
     .looks = {{30 * DAY_S + 1, false},
               {30 * DAY_S, true},
               {29 * DAY_S, false},
               {14 * DAY_S, true},
               {7 * DAY_S, true},
               {3 * DAY_S, true},
               {DAY_S, true},
               {1, false},
               {0, true},
               {-DAY_S, false}}},
    {.name = "first seen late, it is said once",
     .looks = {{2 * DAY_S, true}, {2 * DAY_S - 5, false}, {STOP, false}}},
    {.name = "first seen too late",
     .looks = {{-5 * DAY_S, true}, {-6 * DAY_S, false}, {STOP, false}}},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct expiries *expiries = expiries_new(MAX);
    const int64_t ends = NOW + 100 * DAY_S;

    assert_non_null(expiries);
    for (size_t i = 0; i < ARRAY_LEN(row->looks); i++) {
        if (row->looks[i].left == STOP)
            break;
        assert_int_equal(expiries_is_due(expiries, "contoso", ends,
                                         ends - row->looks[i].left),
                         row->looks[i].want);
    }
    expiries_free(&expiries);
    assert_null(expiries);
    expiries_free(&expiries);
}

static void
what_was_renewed_begins_anew(void **state)
{
    struct expiries *expiries = expiries_new(MAX);

    (void)state;
    assert_true(expiries_is_due(expiries, "a", NOW + DAY_S, NOW));
    assert_int_equal(expiries_count(expiries), 1);
    assert_false(expiries_is_due(expiries, "a", NOW + 90 * DAY_S, NOW));
    assert_int_equal(expiries_count(expiries), 0);
    assert_true(expiries_is_due(expiries, "a", NOW + DAY_S, NOW));
    assert_true(expiries_is_due(expiries, "a", NOW + 2 * DAY_S, NOW));
    assert_false(expiries_is_due(expiries, "a", 0, NOW));
    assert_int_equal(expiries_count(expiries), 0);
    expiries_free(&expiries);
}

static void
names_are_told_apart_up_to_a_limit(void **state)
{
    struct expiries *expiries = expiries_new(MAX);

    (void)state;
    assert_true(expiries_is_due(expiries, "a", NOW, NOW));
    assert_true(expiries_is_due(expiries, "b", NOW, NOW));
    assert_false(expiries_is_due(expiries, "c", NOW, NOW));
    assert_false(expiries_is_due(expiries, "a", 0, NOW));
    assert_true(expiries_is_due(expiries, "c", NOW, NOW));
    expiries_free(&expiries);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 2] = {
        cmocka_unit_test(what_was_renewed_begins_anew),
        cmocka_unit_test(names_are_told_apart_up_to_a_limit),
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i + 2] = (struct CMUnitTest){.name = rows[i].name,
                                           .test_func = check_row,
                                           .initial_state = &rows[i]};
    return cmocka_run_group_tests_name("expiries", tests, NULL, NULL);
}
