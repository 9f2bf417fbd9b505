/*
 * early_reading - what one sees who decodes a field before he parses it.
 *
 * A field is parsed first and its encoded words are decoded then (RFC 2047,
 * section 6.2). Some readers do it the other way round, and so find addresses
 * in names. Pure.
 */
#ifndef COMMON_EARLY_READING_H
#define COMMON_EARLY_READING_H

#include <stdbool.h>
#include <stddef.h>

/* What is in the quoted strings and comments of the field. */
struct early_reading_around {
    bool has_at;   /* an @ */
    bool has_mark; /* one of < > and \ */
};

/*
 * Do the encoded words in the text, all together and with what is around, stand
 * for control bytes or for something that such a reader could take for an
 * address? That is an @ together with one of < > " and \ or with a comma or
 * semicolon behind it. What nobody can judge counts as such: a charset that is
 * not known, one whose bytes say nothing, and ISO-2022-JP that is not valid.
 */
bool early_reading_finds_address(const char *text, size_t len,
                                 struct early_reading_around around);

#endif
