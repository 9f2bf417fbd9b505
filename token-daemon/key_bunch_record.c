/*
 * key_bunch_record - what of a bunch of keys is stored.
 */
#include "token-daemon/key_bunch_record.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "token-daemon/kept_keys.h"

int
key_bunch_record_fill(const struct key_bunch *bunch,
                      struct keyring_record *record)
{
    record->salt = bunch->salt;
    memcpy(record->client, bunch->kept_for, sizeof(record->client));
    for (size_t i = 0; i < bunch->kept.count; i++)
        if (key_list_add(&record->kept, bunch->kept.keys[i]) < 0)
            return -1;
    for (size_t i = 0; i < bunch->configured.count &&
                       record->memo_count < KEYRING_RECORD_KEYS_MAX;
         i++)
        if (key_bunch_is_known(bunch->configured.keys[i]) &&
            keyring_record_note(record, bunch->configured.keys[i]) < 0)
            return -1;
    return 0;
}

/* Before anything is configured: all of the record is ours. */
static void
take_record(struct key_bunch *bunch, struct keyring_record *record)
{
    key_list_clear(&bunch->kept);
    bunch->kept = record->kept; /* it moves to us */
    record->kept = (struct key_list){0};
    memcpy(bunch->kept_for, record->client, sizeof(bunch->kept_for));
    keyring_record_clear(&bunch->restored);
    bunch->salt = record->salt;
    bunch->restored = *record;
    *record = (struct keyring_record){0};
}

/* Marks of the bunch's salt in the place of the record's. */
static int
salt_key(const struct key_bunch *bunch, struct key *key, struct err *err)
{
    struct key_part_text parts[KEY_PART_COUNT] = {{NULL, 0}};
    struct key_material *material;

    key->salt = bunch->salt;
    if (key->material == NULL)
        return 0;
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        parts[i] = (struct key_part_text){key->material->texts[i],
                                          key->material->lens[i]};
    material = key_material_new(parts, &bunch->salt, err);
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

/*
 * It is configured already: marks of now are of another salt than the record's,
 * so all of it is stored again.
 */
static int
join_record(struct key_bunch *bunch, struct keyring_record *record, bool by_age,
            struct err *err)
{
    char client[KEY_MARK_SIZE];
    bool is_ours;
    int count;

    bunch->is_unsaved = true;
    if (record->kept.count == 0)
        return 1;
    if (application_mark(&bunch->application, &record->salt, client, err) < 0)
        return -1;
    for (size_t i = 0; i < record->kept.count; i++)
        if (salt_key(bunch, record->kept.keys[i], err) < 0)
            return -1;
    is_ours = strcmp(client, record->client) == 0;
    if (!is_ours)
        log_warning("keys of another host, or of before, are another "
                    "application's: they are not used",
                    F_STR("credential", bunch->name));
    if (is_ours && key_bunch_is_aside(bunch))
        key_list_clear(&bunch->kept);
    if (bunch->kept.count == 0)
        memcpy(bunch->kept_for, is_ours ? bunch->client : record->client,
               sizeof(bunch->kept_for));
    else if (!is_ours)
        return 0;
    count = kept_keys_merge(bunch, &record->kept, by_age, err);
    if (count < 0)
        return -1;
    return count > 0 ? 1 : 0;
}

int
key_bunch_record_take(struct key_bunch *bunch, struct keyring_record *record,
                      bool is_import, struct err *err)
{
    for (size_t i = 0; i < record->kept.count; i++) {
        const struct key *key = record->kept.keys[i];

        if (key->material != NULL)
            key_material_lock(key->material);
        kept_keys_name_source(record->kept.keys[i]);
    }
    if (bunch->configured.count > 0)
        return join_record(bunch, record, is_import, err);
    if (bunch->kept.count == 0) {
        take_record(bunch, record);
        return 1;
    }
    bunch->is_unsaved = true; /* not in use here: what was known stays */
    return 0;
}
