/*
 * seal_key_file - the key beside the state, for who configured none.
 *
 * One line of 64 hexadecimal digits, mode 0600, made once and never changed:
 * without it the state can't be read any more.
 */
#ifndef TOKEN_DAEMON_SEAL_KEY_FILE_H
#define TOKEN_DAEMON_SEAL_KEY_FILE_H

#include "common/err.h"
#include "token-daemon/seal.h"

/*
 * Read it. Errors: ERR_NOTFOUND (there is none), ERR_CONFIG (others may read
 * it, not a regular file, no key), ERR_SYSTEM. Wipe *out when done.
 */
int seal_key_file_read(const char *path, struct seal_key *out, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Make it with a new random key: whole and on the disk, or not there at all.
 * A file that is there, or appears meanwhile, stays as it is and is read.
 * Errors: as above; ERR_RETRY when the disk is full or read-only.
 */
int seal_key_file_create(const char *path, struct seal_key *out,
                         struct err *err) __attribute__((warn_unused_result));

#endif
