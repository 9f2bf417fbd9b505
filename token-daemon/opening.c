/*
 * opening - what was found when the store was opened.
 */
#include "token-daemon/opening.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/secret.h"

#define FIRST_CAPACITY 64 /* records */

/* The texts are ours, but stand as const in a record. */
static void
clear_record(struct store_record *record)
{
    if (record->value != NULL)
        secret_wipe((void *)(uintptr_t)record->value, record->len);
    free((void *)(uintptr_t)record->value);
    free((void *)(uintptr_t)record->kind);
    free((void *)(uintptr_t)record->name);
    *record = (struct store_record){0};
}

static bool
reserve_one(struct opening *opening)
{
    size_t capacity =
        opening->capacity > 0 ? 2 * opening->capacity : FIRST_CAPACITY;
    struct store_record *records;

    if (opening->count < opening->capacity)
        return true;
    records = reallocarray(opening->records, capacity, sizeof(*records));
    if (records == NULL)
        return false;
    opening->records = records;
    opening->capacity = capacity;
    return true;
}

static void
on_record(const struct store_record *record, void *arg)
{
    struct opening *opening = arg;
    struct store_record copy = {
        .kind = strdup(record->kind),
        .name = strdup(record->name),
        .value = secret_copy(record->value, record->len),
        .len = record->len,
        .updated = record->updated,
    };

    if (copy.kind == NULL || copy.name == NULL || copy.value == NULL ||
        !reserve_one(opening)) {
        opening->is_short_of_memory = true;
        clear_record(&copy);
        return;
    }
    opening->records[opening->count++] = copy;
}

static void
on_damaged(const char *kind, const char *name, const struct err *err, void *arg)
{
    struct opening *opening = arg;

    opening->damaged_count++;
    if (log_is_due(opening->damaged_count))
        log_error("a record of the state can't be read and is left alone",
                  F_STR("kind", kind), F_STR("name", name),
                  F_STR("error", err->text),
                  F_INT("count", opening->damaged_count));
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
    for (size_t i = 0; i < old->count; i++)
        clear_record(&old->records[i]);
    free(old->records);
    free(old);
    *opening = NULL;
}

struct store_reader
opening_reader(struct opening *opening)
{
    return (struct store_reader){on_record, on_damaged, opening};
}
