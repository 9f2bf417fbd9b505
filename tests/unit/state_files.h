/*
 * state_files - what the tests of the store do with its files and its records.
 */
#ifndef TESTS_UNIT_STATE_FILES_H
#define TESTS_UNIT_STATE_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "token-daemon/store.h"

/* The key that all tests use, and another. */
extern const struct seal_key state_key;
extern const struct seal_key state_other_key;

/* A reader who listens to nothing. */
extern const struct store_reader state_ignore;

/* What a reader was told: lines `KIND NAME=VALUE`, sorted. */
struct state_contents {
    char **lines; /* owned */
    size_t count;
    size_t damaged;
};

void state_contents_clear(struct state_contents *contents);
bool state_contents_have(const struct state_contents *contents,
                         const char *line);

/* Open with state_key and collect what is in it. NULL on failure. */
struct store *state_open(const char *path, struct state_contents *out,
                         struct err *err);

/* The same with another key, or with none. */
struct store *state_open_with(const struct store_settings *settings,
                              struct state_contents *out, struct err *err);

/* With state_key, and it must succeed; `out` may be NULL. */
struct store *state_open_good(const char *path, struct state_contents *out);

/* Put one record in a transaction of its own, which must succeed. */
void state_put(struct store *store, const char *kind, const char *name,
               const char *value);

/* The same without success: what store_begin() to store_commit() say. */
int state_try_put(struct store *store, const char *name, const char *value,
                  struct err *err);

/* All bytes of a file. Owned: free(). NULL: there is none. */
char *state_read_file(const char *path, size_t *len);

void state_copy_file(const char *from, const char *to);

/* The files PATH and PATH-wal, to see later that nobody has changed them. */
struct state_snapshot {
    char *data[2]; /* owned; NULL: there was none */
    size_t len[2];
};

struct state_snapshot state_snapshot_take(const char *path);
bool state_snapshot_is_same(const struct state_snapshot *a,
                            const struct state_snapshot *b);
void state_snapshot_clear(struct state_snapshot *snapshot);

/*
 * Run `body` in a child of its own, in which mounting changes nothing for
 * others, and fail when it does. Skips the test where that needs more rights.
 */
void state_in_own_mounts(void (*body)(void *arg), void *arg);

#endif
