/*
 * child - run one command, with a time limit, without waiting for it.
 */
#include <config.h>

#include "token-daemon/child.h"

#ifndef HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP
#include <dirent.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/log.h"
#include "common/util.h"

#define REAP_LIMIT_MS  1000 /* for a killed child to be gone */
#define PATH_BYTES_MAX 4096
#define FIRST_OWN_FD   3 /* pipes have no number of a standard stream */
#define DEFAULT_PATH \
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* What it writes, and what we have read of it. */
struct stream {
    struct child *child;
    struct buf content;
    bool may_drop; /* what is too long; else it ends the child */
    int fd;        /* -1: none, or it ended */
    struct event *event;
};

struct child {
    char *name;
    child_fn *done;
    void *arg;
    struct stream output;
    struct stream error;
    pid_t pid;  /* 0: none */
    int pid_fd; /* readable once it has exited; -1: none */
    struct event *exit_event;
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
reap(struct child *child)
{
    struct pollfd gone = {.fd = child->pid_fd, .events = POLLIN};
    int status = 0;
    pid_t pid;

    if (!child->has_exited && child->pid_fd >= 0)
        (void)poll(&gone, 1, REAP_LIMIT_MS);
    do
        pid = waitpid(child->pid, &status, child->pid_fd >= 0 ? WNOHANG : 0);
    while (pid < 0 && errno == EINTR);
    if (pid == 0)
        log_warning("a killed command is still there",
                    F_STR("command", child->name), F_INT("pid", child->pid));
    child->pid = 0;
    return pid > 0 ? status : -1;
}

static void
stream_end(struct stream *stream)
{
    free_event(&stream->event);
    close_fd(&stream->fd);
}

/* Stop everything that is under way. The group has the child's pid as its
 * number, which can't be another's before the child is reaped. */
static void
stop(struct child *child)
{
    free_event(&child->exit_event);
    free_event(&child->limit_event);
    stream_end(&child->output);
    stream_end(&child->error);
    if (child->pid > 0) {
        (void)kill(-child->pid, SIGKILL);
        (void)reap(child);
    }
    close_fd(&child->pid_fd);
}

static void
free_child(struct child *child)
{
    stop(child);
    buf_clear(&child->output.content);
    buf_clear(&child->error.content);
    free(child->name);
    free(child);
}

/* Tell how it went, and be gone. Called from the loop only. */
static void
finish(struct child *child, enum child_end end, const struct err *err)
{
    struct child_result result = {
        .end = end,
        .err = *err,
        .output = &child->output.content,
        .error = &child->error.content,
    };

    stop(child);
    child->done(&result, child->arg);
    free_child(child);
}

/* ---- While it runs ------------------------------------------------------- */

/* When all output has ended and the child has exited: how was it? */
static void
finish_if_over(struct child *child)
{
    struct err err = {ERR_NONE, ""};
    int status;

    if (child->output.fd >= 0 || child->error.fd >= 0 || !child->has_exited)
        return;
    status = reap(child);
    if (status == -1)
        (void)err_set(&err, ERR_SYSTEM, "%s: its exit status is not to be had",
                      child->name);
    else if (WIFSIGNALED(status))
        (void)err_set(&err, ERR_RETRY, "%s ended by signal %d", child->name,
                      WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        (void)err_set(&err, ERR_RETRY, "%s ended with exit status %d",
                      child->name, WEXITSTATUS(status));
    finish(child, err.code == ERR_NONE ? CHILD_SUCCEEDED : CHILD_FAILED, &err);
}

static void
on_exit_of_child(evutil_socket_t fd, short what, void *arg)
{
    struct child *child = arg;

    (void)fd;
    (void)what;
    child->has_exited = true;
    finish_if_over(child);
}

/* Keep what was read. False when that was too much, and the child is gone. */
static bool
keep(struct stream *stream, const char *chunk, size_t len)
{
    struct child *child = stream->child;
    struct buf *content = &stream->content;
    struct err err = {ERR_NONE, ""};

    if (stream->may_drop && len > content->limit - content->len)
        len = content->limit - content->len;
    buf_append(content, chunk, len);
    if (!buf_failed(content) || stream->may_drop)
        return true;
    (void)err_set(&err, ERR_RETRY,
                  "%s printed more than %zu bytes and was "
                  "killed",
                  child->name, content->limit);
    finish(child, CHILD_TOO_LONG, &err);
    return false;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct stream *stream = arg;
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof(chunk));

    (void)what;
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n > 0) {
        (void)keep(stream, chunk, (size_t)n);
        explicit_bzero(chunk, sizeof(chunk));
        return;
    }
    /* A pipe can't fail otherwise than by ending. */
    stream_end(stream);
    finish_if_over(stream->child);
}

static void
on_limit(evutil_socket_t fd, short what, void *arg)
{
    struct child *child = arg;
    struct err err = {ERR_NONE, ""};

    (void)fd;
    (void)what;
    (void)err_set(&err, ERR_RETRY, "%s took too long and was killed",
                  child->name);
    finish(child, CHILD_TOO_SLOW, &err);
}

/* ---- Starting it --------------------------------------------------------- */

/* Cut `text` into words, in place. How many; over CHILD_WORDS_MAX: too many. */
static size_t
split_words(char *text, char *words[CHILD_WORDS_MAX + 1])
{
    size_t count = 0;

    for (char *at = text; count <= CHILD_WORDS_MAX; count++) {
        at += strspn(at, " \t");
        if (*at == '\0')
            break;
        if (count == CHILD_WORDS_MAX)
            return CHILD_WORDS_MAX + 1;
        words[count] = at;
        at += strcspn(at, " \t");
        if (*at != '\0')
            *at++ = '\0';
    }
    words[count] = NULL;
    return count;
}

#ifdef HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP
static int
close_others(posix_spawn_file_actions_t *actions)
{
    return posix_spawn_file_actions_addclosefrom_np(actions, FIRST_OWN_FD);
}
#else
/* Close what is open here now; who opens files in other threads uses O_CLOEXEC.
 * That one of them is closed by then does no harm. */
static int
close_others(posix_spawn_file_actions_t *actions)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;
    int rc = 0;

    if (directory == NULL)
        return errno;
    while (rc == 0 && (entry = readdir(directory)) != NULL) {
        long fd = strtol(entry->d_name, NULL, 10); /* 0 for . and .. */

        if (fd >= FIRST_OWN_FD)
            rc = posix_spawn_file_actions_addclose(actions, (int)fd);
    }
    (void)closedir(directory);
    return rc;
}
#endif

/*
 * What becomes its descriptors 0, 1 and 2; -1: /dev/null. Others are closed:
 * libraries open theirs (curl its sockets) without O_CLOEXEC.
 */
static int
add_actions(posix_spawn_file_actions_t *actions, const int fds[3])
{
    int rc = 0;

    for (int i = 0; i < 3 && rc == 0; i++)
        rc = fds[i] >= 0 ? posix_spawn_file_actions_adddup2(actions, fds[i], i)
                         : posix_spawn_file_actions_addopen(
                               actions, i, "/dev/null",
                               i == 0 ? O_RDONLY : O_WRONLY, 0);
    return rc == 0 ? close_others(actions) : rc;
}

/*
 * posix_spawn() does not copy our memory, so no secret is ever in a child.
 * `usual` is its environment; NULL: PATH only.
 */
static int
spawn_with(char *const words[], const int fds[3], char *const *usual,
           pid_t *out)
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
    if ((rc = add_actions(&actions, fds)) == 0 &&
        (rc = posix_spawnattr_setsigmask(&attributes, &none)) == 0 &&
        (rc = posix_spawnattr_setsigdefault(&attributes, &all)) == 0 &&
        (rc = posix_spawnattr_setflags(
             &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                              POSIX_SPAWN_SETSIGDEF)) == 0)
        rc = posix_spawnp(out, words[0], &actions, &attributes, words,
                          usual != NULL ? usual : environment);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static int
spawn_command(struct child *child, const struct child_request *request,
              const int fds[3], struct err *err)
{
    char *words[CHILD_WORDS_MAX + 1];
    char *copy = strdup(request->command);
    size_t count;
    int rc = -1;
    int failure;

    if (copy == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    count = split_words(copy, words);
    if (count == 0 || count > CHILD_WORDS_MAX) {
        (void)err_set(err, ERR_CONFIG, "%s: a command has 1 to %d words",
                      child->name, CHILD_WORDS_MAX);
        goto out;
    }
    failure = spawn_with(
        words, fds, request->has_our_environment ? environ : NULL, &child->pid);
    if (failure != 0) {
        child->pid = 0;
        (void)err_set(err, ERR_CONFIG, "%s can't be started: %s", child->name,
                      strerror(failure));
        goto out;
    }
    rc = 0;
out:
    free(copy);
    return rc;
}

/* A pipe: [0] to read, [1] to write; ours does not block, `theirs` does. */
static int
open_pipe(int fds[2], int theirs, struct err *err)
{
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_set(err, ERR_SYSTEM, "pipe: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        int fd = fds[i];

        if (fd >= FIRST_OWN_FD)
            continue;
        fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OWN_FD);
        (void)close(fd);
    }
    if (fds[0] < 0 || fds[1] < 0 || fcntl(fds[theirs], F_SETFL, 0) < 0)
        return err_set(err, ERR_SYSTEM, "pipe: %s", strerror(errno));
    return 0;
}

/*
 * The read end of a pipe that holds all of the input and then ends. It was
 * written while nobody could have closed that end, so there is no SIGPIPE.
 */
static int
open_input(const struct child_request *request, int *out, struct err *err)
{
    int fds[2] = {-1, -1};
    int rc = -1;

    if (request->input_len > CHILD_INPUT_MAX)
        return err_set(err, ERR_CONFIG, "%s: its input is too long",
                       request->name);
    if (open_pipe(fds, 0, err) < 0)
        goto out;
    if (write(fds[1], request->input, request->input_len) !=
        (ssize_t)request->input_len) {
        (void)err_set(err, ERR_SYSTEM, "%s: its input can't be written",
                      request->name);
        goto out;
    }
    *out = fds[0];
    fds[0] = -1;
    rc = 0;
out:
    close_fd(&fds[0]);
    close_fd(&fds[1]);
    return rc;
}

/* Ours to read from; *out is the child's to write to. */
static int
open_stream(struct stream *stream, int *out, struct err *err)
{
    int fds[2] = {-1, -1};
    int rc = open_pipe(fds, 1, err);

    stream->fd = fds[0];
    *out = fds[1];
    return rc;
}

static int
run(struct child *child, const struct child_request *request, struct err *err)
{
    int fds[3] = {-1, -1, -1};
    int rc = -1;

    if (request->input != NULL && open_input(request, &fds[0], err) < 0)
        goto out;
    if (request->output_max > 0 &&
        open_stream(&child->output, &fds[1], err) < 0)
        goto out;
    if (request->error_max > 0 && open_stream(&child->error, &fds[2], err) < 0)
        goto out;
    rc = spawn_command(child, request, fds, err);
out:
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close_fd(&fds[i]);
    return rc;
}

static int
watch_stream(struct stream *stream, struct event_base *base)
{
    if (stream->fd < 0)
        return 0;
    stream->event =
        event_new(base, stream->fd, EV_READ | EV_PERSIST, on_readable, stream);
    return stream->event != NULL ? event_add(stream->event, NULL) : -1;
}

/* Watch the child, its output and the clock. */
static int
watch(struct child *child, struct event_base *base, int limit_ms,
      struct err *err)
{
    struct timeval limit = {.tv_sec = limit_ms / 1000,
                            .tv_usec = (limit_ms % 1000) * 1000L};

    child->pid_fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    if (child->pid_fd < 0)
        return err_set(err, ERR_SYSTEM,
                       "exec: can't watch the command (Linux 5.3 or later is "
                       "needed): %s",
                       strerror(errno));
    child->exit_event =
        event_new(base, child->pid_fd, EV_READ, on_exit_of_child, child);
    child->limit_event = evtimer_new(base, on_limit, child);
    if (child->exit_event == NULL || child->limit_event == NULL ||
        event_add(child->exit_event, NULL) < 0 ||
        event_add(child->limit_event, &limit) < 0 ||
        watch_stream(&child->output, base) < 0 ||
        watch_stream(&child->error, base) < 0)
        return err_set(err, ERR_SYSTEM,
                       "exec: no events to watch the command with");
    return 0;
}

struct child *
child_start(struct event_base *base, const struct child_request *request,
            child_fn *done, void *arg, struct err *err)
{
    struct child *child = calloc(1, sizeof(*child));

    if (child == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    *child = (struct child){
        .name = strdup(request->name),
        .done = done,
        .arg = arg,
        .output = {.child = child, .fd = -1},
        .error = {.child = child, .fd = -1, .may_drop = true},
        .pid_fd = -1,
    };
    buf_init(&child->output.content, request->output_max);
    buf_init(&child->error.content, request->error_max);
    if (child->name == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        free_child(child);
        return NULL;
    }
    if (run(child, request, err) < 0 ||
        watch(child, base, request->limit_ms, err) < 0) {
        free_child(child);
        return NULL;
    }
    return child;
}

void
child_stop(struct child **child)
{
    if (*child == NULL)
        return;
    free_child(*child);
    *child = NULL;
}
