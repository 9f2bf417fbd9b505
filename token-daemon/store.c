/*
 * store - records that outlive the process, in one SQLite file.
 *
 * What is on the disk (`PRAGMA user_version` is 1):
 *
 *     meta(key, value)                       one row, `check`: sealed, so that
 *                                            another key is known at once
 *     record(id, kind, name, value, updated) value is sealed for (kind, name)
 *     audit(id, at, who, what, detail)
 *
 * The lock is SQLite's own (locking_mode=EXCLUSIVE), which also keeps the index
 * of the write-ahead log in memory: no file is mapped, so a disk that fails is
 * an error and never a signal.
 */
#include "token-daemon/store.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/buf.h"
#include "common/secret.h"
#include "common/utf8.h"
#include "common/util.h"
#include "token-daemon/seal_key_file.h"
#include "token-daemon/state_directory.h"
#include "token-daemon/state_file.h"

#define APPLICATION_ID 0x584f3254 /* XO2T */
#define SCHEMA_VERSION 1
#define BUSY_MS        2000       /* another process may be about to stop */
#define CACHE_PAGES    "128"      /* writing needs few */
#define WAL_BYTES_MAX  "16777216" /* kept after a checkpoint */

#define CHECK_TEXT "xoauth2-tokend"
/* No record has an empty kind. */
static const struct seal_label check_label = {"", "check"};

enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_PUT,
    STATEMENT_DELETE,
    STATEMENT_AUDIT,
    STATEMENT_AUDIT_TRIM,
    STATEMENT_AUDIT_READ,
};

static const char *const statement_texts[] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",
    [STATEMENT_PUT] =
        "INSERT INTO record (kind, name, value, updated) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (kind, name) DO UPDATE "
        "SET value = excluded.value, updated = excluded.updated",
    [STATEMENT_DELETE] = "DELETE FROM record WHERE kind = ? AND name = ?",
    [STATEMENT_AUDIT] = "INSERT INTO audit (at, who, what, detail) "
                        "VALUES (?, ?, ?, ?)",
    [STATEMENT_AUDIT_TRIM] = "DELETE FROM audit WHERE id <= ?",
    [STATEMENT_AUDIT_READ] = "SELECT id, at, who, what, detail FROM audit "
                             "WHERE id > (SELECT ifnull(max(id), 0) FROM "
                             "audit) - ? ORDER BY id",
};

struct store {
    char *path;
    sqlite3 *database;
    struct seal *seal;
    sqlite3_stmt *statements[ARRAY_LEN(statement_texts)];
    struct state_file_id file;
    bool is_new;  /* made by this open */
    bool is_read; /* the reader has been told of records */
    bool is_broken;
};

/* ---- errors ---- */

static bool
is_full(int number)
{
    return number == ENOSPC || number == EDQUOT;
}

/* What the operating system said about the last failure, or what stands in. */
static const char *
system_text(const struct store *store)
{
    int number =
        store->database != NULL ? sqlite3_system_errno(store->database) : 0;

    return number != 0 ? strerror(number) : "no reason given";
}

static int
fail_full(const struct store *store, struct err *err)
{
    return err_set(err, ERR_RETRY,
                   "the disk is full; free some space in the file system of %s",
                   store->path);
}

static int
fail_damaged(struct store *store, struct err *err)
{
    store->is_broken = true;
    return err_set(err, ERR_CONFIG,
                   "the state %s is damaged; put it back from a backup, or "
                   "move it and %s-wal away",
                   store->path, store->path);
}

/* Turn a result of SQLite into an error; its own messages may quote data. */
static int
fail(struct store *store, int rc, struct err *err)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return fail_full(store, err);
    case SQLITE_BUSY:
        return err_set(err, ERR_RETRY,
                       "another process has the state %s open; is a second "
                       "xoauth2-tokend running?",
                       store->path);
    case SQLITE_NOMEM:
        return err_set(err, ERR_SYSTEM, "out of memory");
    case SQLITE_TOOBIG:
        return err_set(err, ERR_CONFIG, "a record of the state is too large");
    case SQLITE_ERROR: /* a table is not what we made it */
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return fail_damaged(store, err);
    case SQLITE_READONLY:
        store->is_broken = true;
        return err_set(err, ERR_RETRY, "the state %s is read-only",
                       store->path);
    case SQLITE_IOERR:
        store->is_broken = true;
        if (is_full(sqlite3_system_errno(store->database)))
            return fail_full(store, err);
        return err_set(err, ERR_RETRY,
                       "reading or writing the state %s: %s (SQLite %d)",
                       store->path, system_text(store), rc);
    case SQLITE_CANTOPEN:
        store->is_broken = true;
        return err_set(err, ERR_RETRY,
                       "opening the state %s or a file beside it: %s",
                       store->path, system_text(store));
    default:
        store->is_broken = true;
        return err_set(err, ERR_SYSTEM, "the state %s: %s (SQLite %d)",
                       store->path, sqlite3_errstr(rc), rc);
    }
}

/* ---- statements ---- */

static int
execute(struct store *store, const char *text, struct err *err)
{
    int rc = sqlite3_exec(store->database, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : fail(store, rc, err);
}

/* The one number that `text` gives. */
static int
query_number(struct store *store, const char *text, int64_t *out,
             struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->database, text, -1, &statement, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement); /* repeats what step said */
    if (rc == SQLITE_ROW)
        return 0;
    return rc == SQLITE_DONE ? fail_damaged(store, err) : fail(store, rc, err);
}

/* Prepared at first use, kept until the end. */
static int
statement_of(struct store *store, enum statement which, sqlite3_stmt **out,
             struct err *err)
{
    int rc = SQLITE_OK;

    if (store->statements[which] == NULL)
        rc = sqlite3_prepare_v3(store->database, statement_texts[which], -1,
                                SQLITE_PREPARE_PERSISTENT,
                                &store->statements[which], NULL);
    if (rc != SQLITE_OK)
        return fail(store, rc, err);
    *out = store->statements[which];
    return 0;
}

/* Run a statement that has its values bound, `bound` being how that went. */
static int
run_bound(struct store *store, sqlite3_stmt *statement, int bound,
          struct err *err)
{
    int rc = bound;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    (void)sqlite3_reset(statement);          /* repeats what step said */
    (void)sqlite3_clear_bindings(statement); /* can't fail */
    return rc == SQLITE_DONE ? 0 : fail(store, rc, err);
}

static int
run(struct store *store, enum statement which, struct err *err)
{
    sqlite3_stmt *statement = NULL;

    if (statement_of(store, which, &statement, err) < 0)
        return -1;
    return run_bound(store, statement, SQLITE_OK, err);
}

static int
bind_text(sqlite3_stmt *statement, int at, const char *text, size_t len)
{
    return sqlite3_bind_text64(statement, at, text, len, SQLITE_STATIC,
                               SQLITE_UTF8);
}

/* ---- reading records ---- */

/* One pass over the records, from one end. */
struct scan {
    const struct store_reader *reader;
    int64_t last_id; /* that was told; 0: none */
};

static void
tell_row(struct store *store, sqlite3_stmt *row,
         const struct store_reader *reader, struct buf *plain)
{
    struct store_record record = {
        .kind = (const char *)sqlite3_column_text(row, 1),
        .name = (const char *)sqlite3_column_text(row, 2),
        .updated = sqlite3_column_int64(row, 4),
    };
    struct seal_label label = {record.kind, record.name};
    const void *sealed = sqlite3_column_blob(row, 3);
    size_t len = (size_t)sqlite3_column_bytes(row, 3);
    struct err err;

    if (record.kind == NULL || record.name == NULL) {
        err_set(&err, ERR_PROTO, "a record of the state has no name");
        reader->damaged("", "", &err, reader->arg);
        return;
    }
    buf_reset(plain);
    if (seal_open(store->seal, &label, len > 0 ? sealed : "", len, plain,
                  &err) < 0) {
        reader->damaged(record.kind, record.name, &err, reader->arg);
        return;
    }
    record.value = buf_str(plain);
    record.len = plain->len;
    reader->record(&record, reader->arg);
    secret_wipe(plain->data, plain->len);
}

/* `text` takes one number; its rows begin with their id. */
static int
scan_rows(struct store *store, const char *text, int64_t number,
          struct scan *scan, struct err *err)
{
    sqlite3_stmt *rows = NULL;
    struct buf plain;
    int rc = sqlite3_prepare_v2(store->database, text, -1, &rows, NULL);

    buf_init(&plain, STORE_VALUE_MAX);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(rows, 1, number);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(rows);
        if (rc != SQLITE_ROW)
            break;
        tell_row(store, rows, scan->reader, &plain);
        scan->last_id = sqlite3_column_int64(rows, 0);
    }
    (void)sqlite3_finalize(rows); /* repeats what step said */
    buf_clear(&plain);
    return rc == SQLITE_DONE ? 0 : fail(store, rc, err);
}

/* From the front, and, when a damaged page is in the way, from the end. */
static int
tell_records(struct store *store, const struct store_reader *reader,
             struct err *err)
{
    struct scan scan = {reader, INT64_MIN};
    struct err ignored;
    int64_t last_id;

    store->is_read = true;
    if (scan_rows(store,
                  "SELECT id, kind, name, value, updated FROM record "
                  "WHERE id > ? ORDER BY id",
                  INT64_MIN, &scan, err) == 0)
        return 0;
    last_id = scan.last_id;
    (void)scan_rows(store,
                    "SELECT id, kind, name, value, updated FROM record "
                    "WHERE id > ? ORDER BY id DESC",
                    last_id, &scan, &ignored);
    return -1;
}

/* Is it our key? */
static int
verify_key(struct store *store, struct err *err)
{
    sqlite3_stmt *row = NULL;
    struct buf plain;
    struct err reason;
    int result = -1;
    int rc = sqlite3_prepare_v2(store->database,
                                "SELECT value FROM meta WHERE key = 'check'",
                                -1, &row, NULL);

    buf_init(&plain, STORE_VALUE_MAX);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(row);
    if (rc == SQLITE_DONE)
        (void)fail_damaged(store, err);
    else if (rc != SQLITE_ROW)
        (void)fail(store, rc, err);
    else if (seal_open(store->seal, &check_label, sqlite3_column_blob(row, 0),
                       (size_t)sqlite3_column_bytes(row, 0), &plain,
                       &reason) < 0)
        err_set(err, ERR_CONFIG,
                "the state %s was sealed with another key; put the right one "
                "into seal_key or %s" STORE_KEY_SUFFIX,
                store->path, store->path);
    else
        result = 0;
    (void)sqlite3_finalize(row); /* repeats what step said */
    buf_clear(&plain);
    return result;
}

static int
verify_version(struct store *store, struct err *err)
{
    int64_t version = 0;

    if (query_number(store, "PRAGMA user_version", &version, err) < 0)
        return -1;
    if (version < 1)
        return fail_damaged(store, err);
    if (version > SCHEMA_VERSION)
        return err_set(err, ERR_CONFIG,
                       "the state %s is of a later version (%" PRId64 "); "
                       "install that, or put back a backup of this one",
                       store->path, version);
    return 0;
}

static void
ignore_damaged(const char *kind, const char *name, const struct err *err,
               void *arg)
{
    (void)kind;
    (void)name;
    (void)err;
    (void)arg;
}

/*
 * What tells the key can't be read or doesn't open. When it is that which is
 * damaged, records open all the same; with another key none does.
 */
static void
tell_what_opens(struct store *store, const struct store_reader *reader)
{
    const struct store_reader quiet = {reader->record, ignore_damaged,
                                       reader->arg};
    struct err ignored; /* the caller has the reason to tell */

    (void)tell_records(store, &quiet, &ignored);
}

static int
load(struct store *store, const struct store_reader *reader, struct err *err)
{
    if (verify_version(store, err) < 0)
        return -1;
    if (verify_key(store, err) < 0) {
        tell_what_opens(store, reader);
        return -1;
    }
    return tell_records(store, reader, err);
}

/* ---- making ---- */

static int
put_check(struct store *store, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    struct buf sealed;
    int rc = -1;
    int bound;

    buf_init(&sealed, STORE_VALUE_MAX);
    if (seal_close(store->seal, &check_label, CHECK_TEXT, strlen(CHECK_TEXT),
                   &sealed, err) < 0)
        goto out;
    bound = sqlite3_prepare_v2(store->database,
                               "INSERT INTO meta (key, value) "
                               "VALUES ('check', ?)",
                               -1, &statement, NULL);
    if (bound == SQLITE_OK)
        bound = sqlite3_bind_blob64(statement, 1, sealed.data, sealed.len,
                                    SQLITE_STATIC);
    rc = run_bound(store, statement, bound, err);
out:
    (void)sqlite3_finalize(statement);
    buf_clear(&sealed);
    return rc;
}

/*
 * All in one transaction and still with a rollback journal, so that the file
 * itself says whose it is before there is a write-ahead log.
 */
static int
make_tables(struct store *store, struct err *err)
{
    char text[128];

    (void)snprintf(text, sizeof(text),
                   "BEGIN EXCLUSIVE; PRAGMA application_id = %d; "
                   "PRAGMA user_version = %d",
                   APPLICATION_ID, SCHEMA_VERSION);
    if (execute(store, text, err) < 0 ||
        execute(store,
                "CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL,"
                " value BLOB NOT NULL);"
                "CREATE TABLE record (id INTEGER PRIMARY KEY,"
                " kind TEXT NOT NULL, name TEXT NOT NULL,"
                " value BLOB NOT NULL, updated INTEGER NOT NULL,"
                " UNIQUE (kind, name));"
                "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT,"
                " at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,"
                " detail TEXT NOT NULL)",
                err) < 0 ||
        put_check(store, err) < 0 || execute(store, "COMMIT", err) < 0)
        return -1;
    return state_directory_sync(store->path, err);
}

/* ---- opening ---- */

static int
configure(struct store *store, struct err *err)
{
    static const struct {
        int option;
        int value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        /* Until we know that it is good, nothing is moved into the file. */
        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
    };
    int rc = SQLITE_OK;

    (void)sqlite3_extended_result_codes(store->database, 1);
    for (size_t i = 0; i < ARRAY_LEN(options) && rc == SQLITE_OK; i++)
        rc = sqlite3_db_config(store->database, options[i].option,
                               options[i].value, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(store->database, BUSY_MS);
    if (rc != SQLITE_OK)
        return fail(store, rc, err);
    return execute(store,
                   "PRAGMA locking_mode = EXCLUSIVE;"
                   "PRAGMA cell_size_check = ON;"
                   "PRAGMA mmap_size = 0;"
                   "PRAGMA temp_store = MEMORY",
                   err);
}

static void
close_database(struct store *store)
{
    for (size_t i = 0; i < ARRAY_LEN(store->statements); i++) {
        (void)sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
    /* Can only fail while statements are open. */
    (void)sqlite3_close(store->database);
    store->database = NULL;
}

static int
open_database(struct store *store, const char *name, int flags, const char *vfs,
              struct err *err)
{
    int rc = sqlite3_open_v2(name, &store->database,
                             flags | SQLITE_OPEN_NOMUTEX, vfs);

    if (rc != SQLITE_OK) {
        (void)fail(store, rc, err);
        close_database(store);
        return -1;
    }
    if (configure(store, err) < 0) {
        close_database(store);
        return -1;
    }
    return 0;
}

/* From here on it is written. */
static int
begin_to_write(struct store *store, struct err *err)
{
    int64_t ignored;
    int rc;

    if (query_number(store, "PRAGMA journal_size_limit = " WAL_BYTES_MAX,
                     &ignored, err) < 0 ||
        execute(store,
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                "PRAGMA secure_delete = ON;"
                "PRAGMA cache_size = " CACHE_PAGES,
                err) < 0)
        return -1;
    /* What was read is not read again. */
    (void)sqlite3_db_release_memory(store->database);
    rc = sqlite3_db_config(store->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0,
                           NULL);
    if (rc != SQLITE_OK)
        return fail(store, rc, err);
    if (!state_file_identify(store->path, &store->file))
        return err_set(err, ERR_CONFIG, "the state %s was taken away",
                       store->path);
    return 0;
}

static int
open_to_write(struct store *store, const struct store_reader *reader,
              struct err *err)
{
    int64_t pages = 0;

    if (open_database(store, store->path, SQLITE_OPEN_READWRITE, NULL, err) < 0)
        return -1;
    if (sqlite3_db_readonly(store->database, "main") == 1)
        return fail(store, SQLITE_READONLY, err);
    if (query_number(store, "PRAGMA page_count", &pages, err) < 0)
        return -1;
    store->is_new = pages == 0;
    if (store->is_new ? make_tables(store, err) < 0
                      : load(store, reader, err) < 0)
        return -1;
    return begin_to_write(store, err);
}

/* PATH as a URI, where ?, # and % have a meaning. */
static int
uri_of(const char *path, const char *parameters, char *out, size_t size,
       struct err *err)
{
    struct buf uri;
    int rc = -1;

    buf_init(&uri, size - 1);
    buf_append_str(&uri, "file:");
    for (; *path != '\0'; path++) {
        char escaped[4] = {*path, '\0'};

        if (strchr("?#%", *path) != NULL)
            (void)snprintf(escaped, sizeof(escaped), "%%%02x",
                           (unsigned)(unsigned char)*path);
        buf_append_str(&uri, escaped);
    }
    buf_append_str(&uri, parameters);
    if (buf_failed(&uri)) {
        err_set(err, ERR_CONFIG, "the path of the state is too long");
        goto out;
    }
    memcpy(out, buf_str(&uri), uri.len + 1);
    rc = 0;
out:
    buf_clear(&uri);
    return rc;
}

/*
 * The disk can't be written, but read. SQLite wants to lock even then; without
 * a log it is told that nothing changes, with one it is given a file system
 * without locks (the other way would leave out what is in the log).
 */
static void
read_only(struct store *store, bool has_wal, const struct store_reader *reader)
{
    char uri[3 * PATH_MAX];
    struct err ignored; /* the caller has the reason to tell */
    int rc;

    close_database(store);
    if (has_wal) {
        rc = open_database(store, store->path, SQLITE_OPEN_READONLY,
                           "unix-none", &ignored);
    } else {
        if (uri_of(store->path, "?immutable=1", uri, sizeof(uri), &ignored) < 0)
            return;
        rc = open_database(store, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
                           NULL, &ignored);
    }
    if (rc == 0)
        (void)load(store, reader, &ignored);
}

static int
take_key(const struct store_settings *settings, bool is_new,
         struct seal_key *out, struct err *err)
{
    char path[PATH_MAX];
    int n;

    if (settings->key != NULL) {
        *out = *settings->key;
        return 0;
    }
    n = snprintf(path, sizeof(path), "%s" STORE_KEY_SUFFIX, settings->path);
    if (n < 0 || (size_t)n >= sizeof(path))
        return err_set(err, ERR_CONFIG, "the path of the state is too long");
    if (seal_key_file_read(path, out, err) == 0)
        return 0;
    if (err->code != ERR_NOTFOUND)
        return -1;
    if (is_new)
        return seal_key_file_create(path, out, err);
    return err_set(err, ERR_CONFIG,
                   "the state's key file %s is missing; put it back from a "
                   "backup, or set seal_key to the key that was used",
                   path);
}

static int
take_seal(struct store *store, const struct store_settings *settings,
          bool is_new, struct err *err)
{
    struct seal_key key;

    if (take_key(settings, is_new, &key, err) < 0)
        return -1;
    store->seal = seal_new(&key, err);
    secret_wipe(&key, sizeof(key));
    return store->seal != NULL ? 0 : -1;
}

static int
open_store(struct store *store, const struct store_settings *settings,
           const struct store_reader *reader, struct err *err)
{
    struct state_file file;
    int rc;

    if (state_directory_check(store->path, err) < 0 ||
        state_file_look(store->path, APPLICATION_ID, &file, err) < 0 ||
        take_seal(store, settings, file.is_new, err) < 0)
        return -1;
    if (file.is_new && state_file_create(store->path, err) < 0)
        return -1;
    rc = open_to_write(store, reader, err);
    if (rc < 0 && !file.is_new && !store->is_read && store->is_broken &&
        err->code == ERR_RETRY)
        read_only(store, file.has_wal, reader);
    return rc;
}

struct store *
store_open(const struct store_settings *settings,
           const struct store_reader *reader, bool *is_new_out, struct err *err)
{
    struct store *store = calloc(1, sizeof(*store));

    if (store != NULL)
        store->path = strdup(settings->path);
    if (store == NULL || store->path == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        free(store);
        return NULL;
    }
    if (open_store(store, settings, reader, err) < 0) {
        store->is_broken = true;
        store_close(&store);
        return NULL;
    }
    *is_new_out = store->is_new;
    return store;
}

void
store_close(struct store **store)
{
    if (*store == NULL)
        return;
    /* Of a broken one the log must stay, for the next one to read. */
    if ((*store)->database != NULL && (*store)->is_broken)
        (void)sqlite3_db_config((*store)->database,
                                SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    close_database(*store);
    seal_free(&(*store)->seal);
    free((*store)->path);
    free(*store);
    *store = NULL;
}

int
store_check(const char *path, struct err *err)
{
    if (state_directory_check(path, err) < 0)
        return -1;
    return state_file_check(path, err);
}

/* ---- changes ---- */

/* Whoever moves the file away would take what is committed with it. */
static int
verify_file(struct store *store, struct err *err)
{
    struct state_file_id now;

    if (state_file_identify(store->path, &now) &&
        now.device == store->file.device && now.number == store->file.number)
        return 0;
    store->is_broken = true;
    return err_set(err, ERR_RETRY,
                   "the state %s was moved, deleted or replaced while in use",
                   store->path);
}

/* After a failure: whole or not at all. */
static int
roll_back(struct store *store)
{
    struct err ignored; /* the caller has the reason to tell */

    /* SQLite may have done it itself. */
    if (sqlite3_get_autocommit(store->database) == 0 &&
        run(store, STATEMENT_ROLLBACK, &ignored) < 0)
        store->is_broken = true;
    return -1;
}

int
store_begin(struct store *store, struct err *err)
{
    if (verify_file(store, err) < 0)
        return -1;
    return run(store, STATEMENT_BEGIN, err) == 0 ? 0 : roll_back(store);
}

static int
check_name(const char *kind, const char *name, struct err *err)
{
    if (kind[0] == '\0' || strlen(kind) > STORE_KIND_MAX ||
        strlen(name) > STORE_NAME_MAX)
        return err_set(err, ERR_CONFIG,
                       "a record's kind has 1 to %d bytes and its name at "
                       "most %d",
                       STORE_KIND_MAX, STORE_NAME_MAX);
    return 0;
}

int
store_put(struct store *store, const struct store_record *record,
          struct err *err)
{
    const struct seal_label label = {record->kind, record->name};
    sqlite3_stmt *statement = NULL;
    struct buf sealed;
    int bound;
    int rc = -1;

    buf_init(&sealed, STORE_VALUE_MAX + SEAL_OVERHEAD);
    if (check_name(record->kind, record->name, err) < 0)
        goto out;
    if (record->len > STORE_VALUE_MAX) {
        err_set(err, ERR_CONFIG, "a record's value is over %zu bytes",
                STORE_VALUE_MAX);
        goto out;
    }
    if (statement_of(store, STATEMENT_PUT, &statement, err) < 0 ||
        seal_close(store->seal, &label, record->value, record->len, &sealed,
                   err) < 0)
        goto out;
    bound = bind_text(statement, 1, record->kind, strlen(record->kind));
    if (bound == SQLITE_OK)
        bound = bind_text(statement, 2, record->name, strlen(record->name));
    if (bound == SQLITE_OK)
        bound = sqlite3_bind_blob64(statement, 3, sealed.data, sealed.len,
                                    SQLITE_STATIC);
    if (bound == SQLITE_OK)
        bound = sqlite3_bind_int64(statement, 4, record->updated);
    rc = run_bound(store, statement, bound, err);
out:
    buf_clear(&sealed);
    return rc == 0 ? 0 : roll_back(store);
}

int
store_delete(struct store *store, const char *kind, const char *name,
             struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int bound;

    if (check_name(kind, name, err) < 0 ||
        statement_of(store, STATEMENT_DELETE, &statement, err) < 0)
        return roll_back(store);
    bound = bind_text(statement, 1, kind, strlen(kind));
    if (bound == SQLITE_OK)
        bound = bind_text(statement, 2, name, strlen(name));
    return run_bound(store, statement, bound, err) == 0 ? 0 : roll_back(store);
}

/* At most `max` bytes of `text`, whole characters only. */
static size_t
cut(const char *text, size_t max)
{
    size_t len = 0;

    while (text[len] != '\0') {
        uint32_t code;
        size_t n = utf8_next(text + len, strlen(text + len), &code);

        if (n == 0)
            n = 1; /* no UTF-8: by the byte */
        if (len + n > max)
            break;
        len += n;
    }
    return len;
}

static int
trim_audit(struct store *store, struct err *err)
{
    int64_t last = sqlite3_last_insert_rowid(store->database);
    sqlite3_stmt *statement = NULL;

    if (statement_of(store, STATEMENT_AUDIT_TRIM, &statement, err) < 0)
        return -1;
    return run_bound(store, statement,
                     sqlite3_bind_int64(statement, 1, last - STORE_AUDIT_ROWS),
                     err);
}

int
store_audit(struct store *store, const struct store_audit *entry,
            struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int bound;

    if (statement_of(store, STATEMENT_AUDIT, &statement, err) < 0)
        return roll_back(store);
    bound = sqlite3_bind_int64(statement, 1, entry->at);
    if (bound == SQLITE_OK)
        bound = bind_text(statement, 2, entry->who,
                          cut(entry->who, STORE_AUDIT_WHO_MAX));
    if (bound == SQLITE_OK)
        bound = bind_text(statement, 3, entry->what,
                          cut(entry->what, STORE_AUDIT_WHAT_MAX));
    if (bound == SQLITE_OK)
        bound = bind_text(statement, 4, entry->detail,
                          cut(entry->detail, STORE_AUDIT_DETAIL_MAX));
    if (run_bound(store, statement, bound, err) < 0 ||
        trim_audit(store, err) < 0)
        return roll_back(store);
    return 0;
}

int
store_commit(struct store *store, struct err *err)
{
    return run(store, STATEMENT_COMMIT, err) == 0 ? 0 : roll_back(store);
}

bool
store_is_broken(const struct store *store)
{
    return store->is_broken;
}

static const char *
text_at(sqlite3_stmt *row, int at)
{
    const char *text = (const char *)sqlite3_column_text(row, at);

    return text != NULL ? text : "";
}

int
store_read_audit(struct store *store, size_t count,
                 void (*row)(const struct store_audit *entry, void *arg),
                 void *arg, struct err *err)
{
    sqlite3_stmt *rows = NULL;
    int64_t limit =
        count < STORE_AUDIT_ROWS ? (int64_t)count : STORE_AUDIT_ROWS;
    int rc;

    if (statement_of(store, STATEMENT_AUDIT_READ, &rows, err) < 0)
        return -1;
    rc = sqlite3_bind_int64(rows, 1, limit);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        struct store_audit entry;

        rc = sqlite3_step(rows);
        if (rc != SQLITE_ROW)
            break;
        entry = (struct store_audit){
            .id = sqlite3_column_int64(rows, 0),
            .at = sqlite3_column_int64(rows, 1),
            .who = text_at(rows, 2),
            .what = text_at(rows, 3),
            .detail = text_at(rows, 4),
        };
        row(&entry, arg);
    }
    (void)sqlite3_reset(rows); /* repeats what step said */
    return rc == SQLITE_DONE ? 0 : fail(store, rc, err);
}
