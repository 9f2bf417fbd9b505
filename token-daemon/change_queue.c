/*
 * change_queue - changes of records that are not on the disk yet.
 */
#include "token-daemon/change_queue.h"

#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

void
change_waiters_clear(struct change_waiters *waiters)
{
    struct change_waiter *waiter;

    while ((waiter = STAILQ_FIRST(waiters)) != NULL) {
        STAILQ_REMOVE_HEAD(waiters, link);
        free(waiter);
    }
}

void /* NOLINTNEXTLINE(readability-function-size): the macro's nesting */
change_waiters_move(struct change_waiters *from, struct change_waiters *to)
{
    STAILQ_CONCAT(to, from);
}

void
change_waiters_forget(struct change_waiters *waiters, const void *arg)
{
    struct change_waiters kept = STAILQ_HEAD_INITIALIZER(kept);
    struct change_waiter *waiter;

    while ((waiter = STAILQ_FIRST(waiters)) != NULL) {
        STAILQ_REMOVE_HEAD(waiters, link);
        if (waiter->arg == arg)
            free(waiter);
        else
            STAILQ_INSERT_TAIL(&kept, waiter, link);
    }
    change_waiters_move(&kept, waiters);
}

static void
clear_value(struct change *change)
{
    if (change->value == NULL)
        return;
    secret_wipe(change->value, change->len);
    free(change->value);
    change->value = NULL;
    change->len = 0;
}

static void
free_change(struct change *change)
{
    change_waiters_clear(&change->waiters);
    clear_value(change);
    free(change);
}

void
change_list_clear(struct change_list *list)
{
    struct change *change;

    while ((change = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, change, link);
        free_change(change);
    }
}

void
change_queue_init(struct change_queue *queue)
{
    TAILQ_INIT(&queue->changes);
    queue->count = 0;
    for (size_t i = 0; i < CHANGE_QUEUE_BUCKETS; i++)
        LIST_INIT(&queue->buckets[i]);
}

void
change_queue_clear(struct change_queue *queue)
{
    change_list_clear(&queue->changes);
    change_queue_init(queue);
}

/* FNV-1a over both names, with the NUL that stands between them. */
static size_t
bucket_of(const char *kind, const char *name)
{
    uint32_t hash = 2166136261;

    for (const char *at = kind; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619;
    hash *= 16777619;
    for (const char *at = name; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619;
    return hash % CHANGE_QUEUE_BUCKETS;
}

struct change *
change_queue_find(const struct change_queue *queue, const char *kind,
                  const char *name)
{
    struct change *change;

    LIST_FOREACH(change, &queue->buckets[bucket_of(kind, name)], bucket)
    if (strcmp(change->kind, kind) == 0 && strcmp(change->name, name) == 0)
        return change;
    return NULL;
}

static struct change *
new_change(const struct store_record *record)
{
    size_t kind_size = strlen(record->kind) + 1;
    size_t name_size = strlen(record->name) + 1;
    struct change *change = calloc(1, sizeof(*change) + kind_size + name_size);

    if (change == NULL)
        return NULL;
    STAILQ_INIT(&change->waiters);
    memcpy(change->names, record->kind, kind_size);
    memcpy(change->names + kind_size, record->name, name_size);
    change->kind = change->names;
    change->name = change->names + kind_size;
    change->updated = record->updated;
    if (record->value != NULL) {
        change->value = secret_copy(record->value, record->len);
        change->len = record->len;
    }
    if (record->value != NULL && change->value == NULL) {
        free(change);
        return NULL;
    }
    return change;
}

static void
add(struct change_queue *queue, struct change *change)
{
    struct change *older = change_queue_find(queue, change->kind, change->name);

    if (older != NULL) {
        TAILQ_REMOVE(&queue->changes, older, link);
        LIST_REMOVE(older, bucket);
        queue->count--;
        change_waiters_move(&older->waiters, &change->waiters);
        free_change(older);
    }
    LIST_INSERT_HEAD(&queue->buckets[bucket_of(change->kind, change->name)],
                     change, bucket);
    TAILQ_INSERT_TAIL(&queue->changes, change, link);
    queue->count++;
}

int
change_queue_put(struct change_queue *queue, const struct store_record *record,
                 struct change_waiter *waiter, size_t max, struct err *err)
{
    struct change *change;

    if (queue->count >= max &&
        change_queue_find(queue, record->kind, record->name) == NULL)
        return err_set(err, ERR_SYSTEM,
                       "%zu changes of the state wait for the disk already",
                       queue->count);
    change = new_change(record);
    if (change == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    add(queue, change); /* the older one's waiters come first */
    if (waiter != NULL)
        STAILQ_INSERT_TAIL(&change->waiters, waiter, link);
    return 0;
}

void /* NOLINTNEXTLINE(readability-function-size): the macro's nesting */
change_queue_take(struct change_queue *queue, struct change_list *out)
{
    TAILQ_CONCAT(out, &queue->changes, link);
    change_queue_init(queue);
}

/* Put one back to the front, unless there is a newer one. */
static void
restore(struct change_queue *queue, struct change *change)
{
    struct change *newer = change_queue_find(queue, change->kind, change->name);

    if (newer != NULL) {
        change_waiters_move(&newer->waiters, &change->waiters);
        change_waiters_move(&change->waiters, &newer->waiters);
        free_change(change);
        return;
    }
    LIST_INSERT_HEAD(&queue->buckets[bucket_of(change->kind, change->name)],
                     change, bucket);
    TAILQ_INSERT_HEAD(&queue->changes, change, link);
    queue->count++;
}

void
change_queue_restore(struct change_queue *queue, struct change_list *batch)
{
    struct change *change;

    /* From the last, so that the first comes to stand in front of all. */
    while ((change = TAILQ_LAST(batch, change_list)) != NULL) {
        TAILQ_REMOVE(batch, change, link);
        restore(queue, change); /* NOLINT(*-unix.Malloc): it is out of it */
    }
}
