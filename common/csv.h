/*
 * csv - comma-separated values (RFC 4180), one record after the other.
 *
 * Pure, over a text in memory that textfile has made plain. What RFC 4180 says
 * is taken, and what it does not allow is an error with its line: a quote in
 * the middle of a field, a quote that is never closed, text after one that is.
 * So no row is ever read half. Another delimiter than the comma may be used, as
 * spreadsheets do where the comma is the decimal point. Empty lines are passed
 * over.
 */
#ifndef COMMON_CSV_H
#define COMMON_CSV_H

#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"

#define CSV_FIELDS_MAX 512               /* in a record */
#define CSV_RECORD_MAX ((size_t)1 << 20) /* bytes of all its fields */

struct csv {
    const char *name; /* of the file, for errors; borrowed */
    const char *text; /* borrowed */
    size_t len;
    size_t at;        /* what has been read, in bytes */
    unsigned at_line; /* the line there */
    char delimiter;
    struct buf record; /* the fields, a NUL after each */
    size_t starts[CSV_FIELDS_MAX];
    size_t count;
    unsigned line; /* on which the record begins */
};

enum csv_result {
    CSV_RECORD,
    CSV_END,
    CSV_BAD, /* *err is set */
};

/*
 * Begin at the start of `text`, which is borrowed for as long, as is `name`;
 * `line` is the number of its first line. To be given back with csv_clear().
 */
void csv_init(struct csv *csv, const char *name, const char *text, size_t len,
              unsigned line, char delimiter);
void csv_clear(struct csv *csv);

/*
 * Read the next record. Errors: ERR_CONFIG with `NAME:LINE: ` and what is
 * wrong, ERR_SYSTEM when out of memory; nothing more can be read then.
 */
enum csv_result csv_next(struct csv *csv, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Field `i` of the record, without its quotes; i < csv->count. Borrowed: until
 * the next record.
 */
const char *csv_field(const struct csv *csv, size_t i);

#endif
