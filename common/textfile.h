/*
 * textfile - a text file that a person wrote, read whole and made plain.
 *
 * What editors and other systems add is taken off (a byte order mark, carriage
 * returns at line ends) and what no text has is refused (NUL and other control
 * bytes, broken UTF-8), so that parsers see lines of UTF-8 and nothing else.
 */
#ifndef COMMON_TEXTFILE_H
#define COMMON_TEXTFILE_H

#include <stddef.h>

#include "common/err.h"

struct textfile {
    char *text; /* owned, NUL-terminated; holds no other NUL when it is plain */
    size_t len; /* bytes, without the NUL */
};

/*
 * Read `path`, a regular file of at most `max` bytes. Owned: textfile_clear().
 * Errors: ERR_CONFIG with `cannot read PATH: reason` or `PATH:LINE: reason`,
 * ERR_SYSTEM when it may work with nothing changed or memory ran out.
 */
int textfile_read(const char *path, size_t max, struct textfile *out,
                  struct err *err) __attribute__((warn_unused_result));

/*
 * The same without making it plain: bytes as they are, with a NUL after them.
 */
int textfile_load(const char *path, size_t max, struct textfile *out,
                  struct err *err) __attribute__((warn_unused_result));

/* Free; the struct is then zeroed. Twice is fine. */
void textfile_clear(struct textfile *file);

/*
 * Pure: make `len` bytes plain in place; *len becomes what is left, and a NUL
 * follows (there is room for it: text[len] is written). `name` is for the
 * error, ERR_CONFIG.
 */
int textfile_clean(const char *name, char *text, size_t *len, struct err *err)
    __attribute__((warn_unused_result));

#endif
