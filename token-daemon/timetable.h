/*
 * timetable - when each of many things is next to be done, and how much falls
 * into each second.
 *
 * A heap of entries that live in their owners, and a count for each second of
 * the hours ahead, so that whoever may choose a time can choose one at which
 * little else is planned. Pure: knows no clock and no timers. Times are
 * milliseconds of any one clock.
 */
#ifndef TOKEN_DAEMON_TIMETABLE_H
#define TOKEN_DAEMON_TIMETABLE_H

#include <stddef.h>
#include <stdint.h>

/* Seconds that are told apart: 4.5 hours. What lies further ahead counts as
 * so much less, which does no harm to a choice. */
#define TIMETABLE_SECONDS 16384

/* One thing that is planned. Zeroed: not planned. */
struct timetable_entry {
    int64_t at;   /* ms */
    size_t place; /* in the heap, from 1; 0: not planned */
};

struct timetable {
    struct timetable_entry **entries; /* a heap: the earliest first */
    size_t count;
    size_t capacity;
    uint32_t per_second[TIMETABLE_SECONDS];
};

/* Owned; NULL when out of memory. Entries are the callers'. */
struct timetable *timetable_new(void) __attribute__((warn_unused_result));
void timetable_free(struct timetable **timetable);

/*
 * Room for `count` entries in all, so that timetable_plan() can't fail.
 * Returns -1 when out of memory.
 */
int timetable_reserve(struct timetable *timetable, size_t count)
    __attribute__((warn_unused_result));

/* Plan, or plan for another time. There must be room for it. */
void timetable_plan(struct timetable *timetable, struct timetable_entry *entry,
                    int64_t at);

/* Not planned any more. Twice is fine. */
void timetable_drop(struct timetable *timetable, struct timetable_entry *entry);

/* The earliest; NULL when nothing is planned. */
struct timetable_entry *timetable_first(const struct timetable *timetable);

/* How many things are planned for the second of this time. */
uint32_t timetable_load(const struct timetable *timetable, int64_t at);

#endif
