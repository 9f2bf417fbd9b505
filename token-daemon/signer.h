/*
 * signer - signs assertions beside the event loop, in threads of its own.
 *
 * An RSA signature takes a millisecond or two, a thousand of them at once take
 * seconds, and a hardware token may take any time or never answer; lookups are
 * served meanwhile. Keys in tokens and keys in memory have a thread each, so
 * that a token that hangs holds up its own credentials only. A PIN that a token
 * refused is not tried again, as that might lock the token.
 */
#ifndef TOKEN_DAEMON_SIGNER_H
#define TOKEN_DAEMON_SIGNER_H

#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/assertion.h"

#define SIGNER_LIMIT_MS 30000

struct event_base;
struct signer;
struct signer_job;

/* Owned: signer_free(). Starts no thread yet. NULL on failure: ERR_SYSTEM. */
struct signer *signer_new(struct event_base *base, struct err *err)
    __attribute__((warn_unused_result));

/*
 * End the threads, after the signature that each is making; one that hangs in
 * its token is left to the end of the process. Sets *signer to NULL; takes
 * NULL. Jobs still pending are cancelled: their pointers are dead then.
 */
void signer_free(struct signer **signer);

struct signer_order {
    struct assertion_material material;
    enum config_assertion algorithm;
    struct assertion_claims claims;
    int limit_ms; /* 0: SIGNER_LIMIT_MS */
};

struct signer_result {
    struct err err;        /* ERR_NONE: signed; else as assertion_key_load()
                              and assertion_sign() say, or ERR_RETRY: too slow */
    const char *assertion; /* a secret; borrowed: during the call; or NULL */
    int64_t not_after;     /* assertion_key_not_after() */
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
