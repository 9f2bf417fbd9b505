/*
 * keyring - what each credential proves itself with, in which order.
 */
#include "token-daemon/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/strmap.h"
#include "token-daemon/kept_keys.h"
#include "token-daemon/key_bunch.h"
#include "token-daemon/key_bunch_record.h"
#include "token-daemon/key_order.h"
#include "token-daemon/keyring_record.h"

struct keyring {
    struct keyring_env env;
    TAILQ_HEAD(, key_bunch) bunches;
    struct strmap *by_name;
};

/* ---- Bunches ------------------------------------------------------------- */

static struct key_bunch *
find(const struct keyring *keyring, const char *name)
{
    return strmap_get(keyring->by_name, name, strlen(name));
}

/* The bunch of that name, made if there is none. NULL with ERR_SYSTEM. */
static struct key_bunch *
need(struct keyring *keyring, const char *name, struct err *err)
{
    struct key_bunch *bunch = find(keyring, name);

    if (bunch != NULL)
        return bunch;
    bunch = key_bunch_new(name, err);
    if (bunch == NULL)
        return NULL;
    if (strmap_add(keyring->by_name, bunch->name, bunch) != STRMAP_ADDED) {
        key_bunch_free(&bunch);
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    TAILQ_INSERT_TAIL(&keyring->bunches, bunch, link);
    return bunch;
}

struct keyring *
keyring_new(const struct keyring_env *env)
{
    struct keyring *keyring = calloc(1, sizeof(*keyring));

    if (keyring == NULL)
        return NULL;
    keyring->env = *env;
    TAILQ_INIT(&keyring->bunches);
    keyring->by_name = strmap_new();
    if (keyring->by_name == NULL)
        keyring_free(&keyring);
    return keyring;
}

void
keyring_free(struct keyring **keyring)
{
    struct keyring *k = *keyring;
    struct key_bunch *bunch;

    if (k == NULL)
        return;
    while ((bunch = TAILQ_FIRST(&k->bunches)) != NULL) {
        TAILQ_REMOVE(&k->bunches, bunch, link);
        key_bunch_free(&bunch);
    }
    strmap_free(&k->by_name);
    free(k);
    *keyring = NULL;
}

/* ---- Configuration ------------------------------------------------------- */

static int
make_plan(struct keyring *keyring, const struct config_credential *credential,
          struct key_bunch_plan *plan, struct err *err)
{
    struct key_bunch *bunch = need(keyring, credential->name, err);

    return bunch != NULL ? key_bunch_plan(bunch, credential, plan, err) : -1;
}

int
keyring_configure(struct keyring *keyring, const struct config *config,
                  struct err *err)
{
    struct key_bunch_plan *plans =
        calloc(config->credential_count + 1, sizeof(struct key_bunch_plan));
    struct key_bunch *bunch;
    int rc = -1;

    if (plans == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    for (size_t i = 0; i < config->credential_count; i++)
        if (make_plan(keyring, &config->credentials[i], &plans[i], err) < 0)
            goto out;

    /* Nothing can fail from here on. Those that are not configured any more
     * keep what they kept. */
    for (size_t i = 0; i < config->credential_count; i++)
        key_bunch_follow(&plans[i]);
    TAILQ_FOREACH(bunch, &keyring->bunches, link)
    {
        bool is_configured = false;

        for (size_t i = 0; i < config->credential_count; i++)
            is_configured = is_configured || plans[i].bunch == bunch;
        if (!is_configured)
            key_list_clear(&bunch->configured);
    }
    rc = 0;
out:
    for (size_t i = 0; i < config->credential_count; i++)
        key_bunch_plan_clear(&plans[i]);
    free(plans);
    return rc;
}

/* ---- The order ----------------------------------------------------------- */

static int64_t
wall_of(const struct keyring *keyring)
{
    return keyring->env.wall(keyring->env.arg);
}

int
keyring_list(struct keyring *keyring,
             const struct config_credential *credential, struct key_list *list)
{
    const struct key_bunch *bunch = find(keyring, credential->name);
    const struct key_salt none = {{0}};

    if (bunch == NULL)
        return key_list_configured(credential, &none, list);
    return key_order_list(bunch, wall_of(keyring), list);
}

void
keyring_each(struct keyring *keyring, const char *credential,
             void (*visit)(const struct keyring_info *info, void *arg),
             void *arg)
{
    struct key_bunch *bunch;

    TAILQ_FOREACH(bunch, &keyring->bunches, link)
    {
        struct key_list order = {0};
        struct key_list all = {0};

        if (credential != NULL ? bunch != find(keyring, credential)
                               : bunch->configured.count == 0)
            continue;
        if (key_order_list(bunch, wall_of(keyring), &order) == 0 &&
            key_order_all(bunch, &all) == 0)
            for (size_t i = 0; i < all.count; i++)
                visit(
                    &(struct keyring_info){
                        .credential = bunch->name,
                        .key = all.keys[i],
                        .is_live =
                            order.count > 0 && order.keys[0] == all.keys[i],
                        .is_aside = key_bunch_is_aside(bunch) &&
                                    all.keys[i]->stage != KEY_CONFIGURED,
                    },
                    arg);
        key_list_clear(&order);
        key_list_clear(&all);
    }
}

/* ---- What is kept -------------------------------------------------------- */

int
keyring_salt(const struct keyring *keyring, const char *credential,
             struct key_salt *out, struct err *err)
{
    const struct key_bunch *bunch = find(keyring, credential);

    if (bunch == NULL || bunch->configured.count == 0)
        return err_set(err, ERR_NOTFOUND,
                       "credential \"%s\" is not configured, or has no secret "
                       "and no certificate",
                       credential);
    *out = bunch->salt;
    return 0;
}

int
keyring_add(struct keyring *keyring, const char *credential, struct key *key,
            enum key_stage stage, struct err *err)
{
    struct key_salt salt;

    if (keyring_salt(keyring, credential, &salt, err) < 0)
        return -1;
    return kept_keys_add(find(keyring, credential), key, stage,
                         wall_of(keyring), err);
}

bool
keyring_promote(struct keyring *keyring, const char *credential,
                struct key *key)
{
    struct key_bunch *bunch = find(keyring, credential);

    return bunch != NULL && kept_keys_promote(bunch, key, wall_of(keyring));
}

bool
keyring_remove(struct keyring *keyring, const char *credential, struct key *key)
{
    struct key_bunch *bunch = find(keyring, credential);

    return bunch != NULL && kept_keys_remove(bunch, key);
}

struct keyring_forgotten
keyring_forget(struct keyring *keyring, const char *credential,
               const char *spared)
{
    struct keyring_forgotten forgotten = {0, 0};
    struct key_bunch *bunch = find(keyring, credential);

    if (bunch != NULL)
        kept_keys_forget(bunch, spared, &forgotten.dropped, &forgotten.demoted);
    return forgotten;
}

void
keyring_changed(struct keyring *keyring, const char *credential,
                struct key *key, const char *mark, bool works)
{
    struct key_bunch *bunch = find(keyring, credential);

    (void)snprintf(key->seen, sizeof(key->seen), "%s", mark);
    key->is_changed = true;
    if (!works || bunch == NULL)
        return;
    key->added_wall = wall_of(keyring);
    kept_keys_demote(bunch, key);
}

struct key *
keyring_find(struct keyring *keyring, const char *credential, const char *name)
{
    const struct key_bunch *bunch = find(keyring, credential);

    return bunch != NULL ? kept_keys_find(bunch, name) : NULL;
}

/* ---- What outlives the process ------------------------------------------- */

void
keyring_settle(struct keyring *keyring, const char *credential)
{
    struct key_bunch *bunch = find(keyring, credential);

    if (bunch != NULL && key_bunch_take_changes(bunch) &&
        keyring->env.changed != NULL)
        keyring->env.changed(keyring->env.arg, bunch->name);
}

void
keyring_unsaved(struct keyring *keyring, const char *credential)
{
    struct key_bunch *bunch = find(keyring, credential);

    if (bunch != NULL)
        bunch->is_unsaved = true;
}

void
keyring_opened(struct keyring *keyring, bool is_new)
{
    struct key_bunch *bunch;

    TAILQ_FOREACH(bunch, &keyring->bunches, link)
    {
        if (!bunch->is_unsaved && !(is_new && key_bunch_has_anything(bunch)))
            continue;
        bunch->is_unsaved = false;
        (void)key_bunch_take_changes(bunch);
        if (keyring->env.changed != NULL)
            keyring->env.changed(keyring->env.arg, bunch->name);
    }
}

int
keyring_encode(struct keyring *keyring, const char *credential, struct buf *out,
               struct err *err)
{
    const struct key_bunch *bunch = find(keyring, credential);
    struct keyring_record record = {0};
    int rc = -1;

    if (bunch == NULL)
        return err_set(err, ERR_NOTFOUND, "no such credential");
    if (key_bunch_record_fill(bunch, &record) < 0)
        (void)err_set(err, ERR_SYSTEM, "out of memory");
    else
        rc = keyring_record_encode(&record, out, err);
    keyring_record_clear(&record);
    return rc;
}

static int
take(struct keyring *keyring, const char *credential,
     struct keyring_record *record, bool is_import, struct err *err)
{
    struct key_bunch *bunch = need(keyring, credential, err);

    return bunch != NULL ? key_bunch_record_take(bunch, record, is_import, err)
                         : -1;
}

int
keyring_import(struct keyring *keyring, const char *credential,
               const char *value, size_t len, struct err *err)
{
    struct keyring_record record;
    int rc;

    if (keyring_record_decode(value, len, &record, err) < 0)
        return -1;
    rc = take(keyring, credential, &record, true, err);
    keyring_record_clear(&record);
    return rc;
}

int
keyring_restore(struct keyring *keyring, const char *credential,
                const char *value, size_t len, struct err *err)
{
    struct keyring_record record;
    int rc;

    if (keyring_record_decode(value, len, &record, err) < 0)
        return -1;
    rc = take(keyring, credential, &record, false, err);
    keyring_record_clear(&record);
    return rc < 0 ? -1 : 0;
}
