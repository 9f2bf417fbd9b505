/*
 * kept_keys - those keys of a bunch that are kept by us.
 */
#include "token-daemon/kept_keys.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "token-daemon/keyring.h"

void
kept_keys_name_source(struct key *key)
{
    const char *ref = NULL;
    time_t at = (time_t)key->added_wall;
    struct tm tm;
    char when[32] = "";

    for (size_t i = 0; i < KEY_PART_COUNT && ref == NULL; i++)
        ref = key->refs[i].text;
    if (key->stage != KEY_CANDIDATE && gmtime_r(&at, &tm) != NULL)
        (void)strftime(when, sizeof(when), "%FT%TZ", &tm);
    (void)snprintf(key->source, sizeof(key->source), "%s%s%s",
                   key->material == NULL && ref != NULL ? ref : "state",
                   key->stage == KEY_CANDIDATE ? ", not in use yet"
                                               : ", rotated at ",
                   when);
}

static size_t
index_of(const struct key_bunch *bunch, const struct key *key)
{
    size_t i = 0;

    while (i < bunch->kept.count && bunch->kept.keys[i] != key)
        i++;
    return i;
}

static void
drop(struct key_bunch *bunch, size_t index)
{
    struct key_list *kept = &bunch->kept;

    key_unref(&kept->keys[index]);
    kept->count--;
    memmove(&kept->keys[index], &kept->keys[index + 1],
            (kept->count - index) * sizeof(struct key *));
    bunch->is_changed = true;
}

/* Which of the kept keys is missed least? Candidates are not ours to drop. */
static bool
find_least(const struct key_bunch *bunch, size_t *out)
{
    int best = -1;

    for (size_t i = 0; i < bunch->kept.count; i++) {
        const struct key *key = bunch->kept.keys[i];
        int rank = 0;

        if (key->stage == KEY_CANDIDATE)
            continue;
        if (key->health.problem != PROBLEM_NONE)
            rank = 2;
        else if (key->stage == KEY_BEHIND)
            rank = 1;
        if (rank >= best) { /* of equals the oldest, which is the last */
            best = rank;
            *out = i;
        }
    }
    return best >= 0;
}

/* Room for one more; what was kept for another application goes. */
static int
make_room(struct key_bunch *bunch, const struct key *key, struct err *err)
{
    size_t i = bunch->kept.count;

    while (i-- > 0) {
        const struct key *other = bunch->kept.keys[i];

        if (key_bunch_is_aside(bunch) ||
            (other->material != NULL && key->material != NULL &&
             strcmp(other->material->mark, key->material->mark) == 0) ||
            (other->material == NULL && key->material == NULL &&
             key_is_same(other, key)))
            drop(bunch, i);
    }
    while (bunch->kept.count >= KEYRING_KEPT_MAX) {
        if (!find_least(bunch, &i))
            return err_set(err, ERR_CONFIG,
                           "%d keys of credential \"%s\" wait to be used "
                           "already",
                           KEYRING_KEPT_MAX, bunch->name);
        drop(bunch, i);
    }
    return 0;
}

/* Put the last of the list first. */
static void
bring_forward(struct key_list *list)
{
    struct key *last = list->keys[list->count - 1];

    memmove(&list->keys[1], &list->keys[0],
            (list->count - 1) * sizeof(struct key *));
    list->keys[0] = last;
}

int
kept_keys_add(struct key_bunch *bunch, struct key *key, enum key_stage stage,
              int64_t wall, struct err *err)
{
    if (make_room(bunch, key, err) < 0)
        return -1;
    if (key_list_add(&bunch->kept, key) < 0)
        return err_set(err, ERR_SYSTEM, "out of memory");
    bring_forward(&bunch->kept);
    memcpy(bunch->kept_for, bunch->client, sizeof(bunch->kept_for));
    if (key->material != NULL)
        key_material_lock(key->material);
    key->stage = stage;
    key->added_wall = wall;
    if (key->health.id[0] == '\0' && key->material != NULL)
        (void)snprintf(key->health.id, sizeof(key->health.id), "%s",
                       key->material->mark);
    kept_keys_name_source(key);
    bunch->is_changed = true;
    return 0;
}

static bool
is_kept(const struct key_bunch *bunch, const struct key *key)
{
    for (size_t i = 0; i < bunch->kept.count; i++) {
        const struct key *other = bunch->kept.keys[i];

        if (key->material != NULL && other->material != NULL
                ? strcmp(key->material->mark, other->material->mark) == 0
                : key->material == other->material && key_is_same(key, other))
            return true;
    }
    return false;
}

/* Where a key belongs among those that are kept: at the end, or by its age. */
static size_t
place_of(const struct key_bunch *bunch, const struct key *key, bool by_age)
{
    size_t i = 0;

    while (i < bunch->kept.count &&
           (!by_age || bunch->kept.keys[i]->added_wall >= key->added_wall))
        i++;
    return i;
}

int
kept_keys_merge(struct key_bunch *bunch, const struct key_list *list,
                bool by_age, struct err *err)
{
    int count = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct key *key = list->keys[i];
        size_t at = place_of(bunch, key, by_age);
        size_t least;

        if (is_kept(bunch, key))
            continue;
        if (key_list_add(&bunch->kept, key) < 0)
            return err_set(err, ERR_SYSTEM, "out of memory");
        memmove(&bunch->kept.keys[at + 1], &bunch->kept.keys[at],
                (bunch->kept.count - 1 - at) * sizeof(struct key *));
        bunch->kept.keys[at] = key;
        if (bunch->kept.count > KEYRING_KEPT_MAX && find_least(bunch, &least))
            drop(bunch, least);
        count += is_kept(bunch, key) ? 1 : 0;
    }
    return count;
}

bool
kept_keys_promote(struct key_bunch *bunch, struct key *key, int64_t wall)
{
    size_t index = index_of(bunch, key);

    if (index == bunch->kept.count)
        return false;
    memmove(&bunch->kept.keys[1], &bunch->kept.keys[0],
            index * sizeof(struct key *));
    bunch->kept.keys[0] = key;
    key->stage = KEY_AHEAD;
    key->added_wall = wall;
    kept_keys_name_source(key);
    bunch->is_changed = true;
    return true;
}

bool
kept_keys_remove(struct key_bunch *bunch, const struct key *key)
{
    size_t index = index_of(bunch, key);

    if (index == bunch->kept.count)
        return false;
    drop(bunch, index);
    return true;
}

void
kept_keys_forget(struct key_bunch *bunch, const char *spared, size_t *dropped,
                 size_t *demoted)
{
    size_t i = bunch->kept.count;

    *dropped = 0;
    *demoted = 0;
    while (i-- > 0) {
        struct key *key = bunch->kept.keys[i];

        if (key->stage == KEY_CANDIDATE)
            continue;
        if (spared != NULL && strcmp(key->origin, spared) == 0) {
            key->stage = KEY_BEHIND;
            bunch->is_changed = true;
            (*demoted)++;
        } else {
            drop(bunch, i);
            (*dropped)++;
        }
    }
}

void
kept_keys_demote(struct key_bunch *bunch, const struct key *except)
{
    for (size_t i = 0; i < bunch->kept.count; i++)
        if (bunch->kept.keys[i]->stage == KEY_AHEAD &&
            bunch->kept.keys[i] != except)
            bunch->kept.keys[i]->stage = KEY_BEHIND;
    bunch->is_changed = true;
}

struct key *
kept_keys_find(const struct key_bunch *bunch, const char *name)
{
    struct key *found = NULL;

    for (size_t i = 0; i < bunch->kept.count; i++) {
        struct key *key = bunch->kept.keys[i];

        if (strcmp(key->health.id, name) == 0 || strcmp(key->tag, name) == 0)
            return key;
    }
    for (size_t i = 0; i < bunch->kept.count; i++) {
        if (strcmp(bunch->kept.keys[i]->origin, name) != 0)
            continue;
        if (found != NULL)
            return NULL;
        found = bunch->kept.keys[i];
    }
    return found;
}
