/*
 * backoff - how long to wait before the next attempt to get a token.
 */
#include "token-daemon/backoff.h"

#include <stdbool.h>

#define SLOW_MIN_MS (60 * 1000)

/* Must somebody change something first? */
static bool
is_slow(enum problem problem)
{
    bool slow = false;

    switch (problem) {
    case PROBLEM_BAD_SECRET:
    case PROBLEM_BAD_CLIENT:
    case PROBLEM_BAD_SCOPE:
    case PROBLEM_BAD_REQUEST:
    case PROBLEM_ACCESS_DENIED:
    case PROBLEM_NEEDS_LOGIN:
    case PROBLEM_BAD_SETTINGS:
        slow = true;
        break;
    case PROBLEM_NONE:
    case PROBLEM_UNREACHABLE:
    case PROBLEM_UNAVAILABLE:
    case PROBLEM_THROTTLED:
    case PROBLEM_BAD_ANSWER:
    case PROBLEM_NO_SECRET: /* local, and so asked at no one's cost */
    case PROBLEM_INTERNAL:
        break;
    }
    return slow;
}

/* The delay is spread over [base, 2 * base), so that many who failed at the
 * same moment do not come back at the same moment. */
int64_t
backoff_delay_ms(const struct backoff_input *input)
{
    int64_t base = is_slow(input->problem) ? SLOW_MIN_MS : BACKOFF_MIN_MS;
    int64_t delay, asked;

    for (unsigned i = 1; i < input->attempt && base < BACKOFF_MAX_MS / 2; i++)
        base *= 2;
    if (base > BACKOFF_MAX_MS / 2)
        base = BACKOFF_MAX_MS / 2;
    delay = base + (int64_t)((double)base * input->random);

    asked = input->retry_after_s * 1000;
    if (asked > 0 && delay < asked)
        delay = asked + (int64_t)(BACKOFF_MIN_MS * input->random);
    return delay;
}
