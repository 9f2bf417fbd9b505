/*
 * key_reader - read what a key is made of, by its references.
 *
 * Its parts are read one after the other, each anew. Asks nobody but the files
 * and commands that hold them.
 */
#ifndef TOKEN_DAEMON_KEY_READER_H
#define TOKEN_DAEMON_KEY_READER_H

#include "common/err.h"
#include "token-daemon/key.h"

struct event_base;
struct key_reader;

/*
 * The outcome, exactly once, unless cancelled, from the event loop. `material`
 * is borrowed: during the call; NULL on failure, with *err as secret_source.h
 * says, its text naming the option of credential `name` when that helps.
 */
typedef void key_reader_fn(struct key_material *material, const struct err *err,
                           void *arg);

/*
 * Begin. `key` is held until the end; `name` (copied) is the credential's, for
 * errors. NULL when out of memory. After `done` the pointer must be forgotten.
 */
struct key_reader *key_reader_start(struct event_base *base, struct key *key,
                                    const char *name, key_reader_fn *done,
                                    void *arg)
    __attribute__((warn_unused_result));

/* Give up without a call of `done`; set *reader to NULL. Takes NULL. */
void key_reader_cancel(struct key_reader **reader);

#endif
