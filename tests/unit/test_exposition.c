/*
 * How metrics read, and into which bucket what falls. A row is a call, and
 * exactly what it appends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/exposition.h"
#include "common/histogram.h"
#include "common/util.h"

#define BUF_MAX 4096
#define NOTHING EXPOSITION_BY_NOTHING

static const struct histogram_limit limits[] = {
    {1000, "0.001"}, {50000, "0.05"}, {2000000, "2"}};

static void
a_head(struct buf *out)
{
    exposition_head(out, "a_total", EXPOSITION_COUNTER, "What it is.");
    exposition_head(out, "b", EXPOSITION_GAUGE, "And that.");
    exposition_head(out, "c_seconds", EXPOSITION_HISTOGRAM, "And those.");
}

static void
no_label(struct buf *out)
{
    exposition_sample(out, "a", NOTHING, NOTHING, -5);
}

static void
one_label(struct buf *out)
{
    exposition_sample(out, "a", exposition_by("b", "c"), NOTHING, 1);
    exposition_sample(out, "a", NOTHING, exposition_by("b", "d"), 2);
}

static void
two_labels(struct buf *out)
{
    exposition_sample(out, "a", exposition_by("b", "c"), exposition_by("d", ""),
                      INT64_MAX);
}

static void
an_odd_value(struct buf *out)
{
    exposition_sample(out, "a", exposition_by("b", "\\ \" \n {},="), NOTHING,
                      0);
}

static void
a_single(struct buf *out)
{
    exposition_single(out, "a", EXPOSITION_GAUGE, "One.", 7);
}

static void
some_seconds(struct buf *out)
{
    exposition_seconds(out, "a", NOTHING, NOTHING, 0);
    exposition_seconds(out, "a", NOTHING, NOTHING, 12);
    exposition_seconds(out, "a", NOTHING, NOTHING, 3000001);
}

static void
an_empty_histogram(struct buf *out)
{
    struct histogram histogram;

    histogram_init(&histogram, limits, 1);
    exposition_histogram(out, "h", NOTHING, &histogram);
}

static void
a_histogram(struct buf *out)
{
    static const int64_t times[] = {-1,    0,       1000,    1001,
                                    50000, 1999999, 2000000, 2000001};
    struct histogram histogram;

    histogram_init(&histogram, limits, ARRAY_LEN(limits));
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        histogram_add(&histogram, times[i]);
    exposition_histogram(out, "h", exposition_by("l", "x"), &histogram);
}

static struct row {
    const char *name;
    void (*append)(struct buf *out);
    const char *want;
} rows[] = {
    {"heads of each type", a_head,
     "# HELP a_total What it is.\n# TYPE a_total counter\n"
     "# HELP b And that.\n# TYPE b gauge\n"
     "# HELP c_seconds And those.\n# TYPE c_seconds histogram\n"},
    {"no label", no_label, "a -5\n"},
    {"one label, the first or the second", one_label,
     "a{b=\"c\"} 1\na{b=\"d\"} 2\n"},
    {"two labels", two_labels, "a{b=\"c\",d=\"\"} 9223372036854775807\n"},
    {"a value that must be escaped", an_odd_value,
     "a{b=\"\\\\ \\\" \\n {},=\"} 0\n"},
    {"a metric with one sample", a_single,
     "# HELP a One.\n# TYPE a gauge\na 7\n"},
    {"seconds", some_seconds, "a 0.000000\na 0.000012\na 3.000001\n"},
    {"a histogram in which nothing is", an_empty_histogram,
     "h_bucket{le=\"0.001\"} 0\nh_bucket{le=\"+Inf\"} 0\n"
     "h_sum 0.000000\nh_count 0\n"},
    {"buckets hold their upper end and add up", a_histogram,
     "h_bucket{l=\"x\",le=\"0.001\"} 3\nh_bucket{l=\"x\",le=\"0.05\"} 5\n"
     "h_bucket{l=\"x\",le=\"2\"} 7\nh_bucket{l=\"x\",le=\"+Inf\"} 8\n"
     "h_sum{l=\"x\"} 6.052001\nh_count{l=\"x\"} 8\n"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct buf text;

    buf_init(&text, BUF_MAX);
    row->append(&text);
    assert_false(buf_failed(&text));
    assert_string_equal(buf_str(&text), row->want);
    buf_clear(&text);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    return cmocka_run_group_tests_name("exposition", tests, NULL, NULL);
}
