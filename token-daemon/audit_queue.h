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
    struct store_audit entry;
    char texts[]; /* what the entry points to */
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

/* Move all of `from` to the end of `to`, whatever its max. */
void audit_queue_move(struct audit_queue *from, struct audit_queue *to);

/* Put rows that could not be written back in front of what has gathered. */
void audit_queue_restore(struct audit_queue *queue, struct audit_queue *rows);

/* Somebody who wants to read the trail, and then what was read. */
struct audit_request {
    STAILQ_ENTRY(audit_request) link;
    void (*done)(const struct store_audit *rows, size_t count,
                 const struct err *err, void *arg);
    void *arg;
    struct audit_queue rows; /* its max is how many are wanted */
    struct err err;          /* code NONE: it was read */
};
STAILQ_HEAD(audit_requests, audit_request);

/* Owned; NULL when out of memory. */
struct audit_request *audit_request_new(size_t count)
    __attribute__((warn_unused_result));

void audit_request_free(struct audit_request *request);

/* Add a row (copies) unless it has failed. Without memory it then has. */
void audit_request_add(struct audit_request *request,
                       const struct store_audit *entry);

/* Call `done`, once, with what was read or the error. */
void audit_request_finish(struct audit_request *request);

void audit_requests_clear(struct audit_requests *requests);

/* Free those with this arg. */
void audit_requests_forget(struct audit_requests *requests, const void *arg);

/* Move all of `from` to the end of `to`. */
void audit_requests_move(struct audit_requests *from,
                         struct audit_requests *to);

#endif
