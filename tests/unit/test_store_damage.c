/*
 * store: a file cut short anywhere, or with a wrong byte anywhere, never brings
 * the process down, costs no record that SQLite itself can still read, and is
 * left as it is when it is refused.
 */
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
#include <sqlite3.h>

#include "tests/unit/scratch.h"
#include "tests/unit/state_files.h"
#include "token-daemon/store.h"

#define RECORDS        24
#define VERSIONS       3
#define VALUE_LEN      1500
#define PAGE           4096
#define FRAME          (24 + PAGE) /* in a log, behind its header of 32 bytes */
#define FLIPS          400
#define HEADER_LEN     100
#define APPLICATION_AT 68

/* A file and its log as a killed process leaves them. */
static struct {
    struct state_snapshot files;
    char path[1024];    /* of the damaged copy */
    char witness[1024]; /* of the one that plain SQLite reads */
} world;

/* `NAME.VERSION` and filler, so that a record fills much of a page. */
static const char *
value_of(int record, int version)
{
    static char value[VALUE_LEN + 1];
    int n = snprintf(value, sizeof(value), "%d.%d ", record, version);

    memset(value + n, 'v', (size_t)(VALUE_LEN - n));
    return value;
}

static void
put_version(struct store *store, int record, int version)
{
    char name[16];

    (void)snprintf(name, sizeof(name), "n%d", record);
    state_put(store, "k", name, value_of(record, version));
}

/* Half of it has been moved into the file, half is in the log only. */
static int
set_up(void **state)
{
    struct store *store;

    if (scratch_set_up(state) != 0)
        return -1;
    (void)snprintf(world.path, sizeof(world.path), "%s",
                   scratch_path("damaged.db"));
    (void)snprintf(world.witness, sizeof(world.witness), "%s",
                   scratch_path("witness.db"));
    store = state_open_good(scratch_path("whole.db"), NULL);
    for (int i = 0; i < RECORDS; i++)
        put_version(store, i, 0);
    store_close(&store);
    store = state_open_good(scratch_path("whole.db"), NULL);
    for (int version = 1; version < VERSIONS; version++)
        for (int i = version; i < RECORDS; i += 5)
            put_version(store, i, version);
    for (int i = RECORDS; i < RECORDS + 4; i++)
        put_version(store, i, 0);
    world.files = state_snapshot_take(scratch_path("whole.db"));
    store_close(&store);
    return world.files.len[0] > 10 * PAGE && world.files.len[1] > 10 * FRAME
               ? 0
               : -1;
}

static int
tear_down(void **state)
{
    state_snapshot_clear(&world.files);
    return scratch_tear_down(state);
}

static void
write_one(const char *path, const char *suffix, const char *data, size_t len)
{
    char name[1100];
    FILE *file;

    (void)snprintf(name, sizeof(name), "%s%s", path, suffix);
    file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(name, 0600), 0);
}

static void
write_both(const char *path, const struct state_snapshot *files)
{
    write_one(path, "", files->data[0], files->len[0]);
    write_one(path, "-wal", files->data[1], files->len[1]);
}

/* One that SQLite alone can read: name and sealed value. */
struct sight {
    char name[16];
    void *sealed; /* owned */
    int len;
};

struct sights {
    struct sight list[RECORDS + 4];
    size_t count;
};

/* What plain SQLite reads, from the front until something is in the way. */
static void
witness(const char *path, struct sights *out)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *rows = NULL;

    out->count = 0;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    /* What becomes of the copy is nobody's concern. */
    (void)sqlite3_exec(database, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    if (sqlite3_prepare_v2(database,
                           "SELECT name, value, kind FROM record ORDER BY id",
                           -1, &rows, NULL) == SQLITE_OK)
        while (sqlite3_step(rows) == SQLITE_ROW) {
            struct sight *sight = &out->list[out->count];
            const char *name = (const char *)sqlite3_column_text(rows, 0);
            const void *sealed = sqlite3_column_blob(rows, 1);
            const char *kind = (const char *)sqlite3_column_text(rows, 2);

            if (name == NULL || sealed == NULL || kind == NULL ||
                strcmp(kind, "k") != 0 ||
                out->count == sizeof(out->list) / sizeof(out->list[0]))
                continue; /* not as it was written */
            (void)snprintf(sight->name, sizeof(sight->name), "%s", name);
            sight->len = sqlite3_column_bytes(rows, 1);
            sight->sealed = malloc((size_t)sight->len);
            assert_non_null(sight->sealed);
            memcpy(sight->sealed, sealed, (size_t)sight->len);
            out->count++;
        }
    (void)sqlite3_finalize(rows);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static void
free_sights(struct sights *sights)
{
    for (size_t i = 0; i < sights->count; i++)
        free(sights->list[i].sealed);
    sights->count = 0;
}

/* Every sight was told, with some value that was once committed. */
static void
assert_told(const struct sights *sights, const struct state_contents *contents,
            size_t at)
{
    struct err err;
    struct seal *seal = seal_new(&state_key, &err);

    assert_non_null(seal);
    for (size_t i = 0; i < sights->count; i++) {
        const struct sight *sight = &sights->list[i];
        const struct seal_label label = {"k", sight->name};
        char line[VALUE_LEN + 32];
        struct buf plain;

        buf_init(&plain, VALUE_LEN + 1);
        if (seal_open(seal, &label, sight->sealed, (size_t)sight->len, &plain,
                      &err) == 0) {
            (void)snprintf(line, sizeof(line), "k %s=%s", sight->name,
                           buf_str(&plain));
            if (!state_contents_have(contents, line))
                fail_msg("%s was not told, damaged at %zu", sight->name, at);
        }
        buf_clear(&plain);
    }
    seal_free(&seal);
}

/* What was told is what was once written, and nothing else. */
static void
assert_genuine(const struct state_contents *contents)
{
    for (size_t i = 0; i < contents->count; i++) {
        char line[VALUE_LEN + 32];
        int record = -1, version = -1;

        assert_int_equal(
            sscanf(contents->lines[i], "k n%*d=%d.%d ", &record, &version), 2);
        (void)snprintf(line, sizeof(line), "k n%d=%s", record,
                       value_of(record, version));
        assert_string_equal(contents->lines[i], line);
    }
}

/* Does the file still say whose it is? */
static bool
is_header_whole(const struct state_snapshot *files)
{
    return files->len[0] >= HEADER_LEN &&
           memcmp(files->data[0], "SQLite format 3", 16) == 0 &&
           memcmp(files->data[0] + APPLICATION_AT, "XO2T", 4) == 0;
}

/* Returns whether it was opened. */
static bool
open_damaged(const struct state_snapshot *files, size_t at)
{
    struct state_snapshot after;
    struct state_contents contents;
    struct sights sights, later;
    struct store *store;
    struct err err = {ERR_NONE, ""};
    bool is_opened = false;
    bool is_ours = is_header_whole(files);

    write_both(world.witness, files);
    witness(world.witness, &sights);
    write_both(world.path, files);
    store = state_open(world.path, &contents, &err);
    assert_genuine(&contents);
    if (store == NULL) {
        assert_true(strlen(err.text) > 0);
        after = state_snapshot_take(world.path);
        assert_true(state_snapshot_is_same(files, &after));
        state_snapshot_clear(&after);
    }
    /* A file that may be another's is not even given to SQLite: nothing is
     * read, nothing is lost. */
    if (store != NULL || is_ours)
        assert_told(&sights, &contents, at);
    if (store != NULL) {
        store_close(&store);
        witness(world.path, &later);
        assert_int_equal(later.count, sights.count);
        free_sights(&later);
        is_opened = true;
    }
    state_contents_clear(&contents);
    free_sights(&sights);
    return is_opened;
}

static void
the_whole_files_are_read(void **state)
{
    (void)state;
    assert_true(open_damaged(&world.files, 0));
}

static void
cut_at(size_t which, size_t len, int counts[2])
{
    struct state_snapshot files = world.files;

    files.len[which] = len;
    counts[open_damaged(&files, len) ? 1 : 0]++;
}

/* Each length near where something begins, and some between. */
static void
the_file_is_cut_at_any_length(void **state)
{
    size_t whole = world.files.len[0];
    int counts[2] = {0, 0};

    (void)state;
    for (size_t len = 0; len < whole; len++) {
        size_t rest = len % PAGE;

        if (len <= HEADER_LEN + 10 || rest <= 1 || rest == PAGE - 1 ||
            len % 509 == 0)
            cut_at(0, len, counts);
    }
    /* It was no matter of one outcome only. */
    assert_true(counts[0] > 100);
}

static void
the_log_is_cut_at_any_length(void **state)
{
    size_t whole = world.files.len[1];
    int counts[2] = {0, 0};

    (void)state;
    for (size_t len = 0; len < whole; len++) {
        size_t rest = len < 32 ? 0 : (len - 32) % FRAME;

        if (len <= 34 || rest <= 1 || rest == 23 || rest == 24 ||
            rest == FRAME - 1 || len % 1021 == 0)
            cut_at(1, len, counts);
    }
    /* What is missing at a log's end was never committed. */
    assert_int_equal(counts[0], 0);
}

static void
both_are_cut(void **state)
{
    int counts[2] = {0, 0};

    (void)state;
    for (size_t pages = 1; pages < world.files.len[0] / PAGE; pages += 3)
        for (size_t frames = 0; 32 + frames * FRAME < world.files.len[1];
             frames += 5) {
            struct state_snapshot files = world.files;

            files.len[0] = pages * PAGE;
            files.len[1] = 32 + frames * FRAME;
            counts[open_damaged(&files, files.len[0]) ? 1 : 0]++;
        }
    assert_true(counts[0] > 0);
}

/* A wrong byte here and there; the same places in each run. */
static void
bytes_are_wrong(void **state)
{
    uint32_t chance = 1;
    int counts[2] = {0, 0};

    (void)state;
    for (int i = 0; i < FLIPS; i++) {
        size_t which = (size_t)i % 2;
        size_t at;
        char *byte;
        char before;

        chance = chance * 1664525 + 1013904223;
        at = (chance >> 8) % world.files.len[which];
        /* Every fourth time where pages say what is in them. */
        if (i % 8 == 0)
            at = at / PAGE * PAGE + at % 16;
        byte = &world.files.data[which][at];
        before = *byte;
        *byte = (char)(before ^ (1 << (chance % 8)));
        counts[open_damaged(&world.files, at) ? 1 : 0]++;
        *byte = before;
    }
    assert_true(counts[0] > 0);
    assert_true(counts[1] > 0);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_files_are_read),
        cmocka_unit_test(the_file_is_cut_at_any_length),
        cmocka_unit_test(the_log_is_cut_at_any_length),
        cmocka_unit_test(both_are_cut),
        cmocka_unit_test(bytes_are_wrong),
    };

    return cmocka_run_group_tests_name("store_damage", tests, set_up,
                                       tear_down);
}
