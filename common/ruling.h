/*
 * ruling - what becomes of one message: who sends it, and whether it stays as
 * it is, is rewritten, refused or thrown away.
 *
 * Pure. Reads From:, asks sendas for its decision, and adds what a message may
 * have beside its sender: a mailbox that was chosen already, a loop, a bounce.
 * The milter, sendas-filter and `xoauth2ctl sendas check` all answer by it, so
 * that none of them says what another does not do.
 */
#ifndef COMMON_RULING_H
#define COMMON_RULING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/from_field.h"
#include "common/sendas.h"

/*
 * An envelope sender that is none, nor the null sender: for who has to decide
 * without knowing it. No rule for senders covers it.
 */
#define RULING_UNKNOWN_SENDER "?"

/* All that counts of a message. Everything is borrowed. */
struct ruling_message {
    struct sendas_message envelope; /* its `from` is not looked at */
    /*
     * Who logs in, where that is decided already; NULL: the policy says. A
     * mailbox's title, or an address of a mailbox "@domain".
     */
    const char *mailbox;
    bool is_smtputf8;
    bool is_internal;  /* a notice of the mail server: never refused */
    size_t hops;       /* mail servers that have handled it: Received fields */
    size_t from_count; /* From fields */
    const char *from;  /* the value of the first; NULL: too long to be kept */
    size_t from_len;
};

enum ruling_action {
    RULING_EXEMPT,    /* nothing to do with us */
    RULING_KEPT,      /* From stays; other things may change */
    RULING_REWRITTEN, /* From is replaced */
    RULING_REJECTED,  /* refuse it */
    RULING_DISCARDED, /* take it and drop it */
    RULING_LOOPING,   /* refuse it: it goes round */
    /* Nobody rules these: they follow from what the edits would cost. */
    RULING_OVERFULL, /* refuse it: too many fields would have to change */
    RULING_HELD,     /* the same, but it may not be refused: put it aside */
};

struct ruling {
    enum ruling_action action;
    struct sendas_decision decision; /* `login` may be NULL */
    struct from_field from;          /* of the only From:, else no address */
    const char *from_text;  /* what From: was: "one plain address", "missing" */
    const char *new_sender; /* of the envelope; NULL: it stays */
    bool is_mailbox_given;  /* by message->mailbox, not by the policy */
};

/*
 * Rule on a message. `out` may not be moved in memory, as what it decides
 * points into it; it owns nothing. Errors: ERR_CONFIG when message->mailbox is
 * no mailbox, or one whose address the message may not have.
 */
int ruling_make(const struct sendas *policy,
                const struct ruling_message *message, struct ruling *out,
                struct err *err) __attribute__((warn_unused_result));

/* May mail that is sent by the ruling's mailbox carry this address? */
bool ruling_may_carry(const struct sendas *policy, const struct ruling *ruling,
                      const char *address);

/* Has the field one plain address, and one that the message may have? */
bool ruling_is_usable(const struct from_field *field, bool is_smtputf8);

/* "kept", "rewritten" and so on. */
const char *ruling_action_text(enum ruling_action action);

/*
 * Which rule it was, by the names of relay.conf and of sendas_rule_name():
 * "send_as", "route", "default_mailbox".
 */
const char *ruling_rule_name(const struct ruling *ruling);

#endif
