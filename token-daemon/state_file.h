/*
 * state_file - what lies where the state should be, seen before SQLite sees it.
 *
 * SQLite repairs and rewrites what it opens, so what is not ours must not reach
 * it. Opens for reading only, and only while no connection of this process is
 * open: closing a file drops the process's locks on it (fcntl(2)).
 */
#ifndef TOKEN_DAEMON_STATE_FILE_H
#define TOKEN_DAEMON_STATE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

struct state_file {
    bool is_new;  /* there is none, or an empty one */
    bool has_wal; /* a write-ahead log lies beside it */
};

/*
 * Kind, owner and mode, nothing of the content: for a check of the
 * configuration. One that is not there is good. Errors: ERR_CONFIG with the
 * command that puts it right, ERR_SYSTEM.
 */
int state_file_check(const char *path, struct err *err)
    __attribute__((warn_unused_result));

/*
 * The same, and is it a SQLite file with this application_id? Errors: also
 * ERR_CONFIG when it is another program's, cut short, or gone from beside its
 * write-ahead log.
 */
int state_file_look(const char *path, uint32_t application_id,
                    struct state_file *out, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Make it, empty and with mode 0600, and durable; one that is there stays.
 * Errors: ERR_RETRY (disk full or read-only), ERR_CONFIG (may not), ERR_SYSTEM.
 */
int state_file_create(const char *path, struct err *err)
    __attribute__((warn_unused_result));

/* Which file is it? For later: is it still there? False: it can't be said. */
struct state_file_id {
    dev_t device;
    ino_t number;
};

bool state_file_identify(const char *path, struct state_file_id *out);

#endif
