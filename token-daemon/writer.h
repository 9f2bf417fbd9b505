/*
 * writer - makes records durable without the event loop ever waiting for the
 * disk.
 *
 * Owns the store, a thread that alone touches it, and the queue between them.
 * The queue holds the newest value of each (kind, name), so it is bounded by
 * the number of records; one transaction takes all of it. Values are wiped
 * after use. A later change of the same record is never overtaken by an
 * earlier one.
 *
 * When the disk fails, everything stays in the queue and is tried again, with
 * a line in the log at the 1st, 10th, 100th failure and one when it works
 * again. A store that can't be opened is tried again likewise.
 *
 * All functions are called, and all callbacks come, in the event loop's
 * thread; callbacks never during a call of these functions.
 */
#ifndef TOKEN_DAEMON_WRITER_H
#define TOKEN_DAEMON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/histogram.h"
#include "token-daemon/seal.h"
#include "token-daemon/store.h"

#define WRITER_RETRY_MS  5000
#define WRITER_STOP_MS   1500
#define WRITER_QUEUE_MAX 65536 /* records; audit rows: WRITER_AUDIT_MAX */
#define WRITER_AUDIT_MAX 1000  /* the oldest are dropped, and counted */

struct event_base;
struct writer;

/* How opening the store went. */
struct writer_opening {
    /*
     * What is stored, but for records that were put or deleted since
     * writer_new(): those are newer. Borrowed: during the call; wiped then.
     */
    const struct store_record *records;
    size_t count;
    size_t damaged_count; /* records that can't be read; the log has more */
    /* NULL: it is open. Else it can't be written at present, and will be tried
     * again; there may be records all the same. */
    const struct err *err;
    /* The file was made now, or is another one than before (a damaged one was
     * moved away): put everything that is held. */
    bool is_new;
};

/*
 * Called once after the first attempt, however it ended, so that the daemon
 * may wait for it before it serves; and again each time the store was opened
 * (anew). Failures after the first are not told of here. Whoever holds
 * something for a record already keeps that: what is in memory is newer.
 */
typedef void writer_opened_fn(const struct writer_opening *opening, void *arg);

struct writer_settings {
    const char *path;           /* copies */
    const struct seal_key *key; /* copies; NULL: the key file beside it */
    int64_t retry_ms;           /* 0: WRITER_RETRY_MS */
    size_t queue_max;           /* records; 0: WRITER_QUEUE_MAX */
    writer_opened_fn *opened;   /* may not be NULL */
    void *arg;
};

/* Start the thread, which opens the store. Owned; NULL with ERR_SYSTEM. */
struct writer *writer_new(struct event_base *base,
                          const struct writer_settings *settings,
                          struct err *err) __attribute__((warn_unused_result));

/*
 * Write what is queued, for at most `limit_ms`, stop the thread and free; set
 * *writer to NULL. No callback comes any more. False when something was not
 * written (said in the log). A thread that hangs in the disk is left alone
 * with its memory: the process is about to end. Takes NULL.
 */
bool writer_free(struct writer **writer, int limit_ms);

/*
 * How a change went, exactly once. NULL: it, or a newer one of the same
 * record, is on the disk. Else it is not, but stays queued and is tried again
 * until it is or a newer one takes its place; there is no second call, put it
 * again to hear of it again.
 */
typedef void writer_done_fn(const struct err *err, void *arg);

/* During a call of writer_done_fn: when the attempt had ended, in µs of
 * CLOCK_BOOTTIME. */
int64_t writer_done_us(const struct writer *writer);

/*
 * Queue a record (copies; wiped after use). `done` may be NULL. Errors:
 * ERR_CONFIG (too long), ERR_SYSTEM (memory, queue full); `done` then is not
 * called.
 */
int writer_put(struct writer *writer, const struct store_record *record,
               writer_done_fn *done, void *arg, struct err *err)
    __attribute__((warn_unused_result));

/* The same for the removal of a record, there or not; a queue that is full has
 * room for it. */
int writer_delete(struct writer *writer, const char *kind, const char *name,
                  writer_done_fn *done, void *arg, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Hear when all that was put or deleted before this call is on the disk, or
 * that it is not yet (see writer_done_fn). Errors: ERR_SYSTEM.
 */
int writer_settle(struct writer *writer, writer_done_fn *done, void *arg,
                  struct err *err) __attribute__((warn_unused_result));

/* Call no `done` with this arg any more. What is queued stays queued. */
void writer_forget(struct writer *writer, const void *arg);

/* Queue a row of the audit trail (copies). Never fails: what can't be kept is
 * counted and said in the log. */
void writer_audit(struct writer *writer, const struct store_audit *entry);

/*
 * The audit trail, with what is queued at its end (id 0). `rows` are borrowed
 * during the call, oldest first. NULL rows with *err: it can't be read now.
 */
typedef void writer_audit_fn(const struct store_audit *rows, size_t count,
                             const struct err *err, void *arg);

/* Read the last `count` rows. writer_forget() ends it, too. */
int writer_read_audit(struct writer *writer, size_t count,
                      writer_audit_fn *done, void *arg, struct err *err)
    __attribute__((warn_unused_result));

/* The operator changed something: try again now. */
void writer_retry_now(struct writer *writer);

struct writer_status {
    bool is_open;          /* the store is */
    size_t queued;         /* records not on the disk yet */
    uint64_t commits;      /* transactions that succeeded */
    uint64_t failures;     /* in a row; 0: the last attempt succeeded */
    uint64_t failed;       /* attempts since the start that failed */
    int64_t failing_since; /* s since 1970; 0: it is not failing */
    struct err err;        /* the last failure, when failures > 0 */
    /* Since when something has been waiting for the disk: CLOCK_BOOTTIME, ms;
     * 0: all is there. A disk that hangs shows here, as it does not fail. */
    int64_t behind_since;
    struct histogram commit_times; /* of those that succeeded */
};

void writer_status(struct writer *writer, struct writer_status *out);

#endif
