/*
 * describe - what was decided on a message, in words for logs and people.
 *
 * Pure.
 */
#ifndef MILTER_DESCRIBE_H
#define MILTER_DESCRIBE_H

#include <stdbool.h>

#include "common/buf.h"
#include "milter/rewrite.h"

/* A fixed sentence for each outcome; `is_audit`: nothing of it is done. */
const char *describe_action(const struct rewrite_plan *plan, bool is_audit);

/*
 * Append which rule decided: `mailbox`, `route at line 12`, `default_mailbox`;
 * nothing when none did.
 */
void describe_rule(const struct rewrite_plan *plan, struct buf *out);

#endif
