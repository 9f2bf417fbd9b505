/*
 * Where a status page listens: real sockets, at ports of the kernel's choice
 * and in a directory of the test's own.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/status_listener.h"
#include "common/util.h"
#include "tests/unit/scratch.h"

#define ADDRESS_MAX 64

/* A loopback socket, listening or not, and its address as relay.conf has it. */
static int
loopback(bool is_listening, char *text, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(
        bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    if (is_listening)
        assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(text, size, "127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

static int
open_at(struct status_listener *listener, const char *where,
        struct unix_listener_inherited *inherited, struct err *err)
{
    *err = (struct err){ERR_NONE, ""};
    return status_listener_open(
        listener,
        &(struct unix_listener_wish){
            .path = where, .mode = 0600, .install_line = "install -d"},
        inherited, err);
}

static void
assert_ready(int fd)
{
    int is_listening = 0;
    socklen_t len = sizeof(is_listening);

    assert_int_equal(
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len), 0);
    assert_true(is_listening);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void
an_inherited_socket_is_told_by_its_address(void **state)
{
    char other[ADDRESS_MAX];
    char where[ADDRESS_MAX];
    struct unix_listener_inherited inherited = {.count = 3};
    struct status_listener listener;
    struct err err;

    (void)state;
    inherited.sockets[0].fd = loopback(true, other, sizeof(other));
    inherited.sockets[1].fd = socket(AF_UNIX, SOCK_STREAM, 0);
    inherited.sockets[2].fd = loopback(true, where, sizeof(where));
    assert_int_equal(open_at(&listener, where, &inherited, &err), 0);
    assert_int_equal(listener.fd, inherited.sockets[2].fd);
    assert_false(inherited.sockets[0].is_used);
    assert_false(inherited.sockets[1].is_used);
    assert_true(inherited.sockets[2].is_used);
    assert_ready(listener.fd);
    status_listener_close(&listener);
    assert_int_equal(listener.fd, -1);
    status_listener_close(&listener);
    assert_int_equal(close(inherited.sockets[0].fd), 0);
    assert_int_equal(close(inherited.sockets[1].fd), 0);
}

static void
one_of_our_own_is_bound(void **state)
{
    char where[ADDRESS_MAX];
    struct unix_listener_inherited nothing = {0};
    struct status_listener listener;
    struct err err;
    int fd = loopback(false, where, sizeof(where));

    (void)state;
    assert_int_equal(close(fd), 0); /* the port is free again */
    assert_int_equal(open_at(&listener, where, &nothing, &err), 0);
    assert_ready(listener.fd);
    status_listener_close(&listener);
}

static void
a_taken_port_is_named(void **state)
{
    char where[ADDRESS_MAX];
    struct unix_listener_inherited nothing = {0};
    struct status_listener listener;
    struct err err;
    int fd = loopback(true, where, sizeof(where));

    (void)state;
    assert_int_equal(open_at(&listener, where, &nothing, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, where));
    assert_int_equal(listener.fd, -1);
    status_listener_close(&listener);
    assert_int_equal(close(fd), 0);
}

static void
other_addresses_are_refused(void **state)
{
    static const char *const wheres[] = {"0.0.0.0:9717", "10.0.0.1:9717",
                                         "[::]:9717", "9717", ""};
    struct unix_listener_inherited nothing = {0};
    struct status_listener listener;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wheres); i++) {
        assert_int_equal(open_at(&listener, wheres[i], &nothing, &err), -1);
        assert_int_equal(err.code, ERR_CONFIG);
        assert_int_equal(listener.fd, -1);
    }
}

static void
a_unix_socket_comes_and_goes(void **state)
{
    char where[4096];
    const char *path = scratch_path("status.sock");
    struct unix_listener_inherited nothing = {0};
    struct status_listener listener;
    struct stat found;
    struct err err;

    (void)state;
    (void)snprintf(where, sizeof(where), "unix:%s", path);
    assert_int_equal(open_at(&listener, where, &nothing, &err), 0);
    assert_ready(listener.fd);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
    status_listener_close(&listener);
    assert_int_equal(stat(path, &found), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_inherited_socket_is_told_by_its_address),
        cmocka_unit_test(one_of_our_own_is_bound),
        cmocka_unit_test(a_taken_port_is_named),
        cmocka_unit_test(other_addresses_are_refused),
        cmocka_unit_test(a_unix_socket_comes_and_goes),
    };

    return cmocka_run_group_tests_name("status_listener", tests, scratch_set_up,
                                       scratch_tear_down);
}
