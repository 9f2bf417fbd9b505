/*
 * audit_queue - rows of the audit trail on their way to the disk, and those who
 * want to read it.
 */
#include "token-daemon/audit_queue.h"

#include <stdlib.h>
#include <string.h>

#define CHARACTER_MAX 4 /* bytes */

/* The texts are ours, but stand as const in a row. */
static void
clear_entry(struct store_audit *entry)
{
    free((void *)(uintptr_t)entry->who);
    free((void *)(uintptr_t)entry->what);
    free((void *)(uintptr_t)entry->detail);
    *entry = (struct store_audit){0};
}

/* The store cuts at whole characters, so it gets one more than it keeps. */
static bool
copy_entry(const struct store_audit *entry, struct store_audit *out)
{
    *out = (struct store_audit){
        .id = entry->id,
        .at = entry->at,
        .who = strndup(entry->who, STORE_AUDIT_WHO_MAX + CHARACTER_MAX),
        .what = strndup(entry->what, STORE_AUDIT_WHAT_MAX + CHARACTER_MAX),
        .detail =
            strndup(entry->detail, STORE_AUDIT_DETAIL_MAX + CHARACTER_MAX),
    };
    if (out->who != NULL && out->what != NULL && out->detail != NULL)
        return true;
    clear_entry(out);
    return false;
}

static void
drop_oldest(struct audit_queue *queue)
{
    struct audit_row *row = STAILQ_FIRST(&queue->rows);

    STAILQ_REMOVE_HEAD(&queue->rows, link);
    clear_entry(&row->entry);
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
    struct audit_row *row = calloc(1, sizeof(*row));

    if (row == NULL)
        return false;
    if (!copy_entry(entry, &row->entry)) {
        free(row);
        return false;
    }
    STAILQ_INSERT_TAIL(&queue->rows, row, link);
    queue->count++;
    trim(queue);
    return true;
}

void
audit_queue_take(struct audit_queue *queue, struct audit_queue *out)
{
    STAILQ_CONCAT(&out->rows, &queue->rows);
    out->count += queue->count;
    queue->count = 0;
}

void
audit_queue_restore(struct audit_queue *queue, struct audit_queue *rows)
{
    STAILQ_CONCAT(&rows->rows, &queue->rows);
    STAILQ_CONCAT(&queue->rows, &rows->rows);
    queue->count += rows->count;
    rows->count = 0;
    trim(queue);
}

/* ---- who wants to read ---- */

void
audit_request_free(struct audit_request *request)
{
    for (size_t i = 0; i < request->row_count; i++)
        clear_entry(&request->rows[i]);
    free(request->rows);
    free(request);
}

void
audit_request_add(struct audit_request *request,
                  const struct store_audit *entry)
{
    struct store_audit copy;
    struct store_audit *rows;

    if (request->err.code != ERR_NONE)
        return;
    if (!copy_entry(entry, &copy)) {
        (void)err_set(&request->err, ERR_SYSTEM, "out of memory");
        return;
    }
    rows = reallocarray(request->rows, request->row_count + 1, sizeof(*rows));
    if (rows == NULL) {
        (void)err_set(&request->err, ERR_SYSTEM, "out of memory");
        clear_entry(&copy);
        return;
    }
    request->rows = rows;
    request->rows[request->row_count++] = copy;
}

void
audit_request_trim(struct audit_request *request)
{
    size_t extra = request->row_count > request->count
                       ? request->row_count - request->count
                       : 0;

    if (extra == 0)
        return;
    for (size_t i = 0; i < extra; i++)
        clear_entry(&request->rows[i]);
    memmove(request->rows, request->rows + extra,
            (request->row_count - extra) * sizeof(*request->rows));
    request->row_count -= extra;
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
    STAILQ_CONCAT(requests, &kept);
}
