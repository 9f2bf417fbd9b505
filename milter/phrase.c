/*
 * phrase - a display name in a form that may stand before `<a@b>`.
 */
#include "milter/phrase.h"

#include <stdint.h>
#include <string.h>

#include "common/encoded_word.h"
#include "common/utf8.h"

#define LABEL_LEN      5  /* bytes of `From:` */
#define LINE_MAX_BYTES 78 /* what lines are folded to */

size_t
phrase_column_after(const char *text, size_t len, size_t column)
{
    for (size_t i = 0; i < len; i++)
        column = text[i] == '\n' ? 0 : column + 1;
    return column;
}

static bool
is_atom_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (strchr("()<>[]:;@\\,\".", text[i]) != NULL)
            return false;
    return true;
}

/* Append a quoted string that ends before `max` bytes. */
static void
append_quoted(struct buf *out, const char *text, size_t len, size_t max)
{
    uint32_t code;

    buf_append_str(out, "\"");
    for (size_t i = 0; i < len;) {
        size_t taken = utf8_next(text + i, len - i, &code);
        bool is_escaped = text[i] == '"' || text[i] == '\\';

        if (taken == 0 || out->len + taken + 2 > max)
            break;
        if (is_escaped)
            buf_append_char(out, '\\');
        buf_append(out, text + i, taken);
        i += taken;
    }
    buf_append_char(out, '"');
}

/* Some readers decode within quotes too, so that would not be literal. */
static bool
has_word_mark(const char *text, size_t len)
{
    return memmem(text, len, "=?", 2) != NULL;
}

/* Is there a comma or semicolon behind an @, which must not be encoded? */
static bool
has_list_mark(const char *text, size_t len)
{
    const char *at = memchr(text, '@', len);

    for (; at != NULL && at < text + len; at++)
        if (*at == ',' || *at == ';')
            return true;
    return false;
}

/* The next words that all can be quoted, or all can't. */
static size_t
run_len(const char *text, size_t len, bool *may_quote)
{
    size_t run = 0;

    for (size_t at = 0; at < len;) {
        const char *blank = memchr(text + at, ' ', len - at);
        size_t end = blank != NULL ? (size_t)(blank - text) : len;
        bool is_plain = utf8_is_ascii(text + at, end - at) &&
                        !has_word_mark(text + at, end - at);

        if (at == 0)
            *may_quote = is_plain;
        else if (is_plain != *may_quote)
            break;
        run = end;
        at = end + 1;
    }
    return run;
}

/* Quote what can be quoted and encode only the rest. */
static void
append_mixed(struct buf *out, const char *text, size_t len, size_t max)
{
    while (len > 0 && out->len + 3 < max && !buf_failed(out)) {
        bool may_quote = false;
        size_t run = run_len(text, len, &may_quote);
        size_t column = phrase_column_after(buf_str(out), out->len, LABEL_LEN);

        if (may_quote) {
            buf_append_char(out, ' ');
            append_quoted(out, text, run, max);
        } else if (encoded_word_append(out, text, run, &column, max) < run) {
            return; /* what follows would not follow it */
        }
        run = run < len ? run + 1 : len; /* with the blank */
        text += run;
        len -= run;
    }
}

void
phrase_append(struct buf *out, const char *name, size_t len, size_t max,
              bool is_smtputf8)
{
    bool is_ascii = utf8_is_ascii(name, len);
    size_t column = phrase_column_after(buf_str(out), out->len, LABEL_LEN);

    if ((!is_ascii && !is_smtputf8) || has_word_mark(name, len)) {
        if (has_list_mark(name, len))
            append_mixed(out, name, len, max);
        else
            (void)encoded_word_append(out, name, len, &column, max);
        return;
    }
    if (out->len + 4 > max) /* a blank, two quotes, a byte */
        return;
    buf_append_char(out, ' ');
    if (is_ascii && is_atom_text(name, len) && out->len + len <= max)
        buf_append(out, name, len);
    else
        append_quoted(out, name, len, max);
}

void
phrase_append_word(struct buf *out, const char *word, size_t len, size_t max)
{
    size_t column = phrase_column_after(buf_str(out), out->len, LABEL_LEN);

    if (out->len + 2 + len > max)
        return;
    buf_append_str(out, column + 1 + len > LINE_MAX_BYTES ? "\n " : " ");
    buf_append(out, word, len);
}
