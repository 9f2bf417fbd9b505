/*
 * signatures - DKIM-Signature: and ARC-*: that the edits break.
 *
 * Pure; the last step of rewrite, as it looks at what the others changed.
 * RFC 6376, section 3.5 (h=); RFC 8617, section 5.2: a chain of ARC sets is
 * good only when all of it is, so its fields stay or go together.
 */
#ifndef MILTER_SIGNATURES_H
#define MILTER_SIGNATURES_H

#include "milter/work.h"

/* Remove or rename the broken ones, as the settings say. */
void signatures_follow(struct work *work);

#endif
