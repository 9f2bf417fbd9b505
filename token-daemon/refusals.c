/*
 * refusals - what servers say of logins, and what follows from it.
 */
#include "token-daemon/refusals.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/log.h"

#define SUSPECTS_MAX 20000 /* mailboxes */
#define PEERS_MAX    4096  /* processes */

#define GENERAL_HINT                                                         \
    "check that the mailbox exists, that SMTP AUTH is on for it, and that "  \
    "the app's service principal (object id of the enterprise application) " \
    "has rights on it"

struct refusals {
    struct refusals_env env;
    struct refresher *refresher;
    struct suspects *suspects;
    struct peers *peers;
    uint64_t count;
};

struct refusals *
refusals_new(const struct refusals_env *env, struct refresher *refresher)
{
    struct refusals *refusals = calloc(1, sizeof(*refusals));

    if (refusals == NULL)
        return NULL;
    refusals->env = *env;
    refusals->refresher = refresher;
    refusals->suspects = suspects_new(SUSPECTS_MAX);
    refusals->peers = peers_new(PEERS_MAX);
    if (refusals->suspects == NULL || refusals->peers == NULL)
        refusals_free(&refusals);
    return refusals;
}

void
refusals_free(struct refusals **refusals)
{
    if (*refusals == NULL)
        return;
    suspects_free(&(*refusals)->suspects);
    peers_free(&(*refusals)->peers);
    free(*refusals);
    *refusals = NULL;
}

static int64_t
now_of(const struct refusals *refusals)
{
    return refusals->env.boot_ms(refusals->env.arg);
}

static int64_t
wall_of(const struct refusals *refusals)
{
    return refusals->env.wall(refusals->env.arg);
}

void
refusals_note_login(struct refusals *refusals, pid_t pid, const char *mailbox)
{
    peers_note_login(refusals->peers, pid, mailbox, now_of(refusals));
}

void
refusals_note_token(struct refusals *refusals, pid_t pid, const char *mailbox,
                    const struct token *token)
{
    peers_note_token(refusals->peers, pid, mailbox, token, now_of(refusals));
}

const struct peer *
refusals_peer(const struct refusals *refusals, pid_t pid)
{
    return peers_find(refusals->peers, pid, now_of(refusals));
}

uint64_t
refusals_serial(const struct refusals *refusals, const char *mailbox)
{
    const struct suspect *suspect = suspects_find(refusals->suspects, mailbox);

    return suspect != NULL ? suspect->serial : 0;
}

/*
 * Which token was refused? What the report says, else what this process was
 * given for the mailbox, else the one in force.
 */
static bool
is_current(const struct refusals *refusals, const struct token *token,
           const struct refusals_report *report)
{
    const struct peer *peer;

    if (report->fingerprint[0] != '\0')
        return strcmp(report->fingerprint, token->fingerprint) == 0;
    peer = refusals_peer(refusals, report->pid);
    if (peer != NULL && peer->mailbox != NULL &&
        strcasecmp(peer->mailbox, report->mailbox) == 0)
        return strcmp(peer->fingerprint, token->fingerprint) == 0;
    return true;
}

static void
append_time(struct buf *out, int64_t wall)
{
    time_t when = (time_t)wall;
    struct tm tm;
    char text[32];

    if (gmtime_r(&when, &tm) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        buf_append_int(out, wall);
        return;
    }
    buf_append_str(out, text);
}

/* Make the token suspect and say what happens next. */
static void
request_fetch(struct refusals *refusals, const struct refusals_report *report,
              struct buf *out)
{
    const struct refresher_key key = {report->credential, report->mailbox};
    int64_t until = 0;

    switch (refresher_report(refusals->refresher, &key, &until)) {
    case TOKEN_REPORT_FETCH:
    case TOKEN_REPORT_FETCHING:
        buf_append_str(out, "fetching");
        return;
    case TOKEN_REPORT_LIMITED:
        buf_append_str(out, "limited until ");
        append_time(out, until);
        return;
    }
}

/*
 * Hold it against the mailbox; say it once when that makes it denied. Is this
 * repetition worth a line?
 */
static bool
accuse(struct refusals *refusals, const struct refusals_report *report,
       uint64_t serial)
{
    const char *hint = report->hint != NULL ? report->hint : GENERAL_HINT;
    const struct suspect *suspect;

    switch (suspects_refused(refusals->suspects, report->mailbox, serial,
                             wall_of(refusals))) {
    case SUSPECTS_DENIED:
        log_error("mailbox is denied: the server refuses its newest token too",
                  F_STR("mailbox", report->mailbox),
                  F_STR("credential", report->credential), F_STR("hint", hint));
        break;
    case SUSPECTS_NO_MEMORY:
        log_error("a refusal could not be noted, out of memory",
                  F_STR("mailbox", report->mailbox));
        break;
    case SUSPECTS_FIRST:
    case SUSPECTS_STILL:
        break;
    }
    suspect = suspects_find(refusals->suspects, report->mailbox);
    if (suspect != NULL && suspect->is_denied && refusals->env.denied != NULL)
        refusals->env.denied(refusals->env.arg, report->credential,
                             report->mailbox, hint);
    return suspect == NULL || log_is_due(suspect->refusals);
}

void
refusals_report(struct refusals *refusals, const struct refusals_report *report,
                struct buf *out)
{
    const struct refresher_key key = {report->credential, report->mailbox};
    const struct token *token = refresher_peek(refusals->refresher, &key);
    size_t start = out->len;
    bool is_due = false;

    refusals->count++;
    if (token == NULL || token->text == NULL) {
        buf_append_str(out, "fetching");
    } else if (!is_current(refusals, token, report)) {
        buf_append_str(out, "renewed");
    } else {
        is_due = accuse(refusals, report, token->serial);
        request_fetch(refusals, report, out);
    }
    LOG_AT(is_due ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
           "token refused by the server", F_STR("mailbox", report->mailbox),
           F_STR("credential", report->credential),
           F_STR("token", token != NULL ? token->fingerprint : NULL),
           F_STR("next", buf_str(out) + start), F_STR("hint", report->hint),
           F_END);
}

void
refusals_accepted(struct refusals *refusals, const char *mailbox,
                  const char *credential)
{
    const struct refresher_key key = {credential, mailbox};
    int64_t since = 0;

    if (suspects_accepted(refusals->suspects, mailbox, &since))
        log_info("mailbox works again; postqueue -f sends what waits",
                 F_STR("mailbox", mailbox),
                 F_INT("denied_s", wall_of(refusals) - since));
    if (refusals->env.accepted != NULL)
        refusals->env.accepted(refusals->env.arg, credential, mailbox);
    refresher_accepted(refusals->refresher, &key);
}

const struct suspect *
refusals_suspect(const struct refusals *refusals, const char *mailbox)
{
    return suspects_find(refusals->suspects, mailbox);
}

void
refusals_each(const struct refusals *refusals,
              void (*visit)(const char *mailbox, const struct suspect *suspect,
                            void *arg),
              void *arg)
{
    suspects_each(refusals->suspects, visit, arg);
}

uint64_t
refusals_count(const struct refusals *refusals)
{
    return refusals->count;
}

size_t
refusals_denied(const struct refusals *refusals)
{
    return suspects_denied_count(refusals->suspects);
}
