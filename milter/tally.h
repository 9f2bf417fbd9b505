/*
 * tally - how often something happened, by name and kind.
 *
 * Safe to call from several threads, and none ever waits for another: names are
 * only added, counts only rise. Bounded: after TALLY_NAMES_MAX names, all
 * others are counted as TALLY_OTHERS.
 */
#ifndef MILTER_TALLY_H
#define MILTER_TALLY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define TALLY_NAMES_MAX 1000
#define TALLY_KINDS     12
#define TALLY_OTHERS    "(others)"

struct tally;

struct tally_name {
    atomic_uint_fast64_t counts[TALLY_KINDS];
    char text[];
};

/* Owned; NULL when out of memory. */
struct tally *tally_new(void) __attribute__((warn_unused_result));
void tally_free(struct tally **tally); /* takes NULL, sets it to NULL */

/* It happened once more. Copies a name that is new. */
void tally_count(struct tally *tally, const char *name, unsigned kind);

/*
 * All names that were counted, in order, with the others at the end if there
 * are any. Borrowed: for the life of the tally. Gives how many there are.
 */
size_t tally_list(const struct tally *tally,
                  const struct tally_name *out[TALLY_NAMES_MAX + 1]);

#endif
