/*
 * activity - how many sessions and messages are in progress, so that a stop can
 * wait until nobody is cut off. Safe to call from several threads.
 */
#ifndef MILTER_ACTIVITY_H
#define MILTER_ACTIVITY_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct activity {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t sessions;
    size_t messages; /* between MAIL and the end of the message */
};

/* For the life of the process: there is no clear. */
void activity_init(struct activity *activity);

void activity_session_begins(struct activity *activity);
void activity_session_ends(struct activity *activity);
void activity_message_begins(struct activity *activity);
void activity_message_ends(struct activity *activity);

/* How many there are now; both at the same moment. */
void activity_count(struct activity *activity, size_t *sessions,
                    size_t *messages);

/*
 * Wait until there is no session, or no message for `idle_ms` in a row: a mail
 * server keeps its connection as long as the client stays, and the last answer
 * is written just after the message has ended. At most `max_ms`; then the
 * number of messages that are still in progress, else 0.
 */
size_t activity_wait(struct activity *activity, int64_t idle_ms,
                     int64_t max_ms);

#endif
