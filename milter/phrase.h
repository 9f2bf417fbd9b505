/*
 * phrase - a display name in a form that may stand before `<a@b>`.
 *
 * Pure. RFC 5322, section 3.2.5; RFC 2047, section 5 (3); RFC 6532. What is
 * appended to is the value of From: from its beginning.
 */
#ifndef MILTER_PHRASE_H
#define MILTER_PHRASE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

/*
 * Append a blank and the name (clean UTF-8, see readable.h) as atoms, quoted or
 * encoded, cut between two characters before `out` has more than `max` bytes.
 * A name that must be encoded and has a comma behind an @ is quoted in parts,
 * as encoded it would look like an address and a list.
 */
void phrase_append(struct buf *out, const char *name, size_t len, size_t max,
                   bool is_smtputf8);

/* Append an encoded word after a blank or a fold, if there is room for it. */
void phrase_append_word(struct buf *out, const char *word, size_t len,
                        size_t max);

/* Where the line stands after `text`, which began at `column`. */
size_t phrase_column_after(const char *text, size_t len, size_t column);

#endif
