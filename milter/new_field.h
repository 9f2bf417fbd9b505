/*
 * new_field - the values of the fields that are put into a message.
 *
 * Pure. A value is what follows the colon, with its leading blank. Folds are
 * LF and a blank, never CR; no value makes a line or a field of its own. Every
 * field with its name is at most NEW_FIELD_MAX bytes.
 */
#ifndef MILTER_NEW_FIELD_H
#define MILTER_NEW_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

#define NEW_FIELD_MAX 998 /* bytes, name, colon and folds included */

/* Bytes that somebody else owns; may hold anything. */
struct new_field_text {
    const char *text; /* NULL: there is none */
    size_t len;
};

/* What From: becomes. All strings are borrowed. */
struct new_field_rules {
    const char *mailbox; /* the new address */
    bool is_smtputf8;
    const char *name_template; /* see name_template.h; NULL: none */
    bool is_template_for_all;  /* else for senders without a name */
    const char *old_address;   /* for the template; "": not known */
};

/*
 * Append From: with the mailbox as its only address and the display name of the
 * `old` value. Where the old value is well formed its bytes stay, and only the
 * address is replaced. Otherwise the name is what can be read of it, quoted or
 * encoded. A name that is too long is cut between two characters. Bytes that
 * are not ASCII stay only when `is_smtputf8` and when they are UTF-8; else they
 * are read as UTF-8 or, when they are not, as ISO 8859-1, and encoded (RFC
 * 2047).
 *
 * Encoded words that are valid but can't be decoded stay; those of which nobody
 * can say what they hold (early_reading.h) are left out.
 *
 * The template makes a name in place of none, or of all; but a name that can't
 * be decoded stays as it is.
 */
void new_field_from(struct buf *out, struct new_field_text old,
                    const struct new_field_rules *rules);

/*
 * Append X-Original-From: with the `count` old values in a row, ", " between
 * two: printable ASCII, the rest encoded (RFC 2047), cut when it is too long.
 */
void new_field_trace(struct buf *out, const struct new_field_text *old,
                     size_t count);

/* The name of the field that new_field_trace() makes. */
#define NEW_FIELD_TRACE "X-Original-From"

#endif
