/*
 * status_report - what the milter did, as a page for a person and for programs.
 *
 * Pure: counts in, HTML or JSON out. Senders do not appear.
 */
#ifndef MILTER_STATUS_REPORT_H
#define MILTER_STATUS_REPORT_H

#include <stdint.h>

#include "common/buf.h"
#include "milter/metrics.h"

/* Append a page; `wall` is now, in seconds since 1970. */
void status_report_html(const struct metrics *metrics,
                        const struct metrics_gauges *gauges, int64_t wall,
                        struct buf *out);

/* Append one JSON object and a line feed. */
void status_report_json(const struct metrics *metrics,
                        const struct metrics_gauges *gauges, struct buf *out);

#endif
