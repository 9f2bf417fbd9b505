/*
 * config_reference - a reference to a secret, out of its text.
 *
 * Pure. Whether the text is a good one is config_value's to say.
 */
#ifndef COMMON_CONFIG_REFERENCE_H
#define COMMON_CONFIG_REFERENCE_H

#include "common/config.h"

/*
 * Take apart what config_value_ref() or config_value_key_ref() has accepted.
 * Owned: config_reference_clear(). -1: out of memory; *out is then empty.
 */
int config_reference_parse(const char *text, struct config_ref *out)
    __attribute__((warn_unused_result));

/* Free; the reference is then of kind NONE. Twice is fine. */
void config_reference_clear(struct config_ref *ref);

#endif
