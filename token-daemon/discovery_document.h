/*
 * discovery_document - what a provider publishes of itself.
 *
 * Pure. OpenID Connect Discovery 1.0, section 3, and RFC 8414, section 2: of
 * the many fields only those that are used here.
 */
#ifndef TOKEN_DAEMON_DISCOVERY_DOCUMENT_H
#define TOKEN_DAEMON_DISCOVERY_DOCUMENT_H

#include <stddef.h>

#include "common/err.h"

#define DISCOVERY_DOCUMENT_MAX ((size_t)256 * 1024) /* bytes */

/* What it says. Strings are https URLs (or http on this host), or NULL. */
struct discovery_document {
    char *issuer;        /* owned; never NULL */
    char *token_url;     /* owned; never NULL */
    char *authorize_url; /* owned */
    char *device_url;    /* owned */
};

/* Free what it owns; it is then zeroed. Twice is fine. */
void discovery_document_clear(struct discovery_document *document);

/*
 * Read a document. Errors: ERR_PROTO when it is none, ERR_CONFIG when it
 * is another issuer's (RFC 8414, section 3.3), ERR_SYSTEM. *out is then left
 * alone. No text holds a byte of it.
 */
int discovery_document_parse(const char *body, size_t len, const char *issuer,
                             struct discovery_document *out, struct err *err)
    __attribute__((warn_unused_result));

#endif
