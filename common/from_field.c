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

#include "common/early_reading.h"
#include "common/encoded_word.h"
#include "common/field_token.h"
#include "common/utf8.h"

#define LABEL_LEN 5 /* bytes of `From:`, which share the first line */
#define MAILTO    "mailto:"

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
    bool starts_with_dot;
    struct early_reading_around around;
    struct field_token angle;   /* the first one */
    struct field_token at_word; /* the first one */
    struct field_token comment; /* the first one */
    struct field_token first;   /* the first word or special */
    struct field_token
        after;       /* from the first word after < > to the last one */
    size_t name_end; /* end of the last word or special before < > */
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

/* Could a careless reader find an address in this quoted string or comment? */
static bool
is_suspicious(const char *text, const struct field_token *token)
{
    const char *inside = text + token->at + 1;
    size_t len = token->len - 2;

    if (token->kind == FIELD_TOKEN_COMMENT)
        return has_any(inside, len, "()<>@\"\\,");
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
    stretch_name(census, token);
    if (census->angles == 0)
        return;
    if (census->words_after++ == 0)
        census->after = *token;
    census->after.len = token->at + token->len - census->after.at;
}

static void
look_inside(struct census *census, const char *text,
            const struct field_token *token)
{
    const char *inside = text + token->at + 1;
    size_t len = token->len - 2;

    census->has_suspicious |= is_suspicious(text, token);
    census->around.has_at |= has_any(inside, len, "@");
    census->around.has_mark |= has_any(inside, len, "<>\\");
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
    out->has_suspicious |= early_reading_finds_address(
        text, out->angles > 0 ? out->angle.at : len, out->around);
    if (out->angles > 0)
        out->has_suspicious |= early_reading_finds_address(
            text + out->angle.at, len - out->angle.at, out->around);
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

/*
 * Copy the address without what changes nothing about it: blanks around the @,
 * `mailto:` in front, the dot of a full domain name at the end. The bytes
 * copied, or 0 when there is no @ or they are too many.
 */
static size_t
copy_address(const char *text, size_t len, char out[ADDRESS_MAX + 1])
{
    const char *at = memchr(text, '@', len);
    const char *end = text + len;
    const char *domain;
    const char *local_end;

    if (at == NULL)
        return 0;
    if (len > sizeof(MAILTO) - 1 &&
        strncasecmp(text, MAILTO, sizeof(MAILTO) - 1) == 0)
        text += sizeof(MAILTO) - 1;
    for (local_end = at; local_end > text && is_blank(local_end[-1]);)
        local_end--;
    for (domain = at + 1; domain < end && is_blank(*domain);)
        domain++;
    if (end > domain && end[-1] == '.')
        end--;
    len = (size_t)(local_end - text) + 1 + (size_t)(end - domain);
    if (len > ADDRESS_MAX)
        return 0;
    memcpy(out, text, (size_t)(local_end - text));
    out += local_end - text;
    *out++ = '@';
    memcpy(out, domain, (size_t)(end - domain));
    return len;
}

static void
set_address(struct from_field *out, const char *text)
{
    size_t len = copy_address(text + out->spot.at, out->spot.len, out->address);

    if (len == 0 || judge_address(out->address, len) != FROM_FIELD_PLAIN)
        len = 0;
    out->address[len] = '\0';
    out->is_address_ascii = utf8_is_ascii(out->address, len);
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

/* Blanks around an address in brackets are nothing to any reader. */
static struct from_field_span
trim(const char *text, size_t at, size_t len)
{
    while (len > 0 && is_blank(text[at])) {
        at++;
        len--;
    }
    while (len > 0 && is_blank(text[at + len - 1]))
        len--;
    return (struct from_field_span){at, len};
}

/* `<a@b> Name`: nothing but a name in the wrong place? */
static bool
is_name_after(const struct census *census)
{
    return census->words_after > 0 && census->at_words == 0 &&
           census->separators == 0 && !census->has_colon &&
           !census->has_odd_special && !census->has_open &&
           !census->has_suspicious && !census->around.has_at;
}

static void
judge_bracketed(const char *text, const struct census *census,
                struct from_field *out)
{
    out->has_brackets = true;
    out->spot = trim(text, census->angle.at + 1, census->angle.len - 2);
    if (census->angles == 1 && is_name_after(census))
        out->name_after =
            (struct from_field_span){census->after.at, census->after.len};
    if (census->angles == 1 &&
        (census->words_after == 0 || is_name_after(census)))
        set_address(out, text);
    out->kind = judge_around(census);
    out->may_splice = out->kind == FROM_FIELD_PLAIN;
    if (out->may_splice)
        out->kind = judge_address(text + out->spot.at, out->spot.len);
}

/* Is the only @ outside of quotes in an address, whatever else is there? */
static bool
is_only_address(const struct census *census, enum from_field_kind kind)
{
    if (census->at_words != 1)
        return false;
    if (kind == FROM_FIELD_GROUP) /* not its name */
        return census->at_word.at > census->part_end;
    if (kind == FROM_FIELD_SEVERAL) /* the others are empty */
        return census->words == 1;
    return kind == FROM_FIELD_PLAIN || kind == FROM_FIELD_AMBIGUOUS;
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
    if (is_only_address(census, out->kind))
        set_address(out, text);
    if (out->kind != FROM_FIELD_PLAIN && out->kind != FROM_FIELD_AMBIGUOUS)
        return;
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

/* `mailto:a@b`, which is no group of that name. */
static bool
is_mailto(const char *text, const struct census *census)
{
    size_t len = sizeof(MAILTO) - 1;

    return census->words == 2 && census->at_words == 1 && census->angles == 0 &&
           census->at_word.at >= len &&
           strncasecmp(text + census->at_word.at - len, MAILTO, len) == 0;
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
    if (is_mailto(text, census))
        return (struct from_field_span){0, 0};
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
