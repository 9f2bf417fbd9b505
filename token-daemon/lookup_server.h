/*
 * lookup_server - the socketmap listeners: accepts, knows who asks, reads
 * requests, writes answers.
 *
 * One request of a connection is answered at a time, in order; a client that
 * half-closes still gets its answers. What is no socketmap request gets one
 * clear answer and a closed connection. Bounded: bytes by the codec's limits,
 * connections by `max_clients` (the one that was silent longest goes first, but
 * not while it waits for an answer), silence by IDLE_S.
 *
 * Where the event base has several priorities, lookups go before all else, so
 * that who is answered from memory does not wait for a provider's answers to be
 * worked on; but never for so long that everything else stands still.
 */
#ifndef TOKEN_DAEMON_LOOKUP_SERVER_H
#define TOKEN_DAEMON_LOOKUP_SERVER_H

#include <stddef.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/lookups.h"

#define LOOKUP_SERVER_IDLE_S 60

struct event_base;
struct lookup_server;

struct lookup_server_options {
    struct event_base *base; /* borrowed: for the server's life */
    struct lookups *lookups; /* likewise */
    size_t max_clients;
};

/* Owned; NULL when out of memory. Listens nowhere yet. */
struct lookup_server *
lookup_server_new(const struct lookup_server_options *options)
    __attribute__((warn_unused_result));

/* Close every connection, answered or not. Takes NULL. */
void lookup_server_free(struct lookup_server **server);

/*
 * Serve this listening socket too; borrowed: until the server is freed. `path`
 * (copied) tells who may ask there.
 */
int lookup_server_add(struct lookup_server *server, int fd, const char *path,
                      struct err *err) __attribute__((warn_unused_result));

/* Who may ask from now on; the configuration's reference is kept. */
void lookup_server_allow(struct lookup_server *server, struct config *config);

/* How many connections are open. */
size_t lookup_server_clients(const struct lookup_server *server);

#endif
