/*
 * The durable state, against the plainest way to do the same on the same disk:
 *
 *     load    10,000 records of 3 KB opened and told, against SQLite merely
 *             reading every byte of the same file
 *     commit  one record, on the disk, against write() and fdatasync() of one
 *             page at the end of a file
 *     put     what the event loop pays for handing a record to the writer
 *
 *     tests/bench/store [DIRECTORY]      (default: TMPDIR, or /tmp)
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <sqlite3.h>

#include "common/err.h"
#include "token-daemon/store.h"
#include "token-daemon/writer.h"

#define RECORDS   10000
#define VALUE_LEN 3000
#define ROUNDS    9
#define COMMITS   200
#define PAGE      4096
#define PUTS      10000

static const struct seal_key key = {"0123456789abcdef0123456789abcde\1"};
static char path[4096];
static char value[VALUE_LEN];

static _Noreturn void
give_up(const char *what, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* Seconds, to take differences of. */
static double
now(void)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static int
compare(const void *a, const void *b)
{
    const double *first = a;
    const double *second = b;

    return (*first > *second) - (*first < *second);
}

static double
median(double *values)
{
    qsort(values, ROUNDS, sizeof(*values), compare);
    return values[ROUNDS / 2];
}

/* ---- load ---- */

static void
on_record(const struct store_record *record, void *arg)
{
    size_t *count = arg;

    *count += record->len == VALUE_LEN;
}

static void
on_damaged(const char *kind, const char *name, const struct err *err, void *arg)
{
    (void)kind;
    (void)arg;
    give_up(name, err->text);
}

static struct store *
open_store(size_t *count)
{
    const struct store_settings settings = {path, &key};
    const struct store_reader reader = {on_record, on_damaged, count};
    struct store *store;
    struct err err;
    bool is_new;

    *count = 0;
    store = store_open(&settings, &reader, &is_new, &err);
    if (store == NULL)
        give_up(path, err.text);
    return store;
}

static void
put(struct store *store, int number)
{
    char name[64];
    const struct store_record record = {"token", name, value, VALUE_LEN, 0};
    struct err err;

    (void)snprintf(name, sizeof(name), "contoso mailbox%d@example.org", number);
    if (store_put(store, &record, &err) < 0)
        give_up(path, err.text);
}

static void
begin(struct store *store)
{
    struct err err;

    if (store_begin(store, &err) < 0)
        give_up(path, err.text);
}

static void
commit(struct store *store)
{
    struct err err;

    if (store_commit(store, &err) < 0)
        give_up(path, err.text);
}

static double
load(void)
{
    size_t count;
    double start = now();
    struct store *store = open_store(&count);
    double end = now();

    if (count != RECORDS)
        give_up(path, "records are missing");
    store_close(&store);
    return end - start;
}

static double
read_plainly(void)
{
    double start = now();
    sqlite3 *database = NULL;
    sqlite3_stmt *rows = NULL;
    size_t bytes = 0;
    double end;

    if (sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE, NULL) !=
            SQLITE_OK ||
        sqlite3_exec(database, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL,
                     NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(database, "SELECT kind, name, value FROM record", -1,
                           &rows, NULL) != SQLITE_OK)
        give_up(path, sqlite3_errmsg(database));
    while (sqlite3_step(rows) == SQLITE_ROW) {
        (void)sqlite3_column_blob(rows, 2);
        bytes += (size_t)sqlite3_column_bytes(rows, 2);
    }
    end = now();
    if (bytes < (size_t)RECORDS * VALUE_LEN)
        give_up(path, "records are missing");
    (void)sqlite3_finalize(rows);
    (void)sqlite3_close(database);
    return end - start;
}

static void
bench_load(void)
{
    double ours[ROUNDS], plain[ROUNDS];
    size_t ignored;
    struct store *store = open_store(&ignored);
    double a, b;

    begin(store);
    for (int i = 0; i < RECORDS; i++)
        put(store, i);
    commit(store);
    store_close(&store);
    for (int i = 0; i < ROUNDS; i++) {
        ours[i] = load();
        plain[i] = read_plainly();
    }
    a = median(ours);
    b = median(plain);
    (void)printf("load: %d records of %d bytes in %.0f ms; SQLite alone %.0f "
                 "ms; ratio %.2f\n",
                 RECORDS, VALUE_LEN, a * 1e3, b * 1e3, a / b);
}

/* ---- commit ---- */

static double
commit_some(struct store *store)
{
    double start = now();

    for (int i = 0; i < COMMITS; i++) {
        begin(store);
        put(store, i * 7 % RECORDS);
        commit(store);
    }
    return COMMITS / (now() - start);
}

static double
sync_some(int fd)
{
    char page[PAGE] = "";
    double start = now();

    for (int i = 0; i < COMMITS; i++)
        if (write(fd, page, sizeof(page)) != PAGE || fdatasync(fd) < 0)
            give_up(path, strerror(errno));
    return COMMITS / (now() - start);
}

static void
bench_commit(void)
{
    double ours[ROUNDS], plain[ROUNDS];
    char other[4200];
    size_t count;
    struct store *store = open_store(&count);
    double a, b;
    int fd;

    (void)snprintf(other, sizeof(other), "%s.plain", path);
    fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        give_up(other, strerror(errno));
    for (int i = 0; i < ROUNDS; i++) {
        ours[i] = commit_some(store);
        plain[i] = sync_some(fd);
    }
    (void)close(fd);
    (void)unlink(other);
    store_close(&store);
    a = median(ours);
    b = median(plain);
    (void)printf("commit: %.0f/s, each on the disk; write and fdatasync of a "
                 "page %.0f/s; ratio %.2f\n",
                 a, b, a / b);
}

/* ---- put ---- */

static void
on_opened(const struct writer_opening *opening, void *arg)
{
    if (opening->err != NULL)
        give_up(path, opening->err->text);
    (void)event_base_loopbreak(arg);
}

static void
on_done(const struct err *err, void *arg)
{
    int *left = arg;

    if (err != NULL)
        give_up(path, err->text);
    --*left;
}

static void
bench_put(void)
{
    struct event_base *base = event_base_new();
    const struct writer_settings settings = {
        .path = path, .key = &key, .opened = on_opened, .arg = base};
    char name[64];
    const struct store_record record = {"token", name, value, VALUE_LEN, 0};
    int left = PUTS;
    struct writer_status status;
    struct writer *writer;
    struct err err;
    double start, queued, end;

    writer = base != NULL ? writer_new(base, &settings, &err) : NULL;
    if (writer == NULL)
        give_up(path, "no writer");
    (void)event_base_dispatch(base);
    start = now();
    for (int i = 0; i < PUTS; i++) {
        (void)snprintf(name, sizeof(name), "contoso mailbox%d@example.org",
                       i % RECORDS);
        if (writer_put(writer, &record, on_done, &left, &err) < 0)
            give_up(path, err.text);
    }
    queued = now();
    while (left > 0)
        (void)event_base_loop(base, EVLOOP_ONCE);
    end = now();
    writer_status(writer, &status);
    (void)printf("put: %.1f us each in the event loop; all %d durable after "
                 "%.0f ms in %" PRIu64 " commits\n",
                 (queued - start) / PUTS * 1e6, PUTS, (end - start) * 1e3,
                 status.commits);
    (void)writer_free(&writer, WRITER_STOP_MS);
    event_base_free(base);
}

int
main(int argc, char *argv[])
{
    const char *parent = argc > 1 ? argv[1] : getenv("TMPDIR");
    char directory[4000];

    (void)snprintf(directory, sizeof(directory), "%s/xr-bench.XXXXXX",
                   parent != NULL ? parent : "/tmp");
    if (mkdtemp(directory) == NULL)
        give_up(directory, strerror(errno));
    (void)snprintf(path, sizeof(path), "%s/state.db", directory);
    memset(value, 'v', sizeof(value));
    bench_load();
    bench_commit();
    bench_put();
    (void)unlink(path);
    if (rmdir(directory) < 0)
        give_up(directory, strerror(errno));
    return 0;
}
