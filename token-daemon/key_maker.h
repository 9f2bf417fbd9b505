/*
 * key_maker - makes a key and its certificate beside the event loop.
 *
 * Looking for primes takes a tenth of a second or a few, in which lookups are
 * served: each job has a thread of its own, and there are few of them.
 */
#ifndef TOKEN_DAEMON_KEY_MAKER_H
#define TOKEN_DAEMON_KEY_MAKER_H

#include "common/err.h"
#include "token-daemon/own_certificate.h"

#define KEY_MAKER_NAME_MAX 64 /* bytes, with the NUL */

struct event_base;
struct key_maker;

/*
 * Exactly once, unless cancelled, from the event loop. `own` is borrowed:
 * during the call, and wiped then; NULL on failure.
 */
typedef void key_maker_fn(const struct own_certificate *own,
                          const struct err *err, void *arg);

/*
 * Begin; what is ordered is copied, and is_cancelled not looked at. NULL on
 * failure: ERR_SYSTEM. After `done` the pointer must be forgotten.
 */
struct key_maker *key_maker_start(struct event_base *base,
                                  const struct own_certificate_order *order,
                                  key_maker_fn *done, void *arg,
                                  struct err *err)
    __attribute__((warn_unused_result));

/* Give up without a call of `done`; waits for the thread, which ends at once.
 * Sets *maker to NULL. Takes NULL. */
void key_maker_cancel(struct key_maker **maker);

#endif
