/*
 * service - what a daemon and its service manager tell each other: readiness,
 * the watchdog, and the listening sockets that were inherited.
 *
 * Two implementations of which configure picks one: with libsystemd, and
 * without, where nobody is told and nothing is inherited. All calls are
 * harmless when no service manager is there.
 */
#ifndef COMMON_SERVICE_H
#define COMMON_SERVICE_H

#include <stdint.h>

#define SERVICE_FIRST_FD 3 /* inherited sockets start here */

/* Started, or reloaded: serving. */
void service_ready(void);

/* A reload begins; service_ready() ends it. */
void service_reloading(void);

void service_stopping(void);

/* A line for `systemctl status`. */
void service_status(const char *text);

/*
 * How often service_alive() must be called, in milliseconds, with a good
 * margin; 0 when nobody watches.
 */
int64_t service_watchdog_ms(void);
void service_alive(void);

/*
 * How many sockets were inherited (sd_listen_fds(3)), from SERVICE_FIRST_FD
 * on; they are set to close on exec. Errors: -1, errno is set. Call it once:
 * the environment variables are removed, so that children do not see them.
 */
int service_inherited(void);

#endif
