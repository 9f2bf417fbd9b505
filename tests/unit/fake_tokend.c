/*
 * fake_tokend - a scripted server on a Unix socket, for tests of its clients.
 */
#include "tests/unit/fake_tokend.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"

#define REQUESTS_MAX  64
#define DRIBBLE_EVERY 2 /* ms */

struct fake_tokend {
    const struct fake_tokend_turn *turns;
    size_t turn_count;
    char dir[64];
    char path[96];
    int listener;
    int stop[2]; /* a pipe; closed at [1] to end the thread */
    pthread_t thread;
    bool is_running;
    size_t count;
    char *requests[REQUESTS_MAX];
};

/* A test without its server is no test. */
static void
must(bool is_fine, const char *what)
{
    if (is_fine)
        return;
    perror(what);
    abort();
}

/* Wait for `events` on fd, for `timeout` ms. 0: not yet; -1: stop. */
static int
wait_for(const struct fake_tokend *server, int fd, short events, int timeout)
{
    struct pollfd fds[] = {{.fd = fd, .events = events},
                           {.fd = server->stop[0], .events = POLLIN}};
    int count = poll(fds, 2, timeout);

    if (count < 0 || fds[1].revents != 0)
        return -1;
    return fds[0].revents;
}

/* Read one request and keep its payload. False when the client goes. */
static bool
read_request(struct fake_tokend *server, int fd, size_t n)
{
    struct socketmap_frame frame;
    struct buf input;
    char chunk[1024];
    bool is_whole = false;

    buf_init(&input, SOCKETMAP_REQUEST_MAX + sizeof(chunk));
    while (!is_whole && wait_for(server, fd, POLLIN, -1) > 0) {
        ssize_t len = recv(fd, chunk, sizeof(chunk), 0);

        if (len <= 0)
            break;
        buf_append(&input, chunk, (size_t)len);
        is_whole =
            socketmap_decode(input.data, input.len, SOCKETMAP_REQUEST_MAX,
                             &frame) == SOCKETMAP_COMPLETE;
    }
    if (is_whole && n < REQUESTS_MAX)
        server->requests[n] = strndup(frame.payload, frame.len);
    buf_clear(&input);
    return is_whole;
}

static void
send_reply(const struct fake_tokend_turn *turn, int fd)
{
    size_t size;
    struct buf out;

    buf_init(&out, (size_t)1 << 20);
    if (turn->raw != NULL)
        buf_append_str(&out, turn->raw);
    else if (turn->data != NULL)
        socketmap_reply_encode(&out, turn->status, turn->data,
                               strlen(turn->data));
    size = turn->is_bytewise ? 1 : out.len;
    for (size_t at = 0; at < out.len;) {
        ssize_t n =
            send(fd, out.data + at, size < out.len - at ? size : out.len - at,
                 MSG_NOSIGNAL);

        if (n <= 0)
            break;
        at += (size_t)n;
    }
    buf_clear(&out);
}

/* Wait until the client closes, and send meanwhile what the script says. */
static void
keep_connection(const struct fake_tokend *server, int fd,
                enum fake_tokend_then then)
{
    char flood[4096];

    memset(flood, '9', sizeof(flood));
    for (;;) {
        short events = then == FAKE_TOKEND_FLOOD ? POLLIN | POLLOUT : POLLIN;
        int timeout = then == FAKE_TOKEND_DRIBBLE ? DRIBBLE_EVERY : -1;
        int ready = wait_for(server, fd, events, timeout);

        if (ready < 0 || (ready & (POLLIN | POLLHUP | POLLERR)) != 0)
            return;
        if (then == FAKE_TOKEND_FLOOD)
            (void)send(fd, flood, sizeof(flood), MSG_NOSIGNAL | MSG_DONTWAIT);
        else
            (void)send(fd, "0", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

static void
serve(struct fake_tokend *server, int fd)
{
    size_t n = server->count++;
    const struct fake_tokend_turn *turn =
        &server->turns[n < server->turn_count ? n : server->turn_count - 1];

    if (turn->is_deaf || read_request(server, fd, n)) {
        send_reply(turn, fd);
        if (turn->then != FAKE_TOKEND_CLOSE)
            keep_connection(server, fd, turn->then);
    }
    (void)close(fd);
}

static void *
run(void *arg)
{
    struct fake_tokend *server = arg;

    while (wait_for(server, server->listener, POLLIN, -1) > 0) {
        int fd = accept(server->listener, NULL, NULL);

        if (fd >= 0)
            serve(server, fd);
    }
    return NULL;
}

struct fake_tokend *
fake_tokend_new(const struct fake_tokend_turn *turns, size_t count)
{
    struct fake_tokend *server = calloc(1, sizeof(*server));

    must(server != NULL, "calloc");
    server->turns = turns;
    server->turn_count = count;
    server->listener = -1;
    memcpy(server->dir, "/tmp/fake-tokend-XXXXXX",
           sizeof("/tmp/fake-tokend-XXXXXX"));
    must(mkdtemp(server->dir) != NULL, "mkdtemp");
    (void)snprintf(server->path, sizeof(server->path), "%s/tokend.sock",
                   server->dir);
    must(pipe(server->stop) == 0, "pipe");
    return server;
}

void
fake_tokend_listen(struct fake_tokend *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, server->path, strlen(server->path));
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(server->listener >= 0, "socket");
    must(bind(server->listener, (struct sockaddr *)&address, sizeof(address)) ==
             0,
         "bind");
    must(listen(server->listener, 16) == 0, "listen");
    must(pthread_create(&server->thread, NULL, run, server) == 0, "thread");
    server->is_running = true;
}

struct fake_tokend *
fake_tokend_start(const struct fake_tokend_turn *turns, size_t count)
{
    struct fake_tokend *server = fake_tokend_new(turns, count);

    fake_tokend_listen(server);
    return server;
}

const char *
fake_tokend_dir(const struct fake_tokend *server)
{
    return server->dir;
}

const char *
fake_tokend_path(const struct fake_tokend *server)
{
    return server->path;
}

/*
 * On a busy machine a client may come and give up before our thread has run:
 * its connection is still in the backlog, and counts.
 */
static void
count_the_rest(struct fake_tokend *server)
{
    struct pollfd waiting = {.fd = server->listener, .events = POLLIN};

    while (server->listener >= 0 && poll(&waiting, 1, 0) > 0) {
        int fd = accept(server->listener, NULL, NULL);

        if (fd < 0)
            break;
        server->count++;
        (void)close(fd);
    }
}

void
fake_tokend_stop(struct fake_tokend *server)
{
    if (server->stop[1] >= 0)
        (void)close(server->stop[1]);
    server->stop[1] = -1;
    if (server->is_running)
        (void)pthread_join(server->thread, NULL);
    server->is_running = false;
    count_the_rest(server);
    if (server->listener >= 0)
        (void)close(server->listener);
    server->listener = -1;
}

size_t
fake_tokend_count(const struct fake_tokend *server)
{
    return server->count;
}

const char *
fake_tokend_request(const struct fake_tokend *server, size_t n)
{
    if (n >= REQUESTS_MAX || server->requests[n] == NULL)
        return "";
    return server->requests[n];
}

void
fake_tokend_free(struct fake_tokend **server)
{
    if (*server == NULL)
        return;
    fake_tokend_stop(*server);
    (void)close((*server)->stop[0]);
    (void)unlink((*server)->path);
    (void)rmdir((*server)->dir);
    for (size_t i = 0; i < REQUESTS_MAX; i++)
        free((*server)->requests[i]);
    free(*server);
    *server = NULL;
}
