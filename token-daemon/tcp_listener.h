/*
 * tcp_listener - a listening socket of the loopback interface: an inherited
 * one, or our own. Which inherited socket it is is told by its address.
 */
#ifndef TOKEN_DAEMON_TCP_LISTENER_H
#define TOKEN_DAEMON_TCP_LISTENER_H

#include "common/err.h"
#include "token-daemon/unix_listener.h"

/*
 * Listen on `text`, an address with its port as config_metrics_address() takes
 * it. Non-blocking, close-on-exec; owned: close(2) it. -1 with ERR_CONFIG (the
 * address is taken, or can't be had), ERR_SYSTEM.
 */
int tcp_listener_open(const char *text,
                      struct unix_listener_inherited *inherited,
                      struct err *err) __attribute__((warn_unused_result));

#endif
