/*
 * control_access - which verbs of the control socket somebody may use.
 */
#include "token-daemon/control_access.h"

#include <stddef.h>

uint32_t
control_access_verbs(const struct config_tokend *tokend,
                     const struct peer_identity *identity, uid_t own_uid)
{
    uint32_t verbs = 0;

    if (peer_identity_is_allowed(identity, own_uid, &tokend->control_allow))
        return CONFIG_VERBS_ALL;
    if (peer_identity_is_allowed(identity, own_uid, &tokend->control_read))
        verbs |= CONTROL_ACCESS_READ;
    for (size_t i = 0; i < tokend->operator_count; i++)
        if (peer_identity_is_allowed(identity, own_uid,
                                     &tokend->operators[i].who))
            verbs |= tokend->operators[i].verbs;
    return verbs;
}
