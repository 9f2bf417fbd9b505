/*
 * address - mail addresses: the RFC 5321 path and what compares equal.
 */
#include "common/address.h"

#include <string.h>
#include <strings.h>

#include "common/utf8.h"
#include "common/util.h"

#define LOCAL_MAX  64 /* bytes; RFC 5321, section 4.5.3.1.1 */
#define DOMAIN_MAX 255
#define LABEL_MAX  63

static bool
is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9');
}

static bool
is_utf8_byte(char c)
{
    return ((unsigned char)c & 0x80) != 0;
}

/* atext of RFC 5322, section 3.2.3, and UTF-8. */
static bool
is_atext(char c)
{
    return is_alnum(c) || is_utf8_byte(c) ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Labels of one or more good bytes with single dots between them. */
static bool
is_dotted(const char *text, size_t len, size_t label_max, bool (*is_good)(char))
{
    size_t label = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!is_good(text[i]) || ++label > label_max) {
            return false;
        }
    }
    return label > 0;
}

static bool
is_domain_byte(char c)
{
    return is_alnum(c) || is_utf8_byte(c) || c == '-';
}

/*
 * Blanks, controls, formatting and what is no character (Unicode's White_Space,
 * Cc, Cf, Zl, Zp): some parsers drop them at the edge of an address.
 */
static const struct {
    uint32_t first;
    uint32_t last;
} unseen[] = {
    {0x0000, 0x0020},    {0x007f, 0x00a0},   {0x00ad, 0x00ad},
    {0x034f, 0x034f},    {0x0600, 0x0605},   {0x061c, 0x061c},
    {0x06dd, 0x06dd},    {0x070f, 0x070f},   {0x0890, 0x0891},
    {0x08e2, 0x08e2},    {0x115f, 0x1160},   {0x1680, 0x1680},
    {0x17b4, 0x17b5},    {0x180b, 0x180f},   {0x2000, 0x200f},
    {0x2028, 0x202f},    {0x205f, 0x206f},   {0x2800, 0x2800},
    {0x3000, 0x3000},    {0x3164, 0x3164},   {0xfe00, 0xfe0f},
    {0xfeff, 0xfeff},    {0xffa0, 0xffa0},   {0xfff0, 0xffff},
    {0x110bd, 0x110bd},  {0x110cd, 0x110cd}, {0x13430, 0x1343f},
    {0x1bca0, 0x1bca3},  {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
    {0xf0000, 0x10ffff},
};

/* Is it valid UTF-8 of characters that can be seen? */
static bool
is_visible(const char *text, size_t len)
{
    while (len > 0) {
        uint32_t code = 0;
        size_t size;

        /* Most of what there is: visible ASCII. */
        if (*text > ' ' && *text < 0x7f) {
            text++;
            len--;
            continue;
        }
        size = utf8_next(text, len, &code);
        if (size == 0)
            return false;
        for (size_t i = 0; i < ARRAY_LEN(unseen); i++)
            if (code >= unseen[i].first && code <= unseen[i].last)
                return false;
        text += size;
        len -= size;
    }
    return true;
}

bool
address_domain_is_valid(const char *text, size_t len)
{
    return len <= DOMAIN_MAX && is_visible(text, len) &&
           is_dotted(text, len, LABEL_MAX, is_domain_byte);
}

bool
address_is_valid(const char *text, size_t len)
{
    const char *at = memchr(text, '@', len);
    size_t local;

    if (at == NULL)
        return false;
    local = (size_t)(at - text);
    return local <= LOCAL_MAX && is_visible(text, local) &&
           is_dotted(text, local, LOCAL_MAX, is_atext) &&
           address_domain_is_valid(at + 1, len - local - 1);
}

bool
address_equal(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

const char *
address_domain(const char *address)
{
    const char *at = strrchr(address, '@');

    return at != NULL ? at + 1 : NULL;
}

bool
address_from_path(const char *path, char *out, size_t size)
{
    size_t len = strlen(path);

    if (len > 0 && path[0] == '<') {
        if (len < 2 || path[len - 1] != '>')
            return false;
        path++;
        len -= 2;
    }
    if (len >= size)
        return false;
    memmove(out, path, len);
    out[len] = '\0';
    return true;
}

bool
address_is_path(const char *path)
{
    char address[ADDRESS_MAX + 1];
    bool is_quoted = false;

    if (!address_from_path(path, address, sizeof(address)))
        return false;
    for (const char *p = address; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == '\177')
            return false;
        if (*p == '"')
            is_quoted = !is_quoted;
        else if (*p == '\\' && is_quoted && p[1] >= ' ')
            p++;
        else if (!is_quoted && strchr(" <>()", *p) != NULL)
            return false;
    }
    return !is_quoted;
}
