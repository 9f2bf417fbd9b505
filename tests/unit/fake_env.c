/*
 * fake_env - the world of the refresher and of the lookups, in a test's hands.
 */
#include "tests/unit/fake_env.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/log.h"
#include "common/secret.h"

#define STARTS_MAX 100000
#define LOG_MAX    ((size_t)8 << 20) /* bytes of log that a test may write */
#define OFF        INT64_MAX

struct fake_timer {
    TAILQ_ENTRY(fake_timer) link;
    struct fake_env *env;
    int64_t at; /* ms of the clock, or OFF */
    uint64_t order;
    void (*fire)(void *arg);
    void *arg;
};

/* The type is the real one's; this is what stands in for it. */
struct acquire {
    TAILQ_ENTRY(acquire) link;
    struct fake_env *env;
    struct config *config;
    const struct config_credential *credential;
    char *user;          /* "": none */
    char *refresh_token; /* "": none */
    acquire_done_fn *done;
    void *arg;
    struct fake_timer *timer; /* NULL: the test answers */
    struct fake_answer answer;
};

struct fake_env {
    struct refresher_env refresher;
    struct lookups_env lookups;
    int64_t now; /* ms since the beginning */
    double chance;
    uint32_t seed; /* 0: the dice show `chance` */
    bool is_start_refused;
    bool are_timers_refused;
    TAILQ_HEAD(, fake_timer) timers;
    uint64_t order;
    TAILQ_HEAD(, acquire) requests;
    size_t open;
    size_t cancelled;
    int64_t *starts; /* ms since the beginning, of each */
    size_t start_count;
    char credential[256];
    int64_t script_delay;
    fake_env_script_fn *script;
    struct buf log; /* lines */
    bool is_log_dropped;
    const char *forbidden;
    size_t refusals; /* of those who asked for what is not theirs */
};

static void *
allocate(size_t size)
{
    void *memory = calloc(1, size);

    assert_non_null(memory);
    return memory;
}

/* ---- Clock and dice ----------------------------------------------------- */

static int64_t
boot_ms(void *arg)
{
    const struct fake_env *env = arg;

    return FAKE_ENV_BOOT_MS + env->now;
}

static int64_t
wall(void *arg)
{
    const struct fake_env *env = arg;

    return FAKE_ENV_WALL + env->now / 1000;
}

static double
chance(void *arg)
{
    struct fake_env *env = arg;

    if (env->seed == 0)
        return env->chance;
    env->seed = env->seed * 1664525 + 1013904223; /* for tests good enough */
    return (env->seed >> 8) / 16777216.0;
}

int64_t
fake_env_now(const struct fake_env *env)
{
    return env->now;
}

void
fake_env_chance(struct fake_env *env, double dice)
{
    env->chance = dice;
}

/* ---- Refusals ----------------------------------------------------------- */

static bool
note_sent_away(void *arg, const struct sent_away_refusal *refusal)
{
    struct fake_env *env = arg;

    assert_non_null(refusal->what);
    assert_non_null(refusal->reason);
    return ++env->refusals == 1;
}

size_t
fake_env_refusals(const struct fake_env *env)
{
    return env->refusals;
}

/* ---- Timers ------------------------------------------------------------- */

static struct fake_timer *
add_timer(struct fake_env *env, void (*fire)(void *arg), void *arg)
{
    struct fake_timer *timer = allocate(sizeof(*timer));

    timer->env = env;
    timer->at = OFF;
    timer->fire = fire;
    timer->arg = arg;
    TAILQ_INSERT_TAIL(&env->timers, timer, link);
    return timer;
}

static void *
timer_new(void *arg, void (*fire)(void *fire_arg), void *fire_arg)
{
    struct fake_env *env = arg;

    return env->are_timers_refused ? NULL : add_timer(env, fire, fire_arg);
}

static void
timer_set(void *arg, int64_t delay_ms)
{
    struct fake_timer *timer = arg;

    timer->at = delay_ms < 0 ? OFF : timer->env->now + delay_ms;
    timer->order = ++timer->env->order;
}

static void
timer_free(void *arg)
{
    struct fake_timer *timer = arg;

    TAILQ_REMOVE(&timer->env->timers, timer, link);
    free(timer);
}

/* The one that fires next: the earliest, of equals the one set first. */
static struct fake_timer *
next_timer(struct fake_env *env)
{
    struct fake_timer *next = NULL;
    struct fake_timer *timer;

    TAILQ_FOREACH(timer, &env->timers, link)
    {
        if (timer->at == OFF)
            continue;
        if (next == NULL || timer->at < next->at ||
            (timer->at == next->at && timer->order < next->order))
            next = timer;
    }
    return next;
}

void
fake_env_advance(struct fake_env *env, int64_t ms)
{
    int64_t end = env->now + ms;
    struct fake_timer *timer;

    while ((timer = next_timer(env)) != NULL && timer->at <= end) {
        if (timer->at > env->now)
            env->now = timer->at;
        timer->at = OFF;
        timer->fire(timer->arg); /* may free it */
    }
    env->now = end;
}

void
fake_env_suspend(struct fake_env *env, int64_t ms)
{
    env->now += ms;
}

bool
fake_env_fire_early(struct fake_env *env)
{
    struct fake_timer *timer = next_timer(env);

    if (timer == NULL)
        return false;
    assert_true(timer->at > env->now);
    env->now = timer->at - 1;
    timer->at = OFF;
    timer->fire(timer->arg);
    return true;
}

void
fake_env_refuse_timers(struct fake_env *env, bool is_refused)
{
    env->are_timers_refused = is_refused;
}

/* ---- Token requests ----------------------------------------------------- */

static void
remove_request(struct acquire *request)
{
    TAILQ_REMOVE(&request->env->requests, request, link);
    request->env->open--;
    if (request->timer != NULL)
        timer_free(request->timer);
}

static void
release(struct acquire *request)
{
    config_unref(&request->config);
    free(request->user);
    free(request->refresh_token);
    free(request);
}

static void
complete(struct acquire *request, const struct fake_answer *answer)
{
    enum problem problem =
        answer->problem != PROBLEM_NONE ? answer->problem : PROBLEM_UNAVAILABLE;
    struct acquire_result result = {
        .key = answer->key,
        .retry_after_s = answer->retry_after_s,
        .may_spread = answer->may_spread,
        .has_skew = answer->skew_s != 0,
        .skew_s = answer->skew_s,
        .answered_us = answer->answered_us,
        .requests = 1,
        .reason = problem_word(PROBLEM_NONE),
    };

    if (answer->text != NULL) {
        result.token.access = secret_dup(answer->text);
        assert_non_null(result.token.access);
        result.token.lifetime = answer->life_s;
        result.token.refresh_in = answer->refresh_in_s;
    } else {
        result.problem = problem;
        result.reason = problem_word(problem);
        result.hint = answer->hint;
        (void)err_set(&result.err, problem_code(problem), "scripted failure");
    }
    if (answer->refresh_token != NULL) { /* a failure may have one, too */
        result.token.refresh_lifetime = answer->refresh_life_s;
        result.token.refresh = secret_dup(answer->refresh_token);
        assert_non_null(result.token.refresh);
    }
    remove_request(request);
    request->done(&result, request->arg);
    oauth_token_clear(&result.token);
    release(request);
}

static void
on_scripted(void *arg)
{
    struct acquire *request = arg;

    complete(request, &request->answer);
}

static struct acquire *
start(void *arg, const struct acquire_request *request, acquire_done_fn *done,
      void *done_arg)
{
    struct fake_env *env = arg;
    const char *user = request->user != NULL ? request->user : "";
    struct acquire *started;
    struct acquire *other;

    if (env->is_start_refused) {
        env->is_start_refused = false;
        return NULL;
    }
    TAILQ_FOREACH(other, &env->requests, link)
    if (strcmp(other->credential->name, request->credential->name) == 0 &&
        strcmp(other->user, user) == 0)
        fail_msg("two requests at once for credential %s, user %s",
                 request->credential->name, user);
    assert_true(env->start_count < STARTS_MAX);

    started = allocate(sizeof(*started));
    started->env = env;
    started->config = config_ref(request->config);
    started->credential = request->credential;
    started->user = strdup(user);
    assert_non_null(started->user);
    started->refresh_token =
        strdup(request->refresh_token != NULL ? request->refresh_token : "");
    assert_non_null(started->refresh_token);
    started->done = done;
    started->arg = done_arg;
    if (env->script != NULL) {
        started->answer = env->script(env->start_count, env->now);
        started->timer = add_timer(env, on_scripted, started);
        timer_set(started->timer, env->script_delay);
    }
    TAILQ_INSERT_TAIL(&env->requests, started, link);
    env->open++;
    env->starts[env->start_count++] = env->now;
    (void)snprintf(env->credential, sizeof(env->credential), "%s",
                   request->credential->name);
    return started;
}

static void
cancel(struct acquire **request)
{
    if (*request == NULL)
        return;
    (*request)->env->cancelled++;
    remove_request(*request);
    release(*request);
    *request = NULL;
}

void
fake_env_refuse_start(struct fake_env *env)
{
    env->is_start_refused = true;
}

void
fake_env_roll(struct fake_env *env, uint32_t seed)
{
    env->seed = seed;
}

size_t
fake_env_starts(const struct fake_env *env)
{
    return env->start_count;
}

int64_t
fake_env_started_at(const struct fake_env *env, size_t n)
{
    assert_true(n < env->start_count);
    return env->starts[n];
}

size_t
fake_env_open(const struct fake_env *env)
{
    return env->open;
}

size_t
fake_env_cancelled(const struct fake_env *env)
{
    return env->cancelled;
}

const char *
fake_env_credential(const struct fake_env *env)
{
    return env->credential;
}

bool
fake_env_oldest(const struct fake_env *env, struct fake_request *out)
{
    const struct acquire *request = TAILQ_FIRST(&env->requests);

    if (request == NULL)
        return false;
    *out = (struct fake_request){.credential = request->credential->name,
                                 .user = request->user,
                                 .refresh_token = request->refresh_token};
    return true;
}

void
fake_env_answer(struct fake_env *env, const struct fake_answer *answer)
{
    struct acquire *request = TAILQ_FIRST(&env->requests);

    assert_non_null(request);
    complete(request, answer);
}

void
fake_env_script(struct fake_env *env, int64_t delay_ms, fake_env_script_fn *fn)
{
    env->script_delay = delay_ms;
    env->script = fn;
}

/* ---- The log ------------------------------------------------------------ */

/* log_write() goes here (the linker's --wrap) while there is a fake world; also
 * from the thread that writes the state. */
static struct fake_env *the_one;
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;

/* NOLINTBEGIN(bugprone-reserved-identifier): the names are the linker's. */
void __real_log_write(enum log_level level, const char *message,
                      const struct log_field *fields);
void __wrap_log_write(enum log_level level, const char *message,
                      const struct log_field *fields);

void
__wrap_log_write(enum log_level level, const char *message,
                 const struct log_field *fields)
{
    struct buf line;

    if (the_one == NULL) {
        __real_log_write(level, message, fields);
        return;
    }
    buf_init(&line, LOG_MAX);
    log_format(&line, message, fields);
    buf_append_char(&line, '\n');
    if (the_one->forbidden != NULL)
        assert_null(strstr(buf_str(&line), the_one->forbidden));
    (void)pthread_mutex_lock(&log_mutex);
    if (log_is_on(level) && !the_one->is_log_dropped)
        buf_append(&the_one->log, line.data, line.len);
    (void)pthread_mutex_unlock(&log_mutex);
    assert_false(buf_failed(&the_one->log));
    buf_clear(&line);
}
/* NOLINTEND(bugprone-reserved-identifier) */

size_t
fake_env_logged(struct fake_env *env, const char *text)
{
    char *log, *next, *line;
    size_t count = 0;

    (void)pthread_mutex_lock(&log_mutex);
    next = log = strdup(buf_str(&env->log));
    (void)pthread_mutex_unlock(&log_mutex);
    assert_non_null(log);
    while ((line = strsep(&next, "\n")) != NULL)
        if (line[0] != '\0' && strstr(line, text) != NULL)
            count++;
    free(log);
    return count;
}

void
fake_env_drop_log(struct fake_env *env)
{
    env->is_log_dropped = true;
}

void
fake_env_forbid(struct fake_env *env, const char *secret)
{
    env->forbidden = secret;
}

/* ---- Configurations ----------------------------------------------------- */

struct config *
fake_env_config(const char *text)
{
    char path[] = "/tmp/relay.conf.XXXXXX";
    struct err err = {ERR_NONE, ""};
    struct config *config;
    size_t len = strlen(text);
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    (void)close(fd);
    config = config_load(path, &err);
    (void)unlink(path);
    if (config == NULL)
        fail_msg("%s", err.text);
    return config;
}

/* ---- Life --------------------------------------------------------------- */

struct fake_env *
fake_env_new(void)
{
    struct fake_env *env = allocate(sizeof(*env));

    TAILQ_INIT(&env->timers);
    TAILQ_INIT(&env->requests);
    env->starts = allocate(STARTS_MAX * sizeof(*env->starts));
    env->refresher = (struct refresher_env){
        .boot_ms = boot_ms,
        .wall = wall,
        .chance = chance,
        .timer_new = timer_new,
        .timer_set = timer_set,
        .timer_free = timer_free,
        .start = start,
        .cancel = cancel,
        .arg = env,
    };
    env->lookups = (struct lookups_env){.boot_ms = boot_ms,
                                        .wall = wall,
                                        .sent_away = note_sent_away,
                                        .arg = env};
    buf_init(&env->log, LOG_MAX);
    assert_null(the_one);
    the_one = env;
    return env;
}

void
fake_env_free(struct fake_env **env)
{
    the_one = NULL;
    buf_clear(&(*env)->log);
    assert_int_equal((*env)->open, 0);
    assert_true(TAILQ_EMPTY(&(*env)->timers));
    free((*env)->starts);
    free(*env);
    *env = NULL;
}

const struct refresher_env *
fake_env_refresher(struct fake_env *env)
{
    return &env->refresher;
}

const struct lookups_env *
fake_env_lookups(struct fake_env *env)
{
    return &env->lookups;
}
