/*
 * tokend_client - ask xoauth2-tokend one question, and wait for the answer.
 *
 * One connection to a Unix socket for each question; nothing is kept between
 * two. Every wait ends at the deadline, whatever is at the other end: nobody,
 * somebody who never answers, or who sends a byte now and then or without end.
 * It knows of frames, not of what they mean (see tokend_reply).
 */
#ifndef SASL_XOAUTH2_TOKEND_CLIENT_H
#define SASL_XOAUTH2_TOKEND_CLIENT_H

#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/socketmap.h"

/* Bytes of a socket's path, without the NUL: what sockaddr_un holds. */
#define TOKEND_CLIENT_PATH_MAX 107

struct tokend_client {
    const char *path;    /* of the socket; relative: to the working directory */
    int64_t deadline_at; /* ms, CLOCK_BOOTTIME; whole wait */
    int64_t retry_interval; /* ms, between two attempts to reach it */

    /* How to sleep between two attempts; NULL: really. For tests. */
    void (*pause)(void *arg, int64_t ms);
    void *pause_arg;
};

struct tokend_answer {
    struct socketmap_reply reply; /* borrowed: points into `bytes` */
    struct buf bytes;             /* as received; may hold a token */
};

/*
 * Send the request `NAME KEY` and wait for its whole answer.
 *
 * As long as the deadline allows it tries again when nobody listens (the socket
 * does not exist, may not be used, refuses or has a full backlog) and when the
 * connection ends before the whole answer: a restarting tokend is not an error.
 *
 * *out is owned by the caller after success: tokend_answer_clear(). Errors:
 * ERR_RETRY when the deadline passed, ERR_CONFIG when the path can't be
 * right, ERR_PROTO when what came is no socketmap answer,
 * ERR_SYSTEM.
 */
int tokend_client_ask(const struct tokend_client *client, const char *name,
                      const char *key, struct tokend_answer *out,
                      struct err *err) __attribute__((warn_unused_result));

/* Wipe and free. Twice is fine. */
void tokend_answer_clear(struct tokend_answer *answer);

#endif
