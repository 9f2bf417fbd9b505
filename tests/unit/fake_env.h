/*
 * fake_env - the world of the refresher and of the lookups, in a test's hands.
 *
 * The clock stands still until the test moves it; then the timers fire in
 * order, so hours pass at once. Token requests wait until the test answers
 * them, or are answered by its script after a delay. What the code under test
 * logs can be read.
 *
 * Whatever breaks the rules of the environment (a second request for one
 * credential, a timer set after it was freed) fails the test.
 */
#ifndef TESTS_UNIT_FAKE_ENV_H
#define TESTS_UNIT_FAKE_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "token-daemon/lookups.h"
#include "token-daemon/refresher.h"

#define FAKE_ENV_BOOT_MS INT64_C(5000000)    /* when a test begins */
#define FAKE_ENV_WALL    INT64_C(1790000000) /* the same, since 1970 */

struct fake_env;

/* Owned. Ends the test when out of memory, as all functions here do. */
struct fake_env *fake_env_new(void);

/* Everything made with it must be freed before. Sets *env to NULL. */
void fake_env_free(struct fake_env **env);

/* What the modules are made with; valid for the life of `env`. */
const struct refresher_env *fake_env_refresher(struct fake_env *env);
const struct lookups_env *fake_env_lookups(struct fake_env *env);

/* ms since the beginning of the test. */
int64_t fake_env_now(const struct fake_env *env);

/* Move the clock, firing every timer at its time. */
void fake_env_advance(struct fake_env *env, int64_t ms);

/* Move the clock and fire nothing, as a machine does that was suspended. */
void fake_env_suspend(struct fake_env *env, int64_t ms);

/* Move the clock to just before the next timer and fire that one: as an event
 * loop with a coarse clock does. False when no timer is set. */
bool fake_env_fire_early(struct fake_env *env);

/* What the dice show from now on; 0 at first. Or let them be thrown. */
void fake_env_chance(struct fake_env *env, double dice);
void fake_env_roll(struct fake_env *env, uint32_t seed);

/* The next request can't be started, the next timers can't be made. */
void fake_env_refuse_start(struct fake_env *env);
void fake_env_refuse_timers(struct fake_env *env, bool is_refused);

/* ---- Token requests ---- */

/* How many were started, when the n-th was (ms), and how many are open. */
size_t fake_env_starts(const struct fake_env *env);
int64_t fake_env_started_at(const struct fake_env *env, size_t n);
size_t fake_env_open(const struct fake_env *env);
size_t fake_env_cancelled(const struct fake_env *env);

/* The credential of the last one that was started. */
const char *fake_env_credential(const struct fake_env *env);

/* The oldest one that is open; borrowed: until it is answered. False: none. */
struct fake_request {
    const char *credential;
    const char *user;          /* "": none */
    const char *refresh_token; /* "": none */
};
bool fake_env_oldest(const struct fake_env *env, struct fake_request *out);

struct fake_answer {
    const char *text; /* of the token; NULL: it failed */
    int64_t life_s;
    int64_t refresh_in_s;
    const char *refresh_token; /* NULL: none came */
    int64_t refresh_life_s;    /* of the refresh token; 0: not said */
    struct key *key;           /* that worked; NULL: none is named */
    enum problem problem;      /* of a failure; NONE: UNAVAILABLE */
    const char *hint;
    int64_t retry_after_s;
    bool may_spread; /* a key that was refused is new */
    int64_t skew_s;  /* 0: no answer said what time it is */
    int64_t answered_us;
};

/* Answer the oldest request that is open; there must be one. */
void fake_env_answer(struct fake_env *env, const struct fake_answer *answer);

/*
 * Answer every request by itself from now on, `delay_ms` after its start. `fn`
 * is told how many requests were started before this one and since the start
 * of the test. NULL: wait for fake_env_answer() again.
 */
typedef struct fake_answer fake_env_script_fn(size_t n, int64_t now_ms);
void fake_env_script(struct fake_env *env, int64_t delay_ms,
                     fake_env_script_fn *fn);

/* How often somebody was sent away; the first is to be logged. */
size_t fake_env_refusals(const struct fake_env *env);

/* ---- The log ---- */

/*
 * How many lines were logged that hold `text`; all of them for "". What is for
 * debugging only does not count.
 */
size_t fake_env_logged(struct fake_env *env, const char *text);

/* Keep no lines from now on: there will be too many. */
void fake_env_drop_log(struct fake_env *env);

/* From now on no line of any level may hold this secret. Borrowed. */
void fake_env_forbid(struct fake_env *env, const char *secret);

/* ---- Configurations ---- */

/* Read this text as relay.conf. Owned: config_unref(). Must be right. */
struct config *fake_env_config(const char *text);

#endif
