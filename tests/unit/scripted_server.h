/*
 * scripted_server - for tests: an HTTP server that answers by a script, byte
 * for byte, right or wrong, in the event loop of the test.
 */
#ifndef TESTS_UNIT_SCRIPTED_SERVER_H
#define TESTS_UNIT_SCRIPTED_SERVER_H

#include <stddef.h>

#define SCRIPTED_SERVER_TEXTS_MAX 32 /* requests whose text is kept */

struct event_base;
struct scripted_server;

enum scripted_then {
    SCRIPTED_KEEP,  /* leave the connection open for another request */
    SCRIPTED_CLOSE, /* close it after the answer */
    SCRIPTED_RESET, /* answer nothing, reset it */
    SCRIPTED_HANG,  /* send the answer (perhaps a part), then nothing more */
};

struct scripted_step {
    const char *answer; /* borrowed; the whole HTTP message; NULL: none */
    enum scripted_then then;
};

/*
 * Listen on 127.0.0.1 at a free port. The steps are taken in turn, one for a
 * request; the last one is repeated. Fails the test when it can't.
 */
struct scripted_server *scripted_server_new(struct event_base *base,
                                            const struct scripted_step *steps,
                                            size_t count);
void scripted_server_free(struct scripted_server **server);

int scripted_server_port(const struct scripted_server *server);
size_t scripted_server_connections(const struct scripted_server *server);

/* Whole requests that came, and their text: borrowed, for the server's life. */
size_t scripted_server_requests(const struct scripted_server *server);
const char *scripted_server_request(const struct scripted_server *server,
                                    size_t index);

#endif
