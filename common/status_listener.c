/*
 * status_listener - the listening socket of a status page.
 */
#include "common/status_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/config.h"

#define BACKLOG     64
#define UNIX_PREFIX "unix:"

/* The same address and port? */
static bool
is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in *b4 = (const struct sockaddr_in *)b;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a;
    const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)b;

    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return a4->sin_port == b4->sin_port &&
               a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return a->ss_family == AF_INET6 && a6->sin6_port == b6->sin6_port &&
           memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

/* The inherited socket that listens on the address, or -1. */
static int
take_inherited(struct unix_listener_inherited *inherited,
               const struct sockaddr_storage *wanted)
{
    for (size_t i = 0; i < inherited->count; i++) {
        struct sockaddr_storage address = {0};
        socklen_t len = sizeof(address);
        int is_listening = 0;
        socklen_t flag_len = sizeof(is_listening);
        int fd = inherited->sockets[i].fd;

        if (inherited->sockets[i].is_used ||
            getsockname(fd, (struct sockaddr *)&address, &len) < 0 ||
            !is_same(&address, wanted) ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening,
                       &flag_len) < 0 ||
            !is_listening)
            continue;
        inherited->sockets[i].is_used = true;
        return fd;
    }
    return -1;
}

static int
bind_own(const char *text, const struct sockaddr_storage *address,
         socklen_t len, struct err *err)
{
    int yes = 1;
    int fd = socket(address->ss_family,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_set(err, ERR_SYSTEM, "socket for %s: %s", text,
                       strerror(errno));
    /* Not to wait for old connections after a restart. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, (const struct sockaddr *)address, len) < 0 ||
        listen(fd, BACKLOG) < 0) {
        (void)err_set(err, ERR_CONFIG, "metrics: can't listen on %s: %s", text,
                      strerror(errno));
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* -1 with *err. */
static int
open_tcp(const char *text, struct unix_listener_inherited *inherited,
         struct err *err)
{
    struct sockaddr_storage address;
    socklen_t len;
    int flags;
    int fd;

    if (!config_metrics_address(text, &address, &len))
        return err_set(err, ERR_CONFIG, "metrics: %s is no loopback address",
                       text);
    fd = take_inherited(inherited, &address);
    if (fd < 0)
        return bind_own(text, &address, len, err);
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        (void)err_set(err, ERR_SYSTEM, "inherited %s: %s", text,
                      strerror(errno));
        (void)close(fd);
        return -1;
    }
    return fd;
}

int
status_listener_open(struct status_listener *listener,
                     const struct unix_listener_wish *wish,
                     struct unix_listener_inherited *inherited, struct err *err)
{
    struct unix_listener_wish unix_wish = *wish;

    *listener = (struct status_listener){.fd = -1};
    if (strncmp(wish->path, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0) {
        listener->fd = open_tcp(wish->path, inherited, err);
        return listener->fd >= 0 ? 0 : -1;
    }
    unix_wish.path += strlen(UNIX_PREFIX);
    if (unix_listener_open(&listener->unix_listener, &unix_wish, inherited,
                           err) < 0)
        return -1;
    listener->is_unix = true;
    listener->fd = listener->unix_listener.fd;
    return 0;
}

void
status_listener_close(struct status_listener *listener)
{
    if (listener->is_unix)
        unix_listener_close(&listener->unix_listener);
    else if (listener->fd >= 0)
        (void)close(listener->fd);
    *listener = (struct status_listener){.fd = -1};
}
