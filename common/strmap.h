/*
 * strmap - strings that compare without case, to pointers.
 *
 * For mail addresses, domains and section titles: ASCII letters fold, all
 * other bytes compare as they are. Look-ups cost the same with ten entries and
 * with a hundred thousand. Does not copy keys: whoever owns the value owns the
 * key too, and both must outlive the map.
 */
#ifndef COMMON_STRMAP_H
#define COMMON_STRMAP_H

#include <stddef.h>

struct strmap;

/* Owned; NULL when out of memory. */
struct strmap *strmap_new(void) __attribute__((warn_unused_result));

/* Free the map, not its keys and values; set *map to NULL. Takes NULL. */
void strmap_free(struct strmap **map);

enum strmap_result {
    STRMAP_ADDED,
    STRMAP_EXISTS, /* an equal key is there; nothing was changed */
    STRMAP_NO_MEMORY,
};

/* Add `key` (borrowed: for the life of the map). `value` may not be NULL. */
enum strmap_result strmap_add(struct strmap *map, const char *key, void *value)
    __attribute__((warn_unused_result));

/* The value of `len` bytes of `key`, or NULL. */
void *strmap_get(const struct strmap *map, const char *key, size_t len);

/* The value that was removed, or NULL when there was none. */
void *strmap_remove(struct strmap *map, const char *key, size_t len);

size_t strmap_count(const struct strmap *map);

/* Bytes that the table itself takes. */
size_t strmap_memory(const struct strmap *map);

#endif
