/* One row is one failure; the wants are the delay with the dice at 0 and 1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/backoff.h"

#define ALMOST_ONE 0.999999

struct row {
    const char *name;
    struct backoff_input input;
    int64_t want_low; /* ms; the high one is just below twice as much */
    int64_t want_high;
};

static struct row rows[] = {
    {"the first failure of the network waits 1 to 2 s",
     {.attempt = 1, .problem = PROBLEM_UNREACHABLE},
     1000,
     2000},
    {"each further one waits twice as long",
     {.attempt = 2, .problem = PROBLEM_UNAVAILABLE},
     2000,
     4000},
    {"the eighth waits 128 to 256 s",
     {.attempt = 8, .problem = PROBLEM_UNREACHABLE},
     128000,
     256000},
    {"from the ninth on it is 150 to 300 s",
     {.attempt = 9, .problem = PROBLEM_BAD_ANSWER},
     150000,
     300000},
    {"a number of attempts that overflows nothing",
     {.attempt = UINT32_MAX, .problem = PROBLEM_INTERNAL},
     150000,
     300000},
    {"attempt 0 counts as the first",
     {.attempt = 0, .problem = PROBLEM_THROTTLED},
     1000,
     2000},
    {"a refused secret is slow from the start",
     {.attempt = 1, .problem = PROBLEM_BAD_SECRET},
     60000,
     120000},
    {"a login that is needed stays within 5 minutes",
     {.attempt = 30, .problem = PROBLEM_NEEDS_LOGIN},
     150000,
     300000},
    {"an unreadable secret is tried fast",
     {.attempt = 1, .problem = PROBLEM_NO_SECRET},
     1000,
     2000},
    {"Retry-After is a minimum",
     {.attempt = 1, .problem = PROBLEM_THROTTLED, .retry_after_s = 3},
     3000,
     4000},
    {"Retry-After goes over the cap of 5 minutes",
     {.attempt = 20, .problem = PROBLEM_UNAVAILABLE, .retry_after_s = 3600},
     3600000,
     3601000},
    {"a Retry-After that is shorter changes nothing",
     {.attempt = 5, .problem = PROBLEM_THROTTLED, .retry_after_s = 1},
     16000,
     32000},
    {"Retry-After counts for a refused secret too",
     {.attempt = 1, .problem = PROBLEM_BAD_SECRET, .retry_after_s = 600},
     600000,
     601000},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct backoff_input input = row->input;

    input.random = 0;
    assert_int_equal(backoff_delay_ms(&input), row->want_low);
    input.random = ALMOST_ONE;
    assert_in_range(backoff_delay_ms(&input), row->want_high - 10,
                    row->want_high);
}

/* Whatever the input: within the limits, and never before Retry-After. */
static void
limits_hold_for_all_inputs(void **state)
{
    static const double dice[] = {0, 0.25, 0.5, ALMOST_ONE};

    (void)state;
    for (int p = PROBLEM_UNREACHABLE; p <= PROBLEM_INTERNAL; p++)
        for (unsigned attempt = 0; attempt < 40; attempt++)
            for (size_t i = 0; i < ARRAY_LEN(dice); i++) {
                struct backoff_input input = {
                    .attempt = attempt,
                    .problem = (enum problem)p,
                    .random = dice[i],
                };

                assert_in_range(backoff_delay_ms(&input), BACKOFF_MIN_MS,
                                BACKOFF_MAX_MS);
                input.retry_after_s = 42;
                assert_true(backoff_delay_ms(&input) >= 42000);
            }
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    tests[ARRAY_LEN(rows)] =
        (struct CMUnitTest)cmocka_unit_test(limits_hold_for_all_inputs);
    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
