/*
 * config_credential - which options of a credential go together.
 *
 * Pure. What each option may say by itself is config_value's.
 */
#ifndef COMMON_CONFIG_CREDENTIAL_H
#define COMMON_CONFIG_CREDENTIAL_H

#include "common/config.h"
#include "common/err.h"

/*
 * Is there all that its provider and its grant need, and nothing that means
 * nothing with them? Errors: ERR_CONFIG; the text says what to write or remove.
 */
int config_credential_check(const struct config_credential *credential,
                            struct err *err)
    __attribute__((warn_unused_result));

#endif
