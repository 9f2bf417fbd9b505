/*
 * printable - any bytes as one line of printable ASCII.
 *
 * Pure. For what others wrote (a login, a server's name, tokend's reason) and
 * a log line is to show.
 */
#ifndef SASL_XOAUTH2_PRINTABLE_H
#define SASL_XOAUTH2_PRINTABLE_H

#include <stddef.h>

/*
 * Copy `len` bytes of `text` into `out` of `size` bytes, size > 0, and end it
 * with a NUL. Every byte that is not printable ASCII becomes `?`; what does not
 * fit is cut off and the last three bytes are then `...`. Returns `out`.
 */
const char *printable(char *out, size_t size, const char *text, size_t len);

#endif
