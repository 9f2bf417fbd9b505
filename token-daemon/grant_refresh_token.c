/*
 * grant_refresh_token - a person has signed in before, and left a refresh
 * token. RFC 6749, section 6. The answer may bring a new one.
 */
#include "token-daemon/grant.h"

static void
build(const struct grant_input *input, struct buf *body)
{
    grant_form_add(body, "grant_type", "refresh_token");
    grant_form_add(body, "client_id", input->client_id);
    grant_form_add(body, "refresh_token", input->refresh_token);
    if (input->scope != NULL)
        grant_form_add(body, "scope", input->scope);
    grant_form_add_client(body, input);
}

const struct grant grant_refresh_token = {
    .proof = GRANT_PROOF_OPTIONAL,
    .endpoint = GRANT_ENDPOINT_TOKEN,
    .needs_refresh_token = true,
    .build = build,
};
