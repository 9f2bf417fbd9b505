/*
 * wire_client - a client of a server that lives in the test's own event loop.
 *
 * Nothing sleeps: whatever the client does is followed by rounds of the loop
 * until neither side has anything left to do. A Unix socket hands over what is
 * written at once, so a few rounds without progress are the end.
 */
#ifndef TESTS_UNIT_WIRE_CLIENT_H
#define TESTS_UNIT_WIRE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct wire_client;

/* Connect; ends the test when it can't. Owned. `base` is borrowed. */
struct wire_client *wire_client_new(struct event_base *base, const char *path);

/* Close without a word. Sets *client to NULL; takes NULL. */
void wire_client_free(struct wire_client **client);

/* Send, reading what comes meanwhile, and let the server work. */
void wire_client_send(struct wire_client *client, const void *data, size_t len);

/* The same without reading: as much as goes out. Bytes sent. */
size_t wire_client_push(struct wire_client *client, const void *data,
                        size_t len);

/* Send no more, but go on reading. */
void wire_client_end(struct wire_client *client);

/* Let the server work and read what comes. */
void wire_client_settle(struct wire_client *client);

/* What has come so far, NUL-terminated; borrowed: until the next call. */
const char *wire_client_got(const struct wire_client *client);
size_t wire_client_got_len(const struct wire_client *client);
void wire_client_drop(struct wire_client *client); /* begin anew */

/* Has the server closed the connection? */
bool wire_client_is_closed(const struct wire_client *client);

/* Let the server work, without any client. */
void wire_client_work(struct event_base *base);

/* A listening socket at `path`, non-blocking; ends the test when it can't. */
int wire_client_listen(const char *path, int backlog);

#endif
