/*
 * credential_check - are the secrets, certificates and keys that relay.conf
 * names what they should be? For who checks a configuration before it is used:
 * the first request would find out as well.
 *
 * Reads files only. Commands are not run, tokens not asked, and what systemd
 * hands over is read where it has been.
 */
#ifndef TOKEN_DAEMON_CREDENTIAL_CHECK_H
#define TOKEN_DAEMON_CREDENTIAL_CHECK_H

#include <stdint.h>

#include "common/config.h"
#include "common/err.h"

/*
 * Look at those of every credential; `now` is s since 1970. Errors: ERR_CONFIG
 * with `FILE:LINE: ` before it, for the first that can't be read, is no PEM,
 * encrypted without the right passphrase, too short, another certificate's, or
 * expired; ERR_SYSTEM.
 */
int credential_check(const struct config *config, int64_t now, struct err *err)
    __attribute__((warn_unused_result));

#endif
