/*
 * key_state - what of the keyring outlives the process.
 *
 * One sealed record for each credential: the keys that are kept, and how the
 * configured ones did. Stands between the keyring, which knows keys, and the
 * state, which knows records.
 */
#ifndef TOKEN_DAEMON_KEY_STATE_H
#define TOKEN_DAEMON_KEY_STATE_H

#include "token-daemon/keyring.h"
#include "token-daemon/refresher.h"
#include "token-daemon/state.h"

#define KEY_STATE_KIND "keys"

/* For state_settings.kinds; `keyring` is borrowed: for the state's life. */
struct state_kind key_state_kind(struct keyring *keyring);

/*
 * Store what is kept of a credential now, without waiting for the disk. 0:
 * `done` (may be NULL) will be called; see state_put(). -1: it is not stored;
 * it will be when the state can be opened.
 */
int key_state_save(struct state *state, struct keyring *keyring,
                   const char *credential, refresher_saved_fn *done,
                   void *done_arg) __attribute__((warn_unused_result));

#endif
