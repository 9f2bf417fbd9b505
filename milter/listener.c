/*
 * listener - the socket that mail servers connect to.
 */
#include "milter/listener.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"

#define SPEC_MAX      32 /* bytes of `fd:N` */
#define PRIVATE_UMASK 077

static bool
has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool
is_listening(int fd)
{
    socklen_t size = sizeof(int);
    int value = 0;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 &&
           value != 0;
}

/* The inherited socket with this path, or -1. */
static int
find_inherited(const struct unix_listener_inherited *inherited,
               const char *path)
{
    for (size_t i = 0; i < inherited->count; i++) {
        struct sockaddr_un address = {0};
        socklen_t size = sizeof(address) - 1; /* a NUL is left at the end */
        int fd = inherited->sockets[i].fd;

        if (getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
            address.sun_family == AF_UNIX &&
            strcmp(address.sun_path, path) == 0)
            return fd;
    }
    return -1;
}

static int
use_fd(struct listener *out, struct unix_listener_inherited *inherited, int fd,
       struct err *err)
{
    char spec[SPEC_MAX];

    for (size_t i = 0; i < inherited->count; i++)
        if (inherited->sockets[i].fd == fd)
            inherited->sockets[i].is_used = true;
    (void)snprintf(spec, sizeof(spec), "fd:%d", fd);
    if (!is_listening(fd))
        return err_set(err, ERR_CONFIG,
                       "%s is not a listening socket; start the milter by its "
                       "socket unit, or set socket = \"unix:PATH\"",
                       spec);
    out->fd = fd;
    out->spec = strdup(spec);
    if (out->spec == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}

/* Say how the directory of `path` is made. */
static int
explain_directory(const char *path, const struct config_milter *settings,
                  struct err *err)
{
    const struct passwd *user = getpwuid(geteuid());
    const char *group =
        settings->socket_group != NULL ? settings->socket_group : "postfix";
    const char *slash = strrchr(path, '/');

    return err_set(err, ERR_CONFIG,
                   "no directory for the socket %s: install -d -o %s -g %s -m "
                   "2750 %.*s",
                   path, user != NULL ? user->pw_name : "xoauth2-milter", group,
                   (int)(slash - path), path);
}

static int
check_directory(const char *path, const struct config_milter *settings,
                struct err *err)
{
    const char *slash = strrchr(path, '/');
    struct stat status;
    char *directory;
    bool is_there;

    if (slash == NULL || *path != '/')
        return err_set(err, ERR_CONFIG,
                       "the socket's path %s must begin with a /", path);
    if (slash == path)
        return 0;
    directory = strndup(path, (size_t)(slash - path));
    if (directory == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    is_there = stat(directory, &status) == 0 && S_ISDIR(status.st_mode);
    free(directory);
    return is_there ? 0 : explain_directory(path, settings, err);
}

/* Does somebody listen at `path`? 0: no; 1: yes; -1: can't say. */
static int
probe(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result;

    if (fd < 0)
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        result = 1;
    else
        result = errno == ECONNREFUSED ? 0 : -1;
    (void)close(fd);
    return result;
}

/* Remove what a dead process left, and nothing else. */
static int
remove_stale(const char *path, struct err *err)
{
    struct stat status;

    if (lstat(path, &status) < 0) {
        if (errno == ENOENT)
            return 0;
        return err_set(err, ERR_CONFIG, "can't look at %s: %s", path,
                       strerror(errno));
    }
    if (!S_ISSOCK(status.st_mode))
        return err_set(err, ERR_CONFIG, "%s exists and is no socket; remove it",
                       path);
    switch (probe(path)) {
    case 0:
        break;
    case 1:
        return err_set(err, ERR_CONFIG,
                       "another process listens at %s; stop it first", path);
    default:
        return err_set(err, ERR_CONFIG,
                       "can't tell whether somebody listens at %s: %s", path,
                       strerror(errno));
    }
    if (unlink(path) < 0)
        return err_set(err, ERR_CONFIG, "can't remove the old socket %s: %s",
                       path, strerror(errno));
    return 0;
}

static int
use_path(const struct config_milter *settings, const char *path,
         struct listener *out, struct err *err)
{
    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return err_set(err, ERR_CONFIG, "the socket's path %s is too long",
                       path);
    if (check_directory(path, settings, err) < 0 || remove_stale(path, err) < 0)
        return -1;
    out->mode = settings->socket_mode;
    out->group = settings->socket_group;
    out->path = strdup(path);
    out->spec = strdup(settings->socket);
    if (out->path == NULL || out->spec == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}

static int
use_network(const char *spec, struct listener *out, struct err *err)
{
    log_warning("a TCP socket makes each message wait tens of milliseconds: "
                "use unix:PATH where the mail server is on this machine",
                F_STR("socket", spec));
    out->spec = strdup(spec);
    if (out->spec == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}

static int
choose(const struct config_milter *settings,
       struct unix_listener_inherited *inherited, struct listener *out,
       struct err *err)
{
    const char *spec = settings->socket;
    const char *path = has_prefix(spec, "unix:") ? spec + 5 : NULL;
    int fd = path != NULL ? find_inherited(inherited, path) : -1;

    if (has_prefix(spec, "fd:"))
        return use_fd(out, inherited, (int)strtol(spec + 3, NULL, 10), err);
    if (fd >= 0)
        return use_fd(out, inherited, fd, err);
    if (path != NULL)
        return use_path(settings, path, out, err);
    return use_network(spec, out, err);
}

int
listener_init(const struct config_milter *settings,
              struct unix_listener_inherited *inherited, struct listener *out,
              struct err *err)
{
    *out = (struct listener){.fd = -1};
    if (choose(settings, inherited, out, err) == 0)
        return 0;
    listener_clear(out);
    return -1;
}

void
listener_clear(struct listener *listener)
{
    free(listener->path);
    free(listener->spec);
    *listener = (struct listener){.fd = -1};
}

static int
set_group(const struct listener *listener, struct err *err)
{
    const struct group *group = getgrnam(listener->group);
    struct stat status;

    if (group == NULL)
        return err_set(err, ERR_CONFIG,
                       "socket_group: there is no group %s here",
                       listener->group);
    /* A directory with the setgid bit has done it already. */
    if (stat(listener->path, &status) == 0 && status.st_gid == group->gr_gid)
        return 0;
    if (chown(listener->path, (uid_t)-1, group->gr_gid) == 0)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "can't give the socket %s to the group %s (%s): make its "
                   "directory belong to that group, mode 2750",
                   listener->path, listener->group, strerror(errno));
}

int
listener_open(const struct listener *listener, int (*open_it)(void),
              struct err *err)
{
    int rc;

    /* The file has the right mode from its first moment. */
    if (listener->path != NULL)
        (void)umask(~listener->mode & 0777);
    rc = open_it();
    (void)umask(PRIVATE_UMASK);
    if (rc < 0)
        return err_set(err, ERR_CONFIG,
                       "libmilter can't listen on %s; it says why in the "
                       "system's log",
                       listener->spec);
    if (listener->path != NULL && listener->group != NULL)
        return set_group(listener, err);
    return 0;
}

void
listener_close(struct listener *listener)
{
    int never;

    if (listener->path != NULL)
        (void)unlink(listener->path);
    if (listener->fd < 0)
        return;
    /*
     * libmilter goes on to poll this descriptor. In its place comes one that is
     * never readable; the socket itself stays with whoever gave it to us.
     */
    never = eventfd(0, EFD_CLOEXEC);
    if (never < 0 || dup2(never, listener->fd) < 0)
        log_warning("can't stop listening before the end",
                    F_STR("socket", listener->spec));
    listener->fd = -1;
}
