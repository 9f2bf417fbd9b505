/*
 * provider_print - what a credential's preset adds to its section.
 */
#ifndef TOKEN_DAEMON_PROVIDER_PRINT_H
#define TOKEN_DAEMON_PROVIDER_PRINT_H

#include "common/buf.h"
#include "common/config.h"

/*
 * Pure: append what is in effect and is not written in the section, each
 * option as a comment in the syntax of the file: endpoints, scope, servers.
 */
void provider_print(const struct config_credential *credential,
                    struct buf *out);

#endif
