/*
 * control_keys - what `status` and `rotate` say of the keys of a credential.
 */
#include "token-daemon/control_keys.h"

#include <jansson.h>

#include "token-daemon/control_exchange.h"

#define DAY_S INT64_C(86400)

struct listing {
    json_t *list;
    int64_t wall;
};

static const char *
stage_word(enum key_stage stage)
{
    const char *word = "configured";

    switch (stage) {
    case KEY_CONFIGURED:
        break;
    case KEY_CANDIDATE:
        word = "candidate";
        break;
    case KEY_AHEAD:
        word = "rotated";
        break;
    case KEY_BEHIND:
        word = "superseded";
        break;
    }
    return word;
}

static json_t *
optional_time(int64_t at)
{
    return at != 0 ? json_integer(at) : json_null();
}

/* Days until it ends, rounded down; negative: it has ended. */
static json_t *
days_left(int64_t not_after, int64_t wall)
{
    int64_t left = not_after - wall;

    if (not_after == 0)
        return json_null();
    return json_integer(left >= 0 ? left / DAY_S
                                  : -((DAY_S - 1 - left) / DAY_S));
}

/* What is wrong with it now; or of what is new in its files. */
static json_t *
describe_failure(const struct key *key)
{
    const struct key_health *health = &key->health;
    bool is_passed_over =
        health->problem == PROBLEM_NONE && health->text[0] != '\0';

    if (health->problem == PROBLEM_NONE && !is_passed_over)
        return json_null();
    return json_pack(
        "{s:s, s:o, s:o, s:b}", "reason",
        is_passed_over ? "new-content" : problem_word(health->problem), "text",
        control_string(health->text), "at", optional_time(health->failed_wall),
        "is_used", (int)is_passed_over);
}

static void
describe(const struct keyring_info *info, void *arg)
{
    const struct listing *listing = arg;
    const struct key *key = info->key;
    const struct key_health *health = &key->health;

    /* On failure the entry is left out; the rest is all the same useful. */
    (void)json_array_append_new(
        listing->list,
        json_pack("{s:o, s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, "
                  "s:o, s:o}",
                  "credential", control_string(info->credential), "kind",
                  key_kind_word(key->kind), "stage", stage_word(key->stage),
                  "live", (int)info->is_live, "set_aside", (int)info->is_aside,
                  "source", control_string(key->source), "id",
                  control_optional_string(health->id), "origin",
                  control_optional_string(key->origin), "added",
                  optional_time(key->added_wall), "worked",
                  optional_time(health->worked_wall), "failure",
                  describe_failure(key), "not_after",
                  optional_time(health->not_after), "days_left",
                  days_left(health->not_after, listing->wall)));
}

json_t *
control_keys_describe(struct keyring *keyring, const char *credential,
                      int64_t wall)
{
    struct listing listing = {json_array(), wall};

    if (listing.list != NULL && keyring != NULL)
        keyring_each(keyring, credential, describe, &listing);
    return listing.list;
}
