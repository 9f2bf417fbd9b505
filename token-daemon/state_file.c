/*
 * state_file - what lies where the state should be.
 */
#include "token-daemon/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "token-daemon/state_directory.h"

/* https://www.sqlite.org/fileformat.html, section 1.3 */
#define HEADER_LEN     100
#define MAGIC          "SQLite format 3"
#define MAGIC_LEN      16 /* with the NUL */
#define APPLICATION_AT 68 /* 4 bytes, the highest first */

static int
check_stat(const char *path, const struct stat *st, struct err *err)
{
    if (!S_ISREG(st->st_mode))
        return err_set(err, ERR_CONFIG,
                       "%s is no regular file; choose another path for the "
                       "state",
                       path);
    if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return err_set(err, ERR_CONFIG,
                       "others may read or write the state (mode %04o); run: "
                       "chmod 0600 '%s'",
                       (unsigned)st->st_mode & 07777, path);
    /* Root may, but the daemon's own user could not go on with it. */
    if (geteuid() != 0 && st->st_uid != geteuid())
        return err_set(err, ERR_CONFIG,
                       "the state belongs to user %u, not to this program's; "
                       "run: chown %u '%s'",
                       (unsigned)st->st_uid, (unsigned)geteuid(), path);
    return 0;
}

static int
fail(struct err *err, const char *doing, const char *path)
{
    int number = errno;
    enum err_code code = ERR_SYSTEM;

    if (number == ENOSPC || number == EDQUOT || number == EROFS)
        code = ERR_RETRY;
    else if (number == EACCES || number == EPERM)
        code = ERR_CONFIG;
    return err_set(err, code, "%s %s: %s", doing, path, strerror(number));
}

int
state_file_check(const char *path, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : fail(err, "looking at", path);
    return check_stat(path, &st, err);
}

/* Is there a file of PATH and `suffix` that holds something? */
static bool
has_beside(const char *path, const char *suffix)
{
    char name[PATH_MAX];
    struct stat st;
    int n = snprintf(name, sizeof(name), "%s%s", path, suffix);

    return n > 0 && (size_t)n < sizeof(name) && stat(name, &st) == 0 &&
           st.st_size > 0;
}

static uint32_t
read_number(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
           (uint32_t)at[2] << 8 | at[3];
}

static int
check_header(const char *path, const unsigned char *header, size_t len,
             uint32_t application_id, struct err *err)
{
    if (len < HEADER_LEN)
        return err_set(err, ERR_CONFIG,
                       "the state %s is damaged: it ends after %zu bytes; put "
                       "it back from a backup, or move it and %s-wal away",
                       path, len, path);
    if (memcmp(header, MAGIC, MAGIC_LEN) != 0)
        return err_set(err, ERR_CONFIG,
                       "%s is not the state of this program, or damaged at "
                       "its beginning; choose another path for the state, or "
                       "put it back from a backup",
                       path);
    if (read_number(header + APPLICATION_AT) != application_id)
        return err_set(err, ERR_CONFIG,
                       "%s is another program's SQLite file; choose another "
                       "path for the state",
                       path);
    return 0;
}

/* An empty file beside a log that is not: SQLite would remove the log. */
static int
fail_gone(const char *path, struct err *err)
{
    return err_set(err, ERR_CONFIG,
                   "%s is missing or empty, but %s-wal is there; put the "
                   "state back from a backup, or move %s-wal away",
                   path, path, path);
}

static int
look_at(int fd, const char *path, uint32_t application_id,
        struct state_file *out, struct err *err)
{
    unsigned char header[HEADER_LEN];
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return fail(err, "looking at", path);
    if (check_stat(path, &st, err) < 0)
        return -1;
    if (st.st_size == 0) {
        out->is_new = true;
        return 0;
    }
    n = pread(fd, header, sizeof(header), 0);
    if (n < 0)
        return fail(err, "reading", path);
    return check_header(path, header, (size_t)n, application_id, err);
}

int
state_file_look(const char *path, uint32_t application_id,
                struct state_file *out, struct err *err)
{
    /* Not to hang on a FIFO, which the check of its kind then refuses. */
    int fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    int number = errno;
    int rc = 0;

    *out = (struct state_file){.has_wal = has_beside(path, "-wal")};
    if (fd >= 0) {
        rc = look_at(fd, path, application_id, out, err);
        (void)close(fd); /* nothing was written */
    } else if (number == ENOENT) {
        out->is_new = true;
    } else {
        if (state_file_check(path, err) < 0) /* says what to run */
            return -1;
        errno = number;
        return fail(err, "opening", path);
    }
    if (rc == 0 && out->is_new && out->has_wal)
        return fail_gone(path, err);
    return rc;
}

int
state_file_create(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return errno == EEXIST ? 0 : fail(err, "making", path);
    (void)close(fd); /* nothing was written */
    return state_directory_sync(path, err);
}

bool
state_file_identify(const char *path, struct state_file_id *out)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return false;
    *out = (struct state_file_id){st.st_dev, st.st_ino};
    return true;
}
