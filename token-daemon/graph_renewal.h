/*
 * graph_renewal - has one credential renew itself at Microsoft Graph.
 *
 * Takes the steps that graph_rotation says, one at a time, and makes durable
 * what came of each before the next. While the state can't be written nothing
 * is begun. Whatever fails is tried again later and said in the log; what is in
 * use is not touched. Only the graph_rotator makes these.
 */
#ifndef TOKEN_DAEMON_GRAPH_RENEWAL_H
#define TOKEN_DAEMON_GRAPH_RENEWAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "token-daemon/acquire.h"
#include "token-daemon/refresher.h"

#define GRAPH_RENEWAL_ORIGIN "graph" /* of the keys that it puts in */

struct graph_renewal;
struct rotation;

/* What all renewals of a rotator have in common. */
struct graph_renewal_env {
    const struct acquire_context *acquire; /* borrowed; with a keyring */
    struct rotation *rotation;   /* borrowed; keeps what is promoted */
    int64_t (*wall)(void *arg);  /* s since 1970 */
    double (*chance)(void *arg); /* [0, 1) */

    /* A timer that is off; NULL when out of memory. */
    void *(*timer_new)(void *arg, void (*fire)(void *fire_arg), void *fire_arg);
    void (*timer_set)(void *timer, int64_t delay_ms); /* < 0: off */
    void (*timer_free)(void *timer);

    /* state_put() of the rotator's kind, and state_unsave(). */
    int (*put)(void *arg, const char *name, const struct buf *value,
               refresher_saved_fn *done, void *done_arg);
    void (*unsave)(void *arg, const void *done_arg);

    /* A credential was renewed, or (`err`) that failed. */
    void (*told)(void *arg, const char *credential, const struct err *err);
    void *arg;
};

/*
 * Of the credential `name` (copied); begins nothing yet. `env` is borrowed: for
 * its life. Owned; NULL when out of memory.
 */
struct graph_renewal *graph_renewal_new(const struct graph_renewal_env *env,
                                        const char *name)
    __attribute__((warn_unused_result));

/* Give up what is under way; the next process goes on. Takes NULL. */
void graph_renewal_free(struct graph_renewal **renewal);

const char *graph_renewal_name(const struct graph_renewal *renewal);

/*
 * Go on with these settings (a reference is held); what failed is tried again.
 * Errors: ERR_SYSTEM; nothing has changed then.
 */
int graph_renewal_configure(struct graph_renewal *renewal,
                            struct config *config,
                            const struct config_credential *credential,
                            struct err *err)
    __attribute__((warn_unused_result));

/* It is not to renew itself (any more). */
void graph_renewal_stop(struct graph_renewal *renewal);

/* Take what another process stored. */
void graph_renewal_restore(struct graph_renewal *renewal, const char *value,
                           size_t len);

/*
 * Take what another host stored, while the state can be written here: see
 * graph_rotation_merge(). Stored by the next graph_renewal_open(). False: what
 * is here goes on.
 */
bool graph_renewal_import(struct graph_renewal *renewal, const char *value,
                          size_t len);

/* The state can be written. `is_lost`: it holds nothing of this any more. */
void graph_renewal_open(struct graph_renewal *renewal, bool is_lost);

/* See graph_rotator_hurry(). */
int graph_renewal_hurry(struct graph_renewal *renewal, struct err *err)
    __attribute__((warn_unused_result));

/* For status. */
struct graph_renewal_info {
    const char *phase;  /* static: graph_rotation_word() */
    int64_t last_wall;  /* s since 1970; 0: never */
    int64_t next_wall;  /* the same; when it is due, or tried again */
    unsigned failures;  /* in a row */
    const char *reason; /* of the last failure; borrowed; "": none */
};

/* False: it does not renew itself. */
bool graph_renewal_describe(const struct graph_renewal *renewal,
                            struct graph_renewal_info *out);

#endif
