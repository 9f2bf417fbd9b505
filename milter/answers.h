/*
 * answers - Reply-To: of a rewritten message: answers go where they went.
 *
 * Pure; a step of rewrite.
 */
#ifndef MILTER_ANSWERS_H
#define MILTER_ANSWERS_H

#include <stdbool.h>

#include "common/sendas.h"
#include "milter/work.h"

/* Add Reply-To: with the old addresses, as the settings say. */
void answers_keep(struct work *work);

/*
 * Can mail reach this address? (What `reply_to = deliverable` asks.) What a
 * mailbox covers, and what `deliverable` lists; where that is empty anything
 * in a public domain that is no `noreply`.
 */
bool answers_is_deliverable(const struct sendas *policy, const char *address);

#endif
