/*
 * troubles - what is wrong, since when, and when to say so again.
 *
 * One trouble for each kind and whom it concerns, however often it is
 * reported. It is told when it begins, again after mail has waited for 1 hour,
 * 1 day and 3 days, and when it ends. Pure: the caller passes the time in and
 * does the telling. Bounded: past the limit no new trouble is kept.
 *
 *     (none) --report--> NEW --patience passed, or mail waits--> TOLD
 *        ^                |                                       |
 *        +----solved------+-------------------------------solved--+
 *        +----faded-------+--------------------------------faded--+
 *
 * All times are milliseconds of CLOCK_BOOTTIME.
 */
#ifndef TOKEN_DAEMON_TROUBLES_H
#define TOKEN_DAEMON_TROUBLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TROUBLES_NEVER      INT64_MAX
#define TROUBLES_STAGES     3
#define TROUBLES_REASON_MAX 32
#define TROUBLES_TEXT_MAX   256

struct troubles;

enum troubles_kind {
    TROUBLES_PROVIDER, /* a credential's provider gives no answer that helps */
    TROUBLES_TOKEN,    /* no token until something is changed */
    TROUBLES_DENIED,   /* a server refuses a mailbox */
    TROUBLES_REFUSED,  /* a server refuses what a mailbox sends */
    TROUBLES_SENDER,   /* the same, but only what some senders send */
    TROUBLES_STATE,    /* what is to outlive a restart can't be written */
    TROUBLES_KINDS,    /* how many there are; none itself */
};

struct trouble {
    enum troubles_kind kind;
    const char *credential; /* "": concerns no single one */
    const char *mailbox;    /* the same */
    char reason[TROUBLES_REASON_MAX];
    char text[TROUBLES_TEXT_MAX];
    char hint[TROUBLES_TEXT_MAX];
    int64_t since;      /* the first report */
    int64_t last;       /* the newest report */
    int64_t waits_from; /* mail waits since then; may be in the future */
    unsigned stage;     /* of 1 h, 1 d, 3 d: how many were told */
    bool is_told;
};

enum troubles_edge {
    TROUBLES_BEGAN, /* or a token's reason is another now */
    TROUBLES_LASTS, /* mail waits for 1 h, 1 d, 3 d: see trouble->stage */
    TROUBLES_ENDED,
};

/* `trouble` is borrowed: during the call. No call of this module from here. */
typedef void troubles_fn(enum troubles_edge edge, const struct trouble *trouble,
                         int64_t now, void *arg);

/* Owned; NULL when out of memory. */
struct troubles *troubles_new(size_t max, troubles_fn *tell, void *arg)
    __attribute__((warn_unused_result));
void troubles_free(struct troubles **troubles);

struct troubles_report {
    enum troubles_kind kind;
    const char *credential; /* NULL: none; copies, as all of these */
    const char *mailbox;    /* NULL: none */
    const char *reason;     /* stable word */
    const char *text;       /* NULL: none */
    const char *hint;       /* NULL: none */
    int64_t waits_from;  /* TROUBLES_NEVER: mail goes all the same; of several
                            reports of one trouble the earliest counts */
    int64_t patience_ms; /* it is told when it lasts so long, or mail waits */
    int64_t fades_ms;    /* forgotten when not reported for so long, and known
                            to last by reports alone; 0: it lasts till solved */
};

/* Something is wrong. False when that can't be noted: too many, no memory. */
bool troubles_report(struct troubles *troubles,
                     const struct troubles_report *report, int64_t now);

/* It works. True when there was such a trouble. */
bool troubles_solved(struct troubles *troubles, enum troubles_kind kind,
                     const char *credential, const char *mailbox, int64_t now);

/* Tell what has become due, forget what has faded. How many are left. */
size_t troubles_tick(struct troubles *troubles, int64_t now);

/* Forget, without a word, those that `is_kept` denies. */
void troubles_sift(struct troubles *troubles,
                   bool (*is_kept)(const struct trouble *trouble,
                                   const void *arg),
                   const void *arg);

size_t troubles_count(const struct troubles *troubles);

struct troubles_summary {
    size_t told[TROUBLES_KINDS]; /* how many were told and have not ended */
    int64_t waits_from;          /* mail waits since then, for the one that has
                                    lasted longest; TROUBLES_NEVER: none does */
};

void troubles_summarise(const struct troubles *troubles, int64_t now,
                        struct troubles_summary *out);

#endif
