/*
 * key_order - in which order the keys of a bunch are tried.
 */
#include "token-daemon/key_order.h"

#include <stdbool.h>

#include "token-daemon/keyring.h"

/* Did it fail, and not because it is new? */
static bool
is_failing(const struct key *key, int64_t wall)
{
    int64_t age = wall - key->added_wall;

    if (key->health.problem == PROBLEM_BAD_SECRET && key->added_wall != 0 &&
        age >= 0 && age < KEYRING_SPREAD_S)
        return false;
    return key->health.problem != PROBLEM_NONE;
}

/* Append those of a stage. */
static int
add_stage(const struct key_list *from, enum key_stage stage,
          struct key_list *list)
{
    for (size_t i = 0; i < from->count; i++)
        if (from->keys[i]->stage == stage &&
            key_list_add(list, from->keys[i]) < 0)
            return -1;
    return 0;
}

/* In the order of the stages, whether they fail or not. */
static int
add_stages(const struct key_bunch *bunch, struct key_list *list)
{
    bool has_kept = !key_bunch_is_aside(bunch);

    if ((has_kept && add_stage(&bunch->kept, KEY_AHEAD, list) < 0) ||
        add_stage(&bunch->configured, KEY_CONFIGURED, list) < 0 ||
        (has_kept && add_stage(&bunch->kept, KEY_BEHIND, list) < 0))
        return -1;
    return 0;
}

int
key_order_list(const struct key_bunch *bunch, int64_t wall,
               struct key_list *list)
{
    struct key_list all = {0};
    int rc = add_stages(bunch, &all);

    for (size_t i = 0; rc == 0 && i < all.count; i++)
        if (!is_failing(all.keys[i], wall))
            rc = key_list_add(list, all.keys[i]);
    for (size_t i = 0; rc == 0 && i < all.count; i++)
        if (is_failing(all.keys[i], wall))
            rc = key_list_add(list, all.keys[i]);
    key_list_clear(&all);
    return rc;
}

int
key_order_all(const struct key_bunch *bunch, struct key_list *list)
{
    if (add_stages(bunch, list) < 0 ||
        (key_bunch_is_aside(bunch) &&
         (add_stage(&bunch->kept, KEY_AHEAD, list) < 0 ||
          add_stage(&bunch->kept, KEY_BEHIND, list) < 0)))
        return -1;
    return add_stage(&bunch->kept, KEY_CANDIDATE, list);
}
