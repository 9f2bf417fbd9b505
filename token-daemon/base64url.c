/*
 * base64url - bytes as text that can stand in a URL.
 */
#include "token-daemon/base64url.h"

#include <string.h>

#include "common/secret.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "abcdefghijklmnopqrstuvwxyz0123456789-_";

void
base64url_append(struct buf *out, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i < 3 ? len - i : 3;
        unsigned group = (unsigned)bytes[i] << 16;

        if (left > 1)
            group |= (unsigned)bytes[i + 1] << 8;
        if (left > 2)
            group |= bytes[i + 2];
        for (size_t digit = 0; digit <= left; digit++)
            buf_append_char(out, digits[(group >> (18 - 6 * digit)) & 63]);
    }
}

/* Up to four digits, for up to three bytes. */
static int
decode_group(struct buf *out, const char *text, size_t len)
{
    unsigned char bytes[3];
    unsigned group = 0;

    if (len == 1)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        const char *digit = i < len ? memchr(digits, text[i], 64) : digits;

        if (digit == NULL)
            return -1;
        group = group << 6 | (unsigned)(digit - digits);
    }
    bytes[0] = (unsigned char)(group >> 16);
    bytes[1] = (unsigned char)(group >> 8 & 255);
    bytes[2] = (unsigned char)(group & 255);
    buf_append(out, bytes, len - 1);
    secret_wipe(bytes, sizeof(bytes));
    return 0;
}

int
base64url_decode(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i += 4)
        if (decode_group(out, text + i, len - i < 4 ? len - i : 4) < 0)
            return -1;
    return 0;
}
