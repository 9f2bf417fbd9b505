/*
 * signer - signs assertions beside the event loop.
 *
 * An RSA signature takes a millisecond or two, and a thousand of them seconds,
 * in which lookups have to be served: keys in memory sign in a thread. A key in
 * a token signs in a process of its own (token_signer.h), one after the other,
 * since a token may take any time. A PIN that a token refused is not tried
 * again, as that might lock it.
 */
#ifndef TOKEN_DAEMON_SIGNER_H
#define TOKEN_DAEMON_SIGNER_H

#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/assertion.h"

#define SIGNER_LIMIT_MS 30000 /* for one signature */

struct event_base;
struct signer;
struct signer_job;

/* Owned: signer_free(). Starts no thread yet. NULL on failure: ERR_SYSTEM. */
struct signer *signer_new(struct event_base *base, struct err *err)
    __attribute__((warn_unused_result));

/*
 * End the thread, after the signature that it is making, and kill the process.
 * Sets *signer to NULL; takes NULL. Jobs still pending are cancelled: their
 * pointers are dead then.
 */
void signer_free(struct signer **signer);

/* All texts are borrowed: for the call. */
struct signer_order {
    struct assertion_material material;
    const char *uri; /* `pkcs11:...`: of the key; NULL: material.private_key */
    const char *pin; /* of its token; NULL: none */
    enum config_assertion algorithm;
    struct assertion_claims claims;
    int limit_ms; /* 0: SIGNER_LIMIT_MS */
};

struct signer_result {
    /* ERR_NONE: signed; else as assertion_key_load(), assertion_sign() and
     * token_signer_read() say, or ERR_RETRY: too slow, or it crashed. */
    struct err err;
    const char *assertion;  /* a secret; borrowed: during the call; or NULL */
    int64_t not_after;      /* assertion_key_not_after() */
    const char *thumbprint; /* assertion_key_thumbprint(); borrowed likewise */
};

/* Exactly once, unless cancelled, from the event loop. */
typedef void signer_done_fn(const struct signer_result *result, void *arg);

/*
 * Have an assertion signed; all texts are copied, and wiped after. NULL when
 * out of memory or threads. After `done` the pointer must be forgotten.
 */
struct signer_job *signer_sign(struct signer *signer,
                               const struct signer_order *order,
                               signer_done_fn *done, void *arg)
    __attribute__((warn_unused_result));

/* Give up without a call of `done`; set *job to NULL. Takes NULL. */
void signer_cancel(struct signer_job **job);

#endif
