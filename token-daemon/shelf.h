/*
 * shelf - records of tokens that nobody keeps at present: of mailboxes that are
 * not configured, not yet, or not any more.
 *
 * A sign-in must not be lost because its section was taken out, renamed or
 * given another grant for a while; so what was known of its token waits here
 * until the section is back. One record for each name; of two the newer stays.
 * Owns the records and wipes them.
 */
#ifndef TOKEN_DAEMON_SHELF_H
#define TOKEN_DAEMON_SHELF_H

#include <stdbool.h>

#include "token-daemon/token_record.h"

struct shelf;

/* Owned; NULL when out of memory. */
struct shelf *shelf_new(void) __attribute__((warn_unused_result));
void shelf_free(struct shelf **shelf);

enum shelf_result {
    SHELF_TAKEN,
    SHELF_OLDER, /* one that is not older is there, and stays */
    SHELF_NO_MEMORY,
};

/*
 * Put a record there (`name` copies; takes what is in `record`, however it
 * ends). `is_unsaved`: the disk may not have it yet.
 */
enum shelf_result shelf_put(struct shelf *shelf, const char *name,
                            struct token_record *record, bool is_unsaved);

/* The record of this name, borrowed: until it is taken or another is put. */
const struct token_record *shelf_find(const struct shelf *shelf,
                                      const char *name);

/* Take it away: owned, token_record_clear(). False: there is none. */
bool shelf_take(struct shelf *shelf, const char *name,
                struct token_record *record, bool *is_unsaved);

/* Each in turn, the oldest first; no call of this module from `visit`. */
void shelf_each(const struct shelf *shelf,
                void (*visit)(const char *name,
                              const struct token_record *record, void *arg),
                void *arg);

#endif
