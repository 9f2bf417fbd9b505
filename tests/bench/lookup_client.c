/*
 * lookup_client - as many socketmap requests a second as a server answers.
 *
 *     lookup_client SOCKET CONNECTIONS REQUESTS NAME KEY
 *
 * Each connection has one request under way at a time. Every answer must be
 * `OK ...`, or it ends with a message. The clock starts when each connection
 * has had its first answer. Prints `SECONDS REQUESTS REPLY_BYTES`.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/socketmap.h"

#define CONNECTIONS_MAX 1024
#define REPLY_MAX       ((size_t)SOCKETMAP_REPLY_MAX + SOCKETMAP_FRAME_MORE)

struct connection {
    int fd;
    size_t len; /* bytes of the answer so far */
    char *reply;
};

struct bench {
    const char *frame; /* the request, ready to send */
    size_t frame_len;
    uint64_t sent;
    uint64_t answered;
    uint64_t limit; /* requests in all */
    size_t reply_len;
};

static void
fail(const char *what)
{
    (void)fprintf(stderr, "lookup_client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t
read_count(const char *text, int64_t max)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 || value > max) {
        (void)fprintf(stderr,
                      "lookup_client: %s: not a number from 1 to %lld\n", text,
                      (long long)max);
        exit(2);
    }
    return value;
}

static int64_t
now_ns(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        fail("clock_gettime");
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void
open_connection(struct connection *connection, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);

    if (len >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        fail(path);
    }
    memcpy(address.sun_path, path, len + 1);
    connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connection->reply = malloc(REPLY_MAX);
    if (connection->fd < 0 || connection->reply == NULL ||
        connect(connection->fd, (const struct sockaddr *)&address,
                sizeof(address)) < 0)
        fail(path);
}

/* Short enough to go at once: nothing else is under way here. */
static void
send_request(struct bench *bench, struct connection *connection)
{
    if (send(connection->fd, bench->frame, bench->frame_len, MSG_NOSIGNAL) !=
        (ssize_t)bench->frame_len)
        fail("send");
    connection->len = 0;
    bench->sent++;
}

/* True when the whole answer is there. */
static bool
receive_answer(struct bench *bench, struct connection *connection)
{
    struct socketmap_frame frame;
    ssize_t n = recv(connection->fd, connection->reply + connection->len,
                     REPLY_MAX - connection->len, 0);

    if (n <= 0)
        fail(n == 0 ? "the server closed the connection" : "recv");
    connection->len += (size_t)n;
    switch (socketmap_decode(connection->reply, connection->len,
                             SOCKETMAP_REPLY_MAX, &frame)) {
    case SOCKETMAP_PARTIAL:
        return false;
    case SOCKETMAP_BAD:
        errno = EPROTO;
        fail("not a netstring");
        return false;
    case SOCKETMAP_COMPLETE:
        break;
    }
    if (frame.consumed != connection->len || frame.len < 3 ||
        memcmp(frame.payload, "OK ", 3) != 0) {
        errno = EPROTO;
        fail("the answer is not OK");
    }
    bench->reply_len = frame.len;
    bench->answered++;
    return true;
}

/* Send and receive until `limit` requests were answered. */
static void
run(struct bench *bench, int poller, struct connection *connections,
    size_t count)
{
    struct epoll_event events[64];

    for (size_t i = 0; i < count; i++)
        send_request(bench, &connections[i]);
    while (bench->answered < bench->limit) {
        int ready = epoll_wait(poller, events, 64, 30000);

        if (ready == 0)
            errno = ETIMEDOUT;
        if (ready <= 0)
            fail("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;

            if (receive_answer(bench, connection) && bench->sent < bench->limit)
                send_request(bench, connection);
        }
    }
}

int
main(int argc, char **argv)
{
    static struct connection connections[CONNECTIONS_MAX];
    struct bench bench = {0};
    struct buf frame;
    size_t count;
    int64_t start;
    int poller;

    if (argc != 6) {
        (void)fputs(
            "usage: lookup_client SOCKET CONNECTIONS REQUESTS NAME KEY\n",
            stderr);
        return 2;
    }
    count = (size_t)read_count(argv[2], CONNECTIONS_MAX);
    buf_init(&frame, SOCKETMAP_REQUEST_MAX + SOCKETMAP_FRAME_MORE);
    socketmap_request_encode(&frame, argv[4], argv[5]);
    if (buf_failed(&frame)) {
        errno = EMSGSIZE;
        fail("request");
    }
    bench.frame = buf_str(&frame);
    bench.frame_len = frame.len;
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        fail("epoll_create1");
    for (size_t i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN,
                                    .data.ptr = &connections[i]};

        open_connection(&connections[i], argv[1]);
        if (epoll_ctl(poller, EPOLL_CTL_ADD, connections[i].fd, &event) < 0)
            fail("epoll_ctl");
    }
    bench.limit = count;
    run(&bench, poller, connections, count);

    bench = (struct bench){.frame = bench.frame,
                           .frame_len = bench.frame_len,
                           .limit = (uint64_t)read_count(argv[3], INT64_MAX)};
    start = now_ns();
    run(&bench, poller, connections, count);
    (void)printf("%.6f %llu %zu\n", (double)(now_ns() - start) / 1e9,
                 (unsigned long long)bench.answered, bench.reply_len);
    for (size_t i = 0; i < count; i++) {
        (void)close(connections[i].fd);
        free(connections[i].reply);
    }
    (void)close(poller);
    buf_clear(&frame);
    return 0;
}
