/*
 * state - what of the tokens outlives the process.
 *
 * Stands between the refresher, which knows tokens, and the writer, which
 * knows records (and hands records of other kinds to those who know them):
 * reads the key that seals, opens the state, hands over what was stored, and
 * stores what changes. A state that can't be used costs no token: everything
 * stays in memory, the log says what to do, and it is tried again.
 */
#ifndef TOKEN_DAEMON_STATE_H
#define TOKEN_DAEMON_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "token-daemon/refresher.h"
#include "token-daemon/token_record.h"
#include "token-daemon/writer.h"

struct event_base;
struct state;

#define STATE_KINDS_MAX 8

/* Records of another kind than tokens: whose they are. */
struct state_kind {
    const char *kind; /* of at most STORE_KIND_MAX bytes, static; not "token" */
    /* What is stored; borrowed: during the call. What can't be understood is
     * said in the log by the callee, and stays in the file. */
    void (*restore)(void *arg, const char *name, const char *value, size_t len);
    /*
     * The same for a record of another host, while the state is open: all that
     * is kept is put again by `opened`, after all of them. False: what is here
     * goes on instead, which the callee has said in the log if it matters.
     * NULL: restore().
     */
    bool (*import)(void *arg, const char *name, const char *value, size_t len);
    /*
     * The state has been opened, after all calls of restore(): at the start,
     * or later. `is_new`: the file has nothing of what was stored before, so
     * all that is to be kept must be put again. May be NULL.
     */
    void (*opened)(void *arg, bool is_new);
    void *arg;
};

struct state_settings {
    struct event_base *base;     /* borrowed: for the state's life */
    struct refresher *refresher; /* likewise; gets what was stored */
    struct config *config;       /* of the start; a reference is held */
    struct state_kind kinds[STATE_KINDS_MAX]; /* copied */
    size_t kind_count;
    int64_t retry_ms; /* for the key, and for the disk; 0: the usual */
};

/* Begin to open the state. Owned; NULL with ERR_SYSTEM. */
struct state *state_new(const struct state_settings *settings, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Run the event loop until the first attempt to open the state has ended,
 * however, or STATE_PATIENCE_MS have passed: what is stored is known then.
 */
#define STATE_PATIENCE_MS 5000
void state_wait(struct state *state);

/* Write what is queued, for a bounded time, and free. Takes NULL. */
void state_free(struct state **state);

/*
 * What refresher_env wants; `state` may be NULL: nothing is stored. What is
 * saved or removed while the key that seals can't be had is done when it can;
 * state_save() then is -1 all the same.
 */
int state_save(struct state *state, const char *name,
               const struct token_record *record, refresher_saved_fn *done,
               void *done_arg) __attribute__((warn_unused_result));
void state_unsave(struct state *state, const void *done_arg);
void state_unstore(struct state *state, const char *name);

/*
 * The same for a record of another kind: sealed for its kind and name, which
 * are copied as `value` is. -1: it is not stored, as there is no writer or no
 * memory; then put it again when `opened` is called. Once this returned 0 it is
 * tried until it is on the disk, also when `done` says that it is not yet.
 */
int state_put(struct state *state, const char *kind, const char *name,
              const struct buf *value, refresher_saved_fn *done, void *done_arg)
    __attribute__((warn_unused_result));
void state_delete(struct state *state, const char *kind, const char *name);

/*
 * Hear when all that was saved, put or removed before is on the disk, or that
 * it is not yet, and is tried again. state_unsave() ends it. -1: it is not, and
 * `done` is not called.
 */
int state_settle(struct state *state, refresher_saved_fn *done, void *done_arg)
    __attribute__((warn_unused_result));

/*
 * Tell what is held in memory; each record is borrowed during the call, and
 * plain. Nothing is stored by that. Tokens may be many: one is told at a time,
 * by its name, if it is still there.
 */
typedef void state_record_fn(const struct store_record *record, void *arg);
void state_each_token(struct state *state,
                      void (*visit)(const char *name, void *arg), void *arg);
void state_export_token(struct state *state, const char *name,
                        state_record_fn *tell, void *arg);
/* All that are no tokens. */
void state_export_others(struct state *state, state_record_fn *tell, void *arg);

/*
 * Take records from another host as if they had been stored here: what is held
 * in memory already is kept (of a token that is not configured: the newer), and
 * what was taken is stored. How many were not taken, as what is held here goes
 * on instead, or as they can't be read. Errors: ERR_RETRY (what is stored is
 * not known yet, so it could be lost); nothing was taken then.
 */
int state_import(struct state *state, const struct store_record *records,
                 size_t count, struct err *err)
    __attribute__((warn_unused_result));

/* Who did what; see store_audit. Copies. */
void state_audit(struct state *state, const struct store_audit *entry);

/* Read the trail; see writer_read_audit(). ERR_RETRY: there is no state. */
int state_read_audit(struct state *state, size_t count, writer_audit_fn *done,
                     void *done_arg, struct err *err)
    __attribute__((warn_unused_result));

/* Whoever asked with this arg hears nothing any more. */
void state_forget_audit(struct state *state, const void *done_arg);

/* How the disk does. False: there is no writer yet. */
bool state_status(struct state *state, struct writer_status *out);

#endif
