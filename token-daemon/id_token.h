/*
 * id_token - who has signed in, as the token endpoint says.
 *
 * Pure. OpenID Connect Core 1.0, section 2. The signature is not looked at: it
 * came from the token endpoint itself, over TLS (section 3.1.3.7, 6).
 */
#ifndef TOKEN_DAEMON_ID_TOKEN_H
#define TOKEN_DAEMON_ID_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define ID_TOKEN_MAX   ((size_t)32 * 1024) /* bytes of the whole */
#define ID_TOKEN_NAMES 3   /* claims that may hold the account's name */
#define ID_TOKEN_SLACK 300 /* s that the clocks may differ */

struct id_token {
    char *issuer;                /* owned; never NULL */
    char *names[ID_TOKEN_NAMES]; /* owned; the best first; NULL: no more */
};

/* Free what it owns; it is then zeroed. Twice is fine. */
void id_token_clear(struct id_token *token);

/* Whose it must be, and when. Borrowed: for the call. */
struct id_token_check {
    const char *client_id; /* aud */
    const char *nonce;     /* NULL: none was asked for */
    int64_t now;           /* s since 1970 */
};

/*
 * Read the claims. Errors: ERR_PROTO when it is none, or not for this client,
 * this sign-in or this time; ERR_SYSTEM. *out is then left alone. No text holds
 * a byte of it. Whether the issuer is right is provider_is_issuer()'s.
 */
int id_token_parse(const char *text, size_t len,
                   const struct id_token_check *check, struct id_token *out,
                   struct err *err) __attribute__((warn_unused_result));

/* Does it name this mailbox? Addresses compare without case. */
bool id_token_is_of(const struct id_token *token, const char *mailbox);

/* A name that may be shown: printable ASCII. NULL: there is none. */
const char *id_token_name(const struct id_token *token);

#endif
