/*
 * ctl_sign_in - a person signs in, at the terminal of an operator.
 *
 * The daemon does it; this shows what the person has to do, waits, serves the
 * page to which their browser is sent, and takes that address from standard
 * input where the browser is elsewhere. Nothing of it stays here.
 */
#ifndef TOKEN_DAEMON_CTL_SIGN_IN_H
#define TOKEN_DAEMON_CTL_SIGN_IN_H

#include "token-daemon/ctl.h"

/*
 * Send that request (borrowed), and go on until the answer has come, which is
 * printed by `print` (with --json: each event and the answer as one line). The
 * exit status; a signal that ends it ends the process as it would without this.
 */
int ctl_sign_in(const struct ctl *ctl, const struct json_t *request,
                ctl_print_fn *print, void *arg);

#endif
