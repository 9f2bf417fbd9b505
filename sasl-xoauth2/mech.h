/*
 * mech - one authentication: a login and a server become a token and a
 * response, and a server's refusal is reported to tokend.
 *
 * Runs inside the MTA, so it has no state but this and ends in bounded time.
 * The password is only looked at for `unix:PATH`, where tokend's socket is; it
 * is neither logged nor sent. Each failure is one SASL code and one line by
 * utils->seterror(): mailbox, server, reason, next step.
 */
#ifndef SASL_XOAUTH2_MECH_H
#define SASL_XOAUTH2_MECH_H

#include <stdint.h>

#include <sasl/sasl.h>
#include <sasl/saslplug.h>

#include "sasl-xoauth2/client_response.h"

/* What glob_context points to: one mechanism and its limits. */
struct mech_profile {
    const char *name; /* for log lines */
    enum client_response_format format;
    const char *socket;     /* of tokend, unless the password names one */
    int64_t token_wait;     /* ms, for a token in all */
    int64_t refused_wait;   /* ms, for the answer to a report */
    int64_t retry_interval; /* ms, between two attempts to reach tokend */
};

/* What the user must be asked for: the login. The password may be missing. */
extern const unsigned long mech_prompts[];

/* The functions of a sasl_client_plug_t; glob_context: struct mech_profile. */
int mech_new(void *glob_context, sasl_client_params_t *params,
             void **conn_context);
int mech_step(void *conn_context, sasl_client_params_t *params,
              const char *serverin, unsigned serverinlen,
              sasl_interact_t **prompt_need, const char **clientout,
              unsigned *clientoutlen, sasl_out_params_t *oparams);
void mech_dispose(void *conn_context, const sasl_utils_t *utils);

#endif
