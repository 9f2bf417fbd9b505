/*
 * exposition - metrics as Prometheus reads them.
 *
 * The format: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#include "common/exposition.h"

#include <stddef.h>
#include <stdio.h>

#include "common/util.h"

#define NAME_MAX_LEN 128 /* bytes of a name with its suffix */

void
exposition_head(struct buf *out, const char *name, enum exposition_type type,
                const char *help)
{
    static const char *const types[] = {
        [EXPOSITION_COUNTER] = "counter",
        [EXPOSITION_GAUGE] = "gauge",
        [EXPOSITION_HISTOGRAM] = "histogram",
    };

    buf_append_str(out, "# HELP ");
    buf_append_str(out, name);
    buf_append_char(out, ' ');
    buf_append_str(out, help);
    buf_append_str(out, "\n# TYPE ");
    buf_append_str(out, name);
    buf_append_char(out, ' ');
    buf_append_str(out, types[type]);
    buf_append_char(out, '\n');
}

static void
append_label_value(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            buf_append_str(out, "\\n");
            continue;
        }
        if (*text == '\\' || *text == '"')
            buf_append_char(out, '\\');
        buf_append_char(out, *text);
    }
}

/* Everything of a sample's line but its value and its end. */
static void
begin_sample(struct buf *out, const char *name, struct exposition_label a,
             struct exposition_label b)
{
    const struct exposition_label labels[] = {a, b};
    char open = '{';

    buf_append_str(out, name);
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        if (labels[i].name == NULL)
            continue;
        buf_append_char(out, open);
        open = ',';
        buf_append_str(out, labels[i].name);
        buf_append_str(out, "=\"");
        append_label_value(out, labels[i].value);
        buf_append_char(out, '"');
    }
    buf_append_str(out, open == ',' ? "} " : " ");
}

void
exposition_sample(struct buf *out, const char *name, struct exposition_label a,
                  struct exposition_label b, int64_t value)
{
    begin_sample(out, name, a, b);
    buf_append_int(out, value);
    buf_append_char(out, '\n');
}

void
exposition_seconds(struct buf *out, const char *name, struct exposition_label a,
                   struct exposition_label b, uint64_t value_us)
{
    char fraction[16];

    begin_sample(out, name, a, b);
    buf_append_int(out, (int64_t)(value_us / 1000000));
    (void)snprintf(fraction, sizeof(fraction), ".%06u\n",
                   (unsigned)(value_us % 1000000));
    buf_append_str(out, fraction);
}

void
exposition_single(struct buf *out, const char *name, enum exposition_type type,
                  const char *help, int64_t value)
{
    exposition_head(out, name, type, help);
    exposition_sample(out, name, EXPOSITION_BY_NOTHING, EXPOSITION_BY_NOTHING,
                      value);
}

void
exposition_histogram(struct buf *out, const char *name,
                     struct exposition_label label,
                     const struct histogram *histogram)
{
    char full[NAME_MAX_LEN];
    uint64_t count = 0;

    (void)snprintf(full, sizeof(full), "%s_bucket", name);
    for (size_t i = 0; i <= histogram->limit_count; i++) {
        const char *limit =
            i < histogram->limit_count ? histogram->limits[i].text : "+Inf";

        count += histogram->counts[i];
        exposition_sample(out, full, label, exposition_by("le", limit),
                          (int64_t)count);
    }
    (void)snprintf(full, sizeof(full), "%s_sum", name);
    exposition_seconds(out, full, label, EXPOSITION_BY_NOTHING,
                       histogram->sum_us);
    (void)snprintf(full, sizeof(full), "%s_count", name);
    exposition_sample(out, full, label, EXPOSITION_BY_NOTHING, (int64_t)count);
}
