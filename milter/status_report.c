/*
 * status_report - what the milter did, as a page for a person and for programs.
 */
#include <config.h>

#include "milter/status_report.h"

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include <jansson.h>

#include "common/html.h"

#define TIME_MAX 40 /* bytes of a point in time */

/* ---- HTML ---------------------------------------------------------------- */

static void
format_time(int64_t wall, char out[TIME_MAX])
{
    time_t seconds = (time_t)wall;
    struct tm parts;

    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(out, TIME_MAX, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
        out[0] = '\0';
}

static void
number_cell(uint64_t value, struct buf *out)
{
    buf_append_str(out, "<td class=\"number\">");
    buf_append_int(out, (int64_t)value);
    buf_append_str(out, "</td>");
}

static void
row(const char *name, uint64_t value, struct buf *out)
{
    buf_append_str(out, "<tr>");
    html_cell(name, out);
    number_cell(value, out);
    buf_append_str(out, "</tr>\n");
}

static void
time_row(const char *name, int64_t wall, struct buf *out)
{
    char text[TIME_MAX];

    format_time(wall, text);
    buf_append_str(out, "<tr>");
    html_cell(name, out);
    html_cell(text, out);
    buf_append_str(out, "</tr>\n");
}

/* A table with a row for each name and a column for each outcome. */
static void
tally_table(const char *heading, const struct tally *tally, struct buf *out)
{
    const struct tally_name *names[TALLY_NAMES_MAX + 1];
    size_t count = tally_list(tally, names);

    if (count == 0)
        return;
    buf_append_str(out, "<table>\n<tr><th>");
    html_escape(heading, out);
    buf_append_str(out, "</th>");
    for (int k = 0; k < METRICS_OUTCOMES; k++) {
        buf_append_str(out, "<th class=\"number\">");
        html_escape(metrics_outcome_name((enum metrics_outcome)k), out);
        buf_append_str(out, "</th>");
    }
    buf_append_str(out, "</tr>\n");
    for (size_t i = 0; i < count; i++) {
        buf_append_str(out, "<tr>");
        html_cell(names[i]->text, out);
        for (int k = 0; k < METRICS_OUTCOMES; k++)
            number_cell(atomic_load(&names[i]->counts[k]), out);
        buf_append_str(out, "</tr>\n");
    }
    buf_append_str(out, "</table>\n");
}

void
status_report_html(const struct metrics *metrics,
                   const struct metrics_gauges *gauges, int64_t wall,
                   struct buf *out)
{
    char now[TIME_MAX];

    html_begin("sendas-milter", out);
    if (metrics_has_reload_failed(metrics))
        buf_append_str(out,
                       "<p class=\"bad\">The configuration could not be "
                       "read again: the old one is in force. sendas-milter "
                       "-t says what to mend.</p>\n");
    buf_append_str(out, "<table>\n");
    time_row("running since", gauges->started_wall, out);
    row("connections of mail servers", gauges->sessions, out);
    row("messages under way", gauges->messages, out);
    row("entries of the policy", gauges->entries, out);
    row("reloads", metrics_reloads(metrics, true), out);
    row("reloads that failed", metrics_reloads(metrics, false), out);
    buf_append_str(out, "</table>\n<table>\n<tr><th>messages</th>"
                        "<th class=\"number\"></th></tr>\n");
    for (int k = 0; k < METRICS_OUTCOMES; k++)
        row(metrics_outcome_name((enum metrics_outcome)k),
            metrics_count(metrics, (enum metrics_outcome)k), out);
    buf_append_str(out, "</table>\n");
    tally_table("mailbox", metrics_mailboxes(metrics), out);
    tally_table("rule", metrics_rules(metrics), out);
    format_time(wall, now);
    html_end(now, out);
}

/* ---- JSON ---------------------------------------------------------------- */

/* jansson remembers nothing: what could not be added is noticed here. */
static bool
set(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

static bool
set_count(json_t *object, const char *name, uint64_t value)
{
    return set(object, name, json_integer((json_int_t)value));
}

static bool
set_outcomes(json_t *object, const struct metrics *metrics)
{
    bool is_done = object != NULL;

    for (int k = 0; is_done && k < METRICS_OUTCOMES; k++)
        is_done =
            set_count(object, metrics_outcome_name((enum metrics_outcome)k),
                      metrics_count(metrics, (enum metrics_outcome)k));
    return is_done;
}

static json_t *
tally_entry(const struct tally_name *name)
{
    json_t *object = json_object();
    bool is_done =
        object != NULL && set(object, "name", json_string(name->text));

    for (int k = 0; is_done && k < METRICS_OUTCOMES; k++) {
        uint64_t value = atomic_load(&name->counts[k]);

        if (value > 0)
            is_done = set_count(
                object, metrics_outcome_name((enum metrics_outcome)k), value);
    }
    if (is_done)
        return object;
    json_decref(object);
    return NULL;
}

static bool
set_tally(json_t *list, const struct tally *tally)
{
    const struct tally_name *names[TALLY_NAMES_MAX + 1];
    size_t count = tally_list(tally, names);

    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, tally_entry(names[i])) < 0)
            return false;
    return true;
}

/* `value` goes to *out as well: filled in when it is part of the whole. */
static bool
set_part(json_t *object, const char *name, json_t *value, json_t **out)
{
    *out = value;
    return set(object, name, value);
}

static bool
fill(json_t *root, const struct metrics *metrics,
     const struct metrics_gauges *gauges)
{
    json_t *part;

    return set(root, "version", json_string(PACKAGE_VERSION)) &&
           set_count(root, "started", (uint64_t)gauges->started_wall) &&
           set_count(root, "sessions", gauges->sessions) &&
           set_count(root, "in_progress", gauges->messages) &&
           set_part(root, "policy", json_object(), &part) &&
           set_count(part, "entries", gauges->entries) &&
           set_count(part, "bytes", gauges->memory) &&
           set_count(part, "reloads", metrics_reloads(metrics, true)) &&
           set_count(part, "reloads_failed", metrics_reloads(metrics, false)) &&
           set(part, "is_newest",
               json_boolean(!metrics_has_reload_failed(metrics))) &&
           set_part(root, "messages", json_object(), &part) &&
           set_outcomes(part, metrics) &&
           set_part(root, "mailboxes", json_array(), &part) &&
           set_tally(part, metrics_mailboxes(metrics)) &&
           set_part(root, "rules", json_array(), &part) &&
           set_tally(part, metrics_rules(metrics));
}

void
status_report_json(const struct metrics *metrics,
                   const struct metrics_gauges *gauges, struct buf *out)
{
    json_t *root = json_object();
    char *text = NULL;

    if (root != NULL && fill(root, metrics, gauges))
        text = json_dumps(root, JSON_COMPACT);
    if (text == NULL)
        out->failed = true;
    else
        buf_append_str(out, text);
    buf_append_char(out, '\n');
    free(text);
    json_decref(root);
}
