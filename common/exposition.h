/*
 * exposition - metrics as Prometheus reads them.
 *
 * Pure: values in, the text exposition format, version 0.0.4, out. Which
 * metrics there are is the caller's affair; of each one head, then its samples.
 * Errors are those of the buffer.
 */
#ifndef COMMON_EXPOSITION_H
#define COMMON_EXPOSITION_H

#include <stdint.h>

#include "common/buf.h"
#include "common/histogram.h"

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum exposition_type {
    EXPOSITION_COUNTER, /* its name ends in _total */
    EXPOSITION_GAUGE,
    EXPOSITION_HISTOGRAM,
};

/* What tells samples of one metric apart; the value may hold any byte. */
struct exposition_label {
    const char *name; /* NULL: none */
    const char *value;
};

/* A label in an expression. */
static inline struct exposition_label
exposition_by(const char *name, const char *value)
{
    return (struct exposition_label){name, value};
}

#define EXPOSITION_BY_NOTHING ((struct exposition_label){NULL, NULL})

/* What the metric is. `help` has neither line feeds nor backslashes. */
void exposition_head(struct buf *out, const char *name,
                     enum exposition_type type, const char *help);

/* One sample, with up to two labels. */
void exposition_sample(struct buf *out, const char *name,
                       struct exposition_label a, struct exposition_label b,
                       int64_t value);

/* The same of microseconds, as seconds. */
void exposition_seconds(struct buf *out, const char *name,
                        struct exposition_label a, struct exposition_label b,
                        uint64_t value_us);

/* A metric with one sample that has no label, head and all. */
void exposition_single(struct buf *out, const char *name,
                       enum exposition_type type, const char *help,
                       int64_t value);

/* The samples of a histogram, in seconds, with or without a label. */
void exposition_histogram(struct buf *out, const char *name,
                          struct exposition_label label,
                          const struct histogram *histogram);

#endif
