/*
 * store - records that outlive the process, in one SQLite file.
 *
 * A record is a value under (kind, name), sealed before it is written; the
 * names are not. Beside them: an audit trail of bounded length, not sealed.
 * Committed means on the disk (WAL, synchronous=FULL). Nothing is ever
 * deleted, renamed or overwritten to get out of trouble: a file that can't be
 * used is left as it is, with an error that says why and what to do.
 *
 * Blocks on the disk, so it belongs to the writer's thread. One process at a
 * time has it, by SQLite's exclusive lock. Knows nothing of what values mean.
 */
#ifndef TOKEN_DAEMON_STORE_H
#define TOKEN_DAEMON_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "token-daemon/seal.h"

#define STORE_KIND_MAX         32                   /* bytes of a kind */
#define STORE_NAME_MAX         900                  /* bytes of a name */
#define STORE_VALUE_MAX        ((size_t)256 * 1024) /* bytes of a value */
#define STORE_AUDIT_ROWS       10000                /* older ones go */
#define STORE_AUDIT_WHO_MAX    128 /* bytes; what is longer is cut */
#define STORE_AUDIT_WHAT_MAX   64
#define STORE_AUDIT_DETAIL_MAX 512
#define STORE_KEY_SUFFIX       ".key" /* the default key file: PATH.key */

struct store;

struct store_settings {
    const char *path; /* of the file; its directory must exist */
    /* NULL: the key file beside it, made when the state is new. */
    const struct seal_key *key;
};

struct store_record {
    const char *kind;
    const char *name;
    const char *value; /* plain; ends with a NUL that does not count */
    size_t len;        /* bytes of the value */
    int64_t updated;   /* s since 1970 */
};

struct store_audit {
    int64_t id; /* grows; 0 when not stored yet */
    int64_t at; /* s since 1970 */
    const char *who;
    const char *what;
    const char *detail;
};

/* Who wants to know what is in it. Called during store_open(). */
struct store_reader {
    /* The record is borrowed: during the call; the value is wiped then. */
    void (*record)(const struct store_record *record, void *arg);
    /* This one can't be opened. It stays in the file until it is replaced. */
    void (*damaged)(const char *kind, const char *name, const struct err *err,
                    void *arg);
    void *arg;
};

/*
 * Look at the directory and at the file's kind, owner and mode without opening
 * anything: for a check of the configuration. Errors: ERR_CONFIG with the
 * command that puts it right (`install -d ...` for a missing directory),
 * ERR_SYSTEM.
 */
int store_check(const char *path, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Open the file, or make it when there is none, and tell `reader` every record
 * in it. Owned. *is_new_out: it was made now.
 *
 * NULL when it can't be written; what can be read is told all the same, so
 * that a read-only disk or a damaged page costs no token. Errors: ERR_CONFIG
 * (an administrator must act: missing directory, wrong owner or mode, foreign
 * file, damaged file, another key, key file missing, of a later version),
 * ERR_RETRY (disk full or read-only, another process has it), ERR_SYSTEM.
 */
struct store *store_open(const struct store_settings *settings,
                         const struct store_reader *reader, bool *is_new_out,
                         struct err *err) __attribute__((warn_unused_result));

/* Close and free; set *store to NULL. Rolls back what is under way. */
void store_close(struct store **store);

/*
 * Changes come in transactions: begin, any number of puts, deletes and audit
 * rows, commit. After a commit that returned 0 they are on the disk. After any
 * error the transaction is rolled back, whole; begin again, or, when
 * store_is_broken(), close and open again.
 *
 * Errors: ERR_CONFIG (too long; damaged; the file was taken away), ERR_RETRY
 * (disk full or read-only), ERR_SYSTEM.
 */
int store_begin(struct store *store, struct err *err)
    __attribute__((warn_unused_result));
int store_put(struct store *store, const struct store_record *record,
              struct err *err) __attribute__((warn_unused_result));
/* One that is not there is no error. */
int store_delete(struct store *store, const char *kind, const char *name,
                 struct err *err) __attribute__((warn_unused_result));
/* The id is given here. */
int store_audit(struct store *store, const struct store_audit *entry,
                struct err *err) __attribute__((warn_unused_result));
int store_commit(struct store *store, struct err *err)
    __attribute__((warn_unused_result));

/* Can it only be closed? */
bool store_is_broken(const struct store *store);

/*
 * The last `count` rows of the audit trail, oldest first; each is borrowed
 * during the call. Errors as above.
 */
int store_read_audit(struct store *store, size_t count,
                     void (*row)(const struct store_audit *entry, void *arg),
                     void *arg, struct err *err)
    __attribute__((warn_unused_result));

#endif
