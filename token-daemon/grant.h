/*
 * grant - what is sent to get a token, one file per grant.
 *
 * Pure: settings in, a form (application/x-www-form-urlencoded) out. A new
 * grant is a file grant_NAME.c that defines one `struct grant`, a declaration
 * here and a case in grant_find(). What a person's sign-in needs beside that
 * (the code, the device's code) are grants too; login_flow.h uses them.
 */
#ifndef TOKEN_DAEMON_GRANT_H
#define TOKEN_DAEMON_GRANT_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/config.h"

/* An escaped byte takes three. */
#define GRANT_BODY_MAX  ((size_t)128 * 1024) /* bytes */
#define GRANT_SCOPE_MAX 1024                 /* bytes of a resource, with NUL */

/* What a form is made of. All borrowed: for the call. NULL: there is none. */
struct grant_input {
    const char *client_id;
    const char *scope;
    const char *user;      /* NULL where the grant is not per user */
    const char *secret;    /* the client secret; NULL: an assertion is used */
    const char *assertion; /* a client assertion; NULL: a secret is used */

    const char *refresh_token;
    const char *code; /* that the authorisation endpoint gave */
    const char *verifier;
    const char *redirect_uri;
    const char *device_code;
    const char *user_assertion; /* signed for `user`: RFC 7523, section 2.1 */
    const struct config_credential *credential; /* managed_identity only */
};

/* What proves that we are the client. */
enum grant_proof {
    GRANT_PROOF_SECRET,    /* a client secret or a certificate */
    GRANT_PROOF_OPTIONAL,  /* the same, or nothing: a public client */
    GRANT_PROOF_FEDERATED, /* a token of another issuer, as assertion */
    GRANT_PROOF_ACCOUNT,   /* an assertion for the user, by a service account */
    GRANT_PROOF_MACHINE,   /* nothing: the machine is known to who answers */
};

enum grant_endpoint {
    GRANT_ENDPOINT_TOKEN,
    GRANT_ENDPOINT_DEVICE,   /* RFC 8628, section 3.1 */
    GRANT_ENDPOINT_IDENTITY, /* a machine's own: the form is a GET's query */
};

struct grant {
    enum grant_proof proof;
    enum grant_endpoint endpoint;
    bool needs_refresh_token; /* without one nothing is asked */
    /* Append the form. Fails as buf does. */
    void (*build)(const struct grant_input *input, struct buf *body);
};

extern const struct grant grant_client_credentials; /* RFC 6749, 4.4 */
extern const struct grant grant_refresh_token;      /* RFC 6749, 6 */
extern const struct grant grant_authorization_code; /* RFC 6749, 4.1.3 */
extern const struct grant grant_device_request;     /* RFC 8628, 3.1 */
extern const struct grant grant_device_code;        /* RFC 8628, 3.4 */
extern const struct grant grant_managed_identity;   /* Azure's */
extern const struct grant grant_workload_identity;  /* RFC 7521, 4.2 */
extern const struct grant grant_service_account;    /* RFC 7523, 2.1 */

/*
 * What gets an access token without a person, for a credential of that kind:
 * for the kinds that need a login it is grant_refresh_token. Never NULL.
 */
const struct grant *grant_find(enum config_grant kind);

/* Is there one token for each mailbox, not one for the credential? */
bool grant_is_per_user(enum config_grant kind);

/*
 * Must a person sign in once (login_flow.h), or a refresh token be brought
 * from elsewhere, before there can be a token? These are per user, too.
 */
bool grant_needs_login(enum config_grant kind);

/* Append `name=value`, after a `&` when there is something before. */
void grant_form_add(struct buf *body, const char *name, const char *value);

/*
 * Append how the client proves who it is: client_secret, or the assertion
 * with its type (RFC 7521, section 4.2), or nothing for a public client.
 */
void grant_form_add_client(struct buf *body, const struct grant_input *input);

#endif
