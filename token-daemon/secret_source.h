/*
 * secret_source - read the secret that a reference of relay.conf names.
 *
 * Reads anew each time, so that a changed file or a new answer of a command is
 * used at the next attempt. `file:` and `credential:` are read at once; `exec:`
 * runs the command without a shell, with an empty environment but for PATH,
 * /dev/null as its input and error output, and kills it with everything it
 * started when it takes too long. The outcome always comes from the event
 * loop. Reaps its own child by its pid and takes no signal, so whoever else
 * has children is not disturbed.
 */
#ifndef TOKEN_DAEMON_SECRET_SOURCE_H
#define TOKEN_DAEMON_SECRET_SOURCE_H

#include <stddef.h>

#include "common/config.h"
#include "common/err.h"

#define SECRET_SOURCE_MAX      ((size_t)64 * 1024) /* bytes of one secret */
#define SECRET_SOURCE_LIMIT_MS 10000               /* for a command */

struct event_base;
struct secret_source;

/*
 * The outcome, exactly once. `secret` is borrowed until the call returns and
 * wiped then; it ends with a NUL that does not count, holds no other, is not
 * empty, and one newline at its end has been cut off. NULL on failure, with
 * *err: ERR_CONFIG (no such file, open to others, empty, too long), ERR_RETRY
 * (a command failed or took too long), ERR_SYSTEM. The text names the
 * reference and holds nothing of the content.
 */
typedef void secret_source_fn(const char *secret, size_t len,
                              const struct err *err, void *arg);

/*
 * Begin to read. `ref` is borrowed until `done` or secret_source_cancel(). A
 * command may take `limit_ms`. NULL when out of memory. After `done` the
 * pointer must be forgotten.
 */
struct secret_source *
secret_source_read(struct event_base *base, const struct config_ref *ref,
                   int limit_ms, secret_source_fn *done, void *arg)
    __attribute__((warn_unused_result));

/*
 * The same for what is no secret, as a certificate is whose key is elsewhere:
 * others may read its file, but not write to it.
 */
struct secret_source *
secret_source_read_public(struct event_base *base, const struct config_ref *ref,
                          int limit_ms, secret_source_fn *done, void *arg)
    __attribute__((warn_unused_result));

/* Give up without a call of `done`; set *source to NULL. Takes NULL. */
void secret_source_cancel(struct secret_source **source);

#endif
