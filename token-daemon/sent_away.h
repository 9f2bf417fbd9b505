/*
 * sent_away - who asked for what is not theirs, for the audit trail.
 *
 * Every refusal is in the trail, and nobody can flood it: the first one of a
 * user, for one thing and reason, becomes a row at once. Those that follow are
 * counted, and told as one row a minute after the one before; while it goes on,
 * after two minutes, four, and so on to an hour. Whoever keeps quiet for an
 * hour is new again. So many of them are told apart; the refusals of all others
 * are told together. Knows nothing of files; time and timer are the caller's.
 */
#ifndef TOKEN_DAEMON_SENT_AWAY_H
#define TOKEN_DAEMON_SENT_AWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SENT_AWAY_MAX        256 /* told apart: user, verb and reason */
#define SENT_AWAY_FIRST_MS   (INT64_C(60) * 1000)
#define SENT_AWAY_LONGEST_MS (INT64_C(60) * 60 * 1000)

struct sent_away;

/* One refusal. All texts are borrowed: during the call. */
struct sent_away_refusal {
    uid_t uid;
    const char *what;    /* a verb or a lookup */
    const char *subject; /* a mailbox or a credential; NULL: none */
    const char *reason;  /* a stable word */
};

/* One row of the trail. */
struct sent_away_row {
    bool is_several; /* of more users than are told apart; uid is not set */
    uid_t uid;
    const char *what;
    const char *detail; /* one line: whatever was asked for is in it */
};

struct sent_away_env {
    int64_t (*boot_ms)(void *arg);
    void *(*timer_new)(void *arg, void (*fire)(void *fire_arg), void *fire_arg);
    void (*timer_set)(void *timer, int64_t delay_ms); /* < 0: off */
    void (*timer_free)(void *timer);
    void (*write)(void *arg, const struct sent_away_row *row);
    void *arg;
};

/* Owned; NULL when out of memory. */
struct sent_away *sent_away_new(const struct sent_away_env *env)
    __attribute__((warn_unused_result));

/* Write what was only counted, and free. Takes NULL. */
void sent_away_free(struct sent_away **away);

/* Somebody was refused. True: it became a row at once, and is worth a line of
 * the log. */
bool sent_away_note(struct sent_away *away,
                    const struct sent_away_refusal *refusal);

#endif
