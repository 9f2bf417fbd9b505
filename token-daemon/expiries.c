/*
 * expiries - what expires soon, and how often that was said.
 */
#include "token-daemon/expiries.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/strmap.h"
#include "common/util.h"

#define DAY_S ((int64_t)24 * 60 * 60)

/* Left when it is said, in seconds; the first is when it begins to be kept. */
static const int64_t stages[] = {30 * DAY_S, 14 * DAY_S, 7 * DAY_S,
                                 3 * DAY_S,  1 * DAY_S,  0};

struct entry {
    SLIST_ENTRY(entry) link;
    int64_t ends;   /* s since 1970 */
    unsigned stage; /* how many were said */
    char name[];
};

struct expiries {
    struct strmap *by_name;
    SLIST_HEAD(, entry) entries;
    size_t max;
};

static void
entry_free(struct expiries *expiries, struct entry *entry)
{
    SLIST_REMOVE(&expiries->entries, entry, entry, link);
    (void)strmap_remove(expiries->by_name, entry->name, strlen(entry->name));
    free(entry);
}

struct expiries *
expiries_new(size_t max)
{
    struct expiries *expiries = calloc(1, sizeof(*expiries));

    if (expiries == NULL)
        return NULL;
    SLIST_INIT(&expiries->entries);
    expiries->max = max;
    expiries->by_name = strmap_new();
    if (expiries->by_name == NULL)
        expiries_free(&expiries);
    return expiries;
}

void
expiries_free(struct expiries **expiries)
{
    struct entry *entry;

    if (*expiries == NULL)
        return;
    while ((entry = SLIST_FIRST(&(*expiries)->entries)) != NULL)
        entry_free(*expiries, entry);
    strmap_free(&(*expiries)->by_name);
    free(*expiries);
    *expiries = NULL;
}

static struct entry *
add(struct expiries *expiries, const char *name)
{
    size_t size = strlen(name) + 1;
    struct entry *entry;

    if (strmap_count(expiries->by_name) >= expiries->max)
        return NULL;
    entry = calloc(1, sizeof(*entry) + size);
    if (entry == NULL)
        return NULL;
    memcpy(entry->name, name, size);
    if (strmap_add(expiries->by_name, entry->name, entry) != STRMAP_ADDED) {
        free(entry);
        return NULL;
    }
    SLIST_INSERT_HEAD(&expiries->entries, entry, link);
    return entry;
}

/* How many stages are reached with so much left? */
static unsigned
stage_of(int64_t left)
{
    unsigned stage = 0;

    while (stage < ARRAY_LEN(stages) && left <= stages[stage])
        stage++;
    return stage;
}

bool
expiries_is_due(struct expiries *expiries, const char *name, int64_t ends,
                int64_t now)
{
    struct entry *entry = strmap_get(expiries->by_name, name, strlen(name));
    unsigned stage = ends != 0 ? stage_of(ends - now) : 0;
    bool is_due;

    if (stage == 0) {
        if (entry != NULL)
            entry_free(expiries, entry);
        return false;
    }
    if (entry == NULL)
        entry = add(expiries, name);
    if (entry == NULL)
        return false;
    if (entry->ends != ends)
        entry->stage = 0;
    is_due = stage > entry->stage;
    entry->ends = ends;
    if (is_due)
        entry->stage = stage;
    return is_due;
}

size_t
expiries_count(const struct expiries *expiries)
{
    return strmap_count(expiries->by_name);
}
