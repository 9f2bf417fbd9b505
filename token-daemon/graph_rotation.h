/*
 * graph_rotation - what a credential's rotation at Microsoft Graph does next.
 *
 * Pure. Time and chance are arguments, and what happens outside comes in as the
 * outcome of a step. The struct is what must be durable (graph_record.h) before
 * the step that follows is taken; so whatever a crash interrupts is finished or
 * undone by whoever goes on with what was stored.
 *
 *   IDLE --due: make--> SENDING --add--> PROBING --has worked--> PROMOTING
 *    ^ ^                   |                |                        |
 *    | +--is it there?-----+  refused too   |                        |
 *    |    then made anew      long: retired |       becomes current, |
 *    +--------------------------------------+   the old one retired  |
 *    +---------------------------------------------------------------+
 *
 * What is retired is removed in IDLE, when its time has come: only what was put
 * there by this rotation or was named by the operator, and what was in use only
 * after its successor has been seen in the registration and has got a token.
 *
 * Times are seconds since 1970, as they outlive the process.
 */
#ifndef TOKEN_DAEMON_GRAPH_ROTATION_H
#define TOKEN_DAEMON_GRAPH_ROTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"

#define GRAPH_ROTATION_TAG_SIZE        32 /* bytes of a tag, with the NUL */
#define GRAPH_ROTATION_TAG_RANDOM      8  /* random bytes that it is made of */
#define GRAPH_ROTATION_ID_SIZE         37 /* of a key's id, with the NUL */
#define GRAPH_ROTATION_THUMBPRINT_SIZE 41 /* SHA-1 in hex, with the NUL */
#define GRAPH_ROTATION_RETIRED_MAX     32
#define GRAPH_ROTATION_REASON_SIZE     32
#define GRAPH_ROTATION_PROBES          3 /* successes in a row, at least */

enum graph_rotation_phase {
    GRAPH_ROTATION_IDLE,
    GRAPH_ROTATION_SENDING,   /* made; it may be registered or not */
    GRAPH_ROTATION_PROBING,   /* registered; does it work yet? */
    GRAPH_ROTATION_PROMOTING, /* it works; to be used from now on */
};
#define GRAPH_ROTATION_PHASES (GRAPH_ROTATION_PROMOTING + 1)

/* One credential of the app registration. An empty text: not known. */
struct graph_rotation_entry {
    bool is_secret;                    /* else a certificate */
    char tag[GRAPH_ROTATION_TAG_SIZE]; /* its displayName; "": not ours */
    char key_id[GRAPH_ROTATION_ID_SIZE];
    char thumbprint[GRAPH_ROTATION_THUMBPRINT_SIZE]; /* upper case */

    /* Of what is retired. */
    bool was_used;       /* has it been in use? */
    int64_t remove_wall; /* not before */
    unsigned misses;     /* listings in which it was looked for in vain */
    bool is_present;     /* not stored: seen in the last listing */
};

struct graph_rotation {
    enum graph_rotation_phase phase;
    struct graph_rotation_entry current;   /* no tag: there is none of ours */
    struct graph_rotation_entry candidate; /* not in IDLE */
    char *certificate; /* the candidate's, PEM; NULL: a secret. All three are */
    char *private_key; /* owned and wiped */
    char *secret;      /* NULL: not known */
    struct graph_rotation_entry retired[GRAPH_ROTATION_RETIRED_MAX];
    size_t retired_count;
    int64_t rotated_wall; /* the last rotation; 0: there was none */
    int64_t due_wall;     /* the next one */
    int64_t added_wall;   /* when the candidate was registered */

    /* Failures in a row, of rotating and of removing. */
    unsigned failures;
    int64_t not_before_wall;
    unsigned clean_failures;
    int64_t clean_wall;
    char reason[GRAPH_ROTATION_REASON_SIZE]; /* of the last one; "": none */

    /* Not stored. */
    bool is_doubtful;        /* may it have been sent, with no answer seen? */
    bool is_listed;          /* is the listing of this phase known? */
    bool is_checked;         /* did the current one just get a token? */
    bool is_current_present; /* in that listing */
    unsigned streak;         /* probes that worked, in a row */
    int64_t working_wall;    /* since when */
    int64_t probe_wall;      /* the next probe */
};

/* A rotation that never began: it is due now. Owned: _clear(). */
void graph_rotation_init(struct graph_rotation *rotation, int64_t now);

/* Wipe and free what it owns; it is then zeroed. Twice is fine. */
void graph_rotation_clear(struct graph_rotation *rotation);

enum graph_rotation_step {
    GRAPH_ROTATION_WAIT,
    GRAPH_ROTATION_MAKE,    /* a key and its certificate; or just a name */
    GRAPH_ROTATION_LIST,    /* what is registered */
    GRAPH_ROTATION_ADD,     /* the candidate */
    GRAPH_ROTATION_PROBE,   /* get a token by the candidate */
    GRAPH_ROTATION_PROMOTE, /* have the daemon use it, durably */
    GRAPH_ROTATION_CHECK,   /* get a token by the current one, no other */
    GRAPH_ROTATION_REMOVE,  /* `entry` */
};

struct graph_rotation_plan {
    enum graph_rotation_step step;
    int64_t until_wall;                       /* of WAIT */
    const struct graph_rotation_entry *entry; /* of REMOVE; borrowed */
};

/* What to do now. */
void graph_rotation_next(const struct graph_rotation *rotation, int64_t now,
                         struct graph_rotation_plan *out);

/*
 * The outcomes. After each, what changed must be durable before anything
 * that graph_rotation_next() says is done.
 */

/*
 * MAKE: `random` makes the name. The texts are copied; a certificate's are
 * PEM and the thumbprint, all NULL for a secret. Errors: ERR_SYSTEM; nothing
 * has changed then.
 */
struct graph_rotation_made {
    unsigned char random[GRAPH_ROTATION_TAG_RANDOM];
    const char *certificate;
    const char *private_key;
    const char *thumbprint;
};
int graph_rotation_made(struct graph_rotation *rotation,
                        const struct graph_rotation_made *made, struct err *err)
    __attribute__((warn_unused_result));

/* The name that such random bytes make. */
void graph_rotation_tag(const unsigned char random[GRAPH_ROTATION_TAG_RANDOM],
                        char out[GRAPH_ROTATION_TAG_SIZE]);

/* LIST: all that is registered. */
void graph_rotation_listed(struct graph_rotation *rotation,
                           const struct graph_rotation_entry *entries,
                           size_t count, int64_t now);

/* ADD: `key_id` may be NULL; `secret` is copied, NULL for a certificate. */
int graph_rotation_added(struct graph_rotation *rotation, const char *key_id,
                         const char *secret, int64_t now, struct err *err)
    __attribute__((warn_unused_result));

/* PROBE: it got a token, or was refused as unknown. */
void graph_rotation_probed(struct graph_rotation *rotation,
                           const struct config_rotation *settings,
                           bool is_accepted, int64_t now);

/* PROMOTE: it is in use. `chance`, [0, 1), spreads the next rotation. */
void graph_rotation_promoted(struct graph_rotation *rotation,
                             const struct config_rotation *settings,
                             int64_t now, double chance);

/* CHECK: it got a token. */
void graph_rotation_checked(struct graph_rotation *rotation, int64_t now,
                            double chance);

/* REMOVE: `key_id` is gone, or was before. */
void graph_rotation_removed(struct graph_rotation *rotation,
                            const char *key_id);

/* Any step that is no longer wanted or did not work. */
struct graph_rotation_failure {
    const char *reason;    /* a stable word */
    bool is_lasting;       /* until somebody mends it; else it may pass */
    bool is_unknown;       /* ADD: it may have been done all the same */
    int64_t retry_after_s; /* what the other side asked for; 0: nothing */
};
void graph_rotation_failed(struct graph_rotation *rotation,
                           enum graph_rotation_step step,
                           const struct graph_rotation_failure *failure,
                           int64_t now, double chance);

/*
 * Give the candidate up, for a rotation of another kind is wanted now. What
 * may be registered is retired.
 */
void graph_rotation_abandon(struct graph_rotation *rotation, int64_t now);

/*
 * Take the rotation of the same credential from another host. Where it was
 * rotated last goes on (here, when it is the same), with what the other one has
 * registered among the retired, so that nothing is orphaned. `other` is
 * cleared. False: what is here goes on.
 */
bool graph_rotation_merge(struct graph_rotation *rotation,
                          struct graph_rotation *other,
                          const struct config_rotation *settings, int64_t now);

/*
 * The clock may have been ahead when times were set, or the settings others:
 * nothing is later than it would be had it been set now.
 */
void graph_rotation_fit(struct graph_rotation *rotation,
                        const struct config_rotation *settings, int64_t now);

/* The operator has mended something: try at once what failed. */
void graph_rotation_retry(struct graph_rotation *rotation);

/* The operator wants it now: no waiting where that is possible. */
void graph_rotation_hurry(struct graph_rotation *rotation, int64_t now);

/* For status: a stable word. With IDLE: `idle`, or `grace`. */
const char *graph_rotation_word(const struct graph_rotation *rotation);

/*
 * Are the two the same credential? By the key's id where both are known, else
 * by name, else by thumbprint.
 */
bool graph_rotation_is_same(const struct graph_rotation_entry *a,
                            const struct graph_rotation_entry *b);

#endif
