/*
 * audit_queue - rows of the audit trail on their way to the disk, and those who
 * want to read it.
 *
 * Pure: owns copies; knows nothing of threads or files. Bounded: when there are
 * too many rows the oldest are dropped, and counted.
 */
#ifndef TOKEN_DAEMON_AUDIT_QUEUE_H
#define TOKEN_DAEMON_AUDIT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/err.h"
#include "token-daemon/store.h"

struct audit_row {
    STAILQ_ENTRY(audit_row) link;
    struct store_audit entry; /* its texts are owned */
};

struct audit_queue {
    STAILQ_HEAD(audit_rows, audit_row) rows; /* the oldest first */
    size_t count;
    size_t max;
    uint64_t dropped;
};

void audit_queue_init(struct audit_queue *queue, size_t max);
void audit_queue_clear(struct audit_queue *queue);

/* Add a row (copies). False when out of memory. */
bool audit_queue_add(struct audit_queue *queue, const struct store_audit *entry)
    __attribute__((warn_unused_result));

/* Move all rows to `out`, which is empty. */
void audit_queue_take(struct audit_queue *queue, struct audit_queue *out);

/* Put rows that could not be written back in front of what has gathered. */
void audit_queue_restore(struct audit_queue *queue, struct audit_queue *rows);

/* Somebody who wants to read the trail, and then what was read. */
struct audit_request {
    STAILQ_ENTRY(audit_request) link;
    size_t count; /* how many rows are wanted */
    void (*done)(const struct store_audit *rows, size_t count,
                 const struct err *err, void *arg);
    void *arg;
    struct store_audit *rows; /* owned, with their texts; the oldest first */
    size_t row_count;
    struct err err; /* code NONE: it was read */
};
STAILQ_HEAD(audit_requests, audit_request);

void audit_request_free(struct audit_request *request);

/* Add a row (copies) unless it has failed. Without memory it then has. */
void audit_request_add(struct audit_request *request,
                       const struct store_audit *entry);

/* Drop the oldest rows when there are more than are wanted. */
void audit_request_trim(struct audit_request *request);

void audit_requests_clear(struct audit_requests *requests);

/* Free those with this arg. */
void audit_requests_forget(struct audit_requests *requests, const void *arg);

#endif
