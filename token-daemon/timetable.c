/*
 * timetable - when each of many things is next to be done.
 *
 * A binary heap in an array that counts from 1: the children of i are 2i and
 * 2i + 1.
 */
#include "token-daemon/timetable.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_CAPACITY 16 /* entries */

static uint32_t *
second_of(struct timetable *timetable, int64_t at)
{
    return &timetable->per_second[(uint64_t)at / 1000 % TIMETABLE_SECONDS];
}

static void
put_at(struct timetable *timetable, size_t place, struct timetable_entry *entry)
{
    timetable->entries[place - 1] = entry;
    entry->place = place;
}

static struct timetable_entry *
entry_at(const struct timetable *timetable, size_t place)
{
    return timetable->entries[place - 1];
}

/* Towards the front, as long as it is earlier than what is there. */
static void
rise(struct timetable *timetable, struct timetable_entry *entry)
{
    size_t place = entry->place;

    while (place > 1 && entry_at(timetable, place / 2)->at > entry->at) {
        put_at(timetable, place, entry_at(timetable, place / 2));
        place /= 2;
    }
    put_at(timetable, place, entry);
}

/* Towards the end, as long as something there is earlier. */
static void
sink(struct timetable *timetable, struct timetable_entry *entry)
{
    size_t place = entry->place;
    size_t child;

    while ((child = 2 * place) <= timetable->count) {
        if (child < timetable->count &&
            entry_at(timetable, child + 1)->at < entry_at(timetable, child)->at)
            child++;
        if (entry_at(timetable, child)->at >= entry->at)
            break;
        put_at(timetable, place, entry_at(timetable, child));
        place = child;
    }
    put_at(timetable, place, entry);
}

struct timetable *
timetable_new(void)
{
    return calloc(1, sizeof(struct timetable));
}

void
timetable_free(struct timetable **timetable)
{
    if (*timetable == NULL)
        return;
    free((*timetable)->entries);
    free(*timetable);
    *timetable = NULL;
}

int
timetable_reserve(struct timetable *timetable, size_t count)
{
    size_t capacity =
        timetable->capacity > 0 ? timetable->capacity : FIRST_CAPACITY;
    struct timetable_entry **entries;

    if (count <= timetable->capacity)
        return 0;
    while (capacity < count)
        capacity *= 2;
    entries = realloc(timetable->entries,
                      capacity * sizeof(struct timetable_entry *));
    if (entries == NULL)
        return -1;
    timetable->entries = entries;
    timetable->capacity = capacity;
    return 0;
}

void
timetable_plan(struct timetable *timetable, struct timetable_entry *entry,
               int64_t at)
{
    if (entry->place != 0) {
        (*second_of(timetable, entry->at))--;
    } else {
        assert(timetable->count < timetable->capacity);
        put_at(timetable, ++timetable->count, entry);
    }
    entry->at = at;
    (*second_of(timetable, at))++;
    rise(timetable, entry);
    sink(timetable, entry);
}

void
timetable_drop(struct timetable *timetable, struct timetable_entry *entry)
{
    struct timetable_entry *last;
    size_t place = entry->place;

    if (place == 0)
        return;
    (*second_of(timetable, entry->at))--;
    entry->place = 0;
    last = entry_at(timetable, timetable->count--);
    if (last == entry)
        return;
    put_at(timetable, place, last);
    rise(timetable, last);
    sink(timetable, last);
}

struct timetable_entry *
timetable_first(const struct timetable *timetable)
{
    return timetable->count > 0 ? entry_at(timetable, 1) : NULL;
}

uint32_t
timetable_load(const struct timetable *timetable, int64_t at)
{
    return timetable->per_second[(uint64_t)at / 1000 % TIMETABLE_SECONDS];
}
