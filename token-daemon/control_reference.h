/*
 * control_reference - who may have the daemon read a secret elsewhere.
 *
 * A reference (relay.conf: file:, credential:, exec:) is followed as the
 * daemon's user, and exec: runs a program. Who may use some verbs only gives
 * secrets themselves, never where they are.
 */
#ifndef TOKEN_DAEMON_CONTROL_REFERENCE_H
#define TOKEN_DAEMON_CONTROL_REFERENCE_H

#include <stdbool.h>

#include "common/err.h"
#include "token-daemon/control_exchange.h"
#include "token-daemon/store.h"

#define CONTROL_REFERENCE_SIZE 256 /* bytes of a name, with the NUL */

/* May this operator give references? Who may use all verbs may. */
bool control_reference_is_allowed(const struct control_exchange *exchange);

/* End it: this one may not. `what` begins the text: "this request". */
void control_reference_refuse(struct control_exchange *exchange,
                              const char *what);

/*
 * What the audit trail calls it, without a command's arguments; "" for NULL.
 * Text that is no good reference may be a secret and is not in there.
 */
void control_reference_name(const char *text, char out[CONTROL_REFERENCE_SIZE]);

/*
 * Has this record keys with references? 1: it has; 0: none, or it is no record
 * that would be taken. Errors: ERR_SYSTEM, out of memory.
 */
int control_reference_in_record(const struct store_record *record,
                                struct err *err)
    __attribute__((warn_unused_result));

#endif
