/*
 * err - what went wrong, and what the caller is to do about it.
 */
#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>

int
err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    err->code = code;
    va_start(ap, fmt);
    /* A cut text is fine: it is for a person to read. */
    (void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return -1;
}
