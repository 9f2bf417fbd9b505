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
#include "milter/phrase.h"
#include "milter/readable.h"

#define LINE_MAX_BYTES 78 /* what lines are folded to */
#define FROM_LABEL     5  /* bytes of `From:` */
#define TRACE_LABEL    (sizeof(NEW_FIELD_TRACE ":") - 1)

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void
append_mailbox(struct buf *out, const char *mailbox)
{
    size_t len = strlen(mailbox) + 3; /* with a blank and the brackets */
    size_t column = phrase_column_after(buf_str(out), out->len, FROM_LABEL);

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

/* Or else empty it for the next try. Out of memory there is no next one. */
static bool
is_accepted(struct buf *value, const char *mailbox)
{
    if (buf_failed(value) || is_right(value, mailbox))
        return true;
    buf_reset(value);
    return false;
}

/* The bytes that a name may end at. Beside it: a fold, and the address. */
static size_t
name_limit(const struct new_field_rules *rules)
{
    return NEW_FIELD_MAX - FROM_LABEL - 2 - strlen(rules->mailbox) - 2;
}

/* A name in clean text, cut to what fits, then the new address. */
static bool
make_phrase(struct buf *out, const char *name, size_t len,
            const struct new_field_rules *rules)
{
    if (len > 0)
        phrase_append(out, name, len, name_limit(rules), rules->is_smtputf8);
    append_mailbox(out, rules->mailbox);
    return is_accepted(out, rules->mailbox);
}

/* The same; what can't be written safely in any form becomes a blank. */
static void
make_any_phrase(struct buf *out, const struct buf *name,
                const struct new_field_rules *rules)
{
    struct buf safe;

    if (make_phrase(out, buf_str(name), name->len, rules))
        return;
    buf_init(&safe, READABLE_MAX);
    buf_append(&safe, name->data, name->len);
    for (size_t i = 0; i < safe.len; i++)
        if (strchr(",;", safe.data[i]) != NULL)
            safe.data[i] = ' ';
    if (!make_phrase(out, buf_str(&safe), safe.len, rules))
        append_mailbox(out, rules->mailbox);
    out->failed |= buf_failed(&safe);
    buf_clear(&safe);
}

/* The name that the template makes of the old one, which may be empty. */
static bool
fill_template(struct buf *name, const struct new_field_rules *rules)
{
    struct buf text;
    bool is_used;

    buf_init(&text, READABLE_MAX);
    is_used = name_template_expand(&text, rules->name_template, buf_str(name),
                                   rules->old_address);
    if (is_used) {
        buf_reset(name);
        readable_append_name(name, buf_str(&text), text.len);
    }
    name->failed |= buf_failed(&text);
    buf_clear(&text);
    return is_used;
}

/*
 * Where the name of the sender is: before the brackets, or behind them; in a
 * comment, as in `a@b (Name)` and cron's `root (Cron Daemon)`. `both` is filled
 * in when it is on both sides.
 */
static struct new_field_text
find_name(struct new_field_text old, const struct from_field *field,
          struct buf *both)
{
    struct from_field_span span = field->name;
    bool is_user = memchr(old.text + span.at, ' ', span.len) == NULL;

    if (field->name_after.len > 0 && span.len > 0) {
        buf_append(both, old.text + span.at, span.len);
        buf_append_char(both, ' ');
        buf_append(both, old.text + field->name_after.at,
                   field->name_after.len);
        return (struct new_field_text){buf_str(both), both->len};
    }
    if (field->name_after.len > 0)
        span = field->name_after;
    else if (field->comment.len > 0 &&
             (field->has_brackets ? span.len == 0 : is_user))
        span = field->comment;
    return (struct new_field_text){old.text + span.at, span.len};
}

/* Keep as much of the old bytes as possible. False: nothing was right. */
static bool
keep_bytes(struct buf *value, struct new_field_text old,
           const struct from_field *field, struct new_field_text name,
           const struct new_field_rules *rules)
{
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

/* Append the readable text of a part of a name, and empty it. */
static void
flush_readable(struct buf *value, struct buf *part,
               const struct new_field_rules *rules)
{
    struct buf clean;

    buf_init(&clean, READABLE_MAX);
    readable_append_name(&clean, buf_str(part), part->len);
    if (clean.len > 0)
        phrase_append(value, clean.data, clean.len, name_limit(rules),
                      rules->is_smtputf8);
    value->failed |= buf_failed(part) || buf_failed(&clean);
    buf_reset(part);
    buf_clear(&clean);
}

/*
 * Keep the encoded words that are valid but can't be decoded; of all around
 * them, what can be read. False: nothing was right.
 */
static bool
keep_words(struct buf *value, struct new_field_text name,
           const struct new_field_rules *rules)
{
    struct encoded_word word;
    bool is_kept = false;
    size_t done = 0;
    struct buf part;

    name.len = readable_name_len(name.text, name.len);
    buf_init(&part, READABLE_MAX);
    while (encoded_word_find(name.text, name.len, done, &word) &&
           value->len < NEW_FIELD_MAX) {
        const char *text = name.text + word.at;

        readable_append_unquoted(&part, name.text + done, word.at - done);
        done = word.at + word.len;
        if (encoded_word_decode_utf8(&word, &part))
            continue;
        flush_readable(value, &part, rules);
        if (!from_field_is_phrase(text, word.len))
            continue;
        phrase_append_word(value, text, word.len, name_limit(rules));
        is_kept = true;
    }
    readable_append_unquoted(&part, name.text + done, name.len - done);
    flush_readable(value, &part, rules);
    buf_clear(&part);
    append_mailbox(value, rules->mailbox);
    if (is_kept && is_accepted(value, rules->mailbox))
        return true;
    buf_reset(value);
    return false;
}

/* Put in what the template makes of the name. False when it is not for it. */
static bool
use_template(struct buf *value, struct buf *name,
             const struct new_field_rules *rules)
{
    bool is_due = rules->name_template != NULL &&
                  (name->len == 0 || rules->is_template_for_all);

    if (!is_due || !fill_template(name, rules))
        return false;
    make_any_phrase(value, name, rules);
    return true;
}

/* One try after the other, the best one first. `readable` is scratch space. */
static void
compose_name(struct buf *value, struct new_field_text old,
             const struct from_field *field, struct new_field_text name,
             const struct new_field_rules *rules, struct buf *readable)
{
    bool is_whole = false;

    if (rules->name_template != NULL) {
        is_whole = readable_decode_name(readable, name.text, name.len);
        if (is_whole && use_template(value, readable, rules))
            return;
    }
    if (keep_bytes(value, old, field, name, rules))
        return;
    if (rules->name_template == NULL)
        is_whole = readable_decode_name(readable, name.text, name.len);
    if (!is_whole && keep_words(value, name, rules))
        return;
    if (!use_template(value, readable, rules))
        make_any_phrase(value, readable, rules);
}

static void
compose_from(struct buf *value, struct new_field_text old,
             const struct new_field_rules *rules)
{
    struct new_field_text name;
    struct from_field field;
    struct buf readable;
    struct buf both;

    buf_init(&both, (size_t)2 * FROM_FIELD_MAX);
    buf_init(&readable, READABLE_MAX);
    from_field_parse(old.text, old.len, &field);
    name = find_name(old, &field, &both);
    compose_name(value, old, &field, name, rules, &readable);
    value->failed |= buf_failed(&readable) || buf_failed(&both);
    buf_clear(&readable);
    buf_clear(&both);
}

void
new_field_from(struct buf *out, struct new_field_text old,
               const struct new_field_rules *rules)
{
    struct buf value;

    if (old.text == NULL)
        old = (struct new_field_text){"", 0};
    buf_init(&value, READABLE_MAX);
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

    buf_init(&text, READABLE_MAX + 2 * count);
    buf_init(&value, NEW_FIELD_MAX);
    for (size_t i = 0; i < count && text.len < NEW_FIELD_MAX; i++) {
        if (text.len > 0)
            buf_append_str(&text, ", ");
        readable_append(&text, old[i].text, old[i].len);
    }
    append_unstructured(&value, buf_str(&text), text.len,
                        NEW_FIELD_MAX - TRACE_LABEL);
    buf_append(out, buf_str(&value), value.len);
    out->failed |= buf_failed(&text) || buf_failed(&value);
    buf_clear(&value);
    buf_clear(&text);
}
