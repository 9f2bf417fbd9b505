/*
 * refusals - what servers say of logins, and what follows from it.
 *
 * A refused token becomes suspect, never lost: at most one extra fetch per
 * interval follows, the mailbox that reported waits for it, everybody else goes
 * on with the old one. A mailbox whose newest token is refused too is denied,
 * which the log says once. Ties `suspects`, `peers` and the refresher together;
 * answers everything from memory.
 */
#ifndef TOKEN_DAEMON_REFUSALS_H
#define TOKEN_DAEMON_REFUSALS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "token-daemon/peers.h"
#include "token-daemon/refresher.h"
#include "token-daemon/suspects.h"

struct refusals;

/* A mailbox is denied, or was so already and was refused again. */
typedef void refusals_denied_fn(void *arg, const char *credential,
                                const char *mailbox, const char *hint);
/* A mailbox logged in. */
typedef void refusals_accepted_fn(void *arg, const char *credential,
                                  const char *mailbox);

struct refusals_env {
    int64_t (*boot_ms)(void *arg);
    int64_t (*wall)(void *arg);
    refusals_denied_fn *denied;     /* NULL: nobody looks on */
    refusals_accepted_fn *accepted; /* the same */
    void *arg;
};

/* Borrows `refresher` for its whole life. Owned; NULL when out of memory. */
struct refusals *refusals_new(const struct refusals_env *env,
                              struct refresher *refresher)
    __attribute__((warn_unused_result));
void refusals_free(struct refusals **refusals);

/* Process `pid` (0: unknown, not noted) was answered this. */
void refusals_note_login(struct refusals *refusals, pid_t pid,
                         const char *mailbox);
void refusals_note_token(struct refusals *refusals, pid_t pid,
                         const char *mailbox, const struct token *token);

/* What is known of the process, borrowed: until the next call. Or NULL. */
const struct peer *refusals_peer(const struct refusals *refusals, pid_t pid);

/* The serial of the token that `mailbox` saw refused; 0: none. */
uint64_t refusals_serial(const struct refusals *refusals, const char *mailbox);

/* A server refused the login. */
struct refusals_report {
    const char *mailbox;
    const char *credential;
    const char *fingerprint; /* of the refused token; "": not known */
    pid_t pid;               /* who reports; names the token when it can */
    const char *hint;        /* for the operator; NULL: the general one */
};

/* Append what happens next: `fetching`, `renewed` or `limited until TIME`. */
void refusals_report(struct refusals *refusals,
                     const struct refusals_report *report, struct buf *out);

/* A server accepted the login of `mailbox`. */
void refusals_accepted(struct refusals *refusals, const char *mailbox,
                       const char *credential);

const struct suspect *refusals_suspect(const struct refusals *refusals,
                                       const char *mailbox);
void refusals_each(const struct refusals *refusals,
                   void (*visit)(const char *mailbox,
                                 const struct suspect *suspect, void *arg),
                   void *arg);
uint64_t refusals_count(const struct refusals *refusals);
size_t refusals_denied(const struct refusals *refusals);

#endif
