/*
 * own_certificate - a new RSA key with a certificate that it signs itself.
 *
 * What a provider wants of an application is a public key with a name and an
 * end; nobody else vouches for it. Takes a tenth of a second or a few, so it is
 * for a thread (key_maker.h).
 */
#ifndef TOKEN_DAEMON_OWN_CERTIFICATE_H
#define TOKEN_DAEMON_OWN_CERTIFICATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define OWN_CERTIFICATE_BITS            2048
#define OWN_CERTIFICATE_THUMBPRINT_SIZE 41  /* SHA-1 in hex, with the NUL */
#define OWN_CERTIFICATE_EARLY_S         300 /* begins so much before now */

struct own_certificate_order {
    const char *name;   /* its common name: at most 64 bytes of ASCII */
    int64_t now;        /* s since 1970 */
    int64_t lifetime_s; /* from then on */
    const atomic_bool *is_cancelled; /* another thread may set it; or NULL */
};

struct own_certificate {
    char *certificate; /* PEM; owned */
    char *private_key; /* PEM, PKCS #8; owned, wiped */
    char thumbprint[OWN_CERTIFICATE_THUMBPRINT_SIZE]; /* upper case */
};

/* Errors: ERR_SYSTEM, also when it was cancelled; *out is then zeroed. */
int own_certificate_make(const struct own_certificate_order *order,
                         struct own_certificate *out, struct err *err)
    __attribute__((warn_unused_result));

/* Wipe and free; it is then zeroed. Twice is fine. */
void own_certificate_clear(struct own_certificate *own);

#endif
