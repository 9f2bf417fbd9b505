/*
 * lookups - what a mail server may ask: the table from name to handler.
 *
 *     token    ADDRESS host=SERVER [min=SECONDS]  ->  EXPIRES TOKEN
 *     xoauth2  ADDRESS host=SERVER [min=SECONDS]  ->  the client response
 *     refused  ADDRESS host=SERVER [token=FINGERPRINT]  ->  what happens next
 *     login    sender, host or nexthop  ->  MAILBOX:PASSWORD
 *     sendas   sender  ->  the permitted address
 *     status   D.S.N text  ->  the status that replaces it
 *
 * Every handler answers exactly once. Only `token` and `xoauth2` may answer
 * later, when a token is being fetched; the others are answered during the
 * call, from memory. Knows nothing of sockets.
 */
#ifndef TOKEN_DAEMON_LOOKUPS_H
#define TOKEN_DAEMON_LOOKUPS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/sendas.h"
#include "common/socketmap.h"
#include "token-daemon/delivery_status.h"
#include "token-daemon/metrics.h"
#include "token-daemon/peer_identity.h"
#include "token-daemon/refresher.h"
#include "token-daemon/refusals.h"
#include "token-daemon/sent_away.h"
#include "token-daemon/suspects.h"

#define LOOKUPS_PATIENCE_MS 15000 /* a `token` is answered within this */
#define LOOKUPS_XOAUTH2_MAX 3057  /* bytes; Exim dies of a longer response */

struct lookups;
struct lookups_pending;

struct lookups_env {
    int64_t (*boot_ms)(void *arg);
    int64_t (*wall)(void *arg);
    struct metrics *metrics; /* where it is counted; NULL: nowhere */
    /* For those who look on; see refusals_env. */
    refusals_denied_fn *denied;
    refusals_accepted_fn *accepted;
    /* A server refused a message for its set-up: see delivery_status.h.
     * `credential` and `mailbox` are NULL when not known. Or NULL. */
    void (*refused)(void *arg, const char *credential, const char *mailbox,
                    const struct delivery_status *status);
    /* Somebody was sent away; true: log it. See sent_away_note(). Or NULL. */
    bool (*sent_away)(void *arg, const struct sent_away_refusal *refusal);
    void *arg;
};

/* Borrows `refresher` for its whole life. Owned; NULL when out of memory. */
struct lookups *lookups_new(const struct lookups_env *env,
                            struct refresher *refresher)
    __attribute__((warn_unused_result));
void lookups_free(struct lookups **lookups);

/*
 * Answer by this policy from now on; keeps a reference. The refresher learns of
 * the same configuration right after, before anybody asks. Errors: ERR_SYSTEM,
 * and the old policy stays.
 */
int lookups_configure(struct lookups *lookups, struct sendas *policy,
                      struct err *err) __attribute__((warn_unused_result));

/* `data` is borrowed: during the call; it may hold a token. */
typedef void (*lookups_reply_fn)(enum socketmap_status status, const char *data,
                                 size_t len, void *arg);

/*
 * One request; `peer` is borrowed during the call. NULL when it was answered
 * during the call; else a handle for lookups_forget(), valid until the answer.
 */
struct lookups_pending *lookups_ask(struct lookups *lookups,
                                    const struct socketmap_request *request,
                                    const struct peer_identity *peer,
                                    lookups_reply_fn reply, void *arg);

/* Somebody who may ask nothing asked. True: it is worth a line of the log. */
bool lookups_note_stranger(struct lookups *lookups,
                           const struct peer_identity *peer);

/* The asker is gone: do not answer. Sets *pending to NULL; takes NULL. */
void lookups_forget(struct lookups_pending **pending);

/* What is held against a mailbox, borrowed: until the next call. Or NULL. */
const struct suspect *lookups_suspect(const struct lookups *lookups,
                                      const char *mailbox);

/* Each mailbox that something is held against, those of an @domain too. */
void lookups_each_suspect(const struct lookups *lookups,
                          void (*visit)(const char *mailbox,
                                        const struct suspect *suspect,
                                        void *arg),
                          void *arg);

struct lookups_counts {
    uint64_t requests;
    uint64_t tokens_given;
    uint64_t refusals;       /* reports by `refused` and `status` */
    uint64_t deferred;       /* statuses that were made temporary */
    size_t denied_mailboxes; /* now */
};
void lookups_count(const struct lookups *lookups, struct lookups_counts *out);

#endif
