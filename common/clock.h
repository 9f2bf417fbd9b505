/*
 * clock - the only caller of clock_gettime(). Pure code takes times as
 * arguments; only the thin edges ask here.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

/*
 * Milliseconds of CLOCK_BOOTTIME: for deadlines and expiry. A stepped wall
 * clock does not change it, and a suspended machine does not stop it.
 */
int64_t clock_boot_ms(void);

/* The same in microseconds: for what is measured. */
int64_t clock_boot_us(void);

/* Seconds since 1970: for what people and other machines are told. */
int64_t clock_wall(void);

#endif
