/*
 * config_scan - the shape of a configuration file, before libconfuse reads it.
 */
#include "common/config_scan.h"

#include <stdbool.h>
#include <string.h>

#include "common/util.h"

#define DEPTH_MAX    4  /* sections within sections */
#define NAMES_MAX    32 /* options of one section; no table has as many */
#define NAME_LEN_MAX 64 /* bytes */

enum token {
    TOKEN_NAME, /* a word that may be an option's name */
    TOKEN_WORD, /* any other word */
    TOKEN_STRING,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_EQUALS,
    TOKEN_COMMA,
    TOKEN_PAREN_OPEN,
    TOKEN_PAREN_CLOSE,
    TOKEN_END, /* of the file */
};

enum state {
    STATE_START,      /* at a statement, or the end of the section */
    STATE_NAME,       /* after a statement's name */
    STATE_TITLE,      /* after a section's title */
    STATE_VALUE,      /* after = */
    STATE_LIST,       /* after a list's {, or after a comma in it */
    STATE_LIST_VALUE, /* after a value in a list */
    STATE_ARGUMENT,   /* after ( */
    STATE_ARGUMENT_END,
};

/* What may follow in each state; said to whoever wrote something else. */
static const char *const expected[] = {
    [STATE_START] = "an option's name or a closing } must stand here; is a "
                    "comma, a quote or a { missing before?",
    [STATE_NAME] = "write NAME = VALUE for an option, or NAME \"TITLE\" { for "
                   "a section",
    [STATE_TITLE] = "a section's title is followed by {; an option is written "
                    "NAME = VALUE",
    [STATE_VALUE] = "a value must follow =, in double quotes",
    [STATE_LIST] = "a list holds values in double quotes, with commas between "
                   "them",
    [STATE_LIST_VALUE] = "in a list, a comma or the closing } must follow a "
                         "value",
    [STATE_ARGUMENT] = "write include(\"FILE\")",
    [STATE_ARGUMENT_END] = "write include(\"FILE\")",
};

struct name {
    const char *text; /* not NUL-terminated */
    size_t len;
    unsigned line;
};

struct block {
    unsigned line; /* of its { */
    struct name names[NAMES_MAX];
    size_t name_count;
};

struct scan {
    const char *name; /* of the file */
    char *text;
    size_t len;
    size_t at; /* behind the current token */
    unsigned line;
    unsigned token_line;
    const char *token; /* the current one */
    size_t token_len;
    enum state state;
    struct name statement;
    unsigned list_line;                 /* of its { */
    struct block blocks[DEPTH_MAX + 1]; /* [0] is the file itself */
    size_t depth;
};

static int
fail(const struct scan *scan, struct err *err, unsigned line, const char *text)
{
    return err_set(err, ERR_CONFIG, "%s:%u: %s", scan->name, line, text);
}

static bool
is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || c == '_';
}

static bool
is_word_char(char c)
{
    return is_name_char(c) || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || (c != '\0' && strchr(".:@/-", c) != NULL);
}

/* The `offset`th byte from here on, or NUL behind the end. */
static char
peek(const struct scan *scan, size_t offset)
{
    if (scan->at + offset >= scan->len)
        return '\0';
    return scan->text[scan->at + offset];
}

/* Overwrite a comment that runs to the end of the line. */
static void
blank_line_comment(struct scan *scan)
{
    while (scan->at < scan->len && scan->text[scan->at] != '\n')
        scan->text[scan->at++] = ' ';
}

static int
blank_c_comment(struct scan *scan, struct err *err)
{
    unsigned start = scan->line;
    const char *end =
        memmem(scan->text + scan->at + 2, scan->len - scan->at - 2, "*/", 2);

    if (end == NULL)
        return fail(scan, err, start,
                    "this comment is never closed; end it with */");
    for (end += 2; scan->text + scan->at < end; scan->at++) {
        if (scan->text[scan->at] == '\n')
            scan->line++;
        else
            scan->text[scan->at] = ' ';
    }
    return 0;
}

/* Go to the next token, over blanks and comments. */
static int
skip_blanks(struct scan *scan, struct err *err)
{
    while (scan->at < scan->len) {
        char c = peek(scan, 0);

        if (c == '\n')
            scan->line++;
        if (c == ' ' || c == '\t' || c == '\n') {
            scan->at++;
        } else if (c == '#' || (c == '/' && peek(scan, 1) == '/')) {
            blank_line_comment(scan);
        } else if (c == '/' && peek(scan, 1) == '*') {
            if (blank_c_comment(scan, err) < 0)
                return -1;
        } else {
            break;
        }
    }
    return 0;
}

/* One byte or escape inside of a string; moves behind it. */
static int
take_string_char(struct scan *scan, char quote, struct err *err)
{
    char c = peek(scan, 0);

    if (c == '\0' || c == '\n')
        return fail(scan, err, scan->line,
                    "this string is not closed on its line; a quote is "
                    "missing");
    if (c == '$' && peek(scan, 1) == '{')
        return fail(scan, err, scan->line,
                    "${...} is not replaced in this file; write the value "
                    "itself");
    if (c == '\\') {
        char escaped = peek(scan, 1);

        if (escaped != '\\' && escaped != quote)
            return fail(scan, err, scan->line,
                        "in a string, \\ may stand before a quote or another "
                        "\\ only; write \\\\ for one \\");
        scan->at++;
    }
    scan->at++;
    return 0;
}

static int
take_string(struct scan *scan, enum token *out, struct err *err)
{
    char quote = scan->text[scan->at++];

    while (peek(scan, 0) != quote)
        if (take_string_char(scan, quote, err) < 0)
            return -1;
    scan->at++;
    *out = TOKEN_STRING;
    return 0;
}

static int
take_word(struct scan *scan, enum token *out, struct err *err)
{
    bool is_name = true;

    while (is_word_char(peek(scan, 0))) {
        is_name = is_name && is_name_char(peek(scan, 0));
        scan->at++;
    }
    if (scan->text + scan->at == scan->token)
        return fail(scan, err, scan->line,
                    "a character that means nothing here; write values in "
                    "double quotes, and lists as NAME = {\"A\", \"B\"}");
    *out = is_name && scan->text + scan->at - scan->token <= NAME_LEN_MAX
               ? TOKEN_NAME
               : TOKEN_WORD;
    return 0;
}

/* Set the token's place and kind. */
static int
next_token(struct scan *scan, enum token *out, struct err *err)
{
    static const char signs[] = "{}=,()";
    static const enum token sign_tokens[] = {
        TOKEN_OPEN,  TOKEN_CLOSE,      TOKEN_EQUALS,
        TOKEN_COMMA, TOKEN_PAREN_OPEN, TOKEN_PAREN_CLOSE,
    };
    const char *sign;
    char c;
    int rc = 0;

    if (skip_blanks(scan, err) < 0)
        return -1;
    scan->token = scan->text + scan->at;
    scan->token_line = scan->line;
    c = peek(scan, 0);
    sign = c == '\0' ? NULL : strchr(signs, c);
    if (c == '\0') {
        *out = TOKEN_END;
    } else if (sign != NULL) {
        *out = sign_tokens[sign - signs];
        scan->at++;
    } else if (c == '"' || c == '\'') {
        rc = take_string(scan, out, err);
    } else {
        rc = take_word(scan, out, err);
    }
    scan->token_len = (size_t)(scan->text + scan->at - scan->token);
    if (rc == 0 && scan->token_len > CONFIG_SCAN_STRING_MAX)
        return fail(scan, err, scan->token_line,
                    "this value is longer than 4096 bytes");
    return rc;
}

/* The statement is an option: is it the first of its name in its section? */
static int
note_option(struct scan *scan, struct err *err)
{
    struct block *block = &scan->blocks[scan->depth];
    const struct name *name = &scan->statement;

    for (size_t i = 0; i < block->name_count; i++)
        if (block->names[i].len == name->len &&
            memcmp(block->names[i].text, name->text, name->len) == 0)
            return err_set(err, ERR_CONFIG,
                           "%s:%u: %.*s is already set in line %u; keep one "
                           "of the two",
                           scan->name, name->line, (int)name->len, name->text,
                           block->names[i].line);
    /* With more names than any table has, one of them is unknown anyway. */
    if (block->name_count < NAMES_MAX)
        block->names[block->name_count++] = *name;
    return 0;
}

static int
open_block(struct scan *scan, struct err *err)
{
    struct block *block;

    if (scan->depth == DEPTH_MAX)
        return fail(scan, err, scan->token_line,
                    "sections are nested too deeply; is a } missing before?");
    block = &scan->blocks[++scan->depth];
    block->line = scan->token_line;
    block->name_count = 0;
    return 0;
}

static int
close_block(struct scan *scan, struct err *err)
{
    if (scan->depth == 0)
        return fail(scan, err, scan->token_line,
                    "this } closes nothing; remove it, or is a { missing "
                    "before?");
    scan->depth--;
    return 0;
}

/* The file ended although something is open. */
static int
fail_end(const struct scan *scan, struct err *err)
{
    if (scan->state == STATE_LIST || scan->state == STATE_LIST_VALUE)
        return fail(scan, err, scan->list_line,
                    "this list is never closed; a } is missing");
    if (scan->state != STATE_START)
        return fail(scan, err, scan->token_line, expected[scan->state]);
    return fail(scan, err, scan->blocks[scan->depth].line,
                "this { is never closed; a } is missing");
}

/* What may follow what. A name is a word, and both are values. */
static const struct move {
    enum state state;
    enum token token;
    enum state next;
} moves[] = {
    {STATE_START, TOKEN_NAME, STATE_NAME},
    {STATE_START, TOKEN_CLOSE, STATE_START},
    {STATE_NAME, TOKEN_EQUALS, STATE_VALUE},
    {STATE_NAME, TOKEN_OPEN, STATE_START},
    {STATE_NAME, TOKEN_PAREN_OPEN, STATE_ARGUMENT},
    {STATE_NAME, TOKEN_STRING, STATE_TITLE},
    {STATE_NAME, TOKEN_WORD, STATE_TITLE},
    {STATE_NAME, TOKEN_NAME, STATE_TITLE},
    {STATE_TITLE, TOKEN_OPEN, STATE_START},
    {STATE_VALUE, TOKEN_STRING, STATE_START},
    {STATE_VALUE, TOKEN_WORD, STATE_START},
    {STATE_VALUE, TOKEN_NAME, STATE_START},
    {STATE_VALUE, TOKEN_OPEN, STATE_LIST},
    {STATE_LIST, TOKEN_STRING, STATE_LIST_VALUE},
    {STATE_LIST, TOKEN_WORD, STATE_LIST_VALUE},
    {STATE_LIST, TOKEN_NAME, STATE_LIST_VALUE},
    {STATE_LIST, TOKEN_CLOSE, STATE_START},
    {STATE_LIST_VALUE, TOKEN_COMMA, STATE_LIST},
    {STATE_LIST_VALUE, TOKEN_CLOSE, STATE_START},
    {STATE_ARGUMENT, TOKEN_STRING, STATE_ARGUMENT_END},
    {STATE_ARGUMENT_END, TOKEN_PAREN_CLOSE, STATE_START},
};

/* What a move means beside its next state. */
static int
act(struct scan *scan, const struct move *move, struct err *err)
{
    if (move->next == STATE_NAME)
        scan->statement =
            (struct name){scan->token, scan->token_len, scan->token_line};
    if (move->next == STATE_VALUE)
        return note_option(scan, err);
    if (move->state == STATE_VALUE && move->next == STATE_LIST)
        scan->list_line = scan->token_line;
    else if (move->token == TOKEN_OPEN)
        return open_block(scan, err);
    if (move->state == STATE_START && move->token == TOKEN_CLOSE)
        return close_block(scan, err);
    return 0;
}

static int
step(struct scan *scan, enum token token, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        const struct move *move = &moves[i];

        if (move->state != scan->state || move->token != token)
            continue;
        scan->state = move->next;
        return act(scan, move, err);
    }
    return fail(scan, err, scan->token_line, expected[scan->state]);
}

int
/* Comments are overwritten by way of scan.text. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
config_scan(const char *name, char *text, size_t len, struct err *err)
{
    struct scan scan = {.name = name, .text = text, .len = len, .line = 1};
    enum token token = TOKEN_END;

    for (;;) {
        if (next_token(&scan, &token, err) < 0)
            return -1;
        if (token == TOKEN_END)
            break;
        if (step(&scan, token, err) < 0)
            return -1;
    }
    if (scan.state != STATE_START || scan.depth > 0)
        return fail_end(&scan, err);
    return 0;
}
