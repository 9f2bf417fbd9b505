/*
 * state_files - what the tests of the store do with its files and its records.
 */
#include "tests/unit/state_files.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

const struct seal_key state_key = {"0123456789abcdef0123456789abcde\1"};
const struct seal_key state_other_key = {"0123456789abcdef0123456789abcde\2"};

/* ---- contents ---- */

static void
ignore_record(const struct store_record *record, void *arg)
{
    (void)record;
    (void)arg;
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

const struct store_reader state_ignore = {ignore_record, ignore_damaged, NULL};

static int
compare_lines(const void *a, const void *b)
{
    const char *const *first = a;
    const char *const *second = b;

    return strcmp(*first, *second);
}

static void
on_record(const struct store_record *record, void *arg)
{
    struct state_contents *contents = arg;
    char *line = NULL;

    assert_int_equal(record->value[record->len], '\0');
    assert_true(asprintf(&line, "%s %s=%s", record->kind, record->name,
                         record->value) > 0);
    contents->lines = realloc(contents->lines,
                              (contents->count + 1) * sizeof(*contents->lines));
    assert_non_null(contents->lines);
    contents->lines[contents->count++] = line;
}

static void
on_damaged(const char *kind, const char *name, const struct err *err, void *arg)
{
    struct state_contents *contents = arg;

    assert_non_null(kind);
    assert_non_null(name);
    assert_int_equal(err->code, ERR_PROTO);
    contents->damaged++;
}

void
state_contents_clear(struct state_contents *contents)
{
    for (size_t i = 0; i < contents->count; i++)
        free(contents->lines[i]);
    free(contents->lines);
    *contents = (struct state_contents){0};
}

bool
state_contents_have(const struct state_contents *contents, const char *line)
{
    return contents->count > 0 &&
           bsearch(&line, contents->lines, contents->count,
                   sizeof(*contents->lines), compare_lines) != NULL;
}

struct store *
state_open_with(const struct store_settings *settings,
                struct state_contents *out, struct err *err)
{
    const struct store_reader reader = {on_record, on_damaged, out};
    struct store *store;
    bool is_new;

    *out = (struct state_contents){0};
    store = store_open(settings, &reader, &is_new, err);
    if (out->count > 0)
        qsort(out->lines, out->count, sizeof(*out->lines), compare_lines);
    return store;
}

struct store *
state_open(const char *path, struct state_contents *out, struct err *err)
{
    const struct store_settings settings = {path, &state_key};

    return state_open_with(&settings, out, err);
}

struct store *
state_open_good(const char *path, struct state_contents *out)
{
    struct state_contents contents;
    struct err err = {ERR_NONE, ""};
    struct store *store = state_open(path, &contents, &err);

    if (store == NULL)
        fail_msg("%s", err.text);
    if (out != NULL)
        *out = contents;
    else
        state_contents_clear(&contents);
    return store;
}

static int
try_put(struct store *store, const struct store_record *record, struct err *err)
{
    return store_begin(store, err) < 0 || store_put(store, record, err) < 0 ||
                   store_commit(store, err) < 0
               ? -1
               : 0;
}

void
state_put(struct store *store, const char *kind, const char *name,
          const char *value)
{
    const struct store_record record = {kind, name, value, strlen(value), 7};
    struct err err = {ERR_NONE, ""};

    if (try_put(store, &record, &err) < 0)
        fail_msg("%s", err.text);
}

int
state_try_put(struct store *store, const char *name, const char *value,
              struct err *err)
{
    const struct store_record record = {"k", name, value, strlen(value), 7};

    return try_put(store, &record, err);
}

/* ---- files ---- */

char *
state_read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "r");
    struct stat st;
    char *data;

    *len = 0;
    if (file == NULL)
        return NULL;
    assert_int_equal(fstat(fileno(file), &st), 0);
    data = malloc((size_t)st.st_size + 1);
    assert_non_null(data);
    *len = fread(data, 1, (size_t)st.st_size, file);
    assert_int_equal(*len, st.st_size);
    (void)fclose(file);
    return data;
}

void
state_copy_file(const char *from, const char *to)
{
    size_t len;
    char *data = state_read_file(from, &len);
    FILE *file;

    (void)unlink(to);
    if (data == NULL)
        return;
    file = fopen(to, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(to, 0600), 0);
    free(data);
}

struct state_snapshot
state_snapshot_take(const char *path)
{
    static const char *const suffixes[2] = {"", "-wal"};
    struct state_snapshot snapshot;
    char name[1024];

    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        snapshot.data[i] = state_read_file(name, &snapshot.len[i]);
    }
    return snapshot;
}

bool
state_snapshot_is_same(const struct state_snapshot *a,
                       const struct state_snapshot *b)
{
    for (size_t i = 0; i < 2; i++) {
        /* An empty log is as good as none. */
        if (a->len[i] != b->len[i])
            return false;
        if (a->len[i] > 0 && memcmp(a->data[i], b->data[i], a->len[i]) != 0)
            return false;
    }
    return true;
}

void
state_snapshot_clear(struct state_snapshot *snapshot)
{
    free(snapshot->data[0]);
    free(snapshot->data[1]);
    *snapshot = (struct state_snapshot){0};
}

/* ---- mounts ---- */

#define MAY_NOT 77 /* exit status */

static _Noreturn void
run_in_child(void (*body)(void *arg), void *arg)
{
    if (unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        _exit(MAY_NOT);
    body(arg);
    _exit(0);
}

void
state_in_own_mounts(void (*body)(void *arg), void *arg)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        run_in_child(body, arg);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == MAY_NOT)
        skip();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the child ended with status %d", status);
}
