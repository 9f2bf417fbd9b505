/*
 * strangers - users of an "@domain" mailbox for whom there is no token.
 *
 * Anybody who may hand in mail can invent senders, and each of them is a user
 * whom the provider has to be asked for. So such a one is remembered only while
 * somebody asks for it; a provider that has refused some of a credential's is
 * asked for those again at a small rate; and only a few lines a minute are
 * logged of them. A user is no stranger any more from the first token on: none
 * of this holds up who has one, nor the first request for a new one.
 *
 * Pure: the caller passes the time in, milliseconds of CLOCK_BOOTTIME.
 */
#ifndef TOKEN_DAEMON_STRANGERS_H
#define TOKEN_DAEMON_STRANGERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STRANGERS_REST_MS                                          \
    (INT64_C(10) * 60 * 1000)             /* then one is forgotten \
                                           */
#define STRANGERS_RETRY_MS INT64_C(1000)  /* between two, for a credential, */
#define STRANGERS_RETRIES  10             /* after so many at once */
#define STRANGERS_LINE_MS  INT64_C(60000) /* likewise for lines of the log */
#define STRANGERS_LINES    10

struct keeper;
struct strangers;
struct stranger;

/* Owned; NULL when out of memory. */
struct strangers *strangers_new(void) __attribute__((warn_unused_result));

/* All must have been removed. Takes NULL. */
void strangers_free(struct strangers **strangers);

/* One more, asked for just now. The keeper is only handed out again, and the
 * result is for strangers_remove(); NULL when out of memory. */
struct stranger *strangers_add(struct strangers *strangers,
                               struct keeper *keeper, int64_t now)
    __attribute__((warn_unused_result));

/* Sets *stranger to NULL; takes NULL. */
void strangers_remove(struct strangers *strangers, struct stranger **stranger);

/* Somebody asks for it. */
void strangers_want(struct strangers *strangers, struct stranger *stranger,
                    int64_t now);

/* The one that was asked for least recently, if not after `since`; or NULL. */
struct keeper *strangers_rested(const struct strangers *strangers,
                                int64_t since);

/* May the provider be asked again for one whom it refused? Counts it. */
bool strangers_may_retry(struct strangers *strangers, const char *credential,
                         int64_t now);

/* May a failure be logged? *unsaid is how many could not be since the last. */
bool strangers_may_say(struct strangers *strangers, const char *credential,
                       int64_t now, uint64_t *unsaid);

#endif
