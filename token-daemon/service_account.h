/*
 * service_account - the key file that Google makes for a service account.
 *
 * Pure: the JSON text in, three of its fields out.
 */
#ifndef TOKEN_DAEMON_SERVICE_ACCOUNT_H
#define TOKEN_DAEMON_SERVICE_ACCOUNT_H

#include <stddef.h>

#include "common/err.h"

struct service_account {
    char *address;     /* owned; client_email */
    char *private_key; /* owned; PEM, a secret */
    char *key_id;      /* owned; NULL: it does not say */
};

/* Wipe and free what it owns; it is then zeroed. Twice is fine. */
void service_account_clear(struct service_account *account);

/*
 * Read a key file. Errors: ERR_CONFIG when it is none, ERR_SYSTEM; *out is
 * then left alone. No text holds a byte of it.
 */
int service_account_parse(const char *text, size_t len,
                          struct service_account *out, struct err *err)
    __attribute__((warn_unused_result));

#endif
