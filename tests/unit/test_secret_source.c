/* Where secrets come from: what is read, what is refused, what is killed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/util.h"
#include "token-daemon/secret_source.h"

#define LIMIT_MS   10000 /* far more than anything here takes */
#define GUARD_S    30    /* for a loop that would never end */
#define OTHER_GID  54321
#define EXEC_LIMIT 50 /* ms, for a command that never ends */

static struct event_base *base;
static char directory[] = "/tmp/test_secret_source.XXXXXX";

/* What the callback said. */
static struct {
    unsigned calls;
    char *secret; /* NULL: failed */
    size_t len;
    struct err err;
} got;

static void
on_done(const char *secret, size_t len, const struct err *err, void *arg)
{
    assert_ptr_equal(arg, &got);
    got.calls++;
    got.err = *err;
    got.len = len;
    if (secret != NULL) {
        assert_int_equal(strlen(secret), len);
        got.secret = strdup(secret);
    }
    (void)event_base_loopbreak(base);
}

/* Start, check that nothing came from within, and run to the end. */
static void
read_ref(enum config_ref_kind kind, const char *value, int limit_ms)
{
    struct timeval guard = {.tv_sec = GUARD_S};
    char *text = NULL;
    struct config_ref ref = {.kind = kind, .value = strdup(value)};

    assert_true(asprintf(&text, "ref:%s", value) > 0);
    ref.text = text;
    free(got.secret);
    memset(&got, 0, sizeof(got));
    assert_non_null(secret_source_read(base, &ref, limit_ms, on_done, &got));
    assert_int_equal(got.calls, 0);
    (void)event_base_loopexit(base, &guard);
    (void)event_base_dispatch(base);
    assert_int_equal(got.calls, 1);
    free(ref.value);
    free(text);
}

/* A file of this test's directory, whose name is returned: borrowed. */
static const char *
write_file(const char *name, const char *content, size_t len, mode_t mode)
{
    static char path[256];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    (void)unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
    return path;
}

struct file_row {
    const char *name;
    const char *content;
    size_t len; /* 0: strlen */
    mode_t mode;
    const char *want;      /* NULL: refused */
    const char *want_text; /* a part of err.text */
};

static struct file_row file_rows[] = {
    {.name = "a secret", .content = "abc", .mode = 0600, .want = "abc"},
    {.name = "one newline at the end is cut",
     .content = "abc\n",
     .mode = 0400,
     .want = "abc"},
    {.name = "and one only",
     .content = "abc\n\n",
     .mode = 0600,
     .want = "abc\n"},
    {.name = "a newline of DOS",
     .content = "abc\r\n",
     .mode = 0600,
     .want = "abc"},
    {.name = "a CR alone is the secret's",
     .content = "abc\r",
     .mode = 0600,
     .want = "abc\r"},
    {.name = "blanks are the secret's",
     .content = " abc ",
     .mode = 0600,
     .want = " abc "},
    {.name = "the daemon's own group may read",
     .content = "abc",
     .mode = 0640,
     .want = "abc"},
    {.name = "readable by everybody",
     .content = "PLANTED",
     .mode = 0644,
     .want_text = "open to everybody (mode 0644)"},
    {.name = "writable by everybody",
     .content = "PLANTED",
     .mode = 0602,
     .want_text = "open to everybody"},
    {.name = "empty", .content = "", .mode = 0600, .want_text = "is empty"},
    {.name = "a newline only",
     .content = "\n",
     .mode = 0600,
     .want_text = "is empty"},
    {.name = "a NUL in it",
     .content = "PLA\0NTED",
     .len = 8,
     .mode = 0600,
     .want_text = "NUL"},
};

static void
check_file(void **state)
{
    const struct file_row *row = *state;
    size_t len = row->len > 0 ? row->len : strlen(row->content);

    read_ref(CONFIG_REF_FILE,
             write_file("secret", row->content, len, row->mode), LIMIT_MS);
    if (row->want != NULL) {
        assert_int_equal(got.err.code, ERR_NONE);
        assert_string_equal(got.secret, row->want);
        assert_int_equal(got.len, strlen(row->want));
        return;
    }
    assert_null(got.secret);
    assert_int_equal(got.err.code, ERR_CONFIG);
    assert_non_null(strstr(got.err.text, row->want_text));
    assert_null(strstr(got.err.text, "PLANTED"));
}

static void
the_cap_is_64_kib_and_a_newline(void **state)
{
    size_t len = SECRET_SOURCE_MAX;
    char *content = malloc(len + 2);

    (void)state;
    assert_non_null(content);
    memset(content, 'x', len + 2);
    content[len] = '\n';
    read_ref(CONFIG_REF_FILE, write_file("big", content, len + 1, 0600),
             LIMIT_MS);
    assert_int_equal(got.err.code, ERR_NONE);
    assert_int_equal(got.len, len);

    content[len] = 'x';
    read_ref(CONFIG_REF_FILE, write_file("big", content, len + 1, 0600),
             LIMIT_MS);
    assert_int_equal(got.err.code, ERR_CONFIG);
    assert_non_null(strstr(got.err.text, "longer than"));
    free(content);

    /* It is not read to the end to find that out. */
    read_ref(CONFIG_REF_FILE, "/dev/zero", LIMIT_MS);
    assert_non_null(strstr(got.err.text, "not a regular file"));
}

static void
what_is_no_file_is_refused_at_once(void **state)
{
    char path[256];

    (void)state;
    read_ref(CONFIG_REF_FILE, directory, LIMIT_MS);
    assert_int_equal(got.err.code, ERR_CONFIG);
    (void)snprintf(path, sizeof(path), "%s/fifo", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    read_ref(CONFIG_REF_FILE, path, LIMIT_MS);
    assert_int_equal(got.err.code, ERR_CONFIG);
    (void)snprintf(path, sizeof(path), "%s/missing", directory);
    read_ref(CONFIG_REF_FILE, path, LIMIT_MS);
    assert_int_equal(got.err.code, ERR_CONFIG);
    assert_non_null(strstr(got.err.text, "No such file"));
    read_ref(CONFIG_REF_NONE, "", LIMIT_MS);
    assert_int_equal(got.err.code, ERR_CONFIG);
}

static void
another_group_may_not_read(void **state)
{
    const char *path = write_file("grouped", "abc", 3, 0640);

    (void)state;
    if (chown(path, (uid_t)-1, OTHER_GID) < 0 && errno == EPERM)
        skip();
    read_ref(CONFIG_REF_FILE, path, LIMIT_MS);
    assert_int_equal(got.err.code, ERR_CONFIG);
    assert_non_null(strstr(got.err.text, "open to group 54321"));
}

/* Read a credential with that in the environment; NULL: nothing. */
static void
read_credential(char *variable, const char *name)
{
    char *environment[] = {variable, NULL};
    char **usual = environ;

    environ = environment;
    read_ref(CONFIG_REF_CREDENTIAL, name, LIMIT_MS);
    environ = usual;
}

static void
credentials_need_systemds_directory(void **state)
{
    char relative[] = "CREDENTIALS_DIRECTORY=relative";

    (void)state;
    read_credential(NULL, "seal");
    assert_int_equal(got.err.code, ERR_CONFIG);
    assert_non_null(strstr(got.err.text, "LoadCredential=seal"));
    read_credential(relative, "seal");
    assert_int_equal(got.err.code, ERR_CONFIG);
}

static void
credentials_are_read_and_their_names_checked(void **state)
{
    static const char *const bad[] = {"../etc/passwd", "..", ".seal", ""};
    char variable[128];

    (void)state;
    (void)snprintf(variable, sizeof(variable), "CREDENTIALS_DIRECTORY=%s",
                   directory);
    (void)write_file("seal", "abc\n", 4, 0440);
    read_credential(variable, "seal");
    assert_int_equal(got.err.code, ERR_NONE);
    assert_string_equal(got.secret, "abc");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        read_credential(variable, bad[i]);
        assert_int_equal(got.err.code, ERR_CONFIG);
        assert_non_null(strstr(got.err.text, "not a path"));
    }
}

struct exec_row {
    const char *name;
    const char *command;
    int limit_ms; /* 0: the usual one */
    const char *want;
    enum err_code want_code;
    const char *want_text;
};

static struct exec_row exec_rows[] = {
    {.name = "what a command prints",
     .command = "/bin/echo  hello\tworld ",
     .want = "hello world"},
    {.name = "a command is found by PATH",
     .command = "echo hello",
     .want = "hello"},
    {.name = "no shell looks at it",
     .command = "/bin/echo $HOME;id \"x\" *",
     .want = "$HOME;id \"x\" *"},
    {.name = "its input is empty",
     .command = "/bin/cat",
     .want_code = ERR_CONFIG,
     .want_text = "is empty"},
    {.name = "it fails",
     .command = "/bin/sh -c exit${IFS}3",
     .want_code = ERR_RETRY,
     .want_text = "exit status 3"},
    {.name = "output of a command that fails is not used",
     .command = "/bin/ls -d / /nonexistent",
     .want_code = ERR_RETRY,
     .want_text = "exit status 2"},
    {.name = "it does not exist",
     .command = "/nonexistent/command",
     .want_code = ERR_CONFIG,
     .want_text = "can't be started: No such file"},
    {.name = "no words at all",
     .command = "  ",
     .want_code = ERR_CONFIG,
     .want_text = "1 to 64 words"},
    {.name = "too many words",
     .command = "/bin/echo 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 "
                "6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 "
                "7 8 9 0 1 2 3 4",
     .want_code = ERR_CONFIG,
     .want_text = "1 to 64 words"},
    {.name = "as many words as may be",
     .command = "/bin/echo 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 "
                "6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 "
                "7 8 9 0 1 2 3",
     .want = "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 "
             "3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3"},
    {.name = "it never ends",
     .command = "/bin/sleep 1000",
     .limit_ms = EXEC_LIMIT,
     .want_code = ERR_RETRY,
     .want_text = "took too long"},
    {.name = "it ends, but what it started holds the output",
     .command = "/bin/sh -c sleep${IFS}1000&",
     .limit_ms = EXEC_LIMIT,
     .want_code = ERR_RETRY,
     .want_text = "took too long"},
    {.name = "it closes its output and goes on",
     .command = "/bin/sh -c exec>&-;sleep${IFS}1000",
     .limit_ms = EXEC_LIMIT,
     .want_code = ERR_RETRY,
     .want_text = "took too long"},
    {.name = "it prints without end",
     .command = "/usr/bin/yes",
     .want_code = ERR_CONFIG,
     .want_text = "longer than"},
    {.name = "it is killed",
     .command = "/bin/sh -c kill${IFS}-9${IFS}$$",
     .want_code = ERR_RETRY,
     .want_text = "signal 9"},
};

static void
check_exec(void **state)
{
    const struct exec_row *row = *state;

    read_ref(CONFIG_REF_EXEC, row->command,
             row->limit_ms > 0 ? row->limit_ms : LIMIT_MS);
    assert_int_equal(got.err.code, row->want_code);
    if (row->want != NULL)
        assert_string_equal(got.secret, row->want);
    else
        assert_non_null(strstr(got.err.text, row->want_text));
    /* Nothing is left of it: neither running nor waiting for its parent. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void
the_environment_is_path_and_nothing_else(void **state)
{
    char planted[] = "PLANTED=1";
    char path[] = "PATH=/bin:/usr/bin";
    char *environment[] = {planted, path, NULL};
    char **usual = environ;

    (void)state;
    environ = environment;
    read_ref(CONFIG_REF_EXEC, "/usr/bin/env", LIMIT_MS);
    environ = usual;
    assert_int_equal(got.err.code, ERR_NONE);
    assert_string_equal(got.secret, path);
}

/* A daemon with closed standard streams gets them as numbers of its pipe. */
static void
descriptors_are_right_without_standard_streams(void **state)
{
    int saved_in = dup(0);

    (void)state;
    assert_true(saved_in >= 0);
    assert_int_equal(close(0), 0);
    read_ref(CONFIG_REF_EXEC, "/bin/echo hello", LIMIT_MS);
    assert_int_equal(dup2(saved_in, 0), 0);
    assert_int_equal(close(saved_in), 0);
    assert_string_equal(got.secret, "hello");
}

static void
blocked_signals_are_not_inherited(void **state)
{
    sigset_t all, old;

    (void)state;
    (void)sigfillset(&all);
    assert_int_equal(sigprocmask(SIG_BLOCK, &all, &old), 0);
    read_ref(CONFIG_REF_EXEC, "/bin/grep SigBlk /proc/self/status", LIMIT_MS);
    assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
    assert_string_equal(got.secret, "SigBlk:\t0000000000000000");
}

static void
cancelling_kills_and_calls_nobody(void **state)
{
    char value[] = "/bin/sleep 1000";
    char text[] = "exec:sleep";
    struct config_ref ref = {CONFIG_REF_EXEC, NULL, text, value};
    struct config_ref none = {CONFIG_REF_NONE, NULL, text, value};
    struct secret_source *source;

    (void)state;
    got.calls = 0;
    source = secret_source_read(base, &ref, LIMIT_MS, on_done, &got);
    assert_non_null(source);
    secret_source_cancel(&source);
    assert_null(source);
    secret_source_cancel(&source);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);

    source = secret_source_read(base, &none, LIMIT_MS, on_done, &got);
    assert_non_null(source);
    secret_source_cancel(&source);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(got.calls, 0);
}

static int
set_up(void **state)
{
    (void)state;
    base = event_base_new();
    return base != NULL && mkdtemp(directory) != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    static const char *const names[] = {"secret", "big", "fifo", "grouped",
                                        "seal"};
    char path[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    free(got.secret);
    event_base_free(base);
    return rmdir(directory);
}

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(the_cap_is_64_kib_and_a_newline),
        cmocka_unit_test(what_is_no_file_is_refused_at_once),
        cmocka_unit_test(another_group_may_not_read),
        cmocka_unit_test(credentials_need_systemds_directory),
        cmocka_unit_test(credentials_are_read_and_their_names_checked),
        cmocka_unit_test(the_environment_is_path_and_nothing_else),
        cmocka_unit_test(descriptors_are_right_without_standard_streams),
        cmocka_unit_test(blocked_signals_are_not_inherited),
        cmocka_unit_test(cancelling_kills_and_calls_nobody),
    };
    struct CMUnitTest
        tests[ARRAY_LEN(file_rows) + ARRAY_LEN(exec_rows) + ARRAY_LEN(others)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(file_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = file_rows[i].name,
                                         .test_func = check_file,
                                         .initial_state = &file_rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(exec_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = exec_rows[i].name,
                                         .test_func = check_exec,
                                         .initial_state = &exec_rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests_name("secret_source", tests, set_up,
                                       tear_down);
}
