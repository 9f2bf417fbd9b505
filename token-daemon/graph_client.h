/*
 * graph_client - one request to Microsoft Graph about an app registration.
 *
 * Gets a token for Graph as the credential does for mail, signs a proof of
 * possession where one is wanted, asks, and reads the answer. Does not know
 * what comes next, nor when to try again.
 */
#ifndef TOKEN_DAEMON_GRAPH_CLIENT_H
#define TOKEN_DAEMON_GRAPH_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/acquire.h"
#include "token-daemon/graph_message.h"

struct graph_call;

enum graph_action {
    GRAPH_ACTION_GET,
    GRAPH_ACTION_ADD_KEY,
    GRAPH_ACTION_ADD_PASSWORD,
    GRAPH_ACTION_REMOVE_KEY,
    GRAPH_ACTION_REMOVE_PASSWORD,
};

/* All texts are borrowed: for the call. */
struct graph_order {
    struct config *config; /* a reference is held until the end */
    const struct config_credential *credential; /* of that configuration */
    enum graph_action action;
    /* The registration's; NULL: by client_id. The actions with a key need it,
     * as the proof is for that object. */
    const char *object_id;
    const char *certificate; /* ADD_KEY: PEM */
    const char *tag;         /* ADD_*: the displayName */
    int64_t end_wall;        /* ADD_PASSWORD: s since 1970 */
    const char *key_id;      /* REMOVE_* */
};

/* What is in there is wiped after the call; take it by zeroing it. */
struct graph_result {
    struct err err;                       /* ERR_NONE: it was done */
    struct graph_refusal refusal;         /* else */
    int64_t retry_after_s;                /* what was asked for; 0: nothing */
    struct graph_application application; /* GET */
    struct graph_added added;             /* ADD_* */
};

/* Exactly once, unless cancelled, from the event loop. */
typedef void graph_done_fn(struct graph_result *result, void *arg);

/*
 * Begin. `context` is borrowed: until the end. NULL when out of memory; every
 * other failure comes by `done`. After it the pointer must be forgotten.
 */
struct graph_call *graph_call_start(const struct acquire_context *context,
                                    const struct graph_order *order,
                                    graph_done_fn *done, void *arg)
    __attribute__((warn_unused_result));

/* Give up without a call of `done`; set *call to NULL. Takes NULL. */
void graph_call_cancel(struct graph_call **call);

#endif
