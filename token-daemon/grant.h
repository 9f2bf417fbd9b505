/*
 * grant - what is posted to a token endpoint, one file per grant.
 *
 * Pure: settings in, a form (application/x-www-form-urlencoded) out. A new
 * grant is a file grant_NAME.c that defines one `struct grant`, a declaration
 * here and a case in grant_find().
 */
#ifndef TOKEN_DAEMON_GRANT_H
#define TOKEN_DAEMON_GRANT_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/config.h"

#define GRANT_BODY_MAX (128 * 1024) /* bytes; an escaped byte takes three */

/* What a form is made of. All borrowed: for the call. */
struct grant_input {
    const char *client_id;
    const char *scope;     /* NULL: none */
    const char *user;      /* NULL where the grant is not per user */
    const char *secret;    /* the client secret; NULL: an assertion is used */
    const char *assertion; /* a client assertion; NULL: a secret is used */
};

struct grant {
    bool is_per_user; /* one token per mailbox, not one per credential */
    /* Append the form. Fails as buf does. */
    void (*build)(const struct grant_input *input, struct buf *body);
};

extern const struct grant grant_client_credentials; /* RFC 6749, 4.4 */

/* The grant of that kind. Never NULL. */
const struct grant *grant_find(enum config_grant kind);

/* Append `name=value`, after a `&` when there is something before. */
void grant_form_add(struct buf *body, const char *name, const char *value);

/*
 * Append how the client proves who it is: client_secret, or the assertion
 * with its type (RFC 7521, section 4.2), or nothing for a public client.
 */
void grant_form_add_client(struct buf *body, const struct grant_input *input);

#endif
