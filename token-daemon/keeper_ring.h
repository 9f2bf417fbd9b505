/*
 * keeper_ring - the keepers of all tokens of one configuration: which there
 * are, by place and by name.
 *
 * Owns its tables, not the keepers: those are carried over from one ring to the
 * next, so only the refresher, which swaps rings, knows when one is to go.
 * Knows nothing of when a token is fetched, nor of what is stored. Only the
 * refresher uses it.
 */
#ifndef TOKEN_DAEMON_KEEPER_RING_H
#define TOKEN_DAEMON_KEEPER_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"
#include "token-daemon/keeper.h"
#include "token-daemon/refresher.h"

struct keeper_leaving;
struct strmap;

/* To be read; changed by the functions below. All zero: an empty one, to which
 * nothing can be added. */
struct keeper_ring {
    struct keeper **keepers; /* in the order of the configuration */
    size_t count;
    size_t capacity;
    size_t on_demand; /* the first one that no mailbox of its own is for */
    struct strmap *by_name;     /* -> struct keeper */
    struct strmap *credentials; /* name -> struct config_credential */
    struct strmap *mailboxes;   /* title -> struct config_mailbox; of
                                   `@.domain` what follows the @ */
};

/* Where the keepers of a new ring come from; all of it is borrowed. */
struct keeper_ring_source {
    struct keeper_shared *shared;   /* for keepers that are new */
    const struct keeper_ring *ring; /* the one in force */
    const struct keeper_leaving *leaving;
};

/*
 * What a token is stored under: `CREDENTIAL`, or `CREDENTIAL USER` in lower
 * case. (Names of credentials have no blanks.) False when it is too long.
 */
bool keeper_ring_name(const struct config_credential *credential,
                      const char *user, char out[REFRESHER_NAME_MAX]);

/*
 * A ring for all tokens of a configuration (borrowed while the ring is used),
 * with the keepers that keep them already, else new ones; nothing is told to
 * any keeper. Owned: keeper_ring_clear(). -1: out of memory, or a name is too
 * long; what there is of the ring is for keeper_ring_undo() then.
 */
int keeper_ring_make(const struct keeper_ring_source *source,
                     struct config *config, struct keeper_ring *ring)
    __attribute__((warn_unused_result));

/* Free a ring that will not be used, and the keepers that are only in it. */
void keeper_ring_undo(const struct keeper_ring_source *source,
                      struct keeper_ring *ring);

/* Free the ring, not its keepers. */
void keeper_ring_clear(struct keeper_ring *ring);

/* One more at the end; its place is for the caller to set. -1: out of memory,
 * or the name is there already. */
int keeper_ring_add(struct keeper_ring *ring, struct keeper *keeper)
    __attribute__((warn_unused_result));

/* Take one out, which is not freed; the last one takes its place. */
void keeper_ring_remove(struct keeper_ring *ring, const struct keeper *keeper);

/* Borrowed. NULL: there is none of that name. */
const struct config_credential *
keeper_ring_credential(const struct keeper_ring *ring, const char *name);
struct keeper *keeper_ring_find(const struct keeper_ring *ring,
                                const char *name);

/*
 * The credential of the token of this name when somebody signs in for it who
 * has no mailbox of his own but one "@domain" or "@.domain" of this credential,
 * as the look-ups find it; borrowed, *user from `name`. Else NULL.
 */
const struct config_credential *
keeper_ring_domain_user(const struct keeper_ring *ring, const char *name,
                        const char **user);

/* The keeper of the token that is meant, borrowed. NULL: there is none. */
struct keeper *keeper_ring_find_key(const struct keeper_ring *ring,
                                    const struct refresher_key *key);

#endif
