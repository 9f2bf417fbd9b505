/*
 * keyring - what each credential proves itself with, in which order.
 */
#include "token-daemon/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "common/log.h"
#include "common/strmap.h"
#include "common/util.h"
#include "token-daemon/fingerprint.h"
#include "token-daemon/keyring_record.h"

/* Which application a credential is: provider, tenant, ... Texts are owned. */
#define APPLICATION_TEXTS 5
struct application {
    char *texts[APPLICATION_TEXTS]; /* NULL: not given */
};

/* The keys of one credential. */
struct ring {
    TAILQ_ENTRY(ring) link;
    char *name;
    struct key_salt salt;
    struct application application; /* of now */
    char client[KEY_MARK_SIZE];     /* its mark; "": unknown */
    char kept_for[KEY_MARK_SIZE];   /* whose the kept keys are */
    struct key_list kept;           /* newest first */
    struct key_list configured;     /* none: it is not configured */
    struct keyring_record restored; /* memos for keys that are yet to come */
    bool is_changed;                /* what is kept */
    bool is_unsaved;                /* the state could not be written */
};

struct keyring {
    struct keyring_env env;
    TAILQ_HEAD(, ring) rings;
    struct strmap *by_name;
};

/* ---- Rings --------------------------------------------------------------- */

static struct ring *
find(const struct keyring *keyring, const char *name)
{
    return strmap_get(keyring->by_name, name, strlen(name));
}

static void
application_clear(struct application *application)
{
    for (size_t i = 0; i < APPLICATION_TEXTS; i++)
        free(application->texts[i]);
    *application = (struct application){{NULL}};
}

static void
free_ring(struct ring *ring)
{
    application_clear(&ring->application);
    key_list_clear(&ring->kept);
    key_list_clear(&ring->configured);
    keyring_record_clear(&ring->restored);
    free(ring->name);
    free(ring);
}

/* The ring of that name, made if there is none. NULL with ERR_SYSTEM. */
static struct ring *
need(struct keyring *keyring, const char *name, struct err *err)
{
    struct ring *ring = find(keyring, name);

    if (ring != NULL)
        return ring;
    ring = calloc(1, sizeof(*ring));
    if (ring != NULL)
        ring->name = strdup(name);
    if (ring == NULL || ring->name == NULL) {
        free(ring);
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    if (key_salt_make(&ring->salt, err) < 0) {
        free_ring(ring);
        return NULL;
    }
    if (strmap_add(keyring->by_name, ring->name, ring) != STRMAP_ADDED) {
        free_ring(ring);
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    TAILQ_INSERT_TAIL(&keyring->rings, ring, link);
    return ring;
}

struct keyring *
keyring_new(const struct keyring_env *env)
{
    struct keyring *keyring = calloc(1, sizeof(*keyring));

    if (keyring == NULL)
        return NULL;
    keyring->env = *env;
    TAILQ_INIT(&keyring->rings);
    keyring->by_name = strmap_new();
    if (keyring->by_name == NULL)
        keyring_free(&keyring);
    return keyring;
}

void
keyring_free(struct keyring **keyring)
{
    struct keyring *k = *keyring;
    struct ring *ring;

    if (k == NULL)
        return;
    while ((ring = TAILQ_FIRST(&k->rings)) != NULL) {
        TAILQ_REMOVE(&k->rings, ring, link);
        free_ring(ring);
    }
    strmap_free(&k->by_name);
    free(k);
    *keyring = NULL;
}

/* Are the kept keys for another application than the credential is now? */
static bool
is_aside(const struct ring *ring)
{
    return ring->kept.count > 0 && ring->client[0] != '\0' &&
           strcmp(ring->client, ring->kept_for) != 0;
}

/* ---- Configuration ------------------------------------------------------- */

/* -1: out of memory; the copy is for application_clear(). */
static int
application_copy(const struct config_credential *credential,
                 struct application *out)
{
    const char provider[] = {(char)('a' + (int)credential->provider), '\0'};
    const char *const texts[APPLICATION_TEXTS] = {
        provider, credential->tenant, credential->client_id, credential->issuer,
        credential->token_url};

    *out = (struct application){{NULL}};
    for (size_t i = 0; i < APPLICATION_TEXTS; i++)
        if (texts[i] != NULL && (out->texts[i] = strdup(texts[i])) == NULL)
            return -1;
    return 0;
}

/* Secrets of one application are never sent as another's. */
static int
application_mark(const struct application *application,
                 const struct key_salt *salt, char out[KEY_MARK_SIZE],
                 struct err *err)
{
    struct fingerprint_part parts[APPLICATION_TEXTS];

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const char *text = application->texts[i];

        parts[i] =
            (struct fingerprint_part){text, text != NULL ? strlen(text) : 0};
    }
    return fingerprint_salted(salt->bytes, sizeof(salt->bytes), parts,
                              ARRAY_LEN(parts), out, err);
}

/* What is known of a key of relay.conf from before a restart. */
static void
recall(struct ring *ring, struct key *key)
{
    char *refs = keyring_record_refs(key);

    for (size_t i = 0; refs != NULL && i < ring->restored.memo_count; i++) {
        const struct keyring_memo *memo = &ring->restored.memos[i];

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
adopt(struct ring *ring, struct key_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct key *old = find_same(&ring->configured, list->keys[i]);

        if (old != NULL) {
            key_unref(&list->keys[i]);
            list->keys[i] = key_ref(old);
            key_forgive(old);
        } else {
            recall(ring, list->keys[i]);
        }
    }
    for (size_t i = 0; i < ring->kept.count; i++)
        key_forgive(ring->kept.keys[i]);
}

/* What one credential is to have. */
struct plan {
    struct ring *ring;
    struct application application;
    char client[KEY_MARK_SIZE];
    struct key_list list;
};

static void
plan_clear(struct plan *plan)
{
    application_clear(&plan->application);
    key_list_clear(&plan->list);
}

static int
make_plan(struct keyring *keyring, const struct config_credential *credential,
          struct plan *plan, struct err *err)
{
    plan->ring = need(keyring, credential->name, err);
    if (plan->ring == NULL)
        return -1;
    if (application_copy(credential, &plan->application) < 0 ||
        key_list_configured(credential, &plan->ring->salt, &plan->list) < 0)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return application_mark(&plan->application, &plan->ring->salt, plan->client,
                            err);
}

static void
follow(struct plan *plan)
{
    struct ring *ring = plan->ring;

    adopt(ring, &plan->list);
    key_list_clear(&ring->configured);
    ring->configured = plan->list;
    plan->list = (struct key_list){0};
    application_clear(&ring->application);
    ring->application = plan->application;
    plan->application = (struct application){{NULL}};
    memcpy(ring->client, plan->client, sizeof(ring->client));
    if (is_aside(ring))
        log_warning("keys that were rotated in are set aside: the credential "
                    "is another application now",
                    F_STR("credential", ring->name));
}

int
keyring_configure(struct keyring *keyring, const struct config *config,
                  struct err *err)
{
    struct plan *plans =
        calloc(config->credential_count + 1, sizeof(struct plan));
    struct ring *ring;
    int rc = -1;

    if (plans == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    for (size_t i = 0; i < config->credential_count; i++)
        if (make_plan(keyring, &config->credentials[i], &plans[i], err) < 0)
            goto out;

    /* Nothing can fail from here on. Those that are not configured any more
     * keep what they kept. */
    for (size_t i = 0; i < config->credential_count; i++)
        follow(&plans[i]);
    TAILQ_FOREACH(ring, &keyring->rings, link)
    {
        bool is_configured = false;

        for (size_t i = 0; i < config->credential_count; i++)
            is_configured = is_configured || plans[i].ring == ring;
        if (!is_configured)
            key_list_clear(&ring->configured);
    }
    rc = 0;
out:
    for (size_t i = 0; i < config->credential_count; i++)
        plan_clear(&plans[i]);
    free(plans);
    return rc;
}

/* ---- The order ----------------------------------------------------------- */

static int64_t
wall_of(const struct keyring *keyring)
{
    return keyring->env.wall(keyring->env.arg);
}

/* Did it fail, and not because it is new? */
static bool
is_failing(const struct keyring *keyring, const struct key *key)
{
    int64_t age = wall_of(keyring) - key->added_wall;

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
add_stages(const struct ring *ring, struct key_list *list)
{
    bool has_kept = !is_aside(ring);

    if ((has_kept && add_stage(&ring->kept, KEY_AHEAD, list) < 0) ||
        add_stage(&ring->configured, KEY_CONFIGURED, list) < 0 ||
        (has_kept && add_stage(&ring->kept, KEY_BEHIND, list) < 0))
        return -1;
    return 0;
}

static int
list_ring(const struct keyring *keyring, const struct ring *ring,
          struct key_list *list)
{
    struct key_list all = {0};
    int rc = add_stages(ring, &all);

    for (size_t i = 0; rc == 0 && i < all.count; i++)
        if (!is_failing(keyring, all.keys[i]))
            rc = key_list_add(list, all.keys[i]);
    for (size_t i = 0; rc == 0 && i < all.count; i++)
        if (is_failing(keyring, all.keys[i]))
            rc = key_list_add(list, all.keys[i]);
    key_list_clear(&all);
    return rc;
}

int
keyring_list(struct keyring *keyring,
             const struct config_credential *credential, struct key_list *list)
{
    const struct ring *ring = find(keyring, credential->name);
    const struct key_salt none = {{0}};

    if (ring == NULL)
        return key_list_configured(credential, &none, list);
    return list_ring(keyring, ring, list);
}

void
keyring_each(struct keyring *keyring, const char *credential,
             void (*visit)(const struct keyring_info *info, void *arg),
             void *arg)
{
    struct ring *ring;

    TAILQ_FOREACH(ring, &keyring->rings, link)
    {
        struct key_list order = {0};
        struct key_list all = {0};

        if (credential != NULL ? ring != find(keyring, credential)
                               : ring->configured.count == 0)
            continue;
        if (list_ring(keyring, ring, &order) == 0 &&
            add_stages(ring, &all) == 0 &&
            (!is_aside(ring) ||
             (add_stage(&ring->kept, KEY_AHEAD, &all) == 0 &&
              add_stage(&ring->kept, KEY_BEHIND, &all) == 0)) &&
            add_stage(&ring->kept, KEY_CANDIDATE, &all) == 0)
            for (size_t i = 0; i < all.count; i++)
                visit(
                    &(struct keyring_info){
                        .credential = ring->name,
                        .key = all.keys[i],
                        .is_live =
                            order.count > 0 && order.keys[0] == all.keys[i],
                        .is_aside = is_aside(ring) &&
                                    all.keys[i]->stage != KEY_CONFIGURED,
                    },
                    arg);
        key_list_clear(&order);
        key_list_clear(&all);
    }
}

/* ---- What is kept -------------------------------------------------------- */

/* For people: where a kept key is from. */
static void
name_source(struct key *key)
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
index_of(const struct ring *ring, const struct key *key)
{
    size_t i = 0;

    while (i < ring->kept.count && ring->kept.keys[i] != key)
        i++;
    return i;
}

static void
drop(struct ring *ring, size_t index)
{
    struct key_list *kept = &ring->kept;

    key_unref(&kept->keys[index]);
    kept->count--;
    memmove(&kept->keys[index], &kept->keys[index + 1],
            (kept->count - index) * sizeof(struct key *));
    ring->is_changed = true;
}

/* Which of the kept keys is missed least? Candidates are not ours to drop. */
static bool
find_least(const struct ring *ring, size_t *out)
{
    int best = -1;

    for (size_t i = 0; i < ring->kept.count; i++) {
        const struct key *key = ring->kept.keys[i];
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
make_room(struct ring *ring, const struct key *key, struct err *err)
{
    size_t i = ring->kept.count;

    while (i-- > 0) {
        const struct key *other = ring->kept.keys[i];

        if (is_aside(ring) ||
            (other->material != NULL && key->material != NULL &&
             strcmp(other->material->mark, key->material->mark) == 0) ||
            (other->material == NULL && key->material == NULL &&
             key_is_same(other, key)))
            drop(ring, i);
    }
    while (ring->kept.count >= KEYRING_KEPT_MAX) {
        if (!find_least(ring, &i))
            return err_set(err, ERR_CONFIG,
                           "%d keys of credential \"%s\" wait to be used "
                           "already",
                           KEYRING_KEPT_MAX, ring->name);
        drop(ring, i);
    }
    return 0;
}

int
keyring_salt(const struct keyring *keyring, const char *credential,
             struct key_salt *out, struct err *err)
{
    const struct ring *ring = find(keyring, credential);

    if (ring == NULL || ring->configured.count == 0)
        return err_set(err, ERR_NOTFOUND,
                       "credential \"%s\" is not configured, or has no secret "
                       "and no certificate",
                       credential);
    *out = ring->salt;
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
keyring_add(struct keyring *keyring, const char *credential, struct key *key,
            enum key_stage stage, struct err *err)
{
    struct ring *ring = find(keyring, credential);
    struct key_salt salt;

    if (keyring_salt(keyring, credential, &salt, err) < 0)
        return -1;
    if (make_room(ring, key, err) < 0)
        return -1;
    if (key_list_add(&ring->kept, key) < 0)
        return err_set(err, ERR_SYSTEM, "out of memory");
    bring_forward(&ring->kept);
    memcpy(ring->kept_for, ring->client, sizeof(ring->kept_for));
    if (key->material != NULL)
        key_material_lock(key->material);
    key->stage = stage;
    key->added_wall = wall_of(keyring);
    if (key->health.id[0] == '\0' && key->material != NULL)
        (void)snprintf(key->health.id, sizeof(key->health.id), "%s",
                       key->material->mark);
    name_source(key);
    ring->is_changed = true;
    return 0;
}

bool
keyring_promote(struct keyring *keyring, const char *credential,
                struct key *key)
{
    struct ring *ring = find(keyring, credential);
    size_t index = ring != NULL ? index_of(ring, key) : 0;

    if (ring == NULL || index == ring->kept.count)
        return false;
    memmove(&ring->kept.keys[1], &ring->kept.keys[0],
            index * sizeof(struct key *));
    ring->kept.keys[0] = key;
    key->stage = KEY_AHEAD;
    key->added_wall = wall_of(keyring);
    name_source(key);
    ring->is_changed = true;
    return true;
}

bool
keyring_remove(struct keyring *keyring, const char *credential, struct key *key)
{
    struct ring *ring = find(keyring, credential);
    size_t index = ring != NULL ? index_of(ring, key) : 0;

    if (ring == NULL || index == ring->kept.count)
        return false;
    drop(ring, index);
    return true;
}

struct keyring_forgotten
keyring_forget(struct keyring *keyring, const char *credential,
               const char *spared)
{
    struct keyring_forgotten forgotten = {0, 0};
    struct ring *ring = find(keyring, credential);
    size_t i = ring != NULL ? ring->kept.count : 0;

    while (i-- > 0) {
        struct key *key = ring->kept.keys[i];

        if (key->stage == KEY_CANDIDATE)
            continue;
        if (spared != NULL && strcmp(key->origin, spared) == 0) {
            key->stage = KEY_BEHIND;
            ring->is_changed = true;
            forgotten.demoted++;
        } else {
            drop(ring, i);
            forgotten.dropped++;
        }
    }
    return forgotten;
}

void
keyring_changed(struct keyring *keyring, const char *credential,
                struct key *key, const char *mark, bool works)
{
    struct ring *ring = find(keyring, credential);

    (void)snprintf(key->seen, sizeof(key->seen), "%s", mark);
    key->is_changed = true;
    if (!works || ring == NULL)
        return;
    key->added_wall = wall_of(keyring);
    for (size_t i = 0; i < ring->kept.count; i++)
        if (ring->kept.keys[i]->stage == KEY_AHEAD && ring->kept.keys[i] != key)
            ring->kept.keys[i]->stage = KEY_BEHIND;
    ring->is_changed = true;
}

struct key *
keyring_find(struct keyring *keyring, const char *credential, const char *name)
{
    const struct ring *ring = find(keyring, credential);
    struct key *found = NULL;

    for (size_t i = 0; ring != NULL && i < ring->kept.count; i++) {
        struct key *key = ring->kept.keys[i];

        if (strcmp(key->health.id, name) == 0 || strcmp(key->tag, name) == 0)
            return key;
    }
    for (size_t i = 0; ring != NULL && i < ring->kept.count; i++) {
        if (strcmp(ring->kept.keys[i]->origin, name) != 0)
            continue;
        if (found != NULL)
            return NULL;
        found = ring->kept.keys[i];
    }
    return found;
}

/* ---- What outlives the process ------------------------------------------- */

/* Was anything of note found out? Asks each key once. */
static bool
take_changes(struct ring *ring)
{
    bool is_changed = ring->is_changed;

    ring->is_changed = false;
    for (size_t i = 0; i < ring->configured.count; i++) {
        is_changed = is_changed || ring->configured.keys[i]->is_changed;
        ring->configured.keys[i]->is_changed = false;
    }
    for (size_t i = 0; i < ring->kept.count; i++) {
        is_changed = is_changed || ring->kept.keys[i]->is_changed;
        ring->kept.keys[i]->is_changed = false;
    }
    return is_changed;
}

void
keyring_settle(struct keyring *keyring, const char *credential)
{
    struct ring *ring = find(keyring, credential);

    if (ring != NULL && take_changes(ring) && keyring->env.changed != NULL)
        keyring->env.changed(keyring->env.arg, ring->name);
}

void
keyring_unsaved(struct keyring *keyring, const char *credential)
{
    struct ring *ring = find(keyring, credential);

    if (ring != NULL)
        ring->is_unsaved = true;
}

/* Only what there was anything to know of. */
static bool
is_known(const struct key *key)
{
    return key->health.worked_wall != 0 || key->health.failed_wall != 0 ||
           key->seen[0] != '\0';
}

static bool
has_anything(const struct ring *ring)
{
    for (size_t i = 0; i < ring->configured.count; i++)
        if (is_known(ring->configured.keys[i]))
            return true;
    return ring->kept.count > 0;
}

void
keyring_opened(struct keyring *keyring, bool is_new)
{
    struct ring *ring;

    TAILQ_FOREACH(ring, &keyring->rings, link)
    {
        if (!ring->is_unsaved && !(is_new && has_anything(ring)))
            continue;
        ring->is_unsaved = false;
        (void)take_changes(ring);
        if (keyring->env.changed != NULL)
            keyring->env.changed(keyring->env.arg, ring->name);
    }
}

static int
fill_record(const struct ring *ring, struct keyring_record *record)
{
    record->salt = ring->salt;
    memcpy(record->client, ring->kept_for, sizeof(record->client));
    for (size_t i = 0; i < ring->kept.count; i++)
        if (key_list_add(&record->kept, ring->kept.keys[i]) < 0)
            return -1;
    for (size_t i = 0; i < ring->configured.count &&
                       record->memo_count < KEYRING_RECORD_KEYS_MAX;
         i++)
        if (is_known(ring->configured.keys[i]) &&
            keyring_record_note(record, ring->configured.keys[i]) < 0)
            return -1;
    return 0;
}

int
keyring_encode(struct keyring *keyring, const char *credential, struct buf *out,
               struct err *err)
{
    const struct ring *ring = find(keyring, credential);
    struct keyring_record record = {0};
    int rc = -1;

    if (ring == NULL)
        return err_set(err, ERR_NOTFOUND, "no such credential");
    if (fill_record(ring, &record) < 0)
        (void)err_set(err, ERR_SYSTEM, "out of memory");
    else
        rc = keyring_record_encode(&record, out, err);
    keyring_record_clear(&record);
    return rc;
}

/* Before anything is configured: all of the record is ours. */
static void
take_record(struct ring *ring, struct keyring_record *record)
{
    key_list_clear(&ring->kept);
    ring->kept = record->kept; /* it moves to us */
    record->kept = (struct key_list){0};
    memcpy(ring->kept_for, record->client, sizeof(ring->kept_for));
    keyring_record_clear(&ring->restored);
    ring->salt = record->salt;
    ring->restored = *record;
    *record = (struct keyring_record){0};
}

/* Marks of the ring's salt in the place of the record's. */
static int
salt_key(const struct ring *ring, struct key *key, struct err *err)
{
    struct key_part_text parts[KEY_PART_COUNT] = {{NULL, 0}};
    struct key_material *material;

    key->salt = ring->salt;
    if (key->material == NULL)
        return 0;
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        parts[i] = (struct key_part_text){key->material->texts[i],
                                          key->material->lens[i]};
    material = key_material_new(parts, &ring->salt, err);
    if (material == NULL)
        return -1;
    if (strcmp(key->health.id, key->material->mark) == 0)
        (void)snprintf(key->health.id, sizeof(key->health.id), "%s",
                       material->mark);
    key_material_unref(&key->material);
    key->material = material;
    key_material_lock(material);
    return 0;
}

static bool
is_kept(const struct ring *ring, const struct key *key)
{
    for (size_t i = 0; i < ring->kept.count; i++) {
        const struct key *other = ring->kept.keys[i];

        if (key->material != NULL && other->material != NULL
                ? strcmp(key->material->mark, other->material->mark) == 0
                : key->material == other->material && key_is_same(key, other))
            return true;
    }
    return false;
}

/* Where a key belongs among those that are kept: at the end, or by its age. */
static size_t
place_of(const struct ring *ring, const struct key *key, bool by_age)
{
    size_t i = 0;

    while (i < ring->kept.count &&
           (!by_age || ring->kept.keys[i]->added_wall >= key->added_wall))
        i++;
    return i;
}

/* Add those of another list, as far as there is room; how many were? */
static int
merge(struct ring *ring, const struct key_list *list, bool by_age,
      struct err *err)
{
    int count = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct key *key = list->keys[i];
        size_t at = place_of(ring, key, by_age);
        size_t least;

        if (is_kept(ring, key))
            continue;
        if (key_list_add(&ring->kept, key) < 0)
            return err_set(err, ERR_SYSTEM, "out of memory");
        memmove(&ring->kept.keys[at + 1], &ring->kept.keys[at],
                (ring->kept.count - 1 - at) * sizeof(struct key *));
        ring->kept.keys[at] = key;
        if (ring->kept.count > KEYRING_KEPT_MAX && find_least(ring, &least))
            drop(ring, least);
        count += is_kept(ring, key) ? 1 : 0;
    }
    return count;
}

/*
 * It is configured already: marks of now are of another salt than the record's,
 * so all of it is stored again.
 */
static int
join_record(struct ring *ring, struct keyring_record *record, bool by_age,
            struct err *err)
{
    char client[KEY_MARK_SIZE];
    bool is_ours;
    int count;

    ring->is_unsaved = true;
    if (record->kept.count == 0)
        return 1;
    if (application_mark(&ring->application, &record->salt, client, err) < 0)
        return -1;
    for (size_t i = 0; i < record->kept.count; i++)
        if (salt_key(ring, record->kept.keys[i], err) < 0)
            return -1;
    is_ours = strcmp(client, record->client) == 0;
    if (!is_ours)
        log_warning("keys of another host, or of before, are another "
                    "application's: they are not used",
                    F_STR("credential", ring->name));
    if (is_ours && is_aside(ring))
        key_list_clear(&ring->kept);
    if (ring->kept.count == 0)
        memcpy(ring->kept_for, is_ours ? ring->client : record->client,
               sizeof(ring->kept_for));
    else if (!is_ours)
        return 0;
    count = merge(ring, &record->kept, by_age, err);
    if (count < 0)
        return -1;
    return count > 0 ? 1 : 0;
}

static int
take(struct keyring *keyring, const char *credential,
     struct keyring_record *record, bool is_import, struct err *err)
{
    struct ring *ring = need(keyring, credential, err);

    if (ring == NULL)
        return -1;
    for (size_t i = 0; i < record->kept.count; i++) {
        const struct key *key = record->kept.keys[i];

        if (key->material != NULL)
            key_material_lock(key->material);
        name_source(record->kept.keys[i]);
    }
    if (ring->configured.count > 0)
        return join_record(ring, record, is_import, err);
    if (ring->kept.count == 0) {
        take_record(ring, record);
        return 1;
    }
    ring->is_unsaved = true; /* not in use here: what was known stays */
    return 0;
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
