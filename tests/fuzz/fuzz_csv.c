/*
 * Any text as CSV: written again with every field in quotes it reads the same.
 * The first byte chooses the delimiter.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/csv.h"

#define TEXT_MAX ((size_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int is_fine)
{
    if (!is_fine)
        abort();
}

static void
append_quoted(struct buf *out, const char *field)
{
    buf_append_char(out, '"');
    for (; *field != '\0'; field++) {
        if (*field == '"')
            buf_append_char(out, '"');
        buf_append_char(out, *field);
    }
    buf_append_char(out, '"');
}

/* All records, written by the book; how it ended. */
static enum csv_result
write_again(const char *text, size_t len, char delimiter, struct buf *out)
{
    struct err err = {ERR_NONE, ""};
    enum csv_result result;
    unsigned line = 0;
    struct csv csv;

    csv_init(&csv, "FILE", text, len, 1, delimiter);
    while ((result = csv_next(&csv, &err)) == CSV_RECORD) {
        check(csv.count > 0 && csv.count <= CSV_FIELDS_MAX);
        check(csv.line > line);
        line = csv.line;
        for (size_t i = 0; i < csv.count; i++) {
            if (i > 0)
                buf_append_char(out, delimiter);
            append_quoted(out, csv_field(&csv, i));
        }
        buf_append_char(out, '\n');
    }
    check((result == CSV_BAD) == (err.code != ERR_NONE));
    check(result != CSV_BAD || strncmp(err.text, "FILE:", 5) == 0);
    csv_clear(&csv);
    return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char delimiters[] = {',', ';', '\t'};
    struct buf first;
    struct buf second;
    char delimiter;

    if (size == 0 || memchr(data, '\0', size) != NULL)
        return 0;
    delimiter = delimiters[data[0] % sizeof(delimiters)];
    buf_init(&first, TEXT_MAX);
    buf_init(&second, TEXT_MAX);
    (void)write_again((const char *)data + 1, size - 1, delimiter, &first);
    check(write_again(buf_str(&first), first.len, delimiter, &second) ==
          CSV_END);
    check(!buf_failed(&first) &&
          strcmp(buf_str(&first), buf_str(&second)) == 0);
    buf_clear(&first);
    buf_clear(&second);
    return 0;
}
