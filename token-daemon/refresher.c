/*
 * refresher - keeps every token fresh.
 */
#include "token-daemon/refresher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "common/log.h"
#include "token-daemon/grant.h"
#include "token-daemon/keeper.h"
#include "token-daemon/keeper_leaving.h"
#include "token-daemon/keeper_ring.h"
#include "token-daemon/names.h"
#include "token-daemon/shelf.h"
#include "token-daemon/strangers.h"

#define MARGIN_DEFAULT_S 300   /* what a server wants left, unless told */
#define START_SPREAD_MS  5     /* for each token, at start */
#define KEEPERS_MAX      50000 /* those of "@domain" mailboxes come on demand */
#define BUSY_TRIES       16    /* of strangers, to find one to be forgotten */
#define SWEEP_MS         (INT64_C(60) * 1000)

struct refresher {
    struct keeper_shared shared; /* first: see on_finished() */
    struct keeper_ring ring;
    struct keeper_leaving *leaving;
    size_t ending; /* requests that a stop waits for */
    void (*stopped)(void *arg);
    void *stopped_arg;
    struct shelf *shelf;
    void *sweep_timer; /* is set while there are strangers */
    bool is_sweeping;
    uint64_t unwoken; /* sign-ins that found no room in the ring */
};

static int64_t
wall_of(const struct refresher *refresher)
{
    return refresher->shared.env.wall(refresher->shared.env.arg);
}

/* ---- What is known of tokens that nobody keeps ----------------------------
 */

/*
 * What a sign-in left outlives the keeper. An access token is fetched anew when
 * its section comes back, as that may ask for another one then.
 */
static void
shelve(struct refresher *refresher, const struct keeper *keeper)
{
    struct token_record record;
    struct err err = {ERR_NONE, ""};

    if (keeper_record(keeper, &record, &err) == 0) {
        if (record.refresh_token == NULL && record.not_before_wall == 0) {
            token_record_clear(&record);
            return;
        }
        token_record_drop_access(&record);
        if (shelf_put(refresher->shelf, keeper_name(keeper), &record,
                      keeper_is_unsaved(keeper)) != SHELF_NO_MEMORY)
            return;
    }
    log_error("what is known of a token that is no longer configured is on "
              "the disk only, out of memory",
              F_STR("name", keeper_name(keeper)));
}

/*
 * A keeper that is new in the ring goes on with what is known of its token: the
 * shelf's record, or the keeper that was about to leave takes its place.
 */
static void
unshelve(struct refresher *refresher, struct keeper *keeper)
{
    struct token_record record;
    bool is_unsaved;

    if (!shelf_take(refresher->shelf, keeper_name(keeper), &record,
                    &is_unsaved))
        return;
    keeper_restore(keeper, &record);
    if (is_unsaved)
        (void)keeper_secure(keeper); /* it has said what is wrong */
    token_record_clear(&record);
}

/* ---- Strangers ------------------------------------------------------------
 */

/* Forget this one; the ring's last one takes its place. */
static void
forget(struct refresher *refresher, struct keeper *keeper)
{
    keeper_ring_remove(&refresher->ring, keeper);
    keeper_free(&keeper);
}

/* Forget those who were not asked for since then, or one of them. */
static bool
forget_strangers(struct refresher *refresher, int64_t since, bool only_one)
{
    struct keeper *keeper;
    int tries = 0;

    while ((keeper = strangers_rested(refresher->shared.strangers, since)) !=
           NULL) {
        if (keeper_is_idle(keeper)) {
            forget(refresher, keeper);
            if (only_one)
                return true;
            continue;
        }
        keeper_want(keeper);
        if (only_one && ++tries == BUSY_TRIES)
            return false;
    }
    return false;
}

static int64_t
now_of(const struct refresher *refresher)
{
    return refresher->shared.env.boot_ms(refresher->shared.env.arg);
}

static void
sweep(void *arg)
{
    struct refresher *refresher = arg;

    (void)forget_strangers(refresher, now_of(refresher) - STRANGERS_REST_MS,
                           false);
    refresher->is_sweeping =
        strangers_rested(refresher->shared.strangers, INT64_MAX) != NULL;
    refresher->shared.env.timer_set(refresher->sweep_timer,
                                    refresher->is_sweeping ? SWEEP_MS : -1);
}

static void
begin_sweeping(struct refresher *refresher)
{
    if (refresher->is_sweeping)
        return;
    refresher->is_sweeping = true;
    refresher->shared.env.timer_set(refresher->sweep_timer, SWEEP_MS);
}

/* ---- Users of "@domain" mailboxes -----------------------------------------
 */

/* One that is not in the ring yet goes on with what is known of its token. */
static struct keeper *
take_in(struct refresher *refresher, const struct config_credential *credential,
        const char *user, int64_t window_ms)
{
    char name[REFRESHER_NAME_MAX];
    struct keeper *leaver;
    struct keeper *keeper;

    if (!keeper_ring_name(credential, user, name))
        return NULL;
    leaver = keeper_leaving_find(refresher->leaving, name);
    keeper = leaver != NULL
                 ? leaver
                 : keeper_new(&refresher->shared, credential, name, user);
    if (keeper == NULL || keeper_ring_add(&refresher->ring, keeper) < 0) {
        if (leaver == NULL)
            keeper_free(&keeper);
        return NULL;
    }
    if (leaver != NULL)
        keeper_leaving_return(refresher->leaving, leaver, credential);
    else
        unshelve(refresher, keeper);
    keeper_set_place(keeper, refresher->ring.count - 1);
    keeper_set_on_demand(keeper, true);
    begin_sweeping(refresher);
    keeper_plan(keeper, window_ms);
    return keeper;
}

/* The keeper of such a user, made when it is asked for. */
static struct keeper *
make_on_demand(struct refresher *refresher, const struct refresher_key *key)
{
    const struct config_credential *credential =
        keeper_ring_credential(&refresher->ring, key->credential);

    if (credential == NULL || !grant_is_per_user(credential->grant) ||
        key->user == NULL)
        return NULL;
    if (refresher->ring.count >= KEEPERS_MAX &&
        !forget_strangers(refresher, INT64_MAX, true))
        return NULL;
    return take_in(refresher, credential, key->user, 0);
}

/*
 * Such a user's sign-in does not wait on the shelf for somebody to ask for it:
 * an idle refresh token ends one day. It does when there is no room, as no
 * keeper may be forgotten for it while one ring takes the place of another.
 */
static void
wake(struct refresher *refresher, const char *name)
{
    const struct token_record *record = shelf_find(refresher->shelf, name);
    const struct config_credential *credential;
    const char *user;

    if (record == NULL || record->refresh_token == NULL)
        return;
    credential = keeper_ring_domain_user(&refresher->ring, name, &user);
    if (credential == NULL)
        return;
    if (refresher->ring.count < KEEPERS_MAX &&
        take_in(refresher, credential, user,
                (int64_t)refresher->ring.count * START_SPREAD_MS) != NULL)
        return;
    if (log_is_due(++refresher->unwoken))
        log_error("a sign-in is not renewed until its user sends: there are "
                  "too many tokens, or the memory is out",
                  F_STR("name", name),
                  F_INT("count", (int64_t)refresher->unwoken));
}

static void
note_name(const char *name, const struct token_record *record, void *arg)
{
    struct names *names = arg;

    (void)record;
    names_add(names, name);
}

static void
wake_all(struct refresher *refresher)
{
    struct names names;
    const char *name;

    names_init(&names);
    shelf_each(refresher->shelf, note_name, &names);
    if (names_failed(&names))
        log_error("sign-ins of users of \"@domain\" mailboxes are not renewed "
                  "until the users send, out of memory");
    else
        while ((name = names_next(&names)) != NULL)
            wake(refresher, name);
    names_clear(&names);
}

/* ---- What was stored ------------------------------------------------------
 */

/* Whether it is taken, and of what was known before the newer is. */
static enum shelf_result
restore(struct refresher *refresher, const char *name,
        struct token_record *record)
{
    struct keeper *keeper = keeper_ring_find(&refresher->ring, name);
    struct keeper *leaver = keeper_leaving_find(refresher->leaving, name);
    enum shelf_result result;
    bool is_taken;

    if (keeper == NULL && leaver == NULL) {
        result = shelf_put(refresher->shelf, name, record, false);
        if (result == SHELF_TAKEN)
            wake(refresher, name);
        return result;
    }
    is_taken = keeper_restore(keeper != NULL ? keeper : leaver, record);
    if (keeper != NULL)
        keeper_plan(keeper, (int64_t)refresher->ring.count * START_SPREAD_MS);
    token_record_clear(record);
    return is_taken ? SHELF_TAKEN : SHELF_OLDER;
}

void
refresher_restore(struct refresher *refresher, const char *name,
                  struct token_record *record)
{
    if (restore(refresher, name, record) == SHELF_NO_MEMORY)
        log_error("a stored token is not used, out of memory",
                  F_STR("name", name));
}

/* Store what was taken. */
static int
save_taken(struct refresher *refresher, const char *name)
{
    const struct refresher_env *env = &refresher->shared.env;
    struct keeper *keeper = keeper_ring_find(&refresher->ring, name);
    struct keeper *leaver = keeper_leaving_find(refresher->leaving, name);

    if (env->save == NULL)
        return 0;
    if (keeper == NULL && leaver == NULL)
        return env->save(env->arg, name, shelf_find(refresher->shelf, name),
                         NULL, NULL);
    return keeper_secure(keeper != NULL ? keeper : leaver);
}

int
refresher_import(struct refresher *refresher, const char *name,
                 struct token_record *record, struct err *err)
{
    bool is_sign_in = record->refresh_token != NULL;

    switch (restore(refresher, name, record)) {
    case SHELF_OLDER:
        if (!is_sign_in)
            return 0;
        log_info("an imported token is not taken, as what is here goes on",
                 F_STR("name", name));
        return 1;
    case SHELF_TAKEN:
        if (save_taken(refresher, name) == 0)
            return 0;
        return err_set(err, ERR_SYSTEM,
                       "what was imported can't be stored; see the log");
    case SHELF_NO_MEMORY:
        break;
    }
    return err_set(err, ERR_SYSTEM, "out of memory");
}

static void
save_shelved(const char *name, const struct token_record *record, void *arg)
{
    const struct refresher_env *env = arg;

    /* What fails is said by the one who writes, and is tried again there. */
    (void)env->save(env->arg, name, record, NULL, NULL);
}

static void
save_leaving(struct keeper *keeper, void *arg)
{
    (void)arg;
    keeper_save(keeper);
}

void
refresher_save_all(struct refresher *refresher)
{
    for (size_t i = 0; i < refresher->ring.count; i++)
        keeper_save(refresher->ring.keepers[i]);
    keeper_leaving_each(refresher->leaving, save_leaving, NULL);
    if (refresher->shared.env.save != NULL)
        shelf_each(refresher->shelf, save_shelved, &refresher->shared.env);
}

/* What refresher_each_name() hands to the shelf. */
struct naming {
    void (*visit)(const char *name, void *arg);
    void *arg;
};

static void
name_shelved(const char *name, const struct token_record *record, void *arg)
{
    const struct naming *naming = arg;

    (void)record;
    naming->visit(name, naming->arg);
}

static void
name_leaving(struct keeper *keeper, void *arg)
{
    const struct naming *naming = arg;

    naming->visit(keeper_name(keeper), naming->arg);
}

void
refresher_each_name(struct refresher *refresher,
                    void (*visit)(const char *name, void *arg), void *arg)
{
    struct naming naming = {visit, arg};

    for (size_t i = 0; i < refresher->ring.count; i++)
        visit(keeper_name(refresher->ring.keepers[i]), arg);
    keeper_leaving_each(refresher->leaving, name_leaving, &naming);
    shelf_each(refresher->shelf, name_shelved, &naming);
}

void
refresher_save_name(struct refresher *refresher, const char *name)
{
    struct keeper *keeper = keeper_ring_find(&refresher->ring, name);
    const struct token_record *record;

    if (keeper == NULL)
        keeper = keeper_leaving_find(refresher->leaving, name);
    if (keeper != NULL) {
        keeper_save(keeper);
        return;
    }
    record = shelf_find(refresher->shelf, name);
    if (record != NULL && refresher->shared.env.save != NULL)
        save_shelved(name, record, &refresher->shared.env);
}

/* ---- The ring ----------------------------------------------------------- */

static int64_t
margin_ms(const struct config *config)
{
    int margin = MARGIN_DEFAULT_S;

    for (size_t i = 0; i < config->relay_count; i++)
        if (config->relays[i].min_token_lifetime > margin)
            margin = config->relays[i].min_token_lifetime;
    return (int64_t)margin * 1000;
}

/* Settle the keepers of the new ring: new settings, stored tokens, timers. */
static void
settle(struct refresher *refresher, const struct keeper_ring *old)
{
    const struct keeper_ring *ring = &refresher->ring;

    for (size_t i = 0; i < ring->count; i++) {
        struct keeper *keeper = ring->keepers[i];
        const struct config_credential *credential =
            keeper_ring_credential(ring, keeper_credential(keeper));
        struct keeper *leaver =
            keeper_leaving_find(refresher->leaving, keeper_name(keeper));

        if (leaver != NULL)
            keeper_leaving_return(refresher->leaving, leaver, credential);
        else if (keeper_ring_find(old, keeper_name(keeper)) != NULL)
            keeper_adopt(keeper, credential);
        else
            unshelve(refresher, keeper);
        keeper_set_place(keeper, i);
        keeper_set_on_demand(keeper, i >= ring->on_demand);
        keeper_plan(keeper, (int64_t)ring->count * START_SPREAD_MS);
    }
}

/* ---- Who goes, and the end ----------------------------------------------- */

static void
on_finished(struct keeper_shared *shared, struct keeper *keeper)
{
    struct refresher *refresher = (struct refresher *)(void *)shared;

    if (keeper_leaving_has(refresher->leaving, keeper)) {
        char name[REFRESHER_NAME_MAX];

        (void)snprintf(name, sizeof(name), "%s", keeper_name(keeper));
        shelve(refresher, keeper);
        keeper_leaving_end(refresher->leaving, keeper);
        if (!shared->is_stopping)
            wake(refresher, name);
    }
    if (shared->is_stopping && --refresher->ending == 0)
        refresher->stopped(refresher->stopped_arg);
}

/*
 * It is no longer configured: it is about to leave, or what it knows is on the
 * shelf. Tells nobody. False: it may leave, when it is told.
 */
static bool
part_with(struct refresher *refresher, struct keeper *keeper,
          struct config *config)
{
    if (keeper_is_spending(keeper) &&
        keeper_leaving_add(refresher->leaving, keeper, config) == 0)
        return false;
    shelve(refresher, keeper);
    return true;
}

/* Part with the old ring's keepers that are not in the new one. How many of
 * them are to be freed: they are the old ring's first then. */
static size_t
part_with_all(struct refresher *refresher, struct keeper_ring *old,
              struct config *old_config)
{
    size_t count = 0;

    for (size_t i = 0; i < old->count; i++) {
        struct keeper *keeper = old->keepers[i];

        if (keeper_ring_find(&refresher->ring, keeper_name(keeper)) != keeper &&
            part_with(refresher, keeper, old_config))
            old->keepers[count++] = keeper;
    }
    return count;
}

/* Few try a key; after each the ring may be another one. */
static void
tell_probers(struct refresher *refresher)
{
    size_t i = 0;

    while (i < refresher->ring.count)
        i = keeper_probe_tell(refresher->ring.keepers[i]) ? 0 : i + 1;
}

bool
refresher_stop(struct refresher *refresher, void (*stopped)(void *arg),
               void *arg)
{
    refresher->shared.is_stopping = true;
    refresher->stopped = stopped;
    refresher->stopped_arg = arg;
    refresher->ending = 0;
    for (size_t i = 0; i < refresher->ring.count; i++)
        if (keeper_stop(refresher->ring.keepers[i]))
            refresher->ending++;
    refresher->ending += keeper_leaving_count(refresher->leaving);
    return refresher->ending > 0;
}

int
refresher_configure(struct refresher *refresher, struct config *config,
                    struct err *err)
{
    struct config *old_config = refresher->shared.config;
    struct keeper_ring old = refresher->ring;
    struct keeper_ring_source source = {&refresher->shared, &refresher->ring,
                                        refresher->leaving};
    struct keeper_ring ring;

    if (keeper_ring_make(&source, config, &ring) < 0) {
        keeper_ring_undo(&source, &ring);
        return err_set(err, ERR_SYSTEM, "out of memory");
    }

    /* Nothing can fail from here on. */
    refresher->shared.policy = (struct token_policy){
        .refetch_interval_ms = (int64_t)config->tokend.refetch_interval * 1000,
        .margin_ms = margin_ms(config),
    };
    refresher->shared.config = config_ref(config);
    refresher->ring = ring;
    settle(refresher, &old);
    old.count = part_with_all(refresher, &old, old_config);
    wake_all(refresher);
    /* Last, as whoever is told may ask or even reload again. */
    for (size_t i = 0; i < old.count; i++)
        keeper_retire(&old.keepers[i], false);
    keeper_leaving_tell(refresher->leaving);
    tell_probers(refresher);
    keeper_ring_clear(&old);
    config_unref(&old_config);
    return 0;
}

/* ---- Begin and end ------------------------------------------------------- */

struct refresher *
refresher_new(const struct refresher_env *env)
{
    struct refresher *refresher = calloc(1, sizeof(*refresher));

    if (refresher == NULL)
        return NULL;
    refresher->shared.env = *env;
    refresher->shared.finished = on_finished;
    refresher->leaving = keeper_leaving_new();
    refresher->shelf = shelf_new();
    refresher->shared.strangers = strangers_new();
    refresher->sweep_timer = env->timer_new(env->arg, sweep, refresher);
    refresher->shared.planner =
        planner_new(&refresher->shared.env, keeper_fire);
    if (refresher->leaving == NULL || refresher->shelf == NULL ||
        refresher->shared.strangers == NULL || refresher->sweep_timer == NULL ||
        refresher->shared.planner == NULL)
        refresher_free(&refresher);
    return refresher;
}

void
refresher_free(struct refresher **refresher)
{
    struct refresher *r = *refresher;

    if (r == NULL)
        return;
    keeper_leaving_free(&r->leaving);
    for (size_t i = 0; i < r->ring.count; i++)
        keeper_free(&r->ring.keepers[i]);
    keeper_ring_clear(&r->ring);
    planner_free(&r->shared.planner);
    shelf_free(&r->shelf);
    strangers_free(&r->shared.strangers);
    if (r->sweep_timer != NULL)
        r->shared.env.timer_free(r->sweep_timer);
    config_unref(&r->shared.config);
    free(r);
    *refresher = NULL;
}

/* ---- Questions ---------------------------------------------------------- */

struct refresher_waiter *
refresher_ask(struct refresher *refresher,
              const struct refresher_question *question,
              refresher_answer_fn answer, void *arg)
{
    struct keeper *keeper =
        keeper_ring_find_key(&refresher->ring, &question->key);

    if (keeper == NULL)
        keeper = make_on_demand(refresher, &question->key);
    if (keeper == NULL) {
        answer(&(struct refresher_answer){.token = keeper_gone()}, arg);
        return NULL;
    }
    return keeper_ask(keeper, question, answer, arg);
}

const struct token *
refresher_peek(struct refresher *refresher, const struct refresher_key *key)
{
    const struct keeper *keeper = keeper_ring_find_key(&refresher->ring, key);

    return keeper != NULL ? keeper_token(keeper) : NULL;
}

bool
refresher_describe(struct refresher *refresher, const struct refresher_key *key,
                   struct refresher_info *out)
{
    const struct keeper *keeper = keeper_ring_find_key(&refresher->ring, key);

    if (keeper != NULL)
        keeper_describe(keeper, out);
    return keeper != NULL;
}

enum token_report_answer
refresher_report(struct refresher *refresher, const struct refresher_key *key,
                 int64_t *until_wall)
{
    struct keeper *keeper = keeper_ring_find_key(&refresher->ring, key);

    return keeper != NULL ? keeper_report(keeper, until_wall)
                          : TOKEN_REPORT_FETCHING;
}

void
refresher_accepted(struct refresher *refresher, const struct refresher_key *key)
{
    struct keeper *keeper = keeper_ring_find_key(&refresher->ring, key);

    if (keeper != NULL)
        keeper_accepted(keeper);
}

/* ---- What an operator does ---------------------------------------------- */

/* The keeper of a token that a person signs in for. */
static struct keeper *
find_for_login(struct refresher *refresher, const struct refresher_key *key,
               struct err *err)
{
    const struct config_credential *credential =
        keeper_ring_credential(&refresher->ring, key->credential);
    struct keeper *keeper = keeper_ring_find_key(&refresher->ring, key);

    if (credential == NULL) {
        err_set(err, ERR_NOTFOUND, "the credential is not configured");
        return NULL;
    }
    if (!grant_needs_login(credential->grant)) {
        err_set(err, ERR_CONFIG,
                "nobody signs in for this credential; that is for the grants "
                "authorization_code and device_code");
        return NULL;
    }
    if (keeper == NULL)
        keeper = make_on_demand(refresher, key);
    if (keeper == NULL)
        err_set(err, ERR_SYSTEM, "out of memory");
    return keeper;
}

int
refresher_sign_in(struct refresher *refresher, const struct refresher_key *key,
                  struct oauth_token *token, struct err *err)
{
    struct keeper *keeper = find_for_login(refresher, key, err);

    if (keeper == NULL)
        return -1;
    keeper_sign_in(keeper, token);
    return 0;
}

int
refresher_sign_out(struct refresher *refresher, const struct refresher_key *key,
                   struct err *err)
{
    struct keeper *keeper = find_for_login(refresher, key, err);

    if (keeper == NULL)
        return -1;
    keeper_sign_out(keeper);
    return 0;
}

int
refresher_fetch(struct refresher *refresher, const struct refresher_key *key,
                bool drops, struct err *err)
{
    struct keeper *keeper = keeper_ring_find_key(&refresher->ring, key);
    int64_t not_before_wall = 0;

    if (keeper == NULL)
        return err_set(err, ERR_NOTFOUND, "there is no such token");
    if (token_problem(keeper_token(keeper))->err.code == ERR_REAUTH &&
        keeper_token(keeper)->due_at == TOKEN_NEVER)
        return err_set(err, ERR_REAUTH,
                       "nobody has signed in for it; run: xoauth2ctl login "
                       "MAILBOX");
    if (!keeper_fetch(keeper, drops, &not_before_wall))
        return err_set(err, ERR_RETRY,
                       "the provider asked to wait for another %" PRId64 " s",
                       not_before_wall - wall_of(refresher));
    return 0;
}

int
refresher_probe(struct refresher *refresher, const char *credential,
                struct key *key, refresher_probed_fn *done, void *arg,
                struct err *err)
{
    struct keeper *best = NULL;
    size_t count = 0;

    for (size_t i = 0; i < refresher->ring.count; i++) {
        struct keeper *keeper = refresher->ring.keepers[i];

        if (strcasecmp(keeper_credential(keeper), credential) != 0)
            continue;
        count++;
        if (keeper_may_probe(keeper) &&
            (best == NULL || keeper_is_well(keeper)))
            best = keeper;
        if (best != NULL && keeper_is_well(best))
            break;
    }
    if (count == 0)
        return err_set(err, ERR_NOTFOUND,
                       "credential \"%s\" is not configured, or no mailbox "
                       "uses it yet: there is no token to probe with",
                       credential);
    if (best == NULL)
        return err_set(err, ERR_REAUTH,
                       "nobody has signed in for a mailbox of credential "
                       "\"%s\" yet: there is no token to probe with",
                       credential);
    return keeper_probe(best, key, done, arg, err);
}

void
refresher_unprobe(struct refresher *refresher, const void *arg)
{
    for (size_t i = 0; i < refresher->ring.count; i++)
        keeper_unprobe(refresher->ring.keepers[i], arg);
}

void
refresher_each(struct refresher *refresher,
               void (*visit)(const struct refresher_info *info, void *arg),
               void *arg)
{
    for (size_t i = 0; i < refresher->ring.count; i++) {
        struct refresher_info info;

        keeper_describe(refresher->ring.keepers[i], &info);
        visit(&info, arg);
    }
}
