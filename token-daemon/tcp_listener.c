/*
 * tcp_listener - a listening socket of the loopback interface.
 */
#include "token-daemon/tcp_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/config.h"

#define BACKLOG 64

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

int
tcp_listener_open(const char *text, struct unix_listener_inherited *inherited,
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
