/*
 * metrics - what is counted, and how Prometheus reads it.
 *
 * Knows nothing of HTTP or clocks. What happens to messages is counted here,
 * by several threads at a time of which none waits; what is at the moment is
 * gathered by the caller when somebody asks. Rendered as exposition.h has it.
 *
 * Bounded: labels are mailboxes that are configured and rules of the file, and
 * of either no more than tally.h allows; never a sender.
 */
#ifndef MILTER_METRICS_H
#define MILTER_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/sendas.h"
#include "milter/rewrite.h"
#include "milter/tally.h"

struct metrics;

/* What became of a message. */
enum metrics_outcome {
    METRICS_EXEMPT,
    METRICS_KEPT,
    METRICS_REWRITTEN,
    METRICS_REJECTED,
    METRICS_DISCARDED,
    METRICS_AUDITED,   /* it would have been changed or refused */
    METRICS_LOOPING,   /* refused, as it goes round */
    METRICS_OVERFULL,  /* refused, as too many fields would have to change */
    METRICS_HELD,      /* the same, but put aside, as nobody may refuse it */
    METRICS_DEFERRED,  /* nothing could be decided: to be tried again */
    METRICS_UNDECIDED, /* the same, but nobody may refuse it */
};

#define METRICS_OUTCOMES (METRICS_UNDECIDED + 1)

const char *metrics_outcome_name(enum metrics_outcome outcome);

/* Owned; NULL when out of memory. */
struct metrics *metrics_new(void) __attribute__((warn_unused_result));
void metrics_free(struct metrics **metrics); /* takes NULL */

/* ---- what happens ---- */

struct metrics_message {
    const struct sendas *policy; /* that decided */
    const struct rewrite_plan *plan;
    const char *rule; /* as describe_rule() says; "": none */
    bool is_audit;    /* nothing of the plan is done */
};

/* A message was decided on. */
void metrics_message(struct metrics *metrics,
                     const struct metrics_message *message);

/* It could not be; `is_deferred`: it will come again. */
void metrics_failed(struct metrics *metrics, bool is_deferred);

/* So long it took from the end of a message to its answer. */
void metrics_took(struct metrics *metrics, int64_t us);

/* The configuration was read again, or that failed. */
void metrics_reload(struct metrics *metrics, bool is_done);

/* ---- what is ---- */

struct metrics_gauges {
    int64_t started_wall; /* s since 1970 */
    size_t sessions;
    size_t messages; /* under way */
    size_t entries;  /* of the policy in force */
    size_t memory;   /* bytes that they take */
};

uint64_t metrics_count(const struct metrics *metrics,
                       enum metrics_outcome outcome);
uint64_t metrics_reloads(const struct metrics *metrics, bool is_done);
bool metrics_has_reload_failed(const struct metrics *metrics); /* the last */

/* Counted by enum metrics_outcome. Borrowed: as long as `metrics`. */
const struct tally *metrics_mailboxes(const struct metrics *metrics);
const struct tally *metrics_rules(const struct metrics *metrics);

/* Append the exposition. */
void metrics_render(const struct metrics *metrics,
                    const struct metrics_gauges *gauges, struct buf *out);

#endif
