/*
 * graph_message - what is said to Microsoft Graph and what it answers, about
 * the credentials of an app registration.
 *
 * Pure. Bodies are JSON; those that hold a proof or a secret are secrets.
 */
#ifndef TOKEN_DAEMON_GRAPH_MESSAGE_H
#define TOKEN_DAEMON_GRAPH_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "token-daemon/graph_rotation.h"

#define GRAPH_MESSAGE_URL_MAX     2048
#define GRAPH_MESSAGE_BODY_MAX    ((size_t)64 * 1024)
#define GRAPH_MESSAGE_SECRET_MAX  1024 /* bytes of a secret that is taken */
#define GRAPH_MESSAGE_ENTRIES_MAX 200

/* Whom a proof of possession is for, whatever the cloud. */
#define GRAPH_MESSAGE_AUDIENCE "00000002-0000-0000-c000-000000000000"

/*
 * Append the URL of a registration: by `object_id`, or NULL: by `client_id`.
 * `action` follows: `/addKey`, or `` for the registration itself, of which
 * only what concerns us is asked for.
 */
void graph_message_url(const char *graph_url, const char *object_id,
                       const char *client_id, const char *action,
                       struct buf *out);

/*
 * Append a request's body. Errors: ERR_CONFIG (the certificate is no PEM),
 * ERR_SYSTEM.
 */
int graph_message_add_key(const char *certificate, const char *tag,
                          const char *proof, struct buf *out, struct err *err)
    __attribute__((warn_unused_result));
int graph_message_add_password(const char *tag, int64_t end_wall,
                               struct buf *out, struct err *err)
    __attribute__((warn_unused_result));
/* `proof` NULL: a password. */
int graph_message_remove(const char *key_id, const char *proof, struct buf *out,
                         struct err *err) __attribute__((warn_unused_result));

/* A registration, as far as it concerns us. */
struct graph_application {
    char object_id[GRAPH_ROTATION_ID_SIZE];
    struct graph_rotation_entry *entries; /* owned */
    size_t count;
};

/*
 * Read the answer to the URL without action. Owned:
 * graph_application_clear(). Errors: ERR_PROTO, ERR_SYSTEM; *out is then
 * zeroed.
 */
int graph_message_read_application(const char *body, size_t len,
                                   struct graph_application *out,
                                   struct err *err)
    __attribute__((warn_unused_result));
void graph_application_clear(struct graph_application *application);

/* What was added. */
struct graph_added {
    char key_id[GRAPH_ROTATION_ID_SIZE]; /* "": the answer does not say */
    char *secret;                        /* owned, wiped; NULL: a certificate */
};

/* Read the answer to an addKey, or to an addPassword. Errors likewise. */
int graph_message_read_added(const char *body, size_t len, bool is_secret,
                             struct graph_added *out, struct err *err)
    __attribute__((warn_unused_result));
void graph_added_clear(struct graph_added *added);

/* What was asked for, as the hint depends on it. */
enum graph_message_action {
    GRAPH_MESSAGE_READ,
    GRAPH_MESSAGE_KEY,
    GRAPH_MESSAGE_PASSWORD,
};

/* Why it was not done. */
struct graph_refusal {
    const char *reason; /* static: a stable word */
    const char *hint;   /* static: what the operator may do; or NULL */
    bool is_lasting;    /* until somebody mends it */
    bool is_unknown;    /* it may have been done all the same */
};

/*
 * What an answer other than 2xx means. Always an error: *err says the status
 * and Graph's own code, with ERR_RETRY, ERR_DENIED, ERR_CONFIG or ERR_PROTO.
 */
void graph_message_read_refusal(enum graph_message_action action, int status,
                                const char *body, size_t len,
                                struct graph_refusal *out, struct err *err);

#endif
