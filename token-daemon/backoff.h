/*
 * backoff - how long to wait before the next attempt to get a token.
 *
 * Pure: no clock, no randomness of its own. What may pass by itself (network,
 * 5xx, 429, garbage) is tried again after 1 s, doubling up to 5 min. What
 * somebody must repair first (secret, consent, settings) is tried again after
 * 1 min, doubling up to 5 min, because a repair at the provider's side shows
 * in no other way; a repair on this side comes with a reload.
 */
#ifndef TOKEN_DAEMON_BACKOFF_H
#define TOKEN_DAEMON_BACKOFF_H

#include <stdint.h>

#include "token-daemon/problem.h"

#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS (5 * 60 * 1000)

struct backoff_input {
    unsigned attempt;      /* failures in a row so far; from 1 */
    enum problem problem;  /* the last one; not NONE */
    int64_t retry_after_s; /* what the provider asked for; 0: nothing */
    double random;         /* from 0 up to, but not including, 1 */
};

/*
 * Milliseconds to wait: between BACKOFF_MIN_MS and BACKOFF_MAX_MS, but never
 * less than the provider asked for.
 */
int64_t backoff_delay_ms(const struct backoff_input *input);

#endif
