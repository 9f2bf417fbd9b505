/*
 * A new key in the place of an old one: when it is tried, when it is first, and
 * that a bad one changes nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "token-daemon/keyring.h"
#include "token-daemon/refresher.h"
#include "token-daemon/rotation.h"

#define SECOND  INT64_C(1000) /* ms */
#define PLANTED "PLANTED-secret"

#define CONFIG                                                               \
    "credential \"one\" { tenant = \"contoso.example\" client_id = \"id\"\n" \
    " client_secret = {\"file:/etc/a\"} }\n"                                 \
    "mailbox \"m@one.example\" { credential = \"one\" }\n"
#define CONFIG_LOGIN                                                         \
    "credential \"one\" { tenant = \"contoso.example\" client_id = \"id\"\n" \
    " grant = \"device_code\" client_secret = {\"file:/etc/a\"} }\n"         \
    "mailbox \"m@one.example\" { credential = \"one\" }\n"

static const struct fake_answer works = {.text = "token-1", .life_s = 3600};
static const struct fake_answer works_again = {.text = "token-2",
                                               .life_s = 3600};
static const struct fake_answer refused = {.problem = PROBLEM_BAD_SECRET};
static const struct fake_answer bad_scope = {.problem = PROBLEM_BAD_SCOPE};
static const struct fake_answer unavailable = {.problem = PROBLEM_UNAVAILABLE};
static const struct fake_answer throttled = {.problem = PROBLEM_THROTTLED,
                                             .retry_after_s = 90};

static struct fake_env *env;
static struct keyring *keyring;
static struct refresher *refresher;
static struct rotation *rotation;
static struct config *config;
static struct rotation_job *job;

/* What stands in for the state. */
static struct {
    bool is_refused;
    unsigned count;
    refresher_saved_fn *done;
    void *arg;
} saved;

/* What was told. */
static struct {
    unsigned count;
    struct rotation_news last;
    unsigned told;
    unsigned told_failed;
} got;

static int
save(void *arg, const char *credential, refresher_saved_fn *done,
     void *done_arg)
{
    (void)arg;
    assert_string_equal(credential, "one");
    saved.count++;
    saved.done = done;
    saved.arg = done_arg;
    return saved.is_refused ? -1 : 0;
}

static void
unsave(void *arg, const void *done_arg)
{
    (void)arg;
    if (saved.arg == done_arg)
        saved.done = NULL;
}

static void
told(void *arg, const char *credential, const struct key *key,
     const struct err *err)
{
    (void)arg;
    (void)key;
    assert_string_equal(credential, "one");
    got.told++;
    got.told_failed += err != NULL ? 1 : 0;
}

static void
on_news(const struct rotation_news *news, void *arg)
{
    assert_ptr_equal(arg, &got);
    got.count++;
    got.last = *news;
    assert_null(strstr(news->err.text, PLANTED));
    if (news->step == ROTATION_DONE || news->step == ROTATION_FAILED)
        job = NULL;
}

static void
finish_saving(bool is_durable)
{
    refresher_saved_fn *done = saved.done;

    assert_non_null(done);
    saved.done = NULL;
    done(is_durable, 0, saved.arg);
}

static void
configure(const char *text)
{
    struct err err = {ERR_NONE, ""};
    struct config *old = config;

    config = fake_env_config(text);
    assert_int_equal(keyring_configure(keyring, config, &err), 0);
    assert_int_equal(refresher_configure(refresher, config, &err), 0);
    config_unref(&old);
}

static int
set_up(void **state)
{
    const struct refresher_env *world;

    (void)state;
    env = fake_env_new();
    fake_env_forbid(env, PLANTED);
    memset(&saved, 0, sizeof(saved));
    memset(&got, 0, sizeof(got));
    world = fake_env_refresher(env);
    keyring = keyring_new(
        &(struct keyring_env){.wall = world->wall, .arg = world->arg});
    refresher = refresher_new(world);
    rotation = rotation_new(&(struct rotation_env){
        .refresher = refresher,
        .keyring = keyring,
        .boot_ms = world->boot_ms,
        .timer_new = world->timer_new,
        .timer_set = world->timer_set,
        .timer_free = world->timer_free,
        .save = save,
        .unsave = unsave,
        .told = told,
        .arg = world->arg,
    });
    assert_non_null(rotation);
    configure(CONFIG);
    fake_env_advance(env, 0);
    fake_env_answer(env, &works);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    rotation_free(&rotation);
    refresher_free(&refresher);
    keyring_free(&keyring);
    config_unref(&config);
    job = NULL;
    fake_env_free(&env);
    return 0;
}

static struct key *
new_key(enum key_kind kind, const char *text, struct err *err)
{
    struct key_part_text parts[KEY_PART_COUNT] = {{NULL, 0}};

    parts[kind == KEY_CERTIFICATE ? KEY_PART_CERTIFICATE : KEY_PART_TEXT] =
        (struct key_part_text){text, strlen(text)};
    return rotation_new_key(rotation, "one", kind, parts, err);
}

static void
rotate(const struct rotation_order *wish)
{
    struct err err = {ERR_NONE, ""};
    struct rotation_order order = *wish;
    struct key *key = new_key(KEY_SECRET, PLANTED, &err);

    assert_non_null(key);
    order.credential = "one";
    order.key = key;
    job = rotation_start(rotation, &order, on_news, &got, &err);
    assert_non_null(job);
    key_unref(&key);
    assert_int_equal(got.count, 0);
    fake_env_advance(env, 0);
}

/* How many keys there are for an attempt, and is a kept one the first? */
static void
assert_keys(size_t count, bool is_rotated)
{
    struct key_list list = {0};

    assert_int_equal(keyring_list(keyring, &config->credentials[0], &list), 0);
    assert_int_equal(list.count, count);
    assert_int_equal(list.keys[0]->stage == KEY_AHEAD, is_rotated);
    key_list_clear(&list);
}

static const char *
token_text(void)
{
    const struct refresher_key key = {"one", "m@one.example"};

    return refresher_peek(refresher, &key)->text;
}

static void
one_that_works_is_first_at_once_and_done_when_durable(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 60});
    assert_int_equal(fake_env_open(env), 1);
    assert_keys(1, false);
    fake_env_answer(env, &works_again);
    assert_keys(2, true);
    assert_string_equal(token_text(), "token-2");
    assert_int_equal(got.count, 0);
    finish_saving(true);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.last.step, ROTATION_DONE);
    assert_true(got.last.is_durable);
    assert_int_equal(got.last.tries, 1);
    assert_int_equal(got.told, 1);
    assert_int_equal(got.told_failed, 0);
    assert_int_equal(fake_env_logged(env, "secret rotated"), 1);
}

static void
one_that_is_refused_changes_nothing(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 0});
    fake_env_answer(env, &refused);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.last.step, ROTATION_FAILED);
    assert_int_equal(got.last.problem, PROBLEM_BAD_SECRET);
    assert_keys(1, false);
    assert_int_equal(saved.count, 0);
    assert_string_equal(token_text(), "token-1");
    assert_int_equal(got.told_failed, 1);
    fake_env_advance(env, 60 * SECOND);
    assert_int_equal(fake_env_starts(env), 2);
}

static void
one_that_takes_time_to_be_known_is_tried_until_it_is(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 60});
    for (unsigned i = 1; i <= 4; i++) {
        fake_env_answer(env, &refused);
        assert_int_equal(got.count, i);
        assert_int_equal(got.last.step, ROTATION_REFUSED);
        assert_true(got.last.next_ms > 0);
        fake_env_advance(env, got.last.next_ms);
    }
    fake_env_answer(env, &works_again);
    finish_saving(true);
    assert_int_equal(got.last.step, ROTATION_DONE);
    assert_int_equal(got.last.tries, 5);
    assert_keys(2, true);
}

static void
it_is_tried_for_as_long_as_was_said(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 20});
    while (job != NULL) {
        fake_env_answer(env, &refused);
        if (job != NULL)
            fake_env_advance(env, got.last.next_ms);
        assert_true(fake_env_now(env) <= 20 * SECOND);
    }
    assert_int_equal(got.last.step, ROTATION_FAILED);
    assert_in_range(got.count, 5, 10);
    assert_keys(1, false);
}

static void
a_provider_that_does_not_answer_is_asked_again(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 60});
    fake_env_answer(env, &unavailable);
    assert_int_equal(got.last.step, ROTATION_UNANSWERED);
    fake_env_advance(env, got.last.next_ms);
    fake_env_answer(env, &works_again);
    finish_saving(true);
    assert_int_equal(got.last.step, ROTATION_DONE);
}

static void
a_provider_that_wants_more_time_than_there_is_gets_none(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 60});
    fake_env_answer(env, &throttled);
    assert_int_equal(got.last.step, ROTATION_FAILED);
    assert_int_equal(got.last.problem, PROBLEM_THROTTLED);
    assert_keys(1, false);
}

static void
what_is_not_the_secrets_fault_ends_it_at_once(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 60});
    fake_env_answer(env, &bad_scope);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.last.step, ROTATION_FAILED);
    assert_int_equal(got.last.problem, PROBLEM_BAD_SCOPE);
}

static void
a_dry_run_changes_nothing(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 60, .is_dry_run = true});
    fake_env_answer(env, &works_again);
    assert_int_equal(got.last.step, ROTATION_DONE);
    assert_int_equal(saved.count, 0);
    assert_int_equal(got.told, 0);
    assert_keys(1, false);
}

static void
without_a_disk_it_is_first_all_the_same_and_that_is_said(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 60});
    saved.is_refused = true;
    fake_env_answer(env, &works_again);
    assert_int_equal(got.last.step, ROTATION_DONE);
    assert_false(got.last.is_durable);
    assert_keys(2, true);
    assert_int_equal(fake_env_logged(env, "held in memory only"), 1);
}

static void
a_disk_that_fails_is_said_too(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 60});
    fake_env_answer(env, &works_again);
    finish_saving(false);
    assert_int_equal(got.last.step, ROTATION_DONE);
    assert_false(got.last.is_durable);
    assert_keys(2, true);
}

static void
who_goes_away_stops_the_probe_and_nothing_has_changed(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 60});
    assert_int_equal(fake_env_open(env), 1);
    assert_false(rotation_is_promoted(job));
    rotation_cancel(&job);
    assert_null(job);
    assert_int_equal(fake_env_open(env), 0);
    fake_env_advance(env, 120 * SECOND);
    assert_int_equal(fake_env_starts(env), 2);
    assert_keys(1, false);
    assert_int_equal(got.count, 0);
}

static void
who_goes_away_while_it_is_stored_leaves_it_first(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 60});
    fake_env_answer(env, &works_again);
    assert_true(rotation_is_promoted(job));
    rotation_cancel(&job);
    assert_null(job);
    assert_keys(2, true);
    /* It ends as if somebody listened. */
    assert_int_equal(fake_env_logged(env, "secret rotated"), 0);
    finish_saving(true);
    assert_int_equal(fake_env_logged(env, "secret rotated"), 1);
    assert_int_equal(got.count, 0);
}

static void
it_waits_for_the_request_that_is_in_flight(void **state)
{
    (void)state;
    fake_env_advance(env, 1800 * SECOND);
    assert_int_equal(fake_env_open(env), 1);
    rotate(&(struct rotation_order){.wait_s = 60});
    assert_int_equal(fake_env_starts(env), 2);
    fake_env_answer(env, &works_again);
    assert_int_equal(fake_env_starts(env), 3);
    fake_env_answer(env, &works);
    finish_saving(true);
    assert_int_equal(got.last.step, ROTATION_DONE);
}

static void
no_request_begins_while_it_is_tried_but_after(void **state)
{
    (void)state;
    fake_env_advance(env, 1799 * SECOND);
    rotate(&(struct rotation_order){.wait_s = 0});
    fake_env_advance(env, 10 * SECOND);
    assert_int_equal(fake_env_starts(env), 2);
    fake_env_answer(env, &refused);
    fake_env_advance(env, 0);
    assert_int_equal(fake_env_starts(env), 3);
    fake_env_answer(env, &works_again);
    assert_string_equal(token_text(), "token-2");
}

static void
a_reload_meanwhile_makes_it_try_again(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 60});
    configure(CONFIG);
    assert_int_equal(fake_env_open(env), 0);
    assert_int_equal(got.last.step, ROTATION_UNANSWERED);
    fake_env_advance(env, got.last.next_ms);
    fake_env_answer(env, &works_again);
    finish_saving(true);
    assert_int_equal(got.last.step, ROTATION_DONE);
}

static void
it_may_be_wanted_to_work_several_times_in_a_row(void **state)
{
    (void)state;
    rotate(&(struct rotation_order){.wait_s = 60, .successes = 3});
    fake_env_answer(env, &works_again);
    fake_env_advance(env, SECOND);
    fake_env_answer(env, &works);
    assert_keys(1, false);
    fake_env_advance(env, SECOND);
    fake_env_answer(env, &works_again);
    assert_keys(2, true);
    finish_saving(true);
    assert_int_equal(got.last.tries, 3);
}

static void
nobody_signed_in_so_there_is_nothing_to_try_it_with(void **state)
{
    (void)state;
    configure(CONFIG_LOGIN);
    rotate(&(struct rotation_order){.wait_s = 60});
    assert_int_equal(got.last.step, ROTATION_FAILED);
    assert_int_equal(got.last.problem, PROBLEM_NEEDS_LOGIN);
}

static void
the_keyring_may_have_it_already(void **state)
{
    struct err err = {ERR_NONE, ""};
    struct key *key = new_key(KEY_SECRET, PLANTED, &err);

    (void)state;
    assert_int_equal(keyring_add(keyring, "one", key, KEY_CANDIDATE, &err), 0);
    assert_keys(1, false);
    job = rotation_start(
        rotation,
        &(struct rotation_order){
            .credential = "one", .key = key, .is_kept = true, .wait_s = 60},
        on_news, &got, &err);
    assert_non_null(job);
    key_unref(&key);
    fake_env_advance(env, 0);
    fake_env_answer(env, &works_again);
    finish_saving(true);
    assert_int_equal(got.last.step, ROTATION_DONE);
    assert_keys(2, true);
}

/* ---- What is no secret ---- */

struct row {
    const char *name;
    enum key_kind kind;
    const char *text;
    size_t repeats; /* of the text; 0: once */
    const char *want;
};

static struct row rows[] = {
    {"an empty secret", KEY_SECRET, "", 0, "is empty"},
    {"a secret of two lines", KEY_SECRET, PLANTED "\n2", 0, "one line"},
    {"a secret with a control byte", KEY_SECRET, PLANTED "\x1b", 0, "one line"},
    {"a secret that is no UTF-8", KEY_SECRET, PLANTED "\xff", 0, "no text"},
    {"a secret of 17 KiB", KEY_SECRET, "PLANTED-secret+++", 1024, "longer"},
    {"a certificate of 25 KiB", KEY_CERTIFICATE, "PLANTED-secret+++-------",
     1100, "longer"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct err err = {ERR_NONE, ""};
    size_t len = strlen(row->text);
    size_t repeats = row->repeats > 0 ? row->repeats : 1;
    char *text = calloc(1, len * repeats + 1);

    assert_non_null(text);
    (void)set_up(NULL);
    for (size_t i = 0; i < repeats; i++)
        memcpy(text + i * len, row->text, len);
    assert_null(new_key(row->kind, text, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, row->want));
    assert_null(strstr(err.text, "PLANTED"));
    (void)tear_down(NULL);
    free(text);
}

static void
another_kind_of_key_than_the_credential_has_is_refused(void **state)
{
    struct err err = {ERR_NONE, ""};
    struct key *key = new_key(KEY_ACCOUNT, PLANTED, &err);

    (void)state;
    assert_non_null(key);
    assert_null(rotation_start(
        rotation, &(struct rotation_order){.credential = "one", .key = key},
        on_news, &got, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_null(rotation_start(
        rotation, &(struct rotation_order){.credential = "two", .key = key},
        on_news, &got, &err));
    assert_int_equal(err.code, ERR_NOTFOUND);
    key_unref(&key);
}

#define WORLD_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(one_that_works_is_first_at_once_and_done_when_durable),
        WORLD_TEST(one_that_is_refused_changes_nothing),
        WORLD_TEST(one_that_takes_time_to_be_known_is_tried_until_it_is),
        WORLD_TEST(it_is_tried_for_as_long_as_was_said),
        WORLD_TEST(a_provider_that_does_not_answer_is_asked_again),
        WORLD_TEST(a_provider_that_wants_more_time_than_there_is_gets_none),
        WORLD_TEST(what_is_not_the_secrets_fault_ends_it_at_once),
        WORLD_TEST(a_dry_run_changes_nothing),
        WORLD_TEST(without_a_disk_it_is_first_all_the_same_and_that_is_said),
        WORLD_TEST(a_disk_that_fails_is_said_too),
        WORLD_TEST(who_goes_away_stops_the_probe_and_nothing_has_changed),
        WORLD_TEST(who_goes_away_while_it_is_stored_leaves_it_first),
        WORLD_TEST(it_waits_for_the_request_that_is_in_flight),
        WORLD_TEST(no_request_begins_while_it_is_tried_but_after),
        WORLD_TEST(a_reload_meanwhile_makes_it_try_again),
        WORLD_TEST(it_may_be_wanted_to_work_several_times_in_a_row),
        WORLD_TEST(nobody_signed_in_so_there_is_nothing_to_try_it_with),
        WORLD_TEST(the_keyring_may_have_it_already),
        WORLD_TEST(another_kind_of_key_than_the_credential_has_is_refused),
    };
    struct CMUnitTest all[ARRAY_LEN(tests) + ARRAY_LEN(rows)];

    memcpy(all, tests, sizeof(tests));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        all[ARRAY_LEN(tests) + i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    return cmocka_run_group_tests_name("rotation", all, NULL, NULL);
}
