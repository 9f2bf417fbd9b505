/*
 * metrics - what is counted, and how Prometheus reads it.
 */
#include "milter/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/exposition.h"
#include "common/histogram.h"
#include "common/util.h"

_Static_assert(METRICS_OUTCOMES <= TALLY_KINDS, "each outcome is counted");

/* A message takes some ten microseconds; what waits for the disk or for the
 * processor takes milliseconds. */
static const struct histogram_limit limits[] = {
    {10, "0.00001"},  {25, "0.000025"}, {50, "0.00005"},  {100, "0.0001"},
    {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},  {2500, "0.0025"},
    {5000, "0.005"},  {10000, "0.01"},  {50000, "0.05"},  {100000, "0.1"},
    {500000, "0.5"},  {1000000, "1"},   {10000000, "10"},
};

struct metrics {
    atomic_uint_fast64_t messages[METRICS_OUTCOMES];
    atomic_uint_fast64_t times[ARRAY_LEN(limits) + 1]; /* as in a histogram */
    atomic_uint_fast64_t time_us;
    atomic_uint_fast64_t reloads[2]; /* failed, done */
    atomic_bool has_reload_failed;
    struct tally *mailboxes;
    struct tally *rules;
};

/* One more, for nobody to wait. */
static void
count(atomic_uint_fast64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

const char *
metrics_outcome_name(enum metrics_outcome outcome)
{
    switch (outcome) {
    case METRICS_EXEMPT:
        return "exempt";
    case METRICS_KEPT:
        return "kept";
    case METRICS_REWRITTEN:
        return "rewritten";
    case METRICS_REJECTED:
        return "rejected";
    case METRICS_DISCARDED:
        return "discarded";
    case METRICS_AUDITED:
        return "audited";
    case METRICS_LOOPING:
        return "looping";
    case METRICS_OVERFULL:
        return "overfull";
    case METRICS_HELD:
        return "held";
    case METRICS_DEFERRED:
        return "deferred";
    case METRICS_UNDECIDED:
        return "undecided";
    }
    return "";
}

/* ---- Life ---------------------------------------------------------------- */

struct metrics *
metrics_new(void)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));

    if (metrics == NULL)
        return NULL;
    metrics->mailboxes = tally_new();
    metrics->rules = tally_new();
    if (metrics->mailboxes == NULL || metrics->rules == NULL)
        metrics_free(&metrics);
    return metrics;
}

void
metrics_free(struct metrics **metrics)
{
    if (*metrics == NULL)
        return;
    tally_free(&(*metrics)->mailboxes);
    tally_free(&(*metrics)->rules);
    free(*metrics);
    *metrics = NULL;
}

/* ---- What happens -------------------------------------------------------- */

static enum metrics_outcome
outcome_of(const struct rewrite_plan *plan, bool is_audit)
{
    switch (plan->ruling.action) {
    case RULING_EXEMPT:
        return METRICS_EXEMPT;
    case RULING_KEPT:
        return is_audit && plan->edit_count > 0 ? METRICS_AUDITED
                                                : METRICS_KEPT;
    case RULING_REWRITTEN:
        return is_audit ? METRICS_AUDITED : METRICS_REWRITTEN;
    case RULING_REJECTED:
        return is_audit ? METRICS_AUDITED : METRICS_REJECTED;
    case RULING_DISCARDED:
        return is_audit ? METRICS_AUDITED : METRICS_DISCARDED;
    case RULING_LOOPING:
        return is_audit ? METRICS_AUDITED : METRICS_LOOPING;
    case RULING_OVERFULL:
        return is_audit ? METRICS_AUDITED : METRICS_OVERFULL;
    case RULING_HELD:
        return is_audit ? METRICS_AUDITED : METRICS_HELD;
    }
    return METRICS_UNDECIDED;
}

void
metrics_message(struct metrics *metrics, const struct metrics_message *message)
{
    const char *login = message->plan->ruling.decision.login;
    enum metrics_outcome outcome = outcome_of(message->plan, message->is_audit);
    struct sendas_match match;

    count(&metrics->messages[outcome], 1);
    /* Of a mailbox for a whole domain that one, not each of its senders. */
    if (login != NULL && sendas_find_login(message->policy, login, &match))
        tally_count(metrics->mailboxes, match.mailbox->title, outcome);
    if (*message->rule != '\0')
        tally_count(metrics->rules, message->rule, outcome);
}

void
metrics_failed(struct metrics *metrics, bool is_deferred)
{
    count(
        &metrics->messages[is_deferred ? METRICS_DEFERRED : METRICS_UNDECIDED],
        1);
}

void
metrics_took(struct metrics *metrics, int64_t us)
{
    size_t i = 0;

    if (us < 0)
        us = 0;
    while (i < ARRAY_LEN(limits) && us > limits[i].us)
        i++;
    count(&metrics->times[i], 1);
    count(&metrics->time_us, (uint64_t)us);
}

void
metrics_reload(struct metrics *metrics, bool is_done)
{
    count(&metrics->reloads[is_done], 1);
    atomic_store(&metrics->has_reload_failed, !is_done);
}

/* ---- What is ------------------------------------------------------------- */

uint64_t
metrics_count(const struct metrics *metrics, enum metrics_outcome outcome)
{
    return atomic_load(&metrics->messages[outcome]);
}

uint64_t
metrics_reloads(const struct metrics *metrics, bool is_done)
{
    return atomic_load(&metrics->reloads[is_done]);
}

bool
metrics_has_reload_failed(const struct metrics *metrics)
{
    return atomic_load(&metrics->has_reload_failed);
}

const struct tally *
metrics_mailboxes(const struct metrics *metrics)
{
    return metrics->mailboxes;
}

const struct tally *
metrics_rules(const struct metrics *metrics)
{
    return metrics->rules;
}

/* ---- The text ------------------------------------------------------------ */

static void
render_messages(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "sendas_messages_total";

    exposition_head(out, name, EXPOSITION_COUNTER,
                    "Messages by what became of them.");
    for (int i = 0; i < METRICS_OUTCOMES; i++)
        exposition_sample(
            out, name,
            exposition_by("outcome",
                          metrics_outcome_name((enum metrics_outcome)i)),
            EXPOSITION_BY_NOTHING,
            (int64_t)metrics_count(metrics, (enum metrics_outcome)i));
}

static void
render_tally(const struct tally *tally, const char *name, const char *label,
             const char *help, struct buf *out)
{
    const struct tally_name *names[TALLY_NAMES_MAX + 1];
    size_t name_count = tally_list(tally, names);

    exposition_head(out, name, EXPOSITION_COUNTER, help);
    for (size_t i = 0; i < name_count; i++) {
        for (int k = 0; k < METRICS_OUTCOMES; k++) {
            uint64_t value = atomic_load(&names[i]->counts[k]);

            if (value > 0)
                exposition_sample(
                    out, name, exposition_by(label, names[i]->text),
                    exposition_by("outcome", metrics_outcome_name(
                                                 (enum metrics_outcome)k)),
                    (int64_t)value);
        }
    }
}

static void
render_times(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "sendas_message_seconds";
    struct histogram histogram;

    histogram_init(&histogram, limits, ARRAY_LEN(limits));
    for (size_t i = 0; i < ARRAY_LEN(metrics->times); i++)
        histogram.counts[i] = atomic_load(&metrics->times[i]);
    histogram.sum_us = atomic_load(&metrics->time_us);
    exposition_head(out, name, EXPOSITION_HISTOGRAM,
                    "Time from the end of a message to its answer, which is "
                    "what the mail server waits for.");
    exposition_histogram(out, name, EXPOSITION_BY_NOTHING, &histogram);
}

static void
render_reloads(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "sendas_config_reloads_total";

    exposition_head(out, name, EXPOSITION_COUNTER,
                    "Times that the configuration was read again, by outcome.");
    exposition_sample(out, name, exposition_by("outcome", "failed"),
                      EXPOSITION_BY_NOTHING,
                      (int64_t)metrics_reloads(metrics, false));
    exposition_sample(out, name, exposition_by("outcome", "done"),
                      EXPOSITION_BY_NOTHING,
                      (int64_t)metrics_reloads(metrics, true));
    exposition_single(
        out, "sendas_config_last_reload_successful", EXPOSITION_GAUGE,
        "Whether the configuration in force is the one in the file, as far as "
        "the milter was told to read it.",
        !metrics_has_reload_failed(metrics));
}

void
metrics_render(const struct metrics *metrics,
               const struct metrics_gauges *gauges, struct buf *out)
{
    render_messages(metrics, out);
    render_tally(metrics->mailboxes, "sendas_mailbox_messages_total", "mailbox",
                 "Messages by the mailbox that sends them and what became of "
                 "them.",
                 out);
    render_tally(metrics->rules, "sendas_rule_messages_total", "rule",
                 "Messages by the rule that decided and what became of them.",
                 out);
    render_times(metrics, out);
    exposition_single(out, "sendas_sessions", EXPOSITION_GAUGE,
                      "Open connections of mail servers.",
                      (int64_t)gauges->sessions);
    exposition_single(out, "sendas_messages_in_progress", EXPOSITION_GAUGE,
                      "Messages that have begun and not ended.",
                      (int64_t)gauges->messages);
    exposition_single(out, "sendas_policy_entries", EXPOSITION_GAUGE,
                      "Addresses and domains that the policy knows.",
                      (int64_t)gauges->entries);
    exposition_single(out, "sendas_policy_bytes", EXPOSITION_GAUGE,
                      "Memory that they take.", (int64_t)gauges->memory);
    render_reloads(metrics, out);
    exposition_single(out, "process_start_time_seconds", EXPOSITION_GAUGE,
                      "When the process started, in seconds since 1970.",
                      gauges->started_wall);
}
