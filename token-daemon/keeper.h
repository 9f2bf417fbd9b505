/*
 * keeper - keeps one token: fetches it ahead of time, keeps it durable, and
 * answers everybody who waits for it.
 *
 * One request in flight, however many wait. Each waiter is answered exactly
 * once, in order, also when a request fails. A new refresh token takes the
 * place of the old one in memory at once; while it is being made durable the
 * old access token is served, and when that fails or the old one expires
 * first, the new one is served all the same. Nothing that a provider answers
 * ever deletes a refresh token.
 *
 * Only the refresher makes keepers.
 */
#ifndef TOKEN_DAEMON_KEEPER_H
#define TOKEN_DAEMON_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/planner.h"
#include "token-daemon/refresher.h"
#include "token-daemon/token.h"
#include "token-daemon/token_record.h"

struct keeper;

/* What all keepers of a refresher have in common; borrowed by each of them. */
struct keeper_shared {
    struct refresher_env env;
    struct config *config; /* the one in force */
    struct token_policy policy;
    uint64_t serial; /* of the last token that was obtained */
    struct planner *planner;
    struct strangers *strangers;
    size_t keeper_count;
    uint64_t unsaved; /* refresh tokens that could not be stored, in a row */
    bool is_stopping; /* nothing new is asked */
    /* The last request of a keeper that is gone, or of one while we stop, has
     * ended. May free the keeper. */
    void (*finished)(struct keeper_shared *shared, struct keeper *keeper);
};

/*
 * `name` (copied) is what the token is stored under; `user` (copied) is who
 * logs in, NULL where one token serves all mailboxes of the credential. Plans
 * nothing yet. Owned; NULL when out of memory.
 */
struct keeper *keeper_new(struct keeper_shared *shared,
                          const struct config_credential *credential,
                          const char *name, const char *user)
    __attribute__((warn_unused_result));

/* Cancel, answer nobody, wipe. Takes NULL. */
void keeper_free(struct keeper **keeper);

/*
 * Does a request in flight carry a refresh token? A provider that takes each
 * one once has taken it, and the answer is all that is left of the login.
 */
bool keeper_is_spending(const struct keeper *keeper);

/*
 * No longer configured: tell whoever waits, then free. Sets it to NULL. With
 * `may_leave`, which keeper_is_spending() allows, a request in flight is let
 * finish: `finished` frees it then, and until then what it points at must stay.
 */
void keeper_retire(struct keeper **keeper, bool may_leave);

/* Ask nothing any more. Is there a request that `finished` will come for? */
bool keeper_stop(struct keeper *keeper);

/* Configured again, with these settings, before `finished` came. */
void keeper_return(struct keeper *keeper,
                   const struct config_credential *credential);

const char *keeper_name(const struct keeper *keeper);
const char *keeper_credential(const struct keeper *keeper);
const struct token *keeper_token(const struct keeper *keeper);

/* Where it is in the refresher's ring, which alone uses it. */
size_t keeper_place(const struct keeper *keeper);
void keeper_set_place(struct keeper *keeper, size_t place);

/* It has no mailbox of its own, or has one again: see strangers. */
void keeper_set_on_demand(struct keeper *keeper, bool is_on_demand);

/* Is nobody waiting or working with it, and nothing in flight? */
bool keeper_is_idle(const struct keeper *keeper);

/* It is a stranger, and will be needed for a while. */
void keeper_want(struct keeper *keeper);

/* Go on with new settings of the credential. Tells nobody: see below. */
void keeper_adopt(struct keeper *keeper,
                  const struct config_credential *credential);

/*
 * Tell who tried a key what keeper_adopt() did to that. True: somebody was
 * told, and may have done anything, so that the keeper may be gone.
 */
bool keeper_probe_tell(struct keeper *keeper);

/*
 * Plan the next fetch, after the policy or the settings have changed. A first
 * one, and one that is overdue, comes within `window_ms`, when little else is
 * planned.
 */
void keeper_plan(struct keeper *keeper, int64_t window_ms);

/* planner_fire_fn: the time has come. */
void keeper_fire(struct timetable_entry *entry);

/* Go on where another left off; takes the refresh token. What is there already
 * stays; true when something was taken. */
bool keeper_restore(struct keeper *keeper, struct token_record *record);

/* All that keeper_restore() can go on with. Owned: token_record_clear().
 * Errors: ERR_SYSTEM. */
int keeper_record(const struct keeper *keeper, struct token_record *out,
                  struct err *err) __attribute__((warn_unused_result));

/* May the disk not have its refresh token yet? */
bool keeper_is_unsaved(const struct keeper *keeper);

/* Store what it has; a refresh token is not used before it is durable. -1: it
 * could not be stored, and is in memory only. */
int keeper_secure(struct keeper *keeper);

/* Store what is held, for a state that was made anew. */
void keeper_save(struct keeper *keeper);

/* See refresher_ask() and its kin. */
struct refresher_waiter *keeper_ask(struct keeper *keeper,
                                    const struct refresher_question *question,
                                    refresher_answer_fn answer, void *arg);
enum token_report_answer keeper_report(struct keeper *keeper,
                                       int64_t *until_wall);
void keeper_accepted(struct keeper *keeper);
void keeper_describe(const struct keeper *keeper, struct refresher_info *out);

/* A person signed in: takes what is in `token`. */
void keeper_sign_in(struct keeper *keeper, struct oauth_token *token);

/* Forget the refresh token and the access token, here and in the state. */
void keeper_sign_out(struct keeper *keeper);

/* Fetch now, unless the provider forbade it until *not_before_wall (then
 * false). `drops` also stops serving the token that is there. */
bool keeper_fetch(struct keeper *keeper, bool drops, int64_t *not_before_wall);

/* Could it be probed, and would that be better than with most? */
bool keeper_may_probe(const struct keeper *keeper);
bool keeper_is_well(const struct keeper *keeper);

/* See refresher_probe(). Errors: ERR_RETRY, ERR_SYSTEM. */
int keeper_probe(struct keeper *keeper, struct key *key,
                 refresher_probed_fn *done, void *arg, struct err *err)
    __attribute__((warn_unused_result));
void keeper_unprobe(struct keeper *keeper, const void *arg);

/* What is said of a token that a reload has taken away. */
const struct token *keeper_gone(void);

#endif
