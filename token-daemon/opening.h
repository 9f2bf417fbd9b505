/*
 * opening - what was found when the store was opened, on its way from the
 * disk's thread to the event loop's.
 *
 * Owns copies of the records and wipes them. One thread at a time has it.
 */
#ifndef TOKEN_DAEMON_OPENING_H
#define TOKEN_DAEMON_OPENING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "token-daemon/store.h"

struct opening {
    struct store_record *records; /* owned */
    char **texts; /* owned: what the record of the same number points to */
    size_t count;
    size_t capacity;
    size_t damaged_count;
    /* The first of those. */
    char damaged_kind[STORE_KIND_MAX + 1];
    char damaged_name[STORE_NAME_MAX + 1];
    struct err damage;
    bool is_short_of_memory; /* records had to be left out */
    bool is_open;            /* false: *err says why it can't be written */
    bool is_new;
    struct err err;
};

/* Owned; NULL when out of memory. */
struct opening *opening_new(void) __attribute__((warn_unused_result));

/* Wipe and free; set *opening to NULL. Takes NULL. */
void opening_free(struct opening **opening);

/* What store_open() is to tell. */
struct store_reader opening_reader(struct opening *opening);

#endif
