/*
 * graph_rotator - has credentials renew themselves at Microsoft Graph.
 *
 * Takes the steps that graph_rotation says, one at a time for each credential,
 * and makes durable what came of each before the next. While the state can't
 * be written nothing is begun. Whatever fails is tried again later and said in
 * the log; what is in use is not touched. Runs in the event loop's thread.
 */
#ifndef TOKEN_DAEMON_GRAPH_ROTATOR_H
#define TOKEN_DAEMON_GRAPH_ROTATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "token-daemon/acquire.h"
#include "token-daemon/refresher.h"

#define GRAPH_ROTATOR_KIND "graph" /* of its records */

struct graph_rotator;
struct rotation;

struct graph_rotator_env {
    const struct acquire_context *acquire; /* borrowed; with a keyring */
    struct rotation *rotation;   /* borrowed; keeps what is promoted */
    int64_t (*wall)(void *arg);  /* s since 1970 */
    double (*chance)(void *arg); /* [0, 1) */

    /* A timer that is off; NULL when out of memory. */
    void *(*timer_new)(void *arg, void (*fire)(void *fire_arg), void *fire_arg);
    void (*timer_set)(void *timer, int64_t delay_ms); /* < 0: off */
    void (*timer_free)(void *timer);

    /* state_put() of GRAPH_ROTATOR_KIND, and state_unsave(). */
    int (*put)(void *arg, const char *name, const struct buf *value,
               refresher_saved_fn *done, void *done_arg);
    void (*unsave)(void *arg, const void *done_arg);

    /* A credential was renewed, or (`err`) that failed. */
    void (*told)(void *arg, const char *credential, const struct err *err);
    void *arg;
};

/* Keeps `env` (copied). Owned; NULL when out of memory. */
struct graph_rotator *graph_rotator_new(const struct graph_rotator_env *env)
    __attribute__((warn_unused_result));

/* Give up what is under way; the next process goes on. Takes NULL. */
void graph_rotator_free(struct graph_rotator **rotator);

/*
 * Work with this configuration from now on (keeps a reference). Errors:
 * ERR_SYSTEM; nothing has changed then.
 */
int graph_rotator_configure(struct graph_rotator *rotator,
                            struct config *config, struct err *err)
    __attribute__((warn_unused_result));

/* For state_kind: a record that is stored, and that the state is there. */
void graph_rotator_restore(void *rotator, const char *name, const char *value,
                           size_t len);
void graph_rotator_opened(void *rotator, bool is_new);

/*
 * Renew this credential now. Errors: ERR_NOTFOUND (no such credential),
 * ERR_CONFIG (it does not renew itself), ERR_RETRY (the state can't be written
 * at present).
 */
int graph_rotator_hurry(struct graph_rotator *rotator, const char *credential,
                        struct err *err) __attribute__((warn_unused_result));

/* For status. */
struct graph_rotator_info {
    const char *phase;  /* static: graph_rotation_word() */
    int64_t last_wall;  /* s since 1970; 0: never */
    int64_t next_wall;  /* the same; when it is due, or tried again */
    unsigned failures;  /* in a row */
    const char *reason; /* of the last failure; borrowed; "": none */
};

/* False: that credential does not renew itself. */
bool graph_rotator_describe(const struct graph_rotator *rotator,
                            const char *credential,
                            struct graph_rotator_info *out);

#endif
