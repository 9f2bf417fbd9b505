/*
 * graph_rotator - which credentials renew themselves at Microsoft Graph.
 *
 * Each of them is a graph_renewal; here is which there are, by the
 * configuration and by what is stored. Runs in the event loop's thread.
 */
#ifndef TOKEN_DAEMON_GRAPH_ROTATOR_H
#define TOKEN_DAEMON_GRAPH_ROTATOR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/graph_renewal.h"

#define GRAPH_ROTATOR_KIND "graph" /* of its records */

struct graph_rotator;

/* Keeps `env` (copied). Owned; NULL when out of memory. */
struct graph_rotator *graph_rotator_new(const struct graph_renewal_env *env)
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

/* For state_kind, with the rotator as `arg`: a record that is stored, and that
 * the state is there. */
void graph_rotator_restore(void *arg, const char *name, const char *value,
                           size_t len);
void graph_rotator_opened(void *arg, bool is_new);

/* The same: a record of another host. False: what is here goes on. */
bool graph_rotator_import(void *arg, const char *name, const char *value,
                          size_t len);

/*
 * Renew this credential now. Errors: ERR_CONFIG (none of that name renews
 * itself), ERR_RETRY (the state can't be written at present).
 */
int graph_rotator_hurry(struct graph_rotator *rotator, const char *credential,
                        struct err *err) __attribute__((warn_unused_result));

/* False: that credential does not renew itself. */
bool graph_rotator_describe(const struct graph_rotator *rotator,
                            const char *credential,
                            struct graph_renewal_info *out);

#endif
