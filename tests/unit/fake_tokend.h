/*
 * fake_tokend - a scripted server on a Unix socket, for tests of its clients.
 *
 * Runs in a thread of the test. Each connection gets one turn of the script;
 * the last turn serves all connections that follow. It waits for events only,
 * so a test is as quick as its client.
 */
#ifndef TESTS_UNIT_FAKE_TOKEND_H
#define TESTS_UNIT_FAKE_TOKEND_H

#include <stdbool.h>
#include <stddef.h>

#include "common/socketmap.h"

enum fake_tokend_then {
    FAKE_TOKEND_CLOSE,   /* close the connection */
    FAKE_TOKEND_HOLD,    /* wait until the client goes */
    FAKE_TOKEND_DRIBBLE, /* a `0` now and then until the client goes */
    FAKE_TOKEND_FLOOD,   /* as many `9`s as it takes until the client goes */
};

struct fake_tokend_turn {
    bool is_deaf;    /* does not read the request */
    const char *raw; /* sent as it is; NULL: a reply of the next two */
    enum socketmap_status status;
    const char *data; /* NULL, and raw NULL: nothing is sent */
    bool is_bytewise; /* one byte for each send() */
    enum fake_tokend_then then;
};

struct fake_tokend;

/* Start it, on a socket in a directory of its own. Owned; ends the test's
 * process when it can't. `turns` is borrowed: until fake_tokend_stop(). */
struct fake_tokend *fake_tokend_start(const struct fake_tokend_turn *turns,
                                      size_t count);

/* The same without listening yet: fake_tokend_listen() does. */
struct fake_tokend *fake_tokend_new(const struct fake_tokend_turn *turns,
                                    size_t count);
void fake_tokend_listen(struct fake_tokend *server);

/* Borrowed: until fake_tokend_stop(). The directory, and the socket in it. */
const char *fake_tokend_dir(const struct fake_tokend *server);
const char *fake_tokend_path(const struct fake_tokend *server);

/* End it. It answers no more, but what it got can still be looked at. */
void fake_tokend_stop(struct fake_tokend *server);

/* How many connections there were, and the n-th request's payload or "".
 * Only after fake_tokend_stop(). */
size_t fake_tokend_count(const struct fake_tokend *server);
const char *fake_tokend_request(const struct fake_tokend *server, size_t n);

/* Stop if need be, remove what it made, free, set to NULL. Takes NULL. */
void fake_tokend_free(struct fake_tokend **server);

#endif
