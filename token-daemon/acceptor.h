/*
 * acceptor - takes connections from a listening socket, a few at a time.
 *
 * Everything else that waits in the event loop has its turn after each handful,
 * and who only costs time can be slowed down: what then comes waits in the
 * backlog. When the process has no descriptor left it waits, too, instead of
 * being woken without end. Knows nothing of what the connections are for.
 */
#ifndef TOKEN_DAEMON_ACCEPTOR_H
#define TOKEN_DAEMON_ACCEPTOR_H

#include <stdbool.h>

#define ACCEPTOR_TURN 16 /* connections, at most, then the others */

struct acceptor;
struct event_base;

/* Somebody came; takes `fd`, which does not block. False: it was somebody who
 * only cost time. */
typedef bool acceptor_fn(int fd, void *arg);

/*
 * Serve the listening socket `fd` (borrowed: for its life, as is `base`).
 * Owned; NULL when out of memory.
 */
struct acceptor *acceptor_new(struct event_base *base, int fd,
                              acceptor_fn *accepted, void *arg)
    __attribute__((warn_unused_result));

/* Takes NULL. What waits in the backlog stays there. */
void acceptor_free(struct acceptor **acceptor);

#endif
