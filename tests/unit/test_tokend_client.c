/*
 * One row is one script of a server and what the client makes of it; one row is
 * one test. A wait that has to end by itself is short (QUICK), one that should
 * never be reached is long (AMPLE): no test measures time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/util.h"
#include "sasl-xoauth2/tokend_client.h"
#include "tests/unit/fake_tokend.h"

#define QUICK 40    /* ms */
#define AMPLE 60000 /* ms */

struct row {
    const char *name;
    struct fake_tokend_turn turns[4];
    size_t turn_count;
    int64_t wait; /* ms */
    enum err_code want_code;
    const char *want_text; /* is in the error's text */
    enum socketmap_status want_status;
    const char *want_data;
    size_t want_connections; /* 0: any number */
};

static struct row rows[] = {
    {
        .name = "an answer",
        .turns = {{.status = SOCKETMAP_OK, .data = "1 token"}},
        .turn_count = 1,
        .wait = AMPLE,
        .want_status = SOCKETMAP_OK,
        .want_data = "1 token",
        .want_connections = 1,
    },
    {
        .name = "an answer on a connection that stays open",
        .turns = {{.status = SOCKETMAP_PERM,
                   .data = "denied",
                   .then = FAKE_TOKEND_HOLD}},
        .turn_count = 1,
        .wait = AMPLE,
        .want_status = SOCKETMAP_PERM,
        .want_data = "denied",
        .want_connections = 1,
    },
    {
        .name = "an answer byte by byte",
        .turns = {{.status = SOCKETMAP_TEMP,
                   .data = "throttled until noon",
                   .is_bytewise = true}},
        .turn_count = 1,
        .wait = AMPLE,
        .want_status = SOCKETMAP_TEMP,
        .want_data = "throttled until noon",
        .want_connections = 1,
    },
    {
        .name = "bytes after the answer are not read",
        .turns = {{.raw = "4:OK a,garbage", .then = FAKE_TOKEND_FLOOD}},
        .turn_count = 1,
        .wait = AMPLE,
        .want_status = SOCKETMAP_OK,
        .want_data = "a",
        .want_connections = 1,
    },
    {
        .name = "closed before the answer, then an answer",
        .turns = {{.raw = ""}, {.status = SOCKETMAP_OK, .data = "2 t"}},
        .turn_count = 2,
        .wait = AMPLE,
        .want_status = SOCKETMAP_OK,
        .want_data = "2 t",
        .want_connections = 2,
    },
    {
        .name = "closed before the request is read, then within the answer",
        .turns = {{.is_deaf = true, .raw = ""},
                  {.raw = "20:OK 3"},
                  {.status = SOCKETMAP_OK, .data = "3 t"}},
        .turn_count = 3,
        .wait = AMPLE,
        .want_status = SOCKETMAP_OK,
        .want_data = "3 t",
        .want_connections = 3,
    },
    {
        .name = "always closed",
        .turns = {{.raw = ""}},
        .turn_count = 1,
        .wait = QUICK,
        .want_code = ERR_RETRY,
        .want_text = "/fake-tokend-", /* closed, or too late to see that */
    },
    {
        .name = "accepts and never answers",
        .turns = {{.raw = "", .then = FAKE_TOKEND_HOLD}},
        .turn_count = 1,
        .wait = QUICK,
        .want_code = ERR_RETRY,
        .want_text = "no answer in time",
        .want_connections = 1,
    },
    {
        .name = "begins an answer and never ends it",
        .turns = {{.raw = "100:OK 1", .then = FAKE_TOKEND_HOLD}},
        .turn_count = 1,
        .wait = QUICK,
        .want_code = ERR_RETRY,
        .want_text = "no answer in time",
        .want_connections = 1,
    },
    {
        .name = "a byte now and then, without end",
        .turns = {{.raw = "65000:OK 1", .then = FAKE_TOKEND_DRIBBLE}},
        .turn_count = 1,
        .wait = QUICK,
        .want_code = ERR_RETRY,
        .want_text = "no answer in time",
        .want_connections = 1,
    },
    {
        .name = "digits without end",
        .turns = {{.raw = "", .then = FAKE_TOKEND_FLOOD}},
        .turn_count = 1,
        .wait = AMPLE,
        .want_code = ERR_PROTO,
        .want_text = "not a socketmap answer",
        .want_connections = 1,
    },
    {
        .name = "a full answer's length and then bytes without end",
        .turns = {{.raw = "65536:OK 1 ", .then = FAKE_TOKEND_FLOOD}},
        .turn_count = 1,
        .wait = AMPLE,
        .want_code = ERR_PROTO,
        .want_text = "not a socketmap answer",
        .want_connections = 1,
    },
    {
        .name = "an answer longer than a reply may be",
        .turns = {{.raw = "65537:OK 1 "}},
        .turn_count = 1,
        .wait = AMPLE,
        .want_code = ERR_PROTO,
        .want_text = "not a socketmap answer",
        .want_connections = 1,
    },
    {
        .name = "another protocol",
        .turns = {{.raw = "220 mail ESMTP\r\n"}},
        .turn_count = 1,
        .wait = AMPLE,
        .want_code = ERR_PROTO,
        .want_text = "not a socketmap answer",
        .want_connections = 1,
    },
    {
        .name = "a status that is none",
        .turns = {{.raw = "5:OKAY ,"}},
        .turn_count = 1,
        .wait = AMPLE,
        .want_code = ERR_PROTO,
        .want_text = "not a socketmap answer",
        .want_connections = 1,
    },
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct fake_tokend *server = fake_tokend_start(row->turns, row->turn_count);
    const struct tokend_client client = {
        .path = fake_tokend_path(server),
        .deadline_at = clock_boot_ms() + row->wait,
        .retry_interval = 1,
    };
    struct tokend_answer answer = {0};
    struct err err = {ERR_NONE, ""};
    int rc = tokend_client_ask(&client, "token", "a@b host=c", &answer, &err);

    fake_tokend_stop(server);
    assert_int_equal(err.code, row->want_code);
    assert_int_equal(rc, row->want_code == ERR_NONE ? 0 : -1);
    if (row->want_connections != 0)
        assert_int_equal(fake_tokend_count(server), row->want_connections);
    if (rc < 0) {
        assert_non_null(strstr(err.text, row->want_text));
        assert_null(answer.bytes.data);
    } else {
        assert_string_equal(
            fake_tokend_request(server, fake_tokend_count(server) - 1),
            "token a@b host=c");
        assert_int_equal(answer.reply.status, row->want_status);
        assert_int_equal(answer.reply.len, strlen(row->want_data));
        assert_memory_equal(answer.reply.data, row->want_data,
                            answer.reply.len);
    }
    tokend_answer_clear(&answer);
    tokend_answer_clear(&answer);
    fake_tokend_free(&server);
}

static const struct fake_tokend_turn served = {.status = SOCKETMAP_OK,
                                               .data = "1 t"};

/* Ask with a pause function; the first attempt then surely fails. */
static int
ask_and_pause(const char *path, int64_t wait, void (*pause)(void *, int64_t),
              void *arg, struct err *err)
{
    const struct tokend_client client = {
        .path = path,
        .deadline_at = clock_boot_ms() + wait,
        .retry_interval = 250,
        .pause = pause,
        .pause_arg = arg,
    };
    struct tokend_answer answer = {0};
    int rc = tokend_client_ask(&client, "token", "a@b host=c", &answer, err);

    tokend_answer_clear(&answer);
    return rc;
}

static void
listen_at_the_first_pause(void *arg, int64_t ms)
{
    assert_int_equal(ms, 250);
    fake_tokend_listen(arg);
}

static void
a_socket_that_appears_later_is_found(void **state)
{
    struct fake_tokend *server = fake_tokend_new(&served, 1);
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(ask_and_pause(fake_tokend_path(server), AMPLE,
                                   listen_at_the_first_pause, server, &err),
                     0);
    fake_tokend_stop(server);
    assert_int_equal(fake_tokend_count(server), 1);
    fake_tokend_free(&server);
}

static void
replace_the_socket(void *arg, int64_t ms)
{
    struct fake_tokend *server = arg;

    (void)ms;
    assert_int_equal(unlink(fake_tokend_path(server)), 0);
    fake_tokend_listen(server);
}

static int
bind_without_listening(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(
        bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void
a_socket_that_refuses_is_tried_again(void **state)
{
    struct fake_tokend *server = fake_tokend_new(&served, 1);
    int fd = bind_without_listening(fake_tokend_path(server), SOCK_STREAM);
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(ask_and_pause(fake_tokend_path(server), AMPLE,
                                   replace_the_socket, server, &err),
                     0);
    (void)close(fd);
    fake_tokend_free(&server);
}

struct backlog {
    int listener;
    int waiting; /* the client that fills the backlog */
    struct fake_tokend *server;
};

static void
empty_the_backlog(void *arg, int64_t ms)
{
    struct backlog *backlog = arg;

    (void)close(backlog->waiting);
    (void)close(backlog->listener);
    backlog->listener = -1;
    replace_the_socket(backlog->server, ms);
}

static void
a_full_backlog_is_waited_for(void **state)
{
    struct fake_tokend *server = fake_tokend_new(&served, 1);
    const char *path = fake_tokend_path(server);
    struct backlog backlog = {
        .listener = bind_without_listening(path, SOCK_STREAM),
        .waiting = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
        .server = server,
    };
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct err err = {ERR_NONE, ""};

    (void)state;
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(listen(backlog.listener, 0), 0);
    assert_int_equal(connect(backlog.waiting, (const struct sockaddr *)&address,
                             sizeof(address)),
                     0);
    assert_int_equal(
        ask_and_pause(path, AMPLE, empty_the_backlog, &backlog, &err), 0);
    assert_int_equal(backlog.listener, -1);
    fake_tokend_free(&server);
}

static void
nobody_ever_listens(void **state)
{
    struct fake_tokend *server = fake_tokend_new(&served, 1);
    const struct tokend_client client = {
        .path = fake_tokend_path(server),
        .deadline_at = clock_boot_ms() + QUICK,
        .retry_interval = 1,
    };
    struct tokend_answer answer = {0};
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(
        tokend_client_ask(&client, "token", "a@b host=c", &answer, &err), -1);
    assert_int_equal(err.code, ERR_RETRY);
    assert_non_null(strstr(err.text, fake_tokend_path(server)));
    assert_non_null(strstr(err.text, "No such file or directory"));
    assert_null(answer.bytes.data);
    fake_tokend_free(&server);
}

static void
never_pause(void *arg, int64_t ms)
{
    (void)arg;
    (void)ms;
    fail_msg("there is no time left for a pause");
}

static void
no_pause_goes_past_the_deadline(void **state)
{
    struct fake_tokend *server = fake_tokend_new(&served, 1);
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(
        ask_and_pause(fake_tokend_path(server), 250, never_pause, NULL, &err),
        -1);
    assert_int_equal(err.code, ERR_RETRY);
    fake_tokend_free(&server);
}

static void
a_deadline_in_the_past_is_no_answer(void **state)
{
    struct fake_tokend *server = fake_tokend_start(&served, 1);
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(
        ask_and_pause(fake_tokend_path(server), -1, never_pause, NULL, &err),
        -1);
    assert_int_equal(err.code, ERR_RETRY);
    fake_tokend_free(&server);
}

static void
a_relative_path_starts_at_the_working_directory(void **state)
{
    struct fake_tokend *server = fake_tokend_start(&served, 1);
    char *before = getcwd(NULL, 0);
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_non_null(before);
    assert_int_equal(chdir(fake_tokend_dir(server)), 0);
    assert_int_equal(
        ask_and_pause("tokend.sock", AMPLE, never_pause, NULL, &err), 0);
    assert_int_equal(chdir(before), 0);
    free(before);
    fake_tokend_free(&server);
}

static void
a_path_that_can_not_be_a_socket_fails_at_once(void **state)
{
    char too_long[TOKEND_CLIENT_PATH_MAX + 2];
    struct err err = {ERR_NONE, ""};

    (void)state;
    memset(too_long, 'a', sizeof(too_long));
    too_long[sizeof(too_long) - 1] = '\0';
    assert_int_equal(ask_and_pause(too_long, AMPLE, never_pause, NULL, &err),
                     -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, "longer than 107 bytes"));
    assert_int_equal(ask_and_pause("", AMPLE, never_pause, NULL, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_int_equal(
        ask_and_pause("/dev/null/sock", AMPLE, never_pause, NULL, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, "Not a directory"));
}

static void
the_longest_path_works(void **state)
{
    char path[TOKEND_CLIENT_PATH_MAX + 1];
    struct fake_tokend *server = fake_tokend_start(&served, 1);
    size_t dir_len = strlen(fake_tokend_dir(server));
    struct err err = {ERR_NONE, ""};

    (void)state;
    /* DIR, as many slashes as fit, tokend.sock */
    memset(path, '/', sizeof(path));
    memcpy(path, fake_tokend_dir(server), dir_len);
    memcpy(path + sizeof(path) - sizeof("tokend.sock"), "tokend.sock",
           sizeof("tokend.sock"));
    assert_int_equal(strlen(path), TOKEND_CLIENT_PATH_MAX);
    assert_int_equal(ask_and_pause(path, AMPLE, never_pause, NULL, &err), 0);
    fake_tokend_free(&server);
}

static void
a_socket_of_another_type_fails_at_once(void **state)
{
    struct fake_tokend *server = fake_tokend_new(&served, 1);
    int fd = bind_without_listening(fake_tokend_path(server), SOCK_DGRAM);
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(
        ask_and_pause(fake_tokend_path(server), AMPLE, never_pause, NULL, &err),
        -1);
    assert_int_equal(err.code, ERR_CONFIG);
    (void)close(fd);
    fake_tokend_free(&server);
}

static void
the_greatest_answer_arrives_whole(void **state)
{
    size_t len = SOCKETMAP_REPLY_MAX - strlen("OK ");
    char *data = malloc(len + 1);
    struct fake_tokend_turn turn = {.status = SOCKETMAP_OK, .data = data};
    struct fake_tokend *server;
    struct tokend_client client = {.retry_interval = 1};
    struct tokend_answer answer = {0};
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_non_null(data);
    memset(data, 'x', len);
    data[len] = '\0';
    server = fake_tokend_start(&turn, 1);
    client.path = fake_tokend_path(server);
    client.deadline_at = clock_boot_ms() + AMPLE;
    assert_int_equal(
        tokend_client_ask(&client, "token", "a@b host=c", &answer, &err), 0);
    assert_int_equal(answer.reply.len, len);
    assert_memory_equal(answer.reply.data, data, len);
    tokend_answer_clear(&answer);
    fake_tokend_free(&server);
    free(data);
}

static void
a_request_that_is_too_long_is_not_sent(void **state)
{
    char *key = malloc(SOCKETMAP_REQUEST_MAX + 64);
    const struct tokend_client client = {
        .path = "/dev/null/sock",
        .deadline_at = clock_boot_ms() + AMPLE,
    };
    struct tokend_answer answer = {0};
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_non_null(key);
    memset(key, 'x', SOCKETMAP_REQUEST_MAX + 63);
    key[SOCKETMAP_REQUEST_MAX + 63] = '\0';
    assert_int_equal(tokend_client_ask(&client, "token", key, &answer, &err),
                     -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, "request is longer"));
    free(key);
}

/* The functions above; the rows follow them. */
static const struct CMUnitTest functions[] = {
    cmocka_unit_test(a_socket_that_appears_later_is_found),
    cmocka_unit_test(a_socket_that_refuses_is_tried_again),
    cmocka_unit_test(a_full_backlog_is_waited_for),
    cmocka_unit_test(nobody_ever_listens),
    cmocka_unit_test(no_pause_goes_past_the_deadline),
    cmocka_unit_test(a_deadline_in_the_past_is_no_answer),
    cmocka_unit_test(a_relative_path_starts_at_the_working_directory),
    cmocka_unit_test(a_path_that_can_not_be_a_socket_fails_at_once),
    cmocka_unit_test(the_longest_path_works),
    cmocka_unit_test(a_socket_of_another_type_fails_at_once),
    cmocka_unit_test(the_greatest_answer_arrives_whole),
    cmocka_unit_test(a_request_that_is_too_long_is_not_sent),
};

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(functions) + ARRAY_LEN(rows)];

    memcpy(tests, functions, sizeof(functions));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[ARRAY_LEN(functions) + i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    return cmocka_run_group_tests_name("tokend_client", tests, NULL, NULL);
}
