/*
 * planner - one timer for what thousands of keepers plan, few of them at a
 * time, and spread evenly.
 *
 * When many things are due at once (the machine was suspended, the process was
 * down) they are begun a few per turn of the event loop, so that whoever is
 * answered from memory does not wait behind them.
 */
#ifndef TOKEN_DAEMON_PLANNER_H
#define TOKEN_DAEMON_PLANNER_H

#include <stddef.h>
#include <stdint.h>

#include "token-daemon/refresher.h"
#include "token-daemon/timetable.h"

struct planner;

/* It is due; planned no more. May plan anything anew. */
typedef void planner_fire_fn(struct timetable_entry *entry);

/* `env` is borrowed: for its life. Owned; NULL when out of memory. */
struct planner *planner_new(const struct refresher_env *env,
                            planner_fire_fn *fire)
    __attribute__((warn_unused_result));
void planner_free(struct planner **planner);

/* Room for so many entries; -1 when out of memory. */
int planner_reserve(struct planner *planner, size_t count)
    __attribute__((warn_unused_result));

/* At that time (ms of CLOCK_BOOTTIME), or as soon as may be when that is past;
 * TOKEN_NEVER: not. */
void planner_set(struct planner *planner, struct timetable_entry *entry,
                 int64_t at);

/* How many are planned for the second of this time. */
uint32_t planner_load(const struct planner *planner, int64_t at);

/*
 * A time in [earliest, latest], by chance, in whose second little is planned.
 * Of so many tries the best is taken; that keeps the fullest second near the
 * mean, where chance alone would fill some to three times of it.
 */
#define PLANNER_TRIES 8
int64_t planner_choose(const struct planner *planner, int64_t earliest,
                       int64_t latest);

#endif
