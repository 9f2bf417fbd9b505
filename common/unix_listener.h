/*
 * unix_listener - listening Unix sockets: inherited ones, or our own.
 *
 * Which inherited socket is which is told by its address (getsockname(2)); it
 * is never unlinked, so that clients wait in its backlog while the daemon
 * restarts. A socket of our own replaces one that a dead process left behind,
 * never one that somebody serves, and is unlinked at the end.
 */
#ifndef COMMON_UNIX_LISTENER_H
#define COMMON_UNIX_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"

#define UNIX_LISTENER_INHERITED_MAX 16

/* The sockets that the service manager handed over. */
struct unix_listener_inherited {
    size_t count;
    struct {
        int fd;
        bool is_used;
    } sockets[UNIX_LISTENER_INHERITED_MAX];
};

/* Take stock of file descriptors `first` to `first` + `count` - 1. */
void unix_listener_inherit(struct unix_listener_inherited *inherited, int first,
                           int count);

/* Close what nobody used, with a warning for each. */
void unix_listener_drop_unused(struct unix_listener_inherited *inherited);

struct unix_listener {
    int fd;       /* non-blocking, close-on-exec; -1: none */
    char *path;   /* owned */
    bool is_ours; /* to be unlinked at the end */
    dev_t device; /* of the socket file that is ours */
    ino_t inode;
};

struct unix_listener_wish {
    const char *path;
    mode_t mode;
    const char *group;        /* NULL: leave it */
    const char *install_line; /* what to run when the directory is missing */
};

/*
 * Take the inherited socket of this path, else bind one (with a warning when
 * others were inherited). Errors: ERR_CONFIG with what to do, ERR_SYSTEM.
 */
int unix_listener_open(struct unix_listener *listener,
                       const struct unix_listener_wish *wish,
                       struct unix_listener_inherited *inherited,
                       struct err *err) __attribute__((warn_unused_result));

/* Close; unlink when the file is still ours. Leaves it empty. */
void unix_listener_close(struct unix_listener *listener);

#endif
