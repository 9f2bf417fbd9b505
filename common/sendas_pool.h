/*
 * sendas_pool - which mailbox of a pool sends for a sender.
 *
 * Rendezvous hashing: every mailbox draws a number for the sender, and the
 * highest wins. So a sender keeps its mailbox for good: when a pool of n gets
 * one more, 1/(n+1) of the senders move to it and no other; when one goes, only
 * its senders move. Pure; the numbers are the same on every machine and in
 * every version, as tokend, the milter and a second relay must agree.
 */
#ifndef COMMON_SENDAS_POOL_H
#define COMMON_SENDAS_POOL_H

#include "common/config.h"

/*
 * The mailbox of `pool`, borrowed from it, for an original sender: its address,
 * which compares without case, or "" where there is none. NULL when the pool is
 * empty. The order of the pool means nothing.
 */
const char *sendas_pool_pick(const struct config_pool *pool,
                             const char *sender);

#endif
