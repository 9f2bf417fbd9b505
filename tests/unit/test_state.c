/*
 * state: what changes while what is stored is not known yet is neither lost nor
 * costs what is stored.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/clock.h"
#include "common/secret.h"
#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "tests/unit/scratch.h"
#include "token-daemon/state.h"

#define GUARD_MS 30000 /* a test that takes longer has failed */
#define RETRY_MS 20
#define TEXT_MAX 64
#define KEY      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

#define ELSEWHERE "elsewhere a@x.example" /* is not configured */

static char access_text[] = "access";
static const struct refresher_key first = {"c", "a@x.example"};
static const struct refresher_key second = {"c", "b@x.example"};

/* A daemon's part of it, from its start to its end. */
struct world {
    struct event_base *base;
    struct event *tick;
    int64_t deadline;
    struct fake_env *env;
    struct refresher *refresher;
    struct state *state;
    struct config *config;
    bool is_settled, is_durable;
    size_t told;              /* records, by an export */
    size_t restored;          /* records of the other kind */
    unsigned opened;          /* likewise */
    unsigned audit_reads;     /* that were answered */
    char elsewhere[TEXT_MAX]; /* the refresh token of ELSEWHERE */
};

/* The environment's functions see the fake's argument: one world at a time. */
static struct world *the_world;

static int
save(void *arg, const char *name, const struct token_record *record,
     refresher_saved_fn *done, void *done_arg)
{
    (void)arg;
    return state_save(the_world->state, name, record, done, done_arg);
}

static void
unsave(void *arg, const void *done_arg)
{
    (void)arg;
    state_unsave(the_world->state, done_arg);
}

static void
unstore(void *arg, const char *name)
{
    (void)arg;
    state_unstore(the_world->state, name);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
    const struct world *world = arg;

    (void)fd;
    (void)what;
    if (clock_boot_ms() > world->deadline)
        fail_msg("this takes too long");
}

static void
restore_other(void *arg, const char *name, const char *value, size_t len)
{
    struct world *world = arg;

    (void)name;
    (void)value;
    (void)len;
    world->restored++;
}

static void
opened_other(void *arg, bool is_new)
{
    struct world *world = arg;

    (void)is_new;
    world->opened++;
}

/* The key that seals is in this file, which may be missing. */
static struct config *
make_config(const char *key_name)
{
    char text[2048];

    (void)snprintf(
        text, sizeof(text),
        "credential \"c\" {\nprovider = \"custom\"\nclient_id = \"id\"\n"
        "grant = \"authorization_code\"\nservers = {\"mx.example\"}\n"
        "token_url = \"https://sts.example/token\"\n"
        "authorize_url = \"https://sts.example/authorize\"\n"
        "scope = \"mail\"\n}\n"
        "mailbox \"a@x.example\" { credential = \"c\" }\n"
        "mailbox \"b@x.example\" { credential = \"c\" }\n"
        "milter { default_mailbox = \"a@x.example\" }\n"
        "tokend { allow = {}\nstate = \"%s\"\nseal_key = \"file:%s\"\n}\n",
        scratch_path("state.db"), scratch_path(key_name));
    return fake_env_config(text);
}

static struct world *
start(const char *key_name)
{
    struct world *world = calloc(1, sizeof(*world));
    const struct timeval interval = {0, 2000};
    struct err err = {ERR_NONE, ""};
    struct refresher_env env;

    assert_non_null(world);
    the_world = world;
    world->deadline = clock_boot_ms() + GUARD_MS;
    world->base = event_base_new();
    assert_non_null(world->base);
    world->tick = event_new(world->base, -1, EV_PERSIST, on_tick, world);
    assert_non_null(world->tick);
    assert_int_equal(event_add(world->tick, &interval), 0);
    world->env = fake_env_new();
    env = *fake_env_refresher(world->env);
    env.save = save;
    env.unsave = unsave;
    env.unstore = unstore;
    world->refresher = refresher_new(&env);
    assert_non_null(world->refresher);
    world->config = make_config(key_name);
    world->state = state_new(
        &(struct state_settings){
            .base = world->base,
            .refresher = world->refresher,
            .config = world->config,
            .kinds = {{.kind = "other",
                       .restore = restore_other,
                       .opened = opened_other,
                       .arg = world}},
            .kind_count = 1,
            .retry_ms = RETRY_MS,
        },
        &err);
    assert_non_null(world->state);
    state_wait(world->state);
    assert_int_equal(refresher_configure(world->refresher, world->config, &err),
                     0);
    return world;
}

static void
stop(struct world **world)
{
    struct world *w = *world;

    refresher_free(&w->refresher);
    state_free(&w->state);
    config_unref(&w->config);
    fake_env_free(&w->env);
    event_free(w->tick);
    event_base_free(w->base);
    free(w);
    *world = NULL;
}

static void
turn(struct world *world)
{
    assert_int_not_equal(event_base_loop(world->base, EVLOOP_ONCE), -1);
}

static void
sign_in(struct world *world, const struct refresher_key *key, const char *text)
{
    struct oauth_token token = {.access = secret_dup("access"),
                                .refresh = secret_dup(text),
                                .lifetime = 3600};
    struct err err = {ERR_NONE, ""};

    assert_int_equal(refresher_sign_in(world->refresher, key, &token, &err), 0);
    oauth_token_clear(&token);
}

static void
sign_out(struct world *world, const struct refresher_key *key)
{
    struct err err = {ERR_NONE, ""};

    assert_int_equal(refresher_sign_out(world->refresher, key, &err), 0);
}

static bool
is_signed_in(struct world *world, const struct refresher_key *key)
{
    struct refresher_info info;

    assert_true(refresher_describe(world->refresher, key, &info));
    return info.has_refresh_token;
}

static void
on_settled(bool is_durable, int64_t durable_us, void *arg)
{
    struct world *world = arg;

    (void)durable_us;
    assert_false(world->is_settled);
    world->is_settled = true;
    world->is_durable = is_durable;
}

/* Is all that changed on the disk? */
static bool
settle(struct world *world)
{
    world->is_settled = false;
    if (state_settle(world->state, on_settled, world) < 0)
        return false;
    assert_false(world->is_settled);
    while (!world->is_settled)
        turn(world);
    return world->is_durable;
}

static void
wait_for_writer(struct world *world)
{
    struct writer_status status = {.is_open = false};

    while (!state_status(world->state, &status) || !status.is_open)
        turn(world);
}

/* Both are signed in, and that is stored. */
static int
set_up(void **state)
{
    struct world *world;

    (void)state;
    (void)unlink(scratch_path("state.db"));
    (void)unlink(scratch_path("late.key"));
    scratch_write("key", KEY, strlen(KEY), 0600);
    world = start("key");
    sign_in(world, &first, "refresh-a");
    sign_in(world, &second, "refresh-b");
    assert_true(settle(world));
    stop(&world);
    return 0;
}

/* ---- The tests ---------------------------------------------------------- */

static void
what_is_durable_is_told(void **state)
{
    struct world *world = start("key");

    (void)state;
    assert_true(is_signed_in(world, &first));
    assert_true(is_signed_in(world, &second));
    sign_out(world, &first);
    assert_true(settle(world));
    stop(&world);
    world = start("key");
    assert_false(is_signed_in(world, &first));
    assert_true(is_signed_in(world, &second));
    stop(&world);
}

/* The key comes later: what was changed before is newer than what is stored. */
static void
what_changes_before_the_key_is_there_is_done_then(void **state)
{
    struct world *world = start("late.key");

    (void)state;
    assert_false(is_signed_in(world, &first));
    sign_out(world, &first);
    sign_in(world, &second, "refresh-c");
    assert_false(settle(world)); /* and says so */
    assert_true(fake_env_logged(world->env, "held in memory only") > 0);
    scratch_write("late.key", KEY, strlen(KEY), 0600);
    wait_for_writer(world);
    assert_true(settle(world));
    assert_false(is_signed_in(world, &first));
    stop(&world);

    world = start("key");
    assert_false(is_signed_in(world, &first));
    assert_true(is_signed_in(world, &second));
    stop(&world);
}

static void
what_was_not_written_at_the_end_is_said(void **state)
{
    struct world *world = start("late.key");

    (void)state;
    sign_out(world, &first);
    state_free(&world->state);
    assert_int_equal(fake_env_logged(world->env, "is lost at the end"), 1);
    stop(&world);
    world = start("key");
    assert_true(is_signed_in(world, &first)); /* as it was said */
    stop(&world);
}

static void
on_record(const struct store_record *record, void *arg)
{
    struct world *world = arg;

    (void)record;
    world->told++;
}

/* What export_all() tells. */
struct exporting {
    struct state *state;
    state_record_fn *tell;
    void *arg;
};

static void
export_token(const char *name, void *arg)
{
    const struct exporting *exporting = arg;

    state_export_token(exporting->state, name, exporting->tell, exporting->arg);
}

static void
export_all(struct state *state, state_record_fn *tell, void *arg)
{
    struct exporting exporting = {state, tell, arg};

    state_each_token(state, export_token, &exporting);
    state_export_others(state, tell, arg);
}

static void
find_elsewhere(const struct store_record *record, void *arg)
{
    struct world *world = arg;
    struct token_record token;
    struct err err = {ERR_NONE, ""};

    if (strcmp(record->name, ELSEWHERE) != 0)
        return;
    assert_int_equal(
        token_record_decode(record->value, record->len, &token, &err), 0);
    (void)snprintf(world->elsewhere, sizeof(world->elsewhere), "%s",
                   token.refresh_token);
    token_record_clear(&token);
}

/* Nothing is known of what is stored, so nothing may replace it. */
static void
an_export_before_the_key_is_there_costs_nothing(void **state)
{
    const struct store_record record = {"token", "x", "y", 1, 0};
    struct world *world = start("late.key");
    struct err err = {ERR_NONE, ""};

    (void)state;
    export_all(world->state, on_record, world);
    assert_int_equal(world->told, 0);
    assert_int_equal(world->opened, 0);
    assert_int_equal(state_import(world->state, &record, 1, &err), -1);
    assert_int_equal(err.code, ERR_RETRY);
    scratch_write("late.key", KEY, strlen(KEY), 0600);
    wait_for_writer(world);
    assert_true(settle(world));
    assert_true(is_signed_in(world, &first));
    export_all(world->state, on_record, world);
    assert_int_equal(world->told, 2);
    assert_int_equal(world->opened, 2);
    stop(&world);
    world = start("key");
    assert_true(is_signed_in(world, &first));
    assert_true(is_signed_in(world, &second));
    stop(&world);
}

/*
 * A token that was fetched before what is stored was read has no refresh token
 * to show: it takes nothing's place.
 */
static void
what_was_not_read_is_not_replaced_by_less(void **state)
{
    struct world *world = start("late.key");
    const struct token_record less = {.access_token = access_text,
                                      .expires_wall = FAKE_ENV_WALL + 3600,
                                      .lifetime_s = 3600};

    (void)state;
    assert_int_equal(
        state_save(world->state, "c a@x.example", &less, NULL, NULL), -1);
    scratch_write("late.key", KEY, strlen(KEY), 0600);
    wait_for_writer(world);
    assert_true(settle(world));
    assert_true(is_signed_in(world, &first));
    stop(&world);
    world = start("key");
    assert_true(is_signed_in(world, &first));
    stop(&world);
}

/* A file is older than what the disk has of a mailbox that is not configured.
 */
static void
an_import_takes_nothings_place_that_is_newer(void **state)
{
    static const struct {
        int64_t obtained;
        const char *wanted;
        int kept;
    } rows[] = {{FAKE_ENV_WALL - 1, "refresh-new", 1},
                {FAKE_ENV_WALL + 1, "refresh-file", 0}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct token_record held = {.refresh_token = secret_dup("refresh-new"),
                                    .refresh_token_obtained_wall =
                                        FAKE_ENV_WALL};
        struct token_record file = {.refresh_token = secret_dup("refresh-file"),
                                    .refresh_token_obtained_wall =
                                        rows[i].obtained};
        struct store_record record = {.kind = "token", .name = ELSEWHERE};
        struct err err = {ERR_NONE, ""};
        struct world *world;
        struct buf value;

        (void)set_up(state);
        world = start("key");
        refresher_restore(world->refresher, ELSEWHERE, &held);
        buf_init(&value, TOKEN_RECORD_MAX);
        assert_int_equal(token_record_encode(&file, &value, &err), 0);
        record.value = buf_str(&value);
        record.len = value.len;
        assert_int_equal(state_import(world->state, &record, 1, &err),
                         rows[i].kept);
        export_all(world->state, find_elsewhere, world);
        assert_string_equal(world->elsewhere, rows[i].wanted);
        buf_clear(&value);
        token_record_clear(&file);
        assert_true(settle(world));
        stop(&world);

        /* What was taken is on the disk; what was not has not been put. */
        world = start("key");
        export_all(world->state, find_elsewhere, world);
        assert_string_equal(world->elsewhere, i == 0 ? "" : rows[i].wanted);
        stop(&world);
    }
}

static void
on_audit(const struct store_audit *rows, size_t count, const struct err *err,
         void *arg)
{
    unsigned *reads = arg;

    (void)rows;
    (void)count;
    (void)err;
    (*reads)++;
}

static void
who_asked_for_the_trail_and_left_hears_nothing(void **state)
{
    struct world *world = start("key");
    struct err err = {ERR_NONE, ""};
    unsigned gone = 0;

    (void)state;
    assert_int_equal(state_read_audit(world->state, 5, on_audit, &gone, &err),
                     0);
    state_forget_audit(world->state, &gone);
    assert_int_equal(
        state_read_audit(world->state, 5, on_audit, &world->audit_reads, &err),
        0);
    while (world->audit_reads == 0)
        turn(world);
    assert_int_equal(gone, 0);
    stop(&world);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_durable_is_told, set_up),
        cmocka_unit_test_setup(
            what_changes_before_the_key_is_there_is_done_then, set_up),
        cmocka_unit_test_setup(what_was_not_written_at_the_end_is_said, set_up),
        cmocka_unit_test_setup(an_export_before_the_key_is_there_costs_nothing,
                               set_up),
        cmocka_unit_test_setup(what_was_not_read_is_not_replaced_by_less,
                               set_up),
        cmocka_unit_test_setup(an_import_takes_nothings_place_that_is_newer,
                               set_up),
        cmocka_unit_test_setup(who_asked_for_the_trail_and_left_hears_nothing,
                               set_up),
    };

    return cmocka_run_group_tests_name("state", tests, scratch_set_up,
                                       scratch_tear_down);
}
