/*
 * machine_identity - the service by which Azure gives a machine its tokens.
 *
 * On a virtual machine it is the metadata service at 169.254.169.254; on a
 * machine elsewhere that is enrolled with Azure Arc it is the agent on
 * loopback, which first wants to see the content of a file that only its group
 * may read. Both have a pace of their own at which they want to be asked again.
 * All pure but machine_identity_read_key().
 */
#ifndef TOKEN_DAEMON_MACHINE_IDENTITY_H
#define TOKEN_DAEMON_MACHINE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

#define MACHINE_IDENTITY_DIRECTORY "/var/opt/azcmagent/tokens"
#define MACHINE_IDENTITY_AGENT     "/opt/azcmagent/bin/himds"
#define MACHINE_IDENTITY_URL_MAX   4096 /* bytes */
#define MACHINE_IDENTITY_NAME_MAX  128  /* bytes of a file's name, with NUL */
#define MACHINE_IDENTITY_KEY_MAX   4096 /* bytes of its content */

/*
 * Append where the service is, from the values of $IDENTITY_ENDPOINT and
 * $IMDS_ENDPOINT (NULL: not set; the agent sets both) and whether the agent is
 * installed here (MACHINE_IDENTITY_AGENT). Fails as buf does.
 */
void machine_identity_find(const char *identity_endpoint,
                           const char *imds_endpoint, bool has_agent,
                           struct buf *out);

/*
 * Append the URL to be asked: the endpoint and the form; an endpoint that says
 * no api-version gets a virtual machine's. Fails as buf does.
 */
void machine_identity_url(const char *endpoint, const char *form,
                          struct buf *out);

/*
 * How long to wait before the next try, ms, after `tries` of them, the last of
 * which ended with that status (0: no answer); -1: this was the last. A second
 * lasts `second_ms`.
 */
int64_t machine_identity_delay_ms(unsigned tries, int status, int second_ms);

/*
 * The name of the file that a challenge (WWW-Authenticate) names, when it is
 * one directly below `directory` that ends in .key. Errors: ERR_PROTO.
 */
int machine_identity_challenge(const char *header, const char *directory,
                               char name[MACHINE_IDENTITY_NAME_MAX],
                               struct err *err)
    __attribute__((warn_unused_result));

/*
 * Append what is in that file, which is a secret for a moment. Errors:
 * ERR_CONFIG when it can't be read, ERR_PROTO when it is not as agreed.
 */
int machine_identity_read_key(const char *directory, const char *name,
                              struct buf *out, struct err *err)
    __attribute__((warn_unused_result));

#endif
