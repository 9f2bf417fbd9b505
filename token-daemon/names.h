/*
 * names - a list of texts, taken down at one time to be gone through later, a
 * few at a time, while what they name comes and goes.
 */
#ifndef TOKEN_DAEMON_NAMES_H
#define TOKEN_DAEMON_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

struct names {
    struct buf texts; /* each with its NUL */
    size_t next;      /* where the next one begins */
};

void names_init(struct names *names);
void names_clear(struct names *names); /* leaves it zeroed, twice is fine */

/* Copies. */
void names_add(struct names *names, const char *text);

/* True: some could not be kept, out of memory. */
bool names_failed(const struct names *names);

/* The next one, borrowed: until names_clear(). NULL: that was the last. */
const char *names_next(struct names *names);

#endif
