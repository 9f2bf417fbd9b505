/*
 * lookup_latency - how long lookups take, one at a time at a steady pace.
 *
 *     lookup_latency SOCKET PAUSE_US NAME KEY
 *
 * Asks until standard input ends, on one connection; every tenth lookup on a
 * new one. Every answer must be `OK ...`. Prints `COUNT P50 P99 P999 MOST`, the
 * latter four in microseconds.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/socketmap.h"

#define TIMES_MAX 4000000
#define REPLY_MAX ((size_t)SOCKETMAP_REPLY_MAX + SOCKETMAP_FRAME_MORE)
#define NEW_EVERY 10

static _Noreturn void
give_up(const char *what)
{
    (void)fprintf(stderr, "lookup_latency: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t
now_us(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        give_up("clock_gettime");
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static int
connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    errno = ENAMETOOLONG;
    if (len >= sizeof(address.sun_path))
        give_up(path);
    memcpy(address.sun_path, path, len + 1);
    if (fd < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        give_up(path);
    return fd;
}

/* One lookup; the answer must be OK. */
static void
ask(int fd, const char *frame, size_t frame_len)
{
    static char reply[REPLY_MAX];
    struct socketmap_frame got = {0};
    size_t len = 0;

    if (send(fd, frame, frame_len, MSG_NOSIGNAL) != (ssize_t)frame_len)
        give_up("send");
    while (len == 0 || socketmap_decode(reply, len, SOCKETMAP_REPLY_MAX,
                                        &got) == SOCKETMAP_PARTIAL) {
        ssize_t n = recv(fd, reply + len, sizeof(reply) - len, 0);

        if (n <= 0)
            give_up("recv");
        len += (size_t)n;
    }
    errno = EPROTO;
    if (got.len < 3 || memcmp(got.payload, "OK ", 3) != 0)
        give_up("the answer is not OK");
}

static int
compare(const void *a, const void *b)
{
    const int32_t *first = a;
    const int32_t *second = b;

    return (*first > *second) - (*first < *second);
}

int
main(int argc, char **argv)
{
    int32_t *times = calloc(TIMES_MAX, sizeof(*times));
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    size_t count = 0;
    char request[SOCKETMAP_REQUEST_MAX];
    char frame[SOCKETMAP_REQUEST_MAX + 32];
    int request_len, frame_len, fd;
    struct timespec pause = {0};

    errno = EINVAL;
    if (argc != 5 || times == NULL)
        give_up("SOCKET PAUSE_US NAME KEY");
    pause.tv_nsec = strtol(argv[2], NULL, 10) * 1000;
    request_len = snprintf(request, sizeof(request), "%s %s", argv[3], argv[4]);
    frame_len = snprintf(frame, sizeof(frame), "%d:%s,", request_len, request);
    if (request_len >= (int)sizeof(request) || frame_len >= (int)sizeof(frame))
        give_up(argv[4]);
    fd = connect_to(argv[1]);
    while (poll(&input, 1, 0) == 0 && count < TIMES_MAX) {
        int64_t begin = now_us();

        if (count % NEW_EVERY == NEW_EVERY - 1) {
            (void)close(fd);
            fd = connect_to(argv[1]);
        }
        ask(fd, frame, (size_t)frame_len);
        times[count++] = (int32_t)(now_us() - begin);
        (void)nanosleep(&pause, NULL);
    }
    if (count == 0)
        give_up("nothing asked");
    qsort(times, count, sizeof(*times), compare);
    (void)printf("%zu %d %d %d %d\n", count, (int)times[count / 2],
                 (int)times[count * 99 / 100], (int)times[count * 999 / 1000],
                 (int)times[count - 1]);
    return 0;
}
