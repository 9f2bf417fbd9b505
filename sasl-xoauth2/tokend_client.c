/*
 * tokend_client - ask xoauth2-tokend one question, and wait for the answer.
 */
#include "sasl-xoauth2/tokend_client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/secret.h"

#define REQUEST_MAX (SOCKETMAP_REQUEST_MAX + SOCKETMAP_FRAME_MORE) /* bytes */
#define ANSWER_MAX  (SOCKETMAP_REPLY_MAX + SOCKETMAP_FRAME_MORE)   /* bytes */
#define CHUNK       8192                                           /* bytes */

/* How one attempt ended. All but DONE have filled in *err. */
enum attempt {
    ATTEMPT_DONE,
    ATTEMPT_AGAIN,  /* nobody there, or gone before the whole answer */
    ATTEMPT_FAILED, /* trying again would not help, or too late */
};

/* What went wrong on the socket, by errno. */
static enum attempt
fail(const struct tokend_client *client, enum attempt attempt,
     enum err_code code, const char *what, struct err *err)
{
    (void)err_set(err, code, "%s: %s: %s", client->path, what, strerror(errno));
    return attempt;
}

static enum attempt
connection_ended(const struct tokend_client *client, struct err *err)
{
    (void)err_set(err, ERR_RETRY, "%s: closed without an answer", client->path);
    return ATTEMPT_AGAIN;
}

/* Wait until the socket is ready for `events` or has failed. */
static enum attempt
wait_for(const struct tokend_client *client, int fd, short events,
         struct err *err)
{
    struct pollfd ready = {.fd = fd, .events = events};

    for (;;) {
        int64_t left = client->deadline_at - clock_boot_ms();
        int count;

        if (left <= 0) {
            (void)err_set(err, ERR_RETRY, "%s: no answer in time",
                          client->path);
            return ATTEMPT_FAILED;
        }
        count = poll(&ready, 1, left < INT32_MAX ? (int)left : INT32_MAX);
        if (count > 0)
            return ATTEMPT_DONE;
        if (count < 0 && errno != EINTR)
            return fail(client, ATTEMPT_FAILED, ERR_SYSTEM, "poll", err);
    }
}

static enum attempt
connect_to(const struct tokend_client *client, int fd, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, client->path, strlen(client->path));
    /* A Unix socket that does not block never answers EINPROGRESS. */
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return ATTEMPT_DONE;
    switch (errno) {
    case ENOENT:
    case ECONNREFUSED:
    case EACCES: /* between bind() and chmod(), too */
    case EAGAIN: /* the backlog is full */
    case EINTR:
        return fail(client, ATTEMPT_AGAIN, ERR_RETRY, "connect", err);
    default:
        return fail(client, ATTEMPT_FAILED, ERR_CONFIG, "connect", err);
    }
}

static enum attempt
send_request(const struct tokend_client *client, int fd,
             const struct buf *request, struct err *err)
{
    size_t sent = 0;

    while (sent < request->len) {
        ssize_t n = send(fd, request->data + sent, request->len - sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        enum attempt attempt;

        if (n >= 0) {
            sent += (size_t)n;
            continue;
        }
        if (errno == EPIPE || errno == ECONNRESET)
            return connection_ended(client, err);
        if (errno != EAGAIN && errno != EINTR)
            return fail(client, ATTEMPT_FAILED, ERR_SYSTEM, "send", err);
        attempt = wait_for(client, fd, POLLOUT, err);
        if (attempt != ATTEMPT_DONE)
            return attempt;
    }
    return ATTEMPT_DONE;
}

/* Wait for some bytes and append them; none is possible too. */
static enum attempt
receive_some(const struct tokend_client *client, int fd, struct buf *bytes,
             struct err *err)
{
    enum attempt attempt = wait_for(client, fd, POLLIN, err);
    char chunk[CHUNK];
    ssize_t n;

    if (attempt != ATTEMPT_DONE)
        return attempt;
    n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return ATTEMPT_DONE;
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return connection_ended(client, err);
    if (n < 0)
        return fail(client, ATTEMPT_FAILED, ERR_SYSTEM, "recv", err);
    buf_append(bytes, chunk, (size_t)n);
    secret_wipe(chunk, (size_t)n);
    if (!buf_failed(bytes))
        return ATTEMPT_DONE;
    (void)err_set(err, ERR_SYSTEM, "out of memory");
    return ATTEMPT_FAILED;
}

static enum attempt
read_answer(const struct tokend_client *client, int fd,
            struct tokend_answer *answer, struct err *err)
{
    struct socketmap_frame frame = {0};
    enum socketmap_result found;

    do {
        enum attempt attempt = receive_some(client, fd, &answer->bytes, err);

        if (attempt != ATTEMPT_DONE)
            return attempt;
        found = socketmap_decode(answer->bytes.data, answer->bytes.len,
                                 SOCKETMAP_REPLY_MAX, &frame);
    } while (found == SOCKETMAP_PARTIAL);
    if (found == SOCKETMAP_COMPLETE &&
        socketmap_reply_parse(frame.payload, frame.len, &answer->reply))
        return ATTEMPT_DONE;
    (void)err_set(err, ERR_PROTO, "%s: not a socketmap answer", client->path);
    return ATTEMPT_FAILED;
}

/* One connection: connect, ask, read. *answer is empty before. */
static enum attempt
ask_once(const struct tokend_client *client, const struct buf *request,
         struct tokend_answer *answer, struct err *err)
{
    enum attempt attempt;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return fail(client, ATTEMPT_FAILED, ERR_SYSTEM, "socket", err);
    attempt = connect_to(client, fd, err);
    if (attempt == ATTEMPT_DONE)
        attempt = send_request(client, fd, request, err);
    if (attempt == ATTEMPT_DONE)
        attempt = read_answer(client, fd, answer, err);
    (void)close(fd); /* nothing was written that could be lost */
    return attempt;
}

/* Sleep till the next attempt. False when the deadline comes first. */
static bool
pause_before_retry(const struct tokend_client *client)
{
    int64_t left = client->deadline_at - clock_boot_ms();
    struct timespec duration = {
        .tv_sec = (time_t)(client->retry_interval / 1000),
        .tv_nsec = (long)(client->retry_interval % 1000) * 1000000,
    };

    if (left <= client->retry_interval)
        return false;
    if (client->pause != NULL)
        client->pause(client->pause_arg, client->retry_interval);
    else
        (void)nanosleep(&duration, NULL); /* a signal: one attempt earlier */
    return true;
}

int
tokend_client_ask(const struct tokend_client *client, const char *name,
                  const char *key, struct tokend_answer *out, struct err *err)
{
    struct tokend_answer answer = {0};
    struct err last = {ERR_NONE, ""}; /* of an attempt; the next may succeed */
    struct buf request;
    enum attempt attempt;
    int rc = -1;

    if (*client->path == '\0')
        return err_set(err, ERR_CONFIG, "the socket's path is empty");
    if (strlen(client->path) > TOKEND_CLIENT_PATH_MAX)
        return err_set(err, ERR_CONFIG,
                       "the socket's path is longer than %d bytes",
                       TOKEND_CLIENT_PATH_MAX);
    if (strlen(name) + strlen(" ") + strlen(key) > SOCKETMAP_REQUEST_MAX)
        return err_set(err, ERR_CONFIG, "the request is longer than %d bytes",
                       SOCKETMAP_REQUEST_MAX);

    buf_init(&request, REQUEST_MAX);
    buf_init(&answer.bytes, ANSWER_MAX + CHUNK);
    socketmap_request_encode(&request, name, key);
    if (buf_failed(&request)) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        goto out;
    }
    do {
        buf_reset(&answer.bytes);
        attempt = ask_once(client, &request, &answer, &last);
    } while (attempt == ATTEMPT_AGAIN && pause_before_retry(client));
    if (attempt != ATTEMPT_DONE) {
        *err = last;
        goto out;
    }

    *out = answer; /* what it owns moves to the caller */
    answer = (struct tokend_answer){0};
    rc = 0;
out:
    tokend_answer_clear(&answer);
    buf_clear(&request);
    return rc;
}

void
tokend_answer_clear(struct tokend_answer *answer)
{
    buf_clear(&answer->bytes);
    answer->reply = (struct socketmap_reply){0};
}
