/*
 * ctl_client - a connection to the control socket: JSON objects, a line each.
 */
#include "token-daemon/ctl_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/config.h"

#define ANSWER_MAX ((size_t)64 * 1024 * 1024) /* bytes; status of many */

struct ctl_client {
    int fd;
    struct buf input;
};

static int
connect_to(const char *path, struct err *err)
{
    const struct timeval timeout = {CTL_CLIENT_TIMEOUT_S, 0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    int fd;

    if (len >= sizeof(address.sun_path))
        return err_set(err, ERR_CONFIG, "socket path %s is too long", path);
    memcpy(address.sun_path, path, len + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, ERR_SYSTEM, "socket: %s", strerror(errno));
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) <
            0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        int reason = errno;

        (void)close(fd);
        if (reason == EACCES)
            return err_set(err, ERR_DENIED,
                           "may not use %s; run as root or join the group "
                           "xoauth2-admin",
                           path);
        return err_set(err, ERR_RETRY, "%s: %s; is xoauth2-tokend running?",
                       path, strerror(reason));
    }
    return fd;
}

struct ctl_client *
ctl_client_open(const struct ctl *ctl, struct err *err)
{
    struct ctl_client *client = calloc(1, sizeof(*client));
    struct config *config = NULL;
    const char *path = ctl->socket;

    if (client == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    client->fd = -1;
    buf_init(&client->input, ANSWER_MAX);
    if (path == NULL) {
        config = config_load(ctl->config_path, err);
        path = config != NULL ? config->tokend.control : NULL;
    }
    if (path != NULL)
        client->fd = connect_to(path, err);
    config_unref(&config);
    if (client->fd < 0)
        ctl_client_close(&client);
    return client;
}

void
ctl_client_close(struct ctl_client **client)
{
    if (*client == NULL)
        return;
    if ((*client)->fd >= 0)
        (void)close((*client)->fd);
    buf_clear(&(*client)->input);
    free(*client);
    *client = NULL;
}

static int
send_all(int fd, const char *data, size_t len, struct err *err)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        /* It has hung up, maybe after it said why: that is to be read. */
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return 0;
        if (n < 0)
            return err_set(err, ERR_RETRY, "the request could not be sent: %s",
                           strerror(errno));
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int
ctl_client_send(struct ctl_client *client, const json_t *object,
                struct err *err)
{
    char *line = json_dumps(object, JSON_COMPACT);
    int rc;

    if (line == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    rc = send_all(client->fd, line, strlen(line), err);
    if (rc == 0)
        rc = send_all(client->fd, "\n", 1, err);
    explicit_bzero(line, strlen(line));
    free(line);
    return rc;
}

int
ctl_client_has_line(const struct ctl_client *client)
{
    return client->input.len > 0 &&
           memchr(client->input.data, '\n', client->input.len) != NULL;
}

int
ctl_client_fd(const struct ctl_client *client)
{
    return client->fd;
}

/* Wait until there is something to read, at most until `deadline`. */
static int
wait_for(int fd, int64_t deadline_ms, int timeout_s, struct err *err)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int64_t left;
    int n;

    do {
        left = timeout_s < 0 ? -1 : deadline_ms - clock_boot_ms();
        if (timeout_s >= 0 && left < 0)
            left = 0;
        n = poll(&poll_fd, 1, (int)left);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_set(err, ERR_SYSTEM, "poll: %s", strerror(errno));
    if (n == 0)
        return err_set(err, ERR_RETRY, "no answer within %d s", timeout_s);
    return 0;
}

/* Read up to the end of the first line. */
static int
receive_line(struct ctl_client *client, int timeout_s, struct err *err)
{
    int64_t deadline = clock_boot_ms() + (int64_t)timeout_s * 1000;
    char chunk[16384];

    while (!ctl_client_has_line(client)) {
        ssize_t n;

        if (wait_for(client->fd, deadline, timeout_s, err) < 0)
            return -1;
        n = recv(client->fd, chunk, sizeof(chunk), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, ERR_RETRY, "the answer could not be read: %s",
                           strerror(errno));
        if (n == 0)
            return err_set(err, ERR_RETRY,
                           "xoauth2-tokend closed the connection; it may be "
                           "restarting");
        buf_append(&client->input, chunk, (size_t)n);
        explicit_bzero(chunk, (size_t)n);
        if (buf_failed(&client->input))
            return err_set(err, ERR_PROTO, "the answer is too long");
    }
    return 0;
}

json_t *
ctl_client_receive(struct ctl_client *client, int timeout_s, struct err *err)
{
    json_t *object;
    const char *end;
    size_t len;

    if (receive_line(client, timeout_s, err) < 0)
        return NULL;
    end = memchr(client->input.data, '\n', client->input.len);
    len = (size_t)(end - client->input.data);
    object = json_loadb(client->input.data, len, JSON_REJECT_DUPLICATES, NULL);
    buf_consume(&client->input, len + 1);
    if (json_is_object(object))
        return object;
    json_decref(object);
    err_set(err, ERR_PROTO, "the answer is not a JSON object");
    return NULL;
}
