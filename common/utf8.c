/*
 * utf8 - UTF-8 (RFC 3629): what is valid, and one character after the other.
 */
#include "common/utf8.h"

/* How many bytes follow this first byte; and the bits that it gives. */
static size_t
lead(unsigned char byte, uint32_t *bits)
{
    if (byte < 0x80) {
        *bits = byte;
        return 0;
    }
    if (byte >= 0xc2 && byte <= 0xdf) {
        *bits = byte & 0x1fu;
        return 1;
    }
    if ((byte & 0xf0) == 0xe0) {
        *bits = byte & 0x0fu;
        return 2;
    }
    *bits = byte & 0x07u;
    return 3;
}

static bool
is_code(uint32_t code, size_t more)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

    return code >= least[more] && code <= 0x10ffff &&
           (code < 0xd800 || code > 0xdfff);
}

size_t
utf8_next(const char *text, size_t len, uint32_t *code)
{
    uint32_t bits;
    size_t more;

    if (len == 0)
        return 0;
    if (((unsigned char)text[0] & 0xc0) == 0x80 ||
        (unsigned char)text[0] > 0xf4)
        return 0;
    more = lead((unsigned char)text[0], &bits);
    if (more >= len)
        return 0;
    for (size_t i = 1; i <= more; i++) {
        unsigned char byte = (unsigned char)text[i];

        if ((byte & 0xc0) != 0x80)
            return 0;
        bits = bits << 6 | (byte & 0x3fu);
    }
    if (!is_code(bits, more))
        return 0;
    *code = bits;
    return more + 1;
}

bool
utf8_is_valid(const char *text, size_t len)
{
    uint32_t code;
    size_t taken;

    for (; len > 0; text += taken, len -= taken) {
        taken = utf8_next(text, len, &code);
        if (taken == 0)
            return false;
    }
    return true;
}

bool
utf8_is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)text[i] & 0x80) != 0)
            return false;
    return true;
}

bool
utf8_is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) ||
           (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

void
utf8_append(struct buf *out, uint32_t code)
{
    static const unsigned char leads[] = {0, 0xc0, 0xe0, 0xf0};
    size_t more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    unsigned shift = (unsigned)more * 6;

    buf_append_char(out, (char)(leads[more] | code >> shift));
    while (shift > 0) {
        shift -= 6;
        buf_append_char(out, (char)(0x80 | (code >> shift & 0x3f)));
    }
}
