/*
 * from_field - the value of From: and its like, read without changing a byte.
 *
 * Pure. Finds out whether a field holds exactly one plain address, which every
 * reader takes for the same one, and where in the field that address and the
 * display name stand, so that a new address can be put in its place and all
 * other bytes stay. Whatever two readers could understand differently is not
 * plain, valid or not (RFC 5322, section 3.4, without its obsolete forms
 * except for dots in a name).
 *
 * It does not decide who may send as what, and it does not write fields.
 */
#ifndef COMMON_FROM_FIELD_H
#define COMMON_FROM_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/address.h"

#define FROM_FIELD_MAX      60000 /* bytes; Postfix cuts longer ones */
#define FROM_FIELD_LINE_MAX 998   /* bytes; RFC 5322, section 2.1.1 */

enum from_field_kind {
    FROM_FIELD_PLAIN,        /* exactly one address, the same for all readers */
    FROM_FIELD_EMPTY,        /* nothing but blanks and comments */
    FROM_FIELD_NO_ADDRESS,   /* words only, or an address without a domain */
    FROM_FIELD_SEVERAL,      /* a list */
    FROM_FIELD_GROUP,        /* `name: ... ;` */
    FROM_FIELD_ROUTE,        /* `<@a,@b:c@d>` */
    FROM_FIELD_QUOTED_LOCAL, /* `"a b"@c` */
    FROM_FIELD_BAD_ADDRESS,  /* one, but not as address_is_valid() wants it, or
                                with blanks, comments, %, ! or encoded words */
    FROM_FIELD_AMBIGUOUS,    /* something like a second address in the name, a
                                comment or an encoded word; or a `=?` that is
                                no valid encoded word */
    FROM_FIELD_UNPARSABLE,   /* an open quote, bracket or comment, nested
                                brackets, special characters in a name */
    FROM_FIELD_BAD_BYTES,    /* controls (see utf8_is_control()), NUL, or a line
                                without content */
    FROM_FIELD_TOO_LONG,     /* the field or one of its lines */
};

/* A part of the field. A `len` of 0: there is none. */
struct from_field_span {
    size_t at;
    size_t len;
};

struct from_field {
    enum from_field_kind kind;
    /*
     * For PLAIN the address. Otherwise the only address that is there, if it
     * is valid by itself, or but for what changes nothing about it (`mailto:`,
     * blanks around the @, a dot at the end): good enough for a Reply-To; or
     * "".
     */
    char address[ADDRESS_MAX + 1];
    bool is_address_ascii;
    /*
     * Everything is clean but perhaps the address itself: another one in place
     * of `spot` makes the field plain.
     */
    bool may_splice;
    struct from_field_span spot; /* what is between < and > but for blanks at
                                    the ends, or else the bare address */
    bool has_brackets;
    struct from_field_span name; /* as written, outer blanks cut off; perhaps
                                    no valid phrase */
    struct from_field_span name_after; /* words behind the brackets, when they
                                          can only be meant as a name */
    struct from_field_span comment;    /* of a bare address: the first comment
                                          without its parentheses */
};

/* Read the value of a field: what follows the colon, folds as LF and blank. */
void from_field_parse(const char *text, size_t len, struct from_field *out);

/* A few words on the kind, for logs and replies: "several addresses". */
const char *from_field_kind_text(enum from_field_kind kind);

/*
 * May these bytes stand before `<a@b>` as they are, and does nobody find an
 * address in them? (They may hold bytes that are not ASCII.)
 */
bool from_field_is_phrase(const char *text, size_t len);

/*
 * The members of a list: sets *member to the next one at or after *at and moves
 * *at on; false at the end. The name of a group counts as a member.
 */
bool from_field_next(const char *text, size_t len, size_t *at,
                     struct from_field_span *member);

#endif
