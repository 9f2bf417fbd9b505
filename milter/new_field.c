/*
 * new_field - the values of the fields that are put into a message.
 *
 * RFC 5322, sections 2.2.3 and 3.4; RFC 2047; RFC 6532.
 */
#include "milter/new_field.h"

#include <stdint.h>
#include <string.h>

#include "common/encoded_word.h"
#include "common/from_field.h"
#include "common/utf8.h"
#include "milter/name_template.h"

#define LINE_MAX_BYTES 78 /* what lines are folded to */
#define FROM_LABEL     5  /* bytes of `From:` */
#define TRACE_LABEL    (sizeof(NEW_FIELD_TRACE ":") - 1)

/* Decoding makes at most two bytes of one. */
#define TEXT_MAX ((size_t)2 * FROM_FIELD_MAX)

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Where the line stands after `text`, which began at `column`. */
static size_t
column_after(const char *text, size_t len, size_t column)
{
    for (size_t i = 0; i < len; i++)
        column = text[i] == '\n' ? 0 : column + 1;
    return column;
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

/* Append text in UTF-8 or else in ISO 8859-1, as clean UTF-8. */
static void
append_any(struct buf *out, const char *text, size_t len)
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

/* Append what quoted strings stand for: quotes and backslashes go. */
static void
append_unquoted(struct buf *out, const char *text, size_t len)
{
    bool is_quoted = false;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && text[i] == '\\' && i + 1 < len)
            buf_append_char(out, text[++i]);
        else
            buf_append_char(out, text[i]);
    }
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

/*
 * Append what a reader sees of a name. What can't be decoded is left out; false
 * when there is such a thing.
 */
static bool
append_readable(struct buf *out, const char *text, size_t len)
{
    struct encoded_word word;
    bool is_whole = true;
    size_t done = 0;

    while (encoded_word_find(text, len, done, &word)) {
        if (done == 0 || !is_all_blank(text + done, word.at - done))
            append_unquoted(out, text + done, word.at - done);
        is_whole = encoded_word_decode_utf8(&word, out) && is_whole;
        done = word.at + word.len;
    }
    append_unquoted(out, text + done, len - done);
    return is_whole;
}

/* With an @ in it, nothing may look like the end of the name or like a list. */
static void
blank_out_marks(struct buf *name)
{
    if (name->len == 0 || memchr(name->data, '@', name->len) == NULL)
        return;
    for (size_t i = 0; i < name->len; i++)
        if (strchr("<>,;\"\\", name->data[i]) != NULL)
            name->data[i] = ' ';
}

/* Append text as a clean name in UTF-8. */
static void
append_clean_name(struct buf *out, const char *text, size_t len)
{
    struct buf marked;

    buf_init(&marked, TEXT_MAX);
    append_any(&marked, text, len);
    blank_out_marks(&marked);
    append_any(out, buf_str(&marked), marked.len);
    out->failed |= buf_failed(&marked);
    buf_clear(&marked);
}

/* The name as clean UTF-8 text. False when not all of it can be read. */
static bool
read_name(struct buf *out, const char *text, size_t len)
{
    struct buf readable;
    bool is_whole;

    buf_init(&readable, TEXT_MAX);
    is_whole = append_readable(&readable, text, len);
    append_clean_name(out, buf_str(&readable), readable.len);
    out->failed |= buf_failed(&readable);
    buf_clear(&readable);
    return is_whole;
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

/* Append a blank and the name (clean text) in a form that a phrase may have. */
static void
append_name(struct buf *out, const char *name, size_t len, size_t max,
            bool is_smtputf8)
{
    bool is_ascii = utf8_is_ascii(name, len);
    size_t column = FROM_LABEL + out->len;

    /* Some readers decode within quotes too, so that would not be literal. */
    if ((!is_ascii && !is_smtputf8) || memmem(name, len, "=?", 2) != NULL) {
        (void)encoded_word_append(out, name, len, &column, max);
        return;
    }
    buf_append_char(out, ' ');
    if (is_ascii && is_atom_text(name, len) && out->len + len <= max)
        buf_append(out, name, len);
    else
        append_quoted(out, name, len, max);
}

static void
append_mailbox(struct buf *out, const char *mailbox)
{
    size_t len = strlen(mailbox) + 3; /* with a blank and the brackets */
    size_t column = column_after(buf_str(out), out->len, FROM_LABEL);

    if (out->len == 0) {
        buf_append_char(out, ' ');
        buf_append_str(out, mailbox);
        return;
    }
    buf_append_str(out, column + len > LINE_MAX_BYTES ? "\n <" : " <");
    buf_append_str(out, mailbox);
    buf_append_char(out, '>');
}

/* May these bytes be in a field of this message? */
static bool
may_stay(const char *text, size_t len, bool is_smtputf8)
{
    return utf8_is_ascii(text, len) ||
           (is_smtputf8 && utf8_is_valid(text, len));
}

/* Is this value what it has to be? */
static bool
is_right(const struct buf *value, const char *mailbox)
{
    struct from_field field;

    from_field_parse(buf_str(value), value->len, &field);
    return value->len + FROM_LABEL <= NEW_FIELD_MAX &&
           field.kind == FROM_FIELD_PLAIN &&
           strcmp(field.address, mailbox) == 0;
}

/* The old value with the new address in place of the old one. */
static void
splice(struct buf *out, struct new_field_text old,
       const struct from_field *field, const char *mailbox)
{
    size_t end = field->spot.at + field->spot.len;

    if (old.len == 0 || !is_blank(old.text[0]))
        buf_append_char(out, ' ');
    buf_append(out, old.text, field->spot.at);
    buf_append_str(out, mailbox);
    buf_append(out, old.text + end, old.len - end);
}

/* The bytes of the name as they are, then the new address. */
static void
keep_phrase(struct buf *out, struct new_field_text name, const char *mailbox)
{
    buf_append_char(out, ' ');
    buf_append(out, name.text, name.len);
    append_mailbox(out, mailbox);
}

/* A name in clean text, cut to what fits, then the new address. */
static void
make_phrase(struct buf *out, const struct buf *name,
            const struct new_field_rules *rules)
{
    /* Beside the name: `From:`, a fold, and the address in brackets. */
    size_t others = FROM_LABEL + 2 + strlen(rules->mailbox) + 2;

    if (name->len > 0)
        append_name(out, name->data, name->len, NEW_FIELD_MAX - others,
                    rules->is_smtputf8);
    append_mailbox(out, rules->mailbox);
    out->failed |= buf_failed(name);
}

/*
 * The name that the template makes. False when the old one is to stay: it can't
 * be read, or the template is not for it.
 */
static bool
fill_template(struct buf *out, struct new_field_text old,
              const struct new_field_rules *rules)
{
    bool is_used = false;
    struct buf name;
    struct buf text;

    buf_init(&name, TEXT_MAX);
    buf_init(&text, TEXT_MAX);
    if (read_name(&name, old.text, old.len) &&
        (name.len == 0 || rules->is_template_for_all))
        is_used = name_template_expand(&text, rules->name_template,
                                       buf_str(&name), rules->old_address);
    append_clean_name(out, buf_str(&text), text.len);
    out->failed |= buf_failed(&name) || buf_failed(&text);
    buf_clear(&text);
    buf_clear(&name);
    return is_used;
}

/*
 * Where the name of the sender is: before the brackets; without brackets in a
 * comment, as in `a@b (Name)` and cron's `root (Cron Daemon)`.
 */
static struct new_field_text
find_name(struct new_field_text old, const struct from_field *field)
{
    struct from_field_span span = field->name;
    bool is_user = memchr(old.text + span.at, ' ', span.len) == NULL;

    if (!field->has_brackets && field->comment.len > 0 && is_user)
        span = field->comment;
    return (struct new_field_text){old.text + span.at, span.len};
}

/* Or else empty it for the next try. Out of memory there is no next one. */
static bool
is_accepted(struct buf *value, const char *mailbox)
{
    if (buf_failed(value) || is_right(value, mailbox))
        return true;
    buf_reset(value);
    return false;
}

/* Keep as much of the old bytes as possible. False: nothing was right. */
static bool
keep_bytes(struct buf *value, struct new_field_text old,
           const struct from_field *field, const struct new_field_rules *rules)
{
    struct new_field_text name = find_name(old, field);

    if (field->may_splice && (field->has_brackets || name.len == 0) &&
        may_stay(old.text, old.len, rules->is_smtputf8)) {
        splice(value, old, field, rules->mailbox);
        if (is_accepted(value, rules->mailbox))
            return true;
    }
    /* What was within a comment must not become one: it would be lost. */
    if (from_field_is_phrase(name.text, name.len) &&
        (field->has_brackets || memchr(name.text, '(', name.len) == NULL) &&
        may_stay(name.text, name.len, rules->is_smtputf8)) {
        keep_phrase(value, name, rules->mailbox);
        return is_accepted(value, rules->mailbox);
    }
    return false;
}

static void
compose_from(struct buf *value, struct new_field_text old,
             const struct new_field_rules *rules)
{
    struct new_field_text name;
    struct from_field field;
    struct buf text;

    from_field_parse(old.text, old.len, &field);
    name = find_name(old, &field);
    buf_init(&text, TEXT_MAX);
    if (rules->name_template == NULL || !fill_template(&text, name, rules)) {
        if (keep_bytes(value, old, &field, rules))
            goto out;
        (void)read_name(&text, name.text, name.len); /* as far as it goes */
    }
    make_phrase(value, &text, rules);
    if (!is_accepted(value, rules->mailbox))
        append_mailbox(value, rules->mailbox);
out:
    value->failed |= buf_failed(&text);
    buf_clear(&text);
}

void
new_field_from(struct buf *out, struct new_field_text old,
               const struct new_field_rules *rules)
{
    struct buf value;

    if (old.text == NULL)
        old = (struct new_field_text){"", 0};
    buf_init(&value, TEXT_MAX);
    compose_from(&value, old, rules);
    buf_append(out, buf_str(&value), value.len);
    out->failed |= buf_failed(&value);
    buf_clear(&value);
}

/* The next words that are all ASCII or all not; blanks around are left out. */
static size_t
run_len(const char *text, size_t len, bool *is_ascii)
{
    size_t end = 0;
    size_t run = 0;

    while (end < len) {
        const char *blank = memchr(text + end, ' ', len - end);
        size_t word_end = blank != NULL ? (size_t)(blank - text) : len;
        bool is_word_ascii = utf8_is_ascii(text + end, word_end - end);

        if (run == 0)
            *is_ascii = is_word_ascii;
        else if (is_word_ascii != *is_ascii || *is_ascii)
            break;
        run = word_end;
        end = word_end + 1;
    }
    return run;
}

/* Append a word of ASCII after a blank or a fold, cut at `max`. */
static void
append_word(struct buf *out, const char *text, size_t len, size_t *column,
            size_t max)
{
    bool is_fold = out->len > 0 && *column + 1 + len > LINE_MAX_BYTES;

    if (out->len + 2 >= max)
        return;
    if (len > max - out->len - 2)
        len = max - out->len - 2;
    buf_append_str(out, is_fold ? "\n " : " ");
    buf_append(out, text, len);
    *column = (is_fold ? 0 : *column) + 1 + len;
}

/* Append clean text as an unstructured field's body. */
static void
append_unstructured(struct buf *out, const char *text, size_t len, size_t max)
{
    size_t column = TRACE_LABEL;

    while (len > 0) {
        bool is_ascii = true;
        size_t run = run_len(text, len, &is_ascii);

        if (is_ascii)
            append_word(out, text, run, &column, max);
        else
            (void)encoded_word_append(out, text, run, &column, max);
        run = run < len ? run + 1 : len; /* with the blank */
        text += run;
        len -= run;
    }
}

void
new_field_trace(struct buf *out, const struct new_field_text *old, size_t count)
{
    struct buf text;
    struct buf value;

    buf_init(&text, TEXT_MAX + 2 * count);
    buf_init(&value, NEW_FIELD_MAX);
    for (size_t i = 0; i < count && text.len < NEW_FIELD_MAX; i++) {
        if (text.len > 0)
            buf_append_str(&text, ", ");
        append_any(&text, old[i].text, old[i].len);
    }
    append_unstructured(&value, buf_str(&text), text.len,
                        NEW_FIELD_MAX - TRACE_LABEL);
    buf_append(out, buf_str(&value), value.len);
    out->failed |= buf_failed(&text) || buf_failed(&value);
    buf_clear(&value);
    buf_clear(&text);
}
