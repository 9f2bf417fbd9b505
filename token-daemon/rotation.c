/*
 * rotation - puts a new key in the place of an old one.
 */
#include "token-daemon/rotation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/config_reference.h"
#include "common/config_value.h"
#include "common/log.h"
#include "common/utf8.h"

#define AGAIN_MIN_MS 1000
#define AGAIN_MAX_MS 5000
#define CONFIRM_MS   500 /* between two successes of one key */

struct rotation {
    struct rotation_env env;
    TAILQ_HEAD(, rotation_job) jobs;
};

struct rotation_job {
    TAILQ_ENTRY(rotation_job) link;
    struct rotation *rotation;
    char *credential;
    struct key *key; /* a reference */
    bool is_dry_run;
    bool is_kept;
    char mark[KEY_MARK_SIZE];
    unsigned wanted;     /* successes that are still wanted */
    unsigned tries;      /* token requests so far */
    unsigned refusals;   /* in a row, of any kind */
    int64_t deadline_ms; /* CLOCK_BOOTTIME */
    rotation_fn *tell;   /* NULL: nobody listens any more */
    void *arg;

    /* At most one of these three is pending: a try, its timer, the disk. */
    bool is_probing;
    bool is_storing;
    void *timer;
};

/* ---- Jobs ---------------------------------------------------------------- */

static void
free_job(struct rotation *rotation, struct rotation_job *job)
{
    const struct rotation_env *env = &rotation->env;

    if (job->is_probing)
        refresher_unprobe(env->refresher, job);
    if (job->is_storing && env->unsave != NULL)
        env->unsave(env->arg, job);
    if (job->timer != NULL)
        env->timer_free(job->timer);
    TAILQ_REMOVE(&rotation->jobs, job, link);
    key_unref(&job->key);
    free(job->credential);
    free(job);
}

static void
set_timer(struct rotation_job *job, int64_t delay_ms)
{
    job->rotation->env.timer_set(job->timer, delay_ms);
}

static int64_t
left_ms(const struct rotation_job *job)
{
    const struct rotation_env *env = &job->rotation->env;
    int64_t left = job->deadline_ms - env->boot_ms(env->arg);

    return left > 0 ? left : 0;
}

static void
end(struct rotation_job *job, struct rotation_news *news)
{
    rotation_fn *tell = job->tell;
    void *arg = job->arg;
    struct key *key = key_ref(job->key);

    news->key = key;
    news->tries = job->tries;
    free_job(job->rotation, job);
    if (tell != NULL)
        tell(news, arg);
    key_unref(&key);
}

/* ---- The end ------------------------------------------------------------- */

static void
log_done(const struct rotation_job *job, bool is_durable)
{
    const struct key *key = job->key;

    log_info("secret rotated", F_STR("credential", job->credential),
             F_STR("kind", key_kind_word(key->kind)),
             F_STR("id", key->health.id), F_STR("source", key->source),
             F_INT("tries", job->tries),
             F_STR("durable", is_durable ? "yes" : "not yet"));
    if (!is_durable)
        log_error("a rotated secret is held in memory only; it is written "
                  "again until that works",
                  F_STR("credential", job->credential));
}

static void
succeed(struct rotation_job *job, bool is_durable)
{
    const struct rotation_env *env = &job->rotation->env;
    struct rotation_news news = {.step = ROTATION_DONE,
                                 .is_durable = is_durable};

    if (!job->is_dry_run) {
        log_done(job, is_durable);
        if (env->told != NULL)
            env->told(env->arg, job->credential, job->key, NULL);
    }
    end(job, &news);
}

static void
fail(struct rotation_job *job, const struct err *err, enum problem problem,
     const char *hint)
{
    const struct rotation_env *env = &job->rotation->env;
    struct rotation_news news = {
        .step = ROTATION_FAILED, .err = *err, .problem = problem, .hint = hint};

    log_warning(job->is_dry_run ? "secret probed: it does not work"
                                : "secret not rotated: nothing has changed",
                F_STR("credential", job->credential),
                F_STR("source", job->key->source), F_INT("tries", job->tries),
                F_STR("reason", problem_word(problem)), F_STR("hint", hint),
                F_STR("error", err->text));
    if (!job->is_dry_run && env->told != NULL)
        env->told(env->arg, job->credential, job->key, err);
    end(job, &news);
}

/* refresher_saved_fn */
static void
on_saved(bool is_durable, int64_t durable_us, void *arg)
{
    struct rotation_job *job = arg;

    (void)durable_us;
    job->is_storing = false;
    succeed(job, is_durable);
}

/* It works: put it first, in memory at once, then on the disk. */
static void
promote(struct rotation_job *job)
{
    const struct rotation_env *env = &job->rotation->env;
    struct err err = {ERR_NONE, ""};

    if (job->is_kept && job->key->stage == KEY_CONFIGURED) {
        keyring_changed(env->keyring, job->credential, job->key, job->mark,
                        true);
    } else if (job->is_kept) {
        if (!keyring_promote(env->keyring, job->credential, job->key))
            (void)err_set(&err, ERR_NOTFOUND,
                          "the key was taken away while it was tried");
    } else if (keyring_add(env->keyring, job->credential, job->key, KEY_AHEAD,
                           &err) == 0) {
        err.code = ERR_NONE;
    }
    if (err.code != ERR_NONE) {
        fail(job, &err, PROBLEM_INTERNAL, NULL);
        return;
    }
    job->is_storing = true;
    if (env->save(env->arg, job->credential, on_saved, job) == 0)
        return;
    on_saved(false, 0, job);
}

/* ---- Tries --------------------------------------------------------------- */

/* May it pass by itself? */
static bool
may_pass(const struct rotation_job *job, const struct acquire_result *result)
{
    bool may = false;

    switch (result->problem) {
    case PROBLEM_BAD_SECRET:
    case PROBLEM_UNREACHABLE:
    case PROBLEM_UNAVAILABLE:
    case PROBLEM_THROTTLED:
    case PROBLEM_BAD_ANSWER:
        may = true;
        break;
    case PROBLEM_NO_SECRET: /* a file may be half written */
        may = result->err.code == ERR_RETRY || job->is_kept;
        break;
    case PROBLEM_INTERNAL: /* another reload, another probe */
        may = result->err.code == ERR_RETRY;
        break;
    case PROBLEM_NEEDS_LOGIN: /* what Google says of a key that it lacks */
        may = job->key->kind == KEY_ACCOUNT;
        break;
    case PROBLEM_NONE:
    case PROBLEM_BAD_CLIENT:
    case PROBLEM_BAD_SCOPE:
    case PROBLEM_BAD_REQUEST:
    case PROBLEM_ACCESS_DENIED:
    case PROBLEM_BAD_SETTINGS:
        break;
    }
    return may;
}

/* Until the next try: longer each time, and what the provider asked for. */
static int64_t
delay_ms(const struct rotation_job *job, const struct acquire_result *result)
{
    int64_t delay = AGAIN_MIN_MS * (int64_t)job->refusals;

    if (delay > AGAIN_MAX_MS)
        delay = AGAIN_MAX_MS;
    if (delay < result->retry_after_s * 1000)
        delay = result->retry_after_s * 1000;
    return delay;
}

static void
try_later(struct rotation_job *job, const struct acquire_result *result)
{
    struct rotation_news news = {
        .step = result->problem == PROBLEM_BAD_SECRET ? ROTATION_REFUSED
                                                      : ROTATION_UNANSWERED,
        .key = job->key,
        .err = result->err,
        .problem = result->problem,
        .hint = result->hint,
        .tries = job->tries,
        .left_s = left_ms(job) / 1000,
    };

    job->refusals++;
    news.next_ms = delay_ms(job, result);
    if (!may_pass(job, result) || news.next_ms > left_ms(job)) {
        fail(job, &result->err, result->problem, result->hint);
        return;
    }
    set_timer(job, news.next_ms);
    job->tell(&news, job->arg); /* the last act: it may cancel the job */
}

/* refresher_probed_fn */
static void
on_probed(const struct acquire_result *result, void *arg)
{
    struct rotation_job *job = arg;

    job->is_probing = false;
    job->tries += (unsigned)result->requests;
    if (result->err.code != ERR_NONE) {
        try_later(job, result);
        return;
    }
    job->refusals = 0;
    job->wanted--;
    if (job->wanted > 0)
        set_timer(job, CONFIRM_MS);
    else if (job->is_dry_run)
        succeed(job, false);
    else
        promote(job);
}

static void
on_timer(void *arg)
{
    struct rotation_job *job = arg;
    struct acquire_result result = {.problem = PROBLEM_INTERNAL};

    job->is_probing = true;
    if (refresher_probe(job->rotation->env.refresher, job->credential, job->key,
                        on_probed, job, &result.err) == 0)
        return;
    job->is_probing = false;
    if (result.err.code == ERR_REAUTH)
        result.problem = PROBLEM_NEEDS_LOGIN;
    else if (result.err.code == ERR_NOTFOUND)
        result.problem = PROBLEM_BAD_SETTINGS;
    try_later(job, &result);
}

/* ---- Beginning ----------------------------------------------------------- */

static int
check_part(enum key_part part, const struct key_part_text *text,
           struct err *err)
{
    static const struct {
        const char *name;
        size_t max;
    } limits[KEY_PART_COUNT] = {
        [KEY_PART_TEXT] = {"the secret", KEY_SECRET_MAX},
        [KEY_PART_CERTIFICATE] = {"the certificate", KEY_PEM_MAX},
        [KEY_PART_PRIVATE_KEY] = {"the private key", KEY_PEM_MAX},
        [KEY_PART_PASSPHRASE] = {"the passphrase", KEY_PASSPHRASE_MAX},
    };
    const char *name = limits[part].name;

    if (text->text == NULL)
        return 0;
    if (text->len == 0)
        return err_set(err, ERR_CONFIG, "%s is empty", name);
    if (text->len > limits[part].max)
        return err_set(err, ERR_CONFIG, "%s is longer than %zu bytes", name,
                       limits[part].max);
    if (memchr(text->text, '\0', text->len) != NULL ||
        !utf8_is_valid(text->text, text->len))
        return err_set(err, ERR_CONFIG, "%s is no text", name);
    return 0;
}

/* One line: what is pasted with another line to it never works. */
static int
check_line(const struct key_part_text *text, struct err *err)
{
    for (size_t i = 0; text->text != NULL && i < text->len; i++)
        if ((unsigned char)text->text[i] < ' ' || text->text[i] == '\x7f')
            return err_set(err, ERR_CONFIG,
                           "a client secret is one line without control "
                           "characters");
    return 0;
}

struct key *
rotation_new_key(struct rotation *rotation, const char *credential,
                 enum key_kind kind,
                 const struct key_part_text parts[KEY_PART_COUNT],
                 struct err *err)
{
    struct key_salt salt;
    struct key *key;

    if (keyring_salt(rotation->env.keyring, credential, &salt, err) < 0)
        return NULL;
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        if (check_part((enum key_part)i, &parts[i], err) < 0)
            return NULL;
    if (kind == KEY_SECRET && check_line(&parts[KEY_PART_TEXT], err) < 0)
        return NULL;
    key = key_new(kind, &salt);
    if (key == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    key->material = key_material_new(parts, &salt, err);
    if (key->material == NULL) {
        key_unref(&key);
        return NULL;
    }
    (void)snprintf(key->source, sizeof(key->source), "state, not in use yet");
    return key;
}

/* The kind of a configured one. */
static void
look_at_text_kind(const struct keyring_info *info, void *arg)
{
    enum key_kind *kind = arg;

    if (info->key->stage == KEY_CONFIGURED && info->key->kind == KEY_ACCOUNT)
        *kind = KEY_ACCOUNT;
}

int
rotation_text_kind(struct rotation *rotation, const char *credential,
                   enum key_kind *out, struct err *err)
{
    struct key_salt salt;

    if (keyring_salt(rotation->env.keyring, credential, &salt, err) < 0)
        return -1;
    *out = KEY_SECRET;
    keyring_each(rotation->env.keyring, credential, look_at_text_kind, out);
    return 0;
}

struct key *
rotation_new_ref(struct rotation *rotation, const char *credential,
                 const char *text, struct err *err)
{
    struct err reason = {ERR_NONE, ""};
    struct config_ref ref;
    struct key_salt salt;
    enum key_kind kind;
    struct key *key;

    if (config_value_ref(text, &reason) < 0) {
        (void)err_set(err, ERR_CONFIG, "the reference %s", reason.text);
        return NULL;
    }
    if (keyring_salt(rotation->env.keyring, credential, &salt, err) < 0 ||
        rotation_text_kind(rotation, credential, &kind, err) < 0)
        return NULL;
    key = key_new(kind, &salt);
    if (key == NULL || config_reference_parse(text, &ref) < 0) {
        key_unref(&key);
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    if (key_set_ref(key, KEY_PART_TEXT, &ref, err) < 0)
        key_unref(&key);
    config_reference_clear(&ref);
    return key;
}

/* Does the credential know keys of that kind? */
struct kinds {
    enum key_kind kind;
    bool has_any;
    bool fits;
};

static void
look_at_kind(const struct keyring_info *info, void *arg)
{
    struct kinds *kinds = arg;
    enum key_kind kind = info->key->kind;
    bool is_client = kind == KEY_SECRET || kind == KEY_CERTIFICATE;
    bool wants_client =
        kinds->kind == KEY_SECRET || kinds->kind == KEY_CERTIFICATE;

    if (info->key->stage != KEY_CONFIGURED)
        return;
    kinds->has_any = true;
    kinds->fits =
        kinds->fits || kind == kinds->kind || (is_client && wants_client);
}

static int
check_kind(struct rotation *rotation, const struct rotation_order *order,
           struct err *err)
{
    struct kinds kinds = {.kind = order->key->kind};

    keyring_each(rotation->env.keyring, order->credential, look_at_kind,
                 &kinds);
    if (!kinds.has_any)
        return err_set(err, ERR_NOTFOUND,
                       "credential \"%s\" is not configured, or has no secret "
                       "and no certificate that could be rotated",
                       order->credential);
    if (!kinds.fits)
        return err_set(err, ERR_CONFIG,
                       "credential \"%s\" does not prove itself by a %s",
                       order->credential, key_kind_word(order->key->kind));
    return 0;
}

struct rotation_job *
rotation_start(struct rotation *rotation, const struct rotation_order *order,
               rotation_fn *tell, void *arg, struct err *err)
{
    const struct rotation_env *env = &rotation->env;
    struct rotation_job *job;

    if (check_kind(rotation, order, err) < 0)
        return NULL;
    job = calloc(1, sizeof(*job));
    if (job == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    job->rotation = rotation;
    job->key = key_ref(order->key);
    job->is_dry_run = order->is_dry_run;
    job->is_kept = order->is_kept;
    job->wanted = order->successes > 0 ? order->successes : 1;
    job->deadline_ms = env->boot_ms(env->arg) + order->wait_s * 1000;
    job->tell = tell;
    job->arg = arg;
    if (order->mark != NULL)
        (void)snprintf(job->mark, sizeof(job->mark), "%s", order->mark);
    TAILQ_INSERT_TAIL(&rotation->jobs, job, link);
    job->credential = strdup(order->credential);
    job->timer = env->timer_new(env->arg, on_timer, job);
    if (job->credential == NULL || job->timer == NULL) {
        free_job(rotation, job);
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    set_timer(job, 0);
    return job;
}

bool
rotation_is_promoted(const struct rotation_job *job)
{
    return job->is_storing;
}

void
rotation_cancel(struct rotation_job **job)
{
    if (*job == NULL)
        return;
    if ((*job)->is_storing)
        (*job)->tell = NULL; /* it ends as it would, for the log's sake */
    else
        free_job((*job)->rotation, *job);
    *job = NULL;
}

/* ---- Life ---------------------------------------------------------------- */

int
rotation_store(struct rotation *rotation, const char *credential,
               refresher_saved_fn *done, void *arg)
{
    return rotation->env.save(rotation->env.arg, credential, done, arg);
}

void
rotation_unstore(struct rotation *rotation, const void *arg)
{
    if (rotation->env.unsave != NULL)
        rotation->env.unsave(rotation->env.arg, arg);
}

struct rotation *
rotation_new(const struct rotation_env *env)
{
    struct rotation *rotation = calloc(1, sizeof(*rotation));

    if (rotation == NULL)
        return NULL;
    rotation->env = *env;
    TAILQ_INIT(&rotation->jobs);
    return rotation;
}

void
rotation_free(struct rotation **rotation)
{
    struct rotation_job *job;

    if (*rotation == NULL)
        return;
    while ((job = TAILQ_FIRST(&(*rotation)->jobs)) != NULL)
        free_job(*rotation, job);
    free(*rotation);
    *rotation = NULL;
}
