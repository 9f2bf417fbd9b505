/*
 * policy - the policy in force: loaded from relay.conf, replaced on a reload.
 *
 * Whoever works on a message holds a reference to one policy from its start to
 * its end; a reload swaps the pointer and disturbs nobody. A file that can't be
 * used changes nothing. Safe to call from several threads.
 */
#ifndef MILTER_POLICY_H
#define MILTER_POLICY_H

#include "common/err.h"
#include "common/sendas.h"

struct policy;

/*
 * Load the file. Owned: policy_free(). NULL with ERR_CONFIG when the
 * administrator must change it, a missing milter section included; else
 * ERR_SYSTEM.
 */
struct policy *policy_new(const char *path, struct err *err)
    __attribute__((warn_unused_result));

/* Takes NULL and sets it to NULL. References that were given out live on. */
void policy_free(struct policy **policy);

/* A new reference to what is in force: sendas_unref(). Never NULL. */
struct sendas *policy_get(struct policy *policy);

/* Load the file again. Errors as policy_new(); the old policy then stays. */
int policy_reload(struct policy *policy, struct err *err)
    __attribute__((warn_unused_result));

#endif
