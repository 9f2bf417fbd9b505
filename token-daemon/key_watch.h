/*
 * key_watch - notices that a file with a secret, certificate or key has
 * changed, and has the new content tried at once.
 *
 * Watches directories, not files, by inotify(7): a file may be written, renamed
 * over, or be a link that is exchanged, in its directory or on the way to it
 * (as Kubernetes does); a directory may be moved away, and another come in its
 * place. A change is looked at when things have been quiet for a moment, as a
 * certificate and its key seldom change together; where they never are, after
 * two seconds. What changed while the process was not there is noticed at the
 * start. `credential:` and `exec:` are looked at when the configuration is read
 * again.
 *
 * New content is for the rotation to try, and what was there before goes on
 * until that works. What can't be read when the configuration is taken is said
 * in the log and noted as the key's failure; it is tried when it can be. Tokens
 * of other issuers are left alone: they change by the hour, and are read at
 * each attempt anyway. Where there is no inotify, so is everything else.
 */
#ifndef TOKEN_DAEMON_KEY_WATCH_H
#define TOKEN_DAEMON_KEY_WATCH_H

#include "common/err.h"
#include "token-daemon/keyring.h"
#include "token-daemon/rotation.h"

#define KEY_WATCH_QUIET_MS 300
#define KEY_WATCH_BUSY_MS  2000 /* look all the same */
#define KEY_WATCH_WAIT_S   120  /* how long new content may be refused */

struct event_base;
struct key_watch;

struct key_watch_env {
    struct event_base *base;   /* borrowed: for the watch's life */
    struct keyring *keyring;   /* likewise */
    struct rotation *rotation; /* likewise */
    int quiet_ms;              /* 0: KEY_WATCH_QUIET_MS */
};

/* Owned; NULL with ERR_SYSTEM. Watches nothing yet. */
struct key_watch *key_watch_new(const struct key_watch_env *env,
                                struct err *err)
    __attribute__((warn_unused_result));

/* Before the rotation is freed. Takes NULL. */
void key_watch_free(struct key_watch **watch);

/*
 * The keyring has another configuration: watch its files, and look at all of
 * them now; `is_reload`: at what commands answer, too. What can't be watched is
 * said in the log.
 */
void key_watch_configure(struct key_watch *watch, bool is_reload);

/* A key was kept or dropped: it may have a file. */
void key_watch_update(struct key_watch *watch);

#endif
