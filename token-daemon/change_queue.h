/*
 * change_queue - changes of records that are not on the disk yet, the newest of
 * each record only.
 *
 * Pure: owns copies and wipes them; knows nothing of threads, files or time. A
 * batch is taken out whole; while it is written newer changes gather, and a
 * batch that could not be written comes back behind the back of those. Who
 * waits for a change waits for the newer one when it is replaced, so an earlier
 * change can never overtake a later one.
 */
#ifndef TOKEN_DAEMON_CHANGE_QUEUE_H
#define TOKEN_DAEMON_CHANGE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/err.h"
#include "token-daemon/store.h"

#define CHANGE_QUEUE_BUCKETS 4096

/* Somebody who is to hear of a change; the function is the caller's affair. */
struct change_waiter {
    STAILQ_ENTRY(change_waiter) link;
    void (*done)(const struct err *err, void *arg);
    void *arg;
    /* The caller's: */
    bool has_failed;
    int64_t finished_us; /* when the attempt had ended, of CLOCK_BOOTTIME */
};
STAILQ_HEAD(change_waiters, change_waiter);

struct change {
    TAILQ_ENTRY(change) link;
    LIST_ENTRY(change) bucket; /* while it is in the queue */
    const char *kind;
    const char *name;
    char *value; /* NULL: the record is to go */
    size_t len;  /* bytes of the value */
    int64_t updated;
    struct change_waiters waiters;
    char names[]; /* what kind and name point to */
};
TAILQ_HEAD(change_list, change);

struct change_queue {
    struct change_list changes; /* the oldest first */
    size_t count;
    LIST_HEAD(, change) buckets[CHANGE_QUEUE_BUCKETS];
};

void change_queue_init(struct change_queue *queue);

/* Wipe and free all changes and waiters. */
void change_queue_clear(struct change_queue *queue);

/*
 * Queue the record (copies; value NULL: its removal), in place of an older
 * change of the same one, whose waiters are kept. `waiter` may be NULL; taken.
 * With `max` other records queued, or without memory: ERR_SYSTEM; nothing has
 * changed and the waiter is still the caller's.
 */
int change_queue_put(struct change_queue *queue,
                     const struct store_record *record,
                     struct change_waiter *waiter, size_t max, struct err *err)
    __attribute__((warn_unused_result));

/* The queued change of a record, or NULL. */
struct change *change_queue_find(const struct change_queue *queue,
                                 const char *kind, const char *name);

/* Move everything to the end of `out`, and its ownership. */
void change_queue_take(struct change_queue *queue, struct change_list *out);

/*
 * Put a batch back in front of the queue, but for changes that a newer one has
 * replaced meanwhile: those are freed, and their waiters moved to the newer
 * one. Empties `batch`; can't fail.
 */
void change_queue_restore(struct change_queue *queue,
                          struct change_list *batch);

/* Wipe and free a batch, with its waiters. */
void change_list_clear(struct change_list *list);

void change_waiters_clear(struct change_waiters *waiters);

/* Move all of `from` to the end of `to`. */
void change_waiters_move(struct change_waiters *from,
                         struct change_waiters *to);

/* Free those waiters that have this arg. */
void change_waiters_forget(struct change_waiters *waiters, const void *arg);

#endif
