/*
 * writer - makes records durable without the event loop ever waiting for the
 * disk.
 *
 * Two threads. What they share is under `mutex`, which is never held across a
 * system call that touches the disk. Each wakes the other by an eventfd(2).
 *
 *     the loop's:  put, delete, audit -> queue    deliver <- opening, finished,
 *                                                            answers
 *     the disk's:  open -> opening;  take the queue -> commit -> finished
 *
 * Nothing is committed between an opening and its delivery, so that what was
 * put before the delivery is still queued then, and known to be newer.
 */
#include "token-daemon/writer.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/util.h"
#include "token-daemon/audit_queue.h"
#include "token-daemon/change_queue.h"
#include "token-daemon/opening.h"
#include "token-daemon/state_file.h"

#define DELIVERED_PER_TURN 8 /* of the event loop */

struct writer {
    /* ---- constant ---- */
    char *path;
    bool has_key;
    struct seal_key key;
    int64_t retry_ms;
    size_t queue_max;
    writer_opened_fn *opened;
    void *opened_arg;
    int wake_fd;   /* the loop has something for the disk's thread */
    int notice_fd; /* and the other way round */
    int end_fd;    /* the disk's thread has ended */

    /* ---- the loop's ---- */
    struct event *notice;
    struct change_waiters delivering;
    int64_t done_us; /* while one is delivered */
    struct audit_requests answering;

    /* ---- the disk's ---- */
    struct store *store;
    bool was_told; /* records of a file, which was this one */
    struct state_file_id file;
    int64_t retry_at; /* ms of CLOCK_BOOTTIME */
    bool is_first;    /* the first attempt to open is still to be told of */

    /* ---- of both, under the mutex ---- */
    pthread_mutex_t mutex;
    pthread_t thread;
    struct change_queue queue;
    /* Taken out and not on the disk yet: how many, and who waits for them. */
    size_t in_flight;
    struct change_waiters in_flight_waiters;
    struct change_waiters settling; /* those who wait for all of the queue */
    struct audit_queue audit;
    size_t audit_in_flight;
    struct audit_requests requests;
    const struct audit_request *reading; /* the one under way, or NULL */
    bool is_reading_forgotten;
    struct audit_requests answers;
    struct change_waiters finished;
    struct opening *opening; /* to be delivered */
    struct writer_status status;
    bool has_write_failed; /* the last attempt to commit */
    bool is_retry_wanted;
    bool is_stopping;
    bool is_abandoned; /* nobody waits for the thread any more */
};

/* ---- small things ---- */

static void
signal_fd(int fd)
{
    const uint64_t one = 1;

    /* Full means that it has been signalled, and nothing else can happen. */
    if (write(fd, &one, sizeof(one)) < 0) {
    }
}

static void
drain_fd(int fd)
{
    uint64_t count;

    /* Empty is fine. */
    if (read(fd, &count, sizeof(count)) < 0) {
    }
}

static void
lock(struct writer *writer)
{
    (void)pthread_mutex_lock(&writer->mutex); /* can't fail: never recursive */
}

static void
unlock(struct writer *writer)
{
    (void)pthread_mutex_unlock(&writer->mutex);
}

/* After the last use of it, by whichever thread that is. */
static void
destroy(struct writer *writer)
{
    change_queue_clear(&writer->queue);
    change_waiters_clear(&writer->in_flight_waiters);
    change_waiters_clear(&writer->settling);
    change_waiters_clear(&writer->finished);
    change_waiters_clear(&writer->delivering);
    audit_queue_clear(&writer->audit);
    audit_requests_clear(&writer->requests);
    audit_requests_clear(&writer->answers);
    audit_requests_clear(&writer->answering);
    opening_free(&writer->opening);
    if (writer->wake_fd >= 0)
        (void)close(writer->wake_fd);
    if (writer->notice_fd >= 0)
        (void)close(writer->notice_fd);
    if (writer->end_fd >= 0)
        (void)close(writer->end_fd);
    (void)pthread_mutex_destroy(&writer->mutex);
    free(writer->path);
    secret_wipe(&writer->key, sizeof(writer->key));
    free(writer);
}

/* ---- who waits ---- */

/* Under the mutex: those who wait will be told how it ended, and when. */
static void
finish_waiters(struct writer *writer, struct change_waiters *waiters,
               bool has_failed, int64_t finished_us)
{
    struct change_waiter *waiter;

    STAILQ_FOREACH(waiter, waiters, link)
    {
        waiter->has_failed = has_failed;
        waiter->finished_us = finished_us;
    }
    change_waiters_move(waiters, &writer->finished);
}

/* ---- the disk's thread: failures ---- */

/* Take note of a failure, and of when to try again. Under the mutex. */
static void
note_failure(struct writer *writer, const struct err *err)
{
    writer->retry_at = clock_boot_ms() + writer->retry_ms;
    writer->status.err = *err;
    writer->status.failed++;
    if (writer->status.failures++ == 0)
        writer->status.failing_since = clock_wall();
}

static void
log_failure(struct writer *writer, const char *message,
            const struct writer_status *status)
{
    if (log_is_due(status->failures))
        log_error(message, F_STR("file", writer->path),
                  F_STR("error", status->err.text),
                  F_INT("attempt", status->failures),
                  F_INT("queued", status->queued));
}

/* Under the mutex. True: it had been failing, as *before says. */
static bool
note_success(struct writer *writer, struct writer_status *before)
{
    *before = writer->status;
    writer->status.failures = 0;
    writer->status.failing_since = 0;
    return before->failures > 0;
}

static void
log_success(const struct writer *writer, const struct writer_status *before)
{
    log_info("the state is written again", F_STR("file", writer->path),
             F_INT("attempts", before->failures),
             F_INT("seconds", clock_wall() - before->failing_since));
}

/* Under the mutex. */
static size_t
count_queued(const struct writer *writer)
{
    return writer->queue.count + writer->in_flight;
}

/* ---- the disk's thread: opening ---- */

/* Is the file another one than that which the loop was told of last? */
static bool
is_other_file(struct writer *writer)
{
    struct state_file_id file;
    bool is_other;

    if (!state_file_identify(writer->path, &file))
        return false;
    is_other = writer->was_told && (file.device != writer->file.device ||
                                    file.number != writer->file.number);
    writer->file = file;
    writer->was_told = true;
    return is_other;
}

static void
open_store(struct writer *writer, struct opening *opening)
{
    const struct store_settings settings = {
        .path = writer->path,
        .key = writer->has_key ? &writer->key : NULL,
    };
    const struct store_reader reader = opening_reader(opening);

    writer->store =
        store_open(&settings, &reader, &opening->is_new, &opening->err);
    opening->is_open = writer->store != NULL;
    /* Also of one that could only be read: what the loop has of it is not in
     * the file that takes its place. */
    if ((opening->is_open || (writer->is_first && opening->count > 0)) &&
        is_other_file(writer))
        opening->is_new = true;
}

static void
log_opening(const struct writer *writer, const struct opening *opening)
{
    if (opening->is_short_of_memory)
        log_error("records of the state could not be kept, out of memory",
                  F_STR("file", writer->path));
    if (opening->damaged_count > 0)
        log_error("records of the state can't be read and are left alone",
                  F_STR("file", writer->path),
                  F_INT("count", opening->damaged_count),
                  F_STR("first_kind", opening->damaged_kind),
                  F_STR("first_name", opening->damaged_name),
                  F_STR("error", opening->damage.text));
    if (opening->is_open)
        log_info("the state is open", F_STR("file", writer->path),
                 F_INT("records", opening->count),
                 F_INT("damaged", opening->damaged_count));
    else if (opening->count > 0)
        log_warning("the state could only be read", F_STR("file", writer->path),
                    F_INT("records", opening->count));
}

/* Tell the loop of the first attempt, and of each that succeeds. */
static void
attempt_open(struct writer *writer)
{
    struct opening *opening = opening_new();
    struct writer_status status;
    bool is_told;
    bool is_back = false;

    if (opening == NULL) {
        writer->retry_at = clock_boot_ms() + writer->retry_ms;
        return;
    }
    open_store(writer, opening);
    is_told = writer->is_first || opening->is_open;
    if (is_told)
        log_opening(writer, opening);
    lock(writer);
    /* After a write that failed only one that succeeds is good news. */
    if (opening->is_open && !writer->has_write_failed)
        is_back = note_success(writer, &status);
    else if (!opening->is_open)
        note_failure(writer, &opening->err);
    if (!opening->is_open)
        finish_waiters(writer, &writer->settling, true, clock_boot_us());
    writer->status.is_open = opening->is_open;
    if (!is_back) {
        status = writer->status;
        status.queued = count_queued(writer);
    }
    if (is_told) {
        opening_free(&writer->opening); /* while stopping only */
        writer->opening = opening;
        writer->is_first = false;
    }
    unlock(writer);
    if (is_back)
        log_success(writer, &status);
    else if (writer->store == NULL)
        log_failure(writer,
                    "the state can't be opened, and what is new is kept in "
                    "memory only",
                    &status);
    if (is_told)
        signal_fd(writer->notice_fd); /* the opening is the loop's now */
    else
        opening_free(&opening);
}

/* ---- the disk's thread: writing ---- */

/* What one transaction takes. */
/* A disk's cache, a disk, and a disk in trouble. */
static const struct histogram_limit commit_limits[] = {
    {1000, "0.001"}, {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"},
    {50000, "0.05"}, {100000, "0.1"},  {250000, "0.25"}, {1000000, "1"},
    {5000000, "5"},  {30000000, "30"},
};

struct batch {
    struct change_list changes;
    struct audit_queue audit;
    int64_t taken_at; /* CLOCK_BOOTTIME, ms */
};

static int
write_change(struct writer *writer, const struct change *change,
             struct err *err)
{
    const struct store_record record = {
        .kind = change->kind,
        .name = change->name,
        .value = change->value,
        .len = change->len,
        .updated = change->updated,
    };

    return change->value != NULL
               ? store_put(writer->store, &record, err)
               : store_delete(writer->store, change->kind, change->name, err);
}

static int
write_batch(struct writer *writer, const struct batch *batch, struct err *err)
{
    const struct change *change;
    const struct audit_row *row;

    if (store_begin(writer->store, err) < 0)
        return -1;
    TAILQ_FOREACH(change, &batch->changes, link)
    {
        if (write_change(writer, change, err) < 0)
            return -1;
    }
    STAILQ_FOREACH(row, &batch->audit.rows, link)
    {
        if (store_audit(writer->store, &row->entry, err) < 0)
            return -1;
    }
    return store_commit(writer->store, err);
}

/* Under the mutex. */
static void
take_batch(struct writer *writer, struct batch *batch)
{
    struct change *change;

    TAILQ_INIT(&batch->changes);
    audit_queue_init(&batch->audit, SIZE_MAX);
    batch->taken_at = clock_boot_ms();
    writer->in_flight = writer->queue.count;
    change_queue_take(&writer->queue, &batch->changes);
    TAILQ_FOREACH(change, &batch->changes, link)
    {
        change_waiters_move(&change->waiters, &writer->in_flight_waiters);
    }
    change_waiters_move(&writer->settling, &writer->in_flight_waiters);
    writer->audit_in_flight = writer->audit.count;
    audit_queue_move(&writer->audit, &batch->audit);
}

static void
finish_batch(struct writer *writer, struct batch *batch, const struct err *err)
{
    int64_t finished_us = clock_boot_us();
    struct writer_status status;
    bool is_back = false;

    lock(writer);
    finish_waiters(writer, &writer->in_flight_waiters, err != NULL,
                   finished_us);
    writer->has_write_failed = err != NULL;
    if (err == NULL) {
        is_back = note_success(writer, &status);
        writer->status.commits++;
        histogram_add(&writer->status.commit_times,
                      (clock_boot_ms() - batch->taken_at) * 1000);
        /* What is there now came after the batch was taken. */
        writer->status.behind_since =
            writer->queue.count > 0 ? batch->taken_at : 0;
    } else {
        change_queue_restore(&writer->queue, &batch->changes);
        audit_queue_restore(&writer->audit, &batch->audit);
        finish_waiters(writer, &writer->settling, true, finished_us);
        note_failure(writer, err);
        status = writer->status;
        status.queued = writer->queue.count;
    }
    writer->in_flight = 0;
    writer->audit_in_flight = 0;
    unlock(writer);
    if (is_back)
        log_success(writer, &status);
    if (err != NULL)
        log_failure(writer,
                    "the state can't be written, and what is new is kept in "
                    "memory",
                    &status);
    change_list_clear(&batch->changes);
    audit_queue_clear(&batch->audit);
    signal_fd(writer->notice_fd);
}

static void
close_if_broken(struct writer *writer)
{
    if (!store_is_broken(writer->store))
        return;
    store_close(&writer->store);
    lock(writer);
    writer->status.is_open = false;
    unlock(writer);
}

static void
attempt_write(struct writer *writer)
{
    struct batch batch;
    struct err err;
    int rc;

    lock(writer);
    take_batch(writer, &batch);
    unlock(writer);
    rc = write_batch(writer, &batch, &err);
    if (rc < 0)
        close_if_broken(writer);
    finish_batch(writer, &batch, rc < 0 ? &err : NULL);
}

/* ---- the disk's thread: the audit trail ---- */

static void
add_row(const struct store_audit *entry, void *arg)
{
    audit_request_add(arg, entry);
}

/* One at a time, so that what has been queued meanwhile is written first. */
static void
answer_request(struct writer *writer)
{
    struct audit_request *request;
    const struct audit_row *row;

    lock(writer);
    request = STAILQ_FIRST(&writer->requests);
    if (request != NULL)
        STAILQ_REMOVE_HEAD(&writer->requests, link);
    writer->reading = request;
    writer->is_reading_forgotten = false;
    unlock(writer);
    if (request == NULL)
        return; /* forgotten meanwhile */
    if (writer->store == NULL)
        err_set(&request->err, ERR_RETRY, "the state is not open");
    else if (store_read_audit(writer->store, request->rows.max, add_row,
                              request, &request->err) < 0)
        close_if_broken(writer);
    lock(writer);
    STAILQ_FOREACH(row, &writer->audit.rows, link)
    {
        audit_request_add(request, &row->entry);
    }
    if (writer->is_reading_forgotten)
        audit_request_free(request);
    else
        STAILQ_INSERT_TAIL(&writer->answers, request, link);
    writer->reading = NULL;
    unlock(writer);
    signal_fd(writer->notice_fd);
}

/* ---- the disk's thread: what next ---- */

enum step {
    STEP_OPEN,
    STEP_WRITE,
    STEP_ANSWER,
    STEP_WAIT,
    STEP_END,
};

/* Under the mutex. */
static bool
has_work(const struct writer *writer)
{
    return writer->queue.count > 0 || writer->audit.count > 0;
}

/* What to do now; *wait_ms: for how long to wait, -1 for ever. */
static enum step
next_step(struct writer *writer, int *wait_ms)
{
    int64_t now = clock_boot_ms();
    enum step step = STEP_WAIT;
    bool is_stopping, is_due;

    lock(writer);
    is_stopping = writer->is_stopping;
    if (writer->is_retry_wanted)
        writer->retry_at = now;
    writer->is_retry_wanted = false;
    is_due = now >= writer->retry_at;
    *wait_ms = -1;
    if (writer->opening != NULL && !is_stopping)
        step = STEP_WAIT; /* until it is delivered */
    else if (is_stopping && (!has_work(writer) || !is_due))
        step = STEP_END; /* stopping asked for one more attempt */
    else if (writer->store == NULL && is_due)
        step = STEP_OPEN;
    else if (writer->store != NULL && has_work(writer) && is_due)
        step = STEP_WRITE;
    else if (!STAILQ_EMPTY(&writer->requests))
        step = STEP_ANSWER;
    else if (writer->store == NULL || has_work(writer))
        *wait_ms = (int)(writer->retry_at - now);
    unlock(writer);
    return step;
}

static void
wait_for_wake(struct writer *writer, int wait_ms)
{
    struct pollfd wake = {.fd = writer->wake_fd, .events = POLLIN};

    /* Whatever it says, the next step is found anew. */
    (void)poll(&wake, 1, wait_ms);
    drain_fd(writer->wake_fd);
}

static void *
run(void *arg)
{
    struct writer *writer = arg;
    enum step step;
    bool is_abandoned;
    int wait_ms;

    do {
        step = next_step(writer, &wait_ms);
        switch (step) {
        case STEP_OPEN:
            attempt_open(writer);
            break;
        case STEP_WRITE:
            attempt_write(writer);
            break;
        case STEP_ANSWER:
            answer_request(writer);
            break;
        case STEP_WAIT:
            wait_for_wake(writer, wait_ms);
            break;
        case STEP_END:
            break;
        }
    } while (step != STEP_END);
    store_close(&writer->store);
    lock(writer);
    is_abandoned = writer->is_abandoned;
    if (!is_abandoned)
        signal_fd(writer->end_fd);
    unlock(writer);
    if (is_abandoned)
        destroy(writer);
    return NULL;
}

/* ---- the loop's thread: delivering ---- */

/* Leave out what has changed since. */
static void
deliver_opening(struct writer *writer, struct opening *opening)
{
    struct writer_opening told = {
        .damaged_count = opening->damaged_count,
        .err = opening->is_open ? NULL : &opening->err,
        .is_new = opening->is_new,
    };
    struct store_record *records = NULL;

    if (opening->count > 0)
        records = calloc(opening->count, sizeof(*records));
    lock(writer);
    for (size_t i = 0; i < opening->count && records != NULL; i++)
        if (change_queue_find(&writer->queue, opening->records[i].kind,
                              opening->records[i].name) == NULL)
            records[told.count++] = opening->records[i];
    unlock(writer);
    if (opening->count > 0 && records == NULL)
        log_error("records of the state could not be kept, out of memory",
                  F_STR("file", writer->path));
    told.records = records;
    writer->opened(&told, writer->opened_arg);
    free(records);
}

/* A few of those whom a commit brought: others want to use the loop, too. */
static void
deliver_finished(struct writer *writer, const struct err *err)
{
    struct change_waiter *waiter;

    for (int i = 0; i < DELIVERED_PER_TURN; i++) {
        waiter = STAILQ_FIRST(&writer->delivering);
        if (waiter == NULL)
            return;
        STAILQ_REMOVE_HEAD(&writer->delivering, link);
        writer->done_us = waiter->finished_us;
        waiter->done(waiter->has_failed ? err : NULL, waiter->arg);
        free(waiter);
    }
    signal_fd(writer->notice_fd);
}

static void
deliver_answers(struct writer *writer)
{
    struct audit_request *request;

    while ((request = STAILQ_FIRST(&writer->answering)) != NULL) {
        STAILQ_REMOVE_HEAD(&writer->answering, link);
        audit_request_finish(request);
        audit_request_free(request);
    }
}

static void
on_notice(evutil_socket_t fd, short what, void *arg)
{
    struct writer *writer = arg;
    struct opening *opening;
    struct err err;

    (void)what;
    drain_fd(fd);
    lock(writer);
    opening = writer->opening;
    change_waiters_move(&writer->finished, &writer->delivering);
    audit_requests_move(&writer->answers, &writer->answering);
    err = writer->status.err; /* stays when it works again */
    unlock(writer);
    if (opening != NULL) {
        deliver_opening(writer, opening);
        lock(writer);
        opening_free(&writer->opening);
        unlock(writer);
        signal_fd(writer->wake_fd);
        /* What was read is all over the heap, and all free again. */
        (void)malloc_trim(0);
    }
    deliver_finished(writer, &err);
    deliver_answers(writer);
}

/* ---- the loop's thread: life ---- */

static int
set_up(struct writer *writer, struct event_base *base)
{
    writer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    writer->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    writer->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (writer->wake_fd < 0 || writer->notice_fd < 0 || writer->end_fd < 0)
        return -1;
    writer->notice = event_new(base, writer->notice_fd, EV_READ | EV_PERSIST,
                               on_notice, writer);
    return writer->notice != NULL ? event_add(writer->notice, NULL) : -1;
}

/* Signals are the loop's affair. */
static int
start_thread(struct writer *writer)
{
    sigset_t all, before;
    int rc;

    (void)sigfillset(&all);
    rc = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (rc != 0)
        return rc;
    rc = pthread_create(&writer->thread, NULL, run, writer);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

struct writer *
writer_new(struct event_base *base, const struct writer_settings *settings,
           struct err *err)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    int rc;

    if (writer == NULL || pthread_mutex_init(&writer->mutex, NULL) != 0) {
        err_set(err, ERR_SYSTEM, "out of memory");
        free(writer);
        return NULL;
    }
    change_queue_init(&writer->queue);
    histogram_init(&writer->status.commit_times, commit_limits,
                   ARRAY_LEN(commit_limits));
    audit_queue_init(&writer->audit, WRITER_AUDIT_MAX);
    STAILQ_INIT(&writer->requests);
    STAILQ_INIT(&writer->answers);
    STAILQ_INIT(&writer->answering);
    STAILQ_INIT(&writer->in_flight_waiters);
    STAILQ_INIT(&writer->settling);
    STAILQ_INIT(&writer->finished);
    STAILQ_INIT(&writer->delivering);
    writer->path = strdup(settings->path);
    writer->has_key = settings->key != NULL;
    if (writer->has_key)
        writer->key = *settings->key;
    writer->retry_ms =
        settings->retry_ms > 0 ? settings->retry_ms : WRITER_RETRY_MS;
    writer->queue_max =
        settings->queue_max > 0 ? settings->queue_max : WRITER_QUEUE_MAX;
    writer->opened = settings->opened;
    writer->opened_arg = settings->arg;
    writer->is_first = true;
    writer->wake_fd = writer->notice_fd = writer->end_fd = -1;
    if (writer->path == NULL || set_up(writer, base) < 0) {
        err_set(err, ERR_SYSTEM, "out of memory or descriptors");
        goto fail;
    }
    rc = start_thread(writer);
    if (rc != 0) {
        err_set(err, ERR_SYSTEM,
                "starting the thread that writes the state: "
                "%s",
                strerror(rc));
        goto fail;
    }
    return writer;
fail:
    if (writer->notice != NULL)
        event_free(writer->notice);
    destroy(writer);
    return NULL;
}

/* True: the thread has ended. */
static bool
wait_for_end(struct writer *writer, int limit_ms)
{
    struct pollfd end = {.fd = writer->end_fd, .events = POLLIN};
    int64_t deadline = clock_boot_ms() + limit_ms;
    int rc;

    do {
        int64_t left = deadline - clock_boot_ms();

        rc = poll(&end, 1, left > 0 ? (int)left : 0);
    } while (rc < 0 && errno == EINTR);
    return rc > 0;
}

bool
writer_free(struct writer **writer, int limit_ms)
{
    struct writer *old = *writer;
    bool has_ended, is_flushed;

    if (old == NULL)
        return true;
    *writer = NULL;
    lock(old);
    old->is_stopping = true;
    old->is_retry_wanted = true;
    unlock(old);
    signal_fd(old->wake_fd);
    has_ended = wait_for_end(old, limit_ms);
    event_free(old->notice);

    lock(old);
    is_flushed = count_queued(old) == 0 && old->audit.count == 0 &&
                 old->audit_in_flight == 0;
    if (!is_flushed)
        log_error("the state was not written before the end",
                  F_STR("file", old->path), F_INT("records", count_queued(old)),
                  F_STR("error", old->status.failures > 0
                                     ? old->status.err.text
                                     : "the disk takes too long"));
    /* It may have ended since; then its signal says so. */
    if (!has_ended)
        has_ended = wait_for_end(old, 0);
    old->is_abandoned = !has_ended;
    unlock(old);
    if (has_ended) {
        (void)pthread_join(old->thread, NULL);
        destroy(old);
    } else {
        (void)pthread_detach(old->thread);
    }
    return is_flushed;
}

/* ---- the loop's thread: asking ---- */

static int
check_record(const struct store_record *record, struct err *err)
{
    if (record->kind[0] == '\0' || strlen(record->kind) > STORE_KIND_MAX ||
        strlen(record->name) > STORE_NAME_MAX)
        return err_set(err, ERR_CONFIG, "the name of a record is too long");
    if (record->value != NULL && record->len > STORE_VALUE_MAX)
        return err_set(err, ERR_CONFIG, "a record is over %zu bytes",
                       STORE_VALUE_MAX);
    return 0;
}

/* NULL when out of memory. */
static struct change_waiter *
new_waiter(writer_done_fn *done, void *arg, struct err *err)
{
    struct change_waiter *waiter = calloc(1, sizeof(*waiter));

    if (waiter == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    waiter->done = done;
    waiter->arg = arg;
    return waiter;
}

static int
enqueue(struct writer *writer, const struct store_record *record,
        writer_done_fn *done, void *arg, struct err *err)
{
    struct change_waiter *waiter = NULL;
    bool is_failing = false;
    size_t max = 0;
    int rc;

    if (check_record(record, err) < 0)
        return -1;
    if (done != NULL && (waiter = new_waiter(done, arg, err)) == NULL)
        return -1;
    lock(writer);
    /* A removal that was forgotten would bring back what was removed. */
    if (record->value == NULL)
        max = SIZE_MAX;
    else if (writer->in_flight < writer->queue_max)
        max = writer->queue_max - writer->in_flight;
    rc = change_queue_put(&writer->queue, record, waiter, max, err);
    is_failing = rc == 0 && writer->status.failures > 0;
    if (rc == 0 && writer->status.behind_since == 0)
        writer->status.behind_since = clock_boot_ms();
    /* Who waits is not to wait for the next attempt. */
    if (is_failing)
        finish_waiters(
            writer,
            &change_queue_find(&writer->queue, record->kind, record->name)
                 ->waiters,
            true, clock_boot_us());
    unlock(writer);
    if (rc < 0)
        free(waiter);
    else
        signal_fd(is_failing ? writer->notice_fd : writer->wake_fd);
    return rc;
}

int
writer_put(struct writer *writer, const struct store_record *record,
           writer_done_fn *done, void *arg, struct err *err)
{
    struct store_record copy = *record;

    if (copy.value == NULL)
        copy.value = ""; /* NULL means removal, further down */
    return enqueue(writer, &copy, done, arg, err);
}

int
writer_delete(struct writer *writer, const char *kind, const char *name,
              writer_done_fn *done, void *arg, struct err *err)
{
    const struct store_record record = {.kind = kind, .name = name};

    return enqueue(writer, &record, done, arg, err);
}

int
writer_settle(struct writer *writer, writer_done_fn *done, void *arg,
              struct err *err)
{
    struct change_waiter *waiter = new_waiter(done, arg, err);
    struct change_waiters now = STAILQ_HEAD_INITIALIZER(now);
    struct change_waiters *waiters = &now;
    bool is_behind, is_failing;

    if (waiter == NULL)
        return -1;
    lock(writer);
    is_behind = count_queued(writer) > 0;
    is_failing = is_behind && writer->status.failures > 0;
    if (is_behind && !is_failing)
        waiters = writer->queue.count > 0 ? &writer->settling
                                          : &writer->in_flight_waiters;
    STAILQ_INSERT_TAIL(waiters, waiter, link);
    finish_waiters(writer, &now, is_failing, clock_boot_us());
    unlock(writer);
    signal_fd(writer->notice_fd);
    return 0;
}

void
writer_forget(struct writer *writer, const void *arg)
{
    struct change *change;

    change_waiters_forget(&writer->delivering, arg);
    audit_requests_forget(&writer->answering, arg);
    lock(writer);
    TAILQ_FOREACH(change, &writer->queue.changes, link)
    {
        change_waiters_forget(&change->waiters, arg);
    }
    change_waiters_forget(&writer->in_flight_waiters, arg);
    change_waiters_forget(&writer->settling, arg);
    change_waiters_forget(&writer->finished, arg);
    audit_requests_forget(&writer->requests, arg);
    if (writer->reading != NULL && writer->reading->arg == arg)
        writer->is_reading_forgotten = true;
    audit_requests_forget(&writer->answers, arg);
    unlock(writer);
}

void
writer_audit(struct writer *writer, const struct store_audit *entry)
{
    struct store_audit copy = *entry;
    uint64_t before, dropped;
    bool is_added;

    copy.id = 0;
    lock(writer);
    before = writer->audit.dropped;
    is_added = audit_queue_add(&writer->audit, &copy);
    dropped = writer->audit.dropped;
    unlock(writer);
    if (!is_added)
        log_error("a row of the audit trail was lost, out of memory",
                  F_STR("what", entry->what));
    if (dropped > before && log_is_due(dropped))
        log_warning("rows of the audit trail were lost, as the state can't be "
                    "written",
                    F_INT("count", dropped));
    signal_fd(writer->wake_fd);
}

int
writer_read_audit(struct writer *writer, size_t count, writer_audit_fn *done,
                  void *arg, struct err *err)
{
    struct audit_request *request =
        audit_request_new(count < STORE_AUDIT_ROWS ? count : STORE_AUDIT_ROWS);

    if (request == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    request->done = done;
    request->arg = arg;
    lock(writer);
    STAILQ_INSERT_TAIL(&writer->requests, request, link);
    unlock(writer);
    signal_fd(writer->wake_fd);
    return 0;
}

int64_t
writer_done_us(const struct writer *writer)
{
    return writer->done_us;
}

void
writer_retry_now(struct writer *writer)
{
    lock(writer);
    writer->is_retry_wanted = true;
    unlock(writer);
    signal_fd(writer->wake_fd);
}

void
writer_status(struct writer *writer, struct writer_status *out)
{
    lock(writer);
    *out = writer->status;
    out->queued = count_queued(writer);
    unlock(writer);
}
