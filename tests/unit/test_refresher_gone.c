/*
 * Whoever is answered may do anything, even read a configuration in which the
 * token that answers is gone: by whichever way the answer comes, nothing is
 * used that has been freed. The sanitizer says so.
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

#include "common/secret.h"
#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "token-daemon/key.h"
#include "token-daemon/refresher.h"
#include "token-daemon/token_record.h"

#define NAME     "c m@x.example"
#define LIFE_S   3600
#define PATIENCE 15000 /* ms */

#define CREDENTIAL(name, id, more)                             \
    "credential \"" name "\" {\nprovider = \"custom\"\n"       \
    "client_id = \"" id "\"\ngrant = \"authorization_code\"\n" \
    "servers = {\"mx.example\"}\n"                             \
    "token_url = \"https://sts.example/token\"\n"              \
    "authorize_url = \"https://sts.example/authorize\"\n"      \
    "scope = \"mail\"\n" more "}\n"
#define MAILBOX(name, credential) \
    "mailbox \"" name "@x.example\" { credential = \"" credential "\" }\n"
#define PLAIN CREDENTIAL("c", "id", "") MAILBOX("m", "c")
#define PROXY                                                    \
    CREDENTIAL("c", "id", "proxy = \"http://p.example:3128\"\n") \
    MAILBOX("m", "c")
#define FOREIGN CREDENTIAL("c", "id2", "") MAILBOX("m", "c")
#define GONE    CREDENTIAL("d", "id", "") MAILBOX("m", "d")
#define THREE   PLAIN MAILBOX("n", "c") MAILBOX("o", "c")

static const struct refresher_key mine = {"c", "m@x.example"};
static const struct fake_answer rotated = {
    .text = "access-2", .life_s = LIFE_S, .refresh_token = "refresh-2"};

struct world {
    struct fake_env *env;
    struct refresher *refresher;
    const char *next[4]; /* what whoever is answered reads, one by one */
    size_t reads;
    bool signs_in; /* and signs in again */
    unsigned answers, probed;
    refresher_saved_fn *saved; /* who waits for the disk */
    void *saved_arg;
    bool can_save;
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
    if (!the_world->can_save)
        return -1;
    if (done != NULL) {
        the_world->saved = done;
        the_world->saved_arg = done_arg;
    }
    return 0;
}

static void
unsave(void *arg, const void *done_arg)
{
    (void)arg;
    if (the_world->saved_arg == done_arg)
        the_world->saved = NULL;
}

static void
unstore(void *arg, const char *name)
{
    (void)arg;
    (void)name;
}

static void
configure(struct world *world, const char *text)
{
    struct err err = {ERR_NONE, ""};
    struct config *config = fake_env_config(text);

    assert_int_equal(refresher_configure(world->refresher, config, &err), 0);
    config_unref(&config);
}

static void
sign_in(struct world *world)
{
    struct oauth_token token = {.access = secret_dup("access-9"),
                                .refresh = secret_dup("refresh-9"),
                                .lifetime = LIFE_S};
    struct err err = {ERR_NONE, ""};

    assert_int_equal(refresher_sign_in(world->refresher, &mine, &token, &err),
                     0);
    oauth_token_clear(&token);
}

static void
reload(struct world *world)
{
    const char *next = world->reads < ARRAY_LEN(world->next)
                           ? world->next[world->reads]
                           : NULL;

    if (next == NULL)
        return;
    world->reads++;
    configure(world, next);
    if (world->signs_in)
        sign_in(world);
}

static void
on_answer(const struct refresher_answer *answer, void *arg)
{
    struct world *world = arg;

    (void)answer;
    world->answers++;
    reload(world);
}

static void
on_probed(const struct acquire_result *result, void *arg)
{
    struct world *world = arg;

    (void)result;
    world->probed++;
    reload(world);
}

/* Wait for another token than the one there is. */
static void
ask(struct world *world)
{
    int64_t until;
    const struct refresher_question question = {
        .key = mine,
        .refused_serial = refresher_peek(world->refresher, &mine)->serial,
        .patience_ms = PATIENCE,
    };

    (void)refresher_report(world->refresher, &mine, &until);
    assert_non_null(
        refresher_ask(world->refresher, &question, on_answer, world));
}

static void
probe(struct world *world)
{
    static const struct key_salt salt = {{0}};
    struct key *key = key_new(KEY_SECRET, &salt);
    struct err err = {ERR_NONE, ""};

    assert_non_null(key);
    assert_int_equal(
        refresher_probe(world->refresher, "c", key, on_probed, world, &err), 0);
    key_unref(&key);
}

/* Signed in, with a token that is alive and not to be refreshed yet. */
static int
set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct token_record record = {.refresh_token = secret_copy("refresh-1", 9)};
    struct refresher_env env;

    assert_non_null(world);
    assert_non_null(record.refresh_token);
    the_world = world;
    world->env = fake_env_new();
    env = *fake_env_refresher(world->env);
    env.save = save;
    env.unsave = unsave;
    env.unstore = unstore;
    world->refresher = refresher_new(&env);
    assert_non_null(world->refresher);
    refresher_restore(world->refresher, NAME, &record);
    configure(world, PLAIN);
    fake_env_advance(world->env, 1000);
    fake_env_answer(world->env, &(struct fake_answer){.text = "access-1",
                                                      .life_s = LIFE_S});
    fake_env_advance(world->env, INT64_C(600) * 1000);
    assert_int_equal(fake_env_open(world->env), 0);
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

/* ---- A fetch ------------------------------------------------------------- */

static void
an_answer_that_could_not_be_stored(void **state)
{
    struct world *world = *state;

    ask(world);
    ask(world);
    world->next[0] = GONE;
    fake_env_answer(world->env, &rotated);
    assert_int_equal(world->answers, 2);
    assert_null(refresher_peek(world->refresher, &mine));
}

static void
an_answer_that_was_stored(void **state)
{
    struct world *world = *state;

    world->can_save = true;
    ask(world);
    ask(world);
    world->next[0] = GONE;
    fake_env_answer(world->env, &rotated);
    assert_int_equal(world->answers, 0);
    world->saved(true, 1, world->saved_arg);
    assert_int_equal(world->answers, 2);
    assert_null(refresher_peek(world->refresher, &mine));
}

static void
an_answer_to_a_request_with_former_settings(void **state)
{
    struct world *world = *state;

    ask(world);
    configure(world, PROXY);
    world->next[0] = GONE;
    fake_env_answer(world->env, &rotated);
    assert_int_equal(world->answers, 1);
    assert_null(refresher_peek(world->refresher, &mine));
}

/* Taken away and put back within the answer: there is another one now. */
static void
an_answer_that_takes_it_away_and_signs_in_anew(void **state)
{
    struct world *world = *state;

    ask(world);
    ask(world);
    world->next[0] = GONE;
    world->next[1] = PLAIN;
    fake_env_answer(world->env, &rotated);
    assert_int_equal(world->answers, 2);
    sign_in(world);
    assert_string_equal(refresher_peek(world->refresher, &mine)->text,
                        "access-9");
}

/* ---- A probe ------------------------------------------------------------- */

/* There is no token meanwhile: who asks waits for the probe. */
static void
a_probe_that_others_wait_for(void **state)
{
    struct world *world = *state;
    const struct refresher_question question = {.key = mine,
                                                .patience_ms = PATIENCE};

    probe(world);
    fake_env_suspend(world->env, LIFE_S * INT64_C(1000));
    assert_non_null(
        refresher_ask(world->refresher, &question, on_answer, world));
    world->next[0] = GONE;
    fake_env_answer(world->env, &rotated);
    assert_int_equal(world->answers, 1);
    assert_int_equal(world->probed, 1);
    assert_null(refresher_peek(world->refresher, &mine));
}

/* One row is how it ends, and what whoever asked for it reads then. */
static void
a_probe_whose_end_takes_it_away(void **state)
{
    static const struct fake_answer answers[] = {
        {.text = "access-2", .life_s = LIFE_S},
        {.text = "access-2", .life_s = LIFE_S, .refresh_token = "refresh-2"},
        {.problem = PROBLEM_BAD_SECRET},
    };

    for (size_t i = 0; i < 2 * ARRAY_LEN(answers); i++) {
        struct world *world;

        (void)tear_down(state);
        (void)set_up(state);
        world = *state;
        world->can_save = i >= ARRAY_LEN(answers);
        probe(world);
        world->next[0] = GONE;
        fake_env_answer(world->env, &answers[i % ARRAY_LEN(answers)]);
        assert_int_equal(world->probed, 1);
        assert_null(refresher_peek(world->refresher, &mine));
    }
}

/* ---- What an operator does ----------------------------------------------- */

static void
a_sign_in_that_ends_a_probe(void **state)
{
    struct world *world = *state;

    probe(world);
    world->next[0] = GONE;
    sign_in(world);
    assert_int_equal(world->probed, 1);
    assert_null(refresher_peek(world->refresher, &mine));
}

static void
a_sign_out_that_ends_a_probe(void **state)
{
    struct world *world = *state;
    struct err err = {ERR_NONE, ""};

    probe(world);
    world->next[0] = GONE;
    assert_int_equal(refresher_sign_out(world->refresher, &mine, &err), 0);
    assert_int_equal(world->probed, 1);
    assert_null(refresher_peek(world->refresher, &mine));
}

/* ---- A reload ------------------------------------------------------------ */

/* One row is what is read, and what whoever is told of that reads then. */
static void
a_reload_that_ends_a_probe(void **state)
{
    static const struct {
        const char *first, *second;
    } rows[] = {
        {PROXY, GONE}, /* the probe is let finish */
        {FOREIGN, GONE}, {FOREIGN, PLAIN}, {GONE, PLAIN},
        {GONE, GONE},    {THREE, GONE},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world *world;

        (void)tear_down(state);
        (void)set_up(state);
        world = *state;
        world->can_save = true;
        probe(world);
        world->next[0] = rows[i].second;
        configure(world, rows[i].first);
        assert_int_equal(world->probed, 1);
        assert_int_equal(world->reads, 1);
        while (fake_env_open(world->env) > 0)
            fake_env_answer(world->env, &rotated);
        assert_int_equal(world->probed, 1);
    }
}

/* All go at once; who waited for the first brings them back. */
static void
a_reload_that_takes_several(void **state)
{
    struct world *world = *state;

    configure(world, THREE);
    ask(world);
    world->next[0] = THREE;
    world->next[1] = GONE;
    configure(world, GONE);
    assert_int_equal(world->answers, 1);
    assert_non_null(refresher_peek(world->refresher, &mine));
}

#define WORLD_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        WORLD_TEST(an_answer_that_could_not_be_stored),
        WORLD_TEST(an_answer_that_was_stored),
        WORLD_TEST(an_answer_to_a_request_with_former_settings),
        WORLD_TEST(an_answer_that_takes_it_away_and_signs_in_anew),
        WORLD_TEST(a_probe_that_others_wait_for),
        WORLD_TEST(a_probe_whose_end_takes_it_away),
        WORLD_TEST(a_sign_in_that_ends_a_probe),
        WORLD_TEST(a_sign_out_that_ends_a_probe),
        WORLD_TEST(a_reload_that_ends_a_probe),
        WORLD_TEST(a_reload_that_takes_several),
    };

    return cmocka_run_group_tests_name("refresher_gone", tests, NULL, NULL);
}
