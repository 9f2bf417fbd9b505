/*
 * grant_authorization_code - a person has just signed in, and the browser has
 * brought a code. RFC 6749, section 4.1.3, with RFC 7636, section 4.5.
 */
#include "token-daemon/grant.h"

static void
build(const struct grant_input *input, struct buf *body)
{
    grant_form_add(body, "grant_type", "authorization_code");
    grant_form_add(body, "client_id", input->client_id);
    grant_form_add(body, "code", input->code);
    grant_form_add(body, "redirect_uri", input->redirect_uri);
    grant_form_add(body, "code_verifier", input->verifier);
    grant_form_add_client(body, input);
}

const struct grant grant_authorization_code = {
    .proof = GRANT_PROOF_OPTIONAL,
    .endpoint = GRANT_ENDPOINT_TOKEN,
    .build = build,
};
