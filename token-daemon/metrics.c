/*
 * metrics - what is counted, and how Prometheus reads it.
 *
 * The format: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#include <config.h>

#include "token-daemon/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/strmap.h"
#include "common/util.h"

#define LOOKUPS  (METRICS_LOOKUP_UNKNOWN + 1)
#define STATUSES (SOCKETMAP_PERM + 1)

/* How long tokens were waited for; the last bucket is the patience of a
 * lookup. What takes longer is in +Inf only. */
static const struct {
    int64_t limit_ms;
    const char *limit; /* s */
} buckets[] = {
    {1, "0.001"},  {5, "0.005"},  {10, "0.01"},  {50, "0.05"},
    {100, "0.1"},  {250, "0.25"}, {500, "0.5"},  {1000, "1"},
    {2500, "2.5"}, {5000, "5"},   {10000, "10"}, {15000, "15"},
};

/* What is counted of one credential. */
struct counters {
    SLIST_ENTRY(counters) link;
    uint64_t requests[PROBLEM_COUNT];
    uint64_t rotations[2]; /* failed, done */
    char name[];
};

SLIST_HEAD(counters_list, counters);

struct metrics {
    struct counters_list credentials;
    struct strmap *by_name;
    uint64_t lookups[LOOKUPS][STATUSES];
    uint64_t waits[ARRAY_LEN(buckets) + 1]; /* not summed up; last: +Inf */
    uint64_t wait_sum_ms;
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
    if (old != NULL) {
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
                enum problem outcome)
{
    struct counters *counters = find(metrics, credential);

    if (counters != NULL)
        counters->requests[outcome]++;
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
    size_t i = 0;

    if (waited_ms < 0)
        waited_ms = 0;
    while (i < ARRAY_LEN(buckets) && waited_ms > buckets[i].limit_ms)
        i++;
    metrics->waits[i]++;
    metrics->wait_sum_ms += (uint64_t)waited_ms;
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

/* A label's name with its value, or NULL for none. */
struct label {
    const char *name;
    const char *value;
};

static void
head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_append_str(out, "# HELP ");
    buf_append_str(out, name);
    buf_append_char(out, ' ');
    buf_append_str(out, help); /* ours: no line feed, no backslash */
    buf_append_str(out, "\n# TYPE ");
    buf_append_str(out, name);
    buf_append_char(out, ' ');
    buf_append_str(out, type);
    buf_append_char(out, '\n');
}

static void
append_label_value(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            buf_append_str(out, "\\n");
            continue;
        }
        if (*text == '\\' || *text == '"')
            buf_append_char(out, '\\');
        buf_append_char(out, *text);
    }
}

/* Everything of a sample's line but its value and its end. */
static void
begin_sample(struct buf *out, const char *name, struct label a, struct label b)
{
    const struct label labels[] = {a, b};
    char open = '{';

    buf_append_str(out, name);
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        if (labels[i].name == NULL)
            continue;
        buf_append_char(out, open);
        open = ',';
        buf_append_str(out, labels[i].name);
        buf_append_str(out, "=\"");
        append_label_value(out, labels[i].value);
        buf_append_char(out, '"');
    }
    buf_append_str(out, open == ',' ? "} " : " ");
}

static void
sample(struct buf *out, const char *name, struct label a, struct label b,
       int64_t value)
{
    begin_sample(out, name, a, b);
    buf_append_int(out, value);
    buf_append_char(out, '\n');
}

/* A metric that has one sample without labels. */
static void
single(struct buf *out, const char *name, const char *type, const char *help,
       int64_t value)
{
    static const struct label none = {NULL, NULL};

    head(out, name, type, help);
    sample(out, name, none, none, value);
}

static struct label
by(const char *name, const char *value)
{
    return (struct label){name, value};
}

static struct label
by_nothing(void)
{
    return (struct label){NULL, NULL};
}

/* ---- ... of what happened ---- */

static void
render_requests(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "xoauth2_token_requests_total";
    const struct counters *counters;

    head(out, name, "counter",
         "Token requests by credential and outcome: ok, or the word that the "
         "log and the lookups give as the reason.");
    SLIST_FOREACH(counters, &metrics->credentials, link)
    {
        for (int i = 0; i < PROBLEM_COUNT; i++)
            if (i == PROBLEM_NONE || counters->requests[i] > 0)
                sample(out, name, by("credential", counters->name),
                       by("outcome", problem_word((enum problem)i)),
                       (int64_t)counters->requests[i]);
    }
}

static void
render_rotations(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "xoauth2_rotations_total";
    static const char *const outcomes[] = {"failed", "done"};
    const struct counters *counters;

    head(out, name, "counter",
         "Rotations of a secret, certificate or key by credential and "
         "outcome.");
    SLIST_FOREACH(counters, &metrics->credentials, link)
    {
        for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
            sample(out, name, by("credential", counters->name),
                   by("outcome", outcomes[i]), (int64_t)counters->rotations[i]);
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

    head(out, name, "counter",
         "Lookups of mail servers by name and status of the answer.");
    for (size_t i = 0; i < LOOKUPS; i++)
        for (size_t j = 0; j < STATUSES; j++)
            if (j == SOCKETMAP_OK || metrics->lookups[i][j] > 0)
                sample(out, name, by("name", names[i]),
                       by("status", statuses[j]),
                       (int64_t)metrics->lookups[i][j]);
}

static void
render_waits(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "xoauth2_token_lookup_seconds";
    uint64_t sum = metrics->wait_sum_ms;
    int64_t count = 0;

    head(out, name, "histogram",
         "Time until a token lookup was answered; nearly all wait for "
         "nothing.");
    for (size_t i = 0; i <= ARRAY_LEN(buckets); i++) {
        const char *limit = i < ARRAY_LEN(buckets) ? buckets[i].limit : "+Inf";

        count += (int64_t)metrics->waits[i];
        sample(out, "xoauth2_token_lookup_seconds_bucket", by("le", limit),
               by_nothing(), count);
    }
    begin_sample(out, "xoauth2_token_lookup_seconds_sum", by_nothing(),
                 by_nothing());
    buf_append_int(out, (int64_t)(sum / 1000));
    buf_append_char(out, '.');
    for (uint64_t digit = 100; digit > 0; digit /= 10)
        buf_append_int(out, (int64_t)(sum / digit % 10));
    buf_append_char(out, '\n');
    sample(out, "xoauth2_token_lookup_seconds_count", by_nothing(),
           by_nothing(), count);
}

static void
render_reloads(const struct metrics *metrics, struct buf *out)
{
    static const char name[] = "xoauth2_config_reloads_total";

    head(out, name, "counter",
         "Times that the configuration was read again, by outcome.");
    sample(out, name, by("outcome", "failed"), by_nothing(),
           (int64_t)metrics->reloads[0]);
    sample(out, name, by("outcome", "done"), by_nothing(),
           (int64_t)metrics->reloads[1]);
    single(out, "xoauth2_config_last_reload_successful", "gauge",
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

    head(out, name, "gauge", help);
    for (size_t i = 0; i < gauges->credential_count; i++)
        if (get(&gauges->credentials[i], &value))
            sample(out, name, by("credential", gauges->credentials[i].name),
                   by_nothing(), value);
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

    head(out, name, "gauge",
         "Tokens whose last request failed, by the reason; those that still "
         "live are served all the same.");
    for (size_t i = 0; i < gauges->credential_count; i++) {
        const struct metrics_credential *credential = &gauges->credentials[i];

        for (int j = PROBLEM_NONE + 1; j < PROBLEM_COUNT; j++)
            if (credential->failing[j] > 0)
                sample(out, name, by("credential", credential->name),
                       by("reason", problem_word((enum problem)j)),
                       (int64_t)credential->failing[j]);
        if (credential->failing_otherwise > 0)
            sample(out, name, by("credential", credential->name),
                   by("reason", "other"),
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

    head(out, name, "gauge",
         "Mailboxes by state: ok; refused: waits for another token; denied: "
         "the server refuses the newest token, too.");
    sample(out, name, by("state", "ok"), by_nothing(),
           (int64_t)gauges->mailboxes_ok);
    sample(out, name, by("state", "refused"), by_nothing(),
           (int64_t)gauges->mailboxes_refused);
    sample(out, name, by("state", "denied"), by_nothing(),
           (int64_t)gauges->mailboxes_denied);
    head(out, denied, "gauge",
         "1 for each mailbox that is denied; the first hundred are named.");
    for (size_t i = 0; i < gauges->denied_count && i < METRICS_DENIED_MAX; i++)
        sample(out, denied, by("mailbox", gauges->denied[i]), by_nothing(), 1);
}

static void
render_state(const struct metrics_gauges *gauges, struct buf *out)
{
    if (!gauges->has_state)
        return;
    single(out, "xoauth2_state_writable", "gauge",
           "Whether the file with what outlives a restart can be written.",
           gauges->is_state_writable);
    single(out, "xoauth2_state_queued", "gauge",
           "Records that are not on the disk yet.",
           (int64_t)gauges->state_queued);
    single(out, "xoauth2_state_commits_total", "counter",
           "Transactions that are on the disk.",
           (int64_t)gauges->state_commits);
    single(out, "xoauth2_state_failures", "gauge",
           "Failed attempts to write since the last that succeeded.",
           (int64_t)gauges->state_failures);
}

static void
render_hook(const struct metrics_gauges *gauges, struct buf *out)
{
    static const char name[] = "xoauth2_events_total";

    head(out, name, "counter",
         "Events for the on_event command by outcome; dropped: too many were "
         "waiting for it.");
    sample(out, name, by("outcome", "done"), by_nothing(),
           (int64_t)gauges->hook_done);
    sample(out, name, by("outcome", "failed"), by_nothing(),
           (int64_t)gauges->hook_failed);
    sample(out, name, by("outcome", "killed"), by_nothing(),
           (int64_t)gauges->hook_killed);
    sample(out, name, by("outcome", "dropped"), by_nothing(),
           (int64_t)gauges->hook_dropped);
}

static void
render_daemon(const struct metrics_gauges *gauges, struct buf *out)
{
    head(out, "xoauth2_build_info", "gauge", "1, with the version.");
    sample(out, "xoauth2_build_info", by("version", PACKAGE_VERSION),
           by_nothing(), 1);
    single(out, "process_start_time_seconds", "gauge",
           "When the daemon started, in seconds since 1970.",
           gauges->started_wall);
    single(out, "xoauth2_clients", "gauge",
           "Connections of mail servers that are open.",
           (int64_t)gauges->clients);
    single(out, "xoauth2_waiters", "gauge",
           "Lookups that wait for a token just now.", (int64_t)gauges->waiters);
    single(out, "xoauth2_refusals_total", "counter",
           "Reports that a server refused a token.", (int64_t)gauges->refusals);
    single(out, "xoauth2_deferred_statuses_total", "counter",
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
    render_rotations(metrics, out);
    render_lookups(metrics, out);
    render_waits(metrics, out);
    render_mailboxes(gauges, out);
    render_state(gauges, out);
    render_hook(gauges, out);
    render_reloads(metrics, out);
}
