/*
 * message - what we know of one message, gathered until its end.
 *
 * Keeps only the fields that matter, and of these only so many: the rest is
 * counted, which is enough to delete it. So a message takes at most about 1 MiB
 * whatever is sent. Out of memory is remembered, and said at the end, because
 * nobody is told anything before.
 */
#ifndef MILTER_MESSAGE_H
#define MILTER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sendas.h"
#include "milter/rewrite.h"

#define MESSAGE_FIELDS_MAX     16              /* kept of each name */
#define MESSAGE_BYTES_MAX      ((size_t)65536) /* kept of each name */
#define MESSAGE_RECIPIENTS_MAX 10000

/* A list of strings that it owns. */
struct message_texts {
    char **items;
    size_t count;
};

struct message {
    struct sendas *policy; /* owned; NULL between two messages */
    char *sender;          /* owned; without brackets, "" for the null sender */
    char *login;           /* owned; NULL: none, or not known */
    char *daemon;          /* owned; the listener's name; NULL: not known */
    struct message_texts recipients;
    struct message_texts values;  /* what `fields` points to */
    struct rewrite_field *fields; /* owned */
    size_t field_count;
    size_t bytes[REWRITE_NAMES]; /* of text in `values` */
    size_t counts[REWRITE_NAMES];
    size_t all_count; /* of fields, those of other names included */
    bool is_smtputf8;
    bool is_internal; /* a notice of the mail server itself */
    bool has_failed;  /* out of memory: no decision can be made */
};

/*
 * Begin one, in a zeroed or cleared struct. Takes the reference to `policy`.
 * `arguments` are those of MAIL, ended by NULL: the path, with or without
 * brackets, then the parameters.
 */
void message_begin(struct message *message, struct sendas *policy,
                   char *const *arguments);

/* Forget it all and zero the struct. Twice is fine. */
void message_clear(struct message *message);

/*
 * What the mail server tells at MAIL in its macros i and {client_port}; NULL:
 * nothing. A notice of Postfix itself has a queue id and the port 0, which no
 * SMTP client can bring about. Without this call a message is not internal.
 */
void message_set_origin(struct message *message, const char *queue_id,
                        const char *client_port);

/* The SASL login; NULL: none. Copies. */
void message_set_login(struct message *message, const char *login);

/* The name of the listener it came by; NULL: not known. Copies. */
void message_set_daemon(struct message *message, const char *name);

/* One more recipient, as a path. Copies. */
void message_add_recipient(struct message *message, const char *path);

/*
 * One more field; `value` is all that follows the colon, leading blank and
 * folds (LF and a blank) included. Copies.
 */
void message_add_field(struct message *message, const char *name,
                       const char *value);

/* One more field, of a name that does not matter. */
void message_add_other(struct message *message);

/* As message_add_field(), for a value of any bytes. */
void message_add_bytes(struct message *message, const char *name,
                       const char *value, size_t len);

/*
 * The same for rewrite_plan(). Borrowed: until the message changes. The client
 * is not known here; the caller fills it in.
 */
void message_view(const struct message *message, struct rewrite_message *out);

/* May it be refused? Not a bounce, nor what the mail server made itself. */
bool message_may_be_refused(const struct message *message);

#endif
