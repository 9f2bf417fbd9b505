/*
 * application - which registered application a credential is.
 *
 * Pure. Secrets and certificates of one application are never sent as
 * another's, so whose they are is kept with them: as a mark, which tells
 * nothing of the tenant and the client that it was made of.
 */
#ifndef TOKEN_DAEMON_APPLICATION_H
#define TOKEN_DAEMON_APPLICATION_H

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/key.h"

#define APPLICATION_TEXTS 5

/* Provider, tenant, ... Texts are owned: application_clear(). */
struct application {
    char *texts[APPLICATION_TEXTS]; /* NULL: not given */
};

/* -1: out of memory; the copy is for application_clear() all the same. */
int application_copy(const struct config_credential *credential,
                     struct application *out)
    __attribute__((warn_unused_result));

/* Leaves it zeroed; twice is fine. */
void application_clear(struct application *application);

/* Its mark with this salt. Errors: ERR_SYSTEM. */
int application_mark(const struct application *application,
                     const struct key_salt *salt, char out[KEY_MARK_SIZE],
                     struct err *err) __attribute__((warn_unused_result));

#endif
