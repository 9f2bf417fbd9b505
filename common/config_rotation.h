/*
 * config_rotation - the options by which a credential renews itself: their
 * spans of time, and which of them go together.
 *
 * Pure.
 */
#ifndef COMMON_CONFIG_ROTATION_H
#define COMMON_CONFIG_ROTATION_H

#include <stdint.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"

#define CONFIG_SPAN_MAX (INT64_C(3650) * 86400) /* s */

/*
 * A span of time: digits and one of the units s, m, h, d, from 1 second to ten
 * years. Errors: ERR_CONFIG, as config_value.h says.
 */
int config_rotation_span(const char *text, int64_t *out_s, struct err *err)
    __attribute__((warn_unused_result));

/* Append a span in the largest unit that says it whole. */
void config_rotation_print_span(int64_t span_s, struct buf *out);

/* An object's id in Entra. Errors likewise. */
int config_rotation_id(const char *text, struct err *err)
    __attribute__((warn_unused_result));

/* The base of Microsoft Graph: a URL without query. Errors likewise. */
int config_rotation_url(const char *text, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Can the credential renew itself as its options say? Errors: ERR_CONFIG with
 * a whole sentence.
 */
int config_rotation_check(const struct config_credential *credential,
                          struct err *err) __attribute__((warn_unused_result));

#endif
