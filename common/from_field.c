/*
 * from_field - the value of From: and its like, read without changing a byte.
 *
 *     field   = [CFWS] [phrase] "<" addr-spec ">" [CFWS]
 *             / [CFWS] addr-spec [CFWS]
 *     phrase  = 1*(atom / "." / quoted-string / comment / FWS)
 *
 * One pass over the tokens at the outer level only counts what is there; what
 * the field is follows from the counts. A token is never looked into twice, so
 * the cost is linear.
 */
#include "common/from_field.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/encoded_word.h"
#include "common/field_token.h"
#include "common/utf8.h"

#define LABEL_LEN 5 /* bytes of `From:`, which share the first line */

/* What the field is made of, at the outer level. */
struct census {
    size_t words;       /* words and quoted strings */
    size_t words_after; /* the same, after the first < > */
    size_t at_words;    /* words with an @ */
    size_t angles;
    size_t separators; /* , and ; */
    bool has_colon;
    bool has_odd_special; /* one that no phrase and no list has */
    bool has_open;        /* something is not closed */
    bool has_suspicious;  /* see is_suspicious(), is_stray() */
    bool has_hidden_at;   /* an @ in a quoted string or comment */
    bool has_hidden_mark; /* in one, what parts an address from a name */
    bool starts_with_dot;
    struct field_token angle;   /* the first one */
    struct field_token at_word; /* the first one */
    struct field_token comment; /* the first one */
    struct field_token first;   /* the first word or special */
    size_t name_end;            /* end of the last word or special before < > */
    size_t part_end; /* the first separator or colon, or < or the end */
};

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool
has_any(const char *text, size_t len, const char *set)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] != '\0' && strchr(set, text[i]) != NULL)
            return true;
    return false;
}

/* What the encoded words of a field stand for, seen byte by byte. */
struct decoded {
    bool is_iso2022; /* this word is in a charset that shifts */
    bool is_shifted; /* its bytes are not ASCII at the moment */
    bool is_utf8;    /* this word is in UTF-8 */
    uint32_t last;   /* the last three bytes, the newest one lowest */
    int escape;      /* bytes seen of an escape sequence, ESC included */
    char escape_set; /* the byte after ESC */
    bool has_control;
    bool has_at;
    bool has_mark; /* one that ends a name or parts a list */
};

/*
 * ISO-2022 switches between ASCII and sets whose bytes look like ASCII by
 * `ESC ( B` (or J) and `ESC $ x` or `ESC $ ( x`. Only what is ASCII counts, so
 * that no Japanese name seems to hold brackets. True when `byte` is none.
 */
static bool
is_shifted(struct decoded *seen, char byte)
{
    if (byte == '\033') {
        seen->escape = 1;
    } else if (seen->escape == 1) {
        seen->escape_set = byte;
        seen->escape = 2;
    } else if (seen->escape == 2 && (seen->escape_set != '$' || byte != '(')) {
        seen->is_shifted =
            seen->escape_set != '(' || (byte != 'B' && byte != 'J');
        seen->escape = 0;
    } else if (seen->escape == 2) {
        seen->escape_set = byte;
    } else {
        return seen->is_shifted;
    }
    return true;
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

static void
see_byte(char byte, void *arg)
{
    struct decoded *seen = arg;

    if (seen->is_iso2022 && is_shifted(seen, byte))
        return;
    seen->has_control |= (unsigned char)byte < ' ' || byte == '\177';
    seen->last = seen->last << 8 | (unsigned char)byte;
    seen->has_control |= seen->is_utf8 && ends_with_control(seen->last);
    seen->has_at |= byte == '@';
    seen->has_mark |= byte != '\0' && strchr("<>,;\"\\", byte) != NULL;
}

/*
 * Do the encoded words in it, all together and with what is quoted, stand for
 * control bytes or for something that a reader who decodes too early takes for
 * an address or for the end of the name? UTF-7 can't be judged and counts as
 * such.
 */
static bool
hides_address(const struct census *census, const char *text, size_t len)
{
    struct encoded_word word = {0};
    struct decoded seen = {.has_at = census->has_hidden_at,
                           .has_mark = census->has_hidden_mark};

    while (encoded_word_find(text, len, word.at + word.len, &word)) {
        seen.is_iso2022 = word.charset_len > 9 &&
                          strncasecmp(word.charset, "iso-2022-", 9) == 0;
        seen.is_utf8 = encoded_word_is_charset(&word, "utf-8");
        seen.is_shifted = false;
        seen.escape = 0;
        encoded_word_decode(&word, see_byte, &seen);
        if (seen.has_control || (seen.has_at && seen.has_mark) ||
            encoded_word_is_charset(&word, "utf-7"))
            return true;
    }
    return false;
}

/* Could a careless reader find an address in this quoted string or comment? */
static bool
is_suspicious(const char *text, const struct field_token *token)
{
    const char *inside = text + token->at + 1;
    size_t len = token->len - 2;

    if (token->kind == FIELD_TOKEN_COMMENT)
        return has_any(inside, len, "()<>@\"\\");
    return has_any(inside, len, "@") && has_any(inside, len, "<>\\");
}

/*
 * Is there a `=?` in this token that one reader takes for plain text and
 * another for the beginning of an encoded word, which for some goes on through
 * blanks, quotes and brackets up to the next `?=`?
 */
static bool
is_stray(const char *text, size_t len, const struct field_token *token)
{
    size_t end = token->at + token->len;

    if (token->kind != FIELD_TOKEN_WORD)
        return !encoded_word_all_valid(text + token->at + 1, token->len - 2);
    if (memmem(text + token->at, token->len, "=?", 2) == NULL)
        return false;
    return !encoded_word_all_valid(text + token->at, token->len) ||
           (token->at > 0 && !is_blank(text[token->at - 1])) ||
           (end < len && !is_blank(text[end]) && text[end] != '<');
}

static void
stretch_name(struct census *census, const struct field_token *token)
{
    if (census->angles > 0)
        return;
    if (census->name_end == 0)
        census->first = *token;
    census->name_end = token->at + token->len;
}

static void
count_special(struct census *census, char c, const struct field_token *token)
{
    stretch_name(census, token);
    if (c == ',' || c == ';')
        census->separators++;
    else if (c == ':')
        census->has_colon = true;
    else
        census->has_odd_special = true;
    if (strchr(",;:", c) != NULL && token->at < census->part_end)
        census->part_end = token->at;
}

static void
count_word(struct census *census, const char *text, size_t len,
           const struct field_token *token)
{
    bool has_at = token->kind == FIELD_TOKEN_WORD &&
                  memchr(text + token->at, '@', token->len) != NULL;

    if (census->words == 0 && text[token->at] == '.')
        census->starts_with_dot = true;
    if (has_at && census->at_words++ == 0)
        census->at_word = *token;
    /* What an address may hold is another question. */
    census->has_suspicious |= !has_at && is_stray(text, len, token);
    census->words++;
    census->words_after += census->angles > 0;
    stretch_name(census, token);
}

static void
look_inside(struct census *census, const char *text,
            const struct field_token *token)
{
    const char *inside = text + token->at + 1;
    size_t len = token->len - 2;

    census->has_suspicious |= is_suspicious(text, token);
    census->has_hidden_at |= has_any(inside, len, "@");
    census->has_hidden_mark |= has_any(inside, len, "<>\\");
}

static void
count_angle(struct census *census, const struct field_token *token)
{
    if (census->angles++ == 0) {
        census->angle = *token;
        if (token->at < census->part_end)
            census->part_end = token->at;
    }
}

static void
count_token(struct census *census, const char *text, size_t len,
            const struct field_token *token)
{
    switch (token->kind) {
    case FIELD_TOKEN_WORD:
        count_word(census, text, len, token);
        break;
    case FIELD_TOKEN_QUOTED:
        count_word(census, text, len, token);
        look_inside(census, text, token);
        break;
    case FIELD_TOKEN_COMMENT:
        if (census->comment.len == 0)
            census->comment = *token;
        census->has_suspicious |= is_stray(text, len, token);
        look_inside(census, text, token);
        break;
    case FIELD_TOKEN_ANGLE:
        count_angle(census, token);
        break;
    case FIELD_TOKEN_SPECIAL:
        count_special(census, text[token->at], token);
        break;
    case FIELD_TOKEN_OPEN:
        census->has_open = true;
        break;
    case FIELD_TOKEN_BLANK:
    case FIELD_TOKEN_END:
        break;
    }
}

static void
take_census(const char *text, size_t len, struct census *out)
{
    struct field_token token = {0};

    *out = (struct census){.part_end = len};
    do {
        token = field_token_next(text, len, token.at + token.len);
        count_token(out, text, len, &token);
    } while (token.kind != FIELD_TOKEN_END);
    /* The brackets are looked at by themselves. */
    out->has_suspicious |=
        hides_address(out, text, out->angles > 0 ? out->angle.at : len) ||
        (out->angles > 0 &&
         hides_address(out, text + out->angle.at, len - out->angle.at));
}

/* Controls that are not ASCII, in UTF-8. */
static bool
has_wide_control(const char *text, size_t len)
{
    size_t taken;

    for (size_t i = 0; i < len; i += taken) {
        uint32_t code = 0;

        taken = utf8_next(text + i, len - i, &code);
        if (taken > 1 && utf8_is_control(code))
            return true;
        if (taken == 0)
            taken = 1;
    }
    return false;
}

/* Control bytes, and folds that do not go on with text (RFC 5322, 2.2.3). */
static bool
has_bad_bytes(const char *text, size_t len)
{
    bool has_content = true; /* the first line may be empty */

    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte == '\n') {
            if (!has_content || i + 1 == len ||
                (text[i + 1] != ' ' && text[i + 1] != '\t'))
                return true;
            has_content = false;
        } else if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            return true;
        } else if (byte != ' ' && byte != '\t') {
            has_content = true;
        }
    }
    return !has_content || has_wide_control(text, len);
}

static bool
has_long_line(const char *text, size_t len)
{
    size_t column = LABEL_LEN;

    for (size_t i = 0; i < len; i++) {
        column = text[i] == '\n' ? 0 : column + 1;
        if (column > FROM_FIELD_LINE_MAX)
            return true;
    }
    return false;
}

/* Is the address one that every reader takes for the same, and if not, why? */
static enum from_field_kind
judge_address(const char *text, size_t len)
{
    const char *at = memchr(text, '@', len);

    if (at == NULL)
        return FROM_FIELD_NO_ADDRESS;
    if (text[0] == '@')
        return FROM_FIELD_ROUTE;
    if (text[0] == '"')
        return FROM_FIELD_QUOTED_LOCAL;
    if (len > ADDRESS_MAX || !address_is_valid(text, len) ||
        !utf8_is_valid(text, len))
        return FROM_FIELD_BAD_ADDRESS;
    /* Old routing marks, and what looks like an encoded word. */
    if (has_any(text, (size_t)(at - text), "%!") ||
        memmem(text, len, "=?", 2) != NULL)
        return FROM_FIELD_BAD_ADDRESS;
    return FROM_FIELD_PLAIN;
}

static void
set_address(struct from_field *out, const char *text)
{
    const char *spot = text + out->spot.at;

    if (judge_address(spot, out->spot.len) != FROM_FIELD_PLAIN)
        return;
    memcpy(out->address, spot, out->spot.len);
    out->address[out->spot.len] = '\0';
    out->is_address_ascii = utf8_is_ascii(spot, out->spot.len);
}

/* What is wrong with the words before and after the brackets, if anything? */
static enum from_field_kind
judge_around(const struct census *census)
{
    if (census->has_open || census->has_odd_special || census->starts_with_dot)
        return FROM_FIELD_UNPARSABLE;
    if (census->has_colon)
        return FROM_FIELD_GROUP;
    if (census->separators > 0 || census->angles > 1)
        return FROM_FIELD_SEVERAL;
    if (census->at_words > 0 || census->words_after > 0 ||
        census->has_suspicious)
        return FROM_FIELD_AMBIGUOUS;
    return FROM_FIELD_PLAIN;
}

static void
judge_bracketed(const char *text, const struct census *census,
                struct from_field *out)
{
    out->has_brackets = true;
    out->spot.at = census->angle.at + 1;
    out->spot.len = census->angle.len - 2;
    if (census->angles == 1 && census->words_after == 0)
        set_address(out, text);
    out->kind = judge_around(census);
    out->may_splice = out->kind == FROM_FIELD_PLAIN;
    if (out->may_splice)
        out->kind = judge_address(text + out->spot.at, out->spot.len);
}

/* A field without brackets that has at least one @ outside of quotes. */
static void
judge_bare(const char *text, const struct census *census,
           struct from_field *out)
{
    struct census others = *census;

    out->spot.at = census->at_word.at;
    out->spot.len = census->at_word.len;
    others.at_words--;
    others.starts_with_dot = false;
    out->kind = judge_around(&others);
    if (out->kind != FROM_FIELD_PLAIN && out->kind != FROM_FIELD_AMBIGUOUS)
        return;
    if (census->at_words == 1)
        set_address(out, text);
    if (census->words > 1)
        out->kind = census->first.kind == FIELD_TOKEN_QUOTED &&
                            text[census->at_word.at] == '@'
                        ? FROM_FIELD_QUOTED_LOCAL
                        : FROM_FIELD_AMBIGUOUS;
    out->may_splice = out->kind == FROM_FIELD_PLAIN;
    if (out->may_splice)
        out->kind = judge_address(text + out->spot.at, out->spot.len);
}

/* What there is of the name before `end`, without blanks at the end. */
static struct from_field_span
name_until(const char *text, const struct census *census, size_t end)
{
    struct from_field_span name = {census->first.at, 0};

    if (end > census->name_end)
        end = census->name_end;
    while (end > name.at && is_blank(text[end - 1]))
        end--;
    if (end > name.at)
        name.len = end - name.at;
    return name;
}

/* Of a field that is not closed somewhere: what stands before the first <. */
static struct from_field_span
name_of_rest(const char *text, size_t len)
{
    const char *bracket = memchr(text, '<', len);
    struct from_field_span name = {0, 0};

    if (bracket != NULL)
        len = (size_t)(bracket - text);
    while (name.at < len && is_blank(text[name.at]))
        name.at++;
    while (len > name.at && is_blank(text[len - 1]))
        len--;
    name.len = len - name.at;
    return name;
}

/*
 * Where the display name is. `Doe, John <a@b>` is taken for one name, as it is
 * what was meant; in a real list it is the name of the first member or of the
 * group.
 */
static struct from_field_span
find_name(const char *text, size_t len, const struct census *census)
{
    bool is_one =
        census->angles == 1 && census->words_after == 0 &&
        (census->at_words == 0 || census->separators == 0) &&
        memchr(text + census->angle.at, ';', len - census->angle.at) == NULL;

    if (census->has_open)
        return name_of_rest(text, len);
    if (is_one)
        return name_until(text, census, census->angle.at);
    if (census->at_words == 0 || census->at_word.at > census->part_end)
        return name_until(text, census, census->part_end);
    /* `Name a@b`; but not `"a b"@c`, which is no name. */
    if (census->at_word.at > 0 && !is_blank(text[census->at_word.at - 1]))
        return (struct from_field_span){0, 0};
    return name_until(text, census, census->at_word.at);
}

void
from_field_parse(const char *text, size_t len, struct from_field *out)
{
    struct census census;

    *out = (struct from_field){.kind = FROM_FIELD_TOO_LONG};
    if (len > FROM_FIELD_MAX)
        return;
    take_census(text, len, &census);
    out->name = find_name(text, len, &census);
    if (census.comment.len > 2) {
        out->comment.at = census.comment.at + 1;
        out->comment.len = census.comment.len - 2;
    }
    if (census.angles > 0)
        judge_bracketed(text, &census, out);
    else if (census.at_words > 0)
        judge_bare(text, &census, out);
    else
        out->kind = judge_around(&census);
    if (census.angles == 0 && census.at_words == 0 &&
        (out->kind == FROM_FIELD_PLAIN || out->kind == FROM_FIELD_AMBIGUOUS))
        out->kind =
            census.words == 0 ? FROM_FIELD_EMPTY : FROM_FIELD_NO_ADDRESS;
    if (has_bad_bytes(text, len))
        out->kind = FROM_FIELD_BAD_BYTES;
    else if (has_long_line(text, len))
        out->kind = FROM_FIELD_TOO_LONG;
    else
        return;
    out->may_splice = false;
}

const char *
from_field_kind_text(enum from_field_kind kind)
{
    switch (kind) {
    case FROM_FIELD_PLAIN:
        return "one plain address";
    case FROM_FIELD_EMPTY:
        return "no content";
    case FROM_FIELD_NO_ADDRESS:
        return "no address with a domain";
    case FROM_FIELD_SEVERAL:
        return "several addresses";
    case FROM_FIELD_GROUP:
        return "a group";
    case FROM_FIELD_ROUTE:
        return "a source route";
    case FROM_FIELD_QUOTED_LOCAL:
        return "a quoted local part";
    case FROM_FIELD_BAD_ADDRESS:
        return "an address that is not plain";
    case FROM_FIELD_AMBIGUOUS:
        return "more than one reading";
    case FROM_FIELD_UNPARSABLE:
        return "a syntax error";
    case FROM_FIELD_BAD_BYTES:
        return "control bytes or an empty line";
    case FROM_FIELD_TOO_LONG:
        return "too many bytes";
    }
    return "";
}

bool
from_field_is_phrase(const char *text, size_t len)
{
    struct census census;

    if (len > FROM_FIELD_MAX || has_bad_bytes(text, len))
        return false;
    take_census(text, len, &census);
    return census.words > 0 && census.angles == 0 &&
           judge_around(&census) == FROM_FIELD_PLAIN;
}

bool
from_field_next(const char *text, size_t len, size_t *at,
                struct from_field_span *member)
{
    struct field_token token;
    size_t from = *at;

    if (from >= len)
        return false;
    do {
        token = field_token_next(text, len, *at);
        *at = token.at + token.len;
    } while (token.kind != FIELD_TOKEN_END &&
             (token.kind != FIELD_TOKEN_SPECIAL ||
              strchr(",;:", text[token.at]) == NULL));
    member->at = from;
    member->len = token.at - from;
    return true;
}
