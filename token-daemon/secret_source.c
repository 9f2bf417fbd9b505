/*
 * secret_source - read the secret that a reference of relay.conf names.
 *
 *   READING --content read, or failed--> DONE        file:, credential:
 *   RUNNING --output ended and exited--> DONE        exec:
 *      |                                  ^
 *      +----too slow, too long, failed----+
 */
#include "token-daemon/secret_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/buf.h"
#include "common/log.h"

#define ARGUMENTS_MAX  64
#define REAP_LIMIT_MS  1000 /* for a killed child to be gone */
#define PATH_BYTES_MAX 4096
#define DEFAULT_PATH \
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define CREDENTIALS_DIR "CREDENTIALS_DIRECTORY"

struct secret_source {
    const struct config_ref *ref;
    secret_source_fn *done;
    void *arg;
    struct buf content;
    struct err err;        /* code NONE: nothing has failed so far */
    struct event *deliver; /* calls `done` from the loop */

    /* For a command only. */
    pid_t pid;  /* 0: none */
    int pid_fd; /* readable once it has exited; -1: none */
    int out_fd; /* its output; -1: none, or it ended */
    struct event *exit_event;
    struct event *out_event;
    struct event *limit_event;
    bool has_exited; /* but was not reaped yet */
};

static void
free_event(struct event **event)
{
    if (*event != NULL)
        event_free(*event);
    *event = NULL;
}

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/*
 * Take the child's exit status; -1: none to be had. Only after it was seen to
 * exit or was killed, so this waits a moment at most. A child that a SIGKILL
 * does not end (it hangs in the kernel) is left to init.
 */
static int
reap(struct secret_source *source)
{
    struct pollfd gone = {.fd = source->pid_fd, .events = POLLIN};
    int status = 0;
    pid_t pid;

    if (!source->has_exited && source->pid_fd >= 0)
        (void)poll(&gone, 1, REAP_LIMIT_MS);
    do
        pid = waitpid(source->pid, &status, source->pid_fd >= 0 ? WNOHANG : 0);
    while (pid < 0 && errno == EINTR);
    if (pid == 0)
        log_warning("a killed command is still there",
                    F_STR("source", source->ref->text),
                    F_INT("pid", source->pid));
    source->pid = 0;
    return pid > 0 ? status : -1;
}

/* Stop everything that is under way. The group has the child's pid as its
 * number, which can't be another's before the child is reaped. */
static void
stop_command(struct secret_source *source)
{
    free_event(&source->exit_event);
    free_event(&source->out_event);
    free_event(&source->limit_event);
    if (source->pid > 0) {
        (void)kill(-source->pid, SIGKILL);
        (void)reap(source);
    }
    close_fd(&source->pid_fd);
    close_fd(&source->out_fd);
}

static void
free_source(struct secret_source *source)
{
    stop_command(source);
    free_event(&source->deliver);
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
check_content(struct secret_source *source)
{
    const char *name = source->ref->text;
    struct buf *content = &source->content;

    cut_newline(content);
    if (buf_failed(content) || content->len > SECRET_SOURCE_MAX)
        return err_set(&source->err, ERR_CONFIG,
                       "%s is longer than %zu bytes: that is no secret", name,
                       SECRET_SOURCE_MAX);
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
    stop_command(source);
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
    if ((st->st_mode & 07) != 0)
        return err_set(&source->err, ERR_CONFIG,
                       "%s is open to everybody (mode %04o): chmod o= it",
                       source->ref->text, (unsigned)st->st_mode & 07777);
    if (source->ref->kind == CONFIG_REF_FILE && (st->st_mode & 070) != 0 &&
        st->st_gid != getegid())
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

/* The output has ended and the child has exited: what did it say? */
static void
finish_command(struct secret_source *source)
{
    const char *name = source->ref->text;
    int status;

    if (source->out_fd >= 0 || !source->has_exited)
        return;
    status = reap(source);
    if (status == -1)
        (void)err_set(&source->err, ERR_SYSTEM,
                      "%s: its exit status is not to be had", name);
    else if (WIFSIGNALED(status))
        (void)err_set(&source->err, ERR_RETRY, "%s ended by signal %d", name,
                      WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        (void)err_set(&source->err, ERR_RETRY, "%s ended with exit status %d",
                      name, WEXITSTATUS(status));
    finish(source);
}

static void
on_exit_of_child(evutil_socket_t fd, short what, void *arg)
{
    struct secret_source *source = arg;

    (void)fd;
    (void)what;
    source->has_exited = true;
    finish_command(source);
}

static void
on_output(evutil_socket_t fd, short what, void *arg)
{
    struct secret_source *source = arg;
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof(chunk));

    (void)what;
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n > 0) {
        buf_append(&source->content, chunk, (size_t)n);
        explicit_bzero(chunk, sizeof(chunk));
        if (buf_failed(&source->content))
            finish(source); /* check_content() says what is wrong */
        return;
    }
    if (n < 0)
        (void)err_set(&source->err, ERR_SYSTEM, "reading from %s: %s",
                      source->ref->text, strerror(errno));
    free_event(&source->out_event);
    close_fd(&source->out_fd);
    finish_command(source);
}

static void
on_limit(evutil_socket_t fd, short what, void *arg)
{
    struct secret_source *source = arg;

    (void)fd;
    (void)what;
    (void)err_set(&source->err, ERR_RETRY, "%s took too long and was killed",
                  source->ref->text);
    finish(source);
}

/* Cut `text` into words, in place. How many; over ARGUMENTS_MAX: too many. */
static size_t
split_words(char *text, char *words[ARGUMENTS_MAX + 1])
{
    size_t count = 0;

    for (char *at = text; count <= ARGUMENTS_MAX; count++) {
        at += strspn(at, " \t");
        if (*at == '\0')
            break;
        if (count == ARGUMENTS_MAX)
            return ARGUMENTS_MAX + 1;
        words[count] = at;
        at += strcspn(at, " \t");
        if (*at != '\0')
            *at++ = '\0';
    }
    words[count] = NULL;
    return count;
}

/* posix_spawn() does not copy our memory, so no secret is ever in a child. */
static int
spawn_with(char *const words[], int out_fd, pid_t *out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char path[PATH_BYTES_MAX];
    char *environment[] = {path, NULL};
    const char *own_path = getenv("PATH");
    sigset_t none, all;
    int rc;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    rc = snprintf(path, sizeof(path), "PATH=%s",
                  own_path != NULL ? own_path : DEFAULT_PATH);
    if (rc < 0 || (size_t)rc >= sizeof(path))
        return ENAMETOOLONG;
    rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return rc;
    }
    /* The pipe first: it may have the number 0 or 2 itself. */
    if ((rc = posix_spawn_file_actions_adddup2(&actions, out_fd, 1)) == 0 &&
        (rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null",
                                               O_RDONLY, 0)) == 0 &&
        (rc = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null",
                                               O_WRONLY, 0)) == 0 &&
        (rc = posix_spawnattr_setsigmask(&attributes, &none)) == 0 &&
        (rc = posix_spawnattr_setsigdefault(&attributes, &all)) == 0 &&
        (rc = posix_spawnattr_setflags(
             &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                              POSIX_SPAWN_SETSIGDEF)) == 0)
        rc = posix_spawnp(out, words[0], &actions, &attributes, words,
                          environment);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static int
spawn_command(struct secret_source *source, int out_fd)
{
    char *words[ARGUMENTS_MAX + 1];
    char *copy = strdup(source->ref->value);
    size_t count;
    int rc = -1;
    int failure;

    if (copy == NULL)
        return err_set(&source->err, ERR_SYSTEM, "out of memory");
    count = split_words(copy, words);
    if (count == 0 || count > ARGUMENTS_MAX) {
        (void)err_set(&source->err, ERR_CONFIG,
                      "%s: a command has 1 to %d words", source->ref->text,
                      ARGUMENTS_MAX);
        goto out;
    }
    failure = spawn_with(words, out_fd, &source->pid);
    if (failure != 0) {
        source->pid = 0;
        (void)err_set(&source->err, ERR_CONFIG, "%s can't be started: %s",
                      source->ref->text, strerror(failure));
        goto out;
    }
    rc = 0;
out:
    free(copy);
    return rc;
}

/* Watch the child, its output and the clock. */
static int
watch_command(struct secret_source *source, struct event_base *base,
              int limit_ms)
{
    struct timeval limit = {.tv_sec = limit_ms / 1000,
                            .tv_usec = (limit_ms % 1000) * 1000L};

    source->pid_fd = (int)syscall(SYS_pidfd_open, source->pid, 0);
    if (source->pid_fd < 0)
        return err_set(&source->err, ERR_SYSTEM,
                       "exec: can't watch the command (Linux 5.3 or later is "
                       "needed): %s",
                       strerror(errno));
    source->exit_event =
        event_new(base, source->pid_fd, EV_READ, on_exit_of_child, source);
    source->out_event = event_new(base, source->out_fd, EV_READ | EV_PERSIST,
                                  on_output, source);
    source->limit_event = evtimer_new(base, on_limit, source);
    if (source->exit_event == NULL || source->out_event == NULL ||
        source->limit_event == NULL ||
        event_add(source->exit_event, NULL) < 0 ||
        event_add(source->out_event, NULL) < 0 ||
        event_add(source->limit_event, &limit) < 0)
        return err_set(&source->err, ERR_SYSTEM,
                       "exec: no events to watch the command with");
    return 0;
}

static int
run_command(struct secret_source *source, struct event_base *base, int limit_ms)
{
    int pipe_fds[2];
    int rc;

    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_set(&source->err, ERR_SYSTEM, "pipe: %s", strerror(errno));
    /* The command's end blocks, as programs expect. */
    (void)fcntl(pipe_fds[1], F_SETFL, 0);
    rc = spawn_command(source, pipe_fds[1]);
    close_fd(&pipe_fds[1]);
    source->out_fd = pipe_fds[0];
    if (rc < 0)
        return -1;
    return watch_command(source, base, limit_ms);
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

struct secret_source *
secret_source_read(struct event_base *base, const struct config_ref *ref,
                   int limit_ms, secret_source_fn *done, void *arg)
{
    struct secret_source *source = calloc(1, sizeof(*source));

    if (source == NULL)
        return NULL;
    *source = (struct secret_source){
        .ref = ref,
        .done = done,
        .arg = arg,
        .pid_fd = -1,
        .out_fd = -1,
    };
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

void
secret_source_cancel(struct secret_source **source)
{
    if (*source == NULL)
        return;
    free_source(*source);
    *source = NULL;
}
