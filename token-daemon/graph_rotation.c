/*
 * graph_rotation - what a credential's rotation at Microsoft Graph does next.
 */
#include "token-daemon/graph_rotation.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/secret.h"
#include "common/util.h"

#define GIVE_UP_S     1800  /* refused for so long: it will not be taken */
#define PROBE_MAX_S   15    /* between two probes */
#define MISS_S        900   /* between looks for what is not listed */
#define MISSES_MAX    4     /* then it is not there */
#define PASSING_S     2     /* the first delay after what may pass */
#define PASSING_MAX_S 900   /* and the longest */
#define LASTING_S     60    /* the same for what somebody must mend */
#define LASTING_MAX_S 21600 /* 6 hours */
#define RETRY_AFTER_S 86400 /* the most that is believed of a Retry-After */
#define JITTER        0.25  /* of a delay, added */
#define SPREAD        0.05  /* of the interval, taken off */

void
graph_rotation_init(struct graph_rotation *rotation, int64_t now)
{
    *rotation = (struct graph_rotation){.due_wall = now};
}

static void
clear_secrets(struct graph_rotation *rotation)
{
    secret_free(&rotation->certificate);
    secret_free(&rotation->private_key);
    secret_free(&rotation->secret);
}

void
graph_rotation_clear(struct graph_rotation *rotation)
{
    clear_secrets(rotation);
    *rotation = (struct graph_rotation){.phase = GRAPH_ROTATION_IDLE};
}

bool
graph_rotation_is_same(const struct graph_rotation_entry *a,
                       const struct graph_rotation_entry *b)
{
    if (a->key_id[0] != '\0' && b->key_id[0] != '\0')
        return strcasecmp(a->key_id, b->key_id) == 0;
    if (a->is_secret != b->is_secret)
        return false;
    if (a->tag[0] != '\0' && strcmp(a->tag, b->tag) == 0)
        return true;
    return a->thumbprint[0] != '\0' &&
           strcmp(a->thumbprint, b->thumbprint) == 0;
}

static bool
is_there(const struct graph_rotation_entry *entry)
{
    return entry->tag[0] != '\0' || entry->key_id[0] != '\0';
}

/* Go on from here: what was learnt in the phase before counts no more. */
static void
set_phase(struct graph_rotation *rotation, enum graph_rotation_phase phase)
{
    rotation->phase = phase;
    rotation->is_doubtful = false;
    rotation->is_listed = false;
    rotation->is_checked = false;
    rotation->streak = 0;
    rotation->probe_wall = 0;
}

/* ---- What is retired ------------------------------------------------------
 */

/* Is there room for what one rotation may leave? */
static bool
has_room(const struct graph_rotation *rotation)
{
    return rotation->retired_count < GRAPH_ROTATION_RETIRED_MAX / 2;
}

static void
retire(struct graph_rotation *rotation,
       const struct graph_rotation_entry *entry, bool was_used, int64_t at)
{
    struct graph_rotation_entry *retired;

    if (!is_there(entry) || graph_rotation_is_same(entry, &rotation->current))
        return;
    for (size_t i = 0; i < rotation->retired_count; i++)
        if (graph_rotation_is_same(&rotation->retired[i], entry))
            return;
    if (rotation->retired_count == GRAPH_ROTATION_RETIRED_MAX)
        return; /* more than that an operator has listed */
    retired = &rotation->retired[rotation->retired_count++];
    *retired = *entry;
    retired->was_used = was_used;
    retired->remove_wall = at;
    retired->misses = 0;
    retired->is_present = false;
}

static void
drop_retired(struct graph_rotation *rotation, size_t index)
{
    rotation->retired_count--;
    memmove(&rotation->retired[index], &rotation->retired[index + 1],
            (rotation->retired_count - index) * sizeof(rotation->retired[0]));
}

/* The first that is to go now, or NULL. */
static const struct graph_rotation_entry *
find_due(const struct graph_rotation *rotation, int64_t now)
{
    for (size_t i = 0; i < rotation->retired_count; i++)
        if (rotation->retired[i].remove_wall <= now)
            return &rotation->retired[i];
    return NULL;
}

void
graph_rotation_abandon(struct graph_rotation *rotation, int64_t now)
{
    if (rotation->phase == GRAPH_ROTATION_IDLE)
        return;
    retire(rotation, &rotation->candidate, false, now);
    rotation->candidate = (struct graph_rotation_entry){.is_secret = false};
    clear_secrets(rotation);
    set_phase(rotation, GRAPH_ROTATION_IDLE);
}

/* ---- What next ------------------------------------------------------------
 */

static void
plan_wait(struct graph_rotation_plan *out, int64_t until)
{
    out->step = GRAPH_ROTATION_WAIT;
    out->until_wall = until;
}

/* Remove something: true when there is a step for it. */
static bool
plan_removal(const struct graph_rotation *rotation, int64_t now,
             struct graph_rotation_plan *out)
{
    const struct graph_rotation_entry *due = find_due(rotation, now);

    if (due == NULL || now < rotation->clean_wall)
        return false;
    out->entry = due;
    if (!rotation->is_listed || !due->is_present)
        out->step = GRAPH_ROTATION_LIST;
    else if (due->was_used && !rotation->is_checked)
        out->step = GRAPH_ROTATION_CHECK;
    else
        out->step = GRAPH_ROTATION_REMOVE;
    return true;
}

/* When there will be something to do. */
static int64_t
next_time(const struct graph_rotation *rotation)
{
    int64_t at = rotation->due_wall > rotation->not_before_wall
                     ? rotation->due_wall
                     : rotation->not_before_wall;
    bool may_rotate = has_room(rotation);

    for (size_t i = 0; i < rotation->retired_count; i++) {
        int64_t removal = rotation->retired[i].remove_wall;

        if (removal < rotation->clean_wall)
            removal = rotation->clean_wall;
        if (removal < at || !may_rotate) {
            at = removal;
            may_rotate = true;
        }
    }
    return at;
}

static void
plan_idle(const struct graph_rotation *rotation, int64_t now,
          struct graph_rotation_plan *out)
{
    if (plan_removal(rotation, now, out))
        return;
    if (now >= rotation->due_wall && now >= rotation->not_before_wall &&
        has_room(rotation))
        out->step = GRAPH_ROTATION_MAKE;
    else
        plan_wait(out, next_time(rotation));
}

void
graph_rotation_next(const struct graph_rotation *rotation, int64_t now,
                    struct graph_rotation_plan *out)
{
    *out = (struct graph_rotation_plan){.step = GRAPH_ROTATION_WAIT};
    switch (rotation->phase) {
    case GRAPH_ROTATION_IDLE:
        plan_idle(rotation, now, out);
        break;
    case GRAPH_ROTATION_SENDING:
        if (now < rotation->not_before_wall)
            plan_wait(out, rotation->not_before_wall);
        else
            out->step =
                rotation->is_listed ? GRAPH_ROTATION_ADD : GRAPH_ROTATION_LIST;
        break;
    case GRAPH_ROTATION_PROBING:
        if (now < rotation->probe_wall)
            plan_wait(out, rotation->probe_wall);
        else
            out->step = GRAPH_ROTATION_PROBE;
        break;
    case GRAPH_ROTATION_PROMOTING:
        if (now < rotation->not_before_wall)
            plan_wait(out, rotation->not_before_wall);
        else
            out->step = GRAPH_ROTATION_PROMOTE;
        break;
    }
}

/* ---- Outcomes -------------------------------------------------------------
 */

void
graph_rotation_tag(const unsigned char random[GRAPH_ROTATION_TAG_RANDOM],
                   char out[GRAPH_ROTATION_TAG_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    static const char prefix[] = "xoauth2-relay ";
    char *at = out;

    _Static_assert(sizeof(prefix) + 2 * (size_t)GRAPH_ROTATION_TAG_RANDOM <=
                       GRAPH_ROTATION_TAG_SIZE,
                   "a tag has room");
    memcpy(at, prefix, sizeof(prefix) - 1);
    at += sizeof(prefix) - 1;
    for (size_t i = 0; i < GRAPH_ROTATION_TAG_RANDOM; i++) {
        *at++ = hex[random[i] >> 4];
        *at++ = hex[random[i] & 15];
    }
    *at = '\0';
}

int
graph_rotation_made(struct graph_rotation *rotation,
                    const struct graph_rotation_made *made, struct err *err)
{
    struct graph_rotation_entry candidate = {
        .is_secret = made->certificate == NULL,
    };

    if (made->certificate != NULL) {
        rotation->certificate = secret_dup(made->certificate);
        rotation->private_key = secret_dup(made->private_key);
        if (rotation->certificate == NULL || rotation->private_key == NULL) {
            clear_secrets(rotation);
            return err_set(err, ERR_SYSTEM, "out of memory");
        }
        (void)snprintf(candidate.thumbprint, sizeof(candidate.thumbprint), "%s",
                       made->thumbprint);
    }
    graph_rotation_tag(made->random, candidate.tag);
    rotation->candidate = candidate;
    set_phase(rotation, GRAPH_ROTATION_SENDING);
    return 0;
}

static const struct graph_rotation_entry *
find_same(const struct graph_rotation_entry *entries, size_t count,
          const struct graph_rotation_entry *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (graph_rotation_is_same(&entries[i], wanted))
            return &entries[i];
    return NULL;
}

static void
set_key_id(struct graph_rotation_entry *entry, const char *key_id)
{
    (void)snprintf(entry->key_id, sizeof(entry->key_id), "%s", key_id);
}

/* It is registered. */
static void
begin_probing(struct graph_rotation *rotation, int64_t now)
{
    set_phase(rotation, GRAPH_ROTATION_PROBING);
    rotation->added_wall = now;
    rotation->failures = 0;
    rotation->not_before_wall = 0;
    rotation->reason[0] = '\0';
}

/*
 * Has the candidate been registered, by a request whose answer was not seen? A
 * certificate goes on then. A secret's text came with that answer only. What
 * is not listed may appear yet, as listings lag behind; so it is not sent
 * again but made anew, and looked for later.
 */
static void
list_candidate(struct graph_rotation *rotation,
               const struct graph_rotation_entry *entries, size_t count,
               int64_t now)
{
    const struct graph_rotation_entry *found =
        find_same(entries, count, &rotation->candidate);

    if (found != NULL)
        set_key_id(&rotation->candidate, found->key_id);
    if (found != NULL && !rotation->candidate.is_secret)
        begin_probing(rotation, now);
    else if (found != NULL || rotation->is_doubtful)
        graph_rotation_abandon(rotation, now);
    else
        rotation->is_listed = true;
}

/*
 * What of the retired is there? What was in use and is not listed has been
 * removed: it was listed once, and that lag is over. What was never seen may
 * appear yet.
 */
static void
list_retired(struct graph_rotation *rotation,
             const struct graph_rotation_entry *entries, size_t count,
             int64_t now)
{
    for (size_t i = 0; i < rotation->retired_count;) {
        struct graph_rotation_entry *retired = &rotation->retired[i];
        const struct graph_rotation_entry *found =
            find_same(entries, count, retired);

        retired->is_present = found != NULL;
        if (found != NULL) {
            set_key_id(retired, found->key_id);
            retired->is_secret = found->is_secret; /* of what was named */
        }
        if (found != NULL || retired->remove_wall > now) {
            i++;
        } else if (retired->was_used || ++retired->misses >= MISSES_MAX) {
            drop_retired(rotation, i);
        } else {
            retired->remove_wall = now + MISS_S;
            i++;
        }
    }
    rotation->is_listed = find_due(rotation, now) != NULL;
}

void
graph_rotation_listed(struct graph_rotation *rotation,
                      const struct graph_rotation_entry *entries, size_t count,
                      int64_t now)
{
    const struct graph_rotation_entry *found =
        find_same(entries, count, &rotation->current);

    if (rotation->phase == GRAPH_ROTATION_SENDING) {
        list_candidate(rotation, entries, count, now);
        return;
    }
    rotation->is_current_present = found != NULL;
    if (found != NULL)
        set_key_id(&rotation->current, found->key_id);
    list_retired(rotation, entries, count, now);
}

int
graph_rotation_added(struct graph_rotation *rotation, const char *key_id,
                     const char *secret, int64_t now, struct err *err)
{
    if (secret != NULL) {
        secret_free(&rotation->secret);
        rotation->secret = secret_dup(secret);
        if (rotation->secret == NULL)
            return err_set(err, ERR_SYSTEM, "out of memory");
    }
    if (key_id != NULL)
        set_key_id(&rotation->candidate, key_id);
    begin_probing(rotation, now);
    return 0;
}

static int64_t
probe_interval(const struct config_rotation *settings)
{
    int64_t interval = settings->settle_s / 8;

    if (interval < 1)
        return 1;
    return interval < PROBE_MAX_S ? interval : PROBE_MAX_S;
}

static void
note_failure(struct graph_rotation *rotation, const char *reason)
{
    (void)snprintf(rotation->reason, sizeof(rotation->reason), "%s", reason);
}

/* Delay after the `count`th failure in a row. */
static int64_t
delay_after(unsigned count, const struct graph_rotation_failure *failure,
            double chance)
{
    int64_t delay = failure->is_lasting ? LASTING_S : PASSING_S;
    int64_t max = failure->is_lasting ? LASTING_MAX_S : PASSING_MAX_S;
    int64_t asked = failure->retry_after_s < RETRY_AFTER_S
                        ? failure->retry_after_s
                        : RETRY_AFTER_S;

    while (count-- > 1 && delay < max)
        delay *= 2;
    if (delay > max)
        delay = max;
    delay += (int64_t)((double)delay * JITTER * chance);
    return delay > asked ? delay : asked;
}

void
graph_rotation_probed(struct graph_rotation *rotation,
                      const struct config_rotation *settings, bool is_accepted,
                      int64_t now)
{
    const struct graph_rotation_failure never = {.reason = "never-accepted",
                                                 .is_lasting = true};

    rotation->probe_wall = now + probe_interval(settings);
    rotation->failures = 0; /* the answers came */
    if (!is_accepted) {
        rotation->streak = 0;
        if (now - rotation->added_wall < GIVE_UP_S + settings->settle_s)
            return;
        graph_rotation_abandon(rotation, now);
        graph_rotation_failed(rotation, GRAPH_ROTATION_MAKE, &never, now, 0);
        return;
    }
    if (rotation->streak++ == 0)
        rotation->working_wall = now;
    if (rotation->streak >= GRAPH_ROTATION_PROBES &&
        now - rotation->working_wall >= settings->settle_s)
        set_phase(rotation, GRAPH_ROTATION_PROMOTING);
}

void
graph_rotation_promoted(struct graph_rotation *rotation,
                        const struct config_rotation *settings, int64_t now,
                        double chance)
{
    struct graph_rotation_entry old = rotation->current;

    rotation->current = rotation->candidate;
    rotation->candidate = (struct graph_rotation_entry){.is_secret = false};
    clear_secrets(rotation);
    set_phase(rotation, GRAPH_ROTATION_IDLE);
    retire(rotation, &old, true, now + settings->grace_s);
    for (size_t i = 0; i < settings->remove_count; i++) {
        struct graph_rotation_entry entry = {
            .is_secret = rotation->current.is_secret,
        };

        set_key_id(&entry, settings->remove[i]);
        retire(rotation, &entry, true, now + settings->grace_s);
    }
    rotation->rotated_wall = now;
    rotation->due_wall = now + settings->every_s -
                         (int64_t)((double)settings->every_s * SPREAD * chance);
    rotation->failures = 0;
    rotation->not_before_wall = 0;
    rotation->reason[0] = '\0';
}

void
graph_rotation_checked(struct graph_rotation *rotation, int64_t now,
                       double chance)
{
    static const struct graph_rotation_failure absent = {
        .reason = "current-not-listed",
        .is_lasting = true,
    };

    if (rotation->is_current_present)
        rotation->is_checked = true;
    else
        graph_rotation_failed(rotation, GRAPH_ROTATION_CHECK, &absent, now,
                              chance);
}

void
graph_rotation_removed(struct graph_rotation *rotation, const char *key_id)
{
    for (size_t i = 0; i < rotation->retired_count; i++) {
        if (strcasecmp(rotation->retired[i].key_id, key_id) != 0)
            continue;
        drop_retired(rotation, i);
        break;
    }
    rotation->clean_failures = 0;
    rotation->clean_wall = 0;
    rotation->is_listed = false; /* look anew before the next one goes */
    rotation->is_checked = false;
    if (rotation->failures == 0)
        rotation->reason[0] = '\0';
}

/* Removing did not work; rotating goes on without it. */
static void
clean_failed(struct graph_rotation *rotation,
             const struct graph_rotation_failure *failure, int64_t now,
             double chance)
{
    if (rotation->clean_failures < UINT32_MAX)
        rotation->clean_failures++;
    rotation->clean_wall =
        now + delay_after(rotation->clean_failures, failure, chance);
    rotation->is_listed = false;
    rotation->is_checked = false;
}

void
graph_rotation_failed(struct graph_rotation *rotation,
                      enum graph_rotation_step step,
                      const struct graph_rotation_failure *failure, int64_t now,
                      double chance)
{
    int64_t until;

    note_failure(rotation, failure->reason);
    if (rotation->phase == GRAPH_ROTATION_IDLE && step != GRAPH_ROTATION_MAKE) {
        clean_failed(rotation, failure, now, chance);
        return;
    }
    if (rotation->failures < UINT32_MAX)
        rotation->failures++;
    until = now + delay_after(rotation->failures, failure, chance);
    if (rotation->phase == GRAPH_ROTATION_PROBING) {
        rotation->probe_wall = until;
        return;
    }
    rotation->not_before_wall = until;
    rotation->is_listed = false;
    if (step == GRAPH_ROTATION_ADD && failure->is_unknown)
        rotation->is_doubtful = true;
}

/* ---- From elsewhere -------------------------------------------------------
 */

/* Has nothing been done that would be missed? */
static bool
is_untouched(const struct graph_rotation *rotation)
{
    return rotation->rotated_wall == 0 && !is_there(&rotation->current) &&
           rotation->retired_count == 0 &&
           (rotation->phase == GRAPH_ROTATION_IDLE ||
            (rotation->phase == GRAPH_ROTATION_SENDING &&
             !rotation->is_doubtful));
}

/* Retire what the one that does not go on has registered. */
static void
retire_all(struct graph_rotation *rotation, const struct graph_rotation *other,
           int64_t grace_s, int64_t now)
{
    bool has_candidate = rotation->phase != GRAPH_ROTATION_IDLE;
    const struct graph_rotation_entry *mine = &rotation->candidate;

    for (size_t i = 0; i < other->retired_count; i++) {
        const struct graph_rotation_entry *entry = &other->retired[i];

        if (!has_candidate || !graph_rotation_is_same(entry, mine))
            retire(rotation, entry, entry->was_used, entry->remove_wall);
    }
    if (!has_candidate || !graph_rotation_is_same(&other->current, mine))
        retire(rotation, &other->current, true, now + grace_s);
    if (other->phase != GRAPH_ROTATION_IDLE &&
        (!has_candidate || !graph_rotation_is_same(&other->candidate, mine)))
        retire(rotation, &other->candidate,
               other->phase == GRAPH_ROTATION_PROMOTING, now + grace_s);
    rotation->is_listed = false;
    rotation->is_checked = false;
}

bool
graph_rotation_merge(struct graph_rotation *rotation,
                     struct graph_rotation *other,
                     const struct config_rotation *settings, int64_t now)
{
    struct graph_rotation mine = *rotation;
    bool is_taken =
        is_untouched(rotation) || other->rotated_wall > rotation->rotated_wall;

    if (is_taken) {
        *rotation = *other;
        *other = mine;
    }
    if (!is_untouched(other))
        retire_all(rotation, other, settings->grace_s, now);
    graph_rotation_clear(other);
    return is_taken;
}

static void
limit(int64_t *at, int64_t latest)
{
    if (*at > latest)
        *at = latest;
}

void
graph_rotation_fit(struct graph_rotation *rotation,
                   const struct config_rotation *settings, int64_t now)
{
    const int64_t longest = RETRY_AFTER_S;
    int64_t grace =
        settings->grace_s > MISS_S ? settings->grace_s : (int64_t)MISS_S;

    limit(&rotation->due_wall, now + settings->every_s);
    limit(&rotation->not_before_wall, now + longest);
    limit(&rotation->clean_wall, now + longest);
    limit(&rotation->probe_wall, now + longest);
    limit(&rotation->added_wall, now);
    limit(&rotation->working_wall, now);
    for (size_t i = 0; i < rotation->retired_count; i++)
        limit(&rotation->retired[i].remove_wall, now + grace);
}

void
graph_rotation_retry(struct graph_rotation *rotation)
{
    rotation->not_before_wall = 0;
    rotation->clean_wall = 0;
    rotation->probe_wall = 0;
}

void
graph_rotation_hurry(struct graph_rotation *rotation, int64_t now)
{
    if (rotation->due_wall > now)
        rotation->due_wall = now;
    graph_rotation_retry(rotation);
}

const char *
graph_rotation_word(const struct graph_rotation *rotation)
{
    static const char *const words[GRAPH_ROTATION_PHASES] = {
        [GRAPH_ROTATION_IDLE] = "idle",
        [GRAPH_ROTATION_SENDING] = "sending",
        [GRAPH_ROTATION_PROBING] = "probing",
        [GRAPH_ROTATION_PROMOTING] = "promoting",
    };

    if (rotation->phase != GRAPH_ROTATION_IDLE)
        return words[rotation->phase];
    for (size_t i = 0; i < rotation->retired_count; i++)
        if (rotation->retired[i].was_used)
            return "grace";
    return words[rotation->phase];
}
