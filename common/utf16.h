/*
 * utf16 - UTF-16 (RFC 2781) to UTF-8.
 *
 * Pure. For files that Windows PowerShell wrote: `>` and Out-File make UTF-16
 * with a byte order mark.
 */
#ifndef COMMON_UTF16_H
#define COMMON_UTF16_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

/* Does it begin with a byte order mark of UTF-16, of either order? */
bool utf16_has_mark(const char *data, size_t len);

/*
 * Append it as UTF-8, without the mark, which it must have. Half a character
 * and surrogates without their other half become U+FFFD.
 */
void utf16_append(struct buf *out, const char *data, size_t len);

#endif
