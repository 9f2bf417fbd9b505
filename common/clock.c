/*
 * clock - the only caller of clock_gettime().
 */
#include "common/clock.h"

#include <time.h>

int64_t
clock_boot_ms(void)
{
    struct timespec now = {0};

    /* Can't fail: the clock exists since Linux 2.6.39. */
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
clock_boot_us(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
clock_wall(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec;
}
