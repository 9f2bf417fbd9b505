/*
 * utf16 - UTF-16 (RFC 2781) to UTF-8.
 */
#include "common/utf16.h"

#include <stdint.h>
#include <string.h>

#include "common/utf8.h"

#define REPLACEMENT 0xfffd

bool
utf16_has_mark(const char *data, size_t len)
{
    return len >= 2 && (memcmp(data, "\xff\xfe", 2) == 0 ||
                        memcmp(data, "\xfe\xff", 2) == 0);
}

static uint32_t
unit(const char *data, bool is_big_endian)
{
    const unsigned char *bytes = (const unsigned char *)data;

    return is_big_endian ? (uint32_t)bytes[0] << 8 | bytes[1]
                         : (uint32_t)bytes[1] << 8 | bytes[0];
}

static bool
is_high(uint32_t code)
{
    return code >= 0xd800 && code <= 0xdbff;
}

static bool
is_low(uint32_t code)
{
    return code >= 0xdc00 && code <= 0xdfff;
}

void
utf16_append(struct buf *out, const char *data, size_t len)
{
    bool is_big_endian = (unsigned char)data[0] == 0xfe;
    size_t at = 2;

    while (at + 2 <= len) {
        uint32_t code = unit(data + at, is_big_endian);
        uint32_t next = at + 4 <= len ? unit(data + at + 2, is_big_endian) : 0;

        at += 2;
        if (is_high(code) && is_low(next)) {
            code = 0x10000 + ((code - 0xd800) << 10) + (next - 0xdc00);
            at += 2;
        } else if (is_high(code) || is_low(code)) {
            code = REPLACEMENT;
        }
        utf8_append(out, code);
    }
    if (at < len)
        utf8_append(out, REPLACEMENT);
}
