/*
 * repeats - which repetition of a failure this is, so that the log tells of the
 * 1st, 10th, 100th and never floods.
 *
 * Pure: the caller passes the time in. Bounded: when it is full it starts
 * afresh. A failure that stayed away for an hour counts from one again.
 */
#ifndef TOKEN_DAEMON_REPEATS_H
#define TOKEN_DAEMON_REPEATS_H

#include <stddef.h>
#include <stdint.h>

struct repeats;

/* Owned; NULL when out of memory. */
struct repeats *repeats_new(size_t max) __attribute__((warn_unused_result));
void repeats_free(struct repeats **repeats);

/*
 * Count one more of `what` about `whom` (either may be NULL), compared without
 * case. 1 is the first; 1 too when out of memory, as a line too many does less
 * harm than one too few.
 */
uint64_t repeats_count(struct repeats *repeats, const char *what,
                       const char *whom, int64_t now_ms);

#endif
