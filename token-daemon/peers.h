/*
 * peers - what each process that asks was given last.
 *
 * One smtp(8) process asks `login`, `token` and `status` for one delivery, each
 * perhaps over another connection; the kernel's word for its process id (
 * SO_PEERCRED) ties them together. So a `status` of 535 names the one token
 * that this process was given. Pure: the caller passes the time in. Bounded in
 * number and in time.
 */
#ifndef TOKEN_DAEMON_PEERS_H
#define TOKEN_DAEMON_PEERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "token-daemon/token.h"

#define PEERS_FORGET_AFTER_MS (INT64_C(10) * 60 * 1000)

struct peers;

struct peer {
    char *login;     /* the mailbox that `login` answered last; NULL: none */
    char *mailbox;   /* the one that `token` was answered for; NULL: none */
    uint64_t serial; /* of that token */
    char fingerprint[TOKEN_FINGERPRINT_LEN + 1];
};

/* Owned; NULL when out of memory. Holds at most `max` processes. */
struct peers *peers_new(size_t max) __attribute__((warn_unused_result));
void peers_free(struct peers **peers);

/*
 * Note what process `pid` was answered. Out of memory forgets the process: a
 * report of it then marks nothing. A pid of 0 (of another namespace) is not
 * noted.
 */
void peers_note_login(struct peers *peers, pid_t pid, const char *mailbox,
                      int64_t now);
void peers_note_token(struct peers *peers, pid_t pid, const char *mailbox,
                      const struct token *token, int64_t now);

/* Borrowed: until the next call. NULL when nothing is known of it. */
const struct peer *peers_find(const struct peers *peers, pid_t pid,
                              int64_t now);

#endif
