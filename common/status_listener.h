/*
 * status_listener - the listening socket of a status page: a Unix socket, or
 * one of the loopback interface; an inherited one, or our own. Which inherited
 * socket it is is told by its address.
 */
#ifndef COMMON_STATUS_LISTENER_H
#define COMMON_STATUS_LISTENER_H

#include "common/err.h"
#include "common/unix_listener.h"

struct status_listener {
    int fd;       /* non-blocking, close-on-exec */
    bool is_unix; /* then it is unix_listener's */
    struct unix_listener unix_listener;
};

/*
 * Listen where wish->path says: `unix:PATH` with the rest of the wish, or
 * ADDRESS:PORT as config_metrics_address() takes it. Errors: ERR_CONFIG (the
 * address is taken, or can't be had), ERR_SYSTEM.
 */
int status_listener_open(struct status_listener *listener,
                         const struct unix_listener_wish *wish,
                         struct unix_listener_inherited *inherited,
                         struct err *err) __attribute__((warn_unused_result));

/* Close; a socket file of our own is unlinked. One that was never opened must
 * be zeroed with fd -1. Twice is fine. */
void status_listener_close(struct status_listener *listener);

#endif
