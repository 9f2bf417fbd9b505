/*
 * sent_away: what becomes of refusals in the audit trail, in virtual time. In a
 * table each row is a story: refusals and waits, and the trail that it leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "token-daemon/sent_away.h"

#define SECOND    INT64_C(1000) /* ms */
#define MINUTE    (60 * SECOND)
#define HOUR      (60 * MINUTE)
#define STEPS_MAX 12

struct step {
    unsigned refusals;
    uid_t uid;
    const char *what;
    const char *subject;
    const char *reason; /* NULL: not-allowed */
    int64_t wait_ms;    /* after them */
};

struct row {
    const char *name;
    struct step steps[STEPS_MAX];
    const char *want; /* lines: s since the beginning, who, what, detail */
};

#define LOOKUPS(count, user, wait)                            \
    {                                                         \
        .refusals = (count), .uid = (user), .what = "lookup", \
        .wait_ms = (wait)                                     \
    }

static struct row rows[] = {
    {
        .name = "the first is written at once",
        .steps = {LOOKUPS(1, 7, HOUR)},
        .want = "0 7 lookup not-allowed\n",
    },
    {
        .name = "those of the next minute are one row, when it ends",
        .steps = {LOOKUPS(1, 7, 10 * SECOND), LOOKUPS(41, 7, HOUR)},
        .want = "0 7 lookup not-allowed\n"
                "60 7 lookup refused 41 more times, the last: not-allowed\n",
    },
    {
        .name = "one more is one more time",
        .steps = {LOOKUPS(2, 7, HOUR)},
        .want = "0 7 lookup not-allowed\n"
                "60 7 lookup refused 1 more time, the last: not-allowed\n",
    },
    {
        .name = "while it goes on the rows become rare",
        .steps = {LOOKUPS(2, 7, MINUTE), LOOKUPS(3, 7, 2 * MINUTE),
                  LOOKUPS(4, 7, 4 * MINUTE), LOOKUPS(5, 7, HOUR)},
        .want = "0 7 lookup not-allowed\n"
                "60 7 lookup refused 1 more time, the last: not-allowed\n"
                "180 7 lookup refused 3 more times, the last: not-allowed\n"
                "420 7 lookup refused 4 more times, the last: not-allowed\n"
                "900 7 lookup refused 5 more times, the last: not-allowed\n",
    },
    {
        .name = "who waits for the minute to end gains little",
        .steps = {LOOKUPS(1, 7, 61 * SECOND), LOOKUPS(1, 7, 61 * SECOND),
                  LOOKUPS(1, 7, HOUR)},
        .want = "0 7 lookup not-allowed\n"
                "61 7 lookup not-allowed\n"
                "181 7 lookup refused 1 more time, the last: not-allowed\n",
    },
    {
        .name = "after an hour of quiet it begins anew",
        .steps = {LOOKUPS(2, 7, 2 * HOUR), LOOKUPS(2, 7, HOUR)},
        .want = "0 7 lookup not-allowed\n"
                "60 7 lookup refused 1 more time, the last: not-allowed\n"
                "7200 7 lookup not-allowed\n"
                "7260 7 lookup refused 1 more time, the last: not-allowed\n",
    },
    {
        .name = "users are told apart",
        .steps = {LOOKUPS(2, 7, 0), LOOKUPS(1, 8, HOUR)},
        .want = "0 7 lookup not-allowed\n"
                "0 8 lookup not-allowed\n"
                "60 7 lookup refused 1 more time, the last: not-allowed\n",
    },
    {
        .name = "verbs and reasons are told apart, subjects are not",
        .steps = {{1, 7, "token", "a@b.example", NULL, 0},
                  {1, 7, "token", "c@b.example", NULL, 0},
                  {1, 7, "rotate", "contoso", NULL, 0},
                  {1, 7, "token", "a@b.example", "foreign-server", HOUR}},
        .want = "0 7 token a@b.example: not-allowed\n"
                "0 7 rotate contoso: not-allowed\n"
                "0 7 token a@b.example: foreign-server\n"
                "60 7 token refused 1 more time, the last: c@b.example: "
                "not-allowed\n",
    },
    {
        .name = "a row is one line",
        .steps = {{1, 7, "token", "a\nroot token\x7f", NULL, HOUR}},
        .want = "0 7 token a?root token?: not-allowed\n",
    },
    {
        .name = "what was only counted is written at the end",
        .steps = {LOOKUPS(4, 7, SECOND)},
        .want = "0 7 lookup not-allowed\n"
                "1 7 lookup refused 3 more times, the last: not-allowed\n",
    },
};

struct world {
    struct fake_env *env;
    struct sent_away *away;
    struct buf trail;
    unsigned row_count;
    uint64_t told; /* refusals that rows stand for */
};

static int64_t
boot_ms(void *arg)
{
    const struct world *world = arg;

    return fake_env_refresher(world->env)->boot_ms(world->env);
}

static void *
timer_new(void *arg, void (*fire)(void *fire_arg), void *fire_arg)
{
    const struct world *world = arg;

    return fake_env_refresher(world->env)
        ->timer_new(world->env, fire, fire_arg);
}

static void
write_row(void *arg, const struct sent_away_row *row)
{
    struct world *world = arg;
    unsigned long long more;
    char line[1024];
    char who[24] = "several";

    if (!row->is_several)
        (void)snprintf(who, sizeof(who), "%u", (unsigned)row->uid);
    (void)snprintf(line, sizeof(line), "%lld %s %s %s\n",
                   (long long)(fake_env_now(world->env) / SECOND), who,
                   row->what, row->detail);
    buf_append_str(&world->trail, line);
    world->row_count++;
    world->told +=
        sscanf(row->detail, "refused %llu more", &more) == 1 ? more : 1;
}

static void
set_up_world(struct world *world)
{
    struct sent_away_env env;

    *world = (struct world){.env = fake_env_new()};
    buf_init(&world->trail, 1 << 20);
    env = (struct sent_away_env){
        .boot_ms = boot_ms,
        .timer_new = timer_new,
        .timer_set = fake_env_refresher(world->env)->timer_set,
        .timer_free = fake_env_refresher(world->env)->timer_free,
        .write = write_row,
        .arg = world,
    };
    world->away = sent_away_new(&env);
    assert_non_null(world->away);
}

static void
tear_down_world(struct world *world)
{
    sent_away_free(&world->away);
    assert_null(world->away);
    buf_clear(&world->trail);
    fake_env_free(&world->env);
}

static bool
refuse(struct world *world, uid_t uid, const char *what)
{
    return sent_away_note(
        world->away, &(struct sent_away_refusal){
                         .uid = uid, .what = what, .reason = "not-allowed"});
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct world world;

    set_up_world(&world);
    for (size_t i = 0; i < STEPS_MAX && row->steps[i].refusals > 0; i++) {
        const struct step *step = &row->steps[i];
        struct sent_away_refusal refusal = {
            .uid = step->uid,
            .what = step->what,
            .subject = step->subject,
            .reason = step->reason != NULL ? step->reason : "not-allowed",
        };

        for (unsigned k = 0; k < step->refusals; k++)
            (void)sent_away_note(world.away, &refusal);
        fake_env_advance(world.env, step->wait_ms);
    }
    sent_away_free(&world.away);
    assert_string_equal(buf_str(&world.trail), row->want);
    tear_down_world(&world);
}

/* One who asks every second for a week leaves less than a row an hour. */
static void
a_flood_leaves_few_rows(void **state)
{
    struct world world;
    const unsigned days = 7;

    (void)state;
    set_up_world(&world);
    for (int64_t at = 0; at < days * 24 * HOUR; at += SECOND) {
        (void)refuse(&world, 7, "lookup");
        fake_env_advance(world.env, SECOND);
    }
    sent_away_free(&world.away);
    assert_in_range(world.row_count, days * 24, days * 24 + 8);
    assert_int_equal(world.told, days * 24 * HOUR / SECOND);
    tear_down_world(&world);
}

static void
of_too_many_the_rest_is_one_row(void **state)
{
    struct world world;
    const unsigned users = 10 * SENT_AWAY_MAX;

    (void)state;
    set_up_world(&world);
    for (uid_t uid = 0; uid < users; uid++) {
        bool is_first = refuse(&world, uid, "lookup");

        assert_int_equal(is_first, uid < SENT_AWAY_MAX);
        (void)refuse(&world, uid, "lookup");
    }
    assert_int_equal(world.row_count, SENT_AWAY_MAX);
    fake_env_advance(world.env, HOUR);
    assert_int_equal(world.row_count, 2 * SENT_AWAY_MAX + 1);
    assert_int_equal(world.told, 2 * users);
    assert_non_null(strstr(buf_str(&world.trail),
                           "60 several control, lookup refused 4608 more "
                           "times\n"));
    /* Those who are quiet make room for who comes. */
    fake_env_advance(world.env, HOUR);
    assert_true(refuse(&world, users, "lookup"));
    tear_down_world(&world);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 2];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[count++] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(a_flood_leaves_few_rows);
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(of_too_many_the_rest_is_one_row);
    return cmocka_run_group_tests_name("sent_away", tests, NULL, NULL);
}
