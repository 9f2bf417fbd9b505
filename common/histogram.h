/*
 * histogram - how often something took how long.
 *
 * Pure, and of a fixed size. Counts are not locked: one thread, or the
 * caller's lock.
 */
#ifndef COMMON_HISTOGRAM_H
#define COMMON_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_LIMITS_MAX 20

/* The upper end of a bucket, which belongs to it. */
struct histogram_limit {
    int64_t us;       /* microseconds */
    const char *text; /* the same in seconds, such as "0.25" */
};

struct histogram {
    const struct histogram_limit *limits; /* borrowed; ascending */
    size_t limit_count;
    uint64_t counts[HISTOGRAM_LIMITS_MAX + 1]; /* not added up; the last one
                                                  is of all that took longer */
    uint64_t sum_us;
};

/* Empty; at most HISTOGRAM_LIMITS_MAX limits. */
void histogram_init(struct histogram *histogram,
                    const struct histogram_limit *limits, size_t count);

/* It took so long, in microseconds; what is negative took no time. */
void histogram_add(struct histogram *histogram, int64_t us);

#endif
