/*
 * events - who must be told of what: edges, not states.
 */
#include "token-daemon/events.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "common/log.h"
#include "token-daemon/expiries.h"
#include "token-daemon/hook.h"
#include "token-daemon/troubles.h"

#define TROUBLES_MAX 20000
#define EXPIRIES_MAX 20000
#define TICK_MS      30000 /* how exactly an hour is one */
#define MINUTE_MS    ((int64_t)60 * 1000)
#define HOUR_MS      (60 * MINUTE_MS)
#define DAY_S        ((int64_t)24 * 60 * 60)
#define URGENT_DAYS  7

/* What passes by itself mostly does so sooner. */
#define PATIENCE_MS (5 * MINUTE_MS)
/* Postfix tries a message that waits again after 4000 s at the latest: when
 * nobody was refused for so long, no mail waits for it any more. */
#define REPORT_FADES_MS (6 * HOUR_MS)

struct events {
    struct events_env env;
    char *host;
    struct troubles *troubles;
    struct expiries *expiries;
    void *timer;
};

/* What varies of an event; NULL, or 0 of a number: left out. */
struct event {
    const char *name;
    const char *credential;
    const char *mailbox;
    const char *reason;
    const char *text;
    const char *hint;
    int64_t since; /* s since 1970 */
    bool has_lasted;
    int64_t lasts_s;
    int64_t ends; /* s since 1970 */
    bool has_days;
    int64_t days_left;
};

static int64_t
now_of(const struct events *events)
{
    return events->env.boot_ms(events->env.arg);
}

static int64_t
wall_of(const struct events *events)
{
    return events->env.wall(events->env.arg);
}

static const char *
or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

/* ---- One event ----------------------------------------------------------- */

/* A text that is there; one that is no UTF-8 is left out. */
static void
set_text(json_t *object, const char *key, const char *text)
{
    if (or_null(text) != NULL)
        (void)json_object_set_new(object, key, json_string(text));
}

static json_t *
describe(const struct events *events, const struct event *event)
{
    json_t *object =
        json_pack("{s:i, s:s, s:I}", "version", EVENTS_VERSION, "event",
                  event->name, "at", (json_int_t)wall_of(events));

    if (object == NULL)
        return NULL;
    set_text(object, "host", events->host);
    set_text(object, "credential", event->credential);
    set_text(object, "mailbox", event->mailbox);
    set_text(object, "reason", event->reason);
    set_text(object, "text", event->text);
    set_text(object, "hint", event->hint);
    if (event->since != 0)
        (void)json_object_set_new(object, "since", json_integer(event->since));
    if (event->has_lasted)
        (void)json_object_set_new(object, "lasts_s",
                                  json_integer(event->lasts_s));
    if (event->ends != 0)
        (void)json_object_set_new(object, "ends", json_integer(event->ends));
    if (event->has_days)
        (void)json_object_set_new(object, "days_left",
                                  json_integer(event->days_left));
    return object;
}

static void
tell(const struct events *events, const struct event *event)
{
    json_t *object = describe(events, event);
    char line[HOOK_EVENT_MAX];
    size_t len = 0;

    if (object != NULL)
        len = json_dumpb(object, line, sizeof(line) - 1,
                         JSON_COMPACT | JSON_ENSURE_ASCII);
    if (len >= sizeof(line)) {
        /* Odd bytes swell. Who and why is enough. */
        (void)json_object_del(object, "text");
        (void)json_object_del(object, "hint");
        len = json_dumpb(object, line, sizeof(line) - 1,
                         JSON_COMPACT | JSON_ENSURE_ASCII);
    }
    json_decref(object);
    if (len == 0 || len >= sizeof(line)) {
        log_error("an event could not be told", F_STR("event", event->name));
        return;
    }
    line[len++] = '\n';
    events->env.tell(events->env.arg, event->name, line, len);
}

/* ---- Troubles ------------------------------------------------------------ */

static const char *
begin_name(const struct trouble *trouble)
{
    switch (trouble->kind) {
    case TROUBLES_PROVIDER:
        return "provider-down";
    case TROUBLES_TOKEN:
        return strcmp(trouble->reason, problem_word(PROBLEM_NEEDS_LOGIN)) == 0
                   ? "needs-login"
                   : "token-failing";
    case TROUBLES_DENIED:
        return "denied";
    case TROUBLES_REFUSED:
    case TROUBLES_SENDER:
        return "refused-by-server";
    case TROUBLES_STATE:
    case TROUBLES_KINDS:
        break;
    }
    return "state-unwritable";
}

static const char *
end_name(const struct trouble *trouble)
{
    switch (trouble->kind) {
    case TROUBLES_PROVIDER:
        return "provider-up";
    case TROUBLES_TOKEN:
    case TROUBLES_DENIED:
    case TROUBLES_REFUSED:
    case TROUBLES_SENDER:
        return "works-again";
    case TROUBLES_STATE:
    case TROUBLES_KINDS:
        break;
    }
    return "state-writable";
}

static void
log_lasting(const struct trouble *trouble, int64_t lasts_s)
{
    static const char mail[] = "mail waits, and has for long";
    static const char state[] = "what is to outlive a restart is not on the "
                                "disk, and has not been for long";

    log_error(trouble->kind == TROUBLES_STATE ? state : mail,
              F_STR("credential", or_null(trouble->credential)),
              F_STR("mailbox", or_null(trouble->mailbox)),
              F_STR("reason", trouble->reason), F_INT("lasts_s", lasts_s),
              F_STR("error", or_null(trouble->text)),
              F_STR("hint", or_null(trouble->hint)));
}

/* Mail waits no more. What a mailbox's end says stands in the log already. */
static const char *
say_end(const struct trouble *trouble, int64_t now)
{
    static const char flush[] = "works again; postqueue -f sends what waits";

    if (trouble->waits_from > now || trouble->kind == TROUBLES_STATE)
        return "works again";
    if (trouble->kind != TROUBLES_DENIED)
        log_info(flush, F_STR("credential", or_null(trouble->credential)),
                 F_STR("mailbox", or_null(trouble->mailbox)));
    return flush;
}

/* troubles_fn */
static void
on_trouble(enum troubles_edge edge, const struct trouble *trouble, int64_t now,
           void *arg)
{
    const struct events *events = arg;
    int64_t lasts_s = (now - trouble->since) / 1000;
    struct event event = {
        .credential = trouble->credential,
        .mailbox = trouble->mailbox,
        .reason = trouble->reason,
        .text = trouble->text,
        .hint = trouble->hint,
        .since = wall_of(events) - lasts_s,
        .has_lasted = true,
        .lasts_s = lasts_s,
    };

    switch (edge) {
    case TROUBLES_BEGAN:
        event.name = begin_name(trouble);
        break;
    case TROUBLES_LASTS:
        event.lasts_s = (now - trouble->waits_from) / 1000;
        event.since = wall_of(events) - event.lasts_s;
        event.name = trouble->kind == TROUBLES_STATE ? begin_name(trouble)
                                                     : "mail-waiting";
        log_lasting(trouble, event.lasts_s);
        break;
    case TROUBLES_ENDED:
        event.name = end_name(trouble);
        event.text = say_end(trouble, now);
        event.hint = NULL;
        break;
    }
    tell(events, &event);
}

/* Keep the timer going as long as there is something that may become due. */
static void
watch(struct events *events)
{
    events->env.timer_set(events->timer,
                          troubles_count(events->troubles) > 0 ? TICK_MS : -1);
}

static void
on_tick(void *arg)
{
    struct events *events = arg;

    (void)troubles_tick(events->troubles, now_of(events));
    watch(events);
}

static void
report(struct events *events, const struct troubles_report *trouble)
{
    size_t count = troubles_count(events->troubles);

    if (!troubles_report(events->troubles, trouble, now_of(events)))
        log_warning("a trouble is not watched: too many, or out of memory",
                    F_STR("credential", trouble->credential),
                    F_STR("mailbox", trouble->mailbox),
                    F_STR("reason", trouble->reason));
    if (count == 0)
        watch(events);
}

static void
solved(struct events *events, enum troubles_kind kind, const char *credential,
       const char *mailbox)
{
    if (troubles_count(events->troubles) == 0)
        return;
    (void)troubles_solved(events->troubles, kind, credential, mailbox,
                          now_of(events));
}

/* ---- What the others say ------------------------------------------------- */

/* Is it the provider who can't answer, whatever it is asked? */
static bool
is_of_provider(enum problem problem)
{
    switch (problem) {
    case PROBLEM_UNREACHABLE:
    case PROBLEM_UNAVAILABLE:
    case PROBLEM_THROTTLED:
    case PROBLEM_BAD_ANSWER:
        return true;
    case PROBLEM_NONE:
    case PROBLEM_BAD_SECRET:
    case PROBLEM_BAD_CLIENT:
    case PROBLEM_BAD_SCOPE:
    case PROBLEM_BAD_REQUEST:
    case PROBLEM_ACCESS_DENIED:
    case PROBLEM_NEEDS_LOGIN:
    case PROBLEM_BAD_SETTINGS:
    case PROBLEM_NO_SECRET:
    case PROBLEM_INTERNAL:
        break;
    }
    return false;
}

/* Does it concern one mailbox, not all of its credential? */
static bool
is_of_mailbox(enum problem problem)
{
    return problem == PROBLEM_NEEDS_LOGIN || problem == PROBLEM_ACCESS_DENIED ||
           problem == PROBLEM_BAD_REQUEST;
}

/* Without an answer of the provider there is nothing to say of it. */
static bool
has_answered(enum problem problem)
{
    return !is_of_provider(problem) && problem != PROBLEM_BAD_SETTINGS &&
           problem != PROBLEM_NO_SECRET && problem != PROBLEM_INTERNAL;
}

void
events_token(struct events *events, const struct events_token *outcome)
{
    struct troubles_report trouble = {
        .kind = TROUBLES_TOKEN,
        .credential = outcome->credential,
        .mailbox = is_of_mailbox(outcome->problem) ? outcome->mailbox : NULL,
        .reason = problem_word(outcome->problem),
        .text = outcome->err != NULL ? outcome->err->text : NULL,
        .hint = outcome->hint,
        .waits_from = outcome->alive_until,
    };
    int64_t now = now_of(events);

    if (has_answered(outcome->problem))
        solved(events, TROUBLES_PROVIDER, outcome->credential, NULL);
    if (outcome->problem == PROBLEM_NONE) {
        solved(events, TROUBLES_TOKEN, outcome->credential, NULL);
        solved(events, TROUBLES_TOKEN, outcome->credential, outcome->mailbox);
        return;
    }
    if (outcome->is_stranger && is_of_mailbox(outcome->problem))
        return; /* there may be any number of them */
    if (trouble.waits_from < now)
        trouble.waits_from = now;
    if (is_of_provider(outcome->problem))
        trouble.kind = TROUBLES_PROVIDER;
    if (problem_code(outcome->problem) != ERR_CONFIG &&
        problem_code(outcome->problem) != ERR_REAUTH)
        trouble.patience_ms = PATIENCE_MS;
    report(events, &trouble);
}

void
events_denied(struct events *events, const char *credential,
              const char *mailbox, const char *hint)
{
    report(events,
           &(struct troubles_report){
               .kind = TROUBLES_DENIED,
               .credential = credential,
               .mailbox = mailbox,
               .reason = "denied",
               .text = "the server refuses the newest token of this mailbox",
               .hint = hint,
               .waits_from = now_of(events),
               .fades_ms = REPORT_FADES_MS,
           });
}

void
events_refused(struct events *events, const struct events_refusal *refusal)
{
    report(
        events,
        &(struct troubles_report){
            .kind = refusal->is_of_sender ? TROUBLES_SENDER : TROUBLES_REFUSED,
            .credential = refusal->credential,
            .mailbox = refusal->mailbox,
            .reason = refusal->reason,
            .text = "the server refuses messages for what an administrator "
                    "can mend",
            .hint = refusal->hint,
            .waits_from = now_of(events),
            .fades_ms = REPORT_FADES_MS,
        });
}

void
events_accepted(struct events *events, const char *credential,
                const char *mailbox)
{
    solved(events, TROUBLES_DENIED, credential, mailbox);
    /* What one sender is refused says nothing of the others. */
    solved(events, TROUBLES_REFUSED, credential, mailbox);
}

void
events_state(struct events *events, const struct err *err)
{
    if (err == NULL) {
        solved(events, TROUBLES_STATE, NULL, NULL);
        return;
    }
    report(events, &(struct troubles_report){
                       .kind = TROUBLES_STATE,
                       .reason = "state-unwritable",
                       .text = err->text,
                       .hint = "tokens are kept in memory meanwhile; what is "
                               "new is lost when the daemon ends before it is "
                               "written",
                       .waits_from = now_of(events), /* its hours run, too */
                   });
}

void
events_rotated(struct events *events, const char *credential,
               const struct err *err)
{
    tell(events, &(struct event){
                     .name = err == NULL ? "rotated" : "rotation-failed",
                     .credential = credential,
                     .text = err != NULL ? err->text : NULL,
                 });
}

/* ---- What ends soon ------------------------------------------------------ */

static const struct {
    const char *event;
    const char *soon;
    const char *over;
    const char *hint;
} endings[] = {
    [EVENTS_SECRET] =
        {"secret-expiring", "a client secret expires",
         "a client secret has expired",
         "make a new one at the provider and run xoauth2ctl rotate"},
    [EVENTS_CERTIFICATE] =
        {"certificate-expiring", "a client certificate expires",
         "a client certificate has expired",
         "register a new one at the provider and run xoauth2ctl rotate"},
    [EVENTS_REFRESH_TOKEN] = {"refresh-token-expiring",
                              "the sign-in of a mailbox expires",
                              "the sign-in of a mailbox has expired",
                              "run xoauth2ctl login for it"},
};

void
events_expires(struct events *events, enum events_expiring what,
               const char *credential, const char *mailbox, int64_t ends)
{
    int64_t wall = wall_of(events);
    int64_t days = ends > wall ? (ends - wall) / DAY_S : 0;
    const char *text = ends > wall ? endings[what].soon : endings[what].over;
    char name[600];

    (void)snprintf(name, sizeof(name), "%d %s %s", (int)what, credential,
                   mailbox != NULL ? mailbox : "");
    if (!expiries_is_due(events->expiries, name, ends, wall))
        return;
    LOG_AT(days <= URGENT_DAYS ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, text,
           F_STR("credential", credential), F_STR("mailbox", mailbox),
           F_INT("days_left", days), F_STR("hint", endings[what].hint), F_END);
    tell(events, &(struct event){
                     .name = endings[what].event,
                     .credential = credential,
                     .mailbox = mailbox,
                     .text = text,
                     .hint = endings[what].hint,
                     .ends = ends,
                     .has_days = true,
                     .days_left = days,
                 });
}

/* ---- Life ---------------------------------------------------------------- */

static bool
has_credential(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->credential_count; i++)
        if (strcasecmp(config->credentials[i].name, name) == 0)
            return true;
    return false;
}

void
events_summarise(const struct events *events, struct troubles_summary *out)
{
    troubles_summarise(events->troubles, now_of(events), out);
}

/* A mailbox that is gone comes no more, and fades. */
static bool
is_configured(const struct trouble *trouble, const void *arg)
{
    return trouble->credential[0] == '\0' ||
           has_credential(arg, trouble->credential);
}

void
events_configure(struct events *events, const struct config *config)
{
    troubles_sift(events->troubles, is_configured, config);
}

struct events *
events_new(const struct events_env *env, const char *host)
{
    struct events *events = calloc(1, sizeof(*events));

    if (events == NULL)
        return NULL;
    events->env = *env;
    events->host = strdup(host);
    events->troubles = troubles_new(TROUBLES_MAX, on_trouble, events);
    events->expiries = expiries_new(EXPIRIES_MAX);
    events->timer = env->timer_new(env->arg, on_tick, events);
    if (events->host == NULL || events->troubles == NULL ||
        events->expiries == NULL || events->timer == NULL)
        events_free(&events);
    return events;
}

void
events_free(struct events **events)
{
    if (*events == NULL)
        return;
    if ((*events)->timer != NULL)
        (*events)->env.timer_free((*events)->timer);
    troubles_free(&(*events)->troubles);
    expiries_free(&(*events)->expiries);
    free((*events)->host);
    free(*events);
    *events = NULL;
}
