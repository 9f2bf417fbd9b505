/*
 * histogram - how often something took how long.
 */
#include "common/histogram.h"

#include <assert.h>

void
histogram_init(struct histogram *histogram,
               const struct histogram_limit *limits, size_t count)
{
    assert(count <= HISTOGRAM_LIMITS_MAX);
    *histogram = (struct histogram){.limits = limits, .limit_count = count};
}

void
histogram_add(struct histogram *histogram, int64_t us)
{
    size_t i = 0;

    if (us < 0)
        us = 0;
    while (i < histogram->limit_count && us > histogram->limits[i].us)
        i++;
    histogram->counts[i]++;
    histogram->sum_us += (uint64_t)us;
}
