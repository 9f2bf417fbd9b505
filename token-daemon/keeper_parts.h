/*
 * keeper_parts - what the files that make up the keeper share.
 *
 * keeper.c is its life and its settings, keeper_fetch.c its requests,
 * keeper_probe.c a request with one key, keeper_record.c what is stored, and
 * keeper_waiters.c who waits. Nobody else includes this.
 */
#ifndef TOKEN_DAEMON_KEEPER_PARTS_H
#define TOKEN_DAEMON_KEEPER_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "token-daemon/acquire.h"
#include "token-daemon/keeper.h"
#include "token-daemon/key.h"
#include "token-daemon/planner.h"
#include "token-daemon/refresh_token.h"
#include "token-daemon/refresher.h"
#include "token-daemon/token.h"

TAILQ_HEAD(waiter_list, refresher_waiter);

/* There are many: what is rarely there is pointed at, and flags stand together.
 */
struct keeper {
    struct keeper_shared *shared;
    const struct config_credential *credential; /* in shared->config */
    char *user;                                 /* NULL: app-only */
    struct token token;
    int64_t asked_at; /* when the last request began; CLOCK_BOOTTIME, ms */
    /* In state FETCHING one of these three: */
    struct acquire *acquire;  /* a request is in flight, */
    struct oauth_token *held; /* its answer waits until it is durable (owned),*/
    bool is_asking_later;     /* or it begins when what came before is. */
    bool is_spending;         /* what is in flight carries a refresh token, */
    bool is_outdated;         /* it began with former settings, */
    bool is_unwanted;         /* which were for another access token */
    bool is_to_spread; /* what `entry` says of when was not chosen here */
    bool is_aside;     /* `refresh` is another application's: not used */
    bool is_gone;      /* no longer configured, */
    bool is_leaving;   /* and its last request is let finish */
    bool is_on_demand; /* no mailbox of its own is configured */
    bool has_skew;
    uint8_t holds;    /* see keeper_hold() */
    uint32_t unsaved; /* refresh tokens on their way to the disk */
    uint32_t waiter_count;
    uint32_t place;            /* in the refresher's ring */
    struct stranger *stranger; /* on demand, and there is no token; or NULL */
    int64_t answered_us;       /* when the last one came; 0: not by a request */
    struct timetable_entry entry; /* token.due_at, or the end of a wait */
    struct keeper_probe *probe; /* NULL: none; no fetch begins while it asks */
    struct waiter_list waiters;
    struct waiter_list passed_over; /* while the others are being answered */
    int64_t skew_s;
    struct key *key; /* that worked last, a reference; NULL: not known */
    uint64_t requests;
    int64_t not_after; /* s since 1970; 0: no certificate */
    /* What a person's sign-in left us; no text: none needed, or none yet. */
    struct refresh_token refresh;
    uint64_t application; /* whose `refresh` is; 0: not known */
    char name[];          /* what the token is stored under */
};

static inline int64_t
keeper_now(const struct keeper *keeper)
{
    return keeper->shared->env.boot_ms(keeper->shared->env.arg);
}

static inline int64_t
keeper_wall(const struct keeper *keeper)
{
    return keeper->shared->env.wall(keeper->shared->env.arg);
}

static inline double
keeper_chance(const struct keeper *keeper)
{
    return keeper->shared->env.chance(keeper->shared->env.arg);
}

/* The refresh token to ask with; NULL: none, or another application's. */
static inline const char *
keeper_refresh_text(const struct keeper *keeper)
{
    return keeper->is_aside ? NULL : keeper->refresh.text;
}

/* Would a request use the refresh token? */
bool keeper_has_to_spend(const struct keeper *keeper);

/*
 * Whoever is told something may do anything: ask again, send another one away,
 * and reload, which may even take the keeper away. So whoever tells, and is not
 * done with the keeper then, holds it, looks at is_gone, and releases it.
 */
static inline void
keeper_hold(struct keeper *keeper)
{
    keeper->holds++;
}

/* The last one frees it when it is gone. */
void keeper_release(struct keeper *keeper);

/* Which application the credential is, as a number. 0: out of memory. */
uint64_t keeper_application(const struct config_credential *credential);

/* Is the refresh token another application's than the credential is now? */
void keeper_judge_aside(struct keeper *keeper);

/* Without a refresh token there is nothing to ask with: wait for a login. */
void keeper_wait_for_login(struct keeper *keeper);

/* There is a token, or none any more: see strangers. */
void keeper_judge_stranger(struct keeper *keeper);

/* ---- keeper_fetch.c ----------------------------------------------------- */

/*
 * A provider may take the previous refresh token until the new one is first
 * used. So the new one is not used before it is durable: who is killed then
 * goes on with the previous one.
 */
void keeper_fetch_begin(struct keeper *keeper);

/* Plan what the token says; nothing while a request is in flight. */
void keeper_fetch_plan(struct keeper *keeper);

/* The answer has a token, which is taken. Tells nobody. */
void keeper_fetch_succeed(struct keeper *keeper, struct acquire_result *result);

/*
 * The last request of a keeper that is gone, or of a daemon that stops, has
 * ended: keep what it brought, durably. May free the keeper.
 */
void keeper_fetch_finish(struct keeper *keeper, struct acquire_result *result,
                         int64_t took_ms);

/* Take the refresh token of an answer only: the access token is none that the
 * settings of now ask for. */
void keeper_fetch_salvage(struct keeper *keeper, struct acquire_result *result);

/* Wipe and free what waits to be durable, if anything does. */
void keeper_fetch_drop_held(struct keeper *keeper);

/* How far the provider's clock is from ours. */
void keeper_fetch_note_skew(struct keeper *keeper,
                            const struct acquire_result *result);

/* For those who look on. `took_ms` is -1 where nothing was sent. */
void keeper_fetch_tell(const struct keeper *keeper,
                       const struct acquire_result *result, int64_t took_ms);

/* ---- keeper_probe.c ----------------------------------------------------- */

/* Is a key being tried at this moment? */
bool keeper_probe_is_asking(const struct keeper *keeper);

/* Begin the one that waits, if nothing else is in flight. */
void keeper_probe_begin(struct keeper *keeper);

/*
 * It is not wanted any more: keeper_probe_tell() will say so. `may_finish`: a
 * request that carries a refresh token goes on, for nobody.
 */
void keeper_probe_doom(struct keeper *keeper, bool may_finish,
                       enum err_code code, const char *text);

/* It did not get so far: tell whoever asked for it, if there is one. */
void keeper_probe_fail(struct keeper *keeper, enum err_code code,
                       const char *text);

/* The same, but a request that carries a refresh token is let finish. */
void keeper_probe_disown(struct keeper *keeper, enum err_code code,
                         const char *text);

/* Without a word. */
void keeper_probe_drop(struct keeper *keeper);

/* ---- keeper_record.c ---------------------------------------------------- */

/* How long its refresh token may rest, s; 0: there is none. */
int64_t keeper_record_pause(const struct keeper *keeper);

/* Store the record. 0: `done` will be called, when it is not NULL. */
int keeper_record_store(struct keeper *keeper, refresher_saved_fn *done);

/* ---- keeper_waiters.c --------------------------------------------------- */

/* The state has changed: answer everybody who needs to wait no longer. See
 * keeper_hold(). */
void keeper_waiters_answer(struct keeper *keeper);

/* One more; the keeper's until answered. NULL when out of memory. */
struct refresher_waiter *
keeper_waiters_add(struct keeper *keeper, const struct token_wish *wish,
                   refresher_answer_fn answer, void *arg)
    __attribute__((warn_unused_result));

/* Tell all that there will be no token. */
void keeper_waiters_refuse(struct keeper *keeper);

/* Answer nobody. */
void keeper_waiters_drop(struct keeper *keeper);

#endif
