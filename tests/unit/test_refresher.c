/*
 * The refresher in a world that the test moves: when it fetches, and that each
 * who asks is answered exactly once, whatever happens meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "token-daemon/key.h"
#include "token-daemon/refresher.h"
#include "token-daemon/token_record.h"

#define SECOND     INT64_C(1000) /* ms */
#define MINUTE     (60 * SECOND)
#define HOUR       (60 * MINUTE)
#define PATIENCE   (15 * SECOND)
#define NEEDED     (300 * SECOND) /* life that askers want left */
#define TEXT_A     "eyJ0eXAi.text-a"
#define TEXT_B     "eyJ0eXAi.text-b"
#define ASKERS_MAX 500
#define TEXT_MAX   64

#define CREDENTIAL(name, tenant, secret)                   \
    "credential \"" name                                   \
    "\" {\n provider = \"microsoft\"\n tenant = \"" tenant \
    "\"\n client_id = \"id\"\n client_secret = {\"file:" secret "\"}\n}\n"
#define ONE CREDENTIAL("one", "contoso.example", "/etc/one")
#define TWO CREDENTIAL("two", "contoso.example", "/etc/two")
#define USED_BY(name)                                                \
    "mailbox \"m@" name ".example\" { credential = \"" name "\" }\n" \
    "milter { default_mailbox = \"m@" name ".example\" }\n"
#define CONFIG_ONE  ONE USED_BY("one")
#define CONFIG_TWO  TWO USED_BY("two")
#define CONFIG_BOTH ONE TWO USED_BY("one")

static const struct fake_answer answer_a = {.text = TEXT_A, .life_s = 3600};
static const struct fake_answer answer_b = {.text = TEXT_B, .life_s = 3600};
static const struct fake_answer unavailable = {.problem = PROBLEM_UNAVAILABLE};

/* ---- Who asks ----------------------------------------------------------- */

struct world;

struct asker {
    struct world *world;
    struct refresher_waiter *waiter;
    unsigned answers;
    bool is_given;
    bool is_late;
    char text[TEXT_MAX];
    char reason[TEXT_MAX];
    int64_t answered_at;
    size_t order; /* which answer of the test this was, from 1 */
    /* What to do in the middle of the answer. */
    void (*then)(struct asker *asker);
    struct asker *other;
    const char *config;
};

struct world {
    struct fake_env *env;
    struct refresher *refresher;
    struct asker askers[ASKERS_MAX];
    size_t answers;
};

static void
on_answer(const struct refresher_answer *answer, void *arg)
{
    struct asker *asker = arg;

    asker->waiter = NULL;
    asker->answers++;
    asker->order = ++asker->world->answers;
    asker->is_given = answer->is_given;
    asker->is_late = answer->is_late;
    asker->answered_at = fake_env_now(asker->world->env);
    (void)snprintf(asker->text, sizeof(asker->text), "%s",
                   answer->is_given ? answer->token->text : "");
    (void)snprintf(asker->reason, sizeof(asker->reason), "%s",
                   token_problem(answer->token)->reason);
    if (answer->is_given)
        assert_true(token_is_alive(answer->token,
                                   FAKE_ENV_BOOT_MS + asker->answered_at));
    if (asker->then != NULL)
        asker->then(asker);
}

/* Ask for `credential`; `serial` was seen refused. */
static struct asker *
ask_for(struct world *world, struct asker *asker, const char *credential,
        uint64_t serial)
{
    struct refresher_waiter *waiter;

    asker->world = world;
    assert_null(asker->waiter);
    waiter = refresher_ask(world->refresher,
                           &(struct refresher_question){
                               .key = {credential, NULL},
                               .min_ms = NEEDED,
                               .refused_serial = serial,
                               .patience_ms = PATIENCE,
                           },
                           on_answer, asker);
    if (waiter != NULL)
        asker->waiter = waiter;
    return asker;
}

static struct asker *
ask(struct world *world, size_t i)
{
    return ask_for(world, &world->askers[i], "one", 0);
}

static void
assert_given(const struct asker *asker, const char *text)
{
    assert_int_equal(asker->answers, 1);
    assert_true(asker->is_given);
    assert_false(asker->is_late);
    assert_string_equal(asker->text, text);
}

static void
assert_refused(const struct asker *asker, const char *reason)
{
    assert_int_equal(asker->answers, 1);
    assert_false(asker->is_given);
    assert_string_equal(asker->reason, reason);
}

/* ---- The world ---------------------------------------------------------- */

static void
configure(struct world *world, const char *text)
{
    struct config *config = fake_env_config(text);
    struct err err = {ERR_NONE, ""};

    assert_int_equal(refresher_configure(world->refresher, config, &err), 0);
    config_unref(&config);
}

static int
set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->env = fake_env_new();
    world->refresher = refresher_new(fake_env_refresher(world->env));
    assert_non_null(world->refresher);
    configure(world, CONFIG_ONE);
    *state = world;
    return 0;
}

/* Nobody is ever answered twice, or after the end. */
static int
tear_down(void **state)
{
    struct world *world = *state;
    size_t answers = world->answers;

    refresher_free(&world->refresher);
    assert_int_equal(world->answers, answers);
    fake_env_free(&world->env);
    free(world);
    return 0;
}

/* Have the first token, TEXT_A, of 3600 s from the beginning of the test. */
static void
get_first(struct world *world)
{
    fake_env_advance(world->env, 0);
    fake_env_answer(world->env, &answer_a);
}

static const struct token *
peek(struct world *world)
{
    return refresher_peek(world->refresher,
                          &(struct refresher_key){"one", NULL});
}

/* ---- One request -------------------------------------------------------- */

static void
every_token_is_fetched_at_start(void **state)
{
    struct world *world = *state;

    configure(world, CONFIG_BOTH);
    assert_int_equal(fake_env_starts(world->env), 0);
    fake_env_advance(world->env, 0);
    assert_int_equal(fake_env_starts(world->env), 2);
    fake_env_answer(world->env, &answer_a);
    fake_env_answer(world->env, &answer_b);
    assert_string_equal(
        refresher_peek(world->refresher, &(struct refresher_key){"one", NULL})
            ->text,
        TEXT_A);
    assert_string_equal(
        refresher_peek(world->refresher, &(struct refresher_key){"two", NULL})
            ->text,
        TEXT_B);
    assert_null(refresher_peek(world->refresher,
                               &(struct refresher_key){"three", NULL}));
}

static void
the_requests_at_start_are_spread(void **state)
{
    struct world *world = *state;

    fake_env_chance(world->env, 0.5);
    configure(world, CONFIG_BOTH);
    fake_env_advance(world->env, 4);
    assert_int_equal(fake_env_starts(world->env), 0);
    fake_env_advance(world->env, 1);
    assert_int_equal(fake_env_starts(world->env), 2);
}

static void
five_hundred_who_ask_share_one_request_and_are_answered_in_order(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ASKERS_MAX; i++)
        assert_non_null(ask(world, i)->waiter);
    fake_env_advance(world->env, 200);
    assert_int_equal(fake_env_starts(world->env), 1);
    fake_env_answer(world->env, &answer_a);
    for (size_t i = 0; i < ASKERS_MAX; i++) {
        assert_given(&world->askers[i], TEXT_A);
        assert_int_equal(world->askers[i].order, i + 1);
    }
    fake_env_advance(world->env, PATIENCE);
    assert_int_equal(world->answers, ASKERS_MAX);
}

static void
at_expiry_one_request_serves_all(void **state)
{
    struct world *world = *state;

    get_first(world);
    fake_env_suspend(world->env, 3600 * SECOND);
    for (size_t i = 0; i < 50; i++)
        ask(world, i);
    fake_env_advance(world->env, 200);
    assert_int_equal(fake_env_starts(world->env), 2);
    fake_env_answer(world->env, &answer_b);
    for (size_t i = 0; i < 50; i++)
        assert_given(&world->askers[i], TEXT_B);
}

static void
a_token_in_force_is_given_at_once(void **state)
{
    struct world *world = *state;

    get_first(world);
    assert_null(ask(world, 0)->waiter);
    assert_given(&world->askers[0], TEXT_A);
    assert_int_equal(fake_env_starts(world->env), 1);
}

static void
a_token_is_fetched_again_though_nobody_asks(void **state)
{
    struct world *world = *state;

    get_first(world);
    fake_env_advance(world->env, 1800 * SECOND - 1);
    assert_int_equal(fake_env_starts(world->env), 1);
    fake_env_advance(world->env, 1);
    assert_int_equal(fake_env_starts(world->env), 2);
    ask(world, 0);
    assert_given(&world->askers[0], TEXT_A);
}

static void
a_timer_that_fires_early_does_not_fetch_early(void **state)
{
    struct world *world = *state;

    fake_env_advance(world->env, 0);
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_THROTTLED,
                                          .retry_after_s = 3});
    assert_true(fake_env_fire_early(world->env));
    assert_int_equal(fake_env_now(world->env), 2999);
    assert_int_equal(fake_env_starts(world->env), 1);
    fake_env_advance(world->env, 1);
    assert_int_equal(fake_env_starts(world->env), 2);
}

static void
after_a_suspension_who_asks_and_the_timer_make_one_request(void **state)
{
    struct world *world = *state;

    get_first(world);
    fake_env_suspend(world->env, 10 * HOUR);
    assert_non_null(ask(world, 0)->waiter);
    fake_env_advance(world->env, 1);
    assert_int_equal(fake_env_starts(world->env), 2);
    fake_env_answer(world->env, &answer_b);
    assert_given(&world->askers[0], TEXT_B);
}

/* Which of a list was used before the start says nothing of the list of now. */
static void
what_was_stored_names_no_secret(void **state)
{
    static const char data[] =
        "{\"version\":2,\"access_token_bytes\":6,\"expires\":1790003600,"
        "\"lifetime\":7200,\"due\":1790001800,\"secret_index\":1}\nstored";
    static const struct key_salt salt = {{0}};
    struct world *world = *state;
    struct fake_answer answer = answer_a;
    struct refresher_info info;
    struct token_record record;
    struct err err = {ERR_NONE, ""};

    answer.key = key_new(KEY_SECRET, &salt);
    assert_non_null(answer.key);
    (void)snprintf(answer.key->source, sizeof(answer.key->source), "file:/a");
    refresher_free(&world->refresher);
    world->refresher = refresher_new(fake_env_refresher(world->env));
    assert_int_equal(token_record_decode(data, sizeof(data) - 1, &record, &err),
                     0);
    refresher_restore(world->refresher, "one", &record);
    configure(world, CREDENTIAL("one", "contoso.example",
                                "/etc/new\", \"file:/etc/one") USED_BY("one"));
    assert_true(refresher_describe(
        world->refresher, &(struct refresher_key){"one", NULL}, &info));
    assert_string_equal(info.token->text, "stored");
    assert_null(info.secret);
    fake_env_advance(world->env, 1800 * SECOND);
    fake_env_answer(world->env, &answer);
    assert_true(refresher_describe(
        world->refresher, &(struct refresher_key){"one", NULL}, &info));
    assert_string_equal(info.secret, "file:/a");
    key_unref(&answer.key);
}

static void
a_secret_that_is_new_is_tried_again_within_seconds(void **state)
{
    struct world *world = *state;

    fake_env_advance(world->env, 0);
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_BAD_SECRET,
                                          .may_spread = true});
    fake_env_advance(world->env, 2 * SECOND);
    assert_int_equal(fake_env_starts(world->env), 2);
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_BAD_SECRET});
    fake_env_advance(world->env, 59 * SECOND);
    assert_int_equal(fake_env_starts(world->env), 2);
}

/* ---- Who waits ---------------------------------------------------------- */

static void
who_waits_is_answered_at_the_deadline_and_not_before(void **state)
{
    struct world *world = *state;

    ask(world, 0);
    fake_env_advance(world->env, PATIENCE - 1);
    assert_int_equal(world->answers, 0);
    fake_env_advance(world->env, 1);
    assert_refused(&world->askers[0], "");
    assert_true(world->askers[0].is_late);
    fake_env_answer(world->env, &answer_a);
    assert_int_equal(world->answers, 1);
}

static void
each_has_a_deadline_of_its_own(void **state)
{
    struct world *world = *state;

    ask(world, 0);
    fake_env_advance(world->env, 5 * SECOND);
    ask(world, 1);
    fake_env_advance(world->env, 10 * SECOND);
    assert_int_equal(world->answers, 1);
    assert_true(world->askers[0].is_late);
    fake_env_answer(world->env, &answer_a);
    assert_given(&world->askers[1], TEXT_A);
}

static void
at_the_deadline_a_token_that_still_lives_is_given(void **state)
{
    struct world *world = *state;

    get_first(world);
    fake_env_suspend(world->env, 3400 * SECOND);
    assert_non_null(ask(world, 0)->waiter);
    fake_env_advance(world->env, PATIENCE);
    assert_given(&world->askers[0], TEXT_A);
}

static void
who_waits_is_answered_when_a_try_within_the_deadline_works(void **state)
{
    struct world *world = *state;

    ask(world, 0);
    fake_env_answer(world->env, &unavailable);
    assert_int_equal(world->answers, 0);
    fake_env_advance(world->env, SECOND);
    fake_env_answer(world->env, &unavailable);
    fake_env_advance(world->env, 2 * SECOND);
    fake_env_answer(world->env, &answer_a);
    assert_given(&world->askers[0], TEXT_A);
}

static void
who_waits_is_refused_when_the_next_try_is_too_late(void **state)
{
    struct world *world = *state;

    ask(world, 0);
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_BAD_SECRET});
    assert_refused(&world->askers[0], "bad-secret");
    assert_false(world->askers[0].is_late);
    ask(world, 1);
    assert_refused(&world->askers[1], "bad-secret");
    assert_int_equal(fake_env_starts(world->env), 1);
}

static void
who_goes_away_is_not_answered_and_the_others_are(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 3; i++)
        ask(world, i);
    refresher_forget(&world->askers[1].waiter);
    assert_null(world->askers[1].waiter);
    refresher_forget(&world->askers[1].waiter);
    fake_env_answer(world->env, &answer_a);
    assert_given(&world->askers[0], TEXT_A);
    assert_int_equal(world->askers[1].answers, 0);
    assert_given(&world->askers[2], TEXT_A);
}

static void
when_all_go_away_the_request_goes_on(void **state)
{
    struct world *world = *state;

    ask(world, 0);
    refresher_forget(&world->askers[0].waiter);
    fake_env_answer(world->env, &answer_a);
    assert_string_equal(peek(world)->text, TEXT_A);
    fake_env_advance(world->env, PATIENCE);
    assert_int_equal(world->answers, 0);
}

static void
forget_other(struct asker *asker)
{
    refresher_forget(&asker->other->waiter);
}

static void
an_answer_may_send_one_away_who_still_waits(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 4; i++)
        ask(world, i);
    world->askers[1].then = forget_other;
    world->askers[1].other = &world->askers[2];
    fake_env_answer(world->env, &answer_a);
    assert_given(&world->askers[0], TEXT_A);
    assert_given(&world->askers[1], TEXT_A);
    assert_int_equal(world->askers[2].answers, 0);
    assert_given(&world->askers[3], TEXT_A);
}

/* The first goes on waiting (its deadline is later), the second is answered. */
static void
an_answer_may_send_one_away_who_was_passed_over(void **state)
{
    struct world *world = *state;

    ask(world, 0);
    fake_env_advance(world->env, 10 * SECOND);
    ask(world, 1); /* 5 s more than the first */
    fake_env_advance(world->env, 4 * SECOND);
    ask(world, 2);
    /* Tried again after 4 s: too late for the first only. */
    world->askers[0].then = forget_other;
    world->askers[0].other = &world->askers[2];
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_UNAVAILABLE,
                                          .retry_after_s = 4});
    assert_refused(&world->askers[0], "idp-unavailable");
    assert_int_equal(world->answers, 1);
    fake_env_advance(world->env, 4 * SECOND);
    fake_env_answer(world->env, &answer_a);
    assert_given(&world->askers[1], TEXT_A);
    assert_int_equal(world->askers[2].answers, 0);
}

static void
ask_with_other(struct asker *asker)
{
    ask_for(asker->world, asker->other, "one", 0);
}

static void
an_answer_may_ask_again_and_is_given_the_new_token(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 3; i++) {
        ask(world, i);
        world->askers[i].then = ask_with_other;
        world->askers[i].other = &world->askers[10 + i];
    }
    fake_env_answer(world->env, &answer_a);
    for (size_t i = 0; i < 3; i++) {
        assert_given(&world->askers[i], TEXT_A);
        assert_given(&world->askers[10 + i], TEXT_A);
    }
    assert_int_equal(fake_env_starts(world->env), 1);
}

static void
a_refusal_may_ask_again_and_then_waits_for_the_next_try(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 3; i++) {
        ask(world, i);
        world->askers[i].then = ask_with_other;
        world->askers[i].other = &world->askers[10 + i];
    }
    fake_env_advance(world->env, 14 * SECOND);
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_UNAVAILABLE,
                                          .retry_after_s = 2});
    for (size_t i = 0; i < 3; i++) {
        assert_refused(&world->askers[i], "idp-unavailable");
        assert_non_null(world->askers[10 + i].waiter);
    }
    fake_env_advance(world->env, 2 * SECOND);
    assert_int_equal(fake_env_starts(world->env), 2);
    fake_env_answer(world->env, &answer_a);
    for (size_t i = 0; i < 3; i++)
        assert_given(&world->askers[10 + i], TEXT_A);
    assert_int_equal(world->answers, 6);
}

static void
a_late_answer_may_ask_again(void **state)
{
    struct world *world = *state;

    ask(world, 0);
    world->askers[0].then = ask_with_other;
    world->askers[0].other = &world->askers[1];
    fake_env_advance(world->env, PATIENCE);
    assert_true(world->askers[0].is_late);
    assert_non_null(world->askers[1].waiter);
    fake_env_answer(world->env, &answer_a);
    assert_given(&world->askers[1], TEXT_A);
}

/* A token that is dead on arrival: the world stood still for too long. */
static void
a_token_that_is_dead_when_it_comes_is_fetched_again(void **state)
{
    struct world *world = *state;

    get_first(world);
    fake_env_suspend(world->env, 3600 * SECOND);
    ask(world, 0);
    fake_env_answer(world->env,
                    &(struct fake_answer){.text = TEXT_B, .life_s = 1});
    assert_given(&world->askers[0], TEXT_B);
    fake_env_suspend(world->env, SECOND);
    ask(world, 1);
    assert_int_equal(fake_env_open(world->env), 1);
    fake_env_answer(world->env, &answer_a);
    assert_given(&world->askers[1], TEXT_A);
}

static void
who_asks_of_a_credential_that_is_not_there_is_refused(void **state)
{
    struct world *world = *state;

    ask_for(world, &world->askers[0], "three", 0);
    assert_refused(&world->askers[0], "unknown-mailbox");
}

static void
without_memory_for_a_timer_who_asks_is_answered_at_once(void **state)
{
    struct world *world = *state;

    fake_env_refuse_timers(world->env, true);
    assert_null(ask(world, 0)->waiter);
    assert_int_equal(world->askers[0].answers, 1);
    assert_false(world->askers[0].is_given);
    fake_env_refuse_timers(world->env, false);
    fake_env_answer(world->env, &answer_a);
    assert_int_equal(world->answers, 1);
}

static void
a_request_that_can_not_start_is_tried_again(void **state)
{
    struct world *world = *state;

    fake_env_refuse_start(world->env);
    assert_non_null(ask(world, 0)->waiter);
    assert_int_equal(fake_env_starts(world->env), 0);
    fake_env_advance(world->env, SECOND);
    assert_int_equal(fake_env_starts(world->env), 1);
    fake_env_answer(world->env, &answer_a);
    assert_given(&world->askers[0], TEXT_A);
}

static void
when_the_daemon_ends_nobody_is_answered(void **state)
{
    struct world *world = *state;

    configure(world, CONFIG_BOTH);
    ask(world, 0);
    ask_for(world, &world->askers[1], "two", 0);
    refresher_free(&world->refresher);
    assert_int_equal(world->answers, 0);
    assert_int_equal(fake_env_open(world->env), 0);
    assert_int_equal(fake_env_cancelled(world->env), 2);
}

/* ---- Reloads ------------------------------------------------------------ */

static void
a_reload_without_a_change_leaves_the_request_and_who_waits(void **state)
{
    struct world *world = *state;

    ask(world, 0);
    for (size_t i = 0; i < 10; i++)
        configure(world, CONFIG_ONE);
    fake_env_advance(world->env, SECOND);
    assert_int_equal(fake_env_starts(world->env), 1);
    assert_int_equal(fake_env_cancelled(world->env), 0);
    fake_env_answer(world->env, &answer_a);
    assert_given(&world->askers[0], TEXT_A);
}

static void
a_reload_without_a_change_keeps_the_token_and_its_plan(void **state)
{
    struct world *world = *state;

    get_first(world);
    fake_env_advance(world->env, MINUTE);
    configure(world, CONFIG_BOTH);
    ask(world, 0);
    assert_given(&world->askers[0], TEXT_A);
    assert_int_equal(peek(world)->due_at - FAKE_ENV_BOOT_MS, 1800 * SECOND);
}

static void
a_new_secret_starts_the_request_anew_and_who_waits_gets_its_answer(void **state)
{
    struct world *world = *state;

    ask(world, 0);
    configure(world,
              CREDENTIAL("one", "contoso.example", "/etc/new") USED_BY("one"));
    assert_int_equal(fake_env_cancelled(world->env), 1);
    assert_int_equal(world->answers, 0);
    fake_env_advance(world->env, 0);
    assert_int_equal(fake_env_starts(world->env), 2);
    fake_env_answer(world->env, &answer_a);
    assert_given(&world->askers[0], TEXT_A);
}

static void
a_new_secret_keeps_the_token(void **state)
{
    struct world *world = *state;

    fake_env_advance(world->env, 0);
    fake_env_answer(world->env, &answer_a);
    configure(world,
              CREDENTIAL("one", "contoso.example", "/etc/new") USED_BY("one"));
    ask(world, 0);
    assert_given(&world->askers[0], TEXT_A);
    assert_int_equal(fake_env_starts(world->env), 1);
}

static void
a_new_tenant_forgets_the_token_and_who_waits_gets_the_new_one(void **state)
{
    struct world *world = *state;

    get_first(world);
    fake_env_suspend(world->env, 3600 * SECOND);
    ask(world, 0);
    configure(world,
              CREDENTIAL("one", "other.example", "/etc/one") USED_BY("one"));
    assert_null(peek(world)->text);
    assert_int_equal(fake_env_cancelled(world->env), 1);
    assert_int_equal(world->answers, 0);
    fake_env_advance(world->env, 0);
    fake_env_answer(world->env, &answer_b);
    assert_given(&world->askers[0], TEXT_B);
}

static void
a_reload_retries_a_back_off_at_once(void **state)
{
    struct world *world = *state;

    fake_env_advance(world->env, 0);
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_BAD_SECRET});
    configure(world, CONFIG_ONE);
    fake_env_advance(world->env, 0);
    assert_int_equal(fake_env_starts(world->env), 2);
}

static void
nothing_undercuts_retry_after(void **state)
{
    struct world *world = *state;
    int64_t until = 0;

    get_first(world);
    fake_env_advance(world->env, 1800 * SECOND);
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_THROTTLED,
                                          .retry_after_s = 3600});
    for (size_t i = 0; i < 36; i++) {
        fake_env_advance(world->env, 100 * SECOND - 1);
        assert_int_equal(fake_env_starts(world->env), 2);
        fake_env_advance(world->env, i < 35 ? 1 : 0);
        ask(world, i);
        assert_int_equal(refresher_report(world->refresher,
                                          &(struct refresher_key){"one", NULL},
                                          &until),
                         TOKEN_REPORT_LIMITED);
        assert_int_equal(until, FAKE_ENV_WALL + 5400);
        configure(world, i % 2 == 0 ? CONFIG_ONE : CONFIG_BOTH);
        configure(world, CREDENTIAL("one", "contoso.example", "/etc/new")
                             USED_BY("one"));
    }
    assert_int_equal(fake_env_now(world->env), 5400 * SECOND - 1);
    assert_int_equal(fake_env_starts(world->env), 2);
    fake_env_advance(world->env, 1);
    assert_int_equal(fake_env_starts(world->env), 3);
}

static void
when_a_credential_goes_who_waits_is_told_so(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 3; i++)
        ask(world, i);
    configure(world, CONFIG_TWO);
    for (size_t i = 0; i < 3; i++)
        assert_refused(&world->askers[i], "unknown-mailbox");
    assert_int_equal(fake_env_cancelled(world->env), 1);
    assert_null(peek(world));
    fake_env_advance(world->env, PATIENCE);
    assert_int_equal(world->answers, 3);
}

static void
a_credential_that_comes_back_is_fetched_anew(void **state)
{
    struct world *world = *state;
    uint64_t serial;

    get_first(world);
    serial = peek(world)->serial;
    configure(world, CONFIG_TWO);
    configure(world, CONFIG_ONE);
    assert_null(peek(world)->text);
    fake_env_advance(world->env, 0);
    fake_env_answer(world->env, &answer_a);
    assert_true(peek(world)->serial > serial);
}

static void
reload(struct asker *asker)
{
    asker->then = NULL;
    configure(asker->world, asker->config);
}

static void
an_answer_may_reload_the_configuration(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 5; i++)
        ask(world, i);
    world->askers[2].then = reload;
    world->askers[2].config = CONFIG_BOTH;
    fake_env_answer(world->env, &answer_a);
    for (size_t i = 0; i < 5; i++)
        assert_given(&world->askers[i], TEXT_A);
}

static void
an_answer_may_take_its_own_credential_away(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 5; i++)
        ask(world, i);
    world->askers[2].then = reload;
    world->askers[2].config = CONFIG_TWO;
    fake_env_answer(world->env, &answer_a);
    for (size_t i = 0; i < 3; i++)
        assert_given(&world->askers[i], TEXT_A);
    for (size_t i = 3; i < 5; i++)
        assert_refused(&world->askers[i], "unknown-mailbox");
    assert_null(peek(world));
}

/* The first is passed over, the second takes the credential away. */
static void
who_was_passed_over_is_told_when_an_answer_takes_the_credential(void **state)
{
    struct world *world = *state;

    ask(world, 1);
    fake_env_advance(world->env, 10 * SECOND);
    ask(world, 0);
    ask(world, 2);
    /* The first in the queue is the one whose deadline comes first. */
    world->askers[1].then = reload;
    world->askers[1].config = CONFIG_TWO;
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_UNAVAILABLE,
                                          .retry_after_s = 8});
    assert_refused(&world->askers[1], "idp-unavailable");
    assert_refused(&world->askers[0], "unknown-mailbox");
    assert_refused(&world->askers[2], "unknown-mailbox");
    assert_int_equal(world->answers, 3);
}

static void
a_late_answer_may_take_its_own_credential_away(void **state)
{
    struct world *world = *state;

    ask(world, 0);
    ask(world, 1);
    world->askers[0].then = reload;
    world->askers[0].config = CONFIG_TWO;
    fake_env_advance(world->env, PATIENCE);
    assert_true(world->askers[0].is_late);
    assert_refused(&world->askers[1], "unknown-mailbox");
}

static void
who_is_told_that_his_credential_went_may_reload_again(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 3; i++)
        ask(world, i);
    world->askers[0].then = reload;
    world->askers[0].config = CONFIG_BOTH;
    configure(world, CONFIG_TWO);
    for (size_t i = 0; i < 3; i++)
        assert_refused(&world->askers[i], "unknown-mailbox");
    assert_non_null(peek(world));
    fake_env_advance(world->env, 0);
    assert_int_equal(fake_env_open(world->env), 2);
}

static void
who_is_told_that_his_credential_went_may_ask_again(void **state)
{
    struct world *world = *state;

    ask(world, 0);
    world->askers[0].then = ask_with_other;
    world->askers[0].other = &world->askers[1];
    configure(world, CONFIG_TWO);
    assert_refused(&world->askers[0], "unknown-mailbox");
    assert_refused(&world->askers[1], "unknown-mailbox");
}

static void
an_answer_may_reload_with_another_tenant(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 3; i++)
        ask(world, i);
    world->askers[0].then = reload;
    world->askers[0].config =
        CREDENTIAL("one", "other.example", "/etc/one") USED_BY("one");
    fake_env_answer(world->env, &answer_a);
    assert_given(&world->askers[0], TEXT_A);
    assert_int_equal(world->answers, 1);
    fake_env_advance(world->env, 0);
    assert_int_equal(fake_env_open(world->env), 1);
    fake_env_answer(world->env, &answer_b);
    assert_given(&world->askers[1], TEXT_B);
    assert_given(&world->askers[2], TEXT_B);
}

/* ---- Reports ------------------------------------------------------------ */

static void
the_mailbox_that_reported_waits_and_others_do_not(void **state)
{
    struct world *world = *state;
    int64_t until = 0;

    get_first(world);
    fake_env_advance(world->env, MINUTE);
    assert_int_equal(refresher_report(world->refresher,
                                      &(struct refresher_key){"one", NULL},
                                      &until),
                     TOKEN_REPORT_FETCH);
    assert_int_equal(refresher_report(world->refresher,
                                      &(struct refresher_key){"one", NULL},
                                      &until),
                     TOKEN_REPORT_FETCHING);
    ask_for(world, &world->askers[0], "one", peek(world)->serial);
    assert_non_null(world->askers[0].waiter);
    ask(world, 1);
    assert_given(&world->askers[1], TEXT_A);
    fake_env_answer(world->env, &answer_b);
    assert_given(&world->askers[0], TEXT_B);
    assert_int_equal(fake_env_starts(world->env), 2);
}

static void
a_report_of_a_credential_that_is_not_there_does_nothing(void **state)
{
    struct world *world = *state;
    int64_t until = 0;

    assert_int_equal(refresher_report(world->refresher,
                                      &(struct refresher_key){"three", NULL},
                                      &until),
                     TOKEN_REPORT_FETCHING);
    refresher_accepted(world->refresher,
                       &(struct refresher_key){"three", NULL});
    assert_int_equal(fake_env_starts(world->env), 0);
}

static struct fake_answer
always_new(size_t n, int64_t now_ms)
{
    static char text[TEXT_MAX];

    (void)now_ms;
    (void)snprintf(text, sizeof(text), "token-%zu", n);
    return (struct fake_answer){.text = text, .life_s = 86400};
}

/* Reports every 5 s for nearly two hours; how many requests do they cause? */
static size_t
report_for_hours(struct world *world, bool does_somebody_succeed)
{
    size_t before;
    int64_t until = 0;

    fake_env_script(world->env, 200, always_new);
    fake_env_advance(world->env, SECOND);
    before = fake_env_starts(world->env);
    for (int64_t i = 0; i < 119 * MINUTE / (5 * SECOND); i++) {
        if (does_somebody_succeed)
            refresher_accepted(world->refresher,
                               &(struct refresher_key){"one", NULL});
        (void)refresher_report(world->refresher,
                               &(struct refresher_key){"one", NULL}, &until);
        fake_env_advance(world->env, 5 * SECOND);
    }
    for (size_t i = before + 1; i < fake_env_starts(world->env); i++)
        assert_true(fake_env_started_at(world->env, i) -
                        fake_env_started_at(world->env, i - 1) >=
                    60 * SECOND);
    return fake_env_starts(world->env) - before;
}

/* At 0, 1, 3, 7, 15, 30, 45, 60, 75, 90, 105 min. */
static void
reports_cause_ever_fewer_requests_while_nobody_succeeds(void **state)
{
    assert_int_equal(report_for_hours(*state, false), 11);
}

static void
reports_cause_one_request_in_each_interval_while_others_succeed(void **state)
{
    assert_in_range(report_for_hours(*state, true), 100, 120);
}

/* ---- Hours -------------------------------------------------------------- */

struct flow {
    size_t without;  /* how many got no token */
    size_t waited;   /* how many were not answered at once */
    int64_t longest; /* ms that one of these waited */
};

/* Ask every `step` ms for `span` ms. */
static struct flow
ask_on(struct world *world, int64_t span, int64_t step)
{
    struct asker *asker = &world->askers[0];
    struct flow flow = {0};

    for (int64_t end = fake_env_now(world->env) + span;
         fake_env_now(world->env) < end;) {
        int64_t asked_at = fake_env_now(world->env);

        *asker = (struct asker){0};
        ask_for(world, asker, "one", 0);
        flow.waited += asker->waiter != NULL ? 1 : 0;
        fake_env_advance(world->env, step);
        while (asker->waiter != NULL)
            fake_env_advance(world->env, step);
        assert_int_equal(asker->answers, 1);
        flow.without += asker->is_given ? 0 : 1;
        if (asker->answered_at - asked_at > flow.longest)
            flow.longest = asker->answered_at - asked_at;
    }
    return flow;
}

static struct fake_answer
down_for_28_minutes(size_t n, int64_t now_ms)
{
    struct fake_answer answer = always_new(n, now_ms);

    answer.life_s = 3600;
    return now_ms % HOUR < 28 * MINUTE && now_ms > HOUR ? unavailable : answer;
}

static void
an_outage_of_half_an_hour_in_each_hour_is_not_noticed(void **state)
{
    struct world *world = *state;
    struct flow flow;

    fake_env_chance(world->env, 0.5);
    fake_env_script(world->env, 200, down_for_28_minutes);
    fake_env_advance(world->env, SECOND);
    flow = ask_on(world, 48 * HOUR, SECOND);
    assert_int_equal(flow.without, 0);
    assert_int_equal(flow.waited, 0);
    assert_in_range(fake_env_starts(world->env), 48, 48 * 20);
}

static struct fake_answer
lives_two_seconds(size_t n, int64_t now_ms)
{
    struct fake_answer answer = always_new(n, now_ms);

    answer.life_s = 2;
    return answer;
}

static struct fake_answer
lives_ten_seconds(size_t n, int64_t now_ms)
{
    struct fake_answer answer = always_new(n, now_ms);

    answer.life_s = 10;
    return answer;
}

static void
tokens_of_two_seconds_flow_for_an_hour(void **state)
{
    struct world *world = *state;
    struct flow flow;

    fake_env_script(world->env, 200, lives_two_seconds);
    fake_env_advance(world->env, SECOND);
    flow = ask_on(world, HOUR, 100);
    assert_int_equal(flow.without, 0);
    assert_in_range(flow.longest, 0, 200); /* a request's time */
    assert_in_range(fake_env_starts(world->env), 2900, 3100); /* each 1.2 s */
}

static void
tokens_of_ten_seconds_flow_for_an_hour(void **state)
{
    struct world *world = *state;
    struct flow flow;

    fake_env_script(world->env, 200, lives_ten_seconds);
    fake_env_advance(world->env, SECOND);
    flow = ask_on(world, HOUR, 100);
    assert_int_equal(flow.without, 0);
    assert_in_range(flow.longest, 0, 200);
    assert_in_range(fake_env_starts(world->env), 680, 700); /* each 5.2 s */
}

/* Keeps a token for an hour, hands the same one out until it is dead. */
static struct fake_answer
from_a_cache(size_t n, int64_t now_ms)
{
    static char text[TEXT_MAX];

    (void)n;
    (void)snprintf(text, sizeof(text), "token-of-%lld",
                   (long long)(now_ms / HOUR));
    return (struct fake_answer){.text = text,
                                .life_s = 3600 - now_ms % HOUR / 1000};
}

static void
an_issuer_that_caches_is_asked_seldom_and_nobody_goes_without(void **state)
{
    struct world *world = *state;
    struct flow flow;

    fake_env_script(world->env, 200, from_a_cache);
    fake_env_advance(world->env, SECOND);
    flow = ask_on(world, 24 * HOUR, SECOND);
    assert_int_equal(flow.without, 0);
    /* In the last five minutes of each hour one in each refetch_interval. */
    assert_in_range(flow.waited, 0, 24 * 5);
    assert_in_range(flow.longest, 0, 200);
    assert_in_range(fake_env_starts(world->env), 24, 24 * 12);
    for (size_t i = 1; i < fake_env_starts(world->env); i++)
        assert_true(fake_env_started_at(world->env, i) -
                        fake_env_started_at(world->env, i - 1) >
                    200);
}

static struct fake_answer
never(size_t n, int64_t now_ms)
{
    (void)n;
    (void)now_ms;
    return unavailable;
}

static void
a_provider_that_is_gone_is_asked_every_five_minutes_at_last(void **state)
{
    struct world *world = *state;
    struct flow flow;
    size_t starts;

    fake_env_script(world->env, 200, never);
    fake_env_chance(world->env, 0.999);
    (void)ask_on(world, HOUR, 20 * SECOND);
    starts = fake_env_starts(world->env);
    flow = ask_on(world, 10 * HOUR, 20 * SECOND);
    assert_true(flow.without > 1000);
    assert_true(flow.longest <= PATIENCE);
    assert_in_range(fake_env_starts(world->env) - starts, 10 * 12 - 2,
                    10 * 12 * 2);
    assert_true(fake_env_logged(world->env, "token request failed") <= 3);
}

/* ---- What is said ------------------------------------------------------- */

static void
a_failure_is_logged_once_and_then_ever_more_seldom(void **state)
{
    struct world *world = *state;

    fake_env_script(world->env, 0, never);
    fake_env_advance(world->env, 3 * HOUR);
    assert_true(fake_env_starts(world->env) > 20);
    assert_true(fake_env_starts(world->env) < 100);
    assert_int_equal(fake_env_logged(world->env, "token request failed"), 2);
}

static void
another_reason_is_logged_again(void **state)
{
    struct world *world = *state;

    fake_env_advance(world->env, 0);
    fake_env_answer(world->env, &unavailable);
    fake_env_advance(world->env, SECOND);
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_BAD_SECRET,
                                          .hint = "add a secret"});
    assert_int_equal(fake_env_logged(world->env, "reason=idp-unavailable"), 1);
    assert_int_equal(fake_env_logged(world->env, "reason=bad-secret"), 1);
    assert_int_equal(fake_env_logged(world->env, "add a secret"), 1);
}

static void
a_wrong_clock_is_logged_once(void **state)
{
    struct world *world = *state;
    struct fake_answer skewed = answer_a;

    skewed.skew_s = -300;
    fake_env_advance(world->env, 0);
    fake_env_answer(world->env, &skewed);
    skewed.skew_s = 299;
    fake_env_advance(world->env, 1800 * SECOND);
    fake_env_answer(world->env, &skewed);
    assert_int_equal(fake_env_logged(world->env, "check NTP"), 1);
    assert_int_equal(fake_env_logged(world->env, "skew_s=-300"), 1);
}

static void
no_token_is_in_the_log(void **state)
{
    struct world *world = *state;

    fake_env_forbid(world->env, "token-1");
    fake_env_script(world->env, 10, down_for_28_minutes);
    fake_env_advance(world->env, 5 * HOUR);
    assert_true(fake_env_logged(world->env, "token refreshed") > 5);
}

static void
count_info(const struct refresher_info *info, void *arg)
{
    struct refresher_info *last = arg;

    last->requests += info->requests;
    last->waiters += info->waiters;
}

static void
the_status_counts_requests_and_who_waits(void **state)
{
    struct world *world = *state;
    struct refresher_info sum = {0};

    configure(world, CONFIG_BOTH);
    get_first(world); /* of one of them */
    ask(world, 0);
    ask_for(world, &world->askers[1], "two", 0);
    ask_for(world, &world->askers[2], "two", 0);
    refresher_forget(&world->askers[2].waiter);
    refresher_each(world->refresher, count_info, &sum);
    assert_int_equal(sum.requests, 1);
    assert_int_equal(sum.waiters, 1);
}

#define WORLD_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        WORLD_TEST(every_token_is_fetched_at_start),
        WORLD_TEST(the_requests_at_start_are_spread),
        WORLD_TEST(
            five_hundred_who_ask_share_one_request_and_are_answered_in_order),
        WORLD_TEST(at_expiry_one_request_serves_all),
        WORLD_TEST(a_token_in_force_is_given_at_once),
        WORLD_TEST(a_token_is_fetched_again_though_nobody_asks),
        WORLD_TEST(a_timer_that_fires_early_does_not_fetch_early),
        WORLD_TEST(after_a_suspension_who_asks_and_the_timer_make_one_request),
        WORLD_TEST(what_was_stored_names_no_secret),
        WORLD_TEST(a_secret_that_is_new_is_tried_again_within_seconds),
        WORLD_TEST(who_waits_is_answered_at_the_deadline_and_not_before),
        WORLD_TEST(each_has_a_deadline_of_its_own),
        WORLD_TEST(at_the_deadline_a_token_that_still_lives_is_given),
        WORLD_TEST(who_waits_is_answered_when_a_try_within_the_deadline_works),
        WORLD_TEST(who_waits_is_refused_when_the_next_try_is_too_late),
        WORLD_TEST(who_goes_away_is_not_answered_and_the_others_are),
        WORLD_TEST(when_all_go_away_the_request_goes_on),
        WORLD_TEST(an_answer_may_send_one_away_who_still_waits),
        WORLD_TEST(an_answer_may_send_one_away_who_was_passed_over),
        WORLD_TEST(an_answer_may_ask_again_and_is_given_the_new_token),
        WORLD_TEST(a_refusal_may_ask_again_and_then_waits_for_the_next_try),
        WORLD_TEST(a_late_answer_may_ask_again),
        WORLD_TEST(a_token_that_is_dead_when_it_comes_is_fetched_again),
        WORLD_TEST(who_asks_of_a_credential_that_is_not_there_is_refused),
        WORLD_TEST(without_memory_for_a_timer_who_asks_is_answered_at_once),
        WORLD_TEST(a_request_that_can_not_start_is_tried_again),
        WORLD_TEST(when_the_daemon_ends_nobody_is_answered),
        WORLD_TEST(a_reload_without_a_change_leaves_the_request_and_who_waits),
        WORLD_TEST(a_reload_without_a_change_keeps_the_token_and_its_plan),
        WORLD_TEST(
            a_new_secret_starts_the_request_anew_and_who_waits_gets_its_answer),
        WORLD_TEST(a_new_secret_keeps_the_token),
        WORLD_TEST(
            a_new_tenant_forgets_the_token_and_who_waits_gets_the_new_one),
        WORLD_TEST(a_reload_retries_a_back_off_at_once),
        WORLD_TEST(nothing_undercuts_retry_after),
        WORLD_TEST(when_a_credential_goes_who_waits_is_told_so),
        WORLD_TEST(a_credential_that_comes_back_is_fetched_anew),
        WORLD_TEST(an_answer_may_reload_the_configuration),
        WORLD_TEST(an_answer_may_take_its_own_credential_away),
        WORLD_TEST(
            who_was_passed_over_is_told_when_an_answer_takes_the_credential),
        WORLD_TEST(a_late_answer_may_take_its_own_credential_away),
        WORLD_TEST(who_is_told_that_his_credential_went_may_reload_again),
        WORLD_TEST(who_is_told_that_his_credential_went_may_ask_again),
        WORLD_TEST(an_answer_may_reload_with_another_tenant),
        WORLD_TEST(the_mailbox_that_reported_waits_and_others_do_not),
        WORLD_TEST(a_report_of_a_credential_that_is_not_there_does_nothing),
        WORLD_TEST(reports_cause_ever_fewer_requests_while_nobody_succeeds),
        WORLD_TEST(
            reports_cause_one_request_in_each_interval_while_others_succeed),
        WORLD_TEST(an_outage_of_half_an_hour_in_each_hour_is_not_noticed),
        WORLD_TEST(tokens_of_two_seconds_flow_for_an_hour),
        WORLD_TEST(tokens_of_ten_seconds_flow_for_an_hour),
        WORLD_TEST(
            an_issuer_that_caches_is_asked_seldom_and_nobody_goes_without),
        WORLD_TEST(a_provider_that_is_gone_is_asked_every_five_minutes_at_last),
        WORLD_TEST(a_failure_is_logged_once_and_then_ever_more_seldom),
        WORLD_TEST(another_reason_is_logged_again),
        WORLD_TEST(a_wrong_clock_is_logged_once),
        WORLD_TEST(no_token_is_in_the_log),
        WORLD_TEST(the_status_counts_requests_and_who_waits),
    };

    return cmocka_run_group_tests_name("refresher", tests, NULL, NULL);
}
