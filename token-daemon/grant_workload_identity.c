/*
 * grant_workload_identity - the application acts for itself, and a token of
 * another issuer that the provider trusts (of a cluster, say) proves it. RFC
 * 6749, section 4.4, with RFC 7521, section 4.2.
 */
#include "token-daemon/grant.h"

static void
build(const struct grant_input *input, struct buf *body)
{
    grant_form_add(body, "grant_type", "client_credentials");
    grant_form_add(body, "client_id", input->client_id);
    if (input->scope != NULL)
        grant_form_add(body, "scope", input->scope);
    grant_form_add_client(body, input);
}

const struct grant grant_workload_identity = {
    .proof = GRANT_PROOF_FEDERATED,
    .endpoint = GRANT_ENDPOINT_TOKEN,
    .build = build,
};
