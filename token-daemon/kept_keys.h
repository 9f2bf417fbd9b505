/*
 * kept_keys - those keys of a bunch that were rotated in and are kept by us.
 *
 * Pure: the caller passes the time in, s since 1970. Whatever changes is noted
 * in the bunch, see key_bunch_take_changes().
 */
#ifndef TOKEN_DAEMON_KEPT_KEYS_H
#define TOKEN_DAEMON_KEPT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "token-daemon/key.h"
#include "token-daemon/key_bunch.h"

/* Keep one more (a reference), before all others; see keyring_add(). Errors:
 * ERR_CONFIG (only candidates are kept, and they are too many), ERR_SYSTEM. */
int kept_keys_add(struct key_bunch *bunch, struct key *key,
                  enum key_stage stage, int64_t wall, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Add those of another list, as far as there is room: at the end, or `by_age`
 * where they belong. How many were? -1 with ERR_SYSTEM.
 */
int kept_keys_merge(struct key_bunch *bunch, const struct key_list *list,
                    bool by_age, struct err *err)
    __attribute__((warn_unused_result));

/* Put it before all others, in force. False: it is not kept. */
bool kept_keys_promote(struct key_bunch *bunch, struct key *key, int64_t wall);

/* Keep it no more. False: it was not kept. */
bool kept_keys_remove(struct key_bunch *bunch, const struct key *key);

/*
 * Keep none any more, but for candidates, and for those of `spared` (an origin;
 * NULL: none), which go behind what is configured. How many were dropped, and
 * how many demoted?
 */
void kept_keys_forget(struct key_bunch *bunch, const char *spared,
                      size_t *dropped, size_t *demoted);

/* Something else than what is kept works: all but `except` go behind it. */
void kept_keys_demote(struct key_bunch *bunch, const struct key *except);

/* By its id, its tag or, if unambiguous, its origin; borrowed. NULL: none. */
struct key *kept_keys_find(const struct key_bunch *bunch, const char *name);

/* For people: say of a kept key where it is from. */
void kept_keys_name_source(struct key *key);

#endif
