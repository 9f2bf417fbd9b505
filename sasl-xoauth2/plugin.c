/*
 * plugin - what libsasl2 loads: two mechanisms and their limits.
 *
 * The only symbol that libxoauth2.so exports is sasl_client_plug_init().
 */
#include <config.h>

#include <sasl/sasl.h>
#include <sasl/saslplug.h>

#include "common/util.h"
#include "sasl-xoauth2/mech.h"
#include "sasl-xoauth2/tokend_client.h"

#define TOKEN_WAIT     20000 /* ms; tokend answers within 15 s */
#define REFUSED_WAIT   5000  /* ms; tokend answers at once */
#define RETRY_INTERVAL 250   /* ms */

/*
 * No layer is offered, so these only order mechanisms: both go before LOGIN and
 * PLAIN, which have 0, and XOAUTH2 goes before OAUTHBEARER. (NOPLAINTEXT would
 * do that too, but would let a token go out without TLS.)
 */
#define SSF_XOAUTH2     61
#define SSF_OAUTHBEARER 60

#define SECURITY_FLAGS (SASL_SEC_NOANONYMOUS | SASL_SEC_PASS_CREDENTIALS)
/* Tokens are given for a server by name, so there must be a name. */
#define FEATURES (SASL_FEAT_WANT_CLIENT_FIRST | SASL_FEAT_NEEDSERVERFQDN)

_Static_assert(sizeof(TOKEND_SOCKET) - 1 <= TOKEND_CLIENT_PATH_MAX,
               "--with-tokend-socket is too long");

/* Nothing below changes; it is not const only because libsasl2's types are. */
static struct mech_profile xoauth2 = {
    .name = "XOAUTH2",
    .format = CLIENT_RESPONSE_XOAUTH2,
    .socket = TOKEND_SOCKET,
    .token_wait = TOKEN_WAIT,
    .refused_wait = REFUSED_WAIT,
    .retry_interval = RETRY_INTERVAL,
};

static struct mech_profile oauthbearer = {
    .name = "OAUTHBEARER",
    .format = CLIENT_RESPONSE_OAUTHBEARER,
    .socket = TOKEND_SOCKET,
    .token_wait = TOKEN_WAIT,
    .refused_wait = REFUSED_WAIT,
    .retry_interval = RETRY_INTERVAL,
};

static sasl_client_plug_t plugs[] = {
    {
        .mech_name = "XOAUTH2",
        .max_ssf = SSF_XOAUTH2,
        .security_flags = SECURITY_FLAGS,
        .features = FEATURES,
        .required_prompts = mech_prompts,
        .glob_context = &xoauth2,
        .mech_new = mech_new,
        .mech_step = mech_step,
        .mech_dispose = mech_dispose,
    },
    {
        .mech_name = "OAUTHBEARER",
        .max_ssf = SSF_OAUTHBEARER,
        .security_flags = SECURITY_FLAGS,
        .features = FEATURES,
        .required_prompts = mech_prompts,
        .glob_context = &oauthbearer,
        .mech_new = mech_new,
        .mech_step = mech_step,
        .mech_dispose = mech_dispose,
    },
};

__attribute__((visibility("default")))
sasl_client_plug_init_t sasl_client_plug_init;

int
sasl_client_plug_init(const sasl_utils_t *utils, int max_version,
                      int *out_version, sasl_client_plug_t **pluglist,
                      int *plugcount)
{
    if (max_version < SASL_CLIENT_PLUG_VERSION) {
        utils->log(utils->conn, SASL_LOG_ERR,
                   "xoauth2: this libsasl2 has plugin version %d, %d is needed",
                   max_version, SASL_CLIENT_PLUG_VERSION);
        return SASL_BADVERS;
    }
    *out_version = SASL_CLIENT_PLUG_VERSION;
    *pluglist = plugs;
    *plugcount = (int)ARRAY_LEN(plugs);
    return SASL_OK;
}
