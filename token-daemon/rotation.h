/*
 * rotation - puts a new key in the place of an old one, so that mail never
 * waits for it.
 *
 *   PROBING --works--> put first, STORING --durable, or not--> DONE
 *    |   ^
 *    |   +--time left, refused or no answer: try again--+
 *    +--refused, and no time left---> FAILED: nothing has changed
 *
 * A key is tried by a real token request before anything is changed; it is
 * first at once after that, and reported when it is durable, too. What was
 * first before stays as a fallback. Used by the control socket's `rotate`, by
 * the watch over files, and by automatic rotation; how keys get into files or
 * to a provider is theirs. Runs in the event loop's thread; clock and timers
 * come through the environment.
 *
 * For automatic rotation, in this order:
 *
 *     rotation_new_key(), keyring_add(CANDIDATE), rotation_store(): before the
 *         provider hears of it, so that a crash loses no key; `tag` is what
 *         the provider calls it, `origin` who it is from ("graph")
 *     ... tell the provider ...
 *     rotation_start() with `is_kept`: probe, promote
 *     ... remove the old one at the provider ...
 *     keyring_remove(), rotation_store()
 *
 * After a restart keyring_find(credential, tag or origin) finds it again.
 */
#ifndef TOKEN_DAEMON_ROTATION_H
#define TOKEN_DAEMON_ROTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "token-daemon/key.h"
#include "token-daemon/keyring.h"
#include "token-daemon/problem.h"
#include "token-daemon/refresher.h"

#define ROTATION_WAIT_S 60 /* how long a new key may take to be known */

struct rotation;
struct rotation_job;

struct rotation_env {
    struct refresher *refresher; /* borrowed: for the rotation's life */
    struct keyring *keyring;     /* likewise */
    int64_t (*boot_ms)(void *arg);

    /* A timer that is off; NULL when out of memory. */
    void *(*timer_new)(void *arg, void (*fire)(void *fire_arg), void *fire_arg);
    void (*timer_set)(void *timer, int64_t delay_ms); /* < 0: off */
    void (*timer_free)(void *timer);

    /* key_state_save(), and state_unsave() to stop calls with a `done_arg`. */
    int (*save)(void *arg, const char *credential, refresher_saved_fn *done,
                void *done_arg);
    void (*unsave)(void *arg, const void *done_arg);

    /* A key was exchanged, or (`err`) that failed for good. May be NULL. */
    void (*told)(void *arg, const char *credential, const struct key *key,
                 const struct err *err);
    void *arg;
};

/* Keeps `env` (copied). Owned; NULL when out of memory. */
struct rotation *rotation_new(const struct rotation_env *env)
    __attribute__((warn_unused_result));

/* Jobs still under way end without a call; set *rotation to NULL. Takes NULL.
 * Before the refresher and the keyring are freed. */
void rotation_free(struct rotation **rotation);

/*
 * A key of these parts, to be kept by us. Owned: key_unref(). Errors:
 * ERR_NOTFOUND (the credential), ERR_CONFIG (a part is too long, or no text),
 * ERR_SYSTEM. A private key that stays in its token is added by key_set_ref().
 */
struct key *rotation_new_key(struct rotation *rotation, const char *credential,
                             enum key_kind kind,
                             const struct key_part_text parts[KEY_PART_COUNT],
                             struct err *err)
    __attribute__((warn_unused_result));

/*
 * The same for one that is read where `text` says (`file:...`,
 * `credential:...`, `exec:...`) each time: a secret, or a service account's
 * key.
 */
struct key *rotation_new_ref(struct rotation *rotation, const char *credential,
                             const char *text, struct err *err)
    __attribute__((warn_unused_result));

/* Which kind of key a text is for this credential. Errors: ERR_NOTFOUND. */
int rotation_text_kind(struct rotation *rotation, const char *credential,
                       enum key_kind *out, struct err *err)
    __attribute__((warn_unused_result));

struct rotation_order {
    const char *credential; /* copied */
    struct key *key;        /* a reference is held */
    bool is_dry_run;        /* probe only */
    bool is_kept;           /* the keyring has it: as CANDIDATE, or configured,
                               with what is new in its files */
    /* Of a configured key: the mark of what is new (copied). */
    const char *mark;
    int64_t wait_s;     /* how long it may be refused or go unanswered */
    unsigned successes; /* how often it must work in a row; 0: once */
};

enum rotation_step {
    ROTATION_REFUSED,    /* not known yet, perhaps: it will be tried again */
    ROTATION_UNANSWERED, /* the same: the provider gave no answer to that */
    ROTATION_DONE,       /* the end; or with is_dry_run: it works */
    ROTATION_FAILED,     /* the end; nothing has changed */
};

struct rotation_news {
    enum rotation_step step;
    const struct key *key; /* borrowed, as all of this: during the call */
    struct err err;        /* but for DONE */
    enum problem problem;  /* likewise */
    const char *hint;      /* static; or NULL */
    unsigned tries;        /* token requests so far */
    int64_t next_ms;       /* until the next try */
    int64_t left_s;        /* how long it will be tried */
    bool is_durable;       /* DONE: a restart will not lose it */
};

/*
 * How it goes; the last one is DONE or FAILED, and then the job is gone. Never
 * during rotation_start().
 */
typedef void rotation_fn(const struct rotation_news *news, void *arg);

/*
 * Begin. NULL with ERR_NOTFOUND (no such credential), ERR_CONFIG (its grant
 * knows no such keys), ERR_SYSTEM.
 */
struct rotation_job *
rotation_start(struct rotation *rotation, const struct rotation_order *order,
               rotation_fn *tell, void *arg, struct err *err)
    __attribute__((warn_unused_result));

/* Is the new key in force already? Then all that is left is the disk. */
bool rotation_is_promoted(const struct rotation_job *job);

/*
 * Stop without a further call; set *job to NULL. Takes NULL. Nothing has
 * changed then, but a key that is in force already stays so, and is stored.
 */
void rotation_cancel(struct rotation_job **job);

/*
 * Make durable what the keyring keeps of this credential: `done` as state_put()
 * says. -1: it is in memory only, until the state can be written.
 */
int rotation_store(struct rotation *rotation, const char *credential,
                   refresher_saved_fn *done, void *arg)
    __attribute__((warn_unused_result));
void rotation_unstore(struct rotation *rotation, const void *arg);

#endif
