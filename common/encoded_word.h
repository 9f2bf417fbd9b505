/*
 * encoded_word - `=?charset?encoding?text?=` of RFC 2047.
 *
 * Pure. Finds encoded words wherever they stand, as many readers do, also
 * where the standard does not allow them (in quoted strings and comments).
 * Some readers see even more of them, with blanks and quotes within: only where
 * encoded_word_all_valid() does everybody see the same.
 */
#ifndef COMMON_ENCODED_WORD_H
#define COMMON_ENCODED_WORD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

#define ENCODED_WORD_MAX 75 /* bytes; RFC 2047, section 2 */

/* One encoded word; the pointers are borrowed from the text. */
struct encoded_word {
    size_t at;  /* where it begins in the text */
    size_t len; /* from `=?` to `?=`, both included */
    const char *charset;
    size_t charset_len; /* without a language (RFC 2231, section 5) */
    bool is_base64;     /* else quoted printable, the "Q" encoding */
    const char *encoded;
    size_t encoded_len;
};

/* Find the first one at or after `from`. False when there is none. */
bool encoded_word_find(const char *text, size_t len, size_t from,
                       struct encoded_word *out);

/*
 * Is every `=?` in it, also `=\?` as a quoted string may have it, part of an
 * encoded word by the letter of the standard, with blanks or the ends of the
 * text around it? That is one of at most ENCODED_WORD_MAX bytes with some text,
 * which holds only what may be in a phrase and is whole in its encoding. (Dots
 * may be in it as well, as all readers take them.)
 */
bool encoded_word_all_valid(const char *text, size_t len);

/* Takes one decoded byte. */
typedef void encoded_word_sink(char byte, void *arg);

/* Give the bytes that it stands for, in its charset, to `sink`. */
void encoded_word_decode(const struct encoded_word *word,
                         encoded_word_sink *sink, void *arg);

/*
 * Append them as UTF-8. False, with nothing appended, when the charset is not
 * known (charset.h), or the bytes are not valid in it.
 */
bool encoded_word_decode_utf8(const struct encoded_word *word, struct buf *out);

/*
 * Append as UTF-8 what `word`, found in this text, stands for, and all after it
 * of the same charset with nothing but blanks between, as many writers cut
 * within a character. *end is where the last one ends. False when they can't be
 * decoded together; each that can't be by itself is left out then.
 */
bool encoded_word_decode_run(const char *text, size_t len,
                             const struct encoded_word *word, struct buf *out,
                             size_t *end);

/*
 * Append `text` (valid UTF-8) as encoded words which may stand in a phrase,
 * each of at most ENCODED_WORD_MAX bytes and whole characters, and each after
 * a blank or a fold (LF and a blank). `column` is where the line stands; lines
 * have at most 78 bytes. Stops when `out` would grow beyond `max` bytes and
 * gives the number of bytes of `text` that were taken.
 */
size_t encoded_word_append(struct buf *out, const char *text, size_t len,
                           size_t *column, size_t max);

#endif
