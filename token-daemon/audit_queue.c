/*
 * audit_queue - rows of the audit trail on their way to the disk, and those who
 * want to read it.
 */
#include "token-daemon/audit_queue.h"

#include <stdlib.h>
#include <string.h>

#define CHARACTER_MAX 4 /* bytes */

/* ---- rows ---- */

/* The store cuts at whole characters, so it gets one more than it keeps. */
static size_t
len_of(const char *text, size_t max)
{
    return strnlen(text, max + CHARACTER_MAX);
}

/* Copy `len` bytes and a NUL to *at, and move that behind them. */
static const char *
place(char **at, const char *text, size_t len)
{
    char *copy = *at;

    memcpy(copy, text, len);
    copy[len] = '\0';
    *at += len + 1;
    return copy;
}

static struct audit_row *
new_row(const struct store_audit *entry)
{
    size_t who_len = len_of(entry->who, STORE_AUDIT_WHO_MAX);
    size_t what_len = len_of(entry->what, STORE_AUDIT_WHAT_MAX);
    size_t detail_len = len_of(entry->detail, STORE_AUDIT_DETAIL_MAX);
    struct audit_row *row =
        calloc(1, sizeof(*row) + who_len + what_len + detail_len + 3);
    char *at;

    if (row == NULL)
        return NULL;
    at = row->texts;
    row->entry = (struct store_audit){.id = entry->id, .at = entry->at};
    row->entry.who = place(&at, entry->who, who_len);
    row->entry.what = place(&at, entry->what, what_len);
    row->entry.detail = place(&at, entry->detail, detail_len);
    return row;
}

static void
drop_oldest(struct audit_queue *queue)
{
    struct audit_row *row = STAILQ_FIRST(&queue->rows);

    STAILQ_REMOVE_HEAD(&queue->rows, link);
    free(row);
    queue->count--;
}

static void
trim(struct audit_queue *queue)
{
    while (queue->count > queue->max) {
        drop_oldest(queue);
        queue->dropped++;
    }
}

void
audit_queue_init(struct audit_queue *queue, size_t max)
{
    *queue = (struct audit_queue){.max = max};
    STAILQ_INIT(&queue->rows);
}

void
audit_queue_clear(struct audit_queue *queue)
{
    while (queue->count > 0)
        drop_oldest(queue);
}

bool
audit_queue_add(struct audit_queue *queue, const struct store_audit *entry)
{
    struct audit_row *row = new_row(entry);

    if (row == NULL)
        return false;
    STAILQ_INSERT_TAIL(&queue->rows, row, link);
    queue->count++;
    trim(queue);
    return true;
}

void /* NOLINTNEXTLINE(readability-function-size): the macro's nesting */
audit_queue_move(struct audit_queue *from, struct audit_queue *to)
{
    STAILQ_CONCAT(&to->rows, &from->rows);
    to->count += from->count;
    from->count = 0;
}

void
audit_queue_restore(struct audit_queue *queue, struct audit_queue *rows)
{
    audit_queue_move(queue, rows);
    audit_queue_move(rows, queue);
    trim(queue);
}

/* ---- who wants to read ---- */

struct audit_request *
audit_request_new(size_t count)
{
    struct audit_request *request = calloc(1, sizeof(*request));

    if (request != NULL)
        audit_queue_init(&request->rows, count);
    return request;
}

void
audit_request_free(struct audit_request *request)
{
    audit_queue_clear(&request->rows);
    free(request);
}

void
audit_request_add(struct audit_request *request,
                  const struct store_audit *entry)
{
    if (request->err.code == ERR_NONE &&
        !audit_queue_add(&request->rows, entry))
        (void)err_set(&request->err, ERR_SYSTEM, "out of memory");
}

void
audit_request_finish(struct audit_request *request)
{
    struct store_audit *rows = NULL;
    const struct audit_row *row;
    size_t count = 0;

    if (request->err.code == ERR_NONE) {
        /* One more than are there, as none is no lack of memory. */
        rows = calloc(request->rows.count + 1, sizeof(*rows));
        if (rows == NULL)
            (void)err_set(&request->err, ERR_SYSTEM, "out of memory");
    }
    if (rows == NULL) {
        request->done(NULL, 0, &request->err, request->arg);
        return;
    }
    STAILQ_FOREACH(row, &request->rows.rows, link)
    {
        rows[count++] = row->entry;
    }
    request->done(rows, count, NULL, request->arg);
    free(rows);
}

void
audit_requests_clear(struct audit_requests *requests)
{
    struct audit_request *request;

    while ((request = STAILQ_FIRST(requests)) != NULL) {
        STAILQ_REMOVE_HEAD(requests, link);
        audit_request_free(request);
    }
}

void /* NOLINTNEXTLINE(readability-function-size): the macro's nesting */
audit_requests_move(struct audit_requests *from, struct audit_requests *to)
{
    STAILQ_CONCAT(to, from);
}

void
audit_requests_forget(struct audit_requests *requests, const void *arg)
{
    struct audit_requests kept = STAILQ_HEAD_INITIALIZER(kept);
    struct audit_request *request;

    while ((request = STAILQ_FIRST(requests)) != NULL) {
        STAILQ_REMOVE_HEAD(requests, link);
        if (request->arg == arg)
            audit_request_free(request);
        else
            STAILQ_INSERT_TAIL(&kept, request, link);
    }
    audit_requests_move(&kept, requests);
}
