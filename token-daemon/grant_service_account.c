/*
 * grant_service_account - a service account acts for a user of its domain, by
 * an assertion that it signs. RFC 7523, section 2.1, as Google has it.
 */
#include "token-daemon/grant.h"

static void
build(const struct grant_input *input, struct buf *body)
{
    grant_form_add(body, "grant_type",
                   "urn:ietf:params:oauth:grant-type:jwt-bearer");
    grant_form_add(body, "assertion", input->user_assertion);
}

const struct grant grant_service_account = {
    .proof = GRANT_PROOF_ACCOUNT,
    .endpoint = GRANT_ENDPOINT_TOKEN,
    .build = build,
};
