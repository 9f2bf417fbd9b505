/*
 * Sign-ins of users of an "@domain" mailbox outlive a restart: they are renewed
 * ahead of time as those of any other mailbox, also when nobody sends, as
 * providers end a refresh token that is not used for long.
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

#define NAME        "c m@x.example"
#define KEEPERS_MAX 50000 /* as the refresher has it */
#define LIFE_S      3600
#define DAY_MS      (INT64_C(86400) * 1000)

#define CREDENTIAL(name, id)                                   \
    "credential \"" name "\" {\nprovider = \"custom\"\n"       \
    "client_id = \"" id "\"\ngrant = \"authorization_code\"\n" \
    "servers = {\"mx.example\"}\n"                             \
    "token_url = \"https://sts.example/token\"\n"              \
    "authorize_url = \"https://sts.example/authorize\"\n"      \
    "scope = \"mail\"\n}\n"
#define SERVICE                                                                \
    "credential \"c\" {\nprovider = \"google\"\ngrant = \"service_account\"\n" \
    "service_account_key = \"file:/account\"\n}\n"
#define MAILBOX(title, credential) \
    "mailbox \"" title "\" { credential = \"" credential "\" }\n"
#define OWN    "milter { default_mailbox = \"own@z.example\" }\n"
#define BOTH   CREDENTIAL("c", "id") CREDENTIAL("d", "id2") OWN
#define END    MAILBOX("own@z.example", "d")
#define DOMAIN BOTH MAILBOX("@x.example", "c") END

static const struct refresher_key mine = {"c", "m@x.example"};
static const struct fake_answer given = {.text = "access", .life_s = LIFE_S};

struct world {
    struct fake_env *env;
    struct refresher *refresher;
    size_t found, named; /* NAME: of those that are kept, and of all */
    size_t kept;
    bool has_refresh_token;
    size_t probed;
};

static void
configure(struct world *world, const char *text)
{
    struct err err = {ERR_NONE, ""};
    struct config *config = fake_env_config(text);

    assert_int_equal(refresher_configure(world->refresher, config, &err), 0);
    config_unref(&config);
}

static void
restore(struct world *world, const char *name)
{
    struct token_record record = {.refresh_token = secret_dup("refresh-1"),
                                  .refresh_token_obtained_wall =
                                      FAKE_ENV_WALL - 60};

    assert_non_null(record.refresh_token);
    refresher_restore(world->refresher, name, &record);
}

static int
set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->env = fake_env_new();
    world->refresher = refresher_new(fake_env_refresher(world->env));
    assert_non_null(world->refresher);
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
on_info(const struct refresher_info *info, void *arg)
{
    struct world *world = arg;

    world->kept++;
    if (info->user == NULL || strcmp(info->user, mine.user) != 0 ||
        strcmp(info->credential->name, mine.credential) != 0)
        return;
    world->found++;
    world->has_refresh_token = info->has_refresh_token;
}

static void
on_name(const char *name, void *arg)
{
    struct world *world = arg;

    if (strcmp(name, NAME) == 0)
        world->named++;
}

static void
look(struct world *world)
{
    world->found = world->named = world->kept = 0;
    refresher_each(world->refresher, on_info, world);
    refresher_each_name(world->refresher, on_name, world);
}

/* ---- Which are kept ------------------------------------------------------ */

static void
it_is_kept_where_its_user_would_log_in(void **state)
{
    static const struct {
        const char *config;
        bool is_kept;
    } rows[] = {
        {DOMAIN, true},
        {BOTH MAILBOX("@X.Example", "c") END, true},
        {BOTH MAILBOX("@.example", "c") END, true},
        {BOTH MAILBOX("m@x.example", "c") END, true},
        {BOTH MAILBOX("@x.example", "c") MAILBOX("@.example", "d") END, true},
        /* Somebody else's, or nobody's. */
        {BOTH END, false},
        {BOTH MAILBOX("@y.example", "c") END, false},
        {BOTH MAILBOX("@.x.example", "c") END, false},
        {BOTH MAILBOX("@x.example", "d") END, false},
        {BOTH MAILBOX("@x.example", "d") MAILBOX("@.example", "c") END, false},
        {BOTH MAILBOX("@x.example", "c") MAILBOX("m@x.example", "d") END,
         false},
        /* Nobody signs in for this one. */
        {SERVICE CREDENTIAL("d", "id2") OWN MAILBOX("@x.example", "c") END,
         false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        /* What was stored is read before the configuration, or late. */
        for (int is_late = 0; is_late < 2; is_late++) {
            struct world *world;

            (void)tear_down(state);
            (void)set_up(state);
            world = *state;
            if (is_late == 0)
                restore(world, NAME);
            configure(world, rows[i].config);
            if (is_late == 1)
                restore(world, NAME);
            look(world);
            if (world->found != rows[i].is_kept || world->named != 1)
                fail_msg("row %zu, late %d: kept %zu, named %zu", i, is_late,
                         world->found, world->named);
            if (rows[i].is_kept)
                assert_true(world->has_refresh_token);
        }
    }
}

static void
it_is_kept_once_a_mailbox_is_for_it(void **state)
{
    struct world *world = *state;

    restore(world, NAME);
    configure(world, BOTH END);
    look(world);
    assert_int_equal(world->found, 0);
    configure(world, DOMAIN);
    look(world);
    assert_int_equal(world->found, 1);
    assert_int_equal(world->named, 1);
}

/* Its credential was gone for a moment, in which a request had not ended. */
static void
it_is_kept_when_a_request_ends_late(void **state)
{
    struct world *world = *state;
    struct fake_request request;

    restore(world, NAME);
    configure(world, DOMAIN);
    fake_env_advance(world->env, 10000);
    assert_int_equal(fake_env_open(world->env), 1);
    configure(world, CREDENTIAL("d", "id2") OWN END);
    look(world);
    assert_int_equal(world->found, 0);
    configure(world, DOMAIN);
    assert_int_equal(fake_env_open(world->env), 1);
    fake_env_answer(world->env,
                    &(struct fake_answer){.text = "access",
                                          .life_s = LIFE_S,
                                          .refresh_token = "refresh-2"});
    look(world);
    assert_int_equal(world->found, 1);
    assert_int_equal(world->named, 1);
    fake_env_advance(world->env, (int64_t)LIFE_S * 1000);
    assert_true(fake_env_oldest(world->env, &request));
    assert_string_equal(request.refresh_token, "refresh-2");
}

static void
the_ring_has_its_limit(void **state)
{
    struct world *world = *state;
    char name[64];

    for (size_t i = 0; i < KEEPERS_MAX + 1; i++) {
        (void)snprintf(name, sizeof(name), "c u%zu@x.example", i);
        restore(world, name);
    }
    configure(world, DOMAIN);
    look(world);
    assert_int_equal(world->kept, KEEPERS_MAX);
    assert_int_equal(fake_env_logged(world->env, "not renewed until its user"),
                     1);
}

/* ---- What is done with them ---------------------------------------------- */

static void
nobody_sends_and_it_is_renewed(void **state)
{
    struct world *world = *state;
    struct fake_request request;

    restore(world, NAME);
    configure(world, DOMAIN);
    fake_env_advance(world->env, 10000);
    assert_true(fake_env_oldest(world->env, &request));
    assert_string_equal(request.credential, mine.credential);
    assert_string_equal(request.user, mine.user);
    assert_string_equal(request.refresh_token, "refresh-1");
    for (int i = 0; i < 10; i++) {
        size_t before = fake_env_starts(world->env);

        fake_env_answer(world->env, &given);
        fake_env_advance(world->env, DAY_MS);
        assert_int_equal(fake_env_starts(world->env), before + 1);
    }
}

static void
many_are_spread(void **state)
{
    struct world *world = *state;
    char name[64];

    for (size_t i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "c u%zu@x.example", i);
        restore(world, name);
    }
    fake_env_roll(world->env, 1);
    configure(world, DOMAIN);
    fake_env_advance(world->env, 1000);
    assert_in_range(fake_env_starts(world->env), 1, 600);
    fake_env_advance(world->env, 10000);
    assert_int_equal(fake_env_starts(world->env), 1000);
}

static void
on_probed(const struct acquire_result *result, void *arg)
{
    struct world *world = arg;

    (void)result;
    world->probed++;
}

static void
an_operator_can_use_it(void **state)
{
    struct world *world = *state;
    static const struct key_salt salt = {{0}};
    struct err err = {ERR_NONE, ""};
    struct key *key = key_new(KEY_SECRET, &salt);
    size_t before;

    assert_non_null(key);
    restore(world, NAME);
    configure(world, DOMAIN);
    fake_env_advance(world->env, 10000);
    fake_env_answer(world->env, &given);

    before = fake_env_starts(world->env);
    assert_int_equal(refresher_fetch(world->refresher, &mine, true, &err), 0);
    fake_env_advance(world->env, 1);
    assert_int_equal(fake_env_starts(world->env), before + 1);
    fake_env_answer(world->env, &given);

    assert_int_equal(refresher_probe(world->refresher, mine.credential, key,
                                     on_probed, world, &err),
                     0);
    fake_env_advance(world->env, 1);
    fake_env_answer(world->env, &given);
    fake_env_advance(world->env, 1);
    assert_int_equal(world->probed, 1);
    key_unref(&key);
}

/* What is signed in already goes on, and whoever imports is told. */
static void
an_import_says_what_it_did_not_take(void **state)
{
    struct world *world = *state;
    struct err err = {ERR_NONE, ""};

    configure(world, DOMAIN);
    for (int i = 0; i < 2; i++) {
        struct token_record record = {
            .refresh_token = secret_dup("refresh-1"),
            .refresh_token_obtained_wall = FAKE_ENV_WALL - 60,
        };

        assert_int_equal(
            refresher_import(world->refresher, NAME, &record, &err), i);
        assert_int_equal(fake_env_logged(world->env, "is not taken"),
                         (size_t)i);
        /* Its access token is there the second time. */
        fake_env_advance(world->env, 10000);
        if (fake_env_open(world->env) > 0)
            fake_env_answer(world->env, &given);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        TEST(it_is_kept_where_its_user_would_log_in),
        TEST(it_is_kept_once_a_mailbox_is_for_it),
        TEST(it_is_kept_when_a_request_ends_late),
        TEST(the_ring_has_its_limit),
        TEST(nobody_sends_and_it_is_renewed),
        TEST(many_are_spread),
        TEST(an_operator_can_use_it),
        TEST(an_import_says_what_it_did_not_take),
    };

    return cmocka_run_group_tests_name("refresher_domain", tests, NULL, NULL);
}
