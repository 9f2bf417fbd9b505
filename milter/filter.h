/*
 * filter - a message's header as bytes in, what it has to be as bytes out.
 *
 * The same decision and the same edits as in the milter, for those who have the
 * message and not a mail server at the other end. Pure.
 */
#ifndef MILTER_FILTER_H
#define MILTER_FILTER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/sendas.h"
#include "milter/header.h"
#include "milter/message.h"
#include "milter/rewrite.h"

/* What is known beside the message; all of it is borrowed. */
struct filter_envelope {
    const char *sender; /* address, perhaps in brackets; "": the null sender;
                           NULL: not known, and then it is not the null one */
    const char *const *recipients;
    size_t recipient_count;
    const char *daemon;  /* the mail server's listener; NULL: not known */
    const char *login;   /* at the mail server; NULL: none */
    const char *mailbox; /* who sends, when that is decided; NULL: it is not */
    bool has_client;
    struct in6_addr client; /* IPv4 as ::ffff:a.b.c.d */
    bool is_smtputf8;
};

/* One message on its way. */
struct filter {
    struct message message;
    struct rewrite_plan plan;
    bool is_audit;     /* nothing is to be changed */
    size_t stray_line; /* of the header: see there */
    bool has_mark;     /* a byte order mark in front of everything */
};

/*
 * Decide on the message that begins with `header`, which was read from `text`.
 * Takes a reference to `policy`. Start with a zeroed struct; filter_clear()
 * when done, also after a failure. Errors: ERR_CONFIG when the mailbox of the
 * envelope is none, ERR_SYSTEM when out of memory.
 */
int filter_decide(struct filter *filter, struct sendas *policy,
                  const struct filter_envelope *envelope,
                  const struct header *header, const char *text,
                  struct err *err) __attribute__((warn_unused_result));

/* Is the message to be passed on? Not when it is refused or thrown away. */
bool filter_passes(const struct filter *filter);

/*
 * Append the header as it has to be, all that stands before the body: with the
 * edits, without a CR that ends no line, and with the empty line that has to be
 * there. Of a message that is not to be touched, every byte as it is. Errors:
 * ERR_SYSTEM when out of memory.
 */
int filter_write(const struct filter *filter, const struct header *header,
                 const char *text, struct buf *out, struct err *err)
    __attribute__((warn_unused_result));

/* Append the decision and every edit, in words for a person. */
void filter_explain(const struct filter *filter, struct buf *out);

void filter_clear(struct filter *filter);

#endif
