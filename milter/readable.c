/*
 * readable - what a person sees of the text of a field, as clean UTF-8.
 */
#include "milter/readable.h"

#include <stdint.h>
#include <string.h>

#include "common/encoded_word.h"
#include "common/utf8.h"

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Is it a character that nobody needs in a name? (U+FEFF: a stray mark.) */
static bool
is_unwanted(uint32_t code)
{
    return utf8_is_control(code) || code == 0xfeff;
}

/* Append one character, or a blank in its place; never two blanks in a row. */
static void
append_clean(struct buf *out, uint32_t code)
{
    if (code != ' ' && !is_unwanted(code))
        utf8_append(out, code);
    else if (out->len > 0 && out->data[out->len - 1] != ' ')
        buf_append_char(out, ' ');
}

void
readable_append(struct buf *out, const char *text, size_t len)
{
    bool is_utf8 = utf8_is_valid(text, len);
    uint32_t code = 0;

    for (size_t i = 0; i < len;) {
        size_t taken = is_utf8 ? utf8_next(text + i, len - i, &code) : 0;

        if (taken == 0) {
            code = (unsigned char)text[i];
            taken = 1;
        }
        append_clean(out, code);
        i += taken;
    }
    while (out->len > 0 && out->data[out->len - 1] == ' ')
        out->data[--out->len] = '\0';
}

/* Append text in UTF-8 or else in ISO 8859-1 as UTF-8, as it is. */
static void
append_as_utf8(struct buf *out, const char *text, size_t len)
{
    if (utf8_is_valid(text, len)) {
        buf_append(out, text, len);
        return;
    }
    for (size_t i = 0; i < len; i++)
        utf8_append(out, (unsigned char)text[i]);
}

void
readable_append_unquoted(struct buf *out, const char *text, size_t len)
{
    bool is_quoted = false;
    struct buf plain;

    buf_init(&plain, len);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && text[i] == '\\' && i + 1 < len)
            buf_append_char(&plain, text[++i]);
        else
            buf_append_char(&plain, text[i]);
    }
    append_as_utf8(out, buf_str(&plain), plain.len);
    out->failed |= buf_failed(&plain);
    buf_clear(&plain);
}

/* Blanks between two encoded words do not count (RFC 2047, section 6.2). */
static bool
is_all_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_blank(text[i]))
            return false;
    return true;
}

/* With an @ in it, nothing may look like the end of the name. */
static void
blank_out_marks(struct buf *name)
{
    if (name->len == 0 || memchr(name->data, '@', name->len) == NULL)
        return;
    for (size_t i = 0; i < name->len; i++)
        if (strchr("<>\"\\", name->data[i]) != NULL)
            name->data[i] = ' ';
}

void
readable_append_name(struct buf *out, const char *text, size_t len)
{
    struct buf marked;

    buf_init(&marked, READABLE_MAX);
    readable_append(&marked, text, len);
    blank_out_marks(&marked);
    readable_append(out, buf_str(&marked), marked.len);
    out->failed |= buf_failed(&marked);
    buf_clear(&marked);
}

size_t
readable_name_len(const char *text, size_t len)
{
    size_t end = READABLE_NAME_MAX;

    if (len <= end)
        return len;
    while (end > 0 && !is_blank(text[end]))
        end--;
    return end > 0 ? end : READABLE_NAME_MAX;
}

bool
readable_decode_name(struct buf *out, const char *text, size_t len)
{
    struct encoded_word word;
    struct buf decoded;
    bool is_whole = true;
    size_t done = 0;

    len = readable_name_len(text, len);
    buf_init(&decoded, READABLE_MAX);
    while (encoded_word_find(text, len, done, &word)) {
        if (done == 0 || !is_all_blank(text + done, word.at - done))
            readable_append_unquoted(&decoded, text + done, word.at - done);
        is_whole = encoded_word_decode_run(text, len, &word, &decoded, &done) &&
                   is_whole;
    }
    readable_append_unquoted(&decoded, text + done, len - done);
    readable_append_name(out, buf_str(&decoded), decoded.len);
    out->failed |= buf_failed(&decoded);
    buf_clear(&decoded);
    return is_whole;
}
