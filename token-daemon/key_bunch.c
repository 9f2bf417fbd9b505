/*
 * key_bunch - the keys of one credential.
 */
#include "token-daemon/key_bunch.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

struct key_bunch *
key_bunch_new(const char *name, struct err *err)
{
    struct key_bunch *bunch = calloc(1, sizeof(*bunch));

    if (bunch != NULL)
        bunch->name = strdup(name);
    if (bunch == NULL || bunch->name == NULL) {
        free(bunch);
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    if (key_salt_make(&bunch->salt, err) < 0)
        key_bunch_free(&bunch);
    return bunch;
}

void
key_bunch_free(struct key_bunch **bunch)
{
    struct key_bunch *b = *bunch;

    if (b == NULL)
        return;
    application_clear(&b->application);
    key_list_clear(&b->kept);
    key_list_clear(&b->configured);
    keyring_record_clear(&b->restored);
    free(b->name);
    free(b);
    *bunch = NULL;
}

bool
key_bunch_is_aside(const struct key_bunch *bunch)
{
    return bunch->kept.count > 0 && bunch->client[0] != '\0' &&
           strcmp(bunch->client, bunch->kept_for) != 0;
}

/* What is known of a key of relay.conf from before a restart. */
static void
recall(struct key_bunch *bunch, struct key *key)
{
    char *refs = keyring_record_refs(key);

    for (size_t i = 0; refs != NULL && i < bunch->restored.memo_count; i++) {
        const struct keyring_memo *memo = &bunch->restored.memos[i];

        if (strcmp(memo->refs, refs) != 0)
            continue;
        key->health = memo->health;
        key->added_wall = memo->added_wall;
        memcpy(key->seen, memo->seen, sizeof(key->seen));
        memcpy(key->refused, memo->refused, sizeof(key->refused));
    }
    free(refs);
}

/* The same key of before a reload, or NULL. */
static struct key *
find_same(const struct key_list *list, const struct key *key)
{
    for (size_t i = 0; i < list->count; i++)
        if (key_is_same(list->keys[i], key))
            return list->keys[i];
    return NULL;
}

/* Put what is known already in the place of what is new. */
static void
adopt(struct key_bunch *bunch, struct key_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct key *old = find_same(&bunch->configured, list->keys[i]);

        if (old != NULL) {
            key_unref(&list->keys[i]);
            list->keys[i] = key_ref(old);
            key_forgive(old);
        } else {
            recall(bunch, list->keys[i]);
        }
    }
    for (size_t i = 0; i < bunch->kept.count; i++)
        key_forgive(bunch->kept.keys[i]);
}

void
key_bunch_plan_clear(struct key_bunch_plan *plan)
{
    application_clear(&plan->application);
    key_list_clear(&plan->list);
}

int
key_bunch_plan(struct key_bunch *bunch,
               const struct config_credential *credential,
               struct key_bunch_plan *out, struct err *err)
{
    out->bunch = bunch;
    if (application_copy(credential, &out->application) < 0 ||
        key_list_configured(credential, &bunch->salt, &out->list) < 0)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return application_mark(&out->application, &bunch->salt, out->client, err);
}

void
key_bunch_follow(struct key_bunch_plan *plan)
{
    struct key_bunch *bunch = plan->bunch;

    adopt(bunch, &plan->list);
    key_list_clear(&bunch->configured);
    bunch->configured = plan->list;
    plan->list = (struct key_list){0};
    application_clear(&bunch->application);
    bunch->application = plan->application;
    plan->application = (struct application){{NULL}};
    memcpy(bunch->client, plan->client, sizeof(bunch->client));
    if (key_bunch_is_aside(bunch))
        log_warning("keys that were rotated in are set aside: the credential "
                    "is another application now",
                    F_STR("credential", bunch->name));
}

bool
key_bunch_take_changes(struct key_bunch *bunch)
{
    bool is_changed = bunch->is_changed;

    bunch->is_changed = false;
    for (size_t i = 0; i < bunch->configured.count; i++) {
        is_changed = is_changed || bunch->configured.keys[i]->is_changed;
        bunch->configured.keys[i]->is_changed = false;
    }
    for (size_t i = 0; i < bunch->kept.count; i++) {
        is_changed = is_changed || bunch->kept.keys[i]->is_changed;
        bunch->kept.keys[i]->is_changed = false;
    }
    return is_changed;
}

bool
key_bunch_is_known(const struct key *key)
{
    return key->health.worked_wall != 0 || key->health.failed_wall != 0 ||
           key->seen[0] != '\0';
}

bool
key_bunch_has_anything(const struct key_bunch *bunch)
{
    for (size_t i = 0; i < bunch->configured.count; i++)
        if (key_bunch_is_known(bunch->configured.keys[i]))
            return true;
    return bunch->kept.count > 0;
}
