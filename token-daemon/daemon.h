/*
 * daemon - xoauth2-tokend put together: owns every part, runs the event loop,
 * reacts to signals, reloads.
 */
#ifndef TOKEN_DAEMON_DAEMON_H
#define TOKEN_DAEMON_DAEMON_H

#include "common/err.h"

struct daemon;

/*
 * Read the configuration and open the sockets; serves nobody yet. Owned; NULL
 * with ERR_CONFIG (the administrator must change something) or ERR_SYSTEM.
 */
struct daemon *daemon_new(const char *config_path, struct err *err)
    __attribute__((warn_unused_result));

/* Close everything, wipe everything. Takes NULL. */
void daemon_free(struct daemon **daemon);

/* Serve until SIGTERM or SIGINT. Errors: ERR_SYSTEM when the loop fails. */
int daemon_run(struct daemon *daemon, struct err *err)
    __attribute__((warn_unused_result));

/*
 * What `-t` does: would this configuration start? Opens no socket and asks
 * nobody for a token.
 */
int daemon_check(const char *config_path, struct err *err)
    __attribute__((warn_unused_result));

#endif
