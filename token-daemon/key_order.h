/*
 * key_order - in which order the keys of a bunch are tried.
 *
 * Pure: the caller passes the time in.
 */
#ifndef TOKEN_DAEMON_KEY_ORDER_H
#define TOKEN_DAEMON_KEY_ORDER_H

#include <stdint.h>

#include "token-daemon/key.h"
#include "token-daemon/key_bunch.h"

/* The keys for an attempt at `wall` (s since 1970), in the order to be tried,
 * appended. -1: out of memory. */
int key_order_list(const struct key_bunch *bunch, int64_t wall,
                   struct key_list *list) __attribute__((warn_unused_result));

/* All keys in the order of the stages (candidates last), whether they may be
 * tried or not, appended. -1: out of memory. */
int key_order_all(const struct key_bunch *bunch, struct key_list *list)
    __attribute__((warn_unused_result));

#endif
