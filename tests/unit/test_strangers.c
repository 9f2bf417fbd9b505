/*
 * strangers: who hands in mail with invented senders costs neither memory for
 * long, nor the provider many requests, nor the log many lines; and users who
 * are none are not held up by that.
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
#include "token-daemon/refresher.h"
#include "token-daemon/strangers.h"
#include "token-daemon/token_record.h"

#define PATIENCE    15000 /* ms */
#define INVENTED    300
#define KEEPERS_MAX 50000 /* as the refresher has it */
#define MINUTE      INT64_C(60000)

#define CREDENTIAL(more)                          \
    "credential \"c\" {\nprovider = \"google\"\n" \
    "grant = \"service_account\"\n"               \
    "service_account_key = \"file:/account\"\n" more "}\n"
#define MAILBOXES                                        \
    "mailbox \"own@x.example\" { credential = \"c\" }\n" \
    "mailbox \"@x.example\" { credential = \"c\" }\n"    \
    "milter { default_mailbox = \"own@x.example\" }\n"
#define CONFIG CREDENTIAL("") MAILBOXES
#define MENDED CREDENTIAL("proxy = \"http://p.example:3128\"\n") MAILBOXES

static const struct fake_answer refusal = {.problem = PROBLEM_NEEDS_LOGIN};
static const struct fake_answer given = {.text = "access", .life_s = 3600};

struct world {
    struct fake_env *env;
    struct refresher *refresher;
    size_t given, refused, late;
    size_t saves, infos, tellings;
};

/* The environment's functions see the fake's argument: one world at a time. */
static struct world *the_world;

static int
save(void *arg, const char *name, const struct token_record *record,
     refresher_saved_fn *done, void *done_arg)
{
    (void)arg;
    (void)name;
    (void)record;
    (void)done;
    (void)done_arg;
    the_world->saves++;
    return -1;
}

static void
unsave(void *arg, const void *done_arg)
{
    (void)arg;
    (void)done_arg;
}

static void
unstore(void *arg, const char *name)
{
    (void)arg;
    (void)name;
}

static void
ended(void *arg, const struct refresher_ended *end)
{
    (void)arg;
    if (!end->is_stranger)
        the_world->tellings++;
}

static void
configure(struct world *world, const char *text)
{
    struct err err = {ERR_NONE, ""};
    struct config *config = fake_env_config(text);

    assert_int_equal(refresher_configure(world->refresher, config, &err), 0);
    config_unref(&config);
}

static int
set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct refresher_env env;

    assert_non_null(world);
    the_world = world;
    world->env = fake_env_new();
    env = *fake_env_refresher(world->env);
    env.save = save;
    env.unsave = unsave;
    env.unstore = unstore;
    env.ended = ended;
    world->refresher = refresher_new(&env);
    assert_non_null(world->refresher);
    configure(world, CONFIG);
    fake_env_advance(world->env, 1000);
    fake_env_answer(world->env, &given); /* for own@x.example */
    world->saves = world->tellings = 0;
    *state = world;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *world = *state;

    refresher_free(&world->refresher);
    fake_env_free(&world->env);
    free(world);
    return 0;
}

static void
on_answer(const struct refresher_answer *answer, void *arg)
{
    struct world *world = arg;

    if (answer->is_given)
        world->given++;
    else if (answer->is_late)
        world->late++;
    else
        world->refused++;
}

static void
ask(struct world *world, const char *user)
{
    (void)refresher_ask(world->refresher,
                        &(struct refresher_question){.key = {"c", user},
                                                     .patience_ms = PATIENCE},
                        on_answer, world);
}

static void
ask_invented(struct world *world, size_t number)
{
    char user[64];

    (void)snprintf(user, sizeof(user), "bogus%zu@x.example", number);
    ask(world, user);
}

static void
invent(struct world *world, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ask_invented(world, i);
        fake_env_answer(world->env, &refusal);
    }
}

static void
count_info(const struct refresher_info *info, void *arg)
{
    struct world *world = arg;

    (void)info;
    world->infos++;
}

static size_t
count(struct world *world)
{
    world->infos = 0;
    refresher_each(world->refresher, count_info, world);
    return world->infos;
}

/* ---- The refresher --------------------------------------------------------
 */

static void
they_are_forgotten(void **state)
{
    struct world *world = *state;
    size_t starts;

    invent(world, INVENTED);
    assert_int_equal(world->refused, INVENTED);
    assert_int_equal(count(world), INVENTED + 1);
    starts = fake_env_starts(world->env);
    fake_env_advance(world->env, 5 * MINUTE);
    ask_invented(world, 7); /* is asked for now and then */
    fake_env_answer(world->env, &refusal);
    fake_env_advance(world->env, 7 * MINUTE);
    assert_int_equal(count(world), 2);
    /* Nobody asked us for the others, so neither do we. */
    assert_int_equal(fake_env_starts(world->env), starts + 1);
    fake_env_advance(world->env, 5 * MINUTE);
    assert_int_equal(count(world), 1);
    assert_int_equal(fake_env_open(world->env), 0);
}

static void
they_fill_neither_log_nor_disk(void **state)
{
    struct world *world = *state;

    invent(world, INVENTED);
    assert_int_equal(fake_env_logged(world->env, "token request failed"),
                     STRANGERS_LINES);
    assert_int_equal(world->saves, 0);
    assert_int_equal(world->tellings, 0);
    fake_env_advance(world->env, MINUTE);
    ask_invented(world, INVENTED);
    fake_env_answer(world->env, &refusal);
    assert_int_equal(fake_env_logged(world->env, "other_users_unsaid=290"), 1);
}

/* Asked for all the time, the same ones make a small rate of requests. */
static void
they_are_asked_for_again_at_a_small_rate(void **state)
{
    struct world *world = *state;
    size_t starts;

    invent(world, INVENTED);
    fake_env_advance(world->env, 5 * MINUTE);
    starts = fake_env_starts(world->env);
    for (size_t second = 0; second < 60; second++) {
        for (size_t i = 0; i < INVENTED; i++)
            ask_invented(world, i);
        while (fake_env_open(world->env) > 0)
            fake_env_answer(world->env, &refusal);
        fake_env_advance(world->env, 1000);
    }
    assert_in_range(fake_env_starts(world->env) - starts, 50,
                    60 + STRANGERS_RETRIES);
}

static void
others_are_not_held_up(void **state)
{
    struct world *world = *state;
    char user[64];

    invent(world, INVENTED);
    fake_env_advance(world->env, 5 * MINUTE);
    for (size_t i = 0; i < INVENTED; i++)
        ask_invented(world, i);
    while (fake_env_open(world->env) > 0)
        fake_env_answer(world->env, &refusal);
    /* Who is new is asked for at once, and is refreshed from then on. */
    world->given = 0;
    for (size_t i = 0; i < 50; i++) {
        (void)snprintf(user, sizeof(user), "real%zu@x.example", i);
        ask(world, user);
        fake_env_answer(world->env, &given);
    }
    assert_int_equal(world->given, 50);
    assert_int_equal(world->tellings, 50);
    fake_env_advance(world->env, 50 * MINUTE);
    while (fake_env_open(world->env) > 0)
        fake_env_answer(world->env, &given);
    fake_env_advance(world->env, 20 * MINUTE);
    assert_int_equal(count(world), 51);
    ask(world, "real7@x.example");
    assert_int_equal(world->given, 51);
}

/* A provider that can't answer now is tried again while somebody waits. */
static void
who_waits_is_served_when_it_works(void **state)
{
    struct world *world = *state;

    ask(world, "real@x.example");
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_UNREACHABLE});
    fake_env_advance(world->env, 3000);
    fake_env_answer(world->env, &given);
    assert_int_equal(world->given, 1);
}

/* When the settings were mended all are as if they were new. */
static void
a_reload_makes_a_new_beginning(void **state)
{
    struct world *world = *state;
    size_t starts;

    invent(world, INVENTED);
    starts = fake_env_starts(world->env);
    configure(world, MENDED);
    while (fake_env_open(world->env) > 0) /* own@x.example's */
        fake_env_answer(world->env, &given);
    for (size_t i = 0; i < INVENTED; i++) {
        ask_invented(world, i);
        fake_env_answer(world->env, &given);
    }
    assert_int_equal(world->given, INVENTED);
    assert_true(fake_env_starts(world->env) - starts >= INVENTED);
}

/* At the limit the one that was asked for least recently makes room. */
static void
they_make_room(void **state)
{
    struct world *world = *state;

    fake_env_drop_log(world->env);
    for (size_t i = 0; i < KEEPERS_MAX - 1; i++) {
        ask_invented(world, i);
        fake_env_answer(world->env, i == 0 ? &given : &refusal);
    }
    assert_int_equal(count(world), KEEPERS_MAX);
    ask_invented(world, 1);
    ask(world, "real@x.example");
    fake_env_answer(world->env, &given);
    assert_int_equal(world->given, 2);
    assert_int_equal(count(world), KEEPERS_MAX);
    assert_non_null(refresher_peek(
        world->refresher, &(struct refresher_key){"c", "bogus0@x.example"}));
    assert_non_null(refresher_peek(
        world->refresher, &(struct refresher_key){"c", "bogus1@x.example"}));
    assert_null(refresher_peek(
        world->refresher, &(struct refresher_key){"c", "bogus2@x.example"}));
}

/* ---- The rates ------------------------------------------------------------
 */

static void
what_is_allowed_gathers(void **state)
{
    struct strangers *strangers = strangers_new();
    uint64_t unsaid = 0;

    (void)state;
    assert_non_null(strangers);
    for (int round = 0; round < 2; round++) {
        int64_t now = (round + 1) * 100 * MINUTE;

        for (int i = 0; i < STRANGERS_RETRIES; i++)
            assert_true(strangers_may_retry(strangers, "c", now));
        assert_false(strangers_may_retry(strangers, "c", now));
        assert_true(strangers_may_retry(strangers, "d", now));
        assert_false(
            strangers_may_retry(strangers, "c", now + STRANGERS_RETRY_MS - 1));
        assert_true(
            strangers_may_retry(strangers, "c", now + STRANGERS_RETRY_MS));
        assert_false(
            strangers_may_retry(strangers, "c", now + STRANGERS_RETRY_MS));
    }
    for (int i = 0; i < STRANGERS_LINES; i++)
        assert_true(strangers_may_say(strangers, "c", MINUTE, &unsaid));
    assert_int_equal(unsaid, 0);
    assert_false(strangers_may_say(strangers, "c", MINUTE, &unsaid));
    assert_false(strangers_may_say(strangers, "c", MINUTE, &unsaid));
    assert_true(strangers_may_say(strangers, "c", 2 * MINUTE, &unsaid));
    assert_int_equal(unsaid, 2);
    strangers_free(&strangers);
}

#define WORLD_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        WORLD_TEST(they_are_forgotten),
        WORLD_TEST(they_fill_neither_log_nor_disk),
        WORLD_TEST(they_are_asked_for_again_at_a_small_rate),
        WORLD_TEST(others_are_not_held_up),
        WORLD_TEST(who_waits_is_served_when_it_works),
        WORLD_TEST(a_reload_makes_a_new_beginning),
        WORLD_TEST(they_make_room),
        cmocka_unit_test(what_is_allowed_gathers),
    };

    return cmocka_run_group_tests_name("strangers", tests, NULL, NULL);
}
