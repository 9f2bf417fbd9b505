/*
 * key - one thing that a client proves itself with, and how it has done.
 */
#include "token-daemon/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/config_reference.h"
#include "common/secret.h"
#include "token-daemon/fingerprint.h"
#include "token-daemon/hardening.h"

int
key_salt_make(struct key_salt *out, struct err *err)
{
    if (getrandom(out->bytes, sizeof(out->bytes), 0) !=
        (ssize_t)sizeof(out->bytes))
        return err_set(err, ERR_SYSTEM, "no random numbers");
    return 0;
}

/* ---- Material ------------------------------------------------------------ */

static int
copy_parts(struct key_material *material,
           const struct key_part_text parts[KEY_PART_COUNT], struct err *err)
{
    for (size_t i = 0; i < KEY_PART_COUNT; i++) {
        if (parts[i].text == NULL)
            continue;
        material->texts[i] = secret_copy(parts[i].text, parts[i].len);
        if (material->texts[i] == NULL)
            return err_set(err, ERR_SYSTEM, "out of memory");
        material->lens[i] = parts[i].len;
    }
    return 0;
}

struct key_material *
key_material_new(const struct key_part_text parts[KEY_PART_COUNT],
                 const struct key_salt *salt, struct err *err)
{
    struct key_material *material = calloc(1, sizeof(*material));
    struct fingerprint_part hashed[KEY_PART_COUNT];

    if (material == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    material->references = 1;
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        hashed[i] = (struct fingerprint_part){parts[i].text, parts[i].len};
    if (copy_parts(material, parts, err) < 0 ||
        fingerprint_salted(salt->bytes, sizeof(salt->bytes), hashed,
                           KEY_PART_COUNT, material->mark, err) < 0)
        key_material_unref(&material);
    return material;
}

void
key_material_lock(const struct key_material *material)
{
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        if (material->texts[i] != NULL)
            hardening_lock(material->texts[i], material->lens[i]);
}

struct key_material *
key_material_ref(struct key_material *material)
{
    material->references++;
    return material;
}

void
key_material_unref(struct key_material **material)
{
    struct key_material *m = *material;

    *material = NULL;
    if (m == NULL || --m->references > 0)
        return;
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        secret_free(&m->texts[i]);
    free(m);
}

/* ---- Keys ---------------------------------------------------------------- */

struct key *
key_new(enum key_kind kind, const struct key_salt *salt)
{
    struct key *key = calloc(1, sizeof(*key));

    if (key == NULL)
        return NULL;
    key->references = 1;
    key->kind = kind;
    key->salt = *salt;
    return key;
}

struct key *
key_ref(struct key *key)
{
    key->references++;
    return key;
}

void
key_unref(struct key **key)
{
    struct key *k = *key;

    *key = NULL;
    if (k == NULL || --k->references > 0)
        return;
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        config_reference_clear(&k->refs[i]);
    key_material_unref(&k->material);
    key_material_unref(&k->good);
    free(k);
}

int
key_set_ref(struct key *key, enum key_part part, const struct config_ref *ref,
            struct err *err)
{
    struct config_ref copy = {.kind = ref->kind};

    if (ref->kind == CONFIG_REF_NONE)
        return 0;
    copy.written = ref->written != NULL ? strdup(ref->written) : NULL;
    copy.text = strdup(ref->text);
    copy.value = strdup(ref->value);
    if ((ref->written != NULL && copy.written == NULL) || copy.text == NULL ||
        copy.value == NULL) {
        config_reference_clear(&copy);
        return err_set(err, ERR_SYSTEM, "out of memory");
    }
    config_reference_clear(&key->refs[part]);
    key->refs[part] = copy;
    if (key->source[0] == '\0')
        (void)snprintf(key->source, sizeof(key->source), "%s", ref->text);
    return 0;
}

const char *
key_kind_word(enum key_kind kind)
{
    const char *word = "secret";

    switch (kind) {
    case KEY_SECRET:
        break;
    case KEY_CERTIFICATE:
        word = "certificate";
        break;
    case KEY_ACCOUNT:
        word = "service-account";
        break;
    case KEY_FEDERATED:
        word = "federated-token";
        break;
    }
    return word;
}

static bool
is_same_ref(const struct config_ref *a, const struct config_ref *b)
{
    const char *a_text = a->written != NULL ? a->written : a->text;
    const char *b_text = b->written != NULL ? b->written : b->text;

    return a->kind == b->kind &&
           (a->kind == CONFIG_REF_NONE || strcmp(a_text, b_text) == 0);
}

bool
key_is_same(const struct key *a, const struct key *b)
{
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        if (!is_same_ref(&a->refs[i], &b->refs[i]))
            return false;
    return a->kind == b->kind;
}

bool
key_is_read(const struct key *key)
{
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        if (key->refs[i].kind != CONFIG_REF_NONE &&
            key->refs[i].kind != CONFIG_REF_PKCS11)
            return key->material == NULL;
    return false;
}

/* ---- Health -------------------------------------------------------------- */

/* An hour is fine enough for when it worked last, after a restart. */
#define WORKED_STEP_S 3600

static bool
is_same_material(const struct key_material *a, const struct key_material *b)
{
    return a == b || strcmp(a->mark, b->mark) == 0;
}

static void
remember(struct key *key, struct key_material *material)
{
    if (material == NULL || material == key->material)
        return;
    if (key->good == NULL || !is_same_material(key->good, material)) {
        key_material_unref(&key->good);
        key->good = key_material_ref(material);
        key_material_lock(material);
        key->is_changed = true;
    }
    if (key->seen[0] == '\0')
        memcpy(key->seen, material->mark, sizeof(key->seen));
    if (strcmp(key->refused, material->mark) == 0)
        key->refused[0] = '\0';
}

void
key_worked(struct key *key, struct key_material *material,
           const struct key_facts *facts, int64_t wall)
{
    struct key_health *health = &key->health;
    const char *id = facts->thumbprint;

    if (id == NULL && material != NULL)
        id = material->mark;
    if (health->problem != PROBLEM_NONE ||
        wall - health->worked_wall >= WORKED_STEP_S ||
        (id != NULL && strcmp(health->id, id) != 0))
        key->is_changed = true;
    health->problem = PROBLEM_NONE;
    health->worked_wall = wall;
    /* Else that was said of what is there now, which is another. */
    if (material == NULL || material != key->good)
        health->text[0] = '\0';
    health->not_after = facts->not_after;
    if (id != NULL)
        (void)snprintf(health->id, sizeof(health->id), "%s", id);
    remember(key, material);
}

bool
key_failed(struct key *key, const struct key_material *material,
           enum problem problem, const char *text, int64_t wall)
{
    struct key_health *health = &key->health;
    bool is_news =
        health->problem != problem || strcmp(health->text, text) != 0;

    health->problem = problem;
    health->failed_wall = wall;
    (void)snprintf(health->text, sizeof(health->text), "%s", text);
    if (problem == PROBLEM_BAD_SECRET && material != NULL &&
        material != key->material)
        memcpy(key->refused, material->mark, sizeof(key->refused));
    if (health->id[0] == '\0' && material != NULL)
        (void)snprintf(health->id, sizeof(health->id), "%s", material->mark);
    key->is_changed = key->is_changed || is_news;
    return is_news;
}

bool
key_passed_over(struct key *key, const struct key_material *material,
                enum problem problem, const char *text, int64_t wall)
{
    struct key_health *health = &key->health;
    bool is_news = strcmp(health->text, text) != 0;

    health->failed_wall = wall;
    (void)snprintf(health->text, sizeof(health->text), "%s", text);
    if (material != NULL && problem == PROBLEM_BAD_SECRET &&
        strcmp(key->refused, material->mark) != 0) {
        memcpy(key->refused, material->mark, sizeof(key->refused));
        is_news = true;
    }
    key->is_changed = key->is_changed || is_news;
    return is_news;
}

bool
key_keep(struct key *key, struct key_material *material)
{
    if (key->good != NULL || key->health.problem != PROBLEM_NONE ||
        strcmp(key->refused, material->mark) == 0)
        return false;
    key->good = key_material_ref(material);
    key_material_lock(material);
    return true;
}

bool
key_put_back(struct key *key, const struct key_material *material)
{
    struct key_health *health = &key->health;

    if (strcmp(key->refused, material->mark) == 0 ||
        (health->problem == PROBLEM_NONE && health->text[0] == '\0' &&
         key->refused[0] == '\0'))
        return false;
    health->problem = PROBLEM_NONE;
    health->text[0] = '\0';
    key->refused[0] = '\0';
    key->is_changed = true;
    return true;
}

bool
key_prefers_good(const struct key *key, const struct key_material *material)
{
    return key->good != NULL && !is_same_material(key->good, material) &&
           strcmp(key->refused, material->mark) == 0;
}

struct key_material *
key_other(const struct key *key, const struct key_material *material)
{
    if (key->good == NULL ||
        (material != NULL && is_same_material(key->good, material)))
        return NULL;
    return key->good;
}

void
key_forgive(struct key *key)
{
    key->health.problem = PROBLEM_NONE;
    key->refused[0] = '\0';
}

/* ---- Lists --------------------------------------------------------------- */

int
key_list_add(struct key_list *list, struct key *key)
{
    struct key **keys =
        reallocarray(list->keys, list->count + 1, sizeof(struct key *));

    if (keys == NULL)
        return -1;
    list->keys = keys;
    list->keys[list->count++] = key_ref(key);
    return 0;
}

void
key_list_clear(struct key_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        key_unref(&list->keys[i]);
    free(list->keys);
    *list = (struct key_list){0};
}

/* Add a key of these references, in the order of the parts. */
static int
add_configured(struct key_list *list, enum key_kind kind,
               const struct key_salt *salt,
               const struct config_ref *const refs[KEY_PART_COUNT])
{
    struct key *key = key_new(kind, salt);
    struct err err = {ERR_NONE, ""};
    int rc = -1;

    if (key == NULL)
        return -1;
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        if (refs[i] != NULL &&
            key_set_ref(key, (enum key_part)i, refs[i], &err) < 0)
            goto out;
    rc = key_list_add(list, key);
out:
    key_unref(&key);
    return rc;
}

static int
add_client_keys(const struct config_credential *credential,
                const struct key_salt *salt, struct key_list *list)
{
    if (credential->certificate.kind != CONFIG_REF_NONE)
        return add_configured(list, KEY_CERTIFICATE, salt,
                              (const struct config_ref *const[KEY_PART_COUNT]){
                                  NULL, &credential->certificate,
                                  &credential->private_key,
                                  &credential->passphrase});
    for (size_t i = 0; i < credential->client_secret_count; i++)
        if (add_configured(list, KEY_SECRET, salt,
                           (const struct config_ref *const[KEY_PART_COUNT]){
                               &credential->client_secrets[i]}) < 0)
            return -1;
    return 0;
}

static int
add_account_key(const struct config_credential *credential,
                const struct key_salt *salt, struct key_list *list)
{
    if (credential->service_account_key.kind != CONFIG_REF_NONE)
        return add_configured(list, KEY_ACCOUNT, salt,
                              (const struct config_ref *const[KEY_PART_COUNT]){
                                  &credential->service_account_key});
    return add_configured(
        list, KEY_ACCOUNT, salt,
        (const struct config_ref *const[KEY_PART_COUNT]){
            NULL, NULL, &credential->private_key, &credential->passphrase});
}

int
key_list_configured(const struct config_credential *credential,
                    const struct key_salt *salt, struct key_list *list)
{
    int rc = 0;

    switch (credential->grant) {
    case CONFIG_GRANT_CLIENT_CREDENTIALS:
    case CONFIG_GRANT_AUTHORIZATION_CODE:
    case CONFIG_GRANT_DEVICE_CODE:
        rc = add_client_keys(credential, salt, list);
        break;
    case CONFIG_GRANT_WORKLOAD_IDENTITY:
        rc = add_configured(list, KEY_FEDERATED, salt,
                            (const struct config_ref *const[KEY_PART_COUNT]){
                                &credential->federated_token});
        break;
    case CONFIG_GRANT_SERVICE_ACCOUNT:
        rc = add_account_key(credential, salt, list);
        break;
    case CONFIG_GRANT_MANAGED_IDENTITY:
        break;
    }
    return rc;
}
