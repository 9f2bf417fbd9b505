/*
 * printable - any bytes as one line of printable ASCII.
 */
#include "sasl-xoauth2/printable.h"

#define DOTS 3 /* bytes that tell of a cut */

const char *
printable(char *out, size_t size, const char *text, size_t len)
{
    size_t shown = len < size ? len : size - 1;

    for (size_t i = 0; i < shown; i++)
        out[i] = (char)(text[i] >= ' ' && text[i] <= '~' ? text[i] : '?');
    if (shown < len) {
        for (size_t i = shown > DOTS ? shown - DOTS : 0; i < shown; i++)
            out[i] = '.';
    }
    out[shown] = '\0';
    return out;
}
