/* peers: what each process was given, for ten minutes, for so many of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "token-daemon/peers.h"

#define MAX     4
#define NOW     INT64_C(100000) /* ms */
#define MINUTES INT64_C(60000)

static struct token token_a = {.fingerprint = "aaaaaaaaaaaaaaaa", .serial = 3};
static struct token token_b = {.fingerprint = "bbbbbbbbbbbbbbbb", .serial = 4};

static int
set_up(void **state)
{
    *state = peers_new(MAX);
    assert_non_null(*state);
    return 0;
}

static int
tear_down(void **state)
{
    struct peers *peers = *state;

    peers_free(&peers);
    assert_null(peers);
    peers_free(&peers);
    return 0;
}

static void
a_process_is_remembered_with_its_login_and_its_token(void **state)
{
    const struct peer *peer;

    peers_note_login(*state, 7, "a@b", NOW);
    peer = peers_find(*state, 7, NOW);
    assert_non_null(peer);
    assert_string_equal(peer->login, "a@b");
    assert_null(peer->mailbox);

    peers_note_token(*state, 7, "a@b", &token_a, NOW);
    peer = peers_find(*state, 7, NOW);
    assert_string_equal(peer->login, "a@b");
    assert_string_equal(peer->mailbox, "a@b");
    assert_string_equal(peer->fingerprint, token_a.fingerprint);
    assert_int_equal(peer->serial, 3);
    assert_null(peers_find(*state, 8, NOW));
}

static void
what_came_last_counts(void **state)
{
    const struct peer *peer;

    peers_note_token(*state, 7, "a@b", &token_a, NOW);
    peers_note_login(*state, 7, "c@b", NOW);
    peers_note_token(*state, 7, "c@b", &token_b, NOW);
    peer = peers_find(*state, 7, NOW);
    assert_string_equal(peer->login, "c@b");
    assert_string_equal(peer->mailbox, "c@b");
    assert_string_equal(peer->fingerprint, token_b.fingerprint);
    assert_int_equal(peer->serial, 4);
}

static void
a_process_is_forgotten_after_ten_minutes_of_silence(void **state)
{
    peers_note_token(*state, 7, "a@b", &token_a, NOW);
    assert_non_null(peers_find(*state, 7, NOW + 10 * MINUTES - 1));
    assert_null(peers_find(*state, 7, NOW + 10 * MINUTES));
}

static void
each_answer_begins_the_ten_minutes_anew(void **state)
{
    peers_note_token(*state, 7, "a@b", &token_a, NOW);
    peers_note_login(*state, 7, "a@b", NOW + 9 * MINUTES);
    assert_string_equal(peers_find(*state, 7, NOW + 18 * MINUTES)->mailbox,
                        "a@b");
}

/* The number may be another process's by then. */
static void
after_ten_minutes_nothing_old_is_left_of_a_process(void **state)
{
    const struct peer *peer;

    peers_note_token(*state, 7, "a@b", &token_a, NOW);
    peers_note_login(*state, 7, "c@b", NOW + 10 * MINUTES);
    peer = peers_find(*state, 7, NOW + 10 * MINUTES);
    assert_string_equal(peer->login, "c@b");
    assert_null(peer->mailbox);
    assert_string_equal(peer->fingerprint, "");
    assert_int_equal(peer->serial, 0);
}

static void
a_process_of_another_namespace_is_not_noted(void **state)
{
    peers_note_login(*state, 0, "a@b", NOW);
    peers_note_token(*state, 0, "a@b", &token_a, NOW);
    assert_null(peers_find(*state, 0, NOW));
    peers_note_token(*state, -1, "a@b", &token_a, NOW);
    assert_null(peers_find(*state, -1, NOW));
}

static void
when_it_is_full_the_longest_silent_goes(void **state)
{
    for (pid_t pid = 1; pid <= MAX; pid++)
        peers_note_token(*state, pid, "a@b", &token_a, NOW);
    peers_note_login(*state, 1, "a@b", NOW);
    peers_note_token(*state, 99, "a@b", &token_a, NOW);
    assert_non_null(peers_find(*state, 1, NOW));
    assert_null(peers_find(*state, 2, NOW));
    assert_non_null(peers_find(*state, 3, NOW));
    assert_non_null(peers_find(*state, 4, NOW));
    assert_non_null(peers_find(*state, 99, NOW));
}

static void
many_processes_come_and_go(void **state)
{
    for (pid_t pid = 1; pid < 40000; pid++) {
        peers_note_login(*state, pid, "a@b", NOW + pid);
        peers_note_token(*state, pid, "a@b", &token_a, NOW + pid);
    }
    assert_non_null(peers_find(*state, 39999, NOW + 39999));
    assert_null(peers_find(*state, 39999 - MAX, NOW + 39999));
}

static void
what_is_noted_is_copied(void **state)
{
    char mailbox[] = "a@b";

    peers_note_login(*state, 7, mailbox, NOW);
    peers_note_token(*state, 7, mailbox, &token_a, NOW);
    mailbox[0] = 'x';
    assert_string_equal(peers_find(*state, 7, NOW)->login, "a@b");
    assert_string_equal(peers_find(*state, 7, NOW)->mailbox, "a@b");
}

#define PEERS_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        PEERS_TEST(a_process_is_remembered_with_its_login_and_its_token),
        PEERS_TEST(what_came_last_counts),
        PEERS_TEST(a_process_is_forgotten_after_ten_minutes_of_silence),
        PEERS_TEST(each_answer_begins_the_ten_minutes_anew),
        PEERS_TEST(after_ten_minutes_nothing_old_is_left_of_a_process),
        PEERS_TEST(a_process_of_another_namespace_is_not_noted),
        PEERS_TEST(when_it_is_full_the_longest_silent_goes),
        PEERS_TEST(many_processes_come_and_go),
        PEERS_TEST(what_is_noted_is_copied),
    };

    return cmocka_run_group_tests_name("peers", tests, NULL, NULL);
}
