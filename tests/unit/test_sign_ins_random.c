/*
 * What a sign-in left is never lost: random lives of a daemon, each from its
 * start to its end or to a kill -9, in which sections go, come back and change,
 * people sign in and out, tokens are refreshed, exported and imported.
 *
 * At every moment memory and an export have the newest refresh token of each
 * name, configured or not; a request uses no other; and after a kill the disk
 * has that one, or one that is not older than what was said to be durable. It
 * goes by a sign-out only.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/clock.h"
#include "common/secret.h"
#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "tests/unit/scratch.h"
#include "token-daemon/state.h"

#define LIVES     25 /* of each seed */
#define STEPS     60 /* of a life, at most */
#define HISTORY   4096
#define GUARD_MS  60000
#define RETRY_MS  10
#define NAMES_MAX 8
#define TEXT_SIZE 32
#define KEY       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* What each name has had: numbers of refresh tokens, 0 for none. */
struct history {
    unsigned values[HISTORY];
    size_t count;   /* the last one is in memory */
    size_t durable; /* this one is on the disk, or a later one */
};

/* All that is known of the outside; lives in memory shared with the child. */
struct model {
    struct history histories[NAMES_MAX];
    unsigned snapshot[NAMES_MAX]; /* of the last export; 0: none */
    bool has_snapshot;
    size_t config;
    int64_t clock_ms;
    uint32_t dice;
    unsigned last; /* refresh token that was issued */
    unsigned kills, answers, sign_ins, sign_outs, reloads, imports, late;
};

static const char *const names[] = {"c a@x.example", "c b@x.example",
                                    "d a@x.example", "d b@x.example"};

static const struct refresher_key keys[] = {{"c", "a@x.example"},
                                            {"c", "b@x.example"},
                                            {"d", "a@x.example"},
                                            {"d", "b@x.example"}};

#define CREDENTIAL(name, id, scope)                            \
    "credential \"" name "\" {\nprovider = \"custom\"\n"       \
    "client_id = \"" id "\"\ngrant = \"authorization_code\"\n" \
    "servers = {\"mx.example\"}\n"                             \
    "token_url = \"https://sts.example/token\"\n"              \
    "authorize_url = \"https://sts.example/authorize\"\n"      \
    "scope = \"" scope "\"\n}\n"
#define APP_ONLY                                                           \
    "credential \"c\" {\nprovider = \"custom\"\nclient_id = \"id\"\n"      \
    "grant = \"client_credentials\"\nclient_secret = {\"file:/secret\"}\n" \
    "servers = {\"mx.example\"}\n"                                         \
    "token_url = \"https://sts.example/token\"\nscope = \"mail\"\n}\n"
#define SERVICE                                                                \
    "credential \"c\" {\nprovider = \"google\"\ngrant = \"service_account\"\n" \
    "service_account_key = \"file:/account.json\"\n}\n"
#define A(name)      "mailbox \"a@x.example\" { credential = \"" name "\" }\n"
#define B(name)      "mailbox \"b@x.example\" { credential = \"" name "\" }\n"
#define O(name)      "mailbox \"o@x.example\" { credential = \"" name "\" }\n"
#define DOMAIN(name) "mailbox \"@x.example\" { credential = \"" name "\" }\n"

static const char *const configs[] = {
    CREDENTIAL("c", "id", "mail") A("c") B("c") O("c"),
    CREDENTIAL("c", "id", "mail") A("c") O("c"),
    CREDENTIAL("d", "id", "mail") A("d") B("d") O("d"),
    CREDENTIAL("c", "id", "mail") CREDENTIAL("d", "id", "mail") A("c") B("d")
        O("c"),
    CREDENTIAL("c", "id", "other") A("c") B("c") O("c"),
    CREDENTIAL("c", "id2", "mail") A("c") B("c") O("c"),
    CREDENTIAL("c", "id", "mail") DOMAIN("c") O("c"),
    APP_ONLY A("c") B("c") O("c"),
    SERVICE A("c") B("c") O("c"),
};

/* ---- The child: one life --------------------------------------------------
 */

struct life {
    struct model *model;
    struct event_base *base;
    struct event *tick;
    int64_t deadline;
    struct fake_env *env;
    struct refresher *refresher;
    struct state *state;
    struct config *config;
    bool is_settled, is_durable;
    bool is_known; /* what is stored was read */
    unsigned told[NAMES_MAX];
};

/* The environment's functions see the fake's argument: one life at a time. */
static struct life *the_life;

static unsigned
throw_dice(struct model *model, unsigned sides)
{
    model->dice = model->dice * 1664525 + 1013904223;
    return (model->dice >> 8) % sides;
}

static void
note(struct model *model, size_t name, unsigned value)
{
    struct history *history = &model->histories[name];

    assert_true(history->count < HISTORY);
    history->values[history->count++] = value;
}

static unsigned
newest(const struct model *model, size_t name)
{
    const struct history *history = &model->histories[name];

    return history->values[history->count - 1];
}

static size_t
find_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return ARRAY_LEN(names);
}

static unsigned
number_of(const char *refresh_token)
{
    if (refresh_token == NULL || refresh_token[0] == '\0')
        return 0;
    return (unsigned)strtoul(refresh_token + 1, NULL, 10);
}

static int
save(void *arg, const char *name, const struct token_record *record,
     refresher_saved_fn *done, void *done_arg)
{
    (void)arg;
    return state_save(the_life->state, name, record, done, done_arg);
}

static void
unsave(void *arg, const void *done_arg)
{
    (void)arg;
    state_unsave(the_life->state, done_arg);
}

static void
unstore(void *arg, const char *name)
{
    (void)arg;
    state_unstore(the_life->state, name);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
    const struct life *life = arg;

    (void)fd;
    (void)what;
    if (clock_boot_ms() > life->deadline)
        fail_msg("this takes too long");
}

static void
configure(struct life *life, size_t number, const char *key_name)
{
    char text[4096];
    struct err err = {ERR_NONE, ""};

    (void)snprintf(text, sizeof(text),
                   "%smilter { default_mailbox = \"o@x.example\"\n}\n"
                   "tokend { allow = {}\nstate = \"%s\"\n"
                   "seal_key = \"file:%s\"\n}\n",
                   configs[number], scratch_path("state.db"),
                   scratch_path(key_name));
    config_unref(&life->config);
    life->config = fake_env_config(text);
    life->model->config = number;
    if (life->state != NULL)
        assert_int_equal(
            refresher_configure(life->refresher, life->config, &err), 0);
}

static void
on_record(const struct store_record *stored, void *arg)
{
    struct life *life = arg;
    struct token_record record;
    struct err err = {ERR_NONE, ""};
    size_t name = find_name(stored->name);

    assert_int_equal(
        token_record_decode(stored->value, stored->len, &record, &err), 0);
    if (name < ARRAY_LEN(names)) {
        assert_int_equal(life->told[name], 0);
        life->told[name] = number_of(record.refresh_token);
    }
    token_record_clear(&record);
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

/* What memory has of each name, by an export. */
static void
look(struct life *life)
{
    memset(life->told, 0, sizeof(life->told));
    export_all(life->state, on_record, life);
}

static void
check(struct life *life)
{
    if (!life->is_known)
        return;
    look(life);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (life->told[i] != newest(life->model, i))
            fail_msg("%s: has %u, the newest is %u, in configuration %zu",
                     names[i], life->told[i], newest(life->model, i),
                     life->model->config);
}

static void
turn(struct life *life, int flags)
{
    assert_int_not_equal(event_base_loop(life->base, flags), -1);
}

static void
on_settled(bool is_durable, int64_t durable_us, void *arg)
{
    struct life *life = arg;

    (void)durable_us;
    life->is_settled = true;
    life->is_durable = is_durable;
}

static void
settle(struct life *life)
{
    life->is_settled = life->is_durable = false;
    if (state_settle(life->state, on_settled, life) < 0)
        return;
    while (!life->is_settled)
        turn(life, EVLOOP_ONCE);
    assert_true(life->is_durable);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        life->model->histories[i].durable = life->model->histories[i].count - 1;
}

/* What a kill left: nothing that is older than what was durable. */
static void
find_what_was_left(struct life *life)
{
    look(life);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct history *history = &life->model->histories[i];
        size_t at = history->durable;

        while (at < history->count && history->values[at] != life->told[i])
            at++;
        if (at == history->count)
            fail_msg("%s: the disk has %u, %u was durable", names[i],
                     life->told[i], history->values[history->durable]);
        history->values[0] = life->told[i];
        history->count = 1;
        history->durable = 0;
    }
}

/* The key that seals was missing, and is there now. */
static void
find_key(struct life *life)
{
    struct writer_status status = {.is_open = false};

    if (life->is_known)
        return;
    scratch_write("late.key", KEY, strlen(KEY), 0600);
    while (!state_status(life->state, &status) || !status.is_open)
        turn(life, EVLOOP_ONCE);
    settle(life);
    life->is_known = true;
    /* Who did neither sign in nor out has what the disk had. */
    look(life);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(life->told[i], newest(life->model, i));
}

static void
start(struct life *life, struct model *model, bool is_late)
{
    const char *key_name = is_late ? "late.key" : "key";
    const struct timeval interval = {0, 2000};
    struct err err = {ERR_NONE, ""};
    struct refresher_env env;

    life->model = model;
    the_life = life;
    life->deadline = clock_boot_ms() + GUARD_MS;
    life->base = event_base_new();
    assert_non_null(life->base);
    life->tick = event_new(life->base, -1, EV_PERSIST, on_tick, life);
    assert_non_null(life->tick);
    assert_int_equal(event_add(life->tick, &interval), 0);
    life->env = fake_env_new();
    fake_env_drop_log(life->env);
    fake_env_suspend(life->env, model->clock_ms);
    env = *fake_env_refresher(life->env);
    env.save = save;
    env.unsave = unsave;
    env.unstore = unstore;
    life->refresher = refresher_new(&env);
    assert_non_null(life->refresher);
    configure(life, throw_dice(model, ARRAY_LEN(configs)), key_name);
    life->state =
        state_new(&(struct state_settings){.base = life->base,
                                           .refresher = life->refresher,
                                           .config = life->config,
                                           .retry_ms = RETRY_MS},
                  &err);
    assert_non_null(life->state);
    state_wait(life->state);
    assert_int_equal(refresher_configure(life->refresher, life->config, &err),
                     0);
    life->is_known = !is_late;
    if (life->is_known)
        find_what_was_left(life);
}

/* A late key: what the disk has is not known before; a kill may have left an
 * older one than the model's last. So it is looked at first, in a life of its
 * own. */
static void
stop(struct life *life)
{
    refresher_free(&life->refresher);
    state_free(&life->state);
    config_unref(&life->config);
    fake_env_free(&life->env);
    event_free(life->tick);
    event_base_free(life->base);
}

/* ---- What happens ---------------------------------------------------------
 */

static void
sign_in(struct life *life)
{
    struct model *model = life->model;
    size_t name = throw_dice(model, ARRAY_LEN(keys));
    char text[TEXT_SIZE];
    struct oauth_token token = {.lifetime = 3600};
    struct err err = {ERR_NONE, ""};

    (void)snprintf(text, sizeof(text), "r%u", model->last + 1);
    token.access = secret_dup("access");
    token.refresh = secret_dup(text);
    if (refresher_sign_in(life->refresher, &keys[name], &token, &err) == 0) {
        note(model, name, ++model->last);
        model->sign_ins++;
    }
    oauth_token_clear(&token);
}

static void
sign_out(struct life *life)
{
    size_t name = throw_dice(life->model, ARRAY_LEN(keys));
    struct err err = {ERR_NONE, ""};

    if (refresher_sign_out(life->refresher, &keys[name], &err) < 0)
        return;
    note(life->model, name, 0);
    life->model->sign_outs++;
}

/* The provider takes each refresh token once. */
static void
answer(struct life *life)
{
    struct model *model = life->model;
    struct fake_answer answer = {.problem = PROBLEM_UNAVAILABLE};
    struct fake_request request;
    char name[64], text[TEXT_SIZE];
    size_t number;

    if (!fake_env_oldest(life->env, &request))
        return;
    (void)snprintf(name, sizeof(name), "%s %s", request.credential,
                   request.user);
    number = find_name(name);
    if (request.refresh_token[0] != '\0' && life->is_known)
        assert_int_equal(number_of(request.refresh_token),
                         newest(model, number));
    switch (throw_dice(model, 5)) {
    case 0:
        break;
    case 1:
        answer.problem = PROBLEM_NEEDS_LOGIN;
        break;
    case 2:
        answer = (struct fake_answer){.text = "access", .life_s = 3600};
        break;
    default:
        answer = (struct fake_answer){.text = "access", .life_s = 3600};
        if (request.refresh_token[0] == '\0')
            break;
        (void)snprintf(text, sizeof(text), "r%u", ++model->last);
        answer.refresh_token = text;
        note(model, number, model->last);
        model->answers++;
        break;
    }
    fake_env_answer(life->env, &answer);
}

static void
on_answer(const struct refresher_answer *answer, void *arg)
{
    (void)answer;
    (void)arg;
}

static void
ask(struct life *life)
{
    size_t name = throw_dice(life->model, ARRAY_LEN(keys));
    struct err err = {ERR_NONE, ""};

    (void)refresher_ask(
        life->refresher,
        &(struct refresher_question){.key = keys[name], .patience_ms = 1000},
        on_answer, NULL);
    if (refresher_fetch(life->refresher, &keys[name], true, &err) < 0)
        return;
}

static char *snapshot_values[NAMES_MAX];
static size_t snapshot_lens[NAMES_MAX];

static void
keep_record(const struct store_record *stored, void *arg)
{
    size_t name = find_name(stored->name);

    (void)arg;
    if (name == ARRAY_LEN(names))
        return;
    free(snapshot_values[name]);
    snapshot_values[name] = malloc(stored->len);
    assert_non_null(snapshot_values[name]);
    memcpy(snapshot_values[name], stored->value, stored->len);
    snapshot_lens[name] = stored->len;
}

static void export(struct life *life)
{
    if (!life->is_known)
        return;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        free(snapshot_values[i]);
        snapshot_values[i] = NULL;
        life->model->snapshot[i] = newest(life->model, i);
    }
    export_all(life->state, keep_record, NULL);
    life->model->has_snapshot = true;
}

/* What an export had comes back where there is nothing, and else not. */
static void
import(struct life *life)
{
    struct model *model = life->model;
    struct err err = {ERR_NONE, ""};

    if (!life->is_known || !model->has_snapshot)
        return;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct store_record record = {
            .kind = "token",
            .name = names[i],
            .value = snapshot_values[i],
            .len = snapshot_lens[i],
        };
        bool is_taken;
        int kept;

        if (snapshot_values[i] == NULL)
            continue;
        is_taken = newest(model, i) == 0 && model->snapshot[i] != 0;
        if (is_taken)
            note(model, i, model->snapshot[i]);
        kept = state_import(life->state, &record, 1, &err);
        assert_in_range(kept, 0, is_taken ? 0 : 1);
    }
    model->imports++;
}

static void
step(struct life *life)
{
    struct model *model = life->model;

    switch (throw_dice(model, 22)) {
    case 0:
        sign_out(life);
        break;
    case 1:
    case 2:
        sign_in(life);
        break;
    case 3:
    case 4:
    case 5:
        configure(life, throw_dice(model, ARRAY_LEN(configs)), "key");
        model->reloads++;
        break;
    case 6:
    case 7:
        ask(life);
        break;
    case 8:
        turn(life, EVLOOP_NONBLOCK);
        break;
    case 9:
        settle(life);
        break;
    case 10:
        export(life);
        break;
    case 11:
        import(life);
        break;
    case 12:
        find_key(life);
        break;
    case 13:
        fake_env_advance(life->env,
                         (int64_t)throw_dice(model, 2 * 3600) * 1000);
        break;
    default:
        fake_env_advance(life->env, throw_dice(model, 5000));
        answer(life);
        break;
    }
}

static void
live(struct model *model)
{
    struct life life = {.base = NULL};
    unsigned steps = 5 + throw_dice(model, STEPS);
    bool is_late;

    (void)setenv("CMOCKA_TEST_ABORT", "1", 1); /* and the parent sees that */
    (void)unlink(scratch_path("late.key"));
    model->has_snapshot = false;
    start(&life, model, false);
    is_late = throw_dice(model, 4) == 0;
    if (is_late) {
        model->late++;
        stop(&life);
        life = (struct life){.base = NULL};
        start(&life, model, true);
    }
    for (unsigned i = 0; i < steps; i++) {
        step(&life);
        model->clock_ms = fake_env_now(life.env);
        check(&life);
    }
    if (throw_dice(model, 2) == 0) {
        model->kills++;
        (void)raise(SIGKILL);
    }
    /* An end in order. A key that was never found: all since is lost. */
    if (life.is_known)
        settle(&life);
    stop(&life);
    _exit(0);
}

/* ---- The parent -----------------------------------------------------------
 */

static void
nothing_is_lost(void **state)
{
    const unsigned *seed = *state;
    struct model *model = mmap(NULL, sizeof(*model), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(model, MAP_FAILED);
    scratch_write("key", KEY, strlen(KEY), 0600);
    (void)unlink(scratch_path("state.db"));
    (void)unlink(scratch_path("state.db-wal"));
    (void)unlink(scratch_path("state.db-shm"));
    model->dice = *seed;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        note(model, i, 0);
    for (unsigned i = 0; i < LIVES; i++) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            live(model);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!(WIFEXITED(status) && WEXITSTATUS(status) == 0) &&
            !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
            fail_msg("life %u of seed %u", i, *seed);
    }
    assert_true(model->kills > 5);
    assert_true(model->answers > 10);
    assert_true(model->sign_ins > 20);
    assert_true(model->sign_outs > 5);
    assert_true(model->reloads > 50);
    assert_true(model->imports > 3);
    assert_true(model->late > 1);
    assert_int_equal(munmap(model, sizeof(*model)), 0);
}

int
main(void)
{
    static unsigned seeds[] = {1, 2, 3, 4};
    struct CMUnitTest tests[ARRAY_LEN(seeds)];
    static char texts[ARRAY_LEN(seeds)][TEXT_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(seeds); i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "nothing_is_lost, seed %u",
                       seeds[i]);
        tests[i] = (struct CMUnitTest){.name = texts[i],
                                       .test_func = nothing_is_lost,
                                       .initial_state = &seeds[i]};
    }
    return cmocka_run_group_tests_name("sign_ins_random", tests, scratch_set_up,
                                       scratch_tear_down);
}
