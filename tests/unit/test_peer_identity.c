/* One row is somebody who asks; one row is one test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/peer_identity.h"

#define OWN 500 /* the daemon's own user */

static struct config_peer allow[] = {
    {.is_group = false, .is_known = true, .id = 101},  /* postfix */
    {.is_group = true, .is_known = true, .id = 202},   /* group:mail */
    {.is_group = false, .is_known = false, .id = 303}, /* not there */
    {.is_group = true, .is_known = false, .id = 404},  /* not there */
};

static const struct config_access listed = {allow, ARRAY_LEN(allow)};
static const struct config_access nobody = {NULL, 0};

struct row {
    const char *name;
    struct peer_identity identity;
    bool want;
};

static struct row rows[] = {
    {"root may always", {.uid = 0, .gid = 0}, true},
    {"root may with any group", {.uid = 0, .gid = 999}, true},
    {"the daemon's own user may always", {.uid = OWN, .gid = 999}, true},
    {"a user who is listed may", {.uid = 101, .gid = 999}, true},
    {"a member of a group that is listed may", {.uid = 999, .gid = 202}, true},
    {"a member by a supplementary group may",
     {.uid = 999, .gid = 999, .groups = {1, 2, 202}, .group_count = 3},
     true},
    {"any other user may not", {.uid = 999, .gid = 999}, false},
    {"the group root is not root", {.uid = 999, .gid = 0}, false},
    {"a user whose number is that of a listed group may not",
     {.uid = 202, .gid = 999},
     false},
    {"a group whose number is that of a listed user may not",
     {.uid = 999, .gid = 101, .groups = {101}, .group_count = 1},
     false},
    {"a group whose number is the daemon's user may not",
     {.uid = 999, .gid = OWN, .groups = {OWN}, .group_count = 1},
     false},
    {"who is listed but not known may not", {.uid = 303, .gid = 999}, false},
    {"a group that is listed but not known may not",
     {.uid = 999, .gid = 404, .groups = {404}, .group_count = 1},
     false},
    {"groups beyond the count do not count",
     {.uid = 999, .gid = 999, .groups = {1, 202}, .group_count = 1},
     false},
};

static void
check_row(void **state)
{
    const struct row *row = *state;

    assert_int_equal(peer_identity_is_allowed(&row->identity, OWN, &listed),
                     row->want);
}

static void
an_empty_list_allows_root_and_the_daemon_only(void **state)
{
    const struct peer_identity root = {.uid = 0};
    const struct peer_identity own = {.uid = OWN};
    const struct peer_identity other = {.uid = 101, .gid = 202};

    (void)state;
    assert_true(peer_identity_is_allowed(&root, OWN, &nobody));
    assert_true(peer_identity_is_allowed(&own, OWN, &nobody));
    assert_false(peer_identity_is_allowed(&other, OWN, &nobody));
}

static void
the_kernel_says_who_it_is(void **state)
{
    struct peer_identity identity;
    gid_t groups[PEER_IDENTITY_GROUPS_MAX];
    int count = getgroups(PEER_IDENTITY_GROUPS_MAX, groups);
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(peer_identity_read(pair[0], &identity));
    assert_int_equal(identity.pid, getpid());
    assert_int_equal(identity.uid, geteuid());
    assert_int_equal(identity.gid, getegid());
    assert_int_equal(identity.group_count, count);
    assert_memory_equal(identity.groups, groups,
                        (size_t)count * sizeof(groups[0]));
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void
what_is_no_unix_socket_has_no_identity(void **state)
{
    struct peer_identity identity;
    int inet = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_false(peer_identity_read(-1, &identity));
    if (inet >= 0) {
        /* The kernel answers for any socket, but with nobody in it. */
        if (peer_identity_read(inet, &identity))
            assert_false(peer_identity_is_allowed(&identity, OWN, &listed));
        (void)close(inet);
    }
}

int
main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(an_empty_list_allows_root_and_the_daemon_only),
        cmocka_unit_test(the_kernel_says_who_it_is),
        cmocka_unit_test(what_is_no_unix_socket_has_no_identity),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    memcpy(&tests[ARRAY_LEN(rows)], others, sizeof(others));
    return cmocka_run_group_tests_name("peer_identity", tests, NULL, NULL);
}
