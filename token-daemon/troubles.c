/*
 * troubles - what is wrong, since when, and when to say so again.
 */
#include "token-daemon/troubles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/strmap.h"
#include "common/util.h"

#define KEY_MAX 512 /* bytes; an address has at most 320 */
#define HOUR_MS ((int64_t)60 * 60 * 1000)

/* Postfix tries a message again after 4000 s at the latest. */
#define HEARD_MS (2 * HOUR_MS)

static const int64_t stages[TROUBLES_STAGES] = {HOUR_MS, 24 * HOUR_MS,
                                                72 * HOUR_MS};

struct entry {
    TAILQ_ENTRY(entry) link;
    struct trouble trouble;
    int64_t patience_ms;
    int64_t fades_ms;
    /* The key, the credential and the mailbox, a NUL after each. */
    char names[];
};

TAILQ_HEAD(entry_list, entry);

struct troubles {
    struct strmap *by_key;
    struct entry_list entries;
    size_t max;
    troubles_fn *tell;
    void *arg;
};

static const char *
or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* `kind credential mailbox`; neither name has a blank that could deceive. */
static int
format_key(char *out, size_t size, enum troubles_kind kind,
           const char *credential, const char *mailbox)
{
    return snprintf(out, size, "%d %s %s", (int)kind, or_empty(credential),
                    or_empty(mailbox));
}

static void
copy_text(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", or_empty(text));
}

static void
entry_free(struct troubles *troubles, struct entry *entry)
{
    TAILQ_REMOVE(&troubles->entries, entry, link);
    (void)strmap_remove(troubles->by_key, entry->names, strlen(entry->names));
    free(entry);
}

struct troubles *
troubles_new(size_t max, troubles_fn *tell, void *arg)
{
    struct troubles *troubles = calloc(1, sizeof(*troubles));

    if (troubles == NULL)
        return NULL;
    TAILQ_INIT(&troubles->entries);
    troubles->max = max;
    troubles->tell = tell;
    troubles->arg = arg;
    troubles->by_key = strmap_new();
    if (troubles->by_key == NULL)
        troubles_free(&troubles);
    return troubles;
}

void
troubles_free(struct troubles **troubles)
{
    struct entry *entry;

    if (*troubles == NULL)
        return;
    while ((entry = TAILQ_FIRST(&(*troubles)->entries)) != NULL)
        entry_free(*troubles, entry);
    strmap_free(&(*troubles)->by_key);
    free(*troubles);
    *troubles = NULL;
}

static struct entry *
find(const struct troubles *troubles, enum troubles_kind kind,
     const char *credential, const char *mailbox)
{
    char key[KEY_MAX];
    int len = format_key(key, sizeof(key), kind, credential, mailbox);

    /* What is longer was never noted. */
    if (len < 0 || (size_t)len >= sizeof(key))
        return NULL;
    return strmap_get(troubles->by_key, key, (size_t)len);
}

static struct entry *
add(struct troubles *troubles, const struct troubles_report *report,
    int64_t now)
{
    const char *credential = or_empty(report->credential);
    const char *mailbox = or_empty(report->mailbox);
    char key[KEY_MAX];
    int len = format_key(key, sizeof(key), report->kind, credential, mailbox);
    size_t key_size = (size_t)len + 1;
    size_t credential_size = strlen(credential) + 1;
    size_t mailbox_size = strlen(mailbox) + 1;
    struct entry *entry;

    if (len < 0 || key_size > sizeof(key) ||
        strmap_count(troubles->by_key) >= troubles->max)
        return NULL;
    entry =
        calloc(1, sizeof(*entry) + key_size + credential_size + mailbox_size);
    if (entry == NULL)
        return NULL;
    memcpy(entry->names, key, key_size);
    memcpy(entry->names + key_size, credential, credential_size);
    memcpy(entry->names + key_size + credential_size, mailbox, mailbox_size);
    entry->trouble = (struct trouble){
        .kind = report->kind,
        .credential = entry->names + key_size,
        .mailbox = entry->names + key_size + credential_size,
        .since = now,
        .waits_from = TROUBLES_NEVER,
    };
    if (strmap_add(troubles->by_key, entry->names, entry) != STRMAP_ADDED) {
        free(entry);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&troubles->entries, entry, link);
    return entry;
}

/* How many of the stages lie behind `now`? */
static unsigned
stage_at(const struct trouble *trouble, int64_t now)
{
    unsigned stage = 0;

    if (trouble->waits_from >= now)
        return 0;
    while (stage < TROUBLES_STAGES &&
           now - trouble->waits_from >= stages[stage])
        stage++;
    return stage;
}

/* Tell what is due. `is_heard`: it was reported just now. */
static void
advance(const struct troubles *troubles, struct entry *entry, int64_t now,
        bool is_heard)
{
    struct trouble *trouble = &entry->trouble;
    unsigned stage = stage_at(trouble, now);

    if (!trouble->is_told && (now - trouble->since >= entry->patience_ms ||
                              trouble->waits_from <= now)) {
        trouble->is_told = true;
        troubles->tell(TROUBLES_BEGAN, trouble, now, troubles->arg);
    }
    if (stage > trouble->stage && (is_heard || entry->fades_ms == 0)) {
        trouble->stage = stage;
        troubles->tell(TROUBLES_LASTS, trouble, now, troubles->arg);
    }
}

bool
troubles_report(struct troubles *troubles, const struct troubles_report *report,
                int64_t now)
{
    struct entry *entry =
        find(troubles, report->kind, report->credential, report->mailbox);
    struct trouble *trouble;
    bool is_other;

    if (entry == NULL)
        entry = add(troubles, report, now);
    if (entry == NULL)
        return false;
    trouble = &entry->trouble;
    is_other = trouble->is_told && trouble->kind == TROUBLES_TOKEN &&
               strcmp(trouble->reason, report->reason) != 0;
    copy_text(trouble->reason, sizeof(trouble->reason), report->reason);
    copy_text(trouble->text, sizeof(trouble->text), report->text);
    copy_text(trouble->hint, sizeof(trouble->hint), report->hint);
    if (report->waits_from < trouble->waits_from)
        trouble->waits_from = report->waits_from;
    trouble->last = now;
    entry->patience_ms = report->patience_ms;
    entry->fades_ms = report->fades_ms;
    /* Somebody must now do something else. */
    if (is_other)
        troubles->tell(TROUBLES_BEGAN, trouble, now, troubles->arg);
    advance(troubles, entry, now, true);
    return true;
}

bool
troubles_solved(struct troubles *troubles, enum troubles_kind kind,
                const char *credential, const char *mailbox, int64_t now)
{
    struct entry *entry = find(troubles, kind, credential, mailbox);

    if (entry == NULL)
        return false;
    if (entry->trouble.is_told)
        troubles->tell(TROUBLES_ENDED, &entry->trouble, now, troubles->arg);
    entry_free(troubles, entry);
    return true;
}

size_t
troubles_tick(struct troubles *troubles, int64_t now)
{
    struct entry *entry = TAILQ_FIRST(&troubles->entries);

    while (entry != NULL) {
        struct entry *next = TAILQ_NEXT(entry, link);

        if (entry->fades_ms > 0 && now - entry->trouble.last >= entry->fades_ms)
            entry_free(troubles, entry);
        else
            advance(troubles, entry, now, false);
        entry = next;
    }
    return troubles_count(troubles);
}

void
troubles_sift(struct troubles *troubles,
              bool (*is_kept)(const struct trouble *trouble, const void *arg),
              const void *arg)
{
    struct entry *entry = TAILQ_FIRST(&troubles->entries);

    while (entry != NULL) {
        struct entry *next = TAILQ_NEXT(entry, link);

        if (!is_kept(&entry->trouble, arg))
            entry_free(troubles, entry);
        entry = next;
    }
}

size_t
troubles_count(const struct troubles *troubles)
{
    return strmap_count(troubles->by_key);
}

void
troubles_summarise(const struct troubles *troubles, int64_t now,
                   struct troubles_summary *out)
{
    const struct entry *entry;

    *out = (struct troubles_summary){.waits_from = TROUBLES_NEVER};
    TAILQ_FOREACH(entry, &troubles->entries, link)
    {
        const struct trouble *trouble = &entry->trouble;

        if (entry->fades_ms > 0 && now - trouble->last > HEARD_MS)
            continue; /* nobody has tried since */
        if (trouble->is_told)
            out->told[trouble->kind]++;
        if (trouble->kind != TROUBLES_STATE && trouble->waits_from <= now &&
            trouble->waits_from < out->waits_from)
            out->waits_from = trouble->waits_from;
    }
}
