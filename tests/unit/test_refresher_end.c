/*
 * A request that carries a refresh token is let finish, whether its settings
 * change, its mailbox goes or the daemon stops: a provider that takes each
 * token once has taken it.
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
#include "token-daemon/refresher.h"
#include "token-daemon/token_record.h"

#define NAME     "c m@x.example"
#define TEXT_MAX 64

#define APPLICATION(id, scope, more)                           \
    "credential \"c\" {\nprovider = \"custom\"\n"              \
    "client_id = \"" id "\"\ngrant = \"authorization_code\"\n" \
    "servers = {\"mx.example\"}\n"                             \
    "token_url = \"https://sts.example/token\"\n"              \
    "authorize_url = \"https://sts.example/authorize\"\n"      \
    "scope = \"" scope "\"\n" more "}\n"
#define MAILBOX "mailbox \"m@x.example\" { credential = \"c\" }\n"
#define OTHER   "mailbox \"o@x.example\" { credential = \"c\" }\n"
#define PLAIN   APPLICATION("id", "mail", "")
#define GONE                                                          \
    "credential \"c\" {\nprovider = \"custom\"\nclient_id = \"id\"\n" \
    "grant = \"client_credentials\"\n"                                \
    "client_secret = {\"file:/secret\"}\n"                            \
    "servers = {\"mx.example\"}\n"                                    \
    "token_url = \"https://sts.example/token\"\n"                     \
    "scope = \"mail\"\n}\n" MAILBOX
#define SERVICE                                                                \
    "credential \"c\" {\nprovider = \"google\"\ngrant = \"service_account\"\n" \
    "service_account_key = \"file:/account.json\"\n}\n" MAILBOX
#define PROXY APPLICATION("id", "mail", "proxy = \"http://p.example:3128\"\n")

static const struct refresher_key key = {"c", "m@x.example"};
static const struct fake_answer rotated = {
    .text = "access-2", .life_s = 3600, .refresh_token = "refresh-2"};

struct world {
    struct fake_env *env;
    struct refresher *refresher;
    size_t saves;
    char refresh[TEXT_MAX]; /* in the record that was stored last */
    char access[TEXT_MAX];
    unsigned stops;
};

/* The environment's functions see the fake's argument: one world at a time. */
static struct world *the_world;

static int
save(void *arg, const char *name, const struct token_record *record,
     refresher_saved_fn *done, void *done_arg)
{
    struct world *world = the_world;

    (void)arg;
    (void)done;
    (void)done_arg;
    assert_string_equal(name, NAME);
    world->saves++;
    (void)snprintf(world->refresh, sizeof(world->refresh), "%s",
                   record->refresh_token != NULL ? record->refresh_token : "");
    (void)snprintf(world->access, sizeof(world->access), "%s",
                   record->access_token != NULL ? record->access_token : "");
    return 0;
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
configure(struct world *world, const char *text)
{
    struct err err = {ERR_NONE, ""};
    struct config *config = fake_env_config(text);

    assert_int_equal(refresher_configure(world->refresher, config, &err), 0);
    config_unref(&config);
}

/* Signed in, and a request in flight. */
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
    configure(world, PLAIN MAILBOX);
    fake_env_advance(world->env, 1000);
    assert_int_equal(fake_env_open(world->env), 1);
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
on_stopped(void *arg)
{
    struct world *world = arg;

    world->stops++;
}

/* ---- Reloads ------------------------------------------------------------- */

static void
a_reload_lets_it_finish(void **state)
{
    static const struct {
        const char *config;
        const char *access; /* that is stored; "": it is not wanted any more */
        size_t cancelled;
        const char *refresh; /* that is stored */
    } rows[] = {
        {PLAIN MAILBOX, "access-2", 0, "refresh-2"},
        {PROXY MAILBOX, "access-2", 0, "refresh-2"},
        {APPLICATION("id", "other", "") MAILBOX, "", 0, "refresh-2"},
        {PLAIN OTHER, "access-2", 0, "refresh-2"},
        /* Of no use to another application, but it may be put back. */
        {APPLICATION("id2", "mail", "") MAILBOX, "", 0, "refresh-2"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world *world;

        if (i > 0) {
            (void)tear_down(state);
            (void)set_up(state);
        }
        world = *state;
        configure(world, rows[i].config);
        assert_int_equal(fake_env_cancelled(world->env), rows[i].cancelled);
        if (rows[i].cancelled > 0)
            continue;
        assert_int_equal(fake_env_starts(world->env), 1);
        fake_env_answer(world->env, &rotated);
        assert_string_equal(world->refresh, rows[i].refresh);
        assert_string_equal(world->access, rows[i].access);
    }
}

static void
what_fails_with_former_settings_is_tried_with_the_new_ones(void **state)
{
    struct world *world = *state;

    configure(world, PROXY MAILBOX);
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_BAD_SECRET});
    fake_env_advance(world->env, 0);
    assert_int_equal(fake_env_starts(world->env), 2);
    fake_env_answer(world->env, &rotated);
    assert_string_equal(world->refresh, "refresh-2");
}

static void
another_scope_gets_a_token_of_its_own(void **state)
{
    struct world *world = *state;

    configure(world, APPLICATION("id", "other", "") MAILBOX);
    fake_env_answer(world->env, &rotated);
    assert_null(refresher_peek(world->refresher, &key)->text);
    fake_env_advance(world->env, 1000);
    assert_int_equal(fake_env_starts(world->env), 2);
}

static void
who_is_gone_and_signs_in_anew_counts(void **state)
{
    struct world *world = *state;
    struct oauth_token token = {.refresh = secret_copy("refresh-9", 9)};
    struct err err = {ERR_NONE, ""};

    configure(world, PLAIN OTHER);
    configure(world, PLAIN MAILBOX);
    assert_int_equal(refresher_sign_in(world->refresher, &key, &token, &err),
                     0);
    assert_int_equal(fake_env_cancelled(world->env), 1);
    assert_string_equal(world->refresh, "refresh-9");
}

static void
a_daemon_that_ends_frees_who_is_gone(void **state)
{
    struct world *world = *state;

    configure(world, PLAIN OTHER);
    assert_int_equal(fake_env_open(world->env), 1);
    refresher_free(&world->refresher);
    assert_int_equal(fake_env_open(world->env), 0);
}

/* ---- Another application --------------------------------------------------
 */

static void
what_another_application_left_is_set_aside_and_not_deleted(void **state)
{
    struct world *world = *state;
    struct oauth_token token = {.refresh = secret_copy("refresh-9", 9)};
    struct err err = {ERR_NONE, ""};

    fake_env_answer(world->env, &rotated);
    configure(world, APPLICATION("id2", "mail", "") MAILBOX);
    fake_env_advance(world->env, INT64_C(24) * 3600 * 1000);
    assert_int_equal(fake_env_starts(world->env), 1);
    assert_null(refresher_peek(world->refresher, &key)->text);
    assert_int_equal(fake_env_logged(world->env, "another application"), 1);
    refresher_save_all(world->refresher);
    assert_string_equal(world->refresh, "refresh-2");
    assert_string_equal(world->access, "");
    /* Back again it is used, and a sign-in replaces it. */
    configure(world, PLAIN MAILBOX);
    fake_env_advance(world->env, 1000);
    assert_int_equal(fake_env_starts(world->env), 2);
    configure(world, APPLICATION("id2", "mail", "") MAILBOX);
    assert_int_equal(refresher_sign_in(world->refresher, &key, &token, &err),
                     0);
    assert_string_equal(world->refresh, "refresh-9");
    fake_env_advance(world->env, 1000);
    assert_int_equal(fake_env_starts(world->env), 3);
}

/* What is in flight brings the former application's, which is put aside too. */
static void
what_comes_for_another_application_is_set_aside(void **state)
{
    struct world *world = *state;
    struct fake_request request;

    configure(world, APPLICATION("id2", "mail", "") MAILBOX);
    fake_env_answer(world->env, &rotated);
    assert_string_equal(world->refresh, "refresh-2");
    fake_env_advance(world->env, INT64_C(24) * 3600 * 1000);
    assert_int_equal(fake_env_starts(world->env), 1);
    configure(world, PLAIN MAILBOX);
    fake_env_advance(world->env, 1000);
    assert_true(fake_env_oldest(world->env, &request));
    assert_string_equal(request.refresh_token, "refresh-2");
}

/* Taken out and put back while it is in flight: it goes on with what comes. */
static void
who_is_back_before_the_answer_takes_it(void **state)
{
    struct world *world = *state;
    struct fake_request request;

    configure(world, GONE);
    configure(world, PLAIN MAILBOX);
    fake_env_advance(world->env, 1000);
    assert_int_equal(fake_env_starts(world->env), 1);
    fake_env_answer(world->env, &rotated);
    assert_string_equal(world->refresh, "refresh-2");
    fake_env_advance(world->env, INT64_C(3600) * 1000);
    assert_true(fake_env_oldest(world->env, &request));
    assert_string_equal(request.refresh_token, "refresh-2");
}

static void
who_is_back_after_the_answer_has_it(void **state)
{
    struct world *world = *state;
    struct fake_request request;

    configure(world, GONE);
    fake_env_answer(world->env, &rotated);
    configure(world, PLAIN MAILBOX);
    fake_env_advance(world->env, 1000);
    assert_true(fake_env_oldest(world->env, &request));
    assert_string_equal(request.refresh_token, "refresh-2");
}

static void
a_record_of_another_application_is_set_aside(void **state)
{
    static const struct {
        const char *application;
        size_t starts;
    } rows[] = {{"", 1}, {"0123456789abcdef", 0}};
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct token_record record = {
            .refresh_token = secret_copy("refresh-1", 9),
            .access_token = secret_copy("access-1", 8),
            .expires_wall = FAKE_ENV_WALL + 1,
            .lifetime_s = 3600,
        };
        size_t before = fake_env_starts(world->env);
        struct refresher_env env = *fake_env_refresher(world->env);

        env.save = save;
        env.unsave = unsave;
        env.unstore = unstore;
        refresher_free(&world->refresher);
        world->refresher = refresher_new(&env);
        (void)snprintf(record.application, sizeof(record.application), "%s",
                       rows[i].application);
        refresher_restore(world->refresher, NAME, &record);
        configure(world, PLAIN MAILBOX);
        fake_env_advance(world->env, 10000);
        assert_int_equal(fake_env_starts(world->env) - before, rows[i].starts);
        refresher_save_all(world->refresher);
        assert_string_equal(world->refresh, "refresh-1");
    }
}

/* It belongs to a grant that the mailbox no longer has. */
static void
an_import_during_a_request_starts_no_other(void **state)
{
    struct world *world = *state;
    struct token_record record = {.refresh_token = secret_copy("refresh-9", 9)};
    struct refresher_env env = *fake_env_refresher(world->env);
    struct err err = {ERR_NONE, ""};

    env.save = save;
    env.unsave = unsave;
    env.unstore = unstore;
    refresher_free(&world->refresher);
    world->refresher = refresher_new(&env);
    configure(world, SERVICE);
    fake_env_advance(world->env, 10000);
    assert_int_equal(fake_env_open(world->env), 1);
    assert_int_equal(refresher_import(world->refresher, NAME, &record, &err),
                     0);
    fake_env_advance(world->env, 10000);
    assert_int_equal(fake_env_open(world->env), 1);
    assert_string_equal(world->refresh, "refresh-9");
}

/* ---- The stop ------------------------------------------------------------ */

static void
a_stop_waits_for_it(void **state)
{
    static const char *const configs[] = {NULL, PROXY MAILBOX, PLAIN OTHER};

    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        struct world *world;

        if (i > 0) {
            (void)tear_down(state);
            (void)set_up(state);
        }
        world = *state;
        if (configs[i] != NULL)
            configure(world, configs[i]);
        assert_true(refresher_stop(world->refresher, on_stopped, world));
        fake_env_advance(world->env, 1000);
        assert_int_equal(world->stops, 0);
        fake_env_answer(world->env, &rotated);
        assert_int_equal(world->stops, 1);
        assert_string_equal(world->refresh, "refresh-2");
        fake_env_advance(world->env, INT64_C(24) * 3600 * 1000);
        assert_int_equal(fake_env_starts(world->env), 1); /* and nothing more */
    }
}

static void
a_stop_ends_when_it_fails(void **state)
{
    struct world *world = *state;

    assert_true(refresher_stop(world->refresher, on_stopped, world));
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_UNAVAILABLE});
    assert_int_equal(world->stops, 1);
    assert_string_equal(world->refresh, "refresh-1");
}

/* Whose code was being exchanged when the stop came. */
static void
a_stop_ends_when_somebody_signs_in(void **state)
{
    struct world *world = *state;
    struct oauth_token token = {.access = secret_copy("access-9", 8),
                                .refresh = secret_copy("refresh-9", 9),
                                .lifetime = 3600};
    struct err err = {ERR_NONE, ""};

    assert_true(refresher_stop(world->refresher, on_stopped, world));
    assert_int_equal(refresher_sign_in(world->refresher, &key, &token, &err),
                     0);
    oauth_token_clear(&token);
    assert_int_equal(world->stops, 1);
    assert_string_equal(world->refresh, "refresh-9");
}

static void
a_stop_waits_for_nothing_else(void **state)
{
    struct world *world = *state;

    fake_env_answer(world->env, &rotated);
    assert_false(refresher_stop(world->refresher, on_stopped, world));
    assert_int_equal(world->stops, 0);
}

#define WORLD_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        WORLD_TEST(a_reload_lets_it_finish),
        WORLD_TEST(what_fails_with_former_settings_is_tried_with_the_new_ones),
        WORLD_TEST(another_scope_gets_a_token_of_its_own),
        WORLD_TEST(who_is_gone_and_signs_in_anew_counts),
        WORLD_TEST(a_daemon_that_ends_frees_who_is_gone),
        WORLD_TEST(what_another_application_left_is_set_aside_and_not_deleted),
        WORLD_TEST(what_comes_for_another_application_is_set_aside),
        WORLD_TEST(who_is_back_before_the_answer_takes_it),
        WORLD_TEST(who_is_back_after_the_answer_has_it),
        WORLD_TEST(a_record_of_another_application_is_set_aside),
        WORLD_TEST(an_import_during_a_request_starts_no_other),
        WORLD_TEST(a_stop_waits_for_it),
        WORLD_TEST(a_stop_ends_when_it_fails),
        WORLD_TEST(a_stop_ends_when_somebody_signs_in),
        WORLD_TEST(a_stop_waits_for_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
