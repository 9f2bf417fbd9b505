/*
 * writer: what is put reaches the disk, in order, whatever the disk does
 * meanwhile, and the event loop never waits for it.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <sqlite3.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/util.h"
#include "tests/unit/faulty_vfs.h"
#include "tests/unit/scratch.h"
#include "tests/unit/state_files.h"
#include "token-daemon/writer.h"

#define GUARD_MS 30000 /* a test that takes longer has failed */
#define RETRY_MS 20
#define NEVER_MS 3600000 /* only writer_retry_now() tries again */
#define TICK_US  2000
#define FREE_MS  GUARD_MS /* so that flushing is not a matter of time */

/* ---- the log ---- */

static struct {
    pthread_mutex_t mutex;
    int failures;
    int successes;
    char last_error[ERR_TEXT_MAX];
} lines = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void __wrap_log_write(enum log_level level, const char *message,
                      const struct log_field *fields);

void
__wrap_log_write(enum log_level level, const char *message,
                 const struct log_field *fields)
{
    (void)pthread_mutex_lock(&lines.mutex);
    if (strncmp(message, "the state can't be ", 19) == 0) {
        assert_int_equal(level, LOG_LEVEL_ERROR);
        lines.failures++;
    }
    if (strcmp(message, "the state is written again") == 0)
        lines.successes++;
    for (; fields->type != LOG_FIELD_END; fields++)
        if (strcmp(fields->key, "error") == 0 && fields->text != NULL)
            (void)snprintf(lines.last_error, sizeof(lines.last_error), "%s",
                           fields->text);
    (void)pthread_mutex_unlock(&lines.mutex);
}

/* ---- one writer and what it tells ---- */

struct fixture {
    struct event_base *base;
    struct event *tick;
    struct writer *writer;
    int64_t deadline;
    bool is_inside; /* a function of the writer: no callback may come */
    /* What was told when it was opened last. */
    int openings;
    bool is_open;
    bool is_new;
    struct err err;
    char records[1000]; /* `NAME=VALUE ` each */
    size_t damaged;
    /* What was told of puts: `NAME ` or `NAME! ` each, in order. */
    char done[4000];
    int done_count;
    int failed_count;
    char audit[4000];
    int audit_count;
};

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
    const struct fixture *fixture = arg;

    (void)fd;
    (void)what;
    if (clock_boot_ms() > fixture->deadline)
        fail_msg("this takes too long; done: %s", fixture->done);
}

static void
on_opened(const struct writer_opening *opening, void *arg)
{
    struct fixture *fixture = arg;

    assert_false(fixture->is_inside);
    fixture->openings++;
    fixture->is_open = opening->err == NULL;
    fixture->is_new = opening->is_new;
    fixture->damaged = opening->damaged_count;
    fixture->records[0] = '\0';
    if (opening->err != NULL)
        fixture->err = *opening->err;
    for (size_t i = 0; i < opening->count; i++) {
        size_t len = strlen(fixture->records);

        (void)snprintf(fixture->records + len, sizeof(fixture->records) - len,
                       "%s=%s ", opening->records[i].name,
                       opening->records[i].value);
    }
}

/* Somebody who waits for one put. */
struct waiter {
    struct fixture *fixture;
    const char *name;
};

static void
on_done(const struct err *err, void *arg)
{
    const struct waiter *waiter = arg;
    struct fixture *fixture = waiter->fixture;
    size_t len = strlen(fixture->done);

    assert_false(fixture->is_inside);
    if (err != NULL) {
        assert_int_not_equal(err->code, ERR_NONE);
        assert_true(strlen(err->text) > 0);
        fixture->failed_count++;
    }
    fixture->done_count++;
    (void)snprintf(fixture->done + len, sizeof(fixture->done) - len, "%s%s ",
                   waiter->name, err != NULL ? "!" : "");
}

static void
on_audit(const struct store_audit *rows, size_t count, const struct err *err,
         void *arg)
{
    struct fixture *fixture = arg;

    assert_false(fixture->is_inside);
    fixture->audit_count++;
    fixture->audit[0] = '\0';
    if (err != NULL)
        (void)snprintf(fixture->audit, sizeof(fixture->audit), "%s", err->text);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(fixture->audit);

        (void)snprintf(fixture->audit + len, sizeof(fixture->audit) - len,
                       "%s%s ", rows[i].what, rows[i].id == 0 ? "?" : "");
    }
}

static void
start_at(struct fixture *fixture, const char *path, int retry_ms,
         size_t queue_max)
{
    const struct timeval interval = {0, TICK_US};
    const struct writer_settings settings = {
        .path = path,
        .key = &state_key,
        .retry_ms = retry_ms,
        .queue_max = queue_max,
        .opened = on_opened,
        .arg = fixture,
    };
    struct err err = {ERR_NONE, ""};

    *fixture = (struct fixture){.deadline = clock_boot_ms() + GUARD_MS};
    (void)pthread_mutex_lock(&lines.mutex);
    lines.failures = lines.successes = 0;
    (void)pthread_mutex_unlock(&lines.mutex);
    fixture->base = event_base_new();
    assert_non_null(fixture->base);
    fixture->tick = event_new(fixture->base, -1, EV_PERSIST, on_tick, fixture);
    assert_non_null(fixture->tick);
    assert_int_equal(event_add(fixture->tick, &interval), 0);
    fixture->is_inside = true;
    fixture->writer = writer_new(fixture->base, &settings, &err);
    fixture->is_inside = false;
    if (fixture->writer == NULL)
        fail_msg("%s", err.text);
}

static bool
stop(struct fixture *fixture, int limit_ms)
{
    bool is_flushed;

    fixture->is_inside = true;
    is_flushed = writer_free(&fixture->writer, limit_ms);
    assert_null(fixture->writer);
    /* Nothing is left to be told. */
    assert_int_not_equal(event_base_loop(fixture->base, EVLOOP_NONBLOCK), -1);
    event_free(fixture->tick);
    event_base_free(fixture->base);
    return is_flushed;
}

static void
turn(struct fixture *fixture)
{
    assert_int_not_equal(event_base_loop(fixture->base, EVLOOP_ONCE), -1);
}

static void
wait_for_opening(struct fixture *fixture, int which)
{
    while (fixture->openings < which)
        turn(fixture);
}

static void
wait_for_done(struct fixture *fixture, int count)
{
    while (fixture->done_count < count)
        turn(fixture);
    assert_int_equal(fixture->done_count, count);
}

static struct writer_status
status_of(struct fixture *fixture)
{
    struct writer_status status;

    writer_status(fixture->writer, &status);
    return status;
}

/* Until nothing is queued and nothing fails. */
static void
wait_for_calm(struct fixture *fixture)
{
    struct writer_status status;

    do {
        turn(fixture);
        status = status_of(fixture);
    } while (status.queued > 0 || status.failures > 0 || !status.is_open);
}

static void
start(struct fixture *fixture, const char *path, int retry_ms)
{
    start_at(fixture, path, retry_ms, 0);
    wait_for_opening(fixture, 1);
    if (!fixture->is_open)
        fail_msg("%s", fixture->err.text);
}

/* Value NULL: removal. */
static void
put(struct fixture *fixture, struct waiter *waiter, const char *value)
{
    const struct store_record record = {
        .kind = "k",
        .name = waiter->name,
        .value = value,
        .len = value != NULL ? strlen(value) : 0,
    };
    struct err err = {ERR_NONE, ""};
    int rc;

    waiter->fixture = fixture;
    fixture->is_inside = true;
    rc = value != NULL
             ? writer_put(fixture->writer, &record, on_done, waiter, &err)
             : writer_delete(fixture->writer, "k", waiter->name, on_done,
                             waiter, &err);
    fixture->is_inside = false;
    if (rc < 0)
        fail_msg("%s", err.text);
}

/* What the file holds: `NAME=VALUE ` each, by name. */
static void
assert_file(const char *path, const char *want)
{
    struct state_contents contents;
    struct store *store = state_open_good(path, &contents);
    char got[1000] = "";

    for (size_t i = 0; i < contents.count; i++) {
        size_t len = strlen(got);

        (void)snprintf(got + len, sizeof(got) - len, "%s ",
                       contents.lines[i] + 2); /* without the kind */
    }
    assert_string_equal(got, want);
    state_contents_clear(&contents);
    store_close(&store);
}

/* Hear when all that was put is there. */
static void
settle(struct fixture *fixture, struct waiter *waiter)
{
    struct err err = {ERR_NONE, ""};
    int rc;

    waiter->fixture = fixture;
    fixture->is_inside = true;
    rc = writer_settle(fixture->writer, on_done, waiter, &err);
    fixture->is_inside = false;
    assert_int_equal(rc, 0);
}

static struct waiter a = {NULL, "a"};
static struct waiter b = {NULL, "b"};
static struct waiter c = {NULL, "c"};
static struct waiter all = {NULL, "all"};

/* Damage a closed file. Not by way of our own disk, which maps no memory. */
static void
damage(const char *path, const char *sql)
{
    sqlite3 *database = NULL;

    assert_int_equal(
        sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE, "unix"),
        SQLITE_OK);
    if (sqlite3_exec(database, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(database));
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

/* ---- a good disk ---- */

static void
what_is_put_is_there_after_a_restart(void **state)
{
    const char *path = scratch_path("good.db");
    struct writer_status status;
    struct fixture fixture;
    uint64_t timed = 0;

    (void)state;
    start(&fixture, path, NEVER_MS);
    assert_true(fixture.is_new);
    assert_string_equal(fixture.records, "");
    put(&fixture, &a, "1");
    put(&fixture, &b, "2");
    wait_for_done(&fixture, 2);
    assert_string_equal(fixture.done, "a b ");
    put(&fixture, &b, NULL);
    put(&fixture, &c, "");
    wait_for_done(&fixture, 4);
    status = status_of(&fixture);
    assert_true(status.is_open);
    assert_int_equal(status.queued, 0);
    assert_int_equal(status.failures, 0);
    assert_int_equal(status.failed, 0);
    assert_int_equal(status.behind_since, 0);
    for (size_t i = 0; i <= status.commit_times.limit_count; i++)
        timed += status.commit_times.counts[i];
    assert_int_equal(timed, status.commits);
    assert_true(status.commits >= 2);
    assert_true(stop(&fixture, FREE_MS));

    start(&fixture, path, NEVER_MS);
    assert_false(fixture.is_new);
    assert_string_equal(fixture.records, "a=1 c= ");
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=1 c= ");
}

static void
the_queue_is_flushed_at_the_end(void **state)
{
    const char *path = scratch_path("flush.db");
    struct fixture fixture;

    (void)state;
    start(&fixture, path, NEVER_MS);
    put(&fixture, &a, "1");
    put(&fixture, &b, "2");
    assert_true(stop(&fixture, FREE_MS));
    assert_int_equal(fixture.done_count, 0); /* no callback comes any more */
    assert_file(path, "a=1 b=2 ");

    /* Also when it has not even been opened, or nobody has heard of it. */
    start_at(&fixture, path, NEVER_MS, 0);
    put(&fixture, &c, "3");
    assert_true(stop(&fixture, FREE_MS));
    assert_int_equal(fixture.openings, 0);
    assert_file(path, "a=1 b=2 c=3 ");
    start_at(&fixture, path, NEVER_MS, 0);
    assert_true(stop(&fixture, FREE_MS));
    writer_free(&fixture.writer, 0); /* takes NULL */
}

static void
a_thousand_puts_are_few_commits(void **state)
{
    const char *path = scratch_path("batch.db");
    struct fixture fixture;
    char value[16] = "";

    (void)state;
    start(&fixture, path, NEVER_MS);
    faulty_vfs_hold_syncs();
    put(&fixture, &a, "first");
    faulty_vfs_wait_for_held();
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(value, sizeof(value), "%d", i);
        put(&fixture, i % 2 == 0 ? &a : &b, value);
    }
    put(&fixture, &c, "x");
    put(&fixture, &c, NULL);
    /* Two that wait, and one that is being written. */
    assert_int_equal(status_of(&fixture).queued, 4);
    assert_int_equal(status_of(&fixture).commits, 0);
    faulty_vfs_release();
    wait_for_done(&fixture, 1003);
    assert_int_equal(fixture.failed_count, 0);
    assert_int_equal(status_of(&fixture).commits, 2);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=998 b=999 ");
}

/* ---- a slow disk ---- */

static void
the_loop_goes_on_while_the_disk_hangs(void **state)
{
    const char *path = scratch_path("slow.db");
    struct fixture fixture;

    (void)state;
    start(&fixture, path, NEVER_MS);
    faulty_vfs_hold_syncs();
    put(&fixture, &a, "1");
    faulty_vfs_wait_for_held();
    for (int i = 0; i < 100; i++) {
        put(&fixture, &b, "2");
        turn(&fixture);
        assert_int_equal(status_of(&fixture).queued, 2);
    }
    assert_int_equal(fixture.done_count, 0);
    faulty_vfs_release();
    wait_for_done(&fixture, 101);
    assert_int_equal(fixture.failed_count, 0);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=1 b=2 ");
}

static void
who_waits_for_all_is_told_when_all_is_there(void **state)
{
    const char *path = scratch_path("settle.db");
    struct fixture fixture;

    (void)state;
    start(&fixture, path, NEVER_MS);
    settle(&fixture, &all); /* nothing is missing */
    wait_for_done(&fixture, 1);
    faulty_vfs_hold_syncs();
    put(&fixture, &a, "1");
    faulty_vfs_wait_for_held();
    settle(&fixture, &all); /* what is in flight */
    put(&fixture, &b, "2");
    settle(&fixture, &all); /* what is queued, too */
    settle(&fixture, &c);
    writer_forget(fixture.writer, &c);
    faulty_vfs_release();
    wait_for_done(&fixture, 5);
    assert_string_equal(fixture.done, "all a all b all ");
    assert_int_equal(fixture.failed_count, 0);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=1 b=2 ");
}

static void
who_waits_for_all_is_told_that_the_disk_fails(void **state)
{
    const char *path = scratch_path("unsettled.db");
    struct fixture fixture;

    (void)state;
    start(&fixture, path, NEVER_MS);
    faulty_vfs_hold_syncs();
    put(&fixture, &a, "1");
    faulty_vfs_wait_for_held();
    put(&fixture, &b, "2");
    settle(&fixture, &all); /* is for the attempt after this one */
    faulty_vfs_set(FAULTY_VFS_WRITE);
    faulty_vfs_release();
    while (fixture.failed_count == 0)
        turn(&fixture);
    assert_non_null(strstr(fixture.done, "all! "));
    put(&fixture, &a, NULL);
    settle(&fixture, &all); /* is told at once */
    while (fixture.failed_count < 3)
        turn(&fixture);
    faulty_vfs_set(FAULTY_VFS_NONE);
    writer_retry_now(fixture.writer);
    wait_for_calm(&fixture);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "b=2 ");
}

static void
every_put_is_told_of_while_each_sync_takes_long(void **state)
{
    const char *path = scratch_path("fsync.db");
    struct fixture fixture;
    char value[16] = "";

    (void)state;
    start(&fixture, path, NEVER_MS);
    faulty_vfs_delay_syncs(50);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(value, sizeof(value), "%d", i);
        put(&fixture, i % 2 == 0 ? &a : &b, value);
        turn(&fixture);
    }
    wait_for_done(&fixture, 200);
    assert_int_equal(fixture.failed_count, 0);
    faulty_vfs_delay_syncs(0);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=198 b=199 ");
}

static void
a_disk_that_hangs_does_not_hold_up_the_end(void **state)
{
    const char *path = scratch_path("hang.db");
    struct state_contents contents;
    struct store *store;
    struct fixture fixture;
    struct err err;

    (void)state;
    start(&fixture, path, NEVER_MS);
    faulty_vfs_hold_syncs();
    put(&fixture, &a, "1");
    faulty_vfs_wait_for_held();
    put(&fixture, &b, "2");
    assert_false(stop(&fixture, 10));
    assert_string_equal(lines.last_error, "the disk takes too long");
    /* The thread is on its own, and what it has left it still writes. */
    faulty_vfs_release();
    do {
        store = state_open(path, &contents, &err);
        if (store == NULL)
            state_contents_clear(&contents);
    } while (store == NULL && clock_boot_ms() < fixture.deadline);
    assert_non_null(store);
    assert_int_equal(contents.count, 2);
    state_contents_clear(&contents);
    store_close(&store);
}

/* ---- a disk that fails ---- */

struct fault_row {
    const char *name;
    enum faulty_vfs_fault fault;
    int good_writes;
    const char *want; /* what the error holds */
};

static struct fault_row fault_rows[] = {
    {"a full disk", FAULTY_VFS_FULL, 0, "the disk is full"},
    {"a disk that gets full amid a transaction", FAULTY_VFS_FULL, 1,
     "the disk is full"},
    {"a disk that can't write", FAULTY_VFS_WRITE, 0,
     "reading or writing the state"},
    {"a disk that stops writing amid a transaction", FAULTY_VFS_WRITE, 1,
     "reading or writing the state"},
    {"a disk that can't sync", FAULTY_VFS_SYNC, 0,
     "reading or writing the state"},
};

static void
nothing_is_lost(void **state)
{
    const struct fault_row *row = *state;
    const char *path = scratch_path("fail.db");
    struct fixture fixture;
    struct writer_status status;
    int64_t began;

    (void)unlink(path);
    start(&fixture, path, NEVER_MS);
    put(&fixture, &a, "before");
    put(&fixture, &c, "before");
    wait_for_done(&fixture, 2);

    assert_int_equal(status_of(&fixture).behind_since, 0);
    began = clock_boot_ms();
    faulty_vfs_set_after(row->fault, row->good_writes);
    put(&fixture, &a, "1");
    wait_for_done(&fixture, 3);
    assert_string_equal(fixture.done, "a c a! ");
    put(&fixture, &b, "2"); /* is told at once, not at the next attempt */
    put(&fixture, &a, "3");
    put(&fixture, &c, NULL);
    wait_for_done(&fixture, 6);
    assert_string_equal(fixture.done, "a c a! b! a! c! ");
    status = status_of(&fixture);
    assert_int_equal(status.queued, 3);
    assert_int_equal(status.failures, 1);
    assert_int_equal(status.failed, 1);
    assert_true(status.failing_since > 0);
    assert_in_range(status.behind_since, began, clock_boot_ms());
    if (strstr(status.err.text, row->want) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", status.err.text, row->want);

    faulty_vfs_set(FAULTY_VFS_NONE);
    writer_retry_now(fixture.writer);
    wait_for_calm(&fixture);
    assert_int_equal(status_of(&fixture).behind_since, 0);
    assert_int_equal(status_of(&fixture).failed, 1);
    assert_int_equal(fixture.done_count, 6); /* each is told once */
    assert_int_equal(lines.failures, 1);
    assert_int_equal(lines.successes, 1);
    put(&fixture, &b, "4");
    wait_for_done(&fixture, 7);
    assert_int_equal(fixture.failed_count, 4);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=3 b=4 ");
}

static void
it_is_tried_again_by_itself_and_seldom_said(void **state)
{
    const char *path = scratch_path("retry.db");
    struct fixture fixture;

    (void)state;
    start(&fixture, path, 1);
    faulty_vfs_set(FAULTY_VFS_FULL);
    put(&fixture, &a, "1");
    while (status_of(&fixture).failures < 12)
        turn(&fixture);
    assert_int_equal(fixture.done_count, 1);
    assert_int_equal(lines.failures, 2); /* the 1st and the 10th */
    faulty_vfs_set(FAULTY_VFS_NONE);
    wait_for_calm(&fixture);
    assert_int_equal(lines.successes, 1);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=1 ");
}

/* A write error makes SQLite unusable: each attempt opens it anew. */
static void
opening_again_is_no_success(void **state)
{
    const char *path = scratch_path("again.db");
    struct fixture fixture;

    (void)state;
    start(&fixture, path, 1);
    faulty_vfs_set(FAULTY_VFS_SYNC);
    put(&fixture, &a, "1");
    while (status_of(&fixture).failures < 12)
        turn(&fixture);
    assert_int_equal(lines.failures, 2);
    assert_int_equal(lines.successes, 0);
    faulty_vfs_set(FAULTY_VFS_NONE);
    wait_for_calm(&fixture);
    assert_int_equal(lines.successes, 1);
    assert_false(fixture.is_new); /* it is the same file */
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=1 ");
}

static void
a_later_put_is_never_overtaken(void **state)
{
    const char *path = scratch_path("order.db");
    struct fixture fixture;

    (void)state;
    start(&fixture, path, NEVER_MS);
    faulty_vfs_hold_syncs();
    faulty_vfs_set(FAULTY_VFS_SYNC);
    put(&fixture, &a, "1"); /* in flight, and will fail */
    put(&fixture, &b, "1");
    faulty_vfs_wait_for_held();
    put(&fixture, &a, "2");
    put(&fixture, &b, NULL);
    put(&fixture, &c, "1");
    faulty_vfs_release();
    while (fixture.failed_count == 0)
        turn(&fixture);
    faulty_vfs_set(FAULTY_VFS_NONE);
    writer_retry_now(fixture.writer);
    wait_for_calm(&fixture);
    wait_for_done(&fixture, 5);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=2 c=1 ");
}

static void
what_can_not_be_written_at_the_end_is_said(void **state)
{
    const char *path = scratch_path("unwritten.db");
    struct fixture fixture;

    (void)state;
    start(&fixture, path, NEVER_MS);
    faulty_vfs_set(FAULTY_VFS_FULL);
    put(&fixture, &a, "1");
    wait_for_done(&fixture, 1);
    assert_false(stop(&fixture, FREE_MS));
    assert_non_null(strstr(lines.last_error, "the disk is full"));
    faulty_vfs_set(FAULTY_VFS_NONE);
    assert_file(path, "");
}

/* ---- a store that can't be opened ---- */

static void
a_missing_directory_is_found_when_it_appears(void **state)
{
    struct fixture fixture;
    char path[1024];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/state.db", scratch_path("late"));
    start_at(&fixture, path, NEVER_MS, 0);
    wait_for_opening(&fixture, 1);
    assert_false(fixture.is_open);
    assert_int_equal(fixture.err.code, ERR_CONFIG);
    assert_non_null(strstr(fixture.err.text, "install -d "));
    put(&fixture, &a, "1");
    wait_for_done(&fixture, 1);
    assert_string_equal(fixture.done, "a! ");
    assert_int_equal(mkdir(scratch_path("late"), 0700), 0);
    writer_retry_now(fixture.writer);
    wait_for_opening(&fixture, 2);
    assert_true(fixture.is_open);
    assert_true(fixture.is_new);
    wait_for_calm(&fixture);
    assert_int_equal(lines.failures, 1);
    assert_int_equal(lines.successes, 1);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=1 ");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(scratch_path("late")), 0);
}

static void
what_is_newer_is_not_told_when_it_opens_late(void **state)
{
    const char *path = scratch_path("newer.db");
    struct store *store = state_open_good(path, NULL);
    struct fixture fixture;

    (void)state;
    state_put(store, "k", "a", "old");
    state_put(store, "k", "b", "old");
    state_put(store, "k", "c", "old");
    store_close(&store);
    faulty_vfs_set(FAULTY_VFS_OPEN);
    start_at(&fixture, path, RETRY_MS, 0);
    wait_for_opening(&fixture, 1);
    assert_false(fixture.is_open);
    put(&fixture, &a, "new");
    put(&fixture, &b, NULL);
    faulty_vfs_set(FAULTY_VFS_NONE);
    wait_for_opening(&fixture, 2);
    assert_true(fixture.is_open);
    assert_false(fixture.is_new);
    assert_string_equal(fixture.records, "c=old ");
    wait_for_calm(&fixture);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=new c=old ");
}

static void
a_file_that_is_moved_away_is_made_anew(void **state)
{
    const char *path = scratch_path("away.db");
    struct fixture fixture;

    (void)state;
    start(&fixture, path, NEVER_MS);
    put(&fixture, &a, "1");
    wait_for_done(&fixture, 1);
    assert_int_equal(rename(path, scratch_path("away.old")), 0);
    put(&fixture, &a, "2");
    wait_for_done(&fixture, 2);
    assert_string_equal(fixture.done, "a a! ");
    /* Its log is still there, so it can't be told from one that was lost. */
    writer_retry_now(fixture.writer);
    while (strstr(status_of(&fixture).err.text, "move") == NULL ||
           status_of(&fixture).failures < 2)
        turn(&fixture);
    assert_int_equal(fixture.openings, 1);
    assert_int_equal(
        rename(scratch_path("away.db-wal"), scratch_path("away.old-wal")), 0);
    writer_retry_now(fixture.writer);
    wait_for_opening(&fixture, 2);
    assert_true(fixture.is_open);
    assert_true(fixture.is_new);
    wait_for_calm(&fixture);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=2 ");
    assert_file(scratch_path("away.old"), "a=1 ");
}

static void
a_file_that_is_replaced_counts_as_new(void **state)
{
    const char *path = scratch_path("replaced.db");
    struct store *store = state_open_good(scratch_path("backup.db"), NULL);
    struct fixture fixture;

    (void)state;
    state_put(store, "k", "b", "backup");
    store_close(&store);
    start(&fixture, path, NEVER_MS);
    put(&fixture, &a, "1");
    wait_for_done(&fixture, 1);
    assert_int_equal(rename(path, scratch_path("replaced.old")), 0);
    assert_int_equal(rename(scratch_path("replaced.db-wal"),
                            scratch_path("replaced.old-wal")),
                     0);
    assert_int_equal(rename(scratch_path("backup.db"), path), 0);
    put(&fixture, &c, "3");
    wait_for_done(&fixture, 2);
    assert_string_equal(fixture.done, "a c! ");
    writer_retry_now(fixture.writer);
    wait_for_opening(&fixture, 2);
    assert_true(fixture.is_new);
    assert_string_equal(fixture.records, "b=backup ");
    wait_for_calm(&fixture);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "b=backup c=3 ");
}

static void
a_damaged_file_is_read_and_replaced(void **state)
{
    const char *path = scratch_path("torn.db");
    struct store *store = state_open_good(path, NULL);
    struct fixture fixture;

    (void)state;
    state_put(store, "k", "a", "1");
    state_put(store, "k", "b", "1");
    store_close(&store);
    damage(path, "DROP TABLE meta;"
                 "UPDATE record SET value = x'00' WHERE name = 'b'");
    store = state_open_good(scratch_path("spare.db"), NULL);
    state_put(store, "k", "a", "0");
    state_put(store, "k", "b", "0");
    store_close(&store);

    start_at(&fixture, path, NEVER_MS, 0);
    wait_for_opening(&fixture, 1);
    assert_false(fixture.is_open);
    assert_int_equal(fixture.err.code, ERR_CONFIG);
    assert_string_equal(fixture.records, "a=1 ");
    assert_int_equal(rename(path, scratch_path("torn.old")), 0);
    assert_int_equal(rename(scratch_path("spare.db"), path), 0);
    writer_retry_now(fixture.writer);
    wait_for_opening(&fixture, 2);
    assert_true(fixture.is_open);
    assert_true(fixture.is_new); /* what was told of it is not in there */
    assert_string_equal(fixture.records, "a=0 b=0 ");
    assert_true(stop(&fixture, FREE_MS));
}

static void
damaged_records_are_counted(void **state)
{
    const char *path = scratch_path("count.db");
    struct store *store = state_open_good(path, NULL);
    struct fixture fixture;

    (void)state;
    state_put(store, "k", "a", "1");
    state_put(store, "k", "b", "1");
    state_put(store, "k", "c", "1");
    store_close(&store);
    damage(path, "UPDATE record SET value = x'01' WHERE name <> 'b'");
    start(&fixture, path, NEVER_MS);
    assert_string_equal(fixture.records, "b=1 ");
    assert_int_equal(fixture.damaged, 2);
    assert_string_equal(lines.last_error, "no sealed value, or cut short");
    assert_true(stop(&fixture, FREE_MS));
}

/* ---- who is forgotten, and what is refused ---- */

static void
who_is_forgotten_hears_nothing(void **state)
{
    const char *path = scratch_path("forget.db");
    struct fixture fixture;

    (void)state;
    start(&fixture, path, NEVER_MS);
    faulty_vfs_hold_syncs();
    put(&fixture, &a, "1"); /* in flight */
    faulty_vfs_wait_for_held();
    put(&fixture, &a, "2"); /* queued */
    put(&fixture, &b, "3");
    writer_forget(fixture.writer, &a);
    faulty_vfs_release();
    wait_for_done(&fixture, 1);
    assert_string_equal(fixture.done, "b ");
    wait_for_calm(&fixture);
    put(&fixture, &a, "4");
    while (status_of(&fixture).queued > 0 || status_of(&fixture).commits < 3)
        (void)usleep(100); /* finished, but not delivered */
    writer_forget(fixture.writer, &a);
    put(&fixture, &c, "5");
    wait_for_done(&fixture, 2);
    assert_string_equal(fixture.done, "b c ");
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=4 b=3 c=5 ");
}

static void
a_full_queue_refuses_new_names(void **state)
{
    const char *path = scratch_path("queue.db");
    const struct store_record record = {"k", "d", "x", 1, 0};
    struct err err = {ERR_NONE, ""};
    struct fixture fixture;

    (void)state;
    start_at(&fixture, path, NEVER_MS, 2);
    wait_for_opening(&fixture, 1);
    faulty_vfs_hold_syncs();
    put(&fixture, &a, "1");
    faulty_vfs_wait_for_held();
    put(&fixture, &b, "1");
    assert_int_equal(writer_put(fixture.writer, &record, on_done, &c, &err),
                     -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    put(&fixture, &b, "2");
    put(&fixture, &c, NULL); /* or it would come back */
    faulty_vfs_release();
    wait_for_done(&fixture, 4);
    assert_int_equal(writer_put(fixture.writer, &record, NULL, NULL, &err), 0);
    assert_true(stop(&fixture, FREE_MS));
    assert_file(path, "a=1 b=2 d=x ");
}

static void
what_the_store_would_refuse_is_refused_at_once(void **state)
{
    static char name[STORE_NAME_MAX + 2];
    static char value[STORE_VALUE_MAX + 1];
    const struct store_record bad[] = {
        {"", "n", "v", 1, 0},
        {"a kind of more than thirty-two bytes", "n", "v", 1, 0},
        {"k", name, "v", 1, 0},
        {"k", "n", value, sizeof(value), 0},
    };
    struct fixture fixture;
    struct err err = {ERR_NONE, ""};

    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    start(&fixture, scratch_path("bad.db"), NEVER_MS);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(writer_put(fixture.writer, &bad[i], on_done, &a, &err),
                         -1);
        assert_int_equal(err.code, ERR_CONFIG);
    }
    assert_int_equal(
        writer_delete(fixture.writer, "k", name, on_done, &a, &err), -1);
    assert_int_equal(status_of(&fixture).queued, 0);
    assert_true(stop(&fixture, FREE_MS));
    assert_int_equal(fixture.done_count, 0);
}

/* ---- the audit trail ---- */

static void
add_audit(struct fixture *fixture, const char *what)
{
    const struct store_audit entry = {99, 1, "root", what, "detail"};

    writer_audit(fixture->writer, &entry);
}

static void
assert_audit(struct fixture *fixture, size_t count, const char *want)
{
    int before = fixture->audit_count;
    struct err err;

    fixture->is_inside = true;
    assert_int_equal(
        writer_read_audit(fixture->writer, count, on_audit, fixture, &err), 0);
    fixture->is_inside = false;
    while (fixture->audit_count == before)
        turn(fixture);
    assert_string_equal(fixture->audit, want);
}

static void
the_audit_trail_is_read_with_what_is_queued(void **state)
{
    const char *path = scratch_path("trail.db");
    struct fixture fixture;
    struct err err;

    (void)state;
    start(&fixture, path, NEVER_MS);
    assert_audit(&fixture, 10, "");
    add_audit(&fixture, "one");
    add_audit(&fixture, "two");
    assert_audit(&fixture, 10, "one two ");
    faulty_vfs_set(FAULTY_VFS_FULL);
    add_audit(&fixture, "three");
    while (status_of(&fixture).failures == 0)
        turn(&fixture);
    add_audit(&fixture, "four");
    assert_audit(&fixture, 10, "one two three? four? ");
    assert_audit(&fixture, 3, "two three? four? ");
    assert_audit(&fixture, 1, "four? ");
    faulty_vfs_set(FAULTY_VFS_NONE);
    writer_retry_now(fixture.writer);
    wait_for_calm(&fixture);
    assert_audit(&fixture, 10, "one two three four ");
    assert_int_equal(
        writer_read_audit(fixture.writer, 1, on_audit, &fixture, &err), 0);
    writer_forget(fixture.writer, &fixture);
    add_audit(&fixture, "five");
    assert_true(stop(&fixture, FREE_MS));
    start(&fixture, path, NEVER_MS);
    assert_audit(&fixture, 2, "four five ");
    assert_true(stop(&fixture, FREE_MS));
}

static void
too_many_rows_lose_the_oldest(void **state)
{
    const char *path = scratch_path("rows.db");
    char what[32];
    struct fixture fixture;

    (void)state;
    start(&fixture, path, NEVER_MS);
    faulty_vfs_set(FAULTY_VFS_FULL);
    for (int i = 0; i < WRITER_AUDIT_MAX + 5; i++) {
        (void)snprintf(what, sizeof(what), "%d", i);
        add_audit(&fixture, what);
    }
    while (status_of(&fixture).failures == 0)
        turn(&fixture);
    assert_audit(&fixture, 1, "1004? ");
    faulty_vfs_set(FAULTY_VFS_NONE);
    assert_true(stop(&fixture, FREE_MS));
    start(&fixture, path, NEVER_MS);
    assert_audit(&fixture, STORE_AUDIT_ROWS, fixture.audit);
    assert_int_equal(strncmp(fixture.audit, "5 6 7 ", 6), 0);
    assert_true(stop(&fixture, FREE_MS));
}

static void
the_audit_trail_of_a_store_that_is_not_open(void **state)
{
    struct fixture fixture;

    (void)state;
    faulty_vfs_set(FAULTY_VFS_OPEN);
    start_at(&fixture, scratch_path("closed.db"), NEVER_MS, 0);
    wait_for_opening(&fixture, 1);
    assert_audit(&fixture, 10, "the state is not open");
    faulty_vfs_set(FAULTY_VFS_NONE);
    assert_true(stop(&fixture, FREE_MS));
}

int
main(void)
{
    static const struct CMUnitTest fixed[] = {
        cmocka_unit_test(what_is_put_is_there_after_a_restart),
        cmocka_unit_test(the_queue_is_flushed_at_the_end),
        cmocka_unit_test(a_thousand_puts_are_few_commits),
        cmocka_unit_test(the_loop_goes_on_while_the_disk_hangs),
        cmocka_unit_test(who_waits_for_all_is_told_when_all_is_there),
        cmocka_unit_test(who_waits_for_all_is_told_that_the_disk_fails),
        cmocka_unit_test(every_put_is_told_of_while_each_sync_takes_long),
        cmocka_unit_test(a_disk_that_hangs_does_not_hold_up_the_end),
        cmocka_unit_test(it_is_tried_again_by_itself_and_seldom_said),
        cmocka_unit_test(opening_again_is_no_success),
        cmocka_unit_test(a_later_put_is_never_overtaken),
        cmocka_unit_test(what_can_not_be_written_at_the_end_is_said),
        cmocka_unit_test(a_missing_directory_is_found_when_it_appears),
        cmocka_unit_test(what_is_newer_is_not_told_when_it_opens_late),
        cmocka_unit_test(a_file_that_is_moved_away_is_made_anew),
        cmocka_unit_test(a_file_that_is_replaced_counts_as_new),
        cmocka_unit_test(a_damaged_file_is_read_and_replaced),
        cmocka_unit_test(damaged_records_are_counted),
        cmocka_unit_test(who_is_forgotten_hears_nothing),
        cmocka_unit_test(a_full_queue_refuses_new_names),
        cmocka_unit_test(what_the_store_would_refuse_is_refused_at_once),
        cmocka_unit_test(the_audit_trail_is_read_with_what_is_queued),
        cmocka_unit_test(too_many_rows_lose_the_oldest),
        cmocka_unit_test(the_audit_trail_of_a_store_that_is_not_open),
    };
    struct CMUnitTest tests[ARRAY_LEN(fixed) + ARRAY_LEN(fault_rows)];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        tests[count++] = fixed[i];
    for (size_t i = 0; i < ARRAY_LEN(fault_rows); i++)
        tests[count++] = (struct CMUnitTest){
            .name = fault_rows[i].name,
            .test_func = nothing_is_lost,
            .initial_state = &fault_rows[i],
        };
    faulty_vfs_install();
    return cmocka_run_group_tests_name("writer", tests, scratch_set_up,
                                       scratch_tear_down);
}
