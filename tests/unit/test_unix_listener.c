/*
 * unix_listener: which socket is taken, made, replaced or left alone. Real
 * sockets in a directory of the test's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
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

#include "common/unix_listener.h"
#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "tests/unit/scratch.h"

#define INSTALL "install -d -o xoauth2 somewhere"
#define FIRST   100 /* descriptors that a test passes on begin here */

static struct unix_listener_inherited nothing;

/* ---- Sockets ------------------------------------------------------------- */

static void
set_address(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof(address->sun_path));
    memcpy(address->sun_path, path, strlen(path));
}

static int
bound(const char *path, int type)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, type, 0);

    set_address(&address, path);
    assert_true(fd >= 0);
    assert_int_equal(
        bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int
listening(const char *path, int backlog)
{
    int fd = bound(path, SOCK_STREAM);

    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

/* A connection, or -1 with errno. */
static int
try_connect(const char *path)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    set_address(&address, path);
    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* Does what listens at `path` accept on `fd`? */
static bool
is_served_by(const char *path, int fd)
{
    int client = try_connect(path);
    int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK);

    if (client >= 0)
        (void)close(client);
    if (accepted >= 0)
        (void)close(accepted);
    return client >= 0 && accepted >= 0;
}

static bool
is_there(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}

/* Is the descriptor open? */
static bool
is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* ---- Opening ------------------------------------------------------------- */

static int
open_at(struct unix_listener *listener, const char *path, mode_t mode,
        struct unix_listener_inherited *inherited, struct err *err)
{
    *err = (struct err){ERR_NONE, ""};
    return unix_listener_open(
        listener,
        &(struct unix_listener_wish){
            .path = path, .mode = mode, .install_line = INSTALL},
        inherited, err);
}

static void
assert_opens(struct unix_listener *listener, const char *path,
             struct unix_listener_inherited *inherited)
{
    struct err err;

    if (open_at(listener, path, 0666, inherited, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(is_served_by(path, listener->fd));
    assert_true(fcntl(listener->fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(listener->fd, F_GETFD) & FD_CLOEXEC);
}

static void
assert_fails(const char *path, enum err_code code, const char *want)
{
    struct unix_listener listener;
    struct err err;

    assert_int_equal(open_at(&listener, path, 0666, &nothing, &err), -1);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, want));
    assert_int_equal(listener.fd, -1);
    assert_null(listener.path);
}

static void
a_socket_of_our_own_is_made_and_goes_with_us(void **state)
{
    const char *path = scratch_path("own");
    struct unix_listener listener;

    (void)state;
    assert_opens(&listener, path, &nothing);
    assert_true(listener.is_ours);
    assert_string_equal(listener.path, path);
    unix_listener_close(&listener);
    assert_false(is_there(path));
    assert_int_equal(listener.fd, -1);
    unix_listener_close(&listener);
}

struct mode_row {
    const char *name;
    mode_t mode;
    mode_t mask;
};

static struct mode_row modes[] = {
    {"a mode for all is not cut by the umask", 0666, 077},
    {"a mode for a group is not widened by the umask", 0660, 0},
    {"a mode for nobody else", 0600, 022},
};

static void
check_mode(void **state)
{
    const struct mode_row *row = *state;
    const char *path = scratch_path("mode");
    struct unix_listener listener;
    struct stat status;
    struct err err;
    mode_t old = umask(row->mask);

    assert_int_equal(open_at(&listener, path, row->mode, &nothing, &err), 0);
    (void)umask(old);
    assert_int_equal(lstat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, row->mode);
    unix_listener_close(&listener);
}

static void
what_a_dead_process_left_is_replaced(void **state)
{
    const char *path = scratch_path("stale");
    struct unix_listener listener;

    (void)state;
    (void)close(listening(path, 5));
    assert_int_equal(try_connect(path), -1);
    assert_opens(&listener, path, &nothing);
    unix_listener_close(&listener);
    assert_false(is_there(path));
}

static void
what_somebody_serves_is_left_alone(void **state)
{
    const char *path = scratch_path("live");
    int fd = listening(path, 5);

    (void)state;
    assert_fails(path, ERR_CONFIG, "another process serves");
    /* The probe is in the backlog; then it goes on as before. */
    (void)close(accept(fd, NULL, NULL));
    assert_true(is_served_by(path, fd));
    (void)close(fd);
    (void)unlink(path);
}

static void
what_is_too_busy_to_answer_is_left_alone(void **state)
{
    const char *path = scratch_path("busy");
    int fd = listening(path, 0);
    int clients[16];
    size_t count = 0;

    (void)state;
    do {
        assert_true(count < ARRAY_LEN(clients));
        clients[count] = try_connect(path);
    } while (clients[count++] >= 0);
    assert_int_equal(errno, EAGAIN);
    assert_fails(path, ERR_CONFIG, "another process serves");
    assert_true(is_there(path));
    for (size_t i = 0; i < count - 1; i++)
        (void)close(clients[i]);
    (void)close(fd);
    (void)unlink(path);
}

static void
a_file_that_is_no_socket_is_left_alone(void **state)
{
    (void)state;
    scratch_write_text("file", "precious");
    assert_fails(scratch_path("file"), ERR_CONFIG, "is no socket");
    assert_true(is_there(scratch_path("file")));
}

static void
a_link_to_a_socket_is_left_alone(void **state)
{
    int fd = listening(scratch_path("target"), 5);

    (void)state;
    assert_int_equal(symlink(scratch_path("target"), scratch_path("link")), 0);
    assert_fails(scratch_path("link"), ERR_CONFIG, "is no socket");
    assert_true(is_served_by(scratch_path("target"), fd));
    (void)close(fd);
}

static void
a_socket_for_datagrams_is_left_alone(void **state)
{
    int fd = bound(scratch_path("datagrams"), SOCK_DGRAM);

    (void)state;
    assert_fails(scratch_path("datagrams"), ERR_SYSTEM,
                 scratch_path("datagrams"));
    assert_true(is_there(scratch_path("datagrams")));
    (void)close(fd);
}

static void
a_missing_directory_is_an_error_with_the_command(void **state)
{
    (void)state;
    assert_fails(scratch_path("missing/own"), ERR_CONFIG, INSTALL);
}

static void
a_file_in_the_place_of_a_directory_is_one_too(void **state)
{
    (void)state;
    scratch_write_text("plain", "");
    assert_fails(scratch_path("plain/own"), ERR_CONFIG, INSTALL);
}

static void
a_path_that_is_too_long_is_an_error(void **state)
{
    char path[200];

    (void)state;
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[108] = '\0';
    assert_fails(path, ERR_CONFIG, "longer than 107 bytes");
}

static void
the_longest_path_fits(void **state)
{
    char name[108];
    size_t len = strlen(scratch_directory()) + 1;
    struct unix_listener listener;

    (void)state;
    if (len > 100)
        skip();
    memset(name, 'x', sizeof(name));
    name[107 - len] = '\0';
    assert_int_equal(strlen(scratch_path(name)), 107);
    assert_opens(&listener, scratch_path(name), &nothing);
    unix_listener_close(&listener);
    assert_false(is_there(scratch_path(name)));
}

static void
a_file_that_took_our_place_stays_when_we_go(void **state)
{
    const char *path = scratch_path("taken");
    struct unix_listener listener;
    int fd;

    (void)state;
    assert_opens(&listener, path, &nothing);
    assert_int_equal(unlink(path), 0);
    fd = listening(path, 5);
    unix_listener_close(&listener);
    assert_true(is_served_by(path, fd));
    (void)close(fd);
    (void)unlink(path);
}

/* ---- Groups -------------------------------------------------------------- */

static void
an_unknown_group_is_a_warning(void **state)
{
    struct fake_env *env = fake_env_new(); /* for the log */
    const char *path = scratch_path("group");
    struct unix_listener listener;
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(unix_listener_open(&listener,
                                        &(struct unix_listener_wish){
                                            .path = path,
                                            .mode = 0660,
                                            .group = "no-such-group",
                                            .install_line = INSTALL,
                                        },
                                        &nothing, &err),
                     0);
    assert_int_equal(fake_env_logged(env, "groupadd"), 1);
    unix_listener_close(&listener);
    fake_env_free(&env);
}

static void
a_group_gets_the_socket(void **state)
{
    const char *path = scratch_path("group");
    const struct group *group = getgrnam("daemon");
    gid_t gid;
    struct unix_listener listener;
    struct err err = {ERR_NONE, ""};
    struct stat status;

    (void)state;
    if (geteuid() != 0 || group == NULL) {
        skip();
        return;
    }
    gid = group->gr_gid;
    assert_int_equal(unix_listener_open(&listener,
                                        &(struct unix_listener_wish){
                                            .path = path,
                                            .mode = 0660,
                                            .group = "daemon",
                                            .install_line = INSTALL,
                                        },
                                        &nothing, &err),
                     0);
    assert_int_equal(lstat(path, &status), 0);
    assert_int_equal(status.st_gid, gid);
    assert_int_equal(status.st_mode & 07777, 0660);
    unix_listener_close(&listener);
}

/* ---- Inherited sockets --------------------------------------------------- */

/* Put the descriptors where a service manager would, in order. */
static void
inherit(struct unix_listener_inherited *inherited, const int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(dup2(fds[i], FIRST + i), FIRST + i);
        (void)close(fds[i]);
    }
    unix_listener_inherit(inherited, FIRST, count);
}

static void
an_inherited_socket_is_known_by_its_path_and_stays(void **state)
{
    struct fake_env *env = fake_env_new();
    const int fds[] = {listening(scratch_path("a"), 5),
                       listening(scratch_path("b"), 5)};
    struct unix_listener_inherited inherited;
    struct unix_listener a, b;

    (void)state;
    inherit(&inherited, fds, 2);
    assert_opens(&b, scratch_path("b"), &inherited);
    assert_opens(&a, scratch_path("a"), &inherited);
    assert_int_equal(a.fd, FIRST);
    assert_int_equal(b.fd, FIRST + 1);
    assert_false(a.is_ours);
    unix_listener_drop_unused(&inherited);
    assert_true(is_served_by(scratch_path("a"), a.fd));
    unix_listener_close(&a);
    unix_listener_close(&b);
    assert_false(is_open(FIRST));
    assert_true(is_there(scratch_path("a")));
    assert_true(is_there(scratch_path("b")));
    assert_int_equal(fake_env_logged(env, ""), 0);
    (void)unlink(scratch_path("a"));
    (void)unlink(scratch_path("b"));
    fake_env_free(&env);
}

/* Who connects while nobody serves waits in the backlog of the manager's. */
static void
who_connected_before_is_served(void **state)
{
    int fd = listening(scratch_path("early"), 5);
    int kept = dup(fd);
    int client = try_connect(scratch_path("early"));
    struct unix_listener_inherited inherited;
    struct unix_listener listener;
    struct err err;
    int accepted;

    (void)state;
    assert_true(client >= 0);
    inherit(&inherited, &fd, 1);
    assert_int_equal(
        open_at(&listener, scratch_path("early"), 0666, &inherited, &err), 0);
    accepted = accept(listener.fd, NULL, NULL);
    assert_true(accepted >= 0);
    (void)close(accepted);
    (void)close(client);
    unix_listener_close(&listener);
    client = try_connect(scratch_path("early")); /* the manager still listens */
    assert_true(client >= 0);
    (void)close(client);
    (void)close(kept);
    (void)unlink(scratch_path("early"));
}

static void
an_inherited_socket_keeps_its_mode(void **state)
{
    int fd = listening(scratch_path("mode"), 5);
    struct unix_listener_inherited inherited;
    struct unix_listener listener;
    struct stat status;
    struct err err;

    (void)state;
    assert_int_equal(chmod(scratch_path("mode"), 0640), 0);
    inherit(&inherited, &fd, 1);
    assert_int_equal(
        open_at(&listener, scratch_path("mode"), 0666, &inherited, &err), 0);
    assert_int_equal(lstat(scratch_path("mode"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    unix_listener_close(&listener);
    (void)unlink(scratch_path("mode"));
}

static void
a_path_that_was_not_inherited_is_a_warning(void **state)
{
    struct fake_env *env = fake_env_new();
    int fd = listening(scratch_path("inherited"), 5);
    struct unix_listener_inherited inherited;
    struct unix_listener own;

    (void)state;
    inherit(&inherited, &fd, 1);
    assert_opens(&own, scratch_path("own"), &inherited);
    assert_true(own.is_ours);
    assert_int_equal(fake_env_logged(env, "ListenStream"), 1);
    unix_listener_drop_unused(&inherited);
    assert_int_equal(fake_env_logged(env, "is not used"), 1);
    assert_int_equal(fake_env_logged(env, scratch_path("inherited")), 1);
    assert_false(is_open(FIRST));
    assert_true(is_there(scratch_path("inherited")));
    unix_listener_close(&own);
    (void)unlink(scratch_path("inherited"));
    fake_env_free(&env);
}

static void
a_path_is_inherited_once(void **state)
{
    struct fake_env *env = fake_env_new();
    int fd = listening(scratch_path("once"), 5);
    struct unix_listener_inherited inherited;
    struct unix_listener first, second;
    struct err err;

    (void)state;
    inherit(&inherited, &fd, 1);
    assert_opens(&first, scratch_path("once"), &inherited);
    assert_int_equal(
        open_at(&second, scratch_path("once"), 0666, &inherited, &err), -1);
    assert_non_null(strstr(err.text, "another process serves"));
    unix_listener_close(&first);
    (void)unlink(scratch_path("once"));
    fake_env_free(&env);
}

static void
what_is_no_listening_unix_socket_is_not_taken(void **state)
{
    struct fake_env *env = fake_env_new();
    const int fds[] = {
        bound(scratch_path("deaf"), SOCK_STREAM),
        socket(AF_INET, SOCK_STREAM, 0),
        open("/dev/null", O_RDWR),
    };
    struct unix_listener_inherited inherited;
    struct unix_listener own;

    (void)state;
    assert_int_equal(listen(fds[1], 5), 0);
    inherit(&inherited, fds, 3);
    (void)unlink(scratch_path("deaf"));
    assert_opens(&own, scratch_path("deaf"), &inherited);
    assert_true(own.is_ours);
    unix_listener_drop_unused(&inherited);
    for (int i = 0; i < 3; i++)
        assert_false(is_open(FIRST + i));
    assert_int_equal(fake_env_logged(env, "is not used"), 3);
    unix_listener_close(&own);
    fake_env_free(&env);
}

static void
more_than_can_be_used_are_closed(void **state)
{
    struct fake_env *env = fake_env_new();
    struct unix_listener_inherited inherited;
    int fds[UNIX_LISTENER_INHERITED_MAX + 2];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = open("/dev/null", O_RDWR);
    inherit(&inherited, fds, (int)ARRAY_LEN(fds));
    assert_int_equal(inherited.count, UNIX_LISTENER_INHERITED_MAX);
    assert_true(is_open(FIRST + UNIX_LISTENER_INHERITED_MAX - 1));
    assert_false(is_open(FIRST + UNIX_LISTENER_INHERITED_MAX));
    assert_false(is_open(FIRST + UNIX_LISTENER_INHERITED_MAX + 1));
    unix_listener_drop_unused(&inherited);
    assert_false(is_open(FIRST));
    fake_env_free(&env);
}

static void
nothing_inherited_is_no_warning(void **state)
{
    struct fake_env *env = fake_env_new();
    struct unix_listener_inherited inherited;
    struct unix_listener own;

    (void)state;
    unix_listener_inherit(&inherited, FIRST, 0);
    assert_opens(&own, scratch_path("own"), &inherited);
    unix_listener_drop_unused(&inherited);
    assert_int_equal(fake_env_logged(env, ""), 0);
    unix_listener_close(&own);
    fake_env_free(&env);
}

int
main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(a_socket_of_our_own_is_made_and_goes_with_us),
        cmocka_unit_test(what_a_dead_process_left_is_replaced),
        cmocka_unit_test(what_somebody_serves_is_left_alone),
        cmocka_unit_test(what_is_too_busy_to_answer_is_left_alone),
        cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(a_link_to_a_socket_is_left_alone),
        cmocka_unit_test(a_socket_for_datagrams_is_left_alone),
        cmocka_unit_test(a_missing_directory_is_an_error_with_the_command),
        cmocka_unit_test(a_file_in_the_place_of_a_directory_is_one_too),
        cmocka_unit_test(a_path_that_is_too_long_is_an_error),
        cmocka_unit_test(the_longest_path_fits),
        cmocka_unit_test(a_file_that_took_our_place_stays_when_we_go),
        cmocka_unit_test(an_unknown_group_is_a_warning),
        cmocka_unit_test(a_group_gets_the_socket),
        cmocka_unit_test(an_inherited_socket_is_known_by_its_path_and_stays),
        cmocka_unit_test(who_connected_before_is_served),
        cmocka_unit_test(an_inherited_socket_keeps_its_mode),
        cmocka_unit_test(a_path_that_was_not_inherited_is_a_warning),
        cmocka_unit_test(a_path_is_inherited_once),
        cmocka_unit_test(what_is_no_listening_unix_socket_is_not_taken),
        cmocka_unit_test(more_than_can_be_used_are_closed),
        cmocka_unit_test(nothing_inherited_is_no_warning),
    };
    struct CMUnitTest tests[ARRAY_LEN(modes) + ARRAY_LEN(others)];

    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        tests[i] = (struct CMUnitTest){
            .name = modes[i].name,
            .test_func = check_mode,
            .initial_state = &modes[i],
        };
    memcpy(&tests[ARRAY_LEN(modes)], others, sizeof(others));
    return cmocka_run_group_tests_name("unix_listener", tests, scratch_set_up,
                                       scratch_tear_down);
}
