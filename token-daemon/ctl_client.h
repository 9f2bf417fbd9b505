/*
 * ctl_client - a connection to the control socket: JSON objects, a line each.
 */
#ifndef TOKEN_DAEMON_CTL_CLIENT_H
#define TOKEN_DAEMON_CTL_CLIENT_H

#include "common/err.h"
#include "token-daemon/ctl.h"

#define CTL_CLIENT_TIMEOUT_S 20
/* When a refresh token is tried: the provider has 30 s for a request. */
#define CTL_CLIENT_SIGN_IN_S 45

struct ctl_client;

/*
 * Connect to where `ctl` says. Owned. NULL: ERR_CONFIG (the configuration, or
 * the path), ERR_DENIED (who may not), ERR_RETRY (nobody is there), ERR_SYSTEM.
 */
struct ctl_client *ctl_client_open(const struct ctl *ctl, struct err *err)
    __attribute__((warn_unused_result));

/* Close and wipe. Takes NULL. */
void ctl_client_close(struct ctl_client **client);

/* Send one object; borrowed. Errors: ERR_RETRY, ERR_SYSTEM. */
int ctl_client_send(struct ctl_client *client, const struct json_t *object,
                    struct err *err) __attribute__((warn_unused_result));

/*
 * The next object; owned. NULL: ERR_RETRY (none within the time, or the daemon
 * hung up), ERR_PROTO. With `timeout_s` < 0 it waits as long as it takes.
 */
struct json_t *ctl_client_receive(struct ctl_client *client, int timeout_s,
                                  struct err *err)
    __attribute__((warn_unused_result));

/* For poll(): readable when ctl_client_receive() may have something. */
int ctl_client_fd(const struct ctl_client *client);

/* Is there a whole line already, which poll() does not know of? */
int ctl_client_has_line(const struct ctl_client *client);

#endif
