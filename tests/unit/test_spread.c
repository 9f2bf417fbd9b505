/*
 * Ten thousand mailboxes with refresh tokens of their own, for hours, in a
 * world that the test moves: however they begin, no second gets more than
 * three times the mean of requests. And a refresh token is not used before it
 * is durable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/secret.h"
#include "tests/unit/fake_env.h"
#include "token-daemon/refresher.h"
#include "token-daemon/token_record.h"

#define COUNT      10000
#define MS         INT64_C(1000) /* of a second */
#define HOUR       INT64_C(3600) /* s */
#define HOURS      4
#define SECONDS    (HOURS * HOUR)
#define START_S    50 /* in which they are fetched at a start */
#define BOUND      3  /* times the mean */
#define TEXTS      4096
#define LATENCY_MS 300
#define CONFIG_MAX ((size_t)4 << 20)
#define CONFIG_BEGIN                                       \
    "credential \"c\" {\nprovider = \"custom\"\n"          \
    "client_id = \"id\"\ngrant = \"authorization_code\"\n" \
    "servers = {\"mx.example\"}\n"                         \
    "token_url = \"https://sts.example/token\"\n"          \
    "authorize_url = \"https://sts.example/authorize\"\n"  \
    "scope = \"mail\"\n}\n"

struct world {
    struct fake_env *env;
    struct refresher *refresher;
};

/* ---- Making it ----------------------------------------------------------- */

static int
set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->env = fake_env_new();
    fake_env_roll(world->env, 12345);
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
make(struct world *world, const struct refresher_env *env)
{
    world->refresher = refresher_new(env);
    assert_non_null(world->refresher);
}

static void
configure(struct world *world, size_t count)
{
    struct err err = {ERR_NONE, ""};
    struct config *config;
    struct buf text;

    buf_init(&text, CONFIG_MAX);
    buf_append_str(&text, CONFIG_BEGIN);
    for (size_t i = 0; i < count; i++) {
        char line[64];

        (void)snprintf(line, sizeof(line),
                       "mailbox \"m%zu@x.example\" { credential = \"c\" }\n",
                       i);
        buf_append_str(&text, line);
    }
    assert_false(buf_failed(&text));
    config = fake_env_config(buf_str(&text));
    buf_clear(&text);
    assert_int_equal(refresher_configure(world->refresher, config, &err), 0);
    config_unref(&config);
}

/* What the process before left of each; the times are relative to now. */
static void
restore(struct world *world, size_t count, const struct token_record *left)
{
    for (size_t i = 0; i < count; i++) {
        struct token_record record = *left;
        char name[64];

        (void)snprintf(name, sizeof(name), "c m%zu@x.example", i);
        record.refresh_token = secret_dup("refresh");
        if (left->lifetime_s > 0) {
            record.access_token = secret_dup("access");
            record.expires_wall += FAKE_ENV_WALL;
            record.due_wall += FAKE_ENV_WALL;
        }
        refresher_restore(world->refresher, name, &record);
    }
}

/* Lives as long as Entra's do, and another text each time. */
static struct fake_answer
answer(size_t n, int64_t now_ms)
{
    static char texts[TEXTS][24];

    (void)now_ms;
    (void)snprintf(texts[n % TEXTS], sizeof(texts[0]), "access-%zu", n);
    return (struct fake_answer){.text = texts[n % TEXTS],
                                .life_s =
                                    HOUR + (int64_t)(n * 2654435761U % 1800)};
}

/* ---- Counting ------------------------------------------------------------ */

/* Requests of [from, to) seconds: the fullest second against the mean. */
static void
assert_even(const struct world *world, int64_t from, int64_t to)
{
    unsigned *per_second = calloc((size_t)(to - from), sizeof(*per_second));
    unsigned fullest = 0;
    size_t count = 0;
    double mean;

    assert_non_null(per_second);
    for (size_t i = 0; i < fake_env_starts(world->env); i++) {
        int64_t second = fake_env_started_at(world->env, i) / MS - from;

        if (second < 0 || second >= to - from)
            continue;
        count++;
        if (++per_second[second] > fullest)
            fullest = per_second[second];
    }
    free(per_second);
    mean = (double)count / (double)(to - from);
    print_message("# %lld to %lld s: %zu requests, %.2f a second, at most %u\n",
                  (long long)from, (long long)to, count, mean, fullest);
    assert_true(count >= COUNT);
    assert_true(fullest <= BOUND * mean);
}

static size_t
requests_before(const struct world *world, int64_t second)
{
    size_t count = 0;

    for (size_t i = 0; i < fake_env_starts(world->env); i++)
        count += fake_env_started_at(world->env, i) < second * MS;
    return count;
}

static void
run(struct world *world, const struct token_record *left)
{
    make(world, fake_env_refresher(world->env));
    restore(world, COUNT, left);
    fake_env_drop_log(world->env);
    fake_env_script(world->env, LATENCY_MS, answer);
    configure(world, COUNT);
    fake_env_advance(world->env, SECONDS * MS);
    fake_env_script(world->env, LATENCY_MS, NULL);
}

/* ---- Tests --------------------------------------------------------------- */

static void
a_start_without_access_tokens(void **state)
{
    struct world *world = *state;

    run(world, &(struct token_record){0});
    assert_int_equal(requests_before(world, START_S + 1), COUNT);
    assert_even(world, 0, START_S);
    assert_even(world, START_S + 1, SECONDS);
}

static void
all_were_obtained_at_the_same_moment(void **state)
{
    struct world *world = *state;

    run(world, &(struct token_record){
                   .lifetime_s = 4500, .expires_wall = 4300, .due_wall = 2050});
    assert_even(world, 0, SECONDS);
}

static void
all_are_overdue_and_live(void **state)
{
    struct world *world = *state;

    run(world, &(struct token_record){.lifetime_s = 4500,
                                      .expires_wall = 1000,
                                      .due_wall = -1250});
    assert_int_equal(requests_before(world, START_S + 1), COUNT);
    assert_even(world, 0, START_S);
}

static void
an_even_plan_survives_a_restart(void **state)
{
    struct world *world = *state;
    size_t before;

    make(world, fake_env_refresher(world->env));
    for (size_t i = 0; i < 100; i++) {
        struct token_record record = {
            .access_token = secret_dup("access"),
            .refresh_token = secret_dup("refresh"),
            .lifetime_s = 4500,
            .expires_wall = FAKE_ENV_WALL + 4000,
            .due_wall = FAKE_ENV_WALL + 100 + (int64_t)i,
        };
        char name[64];

        (void)snprintf(name, sizeof(name), "c m%zu@x.example", i);
        refresher_restore(world->refresher, name, &record);
    }
    configure(world, 100);
    fake_env_advance(world->env, 100 * MS - 1);
    assert_int_equal(fake_env_starts(world->env), 0);
    for (size_t i = 0; i < 100; i++) {
        before = fake_env_starts(world->env);
        fake_env_advance(world->env, MS);
        assert_int_equal(fake_env_starts(world->env), before + 1);
        fake_env_answer(world->env,
                        &(struct fake_answer){.text = "new", .life_s = 4500});
    }
}

/* ---- What is not durable is not used ------------------------------------- */

/* What was stored last and is to be told of. */
static refresher_saved_fn *saved;
static void *saved_arg;
static size_t saves;
static int64_t window_us;

static int
save(void *arg, const char *name, const struct token_record *record,
     refresher_saved_fn *done, void *done_arg)
{
    (void)arg;
    (void)name;
    (void)record;
    saves++;
    if (done != NULL) {
        assert_null(saved);
        saved = done;
        saved_arg = done_arg;
    }
    return 0;
}

static void
unsave(void *arg, const void *done_arg)
{
    (void)arg;
    if (saved_arg == done_arg)
        saved = NULL;
}

static void
durable(void *arg, int64_t us)
{
    (void)arg;
    window_us = us;
}

/* The disk is done with it. */
static void
tell_saved(bool is_durable)
{
    refresher_saved_fn *done = saved;

    assert_non_null(done);
    saved = NULL;
    done(is_durable, 5000, saved_arg);
}

static const char *
text_of(const struct world *world)
{
    const struct token *token = refresher_peek(
        world->refresher, &(struct refresher_key){"c", "m0@x.example"});

    assert_non_null(token);
    return token->text != NULL ? token->text : "";
}

/* A mailbox whose token is alive, with a newer one on its way to the disk. */
static void
bring_to_the_disk(struct world *world)
{
    struct refresher_env env = *fake_env_refresher(world->env);

    env.save = save;
    env.unsave = unsave;
    env.durable = durable;
    saved = NULL;
    saves = 0;
    window_us = -1;
    make(world, &env);
    restore(world, 1,
            &(struct token_record){
                .lifetime_s = 100, .expires_wall = 50, .due_wall = 10});
    configure(world, 1);
    fake_env_advance(world->env, 20 * MS);
    assert_int_equal(fake_env_starts(world->env), 1);
    fake_env_answer(world->env, &(struct fake_answer){.text = "second",
                                                      .life_s = 100,
                                                      .refresh_token = "r2",
                                                      .answered_us = 1000});
    assert_non_null(saved);
}

static void
the_old_token_is_served_until_the_new_one_is_durable(void **state)
{
    struct world *world = *state;

    bring_to_the_disk(world);
    assert_string_equal(text_of(world), "access");
    tell_saved(true);
    assert_string_equal(text_of(world), "second");
    assert_int_equal(window_us, 4000);
}

static void
the_old_token_ends_before_the_disk_is_done(void **state)
{
    struct world *world = *state;

    bring_to_the_disk(world);
    fake_env_advance(world->env, 31 * MS);
    assert_string_equal(text_of(world), "second");
    /* Its time has come again; what it would be asked with is not durable. */
    fake_env_advance(world->env, 60 * MS);
    assert_int_equal(fake_env_starts(world->env), 1);
    tell_saved(true);
    assert_int_equal(fake_env_starts(world->env), 2);
    fake_env_answer(world->env,
                    &(struct fake_answer){.text = "third", .life_s = 100});
    assert_string_equal(text_of(world), "third");
}

static void
a_disk_that_never_comes_back_does_not_end_the_service(void **state)
{
    struct world *world = *state;

    bring_to_the_disk(world);
    fake_env_advance(world->env, 31 * MS);
    fake_env_advance(world->env, 100 * MS); /* the second one ends */
    assert_int_equal(fake_env_starts(world->env), 2);
    fake_env_answer(world->env,
                    &(struct fake_answer){.text = "third", .life_s = 100});
    assert_string_equal(text_of(world), "third");
}

static void
a_failed_commit_is_told_once_and_the_new_token_is_used(void **state)
{
    struct world *world = *state;

    bring_to_the_disk(world);
    tell_saved(false);
    assert_string_equal(text_of(world), "second");
    assert_int_equal(window_us, -1);
    assert_int_equal(fake_env_logged(world->env, "held in memory only"), 1);
}

static void
a_sign_out_forgets_what_waits(void **state)
{
    struct world *world = *state;
    struct err err = {ERR_NONE, ""};

    bring_to_the_disk(world);
    fake_env_advance(world->env, 90 * MS);
    assert_int_equal(
        refresher_sign_out(world->refresher,
                           &(struct refresher_key){"c", "m0@x.example"}, &err),
        0);
    tell_saved(true);
    assert_string_equal(text_of(world), "");
    assert_int_equal(fake_env_starts(world->env), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_start_without_access_tokens),
        TEST(all_were_obtained_at_the_same_moment),
        TEST(all_are_overdue_and_live),
        TEST(an_even_plan_survives_a_restart),
        TEST(the_old_token_is_served_until_the_new_one_is_durable),
        TEST(the_old_token_ends_before_the_disk_is_done),
        TEST(a_disk_that_never_comes_back_does_not_end_the_service),
        TEST(a_failed_commit_is_told_once_and_the_new_token_is_used),
        TEST(a_sign_out_forgets_what_waits),
    };

    return cmocka_run_group_tests_name("spread", tests, NULL, NULL);
}
