/*
 * rewrite - what has to change in one message.
 *
 * Pure: envelope, fields and policy in, a list of edits out. Knows nothing of
 * milters; whoever has a message in whatever form applies the edits. Applying
 * them and asking again gives none.
 */
#ifndef MILTER_REWRITE_H
#define MILTER_REWRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/ruling.h"
#include "common/sendas.h"
#include "milter/new_field.h"

/* The fields that matter; all others are never looked at. */
enum rewrite_name {
    REWRITE_FROM,
    REWRITE_SENDER,
    REWRITE_RESENT_FROM,
    REWRITE_RESENT_SENDER,
    REWRITE_REPLY_TO,
    REWRITE_TRACE, /* X-Original-From */
    REWRITE_AUTO_SUBMITTED,
    REWRITE_DKIM_SIGNATURE,
    REWRITE_ARC_SEAL,
    REWRITE_ARC_MESSAGE_SIGNATURE,
    REWRITE_ARC_AUTHENTICATION_RESULTS,
    /* From here on only counted: */
    REWRITE_RECEIVED,
    REWRITE_RESENT_DATE,
    REWRITE_RESENT_TO,
    REWRITE_RESENT_CC,
    REWRITE_RESENT_BCC,
    REWRITE_RESENT_REPLY_TO,
    REWRITE_RESENT_MESSAGE_ID,
    REWRITE_NAMES, /* how many there are */
    /* Names that are only written. */
    REWRITE_ORIGINAL_DKIM_SIGNATURE = REWRITE_NAMES,
    REWRITE_ORIGINAL_ARC_SEAL,
    REWRITE_ORIGINAL_ARC_MESSAGE_SIGNATURE,
    REWRITE_ORIGINAL_ARC_AUTHENTICATION_RESULTS,
    REWRITE_WRITTEN, /* how many there are of both */
};

/*
 * Which one is it? Without case and without blanks after the name. False for
 * all others.
 */
bool rewrite_name_find(const char *text, enum rewrite_name *out);
const char *rewrite_name_text(enum rewrite_name name);

/* One field as it came. */
struct rewrite_field {
    enum rewrite_name name;
    bool has_blank; /* before the colon: some readers know no such field */
    struct new_field_text value;
};

/* All that is known of a message. Everything is borrowed. */
struct rewrite_message {
    struct sendas_message envelope; /* its `from` is not looked at */
    /*
     * Who logs in, where that is decided already; NULL: the policy says. A
     * mailbox's title, or an address of a mailbox "@domain".
     */
    const char *mailbox;
    bool is_smtputf8;
    bool is_internal; /* a notice of the mail server: never not permitted */
    const struct rewrite_field *fields; /* in the order of the message */
    size_t field_count;
    /*
     * How many of each name the message has. May be more than there are in
     * `fields`, which then has the first ones: nobody has to keep thousands.
     */
    size_t counts[REWRITE_NAMES];
    size_t all_count; /* of fields of any name; 0: not known */
};

/*
 * What one message may take. Mail servers look for each field from the top of
 * the header, so what edits cost is about the product of the two; and Postfix's
 * cleanup(8) dies of some ten thousand.
 */
#define REWRITE_EDITS_MAX  500   /* of fields */
#define REWRITE_FIELDS_MAX 10000 /* of any name, when any is edited */

enum rewrite_edit_kind {
    REWRITE_EDIT_SENDER, /* the envelope sender becomes `value` */
    REWRITE_EDIT_CHANGE, /* the `index`th field of this name gets `value` */
    REWRITE_EDIT_DELETE, /* the `index`th field of this name goes */
    REWRITE_EDIT_ADD,    /* a field at the end of the header */
};

/*
 * To be applied in the order given. Indexes count from 1 within one name and
 * fall, so it does not matter whether a deletion moves the later ones.
 */
struct rewrite_edit {
    enum rewrite_edit_kind kind;
    enum rewrite_name name;
    size_t index;
    char *value; /* owned by the plan; a field's begins with a blank */
};

struct rewrite_plan {
    struct ruling ruling;
    struct rewrite_edit *edits;
    size_t edit_count;
    size_t edit_capacity;
    size_t field_edits; /* that it would take, also when they are too many */
    size_t all_count;   /* of fields, as in the message */
};

/*
 * Rule on the message, and say what to change: nothing unless From is kept or
 * rewritten. Where that would take more than the limits above the ruling
 * becomes OVERFULL, or HELD for what may not be refused, and nothing changes.
 * `out` must be given back with rewrite_plan_clear() and may not be moved in
 * memory, as the ruling points into itself. Errors: ERR_CONFIG as
 * ruling_make() has it, ERR_SYSTEM when out of memory.
 */
int rewrite_plan(const struct sendas *policy,
                 const struct rewrite_message *message,
                 struct rewrite_plan *out, struct err *err)
    __attribute__((warn_unused_result));

/*
 * What a REJECTED, LOOPING or OVERFULL message's sender is told: a status for
 * the reply 550, and a text that is appended: printable ASCII in one line,
 * without a %, which milters would have to double. Of a HELD one the same text
 * says why; of all others there is none.
 */
const char *rewrite_refusal_status(const struct rewrite_plan *plan);
void rewrite_refusal(const struct rewrite_plan *plan, struct buf *out);

/* Free what it owns and zero it. Twice is fine. */
void rewrite_plan_clear(struct rewrite_plan *plan);

#endif
