/*
 * seal_key_file - the key beside the state, for who configured none.
 *
 * It appears under its name by link(2), complete and on the disk, so that no
 * crash leaves half a key and no second process replaces it.
 */
#include "token-daemon/seal_key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/secret.h"
#include "token-daemon/state_directory.h"

#define LINE_LEN (2 * SEAL_KEY_LEN + 1) /* hexadecimal digits and a newline */
#define READ_MAX 256                    /* bytes; no key is longer */

static int
fail(struct err *err, const char *doing, const char *path)
{
    int number = errno;
    enum err_code code = ERR_SYSTEM;

    if (number == ENOSPC || number == EDQUOT || number == EROFS)
        code = ERR_RETRY;
    else if (number == EACCES || number == EPERM)
        code = ERR_CONFIG;
    return err_set(err, code, "%s the key file %s: %s", doing, path,
                   strerror(number));
}

static int
check_stat(const char *path, const struct stat *st, struct err *err)
{
    if (!S_ISREG(st->st_mode))
        return err_set(err, ERR_CONFIG, "the key file %s is no regular file",
                       path);
    if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return err_set(err, ERR_CONFIG,
                       "others may read the key file %s (mode %04o); run: "
                       "chmod 0600 '%s'",
                       path, (unsigned)st->st_mode & 07777, path);
    if (geteuid() != 0 && st->st_uid != geteuid())
        return err_set(err, ERR_CONFIG,
                       "the key file %s belongs to user %u, not to this "
                       "program's (%u); run: chown %u '%s'",
                       path, (unsigned)st->st_uid, (unsigned)geteuid(),
                       (unsigned)geteuid(), path);
    return 0;
}

static int
read_fd(int fd, const char *path, struct seal_key *out, struct err *err)
{
    struct stat st;
    struct err reason;
    char text[READ_MAX];
    ssize_t n;
    int rc = -1;

    if (fstat(fd, &st) < 0)
        return fail(err, "looking at", path);
    if (check_stat(path, &st, err) < 0)
        return -1;
    /* One read() of a regular file this small is all of it. */
    n = read(fd, text, sizeof(text));
    if (n < 0) {
        (void)fail(err, "reading", path);
        goto out;
    }
    if (n > 0 && text[n - 1] == '\n')
        n--;
    if (seal_key_parse(text, (size_t)n, out, &reason) < 0) {
        /* A new key would not open what the lost one has sealed. */
        err_set(err, ERR_CONFIG,
                "the key file %s holds no key of 32 bytes; put it back from a "
                "backup",
                path);
        goto out;
    }
    rc = 0;
out:
    secret_wipe(text, sizeof(text));
    return rc;
}

int
seal_key_file_read(const char *path, struct seal_key *out, struct err *err)
{
    /* Not to hang on a FIFO, which the check of its kind then refuses. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int rc;

    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOTFOUND, "there is no key file %s", path);
    if (fd < 0)
        return fail(err, "opening", path);
    rc = read_fd(fd, path, out, err);
    (void)close(fd); /* nothing was written */
    return rc;
}

static int
write_line(int fd, struct err *err, const char *path)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[SEAL_KEY_LEN];
    char line[LINE_LEN];
    int rc = -1;

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        (void)fail(err, "making", path);
        goto out;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        line[2 * i] = digits[bytes[i] >> 4];
        line[2 * i + 1] = digits[bytes[i] & 15];
    }
    line[LINE_LEN - 1] = '\n';
    errno = ENOSPC; /* what a short write means */
    if (write(fd, line, sizeof(line)) != (ssize_t)sizeof(line) ||
        fsync(fd) < 0) {
        (void)fail(err, "writing", path);
        goto out;
    }
    rc = 0;
out:
    secret_wipe(bytes, sizeof(bytes));
    secret_wipe(line, sizeof(line));
    return rc;
}

/* Give `draft` its final name, unless somebody was faster. */
static int
publish(const char *draft, const char *path, struct err *err)
{
    if (link(draft, path) < 0 && errno != EEXIST)
        return fail(err, "making", path);
    return state_directory_sync(path, err);
}

int
seal_key_file_create(const char *path, struct seal_key *out, struct err *err)
{
    char draft[PATH_MAX];
    int fd = -1;
    int rc = -1;
    int n = snprintf(draft, sizeof(draft), "%s.XXXXXX", path);

    if (n < 0 || (size_t)n >= sizeof(draft))
        return err_set(err, ERR_CONFIG, "the path of the key file is too long");
    fd = mkostemp(draft, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return fail(err, "making", path);
    rc = write_line(fd, err, path);
    if (close(fd) < 0 && rc == 0)
        rc = fail(err, "writing", path);
    if (rc == 0)
        rc = publish(draft, path, err);
    (void)unlink(draft); /* what stays behind is a key that nobody uses */
    return rc == 0 ? seal_key_file_read(path, out, err) : -1;
}
