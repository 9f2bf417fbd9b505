/*
 * When refresh tokens end and how long they may rest: the rules as a table,
 * and whole months of a mailbox that nobody uses, in a world that the test
 * moves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/secret.h"
#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "token-daemon/oauth_response.h"
#include "token-daemon/refresh_token.h"
#include "token-daemon/refresher.h"
#include "token-daemon/token_record.h"

#define MS     INT64_C(1000) /* of a second */
#define HOUR   INT64_C(3600) /* s */
#define DAY    (24 * HOUR)
#define WEEK   (7 * DAY)
#define IDLE   (90 * DAY)
#define T      INT64_C(1790000000) /* s since 1970 */
#define USER   "a@contoso.example"
#define SECRET "0.AXoA-refresh-token-"

/* ---- The rules ----------------------------------------------------------- */

struct row {
    const char *name;
    int64_t idle_s;
    struct refresh_token token; /* of a text, unless has_none */
    bool has_none;
    int64_t want_ends;
    int64_t want_warns;
    int64_t want_pause;
};

static struct row rows[] = {
    {.name = "none is there", .idle_s = IDLE, .has_none = true},
    {.name = "nothing is known but when it came",
     .token = {.obtained_wall = T, .used_wall = T},
     .want_pause = WEEK},
    {.name = "nothing is known at all", .want_pause = WEEK},
    {.name = "the preset knows how long it may rest",
     .idle_s = IDLE,
     .token = {.obtained_wall = T, .used_wall = T},
     .want_ends = T + IDLE,
     .want_warns = T + IDLE - IDLE / 3,
     .want_pause = WEEK},
    {.name = "it counts from the last use",
     .idle_s = IDLE,
     .token = {.obtained_wall = T, .used_wall = T + 5 * DAY},
     .want_ends = T + 5 * DAY + IDLE,
     .want_warns = T + 5 * DAY + IDLE - IDLE / 3,
     .want_pause = WEEK},
    {.name = "stored before uses were",
     .idle_s = IDLE,
     .token = {.obtained_wall = T},
     .want_ends = T + IDLE,
     .want_warns = T + IDLE - IDLE / 3,
     .want_pause = WEEK},
    {.name = "stored before times were: the end is not known",
     .idle_s = IDLE,
     .want_pause = WEEK},
    {.name = "the provider says it, and sooner",
     .idle_s = IDLE,
     .token = {.obtained_wall = T, .used_wall = T, .expires_wall = T + 4 * DAY},
     .want_ends = T + 4 * DAY,
     .want_warns = T + 4 * DAY - 4 * DAY / 3,
     .want_pause = 2 * DAY},
    {.name = "the provider says it, and later",
     .idle_s = IDLE,
     .token = {.obtained_wall = T,
               .used_wall = T,
               .expires_wall = T + 365 * DAY},
     .want_ends = T + IDLE,
     .want_warns = T + IDLE - IDLE / 3,
     .want_pause = WEEK},
    {.name = "the provider alone says it",
     .token = {.obtained_wall = T, .used_wall = T, .expires_wall = T + 1800},
     .want_ends = T + 1800,
     .want_warns = T + 1200,
     .want_pause = 900},
    {.name = "it does not rest shorter near its end",
     .token = {.obtained_wall = T,
               .used_wall = T + 1790,
               .expires_wall = T + 1800},
     .want_ends = T + 1800,
     .want_warns = T + 1200,
     .want_pause = 900},
    {.name = "what it was given when its end last moved counts",
     .token = {.obtained_wall = T - 365 * DAY,
               .used_wall = T,
               .expires_wall = T + 1800,
               .life_s = 1800},
     .want_ends = T + 1800,
     .want_warns = T + 1200,
     .want_pause = 900},
    {.name = "one second",
     .token = {.obtained_wall = T, .used_wall = T, .expires_wall = T + 1},
     .want_ends = T + 1,
     .want_warns = T + 1,
     .want_pause = 1},
    {.name = "a clock that was set back says nothing of its life",
     .token = {.obtained_wall = T + DAY, .expires_wall = T},
     .want_ends = T,
     .want_warns = T,
     .want_pause = WEEK},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct refresh_token token = row->token;

    if (!row->has_none)
        token.text = secret_dup(SECRET);
    assert_int_equal(refresh_token_ends(&token, row->idle_s), row->want_ends);
    assert_int_equal(refresh_token_warns(&token, row->idle_s), row->want_warns);
    assert_int_equal(refresh_token_pause(&token, row->idle_s), row->want_pause);
    refresh_token_clear(&token);
}

static void
an_answer_renews_it(void **state)
{
    struct refresh_token token = {0};
    struct oauth_token issued = {.refresh_lifetime = 50};

    (void)state;
    /* As some issuers say also where there is none. */
    refresh_token_renew(&token, &issued, T);
    assert_null(token.text);
    assert_int_equal(token.expires_wall, 0);

    issued.refresh = secret_dup(SECRET "1");
    refresh_token_renew(&token, &issued, T);
    assert_null(issued.refresh);
    assert_string_equal(token.text, SECRET "1");
    assert_int_equal(token.obtained_wall, T);
    assert_int_equal(token.used_wall, T);
    assert_int_equal(token.expires_wall, T + 50);

    issued = (struct oauth_token){0};
    refresh_token_renew(&token, &issued, T + 10);
    assert_string_equal(token.text, SECRET "1");
    assert_int_equal(token.obtained_wall, T);
    assert_int_equal(token.used_wall, T + 10);
    assert_int_equal(token.expires_wall, T + 50);

    issued.refresh_lifetime = 70;
    refresh_token_renew(&token, &issued, T + 20);
    assert_int_equal(token.obtained_wall, T);
    assert_int_equal(token.expires_wall, T + 90);

    /* What was said of the old one does not hold for the new one. */
    issued = (struct oauth_token){.refresh = secret_dup(SECRET "2")};
    refresh_token_renew(&token, &issued, T + 30);
    assert_string_equal(token.text, SECRET "2");
    assert_int_equal(token.obtained_wall, T + 30);
    assert_int_equal(token.expires_wall, 0);
    refresh_token_clear(&token);
    refresh_token_clear(&token);
}

/* ---- A mailbox that nobody uses ------------------------------------------ */

/* What was stored last. */
static char stored_name[REFRESHER_NAME_MAX];
static struct buf stored;

static int
save(void *arg, const char *name, const struct token_record *record,
     refresher_saved_fn *done, void *done_arg)
{
    struct err err = {ERR_NONE, ""};

    (void)arg;
    assert_true(strlen(name) < sizeof(stored_name));
    (void)snprintf(stored_name, sizeof(stored_name), "%s", name);
    buf_clear(&stored);
    buf_init(&stored, TOKEN_RECORD_MAX);
    assert_int_equal(token_record_encode(record, &stored, &err), 0);
    if (done != NULL)
        done(true, 0, done_arg);
    return 0;
}

struct world {
    struct fake_env *env;
    struct refresher *refresher;
    struct refresher_info info; /* of the only token; no pointer of it */
};

/* relay.conf with one mailbox that logs in by the `credential`'s settings. */
#define CONFIG(provider)                              \
    "credential \"c\" {\nclient_id = \"id\"\n"        \
    "grant = \"authorization_code\"\n" provider "}\n" \
    "mailbox \"" USER "\" { credential = \"c\" }\n"   \
    "milter { default_mailbox = \"" USER "\" }\n"
#define MICROSOFT \
    CONFIG("provider = \"microsoft\"\ntenant = \"contoso.example\"\n")
#define GOOGLE CONFIG("provider = \"google\"\nclient_secret = {\"file:/s\"}\n")
#define CUSTOM                                                   \
    CONFIG("provider = \"custom\"\nservers = {\"mx.example\"}\n" \
           "token_url = \"https://sts.example/token\"\n"         \
           "authorize_url = \"https://sts.example/authorize\"\n" \
           "scope = \"mail\"\n")

static void
start(struct world *world, const char *text)
{
    struct refresher_env env = *fake_env_refresher(world->env);
    struct config *config = fake_env_config(text);
    struct err err = {ERR_NONE, ""};
    struct token_record record;

    env.save = save;
    world->refresher = refresher_new(&env);
    assert_non_null(world->refresher);
    if (stored.len > 0) {
        assert_int_equal(
            token_record_decode(stored.data, stored.len, &record, &err), 0);
        refresher_restore(world->refresher, stored_name, &record);
        token_record_clear(&record);
    }
    assert_int_equal(refresher_configure(world->refresher, config, &err), 0);
    config_unref(&config);
}

static void
sign_in(struct world *world, int64_t life_s)
{
    struct oauth_token token = {.refresh = secret_dup(SECRET "0"),
                                .refresh_lifetime = life_s};
    struct err err = {ERR_NONE, ""};

    assert_int_equal(refresher_sign_in(world->refresher,
                                       &(struct refresher_key){"c", USER},
                                       &token, &err),
                     0);
    oauth_token_clear(&token);
}

static int
set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->env = fake_env_new();
    fake_env_forbid(world->env, SECRET);
    *state = world;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *world = *state;

    refresher_free(&world->refresher);
    fake_env_free(&world->env);
    buf_clear(&stored);
    free(world);
    return 0;
}

static void
note_info(const struct refresher_info *info, void *arg)
{
    struct world *world = arg;

    world->info = *info;
}

/* When the refresh token ends, in seconds from now. 0: not known. */
static int64_t
ends_in(struct world *world)
{
    int64_t wall = FAKE_ENV_WALL + fake_env_now(world->env) / MS;

    refresher_each(world->refresher, note_info, world);
    assert_true(world->info.has_refresh_token);
    return world->info.refresh_expires_wall != 0
               ? world->info.refresh_expires_wall - wall
               : 0;
}

/* An access token that lives a year, and the next refresh token. */
static struct fake_answer
yearly(size_t n, int64_t now_ms)
{
    static char text[64];
    static char refresh[64];

    (void)now_ms;
    (void)snprintf(text, sizeof(text), "access-%zu", n);
    (void)snprintf(refresh, sizeof(refresh), SECRET "%zu", n);
    return (struct fake_answer){
        .text = text, .life_s = 365 * DAY, .refresh_token = refresh};
}

/* The same, but the refresh token stays, as Google's does. */
static struct fake_answer
yearly_and_the_same(size_t n, int64_t now_ms)
{
    struct fake_answer answer = yearly(n, now_ms);

    answer.refresh_token = NULL;
    return answer;
}

/* An access token of an hour, a refresh token of half an hour. */
static struct fake_answer
short_rest(size_t n, int64_t now_ms)
{
    struct fake_answer answer = yearly(n, now_ms);

    answer.life_s = HOUR;
    answer.refresh_life_s = 1800;
    return answer;
}

static struct fake_answer
down(size_t n, int64_t now_ms)
{
    (void)n;
    (void)now_ms;
    return (struct fake_answer){.problem = PROBLEM_UNAVAILABLE};
}

/* Let `days` pass; the refresh token must never come near its end. */
static void
rest(struct world *world, int days, int64_t want_left)
{
    for (int i = 0; i < days; i++) {
        fake_env_advance(world->env, DAY * MS);
        assert_in_range(ends_in(world), want_left, 180 * DAY);
    }
}

static void
a_year_passes_without_a_use(void **state)
{
    struct world *world = *state;

    fake_env_script(world->env, 100, yearly);
    start(world, MICROSOFT);
    sign_in(world, 0);
    rest(world, 365, 83 * DAY);
    /* Every week, or up to a tenth sooner; not much more often. */
    assert_in_range(fake_env_starts(world->env), 52, 60);
    for (size_t i = 1; i < fake_env_starts(world->env); i++)
        assert_in_range(fake_env_started_at(world->env, i) -
                            fake_env_started_at(world->env, i - 1),
                        6 * DAY * MS, WEEK * MS + 1000);
}

static void
one_that_stays_the_same_is_used_too(void **state)
{
    struct world *world = *state;

    fake_env_script(world->env, 100, yearly_and_the_same);
    start(world, GOOGLE);
    sign_in(world, 0);
    rest(world, 200, 173 * DAY);
    assert_in_range(fake_env_starts(world->env), 28, 34);
}

/* Every other answer has an access token that can't be used. */
static struct fake_answer
half_useless(size_t n, int64_t now_ms)
{
    struct fake_answer answer = yearly(n, now_ms);

    if (n % 2 == 1)
        answer.text = NULL;
    answer.problem = PROBLEM_BAD_ANSWER;
    return answer;
}

/* The provider takes each refresh token once: the last one that it gave out is
 * used and stored, whatever came with it. */
static void
one_that_came_with_a_useless_answer_is_the_next(void **state)
{
    struct world *world = *state;
    struct fake_request request;
    char next[64];

    start(world, CUSTOM);
    sign_in(world, 0);
    for (size_t n = 0; n < 6; n++) {
        struct fake_answer answer = half_useless(n, 0);

        while (fake_env_open(world->env) == 0)
            fake_env_advance(world->env, HOUR * MS);
        assert_true(fake_env_oldest(world->env, &request));
        if (n > 0)
            assert_string_equal(request.refresh_token, next);
        fake_env_answer(world->env, &answer);
        (void)snprintf(next, sizeof(next), "%s", answer.refresh_token);
        assert_non_null(strstr(buf_str(&stored), next));
    }
}

static void
of_a_provider_that_says_nothing_no_end_is_known(void **state)
{
    struct world *world = *state;

    fake_env_script(world->env, 100, yearly);
    start(world, CUSTOM);
    sign_in(world, 0);
    fake_env_advance(world->env, 30 * DAY * MS);
    assert_int_equal(ends_in(world), 0);
    assert_in_range(fake_env_starts(world->env), 4, 6);
}

static void
one_that_rests_shorter_than_an_access_token_lives(void **state)
{
    struct world *world = *state;

    fake_env_script(world->env, 100, short_rest);
    start(world, CUSTOM);
    sign_in(world, 1800);
    for (int i = 0; i < 500; i++) {
        fake_env_advance(world->env, 60 * MS);
        assert_in_range(ends_in(world), 800, 1800);
    }
}

/* A week, however often it is used, and each answer says what is left. */
static struct fake_answer
a_week(size_t n, int64_t now_ms)
{
    struct fake_answer answer = yearly(n, now_ms);

    answer.life_s = HOUR;
    answer.refresh_life_s = WEEK - now_ms / MS;
    return answer;
}

static void
ends_that_move_are_not_worth_a_word(void **state)
{
    struct world *world = *state;

    fake_env_script(world->env, 100, short_rest);
    start(world, CUSTOM);
    sign_in(world, 1800);
    for (int i = 0; i < 500; i++) {
        fake_env_advance(world->env, 60 * MS);
        (void)ends_in(world);
        assert_false(world->info.is_refresh_ending);
    }
    /* Nobody answers: it is. */
    fake_env_script(world->env, 100, down);
    fake_env_advance(world->env, 1300 * MS);
    (void)ends_in(world);
    assert_true(world->info.is_refresh_ending);
}

static void
ends_that_do_not_move_are_worth_a_word(void **state)
{
    struct world *world = *state;

    fake_env_script(world->env, 100, a_week);
    start(world, CUSTOM);
    sign_in(world, WEEK);
    fake_env_advance(world->env, 3 * DAY * MS);
    assert_in_range(ends_in(world), 4 * DAY - 60, 4 * DAY + 60);
    assert_false(world->info.is_refresh_ending);
    fake_env_advance(world->env, 2 * DAY * MS);
    assert_in_range(ends_in(world), 2 * DAY - 60, 2 * DAY + 60);
    assert_true(world->info.is_refresh_ending);
}

static void
an_outage_takes_nothing_away_and_ends_are_foreseen(void **state)
{
    struct world *world = *state;

    fake_env_script(world->env, 100, yearly);
    start(world, MICROSOFT);
    sign_in(world, 0);
    fake_env_advance(world->env, MS);
    fake_env_script(world->env, 100, down);
    fake_env_advance(world->env, 40 * DAY * MS);
    assert_int_equal(ends_in(world), 50 * DAY - 1);
    assert_false(world->info.is_refresh_ending);
    fake_env_advance(world->env, 20 * DAY * MS);
    assert_int_equal(ends_in(world), 30 * DAY - 1);
    assert_true(world->info.is_refresh_ending);
    fake_env_script(world->env, 100, yearly);
    fake_env_advance(world->env, HOUR * MS);
    assert_in_range(ends_in(world), 89 * DAY, 90 * DAY);
}

static void
a_restart_knows_it_all(void **state)
{
    struct world *world = *state;
    size_t starts;
    int64_t ends;

    fake_env_script(world->env, 100, yearly);
    start(world, MICROSOFT);
    sign_in(world, 60 * DAY);
    fake_env_advance(world->env, 10 * DAY * MS);
    ends = ends_in(world);
    starts = fake_env_starts(world->env);
    refresher_free(&world->refresher);

    fake_env_suspend(world->env, 2 * DAY * MS);
    start(world, MICROSOFT);
    assert_int_equal(ends_in(world), ends - 2 * DAY);
    fake_env_advance(world->env, DAY * MS);
    assert_int_equal(fake_env_starts(world->env), starts); /* not due yet */
    fake_env_advance(world->env, 2 * DAY * MS);
    assert_int_equal(fake_env_starts(world->env), starts + 1);
    refresher_free(&world->refresher);

    /* Down for a month: used at once. */
    starts = fake_env_starts(world->env);
    fake_env_suspend(world->env, 30 * DAY * MS);
    start(world, MICROSOFT);
    assert_in_range(ends_in(world), 58 * DAY, 60 * DAY);
    fake_env_advance(world->env, 60 * MS);
    assert_int_equal(fake_env_starts(world->env), starts + 1);
    assert_in_range(ends_in(world), 89 * DAY, 90 * DAY);
}

static void
a_sign_out_forgets_the_end(void **state)
{
    struct world *world = *state;
    struct err err = {ERR_NONE, ""};

    fake_env_script(world->env, 100, yearly);
    start(world, MICROSOFT);
    sign_in(world, 0);
    fake_env_advance(world->env, DAY * MS);
    assert_int_equal(refresher_sign_out(world->refresher,
                                        &(struct refresher_key){"c", USER},
                                        &err),
                     0);
    refresher_each(world->refresher, note_info, world);
    assert_false(world->info.has_refresh_token);
    assert_int_equal(world->info.refresh_expires_wall, 0);
    assert_int_equal(world->info.refresh_obtained_wall, 0);
}

int
main(void)
{
    static const struct CMUnitTest scenarios[] = {
        cmocka_unit_test(an_answer_renews_it),
#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        SCENARIO(a_year_passes_without_a_use),
        SCENARIO(one_that_stays_the_same_is_used_too),
        SCENARIO(one_that_came_with_a_useless_answer_is_the_next),
        SCENARIO(of_a_provider_that_says_nothing_no_end_is_known),
        SCENARIO(one_that_rests_shorter_than_an_access_token_lives),
        SCENARIO(ends_that_move_are_not_worth_a_word),
        SCENARIO(ends_that_do_not_move_are_worth_a_word),
        SCENARIO(an_outage_takes_nothing_away_and_ends_are_foreseen),
        SCENARIO(a_restart_knows_it_all),
        SCENARIO(a_sign_out_forgets_the_end),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(scenarios)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    memcpy(tests + ARRAY_LEN(rows), scenarios, sizeof(scenarios));
    return cmocka_run_group_tests_name("refresh_token", tests, NULL, NULL);
}
