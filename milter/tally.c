/*
 * tally - how often something happened, by name and kind.
 *
 * Open addressing with linear probing. A slot is written once, from NULL to a
 * name that is whole, so that readers need no lock.
 */
#include "milter/tally.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 2048 /* a power of two, and about twice as many as names */

struct tally {
    _Atomic(struct tally_name *) slots[SLOTS];
    atomic_size_t count; /* of names, or a few more while they are added */
    struct tally_name *others;
};

static struct tally_name *
name_new(const char *text)
{
    size_t size = strlen(text) + 1;
    struct tally_name *name = calloc(1, sizeof(*name) + size);

    if (name != NULL)
        memcpy(name->text, text, size);
    return name;
}

struct tally *
tally_new(void)
{
    struct tally *tally = calloc(1, sizeof(*tally));

    if (tally == NULL)
        return NULL;
    tally->others = name_new(TALLY_OTHERS);
    if (tally->others == NULL)
        tally_free(&tally);
    return tally;
}

void
tally_free(struct tally **tally)
{
    if (*tally == NULL)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        free(atomic_load(&(*tally)->slots[i]));
    free((*tally)->others);
    free(*tally);
    *tally = NULL;
}

/* FNV-1a, 64 bits; with a last mix, as only low bits pick the slot. */
static size_t
hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *text != '\0'; text++) {
        h ^= (unsigned char)*text;
        h *= 0x100000001b3u;
    }
    return (size_t)(h ^ (h >> 29));
}

/*
 * The name at `slot`, which is put there if the slot is free; NULL when another
 * name has it, or when no name can be added: then *is_full is set.
 */
static struct tally_name *
take_slot(struct tally *tally, size_t slot, const char *text, bool *is_full)
{
    struct tally_name *there = atomic_load(&tally->slots[slot]);
    struct tally_name *fresh;

    if (there == NULL) {
        if (atomic_fetch_add(&tally->count, 1) < TALLY_NAMES_MAX) {
            fresh = name_new(text);
            if (fresh != NULL && atomic_compare_exchange_strong(
                                     &tally->slots[slot], &there, fresh))
                return fresh;
            free(fresh);
        }
        atomic_fetch_sub(&tally->count, 1);
        if (there == NULL) {
            *is_full = true;
            return NULL;
        }
    }
    return strcmp(there->text, text) == 0 ? there : NULL;
}

void
tally_count(struct tally *tally, const char *name, unsigned kind)
{
    struct tally_name *found = NULL;
    bool is_full = false;

    /* Ends: the table has more slots than there can be names. */
    for (size_t i = hash(name); found == NULL && !is_full; i++)
        found = take_slot(tally, i % SLOTS, name, &is_full);
    if (found == NULL)
        found = tally->others;
    atomic_fetch_add_explicit(&found->counts[kind], 1, memory_order_relaxed);
}

static int
compare(const void *a, const void *b)
{
    const struct tally_name *const *x = a;
    const struct tally_name *const *y = b;

    return strcmp((*x)->text, (*y)->text);
}

static bool
is_counted(const struct tally_name *name)
{
    for (size_t i = 0; i < TALLY_KINDS; i++)
        if (atomic_load(&name->counts[i]) > 0)
            return true;
    return false;
}

size_t
tally_list(const struct tally *tally,
           const struct tally_name *out[TALLY_NAMES_MAX + 1])
{
    size_t count = 0;

    for (size_t i = 0; i < SLOTS && count < TALLY_NAMES_MAX; i++) {
        const struct tally_name *name = atomic_load(&tally->slots[i]);

        if (name != NULL)
            out[count++] = name;
    }
    qsort(out, count, sizeof(*out), compare);
    if (is_counted(tally->others))
        out[count++] = tally->others;
    return count;
}
