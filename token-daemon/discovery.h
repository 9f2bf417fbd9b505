/*
 * discovery - a provider's endpoints, by the document that it publishes.
 *
 * OpenID Connect Discovery 1.0, section 4, and RFC 8414, section 3. Fetches
 * ISSUER/.well-known/openid-configuration once for each issuer, keeps it in
 * memory, and fetches it again after discovery_forget() or a failure.
 */
#ifndef TOKEN_DAEMON_DISCOVERY_H
#define TOKEN_DAEMON_DISCOVERY_H

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/discovery_document.h"

struct discovery;
struct discovery_query;
struct http;

/* Owned: discovery_free(). NULL when out of memory. `http` is borrowed. */
struct discovery *discovery_new(struct http *http)
    __attribute__((warn_unused_result));

/* Forget all; set *discovery to NULL. Takes NULL. No query may be pending. */
void discovery_free(struct discovery **discovery);

/* What is known of that issuer, borrowed: until the loop runs; NULL: none. */
const struct discovery_document *discovery_peek(struct discovery *discovery,
                                                const char *issuer);

/*
 * Exactly once, unless cancelled, from the event loop. `document` is borrowed
 * during the call; NULL on failure, with *err.
 */
typedef void discovery_done_fn(const struct discovery_document *document,
                               const struct err *err, void *arg);

/*
 * Fetch the document of the credential's issuer, by its ca_file and proxy, and
 * keep it. NULL, with *err, when that can't begin; `done` is not called then.
 */
struct discovery_query *
discovery_fetch(struct discovery *discovery,
                const struct config_credential *credential, int timeout_ms,
                discovery_done_fn *done, void *arg, struct err *err)
    __attribute__((warn_unused_result));

/* Give up without a call of `done`; set *query to NULL. Takes NULL. */
void discovery_cancel(struct discovery_query **query);

/* What it said seems to be out of date: fetch it again the next time. */
void discovery_forget(struct discovery *discovery, const char *issuer);

#endif
