/*
 * control_access - which verbs of the control socket somebody may use.
 */
#ifndef TOKEN_DAEMON_CONTROL_ACCESS_H
#define TOKEN_DAEMON_CONTROL_ACCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "token-daemon/peer_identity.h"

#define CONTROL_ACCESS_READ \
    (CONFIG_VERB_BIT(CONFIG_VERB_STATUS) | CONFIG_VERB_BIT(CONFIG_VERB_AUDIT))

/*
 * Pure: CONFIG_VERB_BIT()s. Root, `own_uid` and whom control_allow names may
 * use all, whom control_read names those that change nothing and show no
 * secret, and everybody what all operator sections about them list. 0: nothing.
 */
uint32_t control_access_verbs(const struct config_tokend *tokend,
                              const struct peer_identity *identity,
                              uid_t own_uid);

#endif
