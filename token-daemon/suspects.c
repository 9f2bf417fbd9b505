/*
 * suspects - which mailboxes a server refused, and with which token.
 */
#include "token-daemon/suspects.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/strmap.h"

/* A refusal older than this says nothing about the next one. */
#define FORGET_AFTER_S 3600

struct entry {
    TAILQ_ENTRY(entry) link; /* the longest unrefused first */
    struct suspect suspect;
    char mailbox[];
};

struct suspects {
    struct strmap *by_mailbox;
    TAILQ_HEAD(, entry) oldest_first;
    size_t max;
    size_t denied;
};

struct suspects *
suspects_new(size_t max)
{
    struct suspects *suspects = calloc(1, sizeof(*suspects));

    if (suspects == NULL)
        return NULL;
    TAILQ_INIT(&suspects->oldest_first);
    suspects->max = max;
    suspects->by_mailbox = strmap_new();
    if (suspects->by_mailbox == NULL) {
        free(suspects);
        return NULL;
    }
    return suspects;
}

static void
forget(struct suspects *suspects, struct entry *entry)
{
    if (entry->suspect.is_denied)
        suspects->denied--;
    (void)strmap_remove(suspects->by_mailbox, entry->mailbox,
                        strlen(entry->mailbox));
    TAILQ_REMOVE(&suspects->oldest_first, entry, link);
    free(entry);
}

void
suspects_free(struct suspects **suspects)
{
    struct entry *entry;

    if (*suspects == NULL)
        return;
    /* The analyser does not see that TAILQ_REMOVE() changes the head. */
    while ((entry = TAILQ_FIRST(&(*suspects)->oldest_first)) != NULL)
        forget(*suspects, entry); /* NOLINT(*-unix.Malloc) */
    strmap_free(&(*suspects)->by_mailbox);
    free(*suspects);
    *suspects = NULL;
}

static struct entry *
find(const struct suspects *suspects, const char *mailbox)
{
    return strmap_get(suspects->by_mailbox, mailbox, strlen(mailbox));
}

static struct entry *
add(struct suspects *suspects, const char *mailbox, int64_t wall)
{
    size_t size = strlen(mailbox) + 1;
    struct entry *entry = calloc(1, sizeof(*entry) + size);

    if (entry == NULL)
        return NULL;
    memcpy(entry->mailbox, mailbox, size);
    entry->suspect.since_wall = wall;
    if (strmap_add(suspects->by_mailbox, entry->mailbox, entry) !=
        STRMAP_ADDED) {
        free(entry);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&suspects->oldest_first, entry, link);
    if (strmap_count(suspects->by_mailbox) > suspects->max)
        forget(suspects, TAILQ_FIRST(&suspects->oldest_first));
    return entry;
}

enum suspects_verdict
suspects_refused(struct suspects *suspects, const char *mailbox,
                 uint64_t serial, int64_t wall)
{
    struct entry *entry = find(suspects, mailbox);
    struct suspect *suspect;
    bool is_newer;

    if (entry != NULL && !entry->suspect.is_denied &&
        wall - entry->suspect.last_wall > FORGET_AFTER_S) {
        forget(suspects, entry);
        entry = NULL;
    }
    if (entry == NULL) {
        entry = add(suspects, mailbox, wall);
        if (entry == NULL)
            return SUSPECTS_NO_MEMORY;
    }
    TAILQ_REMOVE(&suspects->oldest_first, entry, link);
    TAILQ_INSERT_TAIL(&suspects->oldest_first, entry, link);

    suspect = &entry->suspect;
    is_newer = suspect->serial != 0 && serial > suspect->serial;
    suspect->last_wall = wall;
    suspect->refusals++;
    if (serial > suspect->serial)
        suspect->serial = serial;
    if (suspect->is_denied)
        return SUSPECTS_STILL;
    if (!is_newer)
        return SUSPECTS_FIRST;
    suspect->is_denied = true;
    suspects->denied++;
    return SUSPECTS_DENIED;
}

bool
suspects_accepted(struct suspects *suspects, const char *mailbox,
                  int64_t *since_wall)
{
    struct entry *entry = find(suspects, mailbox);
    bool was_denied;

    if (entry == NULL)
        return false;
    was_denied = entry->suspect.is_denied;
    *since_wall = entry->suspect.since_wall;
    forget(suspects, entry);
    return was_denied;
}

const struct suspect *
suspects_find(const struct suspects *suspects, const char *mailbox)
{
    const struct entry *entry = find(suspects, mailbox);

    return entry != NULL ? &entry->suspect : NULL;
}

void
suspects_each(const struct suspects *suspects,
              void (*visit)(const char *mailbox, const struct suspect *suspect,
                            void *arg),
              void *arg)
{
    const struct entry *entry;

    TAILQ_FOREACH(entry, &suspects->oldest_first, link)
    {
        visit(entry->mailbox, &entry->suspect, arg);
    }
}

size_t
suspects_denied_count(const struct suspects *suspects)
{
    return suspects->denied;
}
