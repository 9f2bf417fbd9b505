/*
 * redirect - where a browser was sent after a sign-in: a code, or an error.
 *
 * Pure. RFC 6749, sections 4.1.2 and 4.1.2.1. What comes here was pasted by a
 * person, or sent by whoever can reach the local page, so only what has the
 * sign-in's own state counts.
 */
#ifndef TOKEN_DAEMON_REDIRECT_H
#define TOKEN_DAEMON_REDIRECT_H

#include <stddef.h>

#include "common/err.h"
#include "token-daemon/oauth_response.h"

#define REDIRECT_MAX ((size_t)16 * 1024) /* bytes of the whole text */

struct redirect {
    char *code;   /* owned, a secret; NULL: the sign-in failed */
    char *issuer; /* owned; RFC 9207; NULL: it does not say */
    /* When it failed: why, and for the operator. */
    struct err err;
    struct oauth_failure failure;
};

/* Wipe and free what it owns; it is then zeroed. Twice is fine. */
void redirect_clear(struct redirect *redirect);

/*
 * Read a URL, its path and query, or its query alone; blanks round it are
 * left out. 0: it is the answer to the sign-in with this state, good or bad.
 * -1: it is not; *err says what was expected, and *out is left alone. Errors:
 * ERR_PROTO, ERR_SYSTEM. No text holds a byte of it.
 */
int redirect_parse(const char *text, size_t len, const char *state,
                   struct redirect *out, struct err *err)
    __attribute__((warn_unused_result));

#endif
