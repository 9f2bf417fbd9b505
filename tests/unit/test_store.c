/*
 * store: what was committed is there, and what is not ours or can't be used is
 * left as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "common/util.h"
#include "tests/unit/scratch.h"
#include "tests/unit/state_files.h"
#include "token-daemon/store.h"

static void
assert_has(const struct err *err, const char *want)
{
    if (strstr(err->text, want) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err->text, want);
}

/* Run SQL on a closed file, as an administrator or an enemy might. */
static void
run_sql(const char *path, const char *text)
{
    sqlite3 *database = NULL;

    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    if (sqlite3_exec(database, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(database));
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

/* ---- the main road ---- */

static void
records_are_there_after_reopening(void **state)
{
    const char *path = scratch_path("reopen.db");
    const struct store_settings settings = {path, &state_key};
    struct state_contents contents;
    struct store *store;
    struct err err;
    bool is_new = false;

    (void)state;
    (void)umask(0); /* the files are private all the same */
    store = store_open(&settings, &state_ignore, &is_new, &err);
    assert_non_null(store);
    assert_true(is_new);
    state_put(store, "token", "a@b.c", "plain-text-1");
    state_put(store, "token", "A@b.c", "2");
    state_put(store, "rotation", "a@b.c", "3");
    state_put(store, "token", "gone", "4");
    state_put(store, "token", "A@b.c", "5");
    assert_int_equal(store_begin(store, &err), 0);
    assert_int_equal(store_delete(store, "token", "gone", &err), 0);
    assert_int_equal(store_delete(store, "token", "never there", &err), 0);
    assert_int_equal(store_commit(store, &err), 0);
    for (int i = 0; i < 2; i++) {
        struct stat st;

        assert_int_equal(
            stat(i == 0 ? path : scratch_path("reopen.db-wal"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    store_close(&store);
    assert_null(store);
    store_close(&store); /* takes NULL */

    store = state_open_good(path, &contents);
    assert_int_equal(contents.count, 3);
    assert_int_equal(contents.damaged, 0);
    assert_true(state_contents_have(&contents, "token a@b.c=plain-text-1"));
    assert_true(state_contents_have(&contents, "token A@b.c=5"));
    assert_true(state_contents_have(&contents, "rotation a@b.c=3"));
    state_contents_clear(&contents);
    store_close(&store);
}

static void
on_any_bytes(const struct store_record *record, void *arg)
{
    int *count = arg;

    ++*count;
    if (strcmp(record->name, "empty") == 0) {
        assert_int_equal(record->len, 0);
        return;
    }
    assert_string_equal(record->name, "b\xc3\xa9 '\"\\\n");
    assert_int_equal(record->updated, INT64_C(-5000000000));
    assert_int_equal(record->len, 256 * 100);
    for (size_t i = 0; i < record->len; i++)
        assert_int_equal((unsigned char)record->value[i], i % 256);
}

static void
any_bytes_come_back(void **state)
{
    const char *path = scratch_path("bytes.db");
    const struct store_settings settings = {path, &state_key};
    char value[256 * 100];
    const struct store_record records[] = {
        {"k", "b\xc3\xa9 '\"\\\n", value, sizeof(value), INT64_C(-5000000000)},
        {"k", "empty", "", 0, 0},
    };
    struct store *store = state_open_good(path, NULL);
    int count = 0;
    const struct store_reader reader = {on_any_bytes, NULL, &count};
    struct err err;
    bool is_new = true;

    (void)state;
    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (char)(i % 256);
    assert_int_equal(store_begin(store, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        assert_int_equal(store_put(store, &records[i], &err), 0);
    assert_int_equal(store_commit(store, &err), 0);
    store_close(&store);
    store = store_open(&settings, &reader, &is_new, &err);
    assert_non_null(store);
    assert_false(is_new);
    assert_int_equal(count, 2);
    store_close(&store);
}

static void
no_file_holds_what_is_sealed(void **state)
{
    static const char *const names[] = {"sealed.db", "sealed.db-wal"};
    struct store *store = state_open_good(scratch_path(names[0]), NULL);

    (void)state;
    state_put(store, "token", "a@b.c", "a very secret refresh token");
    state_put(store, "token", "a@b.c", "another very secret one");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t len;
        char *data = state_read_file(scratch_path(names[i]), &len);

        assert_non_null(data);
        assert_null(memmem(data, len, "very secret", 11));
        free(data);
    }
    store_close(&store);
}

static void
what_was_not_committed_is_not_there(void **state)
{
    const char *path = scratch_path("rollback.db");
    const struct store_record record = {"k", "n", "v", 1, 0};
    struct state_contents contents;
    struct store *store = state_open_good(path, NULL);
    struct err err;

    (void)state;
    state_put(store, "k", "before", "1");
    assert_int_equal(store_begin(store, &err), 0);
    assert_int_equal(store_put(store, &record, &err), 0);
    assert_int_equal(store_delete(store, "k", "before", &err), 0);
    store_close(&store);
    store = state_open_good(path, &contents);
    assert_int_equal(contents.count, 1);
    assert_true(state_contents_have(&contents, "k before=1"));
    state_contents_clear(&contents);
    store_close(&store);
}

static void
what_is_too_long_undoes_the_transaction(void **state)
{
    char *name = calloc(1, STORE_NAME_MAX + 2);
    char *value = calloc(1, STORE_VALUE_MAX + 2);
    const struct store_record bad[] = {
        {"k", name, "v", 1, 0},
        {"", "n", "v", 1, 0},
        {"a kind of more than thirty-two bytes", "n", "v", 1, 0},
        {"k", "n", value, STORE_VALUE_MAX + 1, 0},
    };
    const struct store_record good = {"k", "good", value, STORE_VALUE_MAX, 0};
    struct store *store = state_open_good(scratch_path("long.db"), NULL);
    struct state_contents contents;
    struct err err;

    (void)state;
    assert_non_null(name);
    assert_non_null(value);
    memset(name, 'n', STORE_NAME_MAX + 1);
    memset(value, 'v', STORE_VALUE_MAX + 1);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(store_begin(store, &err), 0);
        assert_int_equal(store_put(store, &good, &err), 0);
        assert_int_equal(store_put(store, &bad[i], &err), -1);
        assert_int_equal(err.code, ERR_CONFIG);
        assert_false(store_is_broken(store));
    }
    assert_int_equal(store_begin(store, &err), 0);
    name[STORE_NAME_MAX] = '\0';
    assert_int_equal(store_put(store, &bad[0], &err), 0);
    assert_int_equal(store_commit(store, &err), 0);
    store_close(&store);
    store = state_open_good(scratch_path("long.db"), &contents);
    assert_int_equal(contents.count, 1);
    state_contents_clear(&contents);
    store_close(&store);
    free(name);
    free(value);
}

static void
ten_thousand_are_there(void **state)
{
    const char *path = scratch_path("many.db");
    struct store *store = state_open_good(path, NULL);
    struct state_contents contents;
    char name[32];
    char value[3000];
    const struct store_record record = {"token", name, value, sizeof(value), 0};
    struct err err;

    (void)state;
    memset(value, 'v', sizeof(value));
    assert_int_equal(store_begin(store, &err), 0);
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(name, sizeof(name), "mailbox%d@example.org", i);
        assert_int_equal(store_put(store, &record, &err), 0);
    }
    assert_int_equal(store_commit(store, &err), 0);
    store_close(&store);
    store = state_open_good(path, &contents);
    assert_int_equal(contents.count, 10000);
    state_contents_clear(&contents);
    store_close(&store);
}

/* ---- the audit trail ---- */

struct rows {
    char text[4000];
    size_t count;
    int64_t last_id;
};

static void
on_row(const struct store_audit *entry, void *arg)
{
    struct rows *rows = arg;
    size_t len = strlen(rows->text);

    assert_true(entry->id > rows->last_id);
    rows->last_id = entry->id;
    rows->count++;
    (void)snprintf(rows->text + len, sizeof(rows->text) - len, "%d|%s|%s|%s\n",
                   (int)entry->at, entry->who, entry->what, entry->detail);
}

static void
add_audit(struct store *store, const struct store_audit *entry, int count)
{
    struct err err;

    assert_int_equal(store_begin(store, &err), 0);
    for (int i = 0; i < count; i++)
        assert_int_equal(store_audit(store, entry, &err), 0);
    assert_int_equal(store_commit(store, &err), 0);
}

static void
assert_audit(struct store *store, size_t count, const char *want)
{
    struct rows rows = {.count = 0};
    struct err err;

    assert_int_equal(store_read_audit(store, count, on_row, &rows, &err), 0);
    assert_string_equal(rows.text, want);
}

static void
the_audit_trail_is_in_order(void **state)
{
    const char *path = scratch_path("audit.db");
    struct store *store = state_open_good(path, NULL);

    (void)state;
    assert_audit(store, 10, "");
    add_audit(store, &(struct store_audit){0, 1, "root", "reload", ""}, 1);
    add_audit(store, &(struct store_audit){0, 2, "root", "login", "a@b.c"}, 1);
    add_audit(store, &(struct store_audit){0, 1, "x", "rotate", "c"}, 1);
    assert_audit(store, 10,
                 "1|root|reload|\n2|root|login|a@b.c\n1|x|rotate|c\n");
    assert_audit(store, 2, "2|root|login|a@b.c\n1|x|rotate|c\n");
    assert_audit(store, 0, "");
    store_close(&store);
    store = state_open_good(path, NULL);
    assert_audit(store, 1, "1|x|rotate|c\n");
    store_close(&store);
}

static void
the_audit_trail_stays_bounded(void **state)
{
    struct store *store = state_open_good(scratch_path("bounded.db"), NULL);
    struct rows rows = {.count = 0};
    struct err err;

    (void)state;
    add_audit(store, &(struct store_audit){0, 1, "who", "first", ""}, 3);
    add_audit(store, &(struct store_audit){0, 2, "who", "more", ""},
              STORE_AUDIT_ROWS - 1);
    assert_int_equal(store_read_audit(store, SIZE_MAX, on_row, &rows, &err), 0);
    assert_int_equal(rows.count, STORE_AUDIT_ROWS);
    assert_int_equal(strncmp(rows.text, "1|who|first|\n2|who|more|\n", 25), 0);
    store_close(&store);
}

static void
long_texts_are_cut_between_characters(void **state)
{
    struct store *store = state_open_good(scratch_path("cut.db"), NULL);
    char who[STORE_AUDIT_WHO_MAX + 10];
    struct rows rows = {.count = 0};
    struct err err;

    (void)state;
    /* A character of two bytes stands across the limit. */
    memset(who, 'w', sizeof(who));
    memcpy(who + STORE_AUDIT_WHO_MAX - 1, "\xc3\xa9", 2);
    who[sizeof(who) - 1] = '\0';
    add_audit(store, &(struct store_audit){0, 1, who, "what", ""}, 1);
    assert_int_equal(store_read_audit(store, 1, on_row, &rows, &err), 0);
    who[STORE_AUDIT_WHO_MAX - 1] = '\0';
    assert_int_equal(strncmp(rows.text + 2, who, strlen(who)), 0);
    assert_string_equal(rows.text + 2 + strlen(who), "|what|\n");
    store_close(&store);
}

/* ---- what is refused, and then not touched ---- */

/* Make a good file with one record at `path`, closed. */
static void
make_good(const char *path)
{
    struct store *store = state_open_good(path, NULL);

    state_put(store, "k", "n", "v");
    store_close(&store);
}

static void
prepare_foreign(const char *path)
{
    run_sql(path, "PRAGMA journal_mode = WAL; CREATE TABLE t (x);"
                  "INSERT INTO t VALUES (1)");
    assert_int_equal(chmod(path, 0600), 0);
}

static void
prepare_text(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (int i = 0; i < 100; i++)
        assert_true(fputs("This is somebody's diary.\n", file) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void
prepare_cut(const char *path)
{
    make_good(path);
    assert_int_equal(truncate(path, 99), 0);
}

static void
prepare_later(const char *path)
{
    make_good(path);
    run_sql(path, "PRAGMA user_version = 2");
}

static void
prepare_without_check(const char *path)
{
    make_good(path);
    run_sql(path, "DELETE FROM meta");
}

static void
prepare_without_table(const char *path)
{
    make_good(path);
    run_sql(path, "DROP TABLE meta");
}

static void
prepare_other_key(const char *path)
{
    const struct store_settings settings = {path, &state_other_key};
    struct err err;
    bool is_new;
    struct store *store = store_open(&settings, &state_ignore, &is_new, &err);

    assert_non_null(store);
    state_put(store, "k", "n", "v");
    store_close(&store);
}

static void
prepare_open_to_others(const char *path)
{
    make_good(path);
    assert_int_equal(chmod(path, 0640), 0);
}

static void
prepare_directory(const char *path)
{
    assert_int_equal(mkdir(path, 0700), 0);
}

static void
prepare_fifo(const char *path)
{
    assert_int_equal(mkfifo(path, 0600), 0);
}

static void
prepare_link(const char *path)
{
    assert_int_equal(symlink("elsewhere", path), 0);
}

/* Copies of file and log of a store that is still open. */
static void
copy_while_open(const char *path)
{
    char from[1024], to[1024];
    struct store *store = state_open_good(scratch_path("open.db"), NULL);

    state_put(store, "k", "n", "v");
    state_copy_file(scratch_path("open.db"), path);
    (void)snprintf(from, sizeof(from), "%s-wal", scratch_path("open.db"));
    (void)snprintf(to, sizeof(to), "%s-wal", path);
    state_copy_file(from, to);
    store_close(&store);
    (void)unlink(scratch_path("open.db"));
}

static void
prepare_lone_log(const char *path)
{
    copy_while_open(path);
    assert_int_equal(unlink(path), 0);
}

static void
prepare_empty_beside_log(const char *path)
{
    copy_while_open(path);
    assert_int_equal(truncate(path, 0), 0);
}

static void
prepare_garbled_pages(const char *path)
{
    char page[4096];
    FILE *file;

    make_good(path);
    memset(page, 0xa5, sizeof(page));
    file = fopen(path, "r+");
    assert_non_null(file);
    for (long i = 1; i < 7; i++) {
        assert_int_equal(fseek(file, i * 4096, SEEK_SET), 0);
        assert_int_equal(fwrite(page, 1, sizeof(page), file), sizeof(page));
    }
    assert_int_equal(fclose(file), 0);
}

struct row {
    const char *name;
    void (*prepare)(const char *path);
    const char *want;  /* what the error holds */
    size_t want_count; /* records that are told all the same */
};

static struct row rows[] = {
    {"another program's database", prepare_foreign,
     "is another program's SQLite file", 0},
    {"another program's text", prepare_text, "is not the state of this program",
     0},
    {"a file cut inside its header", prepare_cut, "it ends after 99 bytes", 0},
    {"a file of a later version", prepare_later, "is of a later version (2)",
     0},
    {"a file without what tells the key", prepare_without_check,
     "is damaged; put it back from a backup", 1},
    {"a file without a table", prepare_without_table, "is damaged", 1},
    {"pages of noise", prepare_garbled_pages, "is damaged", 0},
    {"a file that another key sealed", prepare_other_key,
     "was sealed with another key", 0},
    {"a file that others may read", prepare_open_to_others,
     "(mode 0640); run: chmod 0600 '", 0},
    {"a directory", prepare_directory, "is no regular file", 0},
    {"a FIFO", prepare_fifo, "is no regular file", 0},
    {"a symbolic link", prepare_link, "is no regular file", 0},
    {"a log without its file", prepare_lone_log, "is missing or empty, but ",
     0},
    {"an empty file beside a log", prepare_empty_beside_log,
     "is missing or empty, but ", 0},
};

static void
check_refused(void **state)
{
    const struct row *row = *state;
    struct state_snapshot before = {0}, after = {0};
    struct state_contents contents;
    struct err err = {ERR_NONE, ""};
    char path[1024];
    struct stat st;
    bool is_file;

    (void)snprintf(path, sizeof(path), "%s", scratch_path("refused-XXXXXX.db"));
    assert_true(mkstemps(path, 3) >= 0);
    assert_int_equal(unlink(path), 0);
    row->prepare(path);
    is_file = lstat(path, &st) < 0 || S_ISREG(st.st_mode);
    if (is_file)
        before = state_snapshot_take(path);
    assert_null(state_open(path, &contents, &err));
    assert_has(&err, row->want);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_int_equal(contents.count, row->want_count);
    if (is_file) {
        after = state_snapshot_take(path);
        assert_true(state_snapshot_is_same(&before, &after));
    }
    state_snapshot_clear(&before);
    state_snapshot_clear(&after);
    state_contents_clear(&contents);
    (void)rmdir(path);
}

static void
the_directory_must_be_there_and_ours(void **state)
{
    const char *directory = scratch_path("none");
    struct state_contents contents;
    struct err err = {ERR_NONE, ""};
    char path[1024], want[1200];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/state.db", directory);
    assert_null(state_open(path, &contents, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_has(&err, "run: install -d -o ");
    (void)snprintf(want, sizeof(want), " -m 0700 '%s'", directory);
    assert_has(&err, want);
    assert_int_equal(store_check(path, &err), -1);
    assert_has(&err, want);

    assert_int_equal(mkdir(directory, 0700), 0);
    assert_int_equal(store_check(path, &err), 0);
    assert_int_equal(chmod(directory, 0720), 0);
    err = (struct err){ERR_NONE, ""};
    assert_null(state_open(path, &contents, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_has(&err, "others may write the directory of the state");
    assert_has(&err, "mode 0720");
    (void)snprintf(want, sizeof(want), "' && chmod 0700 '%s'", directory);
    assert_has(&err, want);
    assert_int_equal(rmdir(directory), 0);
}

static void
a_file_that_is_replaced_while_open_is_noticed(void **state)
{
    const char *path = scratch_path("moved.db");
    struct store *store = state_open_good(path, NULL);
    struct state_snapshot before, after;
    struct state_contents contents;
    struct err err = {ERR_NONE, ""};

    (void)state;
    state_put(store, "k", "n", "1");
    make_good(scratch_path("other.db"));
    assert_int_equal(rename(path, scratch_path("moved-away.db")), 0);
    assert_int_equal(state_try_put(store, "n", "2", &err), -1);
    assert_int_equal(err.code, ERR_RETRY);
    assert_has(&err, "was moved, deleted or replaced");
    assert_true(store_is_broken(store));
    assert_int_equal(rename(scratch_path("other.db"), path), 0);
    before = state_snapshot_take(path);
    store_close(&store);
    /* Neither the new one nor the log that now lies beside it was touched. */
    after = state_snapshot_take(path);
    assert_true(state_snapshot_is_same(&before, &after));
    state_snapshot_clear(&before);
    state_snapshot_clear(&after);

    /* Both parts in one place again, nothing is lost. */
    assert_int_equal(
        rename(scratch_path("moved.db-wal"), scratch_path("moved-away.db-wal")),
        0);
    store = state_open_good(scratch_path("moved-away.db"), &contents);
    assert_true(state_contents_have(&contents, "k n=1"));
    state_contents_clear(&contents);
    store_close(&store);
}

/* ---- records that don't open ---- */

static void
records_that_do_not_open_are_left_alone(void **state)
{
    const char *path = scratch_path("damaged.db");
    struct store *store = state_open_good(path, NULL);
    struct state_contents contents;

    (void)state;
    state_put(store, "k", "a", "1");
    state_put(store, "k", "b", "2");
    state_put(store, "k", "c", "3");
    state_put(store, "k", "d", "4");
    state_put(store, "k", "e", "5");
    store_close(&store);
    /* Another byte, an exchange, the wrong type. */
    run_sql(path, "UPDATE record SET value = substr(value, 1, 15) || "
                  "CASE substr(value, 16, 1) WHEN x'00' THEN x'01' "
                  "ELSE x'00' END || substr(value, 17) WHERE name = 'a';"
                  "UPDATE record SET name = 'x' WHERE name = 'b';"
                  "UPDATE record SET name = 'b' WHERE name = 'c';"
                  "UPDATE record SET name = 'c' WHERE name = 'x';"
                  "UPDATE record SET value = 'text' WHERE name = 'd'");

    store = state_open_good(path, &contents);
    assert_int_equal(contents.count, 1);
    assert_true(state_contents_have(&contents, "k e=5"));
    assert_int_equal(contents.damaged, 4);
    state_contents_clear(&contents);
    state_put(store, "k", "f", "6");
    state_put(store, "k", "a", "7"); /* something newer replaces it */
    store_close(&store);

    store = state_open_good(path, &contents);
    assert_int_equal(contents.count, 3);
    assert_true(state_contents_have(&contents, "k a=7"));
    assert_int_equal(contents.damaged, 3);
    state_contents_clear(&contents);
    store_close(&store);

    /* An exchange that is undone has cost nothing. */
    run_sql(path, "UPDATE record SET name = 'x' WHERE name = 'b';"
                  "UPDATE record SET name = 'b' WHERE name = 'c';"
                  "UPDATE record SET name = 'c' WHERE name = 'x'");
    store = state_open_good(path, &contents);
    assert_true(state_contents_have(&contents, "k b=2"));
    assert_true(state_contents_have(&contents, "k c=3"));
    state_contents_clear(&contents);
    store_close(&store);
}

/* ---- the key file ---- */

static struct store *
open_with_key_file(const char *path, struct err *err)
{
    const struct store_settings settings = {path, NULL};
    bool is_new;

    return store_open(&settings, &state_ignore, &is_new, err);
}

static void
a_key_file_is_made_with_the_state_only(void **state)
{
    const char *path = scratch_path("keyed.db");
    struct err err = {ERR_NONE, ""};
    struct store *store = open_with_key_file(path, &err);

    (void)state;
    assert_non_null(store);
    state_put(store, "k", "n", "v");
    store_close(&store);
    store = open_with_key_file(path, &err);
    assert_non_null(store);
    store_close(&store);

    assert_int_equal(rename(scratch_path("keyed.db" STORE_KEY_SUFFIX),
                            scratch_path("kept.key")),
                     0);
    assert_null(open_with_key_file(path, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_has(&err, "key file ");
    assert_has(&err, "is missing; put it back from a backup");
    assert_int_equal(access(scratch_path("keyed.db" STORE_KEY_SUFFIX), F_OK),
                     -1);
    assert_int_equal(rename(scratch_path("kept.key"),
                            scratch_path("keyed.db" STORE_KEY_SUFFIX)),
                     0);
    store = open_with_key_file(path, &err);
    assert_non_null(store);
    store_close(&store);
}

/* ---- two processes ---- */

static void
a_second_process_is_refused(void **state)
{
    const char *path = scratch_path("busy.db");
    struct state_contents contents;
    struct err err = {ERR_NONE, ""};
    struct store *store;
    int ready[2], end[2];
    int status = 0;
    char byte = 0;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(end), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        store = state_open_good(path, NULL);
        (void)close(end[1]);
        _exit(write(ready[1], "x", 1) == 1 && read(end[0], &byte, 1) == 0 ? 0
                                                                          : 1);
    }
    (void)close(ready[1]);
    (void)close(end[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_null(state_open(path, &contents, &err));
    assert_int_equal(err.code, ERR_RETRY);
    assert_has(&err, "another process has the state ");
    (void)close(end[1]);
    (void)close(ready[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    store = state_open_good(path, NULL);
    store_close(&store);
}

/* ---- disks that are full or read-only (in a child; must() ends it) ---- */

static void
must(bool is_so, const char *what, const struct err *err)
{
    if (is_so)
        return;
    (void)fprintf(stderr, "# not so: %s; last error: %s\n", what,
                  err != NULL ? err->text : "");
    _exit(1);
}

static void
read_only_in_child(void *arg)
{
    const char *with_log = arg;
    const char *directory = scratch_path("readonly");
    struct state_contents contents;
    struct err err = {ERR_NONE, ""};
    char path[1024];

    (void)snprintf(path, sizeof(path), "%s/sta%%te?#.db", directory);
    must(mkdir(directory, 0700) == 0, "mkdir", NULL);
    must(mount("none", directory, "tmpfs", 0, "mode=0700") == 0, "tmpfs", NULL);
    if (*with_log != '\0')
        copy_while_open(path);
    else
        make_good(path);
    must(mount(NULL, directory, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0,
         "remount", NULL);
    must(state_open(path, &contents, &err) == NULL, "it opens", NULL);
    must(err.code == ERR_RETRY, "RETRY", &err);
    must(strstr(err.text, "read-only") != NULL, "says read-only", &err);
    must(contents.count == 1, "one record", &err);
    must(state_contents_have(&contents, "k n=v"), "the record", &err);
    must(mount(NULL, directory, NULL, MS_REMOUNT, NULL) == 0, "remount", NULL);
    must(state_open(path, &contents, &err) != NULL, "opens again", &err);
    must(state_contents_have(&contents, "k n=v"), "the record", &err);
}

static void
a_read_only_disk_is_read(void **state)
{
    char no[] = "";

    (void)state;
    state_in_own_mounts(read_only_in_child, no);
    assert_int_equal(rmdir(scratch_path("readonly")), 0);
}

static void
a_read_only_disk_is_read_with_its_log(void **state)
{
    char yes[] = "log";

    (void)state;
    state_in_own_mounts(read_only_in_child, yes);
    assert_int_equal(rmdir(scratch_path("readonly")), 0);
}

static void
full_in_child(void *arg)
{
    const char *directory = scratch_path("full");
    struct state_contents contents;
    struct err err = {ERR_NONE, ""};
    struct store *store;
    char path[1024], ballast[1024], value[3001], name[16];
    int count;
    int fd;

    (void)arg;
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    (void)snprintf(path, sizeof(path), "%s/state.db", directory);
    (void)snprintf(ballast, sizeof(ballast), "%s/ballast", directory);
    must(mkdir(directory, 0700) == 0, "mkdir", NULL);
    must(mount("none", directory, "tmpfs", 0, "mode=0700,size=1m") == 0,
         "tmpfs", NULL);
    fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0 && posix_fallocate(fd, 0, 512 * 1024) == 0, "ballast", NULL);
    store = state_open_good(path, NULL);
    for (count = 0; count < 1000; count++) {
        (void)snprintf(name, sizeof(name), "n%d", count);
        if (state_try_put(store, name, value, &err) < 0)
            break;
    }
    must(count > 10 && count < 1000, "it gets full", &err);
    must(err.code == ERR_RETRY, "RETRY", &err);
    must(strstr(err.text, "the disk is full") != NULL, "says full", &err);
    must(strstr(err.text, path) != NULL, "says which", &err);
    if (store_is_broken(store)) {
        store_close(&store);
        store = state_open(path, &contents, &err);
        must(store != NULL, "opens while full", &err);
        must(contents.count == (size_t)count, "all are there", &err);
    }
    must(state_try_put(store, name, value, &err) < 0, "still full", &err);
    must(unlink(ballast) == 0 && close(fd) == 0, "no ballast", NULL);
    must(state_try_put(store, name, value, &err) == 0, "goes on", &err);
    store_close(&store);
    store = state_open(path, &contents, &err);
    must(store != NULL, "opens again", &err);
    must(contents.count == (size_t)count + 1, "all are there", &err);
    must(contents.damaged == 0, "all are good", &err);
}

static void
a_full_disk_loses_nothing(void **state)
{
    (void)state;
    state_in_own_mounts(full_in_child, NULL);
    assert_int_equal(rmdir(scratch_path("full")), 0);
}

static void
new_on_full_in_child(void *arg)
{
    const char *directory = scratch_path("newfull");
    struct state_contents contents;
    struct err err = {ERR_NONE, ""};
    char path[1024], ballast[1024];
    const struct store_settings settings = {path, NULL};
    struct store *store;
    bool is_new;
    int fd;

    (void)arg;
    (void)snprintf(path, sizeof(path), "%s/state.db", directory);
    (void)snprintf(ballast, sizeof(ballast), "%s/ballast", directory);
    must(mkdir(directory, 0700) == 0, "mkdir", NULL);
    must(mount("none", directory, "tmpfs", 0, "mode=0700,size=64k") == 0,
         "tmpfs", NULL);
    fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0 && posix_fallocate(fd, 0, 64 * 1024) == 0, "ballast", NULL);
    must(store_open(&settings, &state_ignore, &is_new, &err) == NULL,
         "it opens", NULL);
    must(err.code == ERR_RETRY, "RETRY", &err);
    must(ftruncate(fd, 60 * 1024) == 0, "room for the key", NULL);
    must(store_open(&settings, &state_ignore, &is_new, &err) == NULL,
         "it opens", NULL);
    must(err.code == ERR_RETRY, "RETRY", &err);
    must(strstr(err.text, "the disk is full") != NULL, "says full", &err);
    must(ftruncate(fd, 0) == 0, "room for all", NULL);
    store = store_open(&settings, &state_ignore, &is_new, &err);
    must(store != NULL, "opens at last", &err);
    must(is_new, "is new", &err);
    (void)contents;
}

static void
a_state_is_made_when_a_full_disk_has_room_again(void **state)
{
    (void)state;
    state_in_own_mounts(new_on_full_in_child, NULL);
    assert_int_equal(rmdir(scratch_path("newfull")), 0);
}

int
main(void)
{
    static const struct CMUnitTest fixed[] = {
        cmocka_unit_test(records_are_there_after_reopening),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(no_file_holds_what_is_sealed),
        cmocka_unit_test(what_was_not_committed_is_not_there),
        cmocka_unit_test(what_is_too_long_undoes_the_transaction),
        cmocka_unit_test(ten_thousand_are_there),
        cmocka_unit_test(the_audit_trail_is_in_order),
        cmocka_unit_test(the_audit_trail_stays_bounded),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(the_directory_must_be_there_and_ours),
        cmocka_unit_test(a_file_that_is_replaced_while_open_is_noticed),
        cmocka_unit_test(records_that_do_not_open_are_left_alone),
        cmocka_unit_test(a_key_file_is_made_with_the_state_only),
        cmocka_unit_test(a_second_process_is_refused),
        cmocka_unit_test(a_read_only_disk_is_read),
        cmocka_unit_test(a_read_only_disk_is_read_with_its_log),
        cmocka_unit_test(a_full_disk_loses_nothing),
        cmocka_unit_test(a_state_is_made_when_a_full_disk_has_room_again),
    };
    struct CMUnitTest tests[ARRAY_LEN(fixed) + ARRAY_LEN(rows)];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        tests[count++] = fixed[i];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[count++] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_refused,
            .initial_state = &rows[i],
        };
    return cmocka_run_group_tests_name("store", tests, scratch_set_up,
                                       scratch_tear_down);
}
