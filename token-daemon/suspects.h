/*
 * suspects - which mailboxes a server refused, and with which token.
 *
 * A first refusal may be the token's fault; when a token that was fetched later
 * is refused too, it is the mailbox that is denied, and an administrator must
 * act. Pure: the caller passes the time in and does the fetching. Bounded: the
 * mailbox that was refused longest ago is forgotten first.
 */
#ifndef TOKEN_DAEMON_SUSPECTS_H
#define TOKEN_DAEMON_SUSPECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct suspects;

/* Owned; NULL when out of memory. */
struct suspects *suspects_new(size_t max) __attribute__((warn_unused_result));
void suspects_free(struct suspects **suspects);

struct suspect {
    uint64_t serial; /* of the newest token that was refused */
    bool is_denied;
    int64_t since_wall; /* s since 1970, of the first refusal in a row */
    int64_t last_wall;  /* of the last one */
    uint64_t refusals;  /* in a row */
};

enum suspects_verdict {
    SUSPECTS_FIRST,     /* the first refusal, or the same token again */
    SUSPECTS_DENIED,    /* a newer token was refused too: say it once */
    SUSPECTS_STILL,     /* was denied already */
    SUSPECTS_NO_MEMORY, /* nothing was noted */
};

/* `mailbox` (copied) was refused with the token of `serial`. */
enum suspects_verdict suspects_refused(struct suspects *suspects,
                                       const char *mailbox, uint64_t serial,
                                       int64_t wall);

/*
 * `mailbox` logged in. True when it was denied before, and so is worth a line;
 * *since_wall is then when that began.
 */
bool suspects_accepted(struct suspects *suspects, const char *mailbox,
                       int64_t *since_wall);

/* What is held against `mailbox`, borrowed: until the next call. Or NULL. */
const struct suspect *suspects_find(const struct suspects *suspects,
                                    const char *mailbox);

/* Each mailbox that something is held against, the longest unrefused first. */
void suspects_each(const struct suspects *suspects,
                   void (*visit)(const char *mailbox,
                                 const struct suspect *suspect, void *arg),
                   void *arg);

/* How many mailboxes are denied now? */
size_t suspects_denied_count(const struct suspects *suspects);

#endif
