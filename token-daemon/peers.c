/*
 * peers - what each process that asks was given last.
 */
#include "token-daemon/peers.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/strmap.h"

#define PID_DIGITS 24 /* bytes, with the NUL */

struct entry {
    TAILQ_ENTRY(entry) link; /* the longest silent first */
    char pid[PID_DIGITS];
    int64_t noted_at; /* ms */
    struct peer peer;
};

struct peers {
    struct strmap *by_pid;
    TAILQ_HEAD(, entry) oldest_first;
    size_t max;
};

struct peers *
peers_new(size_t max)
{
    struct peers *peers = calloc(1, sizeof(*peers));

    if (peers == NULL)
        return NULL;
    TAILQ_INIT(&peers->oldest_first);
    peers->max = max;
    peers->by_pid = strmap_new();
    if (peers->by_pid == NULL) {
        free(peers);
        return NULL;
    }
    return peers;
}

static void
forget(struct peers *peers, struct entry *entry)
{
    (void)strmap_remove(peers->by_pid, entry->pid, strlen(entry->pid));
    TAILQ_REMOVE(&peers->oldest_first, entry, link);
    free(entry->peer.login);
    free(entry->peer.mailbox);
    free(entry);
}

void
peers_free(struct peers **peers)
{
    struct entry *entry;

    if (*peers == NULL)
        return;
    /* The analyser does not see that TAILQ_REMOVE() changes the head. */
    while ((entry = TAILQ_FIRST(&(*peers)->oldest_first)) != NULL)
        forget(*peers, entry); /* NOLINT(*-unix.Malloc) */
    strmap_free(&(*peers)->by_pid);
    free(*peers);
    *peers = NULL;
}

static struct entry *
find(const struct peers *peers, pid_t pid)
{
    char digits[PID_DIGITS];
    int len = snprintf(digits, sizeof(digits), "%ld", (long)pid);

    return strmap_get(peers->by_pid, digits, (size_t)len);
}

static struct entry *
add(struct peers *peers, pid_t pid)
{
    struct entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL)
        return NULL;
    (void)snprintf(entry->pid, sizeof(entry->pid), "%ld", (long)pid);
    if (strmap_add(peers->by_pid, entry->pid, entry) != STRMAP_ADDED) {
        free(entry);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&peers->oldest_first, entry, link);
    if (strmap_count(peers->by_pid) > peers->max)
        forget(peers, TAILQ_FIRST(&peers->oldest_first));
    return entry;
}

/* The entry of `pid`, made when there is none, now the youngest. Or NULL. */
static struct entry *
touch(struct peers *peers, pid_t pid, int64_t now)
{
    struct entry *entry;

    if (pid <= 0)
        return NULL;
    entry = find(peers, pid);
    if (entry != NULL && now - entry->noted_at >= PEERS_FORGET_AFTER_MS) {
        forget(peers, entry);
        entry = NULL;
    }
    if (entry == NULL)
        entry = add(peers, pid);
    if (entry == NULL)
        return NULL;
    entry->noted_at = now;
    TAILQ_REMOVE(&peers->oldest_first, entry, link);
    TAILQ_INSERT_TAIL(&peers->oldest_first, entry, link);
    return entry;
}

/* Keep a copy of `text` in *slot; mostly it is there already. */
static bool
keep(char **slot, const char *text)
{
    char *copy;

    if (*slot != NULL && strcmp(*slot, text) == 0)
        return true;
    copy = strdup(text);
    if (copy == NULL)
        return false;
    free(*slot);
    *slot = copy;
    return true;
}

void
peers_note_login(struct peers *peers, pid_t pid, const char *mailbox,
                 int64_t now)
{
    struct entry *entry = touch(peers, pid, now);

    if (entry != NULL && !keep(&entry->peer.login, mailbox))
        forget(peers, entry);
}

void
peers_note_token(struct peers *peers, pid_t pid, const char *mailbox,
                 const struct token *token, int64_t now)
{
    struct entry *entry = touch(peers, pid, now);

    if (entry == NULL)
        return;
    if (!keep(&entry->peer.mailbox, mailbox)) {
        forget(peers, entry);
        return;
    }
    entry->peer.serial = token->serial;
    memcpy(entry->peer.fingerprint, token->fingerprint,
           sizeof(token->fingerprint));
}

const struct peer *
peers_find(const struct peers *peers, pid_t pid, int64_t now)
{
    const struct entry *entry = pid > 0 ? find(peers, pid) : NULL;

    if (entry == NULL || now - entry->noted_at >= PEERS_FORGET_AFTER_MS)
        return NULL;
    return &entry->peer;
}
