/*
 * repeats - which repetition of a failure this is.
 */
#include "token-daemon/repeats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/strmap.h"

#define FORGET_AFTER_MS (INT64_C(60) * 60 * 1000)
#define KEY_MAX         400 /* bytes; what is longer counts as its beginning */

struct entry {
    SLIST_ENTRY(entry) link;
    uint64_t count;
    int64_t last_ms;
    char key[];
};

struct repeats {
    struct strmap *by_key;
    SLIST_HEAD(, entry) entries;
    size_t max;
};

static void
empty(struct repeats *repeats)
{
    struct entry *entry;

    while ((entry = SLIST_FIRST(&repeats->entries)) != NULL) {
        (void)strmap_remove(repeats->by_key, entry->key, strlen(entry->key));
        SLIST_REMOVE_HEAD(&repeats->entries, link);
        free(entry);
    }
}

struct repeats *
repeats_new(size_t max)
{
    struct repeats *repeats = calloc(1, sizeof(*repeats));

    if (repeats == NULL)
        return NULL;
    SLIST_INIT(&repeats->entries);
    repeats->max = max;
    repeats->by_key = strmap_new();
    if (repeats->by_key == NULL) {
        free(repeats);
        return NULL;
    }
    return repeats;
}

void
repeats_free(struct repeats **repeats)
{
    if (*repeats == NULL)
        return;
    empty(*repeats);
    strmap_free(&(*repeats)->by_key);
    free(*repeats);
    *repeats = NULL;
}

static struct entry *
add(struct repeats *repeats, const char *key)
{
    size_t size = strlen(key) + 1;
    struct entry *entry;

    if (strmap_count(repeats->by_key) >= repeats->max)
        empty(repeats);
    entry = calloc(1, sizeof(*entry) + size);
    if (entry == NULL)
        return NULL;
    memcpy(entry->key, key, size);
    if (strmap_add(repeats->by_key, entry->key, entry) != STRMAP_ADDED) {
        free(entry);
        return NULL;
    }
    SLIST_INSERT_HEAD(&repeats->entries, entry, link);
    return entry;
}

uint64_t
repeats_count(struct repeats *repeats, const char *what, const char *whom,
              int64_t now_ms)
{
    char key[KEY_MAX];
    struct entry *entry;

    (void)snprintf(key, sizeof(key), "%s %s", what != NULL ? what : "",
                   whom != NULL ? whom : "");
    entry = strmap_get(repeats->by_key, key, strlen(key));
    if (entry == NULL)
        entry = add(repeats, key);
    if (entry == NULL)
        return 1;
    if (now_ms - entry->last_ms > FORGET_AFTER_MS)
        entry->count = 0;
    entry->last_ms = now_ms;
    return ++entry->count;
}
