/*
 * opening - what was found when the store was opened.
 */
#include "token-daemon/opening.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

#define FIRST_CAPACITY 64 /* records */

/* Bytes of the texts of a record, with their NULs. */
static size_t
size_of(const struct store_record *record)
{
    return strlen(record->kind) + strlen(record->name) + record->len + 3;
}

static bool
reserve_one(struct opening *opening)
{
    size_t capacity =
        opening->capacity > 0 ? 2 * opening->capacity : FIRST_CAPACITY;
    struct store_record *records;
    char **texts;

    if (opening->count < opening->capacity)
        return true;
    records = reallocarray(opening->records, capacity, sizeof(*records));
    if (records == NULL)
        return false;
    opening->records = records;
    texts = reallocarray(opening->texts, capacity, sizeof(*texts));
    if (texts == NULL)
        return false;
    opening->texts = texts;
    opening->capacity = capacity;
    return true;
}

static void
on_record(const struct store_record *record, void *arg)
{
    struct opening *opening = arg;
    struct store_record copy = *record;
    size_t kind_size = strlen(record->kind) + 1;
    size_t name_size = strlen(record->name) + 1;
    char *texts = malloc(size_of(record));

    if (texts == NULL || !reserve_one(opening)) {
        opening->is_short_of_memory = true;
        free(texts);
        return;
    }
    memcpy(texts, record->kind, kind_size);
    memcpy(texts + kind_size, record->name, name_size);
    memcpy(texts + kind_size + name_size, record->value, record->len + 1);
    copy.kind = texts;
    copy.name = texts + kind_size;
    copy.value = texts + kind_size + name_size;
    opening->records[opening->count] = copy;
    opening->texts[opening->count++] = texts;
}

static void
on_damaged(const char *kind, const char *name, const struct err *err, void *arg)
{
    struct opening *opening = arg;

    if (opening->damaged_count++ > 0)
        return;
    /* Names as long as these were refused when they were put. */
    (void)snprintf(opening->damaged_kind, sizeof(opening->damaged_kind), "%s",
                   kind);
    (void)snprintf(opening->damaged_name, sizeof(opening->damaged_name), "%s",
                   name);
    opening->damage = *err;
}

struct opening *
opening_new(void)
{
    return calloc(1, sizeof(struct opening));
}

void
opening_free(struct opening **opening)
{
    struct opening *old = *opening;

    if (old == NULL)
        return;
    for (size_t i = 0; i < old->count; i++) {
        secret_wipe(old->texts[i], size_of(&old->records[i]));
        free(old->texts[i]);
    }
    free(old->records);
    free(old->texts);
    free(old);
    *opening = NULL;
}

struct store_reader
opening_reader(struct opening *opening)
{
    return (struct store_reader){on_record, on_damaged, opening};
}
