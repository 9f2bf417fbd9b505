/*
 * places - how many of something that goes on for long one user may have.
 *
 * Pure. Who may do everything is counted apart from all others, each user for
 * itself, so that nobody can take the last place of who would have to help. The
 * others have a bound for all of them together, too.
 */
#ifndef TOKEN_DAEMON_PLACES_H
#define TOKEN_DAEMON_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/types.h>

struct places;

/* A part of what has the place; belongs to the places while it is taken. */
struct place {
    LIST_ENTRY(place) link;
    struct places *places; /* NULL: not taken */
    uid_t uid;
    bool is_trusted;
};

struct places {
    size_t trusted_max; /* of each user who may do everything */
    size_t user_max;    /* of each other one */
    size_t others_max;  /* of all others together */
    LIST_HEAD(, place) taken;
};

enum places_result {
    PLACES_TAKEN,
    PLACES_USER_FULL,   /* this user has all that one may have */
    PLACES_OTHERS_FULL, /* all users who may not do everything together have */
};

/* Take one for a user, when there is one. `place` must not be taken. */
enum places_result places_take(struct places *places, uid_t uid,
                               bool is_trusted, struct place *place)
    __attribute__((warn_unused_result));

/* Give it back; one that is not taken is left alone. */
void places_leave(struct place *place);

#endif
