/*
 * child - run one command, with a time limit, without waiting for it.
 *
 * No shell looks at the command; its environment is PATH and nothing else,
 * unless it is ours; it runs in a process group of its own, which is killed
 * when it takes too long or nobody wants it any more. posix_spawn(3) copies
 * none of our memory. Reaps its own child by its pid and takes no signal, so
 * whoever else has children is not disturbed. Knows nothing of what is run, or
 * why.
 *
 *   RUNNING --output ended and exited--> DONE
 *      |                                  ^
 *      +----too slow, too long------------+
 */
#ifndef TOKEN_DAEMON_CHILD_H
#define TOKEN_DAEMON_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"

#define CHILD_WORDS_MAX 64   /* of a command */
#define CHILD_INPUT_MAX 4096 /* bytes: what any pipe takes at once */

struct child;
struct event_base;

struct child_request {
    const char *command; /* split at blanks and tabs; copied */
    const char *name;    /* what messages call it; copied */
    const char *input;   /* for its standard input; NULL: /dev/null; copied */
    size_t input_len;    /* bytes; at most CHILD_INPUT_MAX */
    size_t output_max;   /* bytes; more ends it; 0: to /dev/null */
    size_t error_max;    /* bytes; more is dropped; 0: to /dev/null */
    int limit_ms;        /* then it is killed with all that it started */
    bool has_our_environment;
};

enum child_end {
    CHILD_SUCCEEDED, /* exit status 0 */
    CHILD_FAILED,    /* another status, a signal, or it can't be watched */
    CHILD_TOO_SLOW,  /* killed after limit_ms */
    CHILD_TOO_LONG,  /* killed after output_max */
};

struct child_result {
    enum child_end end;
    struct err err; /* ERR_NONE when it succeeded; ERR_RETRY, SYSTEM */
    const struct buf *output; /* borrowed: during the call, wiped then */
    const struct buf *error;  /* the same; a peer's bytes */
};

/* How it went: once, from the event loop. The child is gone by then. */
typedef void child_fn(const struct child_result *result, void *arg);

/*
 * Start. NULL when that can't be done: ERR_CONFIG (no such program, too many
 * words, input too long), ERR_SYSTEM. After `done` the pointer must be
 * forgotten. Whoever starts a command that reads its input need not care for
 * SIGPIPE.
 */
struct child *child_start(struct event_base *base,
                          const struct child_request *request, child_fn *done,
                          void *arg, struct err *err)
    __attribute__((warn_unused_result));

/* Kill it, without a call of `done`; set *child to NULL. Takes NULL. */
void child_stop(struct child **child);

#endif
