/*
 * grant_device_code - a person signs in on another device: the request for a
 * code that is shown, and the question whether that was done. RFC 8628,
 * sections 3.1 and 3.4. A confidential client proves itself in both.
 */
#include "token-daemon/grant.h"

static void
build_question(const struct grant_input *input, struct buf *body)
{
    grant_form_add(body, "grant_type",
                   "urn:ietf:params:oauth:grant-type:device_code");
    grant_form_add(body, "client_id", input->client_id);
    grant_form_add(body, "device_code", input->device_code);
    grant_form_add_client(body, input);
}

static void
build_request(const struct grant_input *input, struct buf *body)
{
    grant_form_add(body, "client_id", input->client_id);
    if (input->scope != NULL)
        grant_form_add(body, "scope", input->scope);
    grant_form_add_client(body, input);
}

const struct grant grant_device_request = {
    .proof = GRANT_PROOF_OPTIONAL,
    .endpoint = GRANT_ENDPOINT_DEVICE,
    .build = build_request,
};

const struct grant grant_device_code = {
    .proof = GRANT_PROOF_OPTIONAL,
    .endpoint = GRANT_ENDPOINT_TOKEN,
    .build = build_question,
};
