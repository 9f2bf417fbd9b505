/*
 * listener - the socket that mail servers connect to: checked, chosen, made
 * ready for libmilter, and given up at the end.
 *
 * libmilter itself binds and accepts; it takes a socket as text.
 */
#ifndef MILTER_LISTENER_H
#define MILTER_LISTENER_H

#include <sys/types.h>

#include "common/config.h"
#include "common/err.h"
#include "common/unix_listener.h"

struct listener {
    char *spec; /* owned: what libmilter is told: unix:PATH, fd:3, ... */
    char *path; /* owned: the socket file that we make; NULL: not ours */
    int fd;     /* an inherited socket; -1: none */
    mode_t mode;
    const char *group; /* borrowed from the settings; NULL: leave it */
};

/*
 * Find out what to listen on. An inherited socket is taken for `fd:N`, and for
 * `unix:PATH` when its path is the same; it is then marked as used. A file that
 * a dead process left at PATH is removed. Errors: ERR_CONFIG when the
 * administrator must do something, ERR_SYSTEM otherwise; `out` is then empty.
 */
int listener_init(const struct config_milter *settings,
                  struct unix_listener_inherited *inherited,
                  struct listener *out, struct err *err)
    __attribute__((warn_unused_result));

/* Free what it holds; the socket stays. Twice is fine. */
void listener_clear(struct listener *listener);

/*
 * Bind, with the mode that the settings ask for: `open_it` is called with the
 * process's umask set, and gives 0 or -1. Then the group is set.
 */
int listener_open(const struct listener *listener, int (*open_it)(void),
                  struct err *err) __attribute__((warn_unused_result));

/*
 * Accept nothing more. What connects to an inherited socket from now on waits
 * for the next process; a socket file of ours is removed.
 */
void listener_close(struct listener *listener);

#endif
