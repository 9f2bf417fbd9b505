/* Commands: what they get, what is kept of what they say, what ends them. */
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
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/util.h"
#include "token-daemon/child.h"

#define LIMIT_MS   10000 /* far more than anything here takes */
#define GUARD_S    30    /* for a loop that would never end */
#define SHORT_MS   50    /* for a command that never ends */
#define OUTPUT_MAX 100
#define ERROR_MAX  20

static struct event_base *base;

/* What the callback said. */
static struct {
    unsigned calls;
    enum child_end end;
    struct err err;
    char output[OUTPUT_MAX + 1];
    char error[ERROR_MAX + 1];
} got;

static void
on_done(const struct child_result *result, void *arg)
{
    assert_ptr_equal(arg, &got);
    got.calls++;
    got.end = result->end;
    got.err = result->err;
    assert_true(result->output->len < sizeof(got.output));
    assert_true(result->error->len < sizeof(got.error));
    (void)snprintf(got.output, sizeof(got.output), "%s",
                   buf_str(result->output));
    (void)snprintf(got.error, sizeof(got.error), "%s", buf_str(result->error));
    (void)event_base_loopbreak(base);
}

static struct child *
start(const struct child_request *request, struct err *err)
{
    memset(&got, 0, sizeof(got));
    return child_start(base, request, on_done, &got, err);
}

/* Nothing is left of it: neither running nor waiting for its parent. */
static void
assert_gone(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* Start it, and run the loop to its end. */
static void
run(const struct child_request *request)
{
    struct timeval guard = {.tv_sec = GUARD_S};
    struct err err = {ERR_NONE, ""};

    assert_non_null(start(request, &err));
    assert_int_equal(got.calls, 0);
    (void)event_base_loopexit(base, &guard);
    (void)event_base_dispatch(base);
    assert_int_equal(got.calls, 1);
    assert_gone();
}

struct row {
    const char *name;
    const char *command;
    const char *input;
    int limit_ms; /* 0: LIMIT_MS */
    enum child_end want_end;
    const char *want_output;
    const char *want_error;
    const char *want_text; /* a part of err.text */
};

static struct row rows[] = {
    {
        .name = "what it prints",
        .command = "/bin/echo hello",
        .want_output = "hello\n",
    },
    {
        .name = "it reads its input to the end",
        .command = "/bin/cat",
        .input = "one\ntwo\n",
        .want_output = "one\ntwo\n",
    },
    {
        .name = "no input is the end of it",
        .command = "/bin/cat",
    },
    {
        .name = "an empty input, too",
        .command = "/bin/cat",
        .input = "",
    },
    {
        .name = "input that is not read does no harm",
        .command = "/bin/true",
        .input = "unread",
    },
    {
        .name = "input can be opened by name",
        .command = "/bin/cat /dev/stdin",
        .input = "named",
        .want_output = "named",
    },
    {
        .name = "both outputs are told apart",
        .command = "/bin/sh -c echo${IFS}out;echo${IFS}err>&2",
        .want_output = "out\n",
        .want_error = "err\n",
    },
    {
        .name = "too many errors are cut and do not end it",
        .command = "/bin/sh -c printf${IFS}%030000d${IFS}7>&2;echo${IFS}out",
        .want_output = "out\n",
        .want_error = "00000000000000000000",
    },
    {
        .name = "it fails, and says why",
        .command = "/bin/sh -c echo${IFS}why>&2;exit${IFS}3",
        .want_end = CHILD_FAILED,
        .want_error = "why\n",
        .want_text = "the command ended with exit status 3",
    },
    {
        .name = "a signal ends it",
        .command = "/bin/sh -c kill${IFS}-9${IFS}$$",
        .want_end = CHILD_FAILED,
        .want_text = "signal 9",
    },
    {
        .name = "it never ends",
        .command = "/bin/sleep 1000",
        .limit_ms = SHORT_MS,
        .want_end = CHILD_TOO_SLOW,
        .want_text = "took too long and was killed",
    },
    {
        .name = "it ignores polite signals",
        .command =
            "/bin/sh -c trap${IFS}\"\"${IFS}TERM${IFS}HUP;sleep${IFS}1000",
        .limit_ms = SHORT_MS,
        .want_end = CHILD_TOO_SLOW,
        .want_text = "took too long",
    },
    {
        .name = "it ends, but what it started holds its errors",
        .command = "/bin/sh -c sleep${IFS}1000>/dev/null&",
        .limit_ms = SHORT_MS,
        .want_end = CHILD_TOO_SLOW,
        .want_text = "took too long",
    },
    {
        .name = "it prints without end",
        .command = "/usr/bin/yes",
        .want_end = CHILD_TOO_LONG,
        .want_text = "printed more than 100 bytes",
    },
};

static void
check_row(void **state)
{
    const struct row *row = *state;

    run(&(struct child_request){
        .command = row->command,
        .name = "the command",
        .input = row->input,
        .input_len = row->input != NULL ? strlen(row->input) : 0,
        .output_max = OUTPUT_MAX,
        .error_max = ERROR_MAX,
        .limit_ms = row->limit_ms > 0 ? row->limit_ms : LIMIT_MS,
    });
    assert_int_equal(got.end, row->want_end);
    if (row->want_end == CHILD_SUCCEEDED)
        assert_int_equal(got.err.code, ERR_NONE);
    else
        assert_int_equal(got.err.code, ERR_RETRY);
    if (row->want_end != CHILD_TOO_LONG)
        assert_string_equal(got.output,
                            row->want_output != NULL ? row->want_output : "");
    assert_string_equal(got.error,
                        row->want_error != NULL ? row->want_error : "");
    if (row->want_text != NULL)
        assert_non_null(strstr(got.err.text, row->want_text));
}

static void
a_pipe_takes_the_longest_input_at_once(void **state)
{
    char input[CHILD_INPUT_MAX + 1];
    struct child_request request = {
        .command = "/usr/bin/wc -c",
        .name = "wc",
        .input = input,
        .input_len = CHILD_INPUT_MAX,
        .output_max = OUTPUT_MAX,
        .limit_ms = LIMIT_MS,
    };
    struct err err = {ERR_NONE, ""};

    (void)state;
    memset(input, 'x', sizeof(input));
    run(&request);
    assert_string_equal(got.output, "4096\n");
    request.input_len++;
    assert_null(start(&request, &err));
    assert_int_equal(err.code, ERR_CONFIG);
}

static void
what_is_not_wanted_goes_to_dev_null(void **state)
{
    (void)state;
    run(&(struct child_request){
        .command = "/bin/sh -c ls${IFS}-l${IFS}/proc/self/fd;echo${IFS}x>&2",
        .name = "sh",
        .limit_ms = LIMIT_MS,
    });
    assert_int_equal(got.end, CHILD_SUCCEEDED);
    assert_string_equal(got.output, "");
    assert_string_equal(got.error, "");
}

/* Those without O_CLOEXEC, too: libraries open such ones. */
static void
descriptors_of_the_daemon_are_not_in_it(void **state)
{
    int fd = open("/dev/null", O_RDONLY); /* NOLINT(*-cloexec-open) */
    int high = fcntl(fd, F_DUPFD, 777);
    int pair[2];

    (void)state;
    assert_true(fd > 2 && high >= 777);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    run(&(struct child_request){
        .command = "/bin/ls /proc/self/fd",
        .name = "ls",
        .input = "x",
        .input_len = 1,
        .output_max = OUTPUT_MAX,
        .error_max = ERROR_MAX,
        .limit_ms = LIMIT_MS,
    });
    assert_int_equal(got.end, CHILD_SUCCEEDED);
    assert_string_equal(got.output, "0\n1\n2\n3\n"); /* 3: what ls reads */
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(high), 0);
    assert_int_equal(close(pair[0]), 0);
    assert_int_equal(close(pair[1]), 0);
}

static void
pipes_are_right_without_standard_streams(void **state)
{
    int saved[2] = {fcntl(0, F_DUPFD_CLOEXEC, 10),
                    fcntl(2, F_DUPFD_CLOEXEC, 10)};

    (void)state;
    assert_true(saved[0] >= 0 && saved[1] >= 0);
    (void)close(0);
    (void)close(2);
    run(&(struct child_request){
        .command = "/bin/sh -c cat;echo${IFS}e>&2",
        .name = "sh",
        .input = "in",
        .input_len = 2,
        .output_max = OUTPUT_MAX,
        .error_max = ERROR_MAX,
        .limit_ms = LIMIT_MS,
    });
    assert_int_equal(dup2(saved[0], 0), 0);
    assert_int_equal(dup2(saved[1], 2), 2);
    (void)close(saved[0]);
    (void)close(saved[1]);
    assert_string_equal(got.output, "in");
    assert_string_equal(got.error, "e\n");
}

static void
what_cannot_start_says_so(void **state)
{
    static const struct {
        const char *command;
        const char *text;
    } cases[] = {
        {"/nonexistent/command", "hook can't be started: No such file"},
        {"/dev/null", "hook can't be started: Permission denied"},
        {" \t ", "hook: a command has 1 to 64 words"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {ERR_NONE, ""};

        assert_null(start(
            &(struct child_request){
                .command = cases[i].command,
                .name = "hook",
                .input = "x",
                .input_len = 1,
                .limit_ms = LIMIT_MS,
            },
            &err));
        assert_int_equal(err.code, ERR_CONFIG);
        assert_non_null(strstr(err.text, cases[i].text));
        assert_gone();
    }
}

static void
stopping_kills_it_and_what_it_started(void **state)
{
    struct err err = {ERR_NONE, ""};
    struct child *child =
        start(&(struct child_request){.command = "/bin/sh -c sleep${IFS}1000",
                                      .name = "sh",
                                      .error_max = ERROR_MAX,
                                      .limit_ms = LIMIT_MS},
              &err);

    (void)state;
    assert_non_null(child);
    child_stop(&child);
    assert_null(child);
    child_stop(&child);
    assert_gone();
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(got.calls, 0);
}

static int
set_up(void **state)
{
    (void)state;
    base = event_base_new();
    return base != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    event_base_free(base);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(a_pipe_takes_the_longest_input_at_once),
        cmocka_unit_test(what_is_not_wanted_goes_to_dev_null),
        cmocka_unit_test(descriptors_of_the_daemon_are_not_in_it),
        cmocka_unit_test(pipes_are_right_without_standard_streams),
        cmocka_unit_test(what_cannot_start_says_so),
        cmocka_unit_test(stopping_kills_it_and_what_it_started),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[n++] = (struct CMUnitTest){.name = rows[i].name,
                                         .test_func = check_row,
                                         .initial_state = &rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests_name("child", tests, set_up, tear_down);
}
