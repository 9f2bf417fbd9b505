/*
 * A rotation in virtual time, against a registration that is a few arrays. The
 * daemon is killed at every step, in every way, and what was stored last goes
 * on: in the end exactly what is in use is registered, and at no time was
 * there nothing that works.
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
#include "token-daemon/graph_record.h"
#include "token-daemon/graph_rotation.h"

#define START      INT64_C(1800000000)
#define CLIENT     "00001111-aaaa-2222-bbbb-3333cccc4444"
#define CONFIGURED "aaaa0000-0000-4000-8000-000000000001"
#define KEYS_MAX   256
#define STEPS_MAX  20000
#define DAY        86400

/* How the daemon ends at a step. */
enum crash {
    CRASH_BEFORE,  /* the step was not begun */
    CRASH_LOST,    /* it was done, the outcome was not seen */
    CRASH_UNSAVED, /* the outcome was seen, but is not durable */
    CRASH_KINDS,
};

struct key {
    struct graph_rotation_entry entry;
    int64_t added;
    bool is_gone;
};

/* Everything outside of the rotation. */
struct world {
    bool is_secret;
    int64_t now;
    int64_t end;      /* of run(): time does not jump over it */
    int64_t list_lag; /* s until something new is listed */
    int64_t work_lag; /* s until something new is accepted */
    struct key keys[KEYS_MAX];
    size_t key_count;
    char live[GRAPH_ROTATION_TAG_SIZE]; /* "": what is configured */
    struct buf stored;
    unsigned char random;
    struct config_rotation settings;
    struct graph_rotation rotation;
    size_t steps;
    size_t adds;
    size_t removals;
    size_t crash_at; /* number of the step; SIZE_MAX: never */
    enum crash crash;
    uint32_t dice;                                /* 0: no crashes by chance */
    const struct graph_rotation_failure *failure; /* of the steps below */
    enum graph_rotation_step failing;
    size_t failures_left;
    bool is_refusing; /* everything new, for ever */
};

static void
save(struct world *world)
{
    struct err err = {ERR_NONE, ""};

    buf_reset(&world->stored);
    assert_int_equal(
        graph_record_encode(&world->rotation, CLIENT, &world->stored, &err), 0);
    assert_false(buf_failed(&world->stored));
}

static void
restart(struct world *world)
{
    struct err err = {ERR_NONE, ""};

    graph_rotation_clear(&world->rotation);
    if (world->stored.len == 0)
        graph_rotation_init(&world->rotation, world->now);
    else
        assert_int_equal(graph_record_decode(buf_str(&world->stored),
                                             world->stored.len, CLIENT,
                                             &world->rotation, &err),
                         0);
}

static struct key *
add_key(struct world *world, const struct graph_rotation_entry *entry)
{
    struct key *key = &world->keys[world->key_count];

    assert_true(world->key_count < KEYS_MAX);
    *key = (struct key){.entry = *entry, .added = world->now};
    if (key->entry.key_id[0] == '\0')
        (void)snprintf(key->entry.key_id, sizeof(key->entry.key_id),
                       "bbbb0000-0000-4000-8000-%012zu", world->key_count);
    world->key_count++;
    return key;
}

static void
open_world(struct world *world, bool is_secret)
{
    const struct graph_rotation_entry configured = {.is_secret = is_secret,
                                                    .key_id = CONFIGURED};

    *world = (struct world){
        .is_secret = is_secret,
        .now = START,
        .work_lag = 10,
        .crash_at = SIZE_MAX,
        .settings = {.kind = CONFIG_ROTATE_GRAPH,
                     .every_s = (int64_t)30 * DAY,
                     .settle_s = 120,
                     .grace_s = (int64_t)2 * DAY,
                     .lifetime_s = (int64_t)90 * DAY},
    };
    buf_init(&world->stored, GRAPH_RECORD_MAX);
    add_key(world, &configured)->added = 0;
    restart(world);
}

static void
close_world(struct world *world)
{
    graph_rotation_clear(&world->rotation);
    buf_clear(&world->stored);
}

static struct key *
find_key(struct world *world, const char *tag)
{
    for (size_t i = 0; i < world->key_count; i++)
        if (!world->keys[i].is_gone &&
            strcmp(world->keys[i].entry.tag, tag) == 0)
            return &world->keys[i];
    return NULL;
}

static size_t
registered(const struct world *world)
{
    size_t count = 0;

    for (size_t i = 0; i < world->key_count; i++)
        count += world->keys[i].is_gone ? 0 : 1;
    return count;
}

/* ---- The steps ------------------------------------------------------------
 */

static void
do_make(struct world *world)
{
    struct graph_rotation_made made = {.random = {world->random++}};
    struct err err = {ERR_NONE, ""};
    char thumbprint[GRAPH_ROTATION_THUMBPRINT_SIZE];

    if (!world->is_secret) {
        (void)snprintf(thumbprint, sizeof(thumbprint), "%040X", world->random);
        made.certificate = "certificate";
        made.private_key = "key";
        made.thumbprint = thumbprint;
    }
    assert_int_equal(graph_rotation_made(&world->rotation, &made, &err), 0);
}

static void
do_list(struct world *world)
{
    static struct graph_rotation_entry entries[KEYS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < world->key_count; i++)
        if (!world->keys[i].is_gone &&
            world->keys[i].added + world->list_lag <= world->now)
            entries[count++] = world->keys[i].entry;
    graph_rotation_listed(&world->rotation, entries, count, world->now);
}

static void
do_probe(struct world *world)
{
    const struct key *key = find_key(world, world->rotation.candidate.tag);
    bool is_accepted = key != NULL && !world->is_refusing &&
                       key->added + world->work_lag <= world->now;

    if (world->is_secret)
        assert_string_equal(world->rotation.secret, "secret");
    graph_rotation_probed(&world->rotation, &world->settings, is_accepted,
                          world->now);
}

static void
do_promote(struct world *world)
{
    memcpy(world->live, world->rotation.candidate.tag, sizeof(world->live));
}

static void
do_remove(struct world *world, const char *key_id)
{
    for (size_t i = 0; i < world->key_count; i++)
        if (strcmp(world->keys[i].entry.key_id, key_id) == 0)
            world->keys[i].is_gone = true;
    world->removals++;
}

/* Is there one that works, of those that the daemon has? */
static void
check_invariants(struct world *world)
{
    const struct key *live = find_key(world, world->live);

    if (live == NULL) {
        fail_msg("what is in use is not registered");
        return; /* the compiler does not know that it has ended */
    }
    assert_true(live->added + world->work_lag <= world->now);
    assert_true(registered(world) <= 8);
}

/* Does the daemon die here? */
static bool
dies(struct world *world, enum crash when)
{
    if (world->dice != 0) {
        world->dice = world->dice * 1664525U + 1013904223U;
        return (world->dice >> 16) % 12 == 0;
    }
    return world->steps == world->crash_at && world->crash == when;
}

/* Take a step outside, and what comes of it. False: died on the way. */
static bool
take(struct world *world, const struct graph_rotation_plan *plan)
{
    char key_id[GRAPH_ROTATION_ID_SIZE] = "";
    struct err err = {ERR_NONE, ""};
    const struct key *added = NULL;

    if (plan->entry != NULL)
        memcpy(key_id, plan->entry->key_id, sizeof(key_id));
    /* What changes the world. */
    if (plan->step == GRAPH_ROTATION_ADD) {
        added = add_key(world, &world->rotation.candidate);
        world->adds++;
    } else if (plan->step == GRAPH_ROTATION_PROMOTE) {
        do_promote(world);
    } else if (plan->step == GRAPH_ROTATION_REMOVE) {
        assert_string_not_equal(key_id, "");
        do_remove(world, key_id);
    }
    if (dies(world, CRASH_LOST))
        return false;
    /* What the daemon learns of it. */
    switch (plan->step) {
    case GRAPH_ROTATION_MAKE:
        do_make(world);
        break;
    case GRAPH_ROTATION_LIST:
        do_list(world);
        break;
    case GRAPH_ROTATION_ADD:
        assert_int_equal(
            graph_rotation_added(
                &world->rotation, world->is_secret ? added->entry.key_id : NULL,
                world->is_secret ? "secret" : NULL, world->now, &err),
            0);
        break;
    case GRAPH_ROTATION_PROBE:
        do_probe(world);
        break;
    case GRAPH_ROTATION_PROMOTE:
        graph_rotation_promoted(&world->rotation, &world->settings, world->now,
                                0.5);
        break;
    case GRAPH_ROTATION_CHECK:
        assert_string_equal(world->live, world->rotation.current.tag);
        graph_rotation_checked(&world->rotation, world->now, 0);
        break;
    case GRAPH_ROTATION_REMOVE:
        graph_rotation_removed(&world->rotation, key_id);
        break;
    case GRAPH_ROTATION_WAIT:
        break;
    }
    if (dies(world, CRASH_UNSAVED))
        return false;
    save(world);
    return true;
}

/* One step, or the next one's time. */
static void
turn(struct world *world)
{
    struct graph_rotation_plan plan;

    graph_rotation_next(&world->rotation, world->now, &plan);
    if (plan.step == GRAPH_ROTATION_WAIT) {
        assert_true(plan.until_wall > world->now);
        world->now = world->end > world->now && plan.until_wall > world->end
                         ? world->end
                         : plan.until_wall;
        return;
    }
    if (world->failures_left > 0 && plan.step == world->failing) {
        world->failures_left--;
        graph_rotation_failed(&world->rotation, plan.step, world->failure,
                              world->now, 0.5);
        save(world);
        return;
    }
    if (dies(world, CRASH_BEFORE) || !take(world, &plan)) {
        restart(world);
        world->now += 1; /* nobody is back in no time */
    }
    world->steps++;
    check_invariants(world);
}

/* Until that many rotations are over and cleaned up. */
static void
run(struct world *world, int64_t days)
{
    size_t turns = 0;

    world->end = world->now + days * DAY;
    while (world->now < world->end) {
        assert_true(turns++ < STEPS_MAX);
        turn(world);
    }
}

/* What is configured and what is in use, and nothing else. */
static void
assert_tidy(struct world *world, size_t count)
{
    assert_int_equal(registered(world), count);
    assert_non_null(find_key(world, world->live));
    assert_string_not_equal(world->live, "");
    assert_int_equal(world->rotation.phase, GRAPH_ROTATION_IDLE);
    assert_int_equal(world->rotation.retired_count, 0);
    assert_null(world->rotation.private_key);
    assert_null(world->rotation.secret);
}

/* ---- Tests ----------------------------------------------------------------
 */

static void
both_kinds_rotate_month_after_month(void **state)
{
    (void)state;
    for (int is_secret = 0; is_secret < 2; is_secret++) {
        struct world world;

        open_world(&world, is_secret != 0);
        run(&world, 10);
        assert_int_equal(world.adds, 1); /* at once: is all permitted? */
        assert_tidy(&world, 2);
        assert_int_equal(world.removals, 0); /* the first one is no one's */
        run(&world, 100);
        assert_int_equal(world.adds, 4);
        assert_int_equal(world.removals, 3);
        assert_tidy(&world, 2);
        close_world(&world);
    }
}

static void
what_the_operator_named_goes_after_the_grace(void **state)
{
    char name[] = CONFIGURED;
    char *names[] = {name};
    struct world world;

    (void)state;
    open_world(&world, false);
    world.settings.remove = names;
    world.settings.remove_count = 1;
    run(&world, 1);
    assert_int_equal(registered(&world), 2);
    run(&world, 10);
    assert_tidy(&world, 1);
    run(&world, 60);
    assert_tidy(&world, 1);
    close_world(&world);
}

/* One crash, at each step of three rotations, in each way. */
static void
a_crash_at_any_step_is_finished_or_undone(void **state)
{
    (void)state;
    for (int is_secret = 0; is_secret < 2; is_secret++)
        for (int64_t lag = 0; lag <= 60; lag += 30)
            for (int crash = 0; crash < CRASH_KINDS; crash++) {
                size_t steps = SIZE_MAX;

                for (size_t at = 0; at < steps; at++) {
                    struct world world;

                    open_world(&world, is_secret != 0);
                    world.list_lag = lag;
                    world.crash_at = at;
                    world.crash = (enum crash)crash;
                    run(&world, 66);
                    assert_tidy(&world, 2);
                    steps = world.steps;
                    close_world(&world);
                }
                assert_true(steps > 40);
            }
}

static void
crashes_again_and_again_leave_nothing_behind(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 200; seed++) {
        struct world world;

        open_world(&world, seed % 2 == 0);
        world.list_lag = seed % 5 * 20;
        world.dice = seed * 2654435761U | 1;
        run(&world, 70);
        world.dice = 0;
        run(&world, 3);
        while (world.rotation.retired_count > 0 ||
               world.rotation.phase != GRAPH_ROTATION_IDLE)
            turn(&world);
        assert_tidy(&world, 2);
        close_world(&world);
    }
}

struct trouble {
    const char *name;
    enum graph_rotation_step step;
    struct graph_rotation_failure failure;
    size_t times;
    int64_t least_s; /* that it takes */
    int64_t most_s;
};

static struct trouble troubles[] = {
    {"throttled, with a time",
     GRAPH_ROTATION_ADD,
     {.reason = "throttled", .retry_after_s = 300},
     2,
     600,
     620},
    {"unavailable for a while",
     GRAPH_ROTATION_LIST,
     {.reason = "unavailable"},
     5,
     2 + 4 + 8 + 16 + 32,
     200},
    {"no permission until somebody grants it",
     GRAPH_ROTATION_ADD,
     {.reason = "forbidden", .is_lasting = true},
     4,
     60 + 120 + 240 + 480,
     1200},
    {"no answer to what may have been done",
     GRAPH_ROTATION_ADD,
     {.reason = "unreachable", .is_unknown = true},
     3,
     2 + 4 + 8,
     60},
    {"no token while probing",
     GRAPH_ROTATION_PROBE,
     {.reason = "unreachable"},
     3,
     5,
     60},
    {"the state does not take it",
     GRAPH_ROTATION_PROMOTE,
     {.reason = "internal"},
     2,
     5,
     60},
    {"a key can't be made",
     GRAPH_ROTATION_MAKE,
     {.reason = "internal"},
     2,
     5,
     60},
};

static void
check_trouble(void **state)
{
    const struct trouble *trouble = *state;
    struct world world;
    int64_t took;

    for (int is_secret = 0; is_secret < 2; is_secret++) {
        open_world(&world, is_secret != 0);
        world.failure = &trouble->failure;
        world.failing = trouble->step;
        world.failures_left = trouble->times;
        while (world.failures_left > 0)
            turn(&world);
        assert_string_equal(world.rotation.reason, trouble->failure.reason);
        assert_true(world.rotation.failures > 0);
        while (world.rotation.rotated_wall == 0)
            turn(&world);
        took = world.rotation.rotated_wall - START;
        assert_true(took >= trouble->least_s + world.settings.settle_s);
        assert_true(took <= trouble->most_s + 2 * world.settings.settle_s);
        assert_int_equal(world.rotation.failures, 0);
        assert_string_equal(world.rotation.reason, "");
        run(&world, 66);
        assert_tidy(&world, 2);
        close_world(&world);
    }
}

static void
what_is_never_accepted_is_given_up_and_removed(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, false);
    world.is_refusing = true;
    while (world.adds == 0 || world.rotation.phase != GRAPH_ROTATION_IDLE)
        turn(&world);
    assert_true(world.now - START >= 1800);
    assert_string_equal(world.rotation.reason, "never-accepted");
    assert_string_equal(world.live, "");
    while (world.removals == 0)
        turn(&world);
    assert_int_equal(registered(&world), 1);
    world.is_refusing = false;
    run(&world, 10);
    assert_tidy(&world, 2);
    close_world(&world);
}

static void
removing_waits_until_the_new_one_is_seen(void **state)
{
    struct world world;
    struct graph_rotation_plan plan;
    struct graph_rotation_entry old;
    int64_t at;

    (void)state;
    open_world(&world, false);
    run(&world, 31); /* the second is in use, the first is to go */
    assert_int_equal(world.rotation.retired_count, 1);
    old = world.rotation.retired[0];
    at = old.remove_wall;
    graph_rotation_next(&world.rotation, at, &plan);
    assert_int_equal(plan.step, GRAPH_ROTATION_LIST);
    /* The listing holds the old one only: the new one must not be alone. */
    graph_rotation_listed(&world.rotation, &old, 1, at);
    graph_rotation_next(&world.rotation, at, &plan);
    assert_int_equal(plan.step, GRAPH_ROTATION_CHECK);
    graph_rotation_checked(&world.rotation, at, 0);
    assert_string_equal(world.rotation.reason, "current-not-listed");
    graph_rotation_next(&world.rotation, at, &plan);
    assert_int_equal(plan.step, GRAPH_ROTATION_WAIT);
    assert_true(plan.until_wall >= at + 60);
    /* It still rotates when it is time, whatever becomes of that. */
    assert_int_equal(world.rotation.failures, 0);
    close_world(&world);
}

static void
what_is_not_listed_is_looked_for_again_and_forgotten(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, true);
    turn(&world);    /* made */
    restart(&world); /* nobody knows whether it was sent */
    turn(&world);    /* listed: it is not there */
    assert_int_equal(world.rotation.phase, GRAPH_ROTATION_IDLE);
    assert_int_equal(world.rotation.retired_count, 1);
    while (world.rotation.rotated_wall == 0)
        turn(&world);
    run(&world, 1);
    assert_tidy(&world, 2);
    assert_int_equal(world.removals, 0);
    close_world(&world);
}

static void
the_operator_need_not_wait(void **state)
{
    struct world world;
    struct graph_rotation_plan plan;

    (void)state;
    open_world(&world, false);
    run(&world, 10);
    graph_rotation_next(&world.rotation, world.now, &plan);
    assert_int_equal(plan.step, GRAPH_ROTATION_WAIT);
    graph_rotation_hurry(&world.rotation, world.now);
    graph_rotation_next(&world.rotation, world.now, &plan);
    assert_int_equal(plan.step, GRAPH_ROTATION_MAKE);
    close_world(&world);
}

static void
a_candidate_of_another_kind_is_given_up(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, false);
    while (world.rotation.phase != GRAPH_ROTATION_PROBING)
        turn(&world);
    graph_rotation_abandon(&world.rotation, world.now);
    world.is_secret = true;
    assert_null(world.rotation.private_key);
    run(&world, 10);
    assert_tidy(&world, 2);
    assert_int_equal(world.removals, 1);
    close_world(&world);
}

/* ---- Records --------------------------------------------------------------
 */

/*
 * Another host takes over after any step of the first one, before or after it
 * has renewed the credential itself: nothing is orphaned.
 */
static void
check_move(bool is_secret, size_t at, int64_t days_before)
{
    char live[GRAPH_ROTATION_TAG_SIZE];
    struct graph_rotation other;
    struct err err = {ERR_NONE, ""};
    struct world world;

    open_world(&world, is_secret);
    while (world.steps < at)
        turn(&world);
    save(&world);
    assert_int_equal(graph_record_decode(buf_str(&world.stored),
                                         world.stored.len, CLIENT, &other,
                                         &err),
                     0);
    memcpy(live, world.live, sizeof(live));
    world.live[0] = '\0';
    buf_reset(&world.stored);
    restart(&world); /* elsewhere, where nothing is known */
    run(&world, days_before);
    if (days_before == 0 && at % 2 == 1) {
        turn(&world); /* what is made and not sent is given up */
        assert_int_equal(world.rotation.phase, GRAPH_ROTATION_SENDING);
    }
    assert_int_equal(graph_rotation_merge(&world.rotation, &other,
                                          &world.settings, world.now),
                     days_before == 0);
    assert_null(other.private_key);
    assert_null(other.secret);
    if (days_before == 0)
        memcpy(world.live, live, sizeof(live));
    save(&world);
    run(&world, 100);
    assert_tidy(&world, 2);
    close_world(&world);
}

static void
a_rotation_moves_to_another_host(void **state)
{
    (void)state;
    for (int is_secret = 0; is_secret < 2; is_secret++)
        for (size_t at = 0; at < 40; at++) {
            check_move(is_secret != 0, at, 0);
            check_move(is_secret != 0, at, 40);
        }
}

static void
the_same_again_changes_nothing(void **state)
{
    struct graph_rotation other;
    struct err err = {ERR_NONE, ""};
    struct world world;

    (void)state;
    open_world(&world, false);
    run(&world, 31); /* one is in its grace */
    assert_int_equal(world.rotation.retired_count, 1);
    save(&world);
    assert_int_equal(graph_record_decode(buf_str(&world.stored),
                                         world.stored.len, CLIENT, &other,
                                         &err),
                     0);
    assert_false(graph_rotation_merge(&world.rotation, &other, &world.settings,
                                      world.now));
    assert_int_equal(world.rotation.retired_count, 1);
    run(&world, 100);
    assert_tidy(&world, 2);
    close_world(&world);
}

/* What was put off by a clock that was ahead is put off no longer. */
static void
a_clock_that_was_ahead_puts_nothing_off(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, false);
    world.now += (int64_t)400 * DAY;
    run(&world, 31);
    assert_int_equal(world.rotation.retired_count, 1);
    world.rotation.not_before_wall = world.now + DAY;
    world.rotation.clean_wall = world.now + DAY;
    world.now = START + DAY;
    graph_rotation_fit(&world.rotation, &world.settings, world.now);
    assert_int_equal(world.rotation.due_wall,
                     world.now + world.settings.every_s);
    assert_int_equal(world.rotation.retired[0].remove_wall,
                     world.now + world.settings.grace_s);
    assert_true(world.rotation.not_before_wall <= world.now + DAY);
    assert_true(world.rotation.clean_wall <= world.now + DAY);
    world.now += 5;
    graph_rotation_fit(&world.rotation, &world.settings, world.now);
    assert_int_equal(world.rotation.due_wall,
                     world.now - 5 + world.settings.every_s);
    close_world(&world);
}

static void
records_that_are_none_are_refused(void **state)
{
    static const struct {
        const char *text;
        enum err_code want;
    } rows[] = {
        {"", ERR_PROTO},
        {"[]", ERR_PROTO},
        {"{\"client_id\":\"c\",\"version\":2}", ERR_PROTO},
        {"{\"client_id\":\"other\",\"version\":1}", ERR_NOTFOUND},
        {"{\"client_id\":\"c\",\"version\":1,\"phase\":\"x\"}", ERR_PROTO},
        {"{\"client_id\":\"c\",\"version\":1,\"phase\":\"idle\"}", ERR_PROTO},
        {"{\"client_id\":\"c\",\"version\":1,\"phase\":\"probing\","
         "\"current\":{},\"candidate\":{},\"retired\":[]}",
         ERR_PROTO},
        {"{\"client_id\":\"c\",\"version\":1,\"phase\":\"idle\","
         "\"current\":{},\"candidate\":{},\"retired\":[],\"due\":-1}",
         ERR_PROTO},
        {"{\"client_id\":\"c\",\"version\":1,\"phase\":\"idle\","
         "\"current\":{\"tag\":\"0123456789012345678901234567890123456789\"},"
         "\"candidate\":{},\"retired\":[]}",
         ERR_PROTO},
        {"{\"client_id\":\"c\",\"version\":1,\"phase\":\"idle\","
         "\"current\":{},\"candidate\":{},\"retired\":[],\"more\":1}",
         ERR_NONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct graph_rotation rotation;
        struct err err = {ERR_NONE, ""};
        int rc = graph_record_decode(rows[i].text, strlen(rows[i].text), "c",
                                     &rotation, &err);

        assert_int_equal(err.code, rows[i].want);
        assert_int_equal(rc, rows[i].want == ERR_NONE ? 0 : -1);
        graph_rotation_clear(&rotation);
    }
}

static void
any_beginning_of_a_record_is_survived(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, true);
    while (world.rotation.phase != GRAPH_ROTATION_PROBING)
        turn(&world);
    for (size_t len = 0; len < world.stored.len; len++) {
        struct graph_rotation rotation;
        struct err err = {ERR_NONE, ""};

        assert_int_equal(graph_record_decode(buf_str(&world.stored), len,
                                             CLIENT, &rotation, &err),
                         -1);
        assert_null(rotation.secret);
        assert_null(strstr(err.text, "secret\""));
    }
    close_world(&world);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(troubles) + 11] = {
        cmocka_unit_test(both_kinds_rotate_month_after_month),
        cmocka_unit_test(what_the_operator_named_goes_after_the_grace),
        cmocka_unit_test(a_crash_at_any_step_is_finished_or_undone),
        cmocka_unit_test(crashes_again_and_again_leave_nothing_behind),
        cmocka_unit_test(what_is_never_accepted_is_given_up_and_removed),
        cmocka_unit_test(removing_waits_until_the_new_one_is_seen),
        cmocka_unit_test(what_is_not_listed_is_looked_for_again_and_forgotten),
        cmocka_unit_test(the_operator_need_not_wait),
        cmocka_unit_test(a_candidate_of_another_kind_is_given_up),
        cmocka_unit_test(a_rotation_moves_to_another_host),
        cmocka_unit_test(the_same_again_changes_nothing),
        cmocka_unit_test(a_clock_that_was_ahead_puts_nothing_off),
        cmocka_unit_test(records_that_are_none_are_refused),
        cmocka_unit_test(any_beginning_of_a_record_is_survived),
    };
    const size_t fixed = 11;

    for (size_t i = 0; i < ARRAY_LEN(troubles); i++)
        tests[fixed + i] = (struct CMUnitTest){
            .name = troubles[i].name,
            .test_func = check_trouble,
            .initial_state = &troubles[i],
        };
    return cmocka_run_group_tests_name("graph_rotation", tests, NULL, NULL);
}
