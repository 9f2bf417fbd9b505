/*
 * field_token - the tokens of a field that holds addresses (RFC 5322, section
 * 3.2), at the outer level: what is in quotes, comments and brackets is one
 * token each.
 *
 * Pure. Nothing is judged and no byte is passed over, so that the tokens put
 * together are the field.
 */
#ifndef COMMON_FIELD_TOKEN_H
#define COMMON_FIELD_TOKEN_H

#include <stddef.h>

enum field_token_kind {
    FIELD_TOKEN_END,
    FIELD_TOKEN_BLANK,  /* blanks and folds */
    FIELD_TOKEN_WORD,   /* anything but blanks and specials; may hold . and @ */
    FIELD_TOKEN_QUOTED, /* with its quotes */
    FIELD_TOKEN_COMMENT, /* with its parentheses */
    FIELD_TOKEN_ANGLE,   /* with its brackets */
    FIELD_TOKEN_SPECIAL, /* one of ) > [ ] : ; , \ */
    FIELD_TOKEN_OPEN,    /* a quote, comment or bracket that is not closed: the
                            rest */
};

struct field_token {
    enum field_token_kind kind;
    size_t at;
    size_t len;
};

/* The token that begins at `at`, which is at most `len`. */
struct field_token field_token_next(const char *text, size_t len, size_t at);

#endif
