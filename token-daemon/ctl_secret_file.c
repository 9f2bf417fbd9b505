/*
 * ctl_secret_file - secrets that an operator hands over in a file or on
 * standard input, never as an argument.
 */
#include "token-daemon/ctl_secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/secret.h"

static int
read_all(int fd, const char *path, struct buf *out, struct err *err)
{
    char chunk[4096];
    ssize_t n;

    while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, ERR_NOTFOUND, "%s: %s", path, strerror(errno));
        buf_append(out, chunk, (size_t)n);
        explicit_bzero(chunk, (size_t)n);
        if (buf_failed(out))
            return err_set(err, ERR_INPUT, "%s: longer than %d bytes", path,
                           CTL_SECRET_FILE_MAX);
    }
    if (out->len == 0)
        return err_set(err, ERR_INPUT, "%s: it is empty", path);
    if (memchr(out->data, '\0', out->len) != NULL)
        return err_set(err, ERR_INPUT, "%s: it has a NUL byte in it", path);
    return 0;
}

char *
ctl_secret_file(const char *path, size_t *len_out, struct err *err)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO
                                    : open(path, O_RDONLY | O_CLOEXEC);
    char *secret = NULL;
    struct buf content;

    if (fd < 0) {
        err_set(err, ERR_NOTFOUND, "%s: %s", path, strerror(errno));
        return NULL;
    }
    buf_init(&content, CTL_SECRET_FILE_MAX);
    if (read_all(fd, path, &content, err) == 0) {
        secret = secret_dup(buf_str(&content));
        if (secret == NULL)
            err_set(err, ERR_SYSTEM, "out of memory");
        *len_out = content.len;
    }
    buf_clear(&content);
    if (fd != STDIN_FILENO)
        (void)close(fd);
    return secret;
}

char *
ctl_secret_line(const char *path, struct err *err)
{
    size_t len;
    char *secret = ctl_secret_file(path, &len, err);

    if (secret == NULL)
        return NULL;
    if (len > 0 && secret[len - 1] == '\n')
        secret[--len] = '\0';
    if (len > 0 && secret[len - 1] == '\r')
        secret[--len] = '\0';
    if (len > 0 && strchr(secret, '\n') == NULL)
        return secret;
    secret_free(&secret);
    err_set(err, ERR_INPUT, "%s: it should be one line, with the secret", path);
    return NULL;
}
