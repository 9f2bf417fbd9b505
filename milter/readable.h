/*
 * readable - what a person sees of the text of a field, as clean UTF-8.
 *
 * Pure. Clean: no control characters, nothing that turns the direction of what
 * follows, no two blanks in a row, none at the ends.
 */
#ifndef MILTER_READABLE_H
#define MILTER_READABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/from_field.h"

/* Text of FROM_FIELD_MAX bytes has at most so many: decoding may make three
 * bytes of one. */
#define READABLE_MAX ((size_t)3 * FROM_FIELD_MAX)

/* So many bytes of a name are decoded; a field of 998 bytes never shows more.
 */
#define READABLE_NAME_MAX 4096

/* The bytes of a name that are decoded; not half a word where that can be. */
size_t readable_name_len(const char *text, size_t len);

/* Append text that is UTF-8 or else taken for ISO 8859-1. */
void readable_append(struct buf *out, const char *text, size_t len);

/*
 * Append text of either kind as a name: with an @ in it, nothing that some take
 * for the end of the name may be there, so < > " and \ become blanks.
 */
void readable_append_name(struct buf *out, const char *text, size_t len);

/*
 * Append what a display name stands for: out of its quotes, its encoded words
 * decoded. What can't be decoded is left out; false when there is such a thing.
 */
bool readable_decode_name(struct buf *out, const char *text, size_t len)
    __attribute__((warn_unused_result));

/* Append what quoted strings stand for: quotes and backslashes go. */
void readable_append_unquoted(struct buf *out, const char *text, size_t len);

#endif
