/*
 * state_directory - the directory that holds the state: may we trust it, and
 * is what was made in it durable?
 */
#ifndef TOKEN_DAEMON_STATE_DIRECTORY_H
#define TOKEN_DAEMON_STATE_DIRECTORY_H

#include "common/err.h"

/*
 * Look at the directory of the file `path`: it must be there, belong to this
 * process's user or to root, and be writable for nobody else, as whoever can
 * write it can replace the file. Errors: ERR_CONFIG with the command that puts
 * it right (`install -d ...` when it is missing), ERR_SYSTEM.
 */
int state_directory_check(const char *path, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Make the entry of the file `path` in its directory durable. Errors:
 * ERR_SYSTEM.
 */
int state_directory_sync(const char *path, struct err *err)
    __attribute__((warn_unused_result));

#endif
