/*
 * unix_listener - listening Unix sockets: inherited ones, or our own.
 */
#include "common/unix_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

/* The path of a listening Unix socket, or false when `fd` is none. */
static bool
path_of(int fd, char *out, size_t size)
{
    struct sockaddr_un address = {0};
    socklen_t len = sizeof(address);
    int is_listening = 0;
    socklen_t flag_len = sizeof(is_listening);

    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0 ||
        address.sun_family != AF_UNIX ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &flag_len) <
            0 ||
        !is_listening || address.sun_path[0] == '\0')
        return false;
    len = (socklen_t)strnlen(address.sun_path, sizeof(address.sun_path));
    if (len >= size)
        return false;
    memcpy(out, address.sun_path, len);
    out[len] = '\0';
    return true;
}

static bool
set_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

void
unix_listener_inherit(struct unix_listener_inherited *inherited, int first,
                      int count)
{
    *inherited = (struct unix_listener_inherited){0};
    for (int fd = first; fd < first + count; fd++) {
        if (inherited->count == UNIX_LISTENER_INHERITED_MAX) {
            log_warning("more sockets were inherited than can be used",
                        F_INT("used", UNIX_LISTENER_INHERITED_MAX),
                        F_INT("inherited", count));
            (void)close(fd);
            continue;
        }
        inherited->sockets[inherited->count].fd = fd;
        inherited->sockets[inherited->count].is_used = false;
        inherited->count++;
    }
}

void
unix_listener_drop_unused(struct unix_listener_inherited *inherited)
{
    for (size_t i = 0; i < inherited->count; i++) {
        char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1] = "";

        if (inherited->sockets[i].is_used)
            continue;
        (void)path_of(inherited->sockets[i].fd, path, sizeof(path));
        log_warning("an inherited socket is not used; name it in relay.conf or "
                    "take it out of the socket unit",
                    F_STR("path", path));
        (void)close(inherited->sockets[i].fd);
        inherited->sockets[i].is_used = true;
    }
}

/* The inherited socket of `path`, or -1. */
static int
take_inherited(struct unix_listener_inherited *inherited, const char *path)
{
    for (size_t i = 0; i < inherited->count; i++) {
        char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];

        if (inherited->sockets[i].is_used ||
            !path_of(inherited->sockets[i].fd, name, sizeof(name)) ||
            strcmp(name, path) != 0)
            continue;
        inherited->sockets[i].is_used = true;
        return inherited->sockets[i].fd;
    }
    return -1;
}

static int
set_address(struct sockaddr_un *address, const char *path, struct err *err)
{
    size_t len = strlen(path);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len >= sizeof(address->sun_path))
        return err_set(err, ERR_CONFIG,
                       "socket path %s is longer than %zu bytes", path,
                       sizeof(address->sun_path) - 1);
    memcpy(address->sun_path, path, len + 1);
    return 0;
}

/* Make room for our socket: remove what a dead process left behind. */
static int
remove_stale(const struct sockaddr_un *address, struct err *err)
{
    struct stat status;
    int fd;
    int rc;

    if (lstat(address->sun_path, &status) < 0)
        return 0; /* nothing there; what else may be wrong bind() will say */
    if (!S_ISSOCK(status.st_mode))
        return err_set(err, ERR_CONFIG,
                       "%s is there and is no socket; remove it",
                       address->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(err, ERR_SYSTEM, "socket: %s", strerror(errno));
    rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    if (rc == 0 || errno != ECONNREFUSED) {
        int reason = rc == 0 ? 0 : errno;

        (void)close(fd);
        if (reason == 0 || reason == EAGAIN)
            return err_set(err, ERR_CONFIG,
                           "another process serves %s; stop it first",
                           address->sun_path);
        return err_set(err, ERR_SYSTEM, "%s: %s", address->sun_path,
                       strerror(reason));
    }
    (void)close(fd);
    if (unlink(address->sun_path) < 0 && errno != ENOENT)
        return err_set(err, ERR_SYSTEM, "can't remove stale %s: %s",
                       address->sun_path, strerror(errno));
    return 0;
}

/* Mode and group of a socket file that was just bound. */
static int
set_access(const struct unix_listener_wish *wish, struct err *err)
{
    if (wish->group != NULL) {
        const struct group *group = getgrnam(wish->group);

        if (group == NULL)
            log_warning("no such group, so it can't use the socket; create it "
                        "with groupadd --system",
                        F_STR("group", wish->group), F_STR("path", wish->path));
        else if (chown(wish->path, (uid_t)-1, group->gr_gid) < 0)
            log_warning("can't give the socket to the group; make the daemon's "
                        "user a member of it",
                        F_STR("group", wish->group), F_STR("path", wish->path),
                        F_STR("error", strerror(errno)));
    }
    if (chmod(wish->path, wish->mode) < 0)
        return err_set(err, ERR_SYSTEM, "chmod %s: %s", wish->path,
                       strerror(errno));
    return 0;
}

static int
bind_own(struct unix_listener *listener, const struct unix_listener_wish *wish,
         struct err *err)
{
    struct sockaddr_un address;
    struct stat status;
    int fd;

    if (set_address(&address, wish->path, err) < 0 ||
        remove_stale(&address, err) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(err, ERR_SYSTEM, "socket: %s", strerror(errno));
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        int reason = errno;

        (void)close(fd);
        if (reason == ENOENT)
            return err_set(err, ERR_CONFIG,
                           "the directory of %s is missing; run: %s",
                           wish->path, wish->install_line);
        return err_set(err, ERR_CONFIG, "can't bind %s: %s; run: %s",
                       wish->path, strerror(reason), wish->install_line);
    }
    listener->fd = fd;
    listener->is_ours = true;
    if (lstat(wish->path, &status) == 0) {
        listener->device = status.st_dev;
        listener->inode = status.st_ino;
    }
    if (set_access(wish, err) < 0)
        return -1;
    if (listen(fd, BACKLOG) < 0)
        return err_set(err, ERR_SYSTEM, "listen on %s: %s", wish->path,
                       strerror(errno));
    return 0;
}

int
unix_listener_open(struct unix_listener *listener,
                   const struct unix_listener_wish *wish,
                   struct unix_listener_inherited *inherited, struct err *err)
{
    *listener = (struct unix_listener){.fd = -1, .path = strdup(wish->path)};
    if (listener->path == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    listener->fd = take_inherited(inherited, wish->path);
    if (listener->fd >= 0) {
        if (set_flags(listener->fd))
            return 0;
        err_set(err, ERR_SYSTEM, "inherited %s: %s", wish->path,
                strerror(errno));
        unix_listener_close(listener);
        return -1;
    }
    if (inherited->count > 0)
        log_warning("a configured socket was not inherited; add a ListenStream "
                    "line to the socket unit, or clients will not wait for a "
                    "restart",
                    F_STR("path", wish->path));
    if (bind_own(listener, wish, err) < 0) {
        unix_listener_close(listener);
        return -1;
    }
    return 0;
}

void
unix_listener_close(struct unix_listener *listener)
{
    struct stat status;

    if (listener->is_ours && lstat(listener->path, &status) == 0 &&
        status.st_dev == listener->device && status.st_ino == listener->inode)
        (void)unlink(listener->path); /* the next start removes it as stale */
    if (listener->fd >= 0)
        (void)close(listener->fd);
    free(listener->path);
    *listener = (struct unix_listener){.fd = -1};
}
