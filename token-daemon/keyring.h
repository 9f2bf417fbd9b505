/*
 * keyring - what each credential proves itself with, in which order.
 *
 * For each credential the keys that were rotated in and are kept by us (by an
 * operator, or automatically), then those of relay.conf:
 *
 *     AHEAD (newest first), configured (in its order), BEHIND
 *
 * An attempt tries them in that order, but those that failed when they were
 * tried last come after those that did not. A kept key is ahead of what is
 * configured until what is configured there changes and works; then it is
 * behind, a fallback. A CANDIDATE is kept (so it is not lost in a crash) but
 * not used, except by its own probe.
 *
 * Pure: knows nothing of files, probes or the state's file; the owner is told
 * when something is to be stored. rotation.h is what adds keys safely.
 */
#ifndef TOKEN_DAEMON_KEYRING_H
#define TOKEN_DAEMON_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "token-daemon/key.h"

#define KEYRING_KEPT_MAX 5 /* of one credential; the oldest go */
/* s after it was put in that a key's refusal may be the provider being slow */
#define KEYRING_SPREAD_S 120

struct keyring;

/* All called in one thread, never one from a callback of another. */
struct keyring_env {
    int64_t (*wall)(void *arg); /* s since 1970 */
    /* Something of this credential is to be stored: keyring_encode(). */
    void (*changed)(void *arg, const char *credential);
    void *arg;
};

/* Keeps `env` (copied). Owned; NULL when out of memory. */
struct keyring *keyring_new(const struct keyring_env *env)
    __attribute__((warn_unused_result));
void keyring_free(struct keyring **keyring);

/*
 * Work with this configuration from now on; borrows nothing of it. Keys whose
 * references stay keep what is known of them, but get a new chance when they
 * had failed. Kept keys of credentials that are not configured, or are another
 * application's now, stay kept but are not used. Errors: ERR_SYSTEM; nothing
 * has changed then.
 */
int keyring_configure(struct keyring *keyring, const struct config *config,
                      struct err *err) __attribute__((warn_unused_result));

/*
 * The keys for an attempt, in the order to be tried, appended; for a credential
 * that is not in the keyring those of its configuration. -1: out of memory.
 */
int keyring_list(struct keyring *keyring,
                 const struct config_credential *credential,
                 struct key_list *list) __attribute__((warn_unused_result));

/* Keys of this credential were used or changed: store it if that matters. */
void keyring_settle(struct keyring *keyring, const char *credential);

/* The salt for new keys of a credential. Errors: ERR_NOTFOUND. */
int keyring_salt(const struct keyring *keyring, const char *credential,
                 struct key_salt *out, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Keep a key (a reference is held): as CANDIDATE, or AHEAD of all others. One
 * of the same material goes. When there are too many, one that failed, is
 * behind or is the oldest goes. Its stage and when it was added are set here.
 * To be stored by keyring_settle(). Errors: ERR_NOTFOUND (not configured),
 * ERR_CONFIG (only candidates are kept, and they are too many).
 */
int keyring_add(struct keyring *keyring, const char *credential,
                struct key *key, enum key_stage stage, struct err *err)
    __attribute__((warn_unused_result));

/* A candidate goes ahead of all. False: it is not kept (any more). */
bool keyring_promote(struct keyring *keyring, const char *credential,
                     struct key *key);

/* Keep it no more. False: it was not kept. */
bool keyring_remove(struct keyring *keyring, const char *credential,
                    struct key *key);

/*
 * Keep none any more, but for candidates, and for those of `spared` (an origin;
 * NULL: none), which go behind what is configured.
 */
struct keyring_forgotten {
    size_t dropped;
    size_t demoted; /* kept still */
};
struct keyring_forgotten keyring_forget(struct keyring *keyring,
                                        const char *credential,
                                        const char *spared);

/*
 * What a configured key refers to has changed to what has this mark: `works`:
 * and that works, so what is kept goes behind; else what was there goes on.
 */
void keyring_changed(struct keyring *keyring, const char *credential,
                     struct key *key, const char *mark, bool works);

/* A kept key by its id (key_health), its tag or, if unambiguous, its origin;
 * borrowed. NULL: there is none. */
struct key *keyring_find(struct keyring *keyring, const char *credential,
                         const char *name);

/* Each key of a credential, in the order of the stages (candidates last); NULL:
 * of all configured ones. `is_live`: the one that the next attempt tries first.
 * No call of this module that changes anything from `visit`. */
struct keyring_info {
    const char *credential;
    struct key *key;
    bool is_live;
    bool is_aside; /* kept, but another application's */
};
void keyring_each(struct keyring *keyring, const char *credential,
                  void (*visit)(const struct keyring_info *info, void *arg),
                  void *arg);

/*
 * What is to be stored of a credential (secret: seal it). Errors: ERR_NOTFOUND,
 * ERR_CONFIG (too much), ERR_SYSTEM.
 */
int keyring_encode(struct keyring *keyring, const char *credential,
                   struct buf *out, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Take what another process stored; before keyring_configure() or later. What
 * was kept since goes first, here or, of an import, there. Errors: ERR_PROTO
 * (no record, or a later version's), ERR_SYSTEM.
 */
int keyring_restore(struct keyring *keyring, const char *credential,
                    const char *value, size_t len, struct err *err)
    __attribute__((warn_unused_result));

/*
 * The same for what another host stored; to be stored again by
 * keyring_opened(). 0: nothing of it is kept, as what is here is newer; 1: it
 * was taken.
 */
int keyring_import(struct keyring *keyring, const char *credential,
                   const char *value, size_t len, struct err *err)
    __attribute__((warn_unused_result));

/* What was to be stored of this credential could not be. */
void keyring_unsaved(struct keyring *keyring, const char *credential);

/* The state can be written (anew): store what is not in it. `is_new`: nothing
 * is in it. */
void keyring_opened(struct keyring *keyring, bool is_new);

#endif
