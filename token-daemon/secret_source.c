/*
 * secret_source - read the secret that a reference of relay.conf names.
 */
#include "token-daemon/secret_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/buf.h"
#include "token-daemon/child.h"

#define PATH_BYTES_MAX  4096
#define CREDENTIALS_DIR "CREDENTIALS_DIRECTORY"

struct secret_source {
    const struct config_ref *ref;
    bool is_public; /* others may read it */
    secret_source_fn *done;
    void *arg;
    struct buf content;
    struct err err;        /* code NONE: nothing has failed so far */
    struct event *deliver; /* calls `done` from the loop */
    struct child *child;   /* of a command that runs; else NULL */
};

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void
free_source(struct secret_source *source)
{
    child_stop(&source->child);
    if (source->deliver != NULL)
        event_free(source->deliver);
    buf_clear(&source->content);
    free(source);
}

/* One newline at the end is the editor's, not the secret's. */
static void
cut_newline(struct buf *content)
{
    if (content->len == 0 || content->data[content->len - 1] != '\n')
        return;
    content->data[--content->len] = '\0';
    if (content->len > 0 && content->data[content->len - 1] == '\r')
        content->data[--content->len] = '\0';
}

static int
fail_length(struct secret_source *source)
{
    return err_set(&source->err, ERR_CONFIG,
                   "%s is longer than %zu bytes: that is no secret",
                   source->ref->text, SECRET_SOURCE_MAX);
}

static int
check_content(struct secret_source *source)
{
    const char *name = source->ref->text;
    struct buf *content = &source->content;

    cut_newline(content);
    if (buf_failed(content) || content->len > SECRET_SOURCE_MAX)
        return fail_length(source);
    if (content->len == 0)
        return err_set(&source->err, ERR_CONFIG, "%s is empty", name);
    if (memchr(content->data, '\0', content->len) != NULL)
        return err_set(&source->err, ERR_CONFIG,
                       "%s holds a NUL byte: write it as plain text", name);
    return 0;
}

/* Tell how it went, and be gone. Called from the loop only. */
static void
finish(struct secret_source *source)
{
    if (source->err.code == ERR_NONE)
        (void)check_content(source);
    if (source->err.code == ERR_NONE)
        source->done(buf_str(&source->content), source->content.len,
                     &source->err, source->arg);
    else
        source->done(NULL, 0, &source->err, source->arg);
    free_source(source);
}

static void
on_deliver(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    finish(arg);
}

/* ---- Files --------------------------------------------------------------- */

/* May we trust that nobody else reads it? systemd's own directory is private,
 * and the group bits of its files stand for an access list. */
static int
check_mode(struct secret_source *source, const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return err_set(&source->err, ERR_CONFIG, "%s is not a regular file",
                       source->ref->text);
    if ((st->st_mode & (source->is_public ? 02U : 07U)) != 0)
        return err_set(&source->err, ERR_CONFIG,
                       "%s is open to everybody (mode %04o): chmod o= it",
                       source->ref->text, (unsigned)st->st_mode & 07777);
    if (source->ref->kind == CONFIG_REF_FILE && !source->is_public &&
        (st->st_mode & 070) != 0 && st->st_gid != getegid())
        return err_set(&source->err, ERR_CONFIG,
                       "%s is open to group %u, which is not the daemon's "
                       "(%u): chmod g= or chgrp it",
                       source->ref->text, (unsigned)st->st_gid,
                       (unsigned)getegid());
    return 0;
}

static int
read_all(struct secret_source *source, int fd)
{
    char chunk[4096];
    ssize_t n;

    do {
        n = read(fd, chunk, sizeof(chunk));
        if (n > 0)
            buf_append(&source->content, chunk, (size_t)n);
    } while ((n > 0 && !buf_failed(&source->content)) ||
             (n < 0 && errno == EINTR));
    explicit_bzero(chunk, sizeof(chunk));
    if (n < 0)
        return err_set(&source->err, ERR_SYSTEM, "reading %s: %s",
                       source->ref->text, strerror(errno));
    return 0;
}

static int
read_path(struct secret_source *source, const char *path)
{
    /* Not to hang on a FIFO, which the check of its kind then refuses. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    int rc = -1;

    if (fd < 0)
        return err_set(&source->err, ERR_CONFIG, "%s can't be opened: %s",
                       source->ref->text, strerror(errno));
    if (fstat(fd, &st) < 0) {
        (void)err_set(&source->err, ERR_SYSTEM, "stat of %s: %s",
                      source->ref->text, strerror(errno));
        goto out;
    }
    if (check_mode(source, &st) < 0 || read_all(source, fd) < 0)
        goto out;
    rc = 0;
out:
    close_fd(&fd);
    return rc;
}

static int
read_credential(struct secret_source *source)
{
    const char *name = source->ref->value;
    const char *directory = getenv(CREDENTIALS_DIR);
    char path[PATH_BYTES_MAX];
    int n;

    if (directory == NULL || directory[0] != '/')
        return err_set(
            &source->err, ERR_CONFIG,
            "%s: there are no credentials: add LoadCredential=%s:... "
            "to the unit, or use file:",
            source->ref->text, name);
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL)
        return err_set(&source->err, ERR_CONFIG,
                       "%s: a credential's name is not a path",
                       source->ref->text);
    n = snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return err_set(&source->err, ERR_CONFIG, "%s: the path is too long",
                       source->ref->text);
    return read_path(source, path);
}

/* ---- Commands ------------------------------------------------------------ */

static void
on_command_done(const struct child_result *result, void *arg)
{
    struct secret_source *source = arg;

    source->child = NULL;
    switch (result->end) {
    case CHILD_SUCCEEDED:
        if (result->output->len > 0)
            buf_append(&source->content, result->output->data,
                       result->output->len);
        break;
    case CHILD_TOO_LONG:
        (void)fail_length(source);
        break;
    case CHILD_FAILED:
    case CHILD_TOO_SLOW:
        source->err = result->err;
        break;
    }
    finish(source);
}

static int
run_command(struct secret_source *source, struct event_base *base, int limit_ms)
{
    source->child =
        child_start(base,
                    &(struct child_request){
                        .command = source->ref->value,
                        .name = source->ref->text,
                        .output_max = SECRET_SOURCE_MAX + 2, /* a newline */
                        .limit_ms = limit_ms,
                    },
                    on_command_done, source, &source->err);
    return source->child != NULL ? 0 : -1;
}

/* 0: a command is running; -1: it ended already, or failed. */
static int
begin(struct secret_source *source, struct event_base *base, int limit_ms)
{
    switch (source->ref->kind) {
    case CONFIG_REF_FILE:
        (void)read_path(source, source->ref->value);
        return -1;
    case CONFIG_REF_CREDENTIAL:
        (void)read_credential(source);
        return -1;
    case CONFIG_REF_EXEC:
        return run_command(source, base, limit_ms);
    case CONFIG_REF_PKCS11:
    case CONFIG_REF_NONE:
        break;
    }
    return err_set(&source->err, ERR_CONFIG, "no secret is configured");
}

/* Begin to read by what `wish` says. */
static struct secret_source *
read_source(struct event_base *base, int limit_ms,
            const struct secret_source *wish)
{
    struct secret_source *source = calloc(1, sizeof(*source));

    if (source == NULL)
        return NULL;
    *source = *wish;
    buf_init(&source->content, SECRET_SOURCE_MAX + 2);
    source->deliver = event_new(base, -1, 0, on_deliver, source);
    if (source->deliver == NULL) {
        free(source);
        return NULL;
    }
    if (begin(source, base, limit_ms) < 0)
        event_active(source->deliver, EV_TIMEOUT, 0);
    return source;
}

struct secret_source *
secret_source_read(struct event_base *base, const struct config_ref *ref,
                   int limit_ms, secret_source_fn *done, void *arg)
{
    return read_source(
        base, limit_ms,
        &(struct secret_source){.ref = ref, .done = done, .arg = arg});
}

struct secret_source *
secret_source_read_public(struct event_base *base, const struct config_ref *ref,
                          int limit_ms, secret_source_fn *done, void *arg)
{
    return read_source(
        base, limit_ms,
        &(struct secret_source){
            .ref = ref, .is_public = true, .done = done, .arg = arg});
}

void
secret_source_cancel(struct secret_source **source)
{
    if (*source == NULL)
        return;
    free_source(*source);
    *source = NULL;
}
