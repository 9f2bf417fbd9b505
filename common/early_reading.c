/*
 * early_reading - what one sees who decodes a field before he parses it.
 */
#include "common/early_reading.h"

#include <stdint.h>
#include <string.h>

#include "common/charset.h"
#include "common/encoded_word.h"
#include "common/utf8.h"
#include "common/util.h"

#define ESCAPE '\033'

/* What the encoded words of a field stand for, seen byte by byte. */
struct seen {
    enum charset_shape shape; /* of this word */
    bool is_utf8;             /* this word is in UTF-8 */
    bool is_gb18030;
    bool has_c1;     /* of this word's charset: 0x80 to 0x9f are controls */
    uint32_t last;   /* the last bytes, the newest one lowest */
    int escape;      /* bytes seen of an escape sequence */
    char escape_set; /* its second byte */
    bool is_shifted; /* these are two bytes to a character */
    bool is_half;    /* and one of the two was seen */
    bool is_broken;  /* not valid: nobody knows what it is */
    bool has_control;
    bool has_at;
    bool has_mark; /* one that ends a name, or parts a list after an @ */
};

static void
see_ascii(struct seen *seen, char byte)
{
    /* Where `@` is the end of a character, `\` may be too. It counts only as
     * one that nobody sees; any other mark is never an end. */
    bool is_trail = seen->shape == CHARSET_TRAILING && byte == '\\' &&
                    (seen->last & 0x80) != 0;

    seen->has_control |= (unsigned char)byte < ' ' || byte == '\177';
    seen->has_at |= byte == '@';
    seen->has_mark |=
        !is_trail && byte != '\0' &&
        strchr(seen->has_at ? "<>\"\\,;" : "<>\"\\", byte) != NULL;
}

/* `ESC ( B` and `ESC ( J` turn to ASCII, `ESC $ @` and `ESC $ B` away from it.
 */
static void
see_escape(struct seen *seen, char byte)
{
    if (seen->escape == 1) {
        seen->escape_set = byte;
        seen->escape = 2;
        seen->is_broken |= byte != '(' && byte != '$';
        return;
    }
    seen->is_broken |=
        strchr(seen->escape_set == '(' ? "BJ" : "@B", byte) == NULL ||
        byte == '\0';
    seen->is_shifted = seen->escape_set == '$';
    seen->escape = 0;
}

/* Only what is ASCII counts, so that no Japanese name seems to hold brackets.
 */
static void
see_iso_2022(struct seen *seen, char byte)
{
    unsigned char code = (unsigned char)byte;

    if (seen->escape > 0) {
        see_escape(seen, byte);
    } else if (byte == ESCAPE) {
        seen->is_broken |= seen->is_half;
        seen->escape = 1;
    } else if (seen->is_shifted) {
        seen->is_broken |= code <= ' ' || code >= 0x7f;
        seen->is_half = !seen->is_half;
    } else {
        seen->is_broken |= code >= 0x80;
        see_ascii(seen, byte);
    }
}

/* Do the last bytes end with a character in UTF-8 that is a control? */
static bool
ends_with_control(uint32_t last)
{
    const char bytes[] = {(char)(last >> 16 & 0xff), (char)(last >> 8 & 0xff),
                          (char)(last & 0xff)};
    uint32_t code;

    return (utf8_next(bytes, 3, &code) == 3 && utf8_is_control(code)) ||
           (utf8_next(bytes + 1, 2, &code) == 2 && utf8_is_control(code));
}

/*
 * Are these four bytes a control in GB18030? It counts through Unicode without
 * what it has in two bytes, so these are not at their own numbers.
 */
static bool
is_gb_control(uint32_t last)
{
    uint32_t low = (last & 0xff) - '0';
    uint32_t third = (last >> 8 & 0xff) - 0x81;
    uint32_t second = (last >> 16 & 0xff) - '0';
    uint32_t number = (second * 126 + third) * 10 + low;

    if (last >> 24 != 0x81 || second > 9 || third > 125 || low > 9)
        return false;
    return number < 32 ||                       /* U+0080 to U+009F */
           (number >= 7935 && number < 7942) || /* U+2028 to U+202E */
           (number >= 7992 && number < 7996);   /* U+2066 to U+2069 */
}

static void
see_byte(char byte, void *arg)
{
    struct seen *seen = arg;

    if (seen->shape == CHARSET_ISO_2022_JP)
        see_iso_2022(seen, byte);
    else
        see_ascii(seen, byte);
    seen->last = seen->last << 8 | (unsigned char)byte;
    seen->has_control |= seen->is_utf8 && ends_with_control(seen->last);
    seen->has_control |= seen->is_gb18030 && is_gb_control(seen->last);
    seen->has_control |= seen->has_c1 && (seen->last & 0xe0) == 0x80;
}

/* Not where makers mistake it for a charset of Windows, with text there. */
static bool
has_c1(const struct charset *charset)
{
    return strncmp(charset->codecs[0], "ISO-8859-", 9) == 0;
}

/* GB18030 has all of Unicode, and readers take its older forms for it. */
static bool
is_gb18030(const struct charset *charset)
{
    for (size_t i = 0; i < ARRAY_LEN(charset->codecs); i++)
        if (charset->codecs[i] != NULL &&
            strcmp(charset->codecs[i], "GB18030") == 0)
            return true;
    return false;
}

/* False when nobody knows what the word stands for. */
static bool
see_word(const struct encoded_word *word, struct seen *seen)
{
    const struct charset *charset =
        charset_find(word->charset, word->charset_len);

    if (charset == NULL || charset->shape == CHARSET_OPAQUE)
        return false;
    seen->shape = charset->shape;
    seen->is_utf8 = strcmp(charset->codecs[0], "UTF-8") == 0;
    seen->is_gb18030 = is_gb18030(charset);
    seen->has_c1 = has_c1(charset);
    encoded_word_decode(word, see_byte, seen);
    /* A word begins and ends with ASCII (RFC 2047, section 3). */
    return !seen->is_broken && !seen->is_shifted && seen->escape == 0;
}

bool
early_reading_finds_address(const char *text, size_t len,
                            struct early_reading_around around)
{
    struct encoded_word word = {0};
    struct seen seen = {.has_at = around.has_at, .has_mark = around.has_mark};

    while (encoded_word_find(text, len, word.at + word.len, &word))
        if (!see_word(&word, &seen) || seen.has_control ||
            (seen.has_at && seen.has_mark))
            return true;
    return false;
}
