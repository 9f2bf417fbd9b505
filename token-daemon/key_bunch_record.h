/*
 * key_bunch_record - what of a bunch of keys is stored, and how what was stored
 * comes to it again.
 *
 * Pure, but for the log. Knows nothing of bytes: those are keyring_record's.
 */
#ifndef TOKEN_DAEMON_KEY_BUNCH_RECORD_H
#define TOKEN_DAEMON_KEY_BUNCH_RECORD_H

#include <stdbool.h>

#include "common/err.h"
#include "token-daemon/key_bunch.h"
#include "token-daemon/keyring_record.h"

/* What is to be stored of it. -1: out of memory; *record is for
 * keyring_record_clear() all the same. */
int key_bunch_record_fill(const struct key_bunch *bunch,
                          struct keyring_record *record)
    __attribute__((warn_unused_result));

/*
 * Take what was stored, by this host, or (`is_import`) by another. 1: it was
 * taken; 0: nothing of it is kept, as what is here is newer. What is left of
 * the record is for keyring_record_clear(). Errors: ERR_SYSTEM.
 */
int key_bunch_record_take(struct key_bunch *bunch,
                          struct keyring_record *record, bool is_import,
                          struct err *err) __attribute__((warn_unused_result));

#endif
