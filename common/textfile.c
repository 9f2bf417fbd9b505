/*
 * textfile - a text file that a person wrote, read whole and made plain.
 */
#include "common/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/utf8.h"

/* Of ASCII; a tab and a newline are welcome. */
static bool
is_control(unsigned char byte)
{
    return (byte < 0x20 && byte != '\t' && byte != '\n') || byte == 0x7f;
}

/* Of the second set of control characters, U+0080 to U+009F. */
static bool
is_c1_control(uint32_t code)
{
    return code >= 0x80 && code <= 0x9f;
}

int
textfile_clean(const char *name, char *text, size_t *len, struct err *err)
{
    size_t in = 0;
    size_t out = 0;
    unsigned line = 1;

    if (*len >= 2 &&
        (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return err_set(err, ERR_CONFIG,
                       "%s:1: this is UTF-16; save the file as UTF-8", name);
    if (*len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        in = 3;
    while (in < *len) {
        const unsigned char *p = (const unsigned char *)text + in;
        uint32_t code = 0;
        size_t width;

        if (p[0] == '\r' && in + 1 < *len && p[1] == '\n') {
            in++;
            continue;
        }
        /* Most of what there is. */
        if (p[0] < 0x80 && !is_control(p[0])) {
            line += p[0] == '\n';
            text[out++] = text[in++];
            continue;
        }
        if (is_control(p[0]))
            return err_set(err, ERR_CONFIG,
                           "%s:%u: byte 0x%02x does not belong in a text file; "
                           "remove it",
                           name, line, p[0]);
        width = utf8_next(text + in, *len - in, &code);
        if (width == 0 || is_c1_control(code))
            return err_set(err, ERR_CONFIG,
                           "%s:%u: this is not UTF-8; save the file as UTF-8",
                           name, line);
        memmove(text + out, p, width);
        in += width;
        out += width;
    }
    text[out] = '\0';
    *len = out;
    return 0;
}

/* Which of the two codes an errno of open() or read() deserves. */
static enum err_code
code_of(int number)
{
    switch (number) {
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EIO:
        return ERR_SYSTEM;
    default:
        return ERR_CONFIG;
    }
}

/* All of an open regular file of `size` bytes or more (it may be growing). */
static int
read_all(int fd, size_t max, struct textfile *out)
{
    size_t capacity = 0;

    for (;;) {
        ssize_t got;

        if (out->len + 1 >= capacity) {
            char *bigger;

            capacity = capacity == 0 ? 4096 : capacity * 2;
            bigger = realloc(out->text, capacity);
            if (bigger == NULL)
                return -1;
            out->text = bigger;
        }
        got = read(fd, out->text + out->len, capacity - out->len - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return (int)got;
        out->len += (size_t)got;
        if (out->len > max) {
            errno = EFBIG;
            return -1;
        }
    }
}

static int
open_regular(const char *path, struct err *err)
{
    struct stat st;
    /* Not blocking: a FIFO in the file's place must not hang the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        err_set(err, code_of(errno), "cannot read %s: %s", path,
                strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        err_set(err, ERR_CONFIG, "cannot read %s: it is not a regular file",
                path);
        (void)close(fd); /* nothing was written */
        return -1;
    }
    return fd;
}

int
textfile_load(const char *path, size_t max, struct textfile *out,
              struct err *err)
{
    struct textfile file = {0};
    int rc = -1;
    int fd = open_regular(path, err);

    if (fd < 0)
        return -1;
    if (read_all(fd, max, &file) < 0) {
        if (errno == EFBIG)
            err_set(err, ERR_CONFIG,
                    "cannot read %s: it is larger than %zu bytes", path, max);
        else
            err_set(err, code_of(errno), "cannot read %s: %s", path,
                    strerror(errno));
        goto out;
    }
    file.text[file.len] = '\0';

    *out = file;
    file = (struct textfile){0};
    rc = 0;
out:
    (void)close(fd); /* nothing was written */
    textfile_clear(&file);
    return rc;
}

int
textfile_read(const char *path, size_t max, struct textfile *out,
              struct err *err)
{
    struct textfile file = {0};

    if (textfile_load(path, max, &file, err) < 0)
        return -1;
    if (textfile_clean(path, file.text, &file.len, err) < 0) {
        textfile_clear(&file);
        return -1;
    }
    *out = file;
    return 0;
}

void
textfile_clear(struct textfile *file)
{
    free(file->text);
    *file = (struct textfile){0};
}
