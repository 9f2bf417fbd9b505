/*
 * proof - what shows a token endpoint who is asking: read, and signed, anew.
 *
 * A client secret; a client assertion by a certificate; another issuer's token
 * in its place; or a service account's assertion for a user. Asks nobody but
 * the files and commands that hold the secrets.
 */
#ifndef TOKEN_DAEMON_PROOF_H
#define TOKEN_DAEMON_PROOF_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/grant.h"
#include "token-daemon/key.h"

struct event_base;
struct proof;
struct signer;

struct proof_request {
    const struct config_credential *credential; /* borrowed: until the end */
    enum grant_proof kind;                      /* not MACHINE */
    struct key *key; /* held until the end; NULL: a public client has none */
    struct key_material *material; /* the same; NULL: read anew, if need be */
    /*
     * NULL, but for a proof of possession: the object of Microsoft Graph that
     * it is for. Then the key is a certificate; borrowed: until the end.
     */
    const char *graph_object;
    const char *audience; /* the token endpoint; borrowed: until the end */
    const char *scope;    /* the same; ACCOUNT: what is asked for; or NULL */
    const char *user;     /* the same; ACCOUNT: for whom */
    int64_t now;          /* s since 1970 */
};

/*
 * At most one of the first three texts is there; all borrowed: during the call.
 * The material is there also when it is what can't be used.
 */
struct proof_result {
    struct err err; /* ERR_NONE: there is a proof, or none is needed */
    const char *secret;
    const char *assertion;
    const char *user_assertion;
    struct key_material *material; /* what it is made of; NULL: nothing read */
    int64_t not_after;      /* the certificate's, s since 1970; 0: none used */
    const char *thumbprint; /* the certificate's; "": none used; or NULL */
};

/* Exactly once, unless cancelled, from the event loop. */
typedef void proof_done_fn(const struct proof_result *result, void *arg);

/*
 * Begin. Errors of the files, keys and commands come by `done`, with the code
 * that secret_source.h and signer.h say. NULL when out of memory. After `done`
 * the pointer must be forgotten.
 */
struct proof *proof_start(struct event_base *base, struct signer *signer,
                          const struct proof_request *request,
                          proof_done_fn *done, void *arg)
    __attribute__((warn_unused_result));

/* Give up without a call of `done`; set *proof to NULL. Takes NULL. */
void proof_cancel(struct proof **proof);

#endif
