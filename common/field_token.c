/*
 * field_token - the tokens of a field that holds addresses, at the outer level.
 */
#include "common/field_token.h"

#include <stdbool.h>
#include <string.h>

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool
is_special(char c)
{
    return c != '\0' && strchr("()<>[]:;\\,\"", c) != NULL;
}

/* The end of a quoted string that begins at `at`, or 0 when it has none. */
static size_t
quoted_end(const char *text, size_t len, size_t at)
{
    for (size_t i = at + 1; i < len; i++) {
        if (text[i] == '\\')
            i++;
        else if (text[i] == '"')
            return i + 1;
    }
    return 0;
}

/* The same for a comment; comments nest. */
static size_t
comment_end(const char *text, size_t len, size_t at)
{
    size_t depth = 0;

    for (size_t i = at; i < len; i++) {
        if (text[i] == '\\')
            i++;
        else if (text[i] == '(')
            depth++;
        else if (text[i] == ')' && --depth == 0)
            return i + 1;
    }
    return 0;
}

/* The same for < and >. There is none when another < comes first. */
static size_t
angle_end(const char *text, size_t len, size_t at)
{
    size_t i = at + 1;

    while (i < len && text[i] != '<') {
        size_t end = i + 1;

        if (text[i] == '>')
            return end;
        if (text[i] == '"')
            end = quoted_end(text, len, i);
        else if (text[i] == '(')
            end = comment_end(text, len, i);
        if (end == 0)
            return 0;
        i = end;
    }
    return 0;
}

static struct field_token
closed(enum field_token_kind kind, size_t len, size_t at, size_t end)
{
    if (end == 0)
        return (struct field_token){FIELD_TOKEN_OPEN, at, len - at};
    return (struct field_token){kind, at, end - at};
}

struct field_token
field_token_next(const char *text, size_t len, size_t at)
{
    size_t end = at;

    if (at == len)
        return (struct field_token){FIELD_TOKEN_END, at, 0};
    switch (text[at]) {
    case '"':
        return closed(FIELD_TOKEN_QUOTED, len, at, quoted_end(text, len, at));
    case '(':
        return closed(FIELD_TOKEN_COMMENT, len, at, comment_end(text, len, at));
    case '<':
        return closed(FIELD_TOKEN_ANGLE, len, at, angle_end(text, len, at));
    default:
        break;
    }
    if (is_special(text[at]))
        return (struct field_token){FIELD_TOKEN_SPECIAL, at, 1};
    if (is_blank(text[at])) {
        while (end < len && is_blank(text[end]))
            end++;
        return (struct field_token){FIELD_TOKEN_BLANK, at, end - at};
    }
    while (end < len && !is_blank(text[end]) && !is_special(text[end]))
        end++;
    return (struct field_token){FIELD_TOKEN_WORD, at, end - at};
}
