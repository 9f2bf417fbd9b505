/*
 * state_directory - the directory that holds the state.
 */
#include "token-daemon/state_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRY_BYTES_MAX 4096 /* of a passwd or group entry */
#define NAME_BYTES_MAX  64

static int
directory_of(const char *path, char out[PATH_MAX], struct err *err)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;

    if (len >= PATH_MAX)
        return err_set(err, ERR_CONFIG, "the path of the state is too long");
    if (len > 0)
        (void)snprintf(out, PATH_MAX, "%.*s", (int)len, path);
    else
        (void)snprintf(out, PATH_MAX, "%s", slash != NULL ? "/" : ".");
    return 0;
}

/* As USER:GROUP, or the numbers where they have no names. */
static void
name_ourselves(char user[NAME_BYTES_MAX], char group[NAME_BYTES_MAX])
{
    char room[ENTRY_BYTES_MAX];
    struct passwd user_entry;
    struct passwd *found_user = NULL;
    struct group group_entry;
    struct group *found_group = NULL;

    (void)snprintf(user, NAME_BYTES_MAX, "%u", (unsigned)geteuid());
    if (getpwuid_r(geteuid(), &user_entry, room, sizeof(room), &found_user) ==
            0 &&
        found_user != NULL)
        (void)snprintf(user, NAME_BYTES_MAX, "%s", found_user->pw_name);
    (void)snprintf(group, NAME_BYTES_MAX, "%u", (unsigned)getegid());
    if (getgrgid_r(getegid(), &group_entry, room, sizeof(room), &found_group) ==
            0 &&
        found_group != NULL)
        (void)snprintf(group, NAME_BYTES_MAX, "%s", found_group->gr_name);
}

int
state_directory_check(const char *path, struct err *err)
{
    char directory[PATH_MAX];
    char user[NAME_BYTES_MAX];
    char group[NAME_BYTES_MAX];
    struct stat st;

    if (directory_of(path, directory, err) < 0)
        return -1;
    name_ourselves(user, group);
    if (stat(directory, &st) < 0 && errno == ENOENT)
        return err_set(err, ERR_CONFIG,
                       "the directory of the state is missing; run: install "
                       "-d -o %s -g %s -m 0700 '%s'",
                       user, group, directory);
    if (stat(directory, &st) < 0)
        return err_set(err, errno == EACCES ? ERR_CONFIG : ERR_SYSTEM,
                       "looking at the directory of the state, %s: %s",
                       directory, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_CONFIG,
                       "%s is no directory; choose another path for the state",
                       directory);
    if ((st.st_uid != geteuid() && st.st_uid != 0) ||
        (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return err_set(err, ERR_CONFIG,
                       "others may write the directory of the state (user %u, "
                       "mode %04o); run: chown %s '%s' && chmod 0700 '%s'",
                       (unsigned)st.st_uid, (unsigned)st.st_mode & 07777, user,
                       directory, directory);
    return 0;
}

int
state_directory_sync(const char *path, struct err *err)
{
    char directory[PATH_MAX];
    int fd;
    int rc = 0;

    if (directory_of(path, directory, err) < 0)
        return -1;
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_SYSTEM, "opening the directory %s: %s",
                       directory, strerror(errno));
    if (fsync(fd) < 0)
        rc = err_set(err, ERR_SYSTEM, "writing the directory %s: %s", directory,
                     strerror(errno));
    (void)close(fd); /* nothing was written by it */
    return rc;
}
