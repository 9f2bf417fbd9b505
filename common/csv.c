/*
 * csv - comma-separated values (RFC 4180), one record after the other.
 *
 *     file   = record *(LF record) [LF]
 *     record = field *(delimiter field)
 *     field  = DQUOTE *(any but DQUOTE | 2DQUOTE) DQUOTE
 *            | *(any but DQUOTE, delimiter and LF)
 */
#include "common/csv.h"

#include <stdbool.h>
#include <string.h>

void
csv_init(struct csv *csv, const char *name, const char *text, size_t len,
         unsigned line, char delimiter)
{
    *csv = (struct csv){.name = name,
                        .text = text,
                        .len = len,
                        .at_line = line,
                        .delimiter = delimiter};
    buf_init(&csv->record, CSV_RECORD_MAX);
}

void
csv_clear(struct csv *csv)
{
    buf_clear(&csv->record);
    *csv = (struct csv){0};
}

static enum csv_result
fail(const struct csv *csv, unsigned line, const char *text, struct err *err)
{
    (void)err_set(err, ERR_CONFIG, "%s:%u: %s", csv->name, line, text);
    return CSV_BAD;
}

static bool
is_at_end(const struct csv *csv)
{
    return csv->at == csv->len;
}

static unsigned
count_lines(const char *text, size_t len)
{
    const char *end = text + len;
    unsigned count = 0;

    for (const char *p = memchr(text, '\n', len); p != NULL;
         p = memchr(p + 1, '\n', (size_t)(end - p - 1)))
        count++;
    return count;
}

/* Behind the opening quote; what follows the closing one is not looked at. */
static enum csv_result
read_quoted(struct csv *csv, struct err *err)
{
    unsigned opened_at = csv->at_line;

    csv->at++;
    for (;;) {
        const char *from = csv->text + csv->at;
        size_t left = csv->len - csv->at;
        const char *quote = memchr(from, '"', left);
        size_t len;

        if (quote == NULL)
            return fail(csv, opened_at,
                        "a quote is opened here and never closed", err);
        len = (size_t)(quote - from);
        csv->at_line += count_lines(from, len);
        csv->at += len + 1;
        buf_append(&csv->record, from, len);
        if (is_at_end(csv) || csv->text[csv->at] != '"')
            return CSV_RECORD;
        buf_append_char(&csv->record, '"');
        csv->at++;
    }
}

static enum csv_result
read_bare(struct csv *csv, struct err *err)
{
    size_t start = csv->at;

    while (!is_at_end(csv) && csv->text[csv->at] != csv->delimiter &&
           csv->text[csv->at] != '\n') {
        if (csv->text[csv->at] == '"')
            return fail(csv, csv->at_line,
                        "a quote stands in the middle of a field; enclose the "
                        "field in quotes and double those in it",
                        err);
        csv->at++;
    }
    buf_append(&csv->record, csv->text + start, csv->at - start);
    return CSV_RECORD;
}

/* One field and what ends it; *is_last when that is not a delimiter. */
static enum csv_result
read_field(struct csv *csv, bool *is_last, struct err *err)
{
    bool is_quoted = !is_at_end(csv) && csv->text[csv->at] == '"';
    char end = '\n';

    if (csv->count == CSV_FIELDS_MAX)
        return fail(csv, csv->line, "a line has too many fields", err);
    csv->starts[csv->count++] = csv->record.len;
    if ((is_quoted ? read_quoted(csv, err) : read_bare(csv, err)) == CSV_BAD)
        return CSV_BAD;
    buf_append_char(&csv->record, '\0');
    if (!is_at_end(csv))
        end = csv->text[csv->at];
    *is_last = end != csv->delimiter;
    if (end != csv->delimiter && end != '\n')
        return fail(csv, csv->at_line,
                    "text follows a closing quote; double the quotes in a "
                    "field",
                    err);
    if (!is_at_end(csv))
        csv->at++;
    csv->at_line += end == '\n';
    return CSV_RECORD;
}

enum csv_result
csv_next(struct csv *csv, struct err *err)
{
    bool is_last = false;
    size_t start;

    buf_reset(&csv->record);
    csv->count = 0;
    while (!is_at_end(csv) && csv->text[csv->at] == '\n') {
        csv->at++;
        csv->at_line++;
    }
    csv->line = csv->at_line;
    start = csv->at;
    if (is_at_end(csv))
        return CSV_END;
    while (!is_last)
        if (read_field(csv, &is_last, err) == CSV_BAD)
            return CSV_BAD;
    if (!buf_failed(&csv->record))
        return CSV_RECORD;
    /* Its fields, a NUL after each, take no more than one byte above that. */
    if (csv->at - start >= CSV_RECORD_MAX)
        return fail(csv, csv->line, "a line is too long", err);
    (void)err_set(err, ERR_SYSTEM, "out of memory");
    return CSV_BAD;
}

const char *
csv_field(const struct csv *csv, size_t i)
{
    return csv->record.data + csv->starts[i];
}
