/*
 * control_server - the control socket: who may connect, lines in, lines out.
 *
 * What somebody may ask is looked up for each request (see control_access.h),
 * so a reload counts for connections that are open, too. Who may ask nothing
 * gets one clear answer and a closed connection.
 */
#ifndef TOKEN_DAEMON_CONTROL_SERVER_H
#define TOKEN_DAEMON_CONTROL_SERVER_H

#include <sys/types.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/control.h"

#define CONTROL_SERVER_GROUP "xoauth2-admin"
#define CONTROL_SERVER_MODE  0660
#define CONTROL_SERVER_OPEN  0666 /* where that group is not all who may ask */

struct event_base;
struct control_server;

/*
 * Serve the listening socket `fd` (borrowed: for the server's life, as are
 * `base` and `control`). Owned; NULL when out of memory.
 */
struct control_server *control_server_new(struct event_base *base, int fd,
                                          struct control *control)
    __attribute__((warn_unused_result));

/* Who may ask from now on; keeps a reference. */
void control_server_allow(struct control_server *server, struct config *config);

/* The mode of the socket's file that lets all in who may ask. */
mode_t control_server_mode(const struct config *config);

/* Close every connection, answered or not. Takes NULL. */
void control_server_free(struct control_server **server);

#endif
