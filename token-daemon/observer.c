/*
 * observer - everything that looks on: counters, events, the hook, the page.
 */
#include "token-daemon/observer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/exposition.h"
#include "common/log.h"
#include "common/status_page.h"
#include "common/util.h"
#include "token-daemon/control_access.h"
#include "token-daemon/events.h"
#include "token-daemon/hook.h"
#include "token-daemon/observer_page.h"

#define HOST_MAX       256
#define STATUS_LARGE   ((size_t)256 << 10) /* bytes */
#define STATUS_KEEP_MS 2000
#define STATE_LOOK_MS  2000
/* A disk that takes longer is no use, even when it does not fail. */
#define STATE_LAG_MAX_MS 60000
#define HOUR_MS          ((int64_t)60 * 60 * 1000)

struct observer {
    struct observer_env env;
    struct metrics *metrics;
    struct events *events;
    struct hook *hook;
    struct status_page *page; /* NULL: none is configured */
    struct observer_sources sources;
    struct buf status; /* /status.json as it was at status_at, when large */
    int64_t status_at; /* CLOCK_BOOTTIME, ms */
    int64_t started_wall;
    void *state_timer;
    void *expiry_timer;
};

/* What is gathered for one exposition. */
struct gathering {
    struct writer_status state;
    struct metrics_gauges gauges;
    struct metrics_credential *credentials;
    const struct config *config;
    int64_t wall;
    size_t cursor; /* the credential that was found last */
    const char *denied[METRICS_DENIED_MAX];
};

/* ---- Gathering ----------------------------------------------------------- */

/* refresher_each() visitor. */
static void
add_token(const struct refresher_info *info, void *arg)
{
    struct gathering *gathering = arg;
    const struct token *token = info->token;
    size_t i = (size_t)(info->credential - gathering->config->credentials);
    struct metrics_credential *credential;

    /* Another configuration's, only while a reload goes on. */
    if (i >= gathering->config->credential_count)
        return;
    credential = &gathering->credentials[i];
    metrics_credential_add(
        credential,
        &(struct metrics_token){
            .expires_wall =
                token_is_alive(token, info->now) ? token->expires_wall : 0,
            .fetched_wall =
                token->text != NULL
                    ? gathering->wall - (info->now - token->fetched_at) / 1000
                    : 0,
            .reason = token_problem(token)->reason,
            .refresh_token_ends = info->refresh_expires_wall,
            .is_refresh_token_ending = info->is_refresh_ending,
        });
    gathering->gauges.waiters += info->waiters;
    if (info->has_skew) {
        credential->has_skew = true;
        credential->skew_s = info->skew_s;
    }
}

/* Those of the configuration by name; the visits come in its order, mostly. */
static struct metrics_credential *
find_credential(struct gathering *gathering, const char *name)
{
    size_t count = gathering->config->credential_count;

    for (size_t i = 0; i < count; i++) {
        size_t next = (gathering->cursor + i) % count;

        if (strcasecmp(gathering->credentials[next].name, name) == 0) {
            gathering->cursor = next;
            return &gathering->credentials[next];
        }
    }
    return NULL;
}

/* keyring_each() visitor. */
static void
add_key(const struct keyring_info *info, void *arg)
{
    struct metrics_credential *credential =
        find_credential(arg, info->credential);
    const struct key *key = info->key;

    if (credential == NULL || info->is_aside)
        return;
    credential->keys++;
    credential->keys_failing += key->health.problem != PROBLEM_NONE;
    if (info->is_live && key->kind == KEY_CERTIFICATE)
        credential->certificate_ends = key->health.not_after;
    if (info->is_live && key->kind == KEY_SECRET)
        credential->secret_ends = key->health.not_after;
}

/* lookups_each_suspect() visitor. */
static void
add_suspect(const char *mailbox, const struct suspect *suspect, void *arg)
{
    struct metrics_gauges *gauges = arg;

    (void)mailbox; /* it may be any sender */
    if (suspect->is_denied)
        gauges->mailboxes_denied++;
    else
        gauges->mailboxes_refused++;
}

static void
add_mailboxes(const struct observer *observer, struct gathering *gathering)
{
    const struct config *config = gathering->config;
    struct metrics_gauges *gauges = &gathering->gauges;

    lookups_each_suspect(observer->sources.lookups, add_suspect, gauges);
    for (size_t i = 0; i < config->mailbox_count; i++) {
        const struct config_mailbox *mailbox = &config->mailboxes[i];
        const struct suspect *suspect =
            lookups_suspect(observer->sources.lookups, mailbox->title);

        gathering->credentials[mailbox->credential - config->credentials]
            .is_used = true;
        if (suspect == NULL)
            gauges->mailboxes_ok++;
        else if (suspect->is_denied &&
                 gauges->denied_count < METRICS_DENIED_MAX)
            gathering->denied[gauges->denied_count++] = mailbox->title;
    }
    gauges->denied = gathering->denied;
}

/* How long something has been waiting for the disk; ms. */
static int64_t
lag_of(const struct observer *observer, const struct writer_status *status)
{
    return status->behind_since != 0
               ? observer->env.boot_ms(observer->env.arg) - status->behind_since
               : 0;
}

static void
add_state(const struct observer *observer, struct gathering *gathering)
{
    struct writer_status *status = &gathering->state;
    struct metrics_gauges *gauges = &gathering->gauges;
    bool is_known = observer->env.state(observer->env.arg, status);

    gauges->has_state = true;
    gauges->state_lag_ms = lag_of(observer, status);
    gauges->is_state_writable = is_known && status->is_open &&
                                status->failures == 0 &&
                                gauges->state_lag_ms < STATE_LAG_MAX_MS;
    gauges->state_queued = status->queued;
    gauges->state_failed_writes = status->failed;
    gauges->state_commits = is_known ? &status->commit_times : NULL;
}

static void
add_troubles(const struct observer *observer, struct metrics_gauges *gauges)
{
    struct troubles_summary summary;
    int64_t now = observer->env.boot_ms(observer->env.arg);

    events_summarise(observer->events, &summary);
    memcpy(gauges->troubles, summary.told, sizeof(summary.told));
    gauges->mail_waiting_ms =
        summary.waits_from <= now ? now - summary.waits_from : 0;
}

static void
gather_clear(struct gathering *gathering)
{
    free(gathering->credentials);
    *gathering = (struct gathering){0};
}

/* -1 when out of memory. gather_clear() it all the same. */
static int
gather(const struct observer *observer, struct gathering *gathering)
{
    const struct observer_env *env = &observer->env;
    const struct config *config = sendas_config(env->policy(env->arg));
    struct metrics_gauges *gauges = &gathering->gauges;
    struct lookups_counts counts;
    struct hook_counts hook;

    *gathering =
        (struct gathering){.config = config, .wall = env->wall(env->arg)};
    gathering->credentials =
        calloc(config->credential_count + 1, sizeof(*gathering->credentials));
    if (gathering->credentials == NULL)
        return -1;
    for (size_t i = 0; i < config->credential_count; i++)
        gathering->credentials[i].name = config->credentials[i].name;
    gauges->credentials = gathering->credentials;
    gauges->credential_count = config->credential_count;
    refresher_each(observer->sources.refresher, add_token, gathering);
    keyring_each(observer->sources.keyring, NULL, add_key, gathering);
    add_mailboxes(observer, gathering);
    add_state(observer, gathering);
    add_troubles(observer, gauges);
    lookups_count(observer->sources.lookups, &counts);
    hook_count(observer->hook, &hook);
    gauges->started_wall = observer->started_wall;
    gauges->clients = env->clients(env->arg);
    gauges->refusals = counts.refusals;
    gauges->deferred = counts.deferred;
    gauges->hook_done = hook.done;
    gauges->hook_failed = hook.failed;
    gauges->hook_killed = hook.killed;
    gauges->hook_dropped = hook.dropped;
    return 0;
}

/* ---- What the page shows ------------------------------------------------- */

static bool
show_metrics(struct buf *out, void *arg)
{
    const struct observer *observer = arg;
    struct gathering gathering;

    if (gather(observer, &gathering) < 0)
        out->failed = true;
    else
        metrics_render(observer->metrics, &gathering.gauges, out);
    gather_clear(&gathering);
    return true;
}

static bool
show_health(struct buf *out, void *arg)
{
    const struct observer *observer = arg;
    struct gathering gathering;
    bool is_healthy = false;

    if (gather(observer, &gathering) < 0)
        out->failed = true;
    else
        is_healthy = metrics_is_healthy(&gathering.gauges, out);
    gather_clear(&gathering);
    return is_healthy;
}

/* control_reply_fn */
static void
on_status(const char *line, bool is_last, void *arg)
{
    struct buf *out = arg;

    (void)is_last; /* it has no other */
    if (line == NULL)
        out->failed = true;
    else
        buf_append_str(out, line);
}

/* What xoauth2ctl would get; `status` is answered at once. */
static void
append_status(const struct observer *observer, struct buf *out)
{
    static const struct control_peer reader = {.verbs = CONTROL_ACCESS_READ};
    static const char request[] = "{\"version\":1,\"verb\":\"status\"}";

    _Static_assert(CONTROL_VERSION == 1, "the request has the version");
    (void)control_ask(observer->sources.control, &reader, request,
                      sizeof(request) - 1,
                      &(struct control_asker){.reply = on_status, .arg = out});
}

/* What is large takes long to make, and anybody here may ask for it. */
static bool
show_status(struct buf *out, void *arg)
{
    struct observer *observer = arg;
    int64_t now = observer->env.boot_ms(observer->env.arg);

    if (observer->status.len > 0 &&
        now - observer->status_at < STATUS_KEEP_MS) {
        buf_append(out, observer->status.data, observer->status.len);
        return true;
    }
    append_status(observer, out);
    buf_append_char(out, '\n');
    buf_clear(&observer->status);
    if (out->len < STATUS_LARGE)
        return true;
    buf_init(&observer->status, STATUS_PAGE_SIZE_MAX);
    buf_append(&observer->status, out->data, out->len);
    observer->status_at = now;
    if (buf_failed(&observer->status))
        buf_clear(&observer->status);
    return true;
}

static int64_t
own_wall(void *arg)
{
    const struct observer *observer = arg;

    return observer->env.wall(observer->env.arg);
}

/* The status as a page for a person. */
static bool
show_page(struct buf *out, void *arg)
{
    const struct observer *observer = arg;
    const struct observer_env *env = &observer->env;

    observer_page_render(
        &(struct observer_page){
            .refresher = observer->sources.refresher,
            .lookups = observer->sources.lookups,
            .policy = env->policy(env->arg),
            .wall = env->wall(env->arg),
            .started_wall = observer->started_wall,
            .clients = env->clients(env->arg),
        },
        out);
    return true;
}

static const struct status_page_route routes[] = {
    {"/", STATUS_PAGE_HTML, show_page},
    {"/status.json", STATUS_PAGE_JSON, show_status},
    {"/metrics", EXPOSITION_CONTENT_TYPE, show_metrics},
    {"/healthz", STATUS_PAGE_TEXT, show_health},
};

/* ---- Looking now and then ------------------------------------------------ */

static void
look_at_state(void *arg)
{
    static const struct err no_key = {ERR_RETRY,
                                      "the state is not open; see the log"};
    static const struct err hangs = {ERR_RETRY,
                                     "the disk has not answered for a minute"};
    struct observer *observer = arg;
    struct writer_status status = {0};

    if (!observer->env.state(observer->env.arg, &status))
        events_state(observer->events, &no_key);
    else if (status.failures > 0)
        events_state(observer->events, &status.err);
    else if (lag_of(observer, &status) >= STATE_LAG_MAX_MS)
        events_state(observer->events, &hangs);
    else if (status.is_open)
        events_state(observer->events, NULL);
    observer->env.timer_set(observer->state_timer, STATE_LOOK_MS);
}

/* refresher_each() visitor. */
static void
look_at_expiry(const struct refresher_info *info, void *arg)
{
    struct observer *observer = arg;

    if (info->user != NULL)
        events_expires(observer->events, EVENTS_REFRESH_TOKEN,
                       info->credential->name, info->user,
                       info->is_refresh_ending ? info->refresh_expires_wall
                                               : 0);
}

/* keyring_each() visitor: what others fall back to may end. */
static void
look_at_key(const struct keyring_info *info, void *arg)
{
    struct observer *observer = arg;
    enum key_kind kind = info->key->kind;

    if (info->is_live && (kind == KEY_SECRET || kind == KEY_CERTIFICATE))
        events_expires(observer->events,
                       kind == KEY_SECRET ? EVENTS_SECRET : EVENTS_CERTIFICATE,
                       info->credential, NULL, info->key->health.not_after);
}

static void
look_at_expiries(void *arg)
{
    struct observer *observer = arg;

    keyring_each(observer->sources.keyring, NULL, look_at_key, observer);
    refresher_each(observer->sources.refresher, look_at_expiry, observer);
    observer->env.timer_set(observer->expiry_timer, HOUR_MS);
}

/* ---- What is told -------------------------------------------------------- */

void
observer_request_ended(struct observer *observer,
                       const struct refresher_ended *ended)
{
    metrics_request(observer->metrics, ended->credential, ended->problem,
                    ended->took_ms);
    events_token(observer->events, &(struct events_token){
                                       .credential = ended->credential,
                                       .mailbox = ended->user,
                                       .problem = ended->problem,
                                       .err = ended->err,
                                       .hint = ended->hint,
                                       .alive_until = ended->alive_until,
                                       .is_stranger = ended->is_stranger,
                                   });
    if (ended->problem == PROBLEM_NONE)
        keyring_each(observer->sources.keyring, ended->credential, look_at_key,
                     observer);
}

void
observer_durable(struct observer *observer, int64_t window_us)
{
    metrics_window(observer->metrics, window_us);
}

void
observer_denied(struct observer *observer, const char *credential,
                const char *mailbox, const char *hint)
{
    events_denied(observer->events, credential, mailbox, hint);
}

void
observer_refused(struct observer *observer, const char *credential,
                 const char *mailbox, const struct delivery_status *status)
{
    events_refused(observer->events, &(struct events_refusal){
                                         .credential = credential,
                                         .mailbox = mailbox,
                                         .reason = status->word,
                                         .hint = status->hint,
                                         .is_of_sender = status->is_of_sender,
                                     });
}

void
observer_accepted(struct observer *observer, const char *credential,
                  const char *mailbox)
{
    events_accepted(observer->events, credential, mailbox);
}

void
observer_rotated(struct observer *observer, const char *credential,
                 const struct err *err)
{
    metrics_rotation(observer->metrics, credential, err == NULL);
    events_rotated(observer->events, credential, err);
}

void
observer_reloaded(struct observer *observer, bool is_done)
{
    metrics_reload(observer->metrics, is_done);
}

struct metrics *
observer_metrics(struct observer *observer)
{
    return observer->metrics;
}

static void
tell(void *arg, const char *name, const char *json, size_t len)
{
    const struct observer *observer = arg;

    hook_tell(observer->hook, name, json, len);
}

/* ---- Life ---------------------------------------------------------------- */

/* events_env has one argument for all, and tell() needs ours. */
static int64_t
own_boot_ms(void *arg)
{
    const struct observer *observer = arg;

    return observer->env.boot_ms(observer->env.arg);
}

static void *
own_timer_new(void *arg, void (*fire)(void *fire_arg), void *fire_arg)
{
    const struct observer *observer = arg;

    return observer->env.timer_new(observer->env.arg, fire, fire_arg);
}

struct observer *
observer_new(const struct observer_env *env)
{
    struct observer *observer = calloc(1, sizeof(*observer));
    char host[HOST_MAX] = "";

    if (observer == NULL)
        return NULL;
    if (gethostname(host, sizeof(host) - 1) < 0)
        host[0] = '\0'; /* then events do not name it */
    observer->env = *env;
    observer->started_wall = env->wall(env->arg);
    observer->metrics = metrics_new();
    observer->hook = hook_new(env->base, HOOK_LIMIT_MS);
    observer->events =
        events_new(&(struct events_env){.boot_ms = own_boot_ms,
                                        .wall = own_wall,
                                        .timer_new = own_timer_new,
                                        .timer_set = env->timer_set,
                                        .timer_free = env->timer_free,
                                        .tell = tell,
                                        .arg = observer},
                   host);
    observer->state_timer = env->timer_new(env->arg, look_at_state, observer);
    observer->expiry_timer =
        env->timer_new(env->arg, look_at_expiries, observer);
    if (observer->metrics == NULL || observer->hook == NULL ||
        observer->events == NULL || observer->state_timer == NULL ||
        observer->expiry_timer == NULL)
        observer_free(&observer);
    return observer;
}

void
observer_free(struct observer **observer)
{
    struct observer *o = *observer;

    if (o == NULL)
        return;
    status_page_free(&o->page);
    buf_clear(&o->status);
    if (o->state_timer != NULL)
        o->env.timer_free(o->state_timer);
    if (o->expiry_timer != NULL)
        o->env.timer_free(o->expiry_timer);
    events_free(&o->events);
    hook_free(&o->hook);
    metrics_free(&o->metrics);
    free(o);
    *observer = NULL;
}

void
observer_watch(struct observer *observer,
               const struct observer_sources *sources)
{
    observer->sources = *sources;
    observer->env.timer_set(observer->state_timer, STATE_LOOK_MS);
    observer->env.timer_set(observer->expiry_timer, STATE_LOOK_MS);
}

int
observer_configure(struct observer *observer, const struct config *config,
                   struct err *err)
{
    if (metrics_configure(observer->metrics, config, err) < 0)
        return -1;
    events_configure(observer->events, config);
    hook_configure(observer->hook, &config->tokend.on_event);
    return 0;
}

int
observer_serve(struct observer *observer, int fd, struct err *err)
{
    observer->page = status_page_new(observer->env.base,
                                     &(struct status_page_settings){
                                         .fd = fd,
                                         .routes = routes,
                                         .route_count = ARRAY_LEN(routes),
                                         .arg = observer,
                                         .life_ms = STATUS_PAGE_LIFE_MS,
                                     });
    if (observer->page == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}
