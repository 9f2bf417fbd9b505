/*
 * grant_client_credentials - the application acts for itself; no user takes
 * part. RFC 6749, section 4.4. The answer never brings a refresh token.
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

const struct grant grant_client_credentials = {
    .proof = GRANT_PROOF_SECRET,
    .endpoint = GRANT_ENDPOINT_TOKEN,
    .build = build,
};
