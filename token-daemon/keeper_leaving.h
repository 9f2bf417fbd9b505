/*
 * keeper_leaving - keepers that are no longer configured, while the last
 * request of each is let finish.
 *
 * Owns these keepers, and of each the configuration that it goes on with until
 * then. A name is that of one of them, or of one in the refresher's ring, or of
 * a record on the shelf. Only the refresher uses it.
 */
#ifndef TOKEN_DAEMON_KEEPER_LEAVING_H
#define TOKEN_DAEMON_KEEPER_LEAVING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"
#include "token-daemon/keeper.h"

struct keeper_leaving;

/* Owned; NULL when out of memory. */
struct keeper_leaving *keeper_leaving_new(void)
    __attribute__((warn_unused_result));

/* Frees them all, like keeper_free(). Takes NULL. */
void keeper_leaving_free(struct keeper_leaving **list);

/* One more, which is this list's from now on, with its configuration (keeps a
 * reference). Tells nobody. -1: out of memory, and it is still the caller's. */
int keeper_leaving_add(struct keeper_leaving *list, struct keeper *keeper,
                       struct config *config)
    __attribute__((warn_unused_result));

/* The one of that name, borrowed: until it is told, ends or returns. NULL:
 * there is none. */
struct keeper *keeper_leaving_find(const struct keeper_leaving *list,
                                   const char *name);

bool keeper_leaving_has(const struct keeper_leaving *list,
                        const struct keeper *keeper);

/* How many they are. */
size_t keeper_leaving_count(const struct keeper_leaving *list);

/* It is configured again, like this, and the caller's: it must be there. */
void keeper_leaving_return(struct keeper_leaving *list, struct keeper *keeper,
                           const struct config_credential *credential);

/* Its last request has ended: free it. It must be there. */
void keeper_leaving_end(struct keeper_leaving *list, struct keeper *keeper);

/* Tell who waits for those that were not told yet; they may do anything. */
void keeper_leaving_tell(struct keeper_leaving *list);

/* Each in turn, the newest last; no call of this module
 * that changes anything from `visit`. */
void keeper_leaving_each(struct keeper_leaving *list,
                         void (*visit)(struct keeper *keeper, void *arg),
                         void *arg);

#endif
