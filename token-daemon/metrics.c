/*
 * metrics - what is counted, and how Prometheus reads it.
 */
#include <config.h>

#include "token-daemon/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/exposition.h"
#include "common/histogram.h"
#include "common/strmap.h"
#include "common/util.h"

#define LOOKUPS  (METRICS_LOOKUP_UNKNOWN + 1)
#define STATUSES (SOCKETMAP_PERM + 1)

/* How long tokens were waited for; the last bucket is the patience of a
 * lookup. */
static const struct histogram_limit wait_limits[] = {
    {1000, "0.001"},  {5000, "0.005"},  {10000, "0.01"},  {50000, "0.05"},
    {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},
    {2500000, "2.5"}, {5000000, "5"},   {10000000, "10"}, {15000000, "15"},
};

/* How long a provider takes, who may be asked once for each secret. */
static const struct histogram_limit request_limits[] = {
    {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1"},   {2500000, "2.5"}, {5000000, "5"},   {10000000, "10"},
    {20000000, "20"}, {40000000, "40"},
};

/* How long a commit takes, and what is before it. */
static const struct histogram_limit window_limits[] = {
    {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},  {2500, "0.0025"},
    {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},
    {100000, "0.1"},  {250000, "0.25"}, {1000000, "1"},   {5000000, "5"},
};

/* What is counted of one credential. */
struct counters {
    SLIST_ENTRY(counters) link;
    uint64_t requests[PROBLEM_COUNT];
    struct histogram request_times;
    uint64_t rotations[2]; /* failed, done */
    char name[];
};

SLIST_HEAD(counters_list, counters);

struct metrics {
    struct counters_list credentials;
    struct strmap *by_name;
    uint64_t lookups[LOOKUPS][STATUSES];
    struct histogram waits;
    struct histogram windows;
    uint64_t reloads[2]; /* failed, done */
    bool has_reload_failed;
};

/* ---- Life ---------------------------------------------------------------- */

static void
free_list(struct counters_list *list)
{
    struct counters *counters;

    while ((counters = SLIST_FIRST(list)) != NULL) {
        SLIST_REMOVE_HEAD(list, link);
        free(counters);
    }
}

struct metrics *
metrics_new(void)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));

    if (metrics == NULL)
        return NULL;
    SLIST_INIT(&metrics->credentials);
    histogram_init(&metrics->waits, wait_limits, ARRAY_LEN(wait_limits));
    histogram_init(&metrics->windows, window_limits, ARRAY_LEN(window_limits));
    metrics->by_name = strmap_new();
    if (metrics->by_name == NULL)
        metrics_free(&metrics);
    return metrics;
}

void
metrics_free(struct metrics **metrics)
{
    if (*metrics == NULL)
        return;
    strmap_free(&(*metrics)->by_name);
    free_list(&(*metrics)->credentials);
    free(*metrics);
    *metrics = NULL;
}

static struct counters *
find(const struct metrics *metrics, const char *credential)
{
    return strmap_get(metrics->by_name, credential, strlen(credential));
}

/* Counters of `name` in the list and the map, with the counts of `old`. */
static int
add(struct counters_list *list, struct strmap *map, const char *name,
    const struct counters *old)
{
    size_t size = strlen(name) + 1;
    struct counters *counters = calloc(1, sizeof(*counters) + size);

    if (counters == NULL)
        return -1;
    histogram_init(&counters->request_times, request_limits,
                   ARRAY_LEN(request_limits));
    if (old != NULL) {
        counters->request_times = old->request_times;
        memcpy(counters->requests, old->requests, sizeof(old->requests));
        memcpy(counters->rotations, old->rotations, sizeof(old->rotations));
    }
    memcpy(counters->name, name, size);
    SLIST_INSERT_HEAD(list, counters, link);
    return strmap_add(map, counters->name, counters) == STRMAP_NO_MEMORY ? -1
                                                                         : 0;
}

int
metrics_configure(struct metrics *metrics, const struct config *config,
                  struct err *err)
{
    struct counters_list list = SLIST_HEAD_INITIALIZER(list);
    struct strmap *map = strmap_new();
    int rc = map != NULL ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < config->credential_count; i++)
        rc = add(&list, map, config->credentials[i].name,
                 find(metrics, config->credentials[i].name));
    if (rc < 0) {
        strmap_free(&map);
        free_list(&list);
        return err_set(err, ERR_SYSTEM, "out of memory");
    }
    strmap_free(&metrics->by_name);
    free_list(&metrics->credentials);
    metrics->by_name = map;
    metrics->credentials = list;
    return 0;
}

/* ---- What happens -------------------------------------------------------- */

void
metrics_request(struct metrics *metrics, const char *credential,
                enum problem outcome, int64_t took_ms)
{
    struct counters *counters = find(metrics, credential);

    if (counters == NULL)
        return;
    counters->requests[outcome]++;
    if (took_ms >= 0)
        histogram_add(&counters->request_times, took_ms * 1000);
}

void
metrics_lookup(struct metrics *metrics, enum metrics_lookup name,
               enum socketmap_status status)
{
    metrics->lookups[name][status]++;
}

void
metrics_token_wait(struct metrics *metrics, int64_t waited_ms)
{
    histogram_add(&metrics->waits, waited_ms * 1000);
}

void
metrics_window(struct metrics *metrics, int64_t window_us)
{
    histogram_add(&metrics->windows, window_us);
}

void
metrics_rotation(struct metrics *metrics, const char *credential, bool is_done)
{
    struct counters *counters = find(metrics, credential);

    if (counters != NULL)
        counters->rotations[is_done]++;
}

void
metrics_reload(struct metrics *metrics, bool is_done)
{
    metrics->reloads[is_done]++;
    metrics->has_reload_failed = !is_done;
}

/* ---- What is ------------------------------------------------------------- */

/* The earlier of two points in time, of which 0 is none. */
static int64_t
earlier(int64_t a, int64_t b)
{
    if (a == 0 || b == 0)
        return a != 0 ? a : b;
    return a < b ? a : b;
}

static void
count_failing(struct metrics_credential *credential, const char *reason)
{
    for (int i = PROBLEM_NONE + 1; i < PROBLEM_COUNT; i++) {
        if (strcmp(problem_word((enum problem)i), reason) == 0) {
            credential->failing[i]++;
            return;
        }
    }
    credential->failing_otherwise++;
}

void
metrics_credential_add(struct metrics_credential *credential,
                       const struct metrics_token *token)
{
    credential->tokens++;
    if (token->expires_wall != 0)
        credential->alive++;
    credential->first_expiry =
        earlier(credential->first_expiry, token->expires_wall);
    if (token->fetched_wall > credential->last_success)
        credential->last_success = token->fetched_wall;
    if (token->reason != NULL && token->reason[0] != '\0')
        count_failing(credential, token->reason);
    credential->refresh_tokens_end =
        earlier(credential->refresh_tokens_end, token->refresh_token_ends);
    credential->refresh_tokens_ending += token->is_refresh_token_ending;
}

bool
metrics_is_healthy(const struct metrics_gauges *gauges, struct buf *out)
{
    for (size_t i = 0; i < gauges->credential_count; i++) {
        const struct metrics_credential *credential = &gauges->credentials[i];

        if (!credential->is_used || credential->alive > 0)
            continue;
        buf_append_str(out, "credential ");
        buf_append_str(out, credential->name);
        buf_append_str(out, " has no living token\n");
        return false;
    }
    buf_append_str(out, "every credential in use has a living token\n");
    return true;
}

/* ---- The text ------------------------------------------------------------ */

/* ---- ... of what happened ---- */

static void
render_requests(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "xoauth2_token_requests_total";
    const struct counters *counters;

    exposition_head(
        out, name, EXPOSITION_COUNTER,
        "Token requests by credential and outcome: ok, or the word that the "
        "log and the lookups give as the reason.");
    SLIST_FOREACH(counters, &metrics->credentials, link)
    {
        for (int i = 0; i < PROBLEM_COUNT; i++)
            if (i == PROBLEM_NONE || counters->requests[i] > 0)
                exposition_sample(
                    out, name, exposition_by("credential", counters->name),
                    exposition_by("outcome", problem_word((enum problem)i)),
                    (int64_t)counters->requests[i]);
    }
}

static void
render_request_times(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "xoauth2_token_request_seconds";
    const struct counters *counters;

    exposition_head(out, name, EXPOSITION_HISTOGRAM,
                    "Time that token requests took, with all secrets that "
                    "were tried.");
    SLIST_FOREACH(counters, &metrics->credentials, link)
    {
        exposition_histogram(out, name,
                             exposition_by("credential", counters->name),
                             &counters->request_times);
    }
}

static void
render_rotations(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "xoauth2_rotations_total";
    static const char *const outcomes[] = {"failed", "done"};
    const struct counters *counters;

    exposition_head(
        out, name, EXPOSITION_COUNTER,
        "Rotations of a secret, certificate or key by credential and "
        "outcome.");
    SLIST_FOREACH(counters, &metrics->credentials, link)
    {
        for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
            exposition_sample(out, name,
                              exposition_by("credential", counters->name),
                              exposition_by("outcome", outcomes[i]),
                              (int64_t)counters->rotations[i]);
    }
}

static void
render_lookups(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "xoauth2_lookups_total";
    static const char *const names[LOOKUPS] = {
        [METRICS_LOOKUP_TOKEN] = "token",
        [METRICS_LOOKUP_XOAUTH2] = "xoauth2",
        [METRICS_LOOKUP_REFUSED] = "refused",
        [METRICS_LOOKUP_LOGIN] = "login",
        [METRICS_LOOKUP_SENDAS] = "sendas",
        [METRICS_LOOKUP_STATUS] = "status",
        [METRICS_LOOKUP_UNKNOWN] = "unknown",
    };
    static const char *const statuses[STATUSES] = {
        [SOCKETMAP_OK] = "ok",     [SOCKETMAP_NOTFOUND] = "notfound",
        [SOCKETMAP_TEMP] = "temp", [SOCKETMAP_TIMEOUT] = "timeout",
        [SOCKETMAP_PERM] = "perm",
    };

    exposition_head(
        out, name, EXPOSITION_COUNTER,
        "Lookups of mail servers by name and status of the answer.");
    for (size_t i = 0; i < LOOKUPS; i++)
        for (size_t j = 0; j < STATUSES; j++)
            if (j == SOCKETMAP_OK || metrics->lookups[i][j] > 0)
                exposition_sample(out, name, exposition_by("name", names[i]),
                                  exposition_by("status", statuses[j]),
                                  (int64_t)metrics->lookups[i][j]);
}

static void
render_waits(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "xoauth2_token_lookup_seconds";

    exposition_head(out, name, EXPOSITION_HISTOGRAM,
                    "Time until a token lookup was answered; nearly all wait "
                    "for nothing.");
    exposition_histogram(out, name, EXPOSITION_BY_NOTHING, &metrics->waits);
}

static void
render_windows(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "xoauth2_refresh_token_window_seconds";

    exposition_head(out, name, EXPOSITION_HISTOGRAM,
                    "How long new refresh tokens were in memory only, before "
                    "they were on the disk.");
    exposition_histogram(out, name, EXPOSITION_BY_NOTHING, &metrics->windows);
}

static void
render_reloads(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "xoauth2_config_reloads_total";

    exposition_head(out, name, EXPOSITION_COUNTER,
                    "Times that the configuration was read again, by outcome.");
    exposition_sample(out, name, exposition_by("outcome", "failed"),
                      EXPOSITION_BY_NOTHING, (int64_t)metrics->reloads[0]);
    exposition_sample(out, name, exposition_by("outcome", "done"),
                      EXPOSITION_BY_NOTHING, (int64_t)metrics->reloads[1]);
    exposition_single(
        out, "xoauth2_config_last_reload_successful", EXPOSITION_GAUGE,
        "Whether the configuration in force is the one in the file, as far "
        "as the daemon was told to read it.",
        !metrics->has_reload_failed);
}

/* ---- ... of credentials ---- */

/* What is not known makes no sample: false. */
typedef bool get_fn(const struct metrics_credential *credential, int64_t *out);

static void
each(const struct metrics_gauges *gauges, const char *name, const char *help,
     get_fn *get, struct buf *out)
{
    int64_t value = 0;

    exposition_head(out, name, EXPOSITION_GAUGE, help);
    for (size_t i = 0; i < gauges->credential_count; i++)
        if (get(&gauges->credentials[i], &value))
            exposition_sample(
                out, name,
                exposition_by("credential", gauges->credentials[i].name),
                EXPOSITION_BY_NOTHING, value);
}

static bool
get_alive(const struct metrics_credential *credential, int64_t *out)
{
    *out = (int64_t)credential->alive;
    return true;
}

static bool
get_tokens(const struct metrics_credential *credential, int64_t *out)
{
    *out = (int64_t)credential->tokens;
    return true;
}

static bool
get_used(const struct metrics_credential *credential, int64_t *out)
{
    *out = credential->is_used;
    return true;
}

static bool
get_expiry(const struct metrics_credential *credential, int64_t *out)
{
    *out = credential->first_expiry;
    return *out != 0;
}

static bool
get_success(const struct metrics_credential *credential, int64_t *out)
{
    *out = credential->last_success;
    return *out != 0;
}

static bool
get_refresh_tokens(const struct metrics_credential *credential, int64_t *out)
{
    *out = credential->refresh_tokens_end;
    return *out != 0;
}

static bool
get_ending(const struct metrics_credential *credential, int64_t *out)
{
    *out = (int64_t)credential->refresh_tokens_ending;
    return true;
}

static bool
get_keys(const struct metrics_credential *credential, int64_t *out)
{
    *out = (int64_t)credential->keys;
    return true;
}

static bool
get_keys_failing(const struct metrics_credential *credential, int64_t *out)
{
    *out = (int64_t)credential->keys_failing;
    return true;
}

static bool
get_certificate(const struct metrics_credential *credential, int64_t *out)
{
    *out = credential->certificate_ends;
    return *out != 0;
}

static bool
get_secret(const struct metrics_credential *credential, int64_t *out)
{
    *out = credential->secret_ends;
    return *out != 0;
}

static bool
get_skew(const struct metrics_credential *credential, int64_t *out)
{
    *out = credential->skew_s;
    return credential->has_skew;
}

static void
render_failing(const struct metrics_gauges *gauges, struct buf *out)
{
    static const char name[] = "xoauth2_tokens_failing";

    exposition_head(
        out, name, EXPOSITION_GAUGE,
        "Tokens whose last request failed, by the reason; those that still "
        "live are served all the same.");
    for (size_t i = 0; i < gauges->credential_count; i++) {
        const struct metrics_credential *credential = &gauges->credentials[i];

        for (int j = PROBLEM_NONE + 1; j < PROBLEM_COUNT; j++)
            if (credential->failing[j] > 0)
                exposition_sample(
                    out, name, exposition_by("credential", credential->name),
                    exposition_by("reason", problem_word((enum problem)j)),
                    (int64_t)credential->failing[j]);
        if (credential->failing_otherwise > 0)
            exposition_sample(out, name,
                              exposition_by("credential", credential->name),
                              exposition_by("reason", "other"),
                              (int64_t)credential->failing_otherwise);
    }
}

static void
render_credentials(const struct metrics_gauges *gauges, struct buf *out)
{
    each(gauges, "xoauth2_credential_used",
         "Whether a mailbox logs in with the credential.", get_used, out);
    each(gauges, "xoauth2_tokens",
         "Tokens that are kept fresh: one, or one for each mailbox.",
         get_tokens, out);
    each(gauges, "xoauth2_tokens_alive",
         "Tokens that are there and have not expired.", get_alive, out);
    render_failing(gauges, out);
    each(gauges, "xoauth2_token_expiry_timestamp_seconds",
         "When the first of the living tokens expires.", get_expiry, out);
    each(gauges, "xoauth2_token_last_success_timestamp_seconds",
         "When a token was last fetched.", get_success, out);
    each(gauges, "xoauth2_refresh_token_expiry_timestamp_seconds",
         "When the first refresh token expires, as far as that is known.",
         get_refresh_tokens, out);
    each(gauges, "xoauth2_refresh_tokens_ending",
         "Refresh tokens that have a third of their life left, as they could "
         "not be used, or end in spite of it.",
         get_ending, out);
    each(gauges, "xoauth2_keys",
         "Secrets, certificates and the like that the credential may be "
         "proven with.",
         get_keys, out);
    each(gauges, "xoauth2_keys_failing",
         "Those of them that did not work when they were tried last.",
         get_keys_failing, out);
    each(gauges, "xoauth2_certificate_expiry_timestamp_seconds",
         "When the certificate in use expires.", get_certificate, out);
    each(gauges, "xoauth2_secret_expiry_timestamp_seconds",
         "When the secret in use expires, where that is known.", get_secret,
         out);
    each(gauges, "xoauth2_clock_skew_seconds",
         "Our clock minus the provider's.", get_skew, out);
}

/* ---- ... of the rest ---- */

static void
render_mailboxes(const struct metrics_gauges *gauges, struct buf *out)
{
    static const char name[] = "xoauth2_mailboxes";
    static const char denied[] = "xoauth2_mailbox_denied";

    exposition_head(
        out, name, EXPOSITION_GAUGE,
        "Mailboxes by state: ok; refused: waits for another token; denied: "
        "the server refuses the newest token, too.");
    exposition_sample(out, name, exposition_by("state", "ok"),
                      EXPOSITION_BY_NOTHING, (int64_t)gauges->mailboxes_ok);
    exposition_sample(out, name, exposition_by("state", "refused"),
                      EXPOSITION_BY_NOTHING,
                      (int64_t)gauges->mailboxes_refused);
    exposition_sample(out, name, exposition_by("state", "denied"),
                      EXPOSITION_BY_NOTHING, (int64_t)gauges->mailboxes_denied);
    exposition_head(
        out, denied, EXPOSITION_GAUGE,
        "1 for each mailbox that is denied; the first hundred are named.");
    for (size_t i = 0; i < gauges->denied_count && i < METRICS_DENIED_MAX; i++)
        exposition_sample(out, denied,
                          exposition_by("mailbox", gauges->denied[i]),
                          EXPOSITION_BY_NOTHING, 1);
}

static void
render_state(const struct metrics_gauges *gauges, struct buf *out)
{
    if (!gauges->has_state)
        return;
    exposition_single(
        out, "xoauth2_state_writable", EXPOSITION_GAUGE,
        "Whether the file with what outlives a restart can be written.",
        gauges->is_state_writable);
    exposition_single(out, "xoauth2_state_queued", EXPOSITION_GAUGE,
                      "Records that are not on the disk yet.",
                      (int64_t)gauges->state_queued);
    exposition_head(out, "xoauth2_state_lag_seconds", EXPOSITION_GAUGE,
                    "How long the oldest of them has been waiting for the "
                    "disk.");
    exposition_seconds(out, "xoauth2_state_lag_seconds", EXPOSITION_BY_NOTHING,
                       EXPOSITION_BY_NOTHING,
                       (uint64_t)gauges->state_lag_ms * 1000);
    exposition_single(out, "xoauth2_state_failed_writes_total",
                      EXPOSITION_COUNTER,
                      "Attempts to open or to write it that failed.",
                      (int64_t)gauges->state_failed_writes);
    if (gauges->state_commits == NULL)
        return;
    exposition_head(out, "xoauth2_state_commit_seconds", EXPOSITION_HISTOGRAM,
                    "Time until a transaction was on the disk.");
    exposition_histogram(out, "xoauth2_state_commit_seconds",
                         EXPOSITION_BY_NOTHING, gauges->state_commits);
}

static void
render_troubles(const struct metrics_gauges *gauges, struct buf *out)
{
    static const char name[] = "xoauth2_troubles";
    static const char *const kinds[TROUBLES_KINDS] = {
        [TROUBLES_PROVIDER] = "provider", [TROUBLES_TOKEN] = "token",
        [TROUBLES_DENIED] = "denied",     [TROUBLES_REFUSED] = "refused",
        [TROUBLES_SENDER] = "sender",     [TROUBLES_STATE] = "state",
    };

    exposition_head(out, name, EXPOSITION_GAUGE,
                    "What an event said is wrong and is not over, by kind.");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        exposition_sample(out, name, exposition_by("kind", kinds[i]),
                          EXPOSITION_BY_NOTHING, (int64_t)gauges->troubles[i]);
    exposition_single(out, "xoauth2_mail_waiting_seconds", EXPOSITION_GAUGE,
                      "For how long mail has been waiting for what is wrong, "
                      "as far as that is known; 0: it does not.",
                      gauges->mail_waiting_ms / 1000);
}

static void
render_hook(const struct metrics_gauges *gauges, struct buf *out)
{
    static const char name[] = "xoauth2_events_total";

    exposition_head(
        out, name, EXPOSITION_COUNTER,
        "Events for the on_event command by outcome; dropped: too many were "
        "waiting for it.");
    exposition_sample(out, name, exposition_by("outcome", "done"),
                      EXPOSITION_BY_NOTHING, (int64_t)gauges->hook_done);
    exposition_sample(out, name, exposition_by("outcome", "failed"),
                      EXPOSITION_BY_NOTHING, (int64_t)gauges->hook_failed);
    exposition_sample(out, name, exposition_by("outcome", "killed"),
                      EXPOSITION_BY_NOTHING, (int64_t)gauges->hook_killed);
    exposition_sample(out, name, exposition_by("outcome", "dropped"),
                      EXPOSITION_BY_NOTHING, (int64_t)gauges->hook_dropped);
}

static void
render_daemon(const struct metrics_gauges *gauges, struct buf *out)
{
    exposition_head(out, "xoauth2_build_info", EXPOSITION_GAUGE,
                    "1, with the version.");
    exposition_sample(out, "xoauth2_build_info",
                      exposition_by("version", PACKAGE_VERSION),
                      EXPOSITION_BY_NOTHING, 1);
    exposition_single(out, "process_start_time_seconds", EXPOSITION_GAUGE,
                      "When the daemon started, in seconds since 1970.",
                      gauges->started_wall);
    exposition_single(out, "xoauth2_clients", EXPOSITION_GAUGE,
                      "Connections of mail servers that are open.",
                      (int64_t)gauges->clients);
    exposition_single(out, "xoauth2_waiters", EXPOSITION_GAUGE,
                      "Lookups that wait for a token just now.",
                      (int64_t)gauges->waiters);
    exposition_single(out, "xoauth2_refusals_total", EXPOSITION_COUNTER,
                      "Reports that a server refused a token.",
                      (int64_t)gauges->refusals);
    exposition_single(
        out, "xoauth2_deferred_statuses_total", EXPOSITION_COUNTER,
        "Permanent refusals that were made temporary, so that the message "
        "waits.",
        (int64_t)gauges->deferred);
}

void
metrics_render(const struct metrics *metrics,
               const struct metrics_gauges *gauges, struct buf *out)
{
    render_daemon(gauges, out);
    render_credentials(gauges, out);
    render_requests(metrics, out);
    render_request_times(metrics, out);
    render_rotations(metrics, out);
    render_lookups(metrics, out);
    render_waits(metrics, out);
    render_windows(metrics, out);
    render_mailboxes(gauges, out);
    render_troubles(gauges, out);
    render_state(gauges, out);
    render_hook(gauges, out);
    render_reloads(metrics, out);
}
