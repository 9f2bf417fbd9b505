/*
 * echo_server - a bare libevent server on a Unix socket: the yardstick.
 *
 *     echo_server SOCKET           send back what comes
 *     echo_server SOCKET REPLY     send REPLY for each netstring that comes
 *
 * It does nothing that a server would not have to do: one loop, one bufferevent
 * for each connection, no limits. Prints a line when it listens; ends with its
 * standard input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "common/socketmap.h"

static void
on_input(struct bufferevent *connection, void *arg)
{
    const char *reply = arg;
    struct evbuffer *input = bufferevent_get_input(connection);
    struct evbuffer *output = bufferevent_get_output(connection);
    struct socketmap_frame frame;

    if (reply == NULL) {
        (void)evbuffer_add_buffer(output, input);
        return;
    }
    while (socketmap_decode((const char *)evbuffer_pullup(input, -1),
                            evbuffer_get_length(input), SOCKETMAP_REQUEST_MAX,
                            &frame) == SOCKETMAP_COMPLETE) {
        (void)evbuffer_drain(input, frame.consumed);
        (void)evbuffer_add(output, reply, strlen(reply));
    }
}

static void
on_end(struct bufferevent *connection, short what, void *arg)
{
    (void)what;
    (void)arg;
    bufferevent_free(connection);
}

static void
on_connection(struct evconnlistener *listener, evutil_socket_t fd,
              struct sockaddr *address, int len, void *arg)
{
    struct bufferevent *connection = bufferevent_socket_new(
        evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);

    (void)address;
    (void)len;
    if (connection == NULL)
        return;
    bufferevent_setcb(connection, on_input, NULL, on_end, arg);
    (void)bufferevent_enable(connection, EV_READ | EV_WRITE);
}

static void
on_stdin(evutil_socket_t fd, short what, void *arg)
{
    char byte;

    (void)what;
    if (read(fd, &byte, 1) <= 0)
        (void)event_base_loopbreak(arg);
}

int
main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct event_base *base = event_base_new();
    struct evconnlistener *listener;
    struct event *end;

    if (argc < 2 || argc > 3 || strlen(argv[1]) >= sizeof(address.sun_path)) {
        fprintf(stderr, "usage: echo_server SOCKET [REPLY]\n");
        return 64;
    }
    memcpy(address.sun_path, argv[1], strlen(argv[1]));
    listener = evconnlistener_new_bind(
        base, on_connection, argc == 3 ? argv[2] : NULL,
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 1024,
        (const struct sockaddr *)&address, sizeof(address));
    if (listener == NULL) {
        perror(argv[1]);
        return 71;
    }
    end = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_stdin, base);
    (void)event_add(end, NULL);
    puts("listening");
    (void)fflush(stdout);
    (void)event_base_dispatch(base);
    event_free(end);
    evconnlistener_free(listener);
    event_base_free(base);
    (void)unlink(argv[1]);
    return 0;
}
