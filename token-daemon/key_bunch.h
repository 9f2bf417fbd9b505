/*
 * key_bunch - the keys of one credential: those that were rotated in and are
 * kept by us, those of relay.conf, and which application both are for.
 *
 * Pure. The keyring has one for each credential. kept_keys.h is what changes
 * the kept ones, key_order.h the order they are tried in, key_bunch_record.h
 * what is stored of it. Only the keyring uses any of these.
 */
#ifndef TOKEN_DAEMON_KEY_BUNCH_H
#define TOKEN_DAEMON_KEY_BUNCH_H

#include <stdbool.h>
#include <sys/queue.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/application.h"
#include "token-daemon/key.h"
#include "token-daemon/keyring_record.h"

/* To be read; changed by the functions here, of kept_keys and of
 * key_bunch_record. All of it is owned. */
struct key_bunch {
    TAILQ_ENTRY(key_bunch) link; /* the keyring's */
    char *name;
    struct key_salt salt;
    struct application application; /* of now */
    char client[KEY_MARK_SIZE];     /* its mark; "": unknown */
    char kept_for[KEY_MARK_SIZE];   /* whose the kept keys are */
    struct key_list kept;           /* newest first */
    struct key_list configured;     /* none: it is not configured */
    struct keyring_record restored; /* memos for keys that are yet to come */
    bool is_changed;                /* what is kept */
    bool is_unsaved;                /* the state could not be written */
};

/* Copies. Owned: key_bunch_free(). NULL with ERR_SYSTEM. */
struct key_bunch *key_bunch_new(const char *name, struct err *err)
    __attribute__((warn_unused_result));

/* Sets *bunch to NULL. Takes NULL. */
void key_bunch_free(struct key_bunch **bunch);

/* Are the kept keys for another application than the credential is now? */
bool key_bunch_is_aside(const struct key_bunch *bunch);

/* What relay.conf says that it is to have. All zero: nothing. */
struct key_bunch_plan {
    struct key_bunch *bunch; /* borrowed */
    struct application application;
    char client[KEY_MARK_SIZE];
    struct key_list list;
};

/* Changes nothing of the bunch. The plan is for key_bunch_plan_clear(), also
 * after an error: ERR_SYSTEM. */
int key_bunch_plan(struct key_bunch *bunch,
                   const struct config_credential *credential,
                   struct key_bunch_plan *out, struct err *err)
    __attribute__((warn_unused_result));
void key_bunch_plan_clear(struct key_bunch_plan *plan);

/* Have it so: what is new in the plan moves to its bunch. What is known of a
 * key stays known, but what failed gets a new chance. */
void key_bunch_follow(struct key_bunch_plan *plan);

/* Was anything of note found out? Asks each key once. */
bool key_bunch_take_changes(struct key_bunch *bunch);

/* Is there anything to know of this configured key? */
bool key_bunch_is_known(const struct key *key);

/* Is there anything to be stored? */
bool key_bunch_has_anything(const struct key_bunch *bunch);

#endif
