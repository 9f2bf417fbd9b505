/*
 * charset - the character sets that names in mail are written in.
 *
 * Knows by name what the bytes of a charset may be taken for, and turns text
 * into UTF-8 with iconv(3), strictly: what is not valid is not decoded. A
 * charset that is not listed is not known, whatever iconv(3) has.
 */
#ifndef COMMON_CHARSET_H
#define COMMON_CHARSET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

/* What can be said of the text by its bytes alone? */
enum charset_shape {
    CHARSET_ASCII,       /* a byte below 128 is that character of ASCII */
    CHARSET_TRAILING,    /* or, from `@` to `~`, the end of another one */
    CHARSET_ISO_2022_JP, /* ASCII, but between escape sequences: RFC 1468 */
    CHARSET_OPAQUE,      /* nothing */
};

struct charset {
    const char *name; /* small letters and digits only */
    enum charset_shape shape;
    const char *codecs[3]; /* for iconv(3), the likeliest first; or NULL */
};

/*
 * The one of that name, which compares without case, blanks and marks, as most
 * readers have it: `ISO_8859-1` and `iso8859-1` are one. NULL: not known.
 */
const struct charset *charset_find(const char *name, size_t len);

/*
 * Append the text as UTF-8. False, with nothing appended, when it is not valid,
 * also not in the wider charset that its makers mistake it for (windows-1252
 * for iso-8859-1, gbk for gb2312), or when the system's C library comes without
 * that charset. What does not fit fails the buffer.
 */
bool charset_append_utf8(const struct charset *charset, const char *text,
                         size_t len, struct buf *out);

#endif
