/*
 * strmap - strings that compare without case, to pointers.
 *
 * Open addressing with linear probing, at most three quarters full; removal
 * moves later entries back (Knuth, volume 3, 6.4, algorithm R), so there are
 * no tombstones.
 */
#include "common/strmap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 16 /* a power of two */

struct slot {
    const char *key; /* NULL: free */
    void *value;
    uint64_t hash; /* of the key: other keys need not be looked at */
};

struct strmap {
    struct slot *slots;
    size_t slot_count; /* a power of two */
    size_t count;
};

static unsigned char
fold(char c)
{
    unsigned char byte = (unsigned char)c;

    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte + 32) : byte;
}

/* FNV-1a, 64 bits; with a last mix, as only low bits pick the slot. */
static uint64_t
hash(const char *key, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < len; i++) {
        h ^= fold(key[i]);
        h *= 0x100000001b3u;
    }
    return h ^ (h >> 29);
}

static int
equal(const char *stored, const char *key, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (stored[i] == '\0' || fold(stored[i]) != fold(key[i]))
            return 0;
    return stored[len] == '\0';
}

/* The slot that holds `key`, or the free one where it belongs. */
static size_t
find(const struct strmap *map, const char *key, size_t len, uint64_t hashed)
{
    size_t mask = map->slot_count - 1;
    size_t i = (size_t)hashed & mask;

    while (map->slots[i].key != NULL && (map->slots[i].hash != hashed ||
                                         !equal(map->slots[i].key, key, len)))
        i = (i + 1) & mask;
    return i;
}

/* The free slot for a key that is in there nowhere. */
static size_t
find_free(const struct strmap *map, uint64_t hashed)
{
    size_t mask = map->slot_count - 1;
    size_t i = (size_t)hashed & mask;

    while (map->slots[i].key != NULL)
        i = (i + 1) & mask;
    return i;
}

static int
grow(struct strmap *map)
{
    struct strmap bigger = {.slot_count = map->slot_count * 2};

    bigger.slots = calloc(bigger.slot_count, sizeof(*bigger.slots));
    if (bigger.slots == NULL)
        return -1;
    for (size_t i = 0; i < map->slot_count; i++) {
        const struct slot *slot = &map->slots[i];

        if (slot->key != NULL)
            bigger.slots[find_free(&bigger, slot->hash)] = *slot;
    }
    free(map->slots);
    map->slots = bigger.slots;
    map->slot_count = bigger.slot_count;
    return 0;
}

struct strmap *
strmap_new(void)
{
    struct strmap *map = calloc(1, sizeof(*map));

    if (map == NULL)
        return NULL;
    map->slot_count = FIRST_SLOTS;
    map->slots = calloc(map->slot_count, sizeof(*map->slots));
    if (map->slots == NULL) {
        free(map);
        return NULL;
    }
    return map;
}

void
strmap_free(struct strmap **map)
{
    if (*map == NULL)
        return;
    free((*map)->slots);
    free(*map);
    *map = NULL;
}

enum strmap_result
strmap_add(struct strmap *map, const char *key, void *value)
{
    size_t len = strlen(key);
    uint64_t hashed = hash(key, len);
    size_t i = find(map, key, len, hashed);

    if (map->slots[i].key != NULL)
        return STRMAP_EXISTS;
    if ((map->count + 1) * 4 > map->slot_count * 3) {
        if (grow(map) < 0)
            return STRMAP_NO_MEMORY;
        i = find_free(map, hashed);
    }
    map->slots[i] = (struct slot){key, value, hashed};
    map->count++;
    return STRMAP_ADDED;
}

void *
strmap_get(const struct strmap *map, const char *key, size_t len)
{
    return map->slots[find(map, key, len, hash(key, len))].value;
}

/* Is slot `i` at or cyclically between `from` (not included) and `to`? */
static int
is_between(size_t from, size_t i, size_t to)
{
    return from <= to ? from < i && i <= to : from < i || i <= to;
}

void *
strmap_remove(struct strmap *map, const char *key, size_t len)
{
    size_t mask = map->slot_count - 1;
    size_t hole = find(map, key, len, hash(key, len));
    void *value = map->slots[hole].value;
    size_t i = hole;

    if (map->slots[hole].key == NULL)
        return NULL;
    for (;;) {
        i = (i + 1) & mask;
        if (map->slots[i].key == NULL)
            break;
        if (is_between(hole, (size_t)map->slots[i].hash & mask, i))
            continue;
        map->slots[hole] = map->slots[i];
        hole = i;
    }
    map->slots[hole] = (struct slot){0};
    map->count--;
    return value;
}

size_t
strmap_count(const struct strmap *map)
{
    return map->count;
}

size_t
strmap_memory(const struct strmap *map)
{
    return sizeof(*map) + map->slot_count * sizeof(*map->slots);
}
