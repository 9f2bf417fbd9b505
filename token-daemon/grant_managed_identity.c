/*
 * grant_managed_identity - the machine itself is known to Azure, and a service
 * on it, or beside it, gives out its tokens. The form is a query.
 */
#include "token-daemon/grant.h"

#include <stddef.h>
#include <string.h>

#define SUFFIX "/.default"

/* A scope of Microsoft's is a resource and what is wanted of it. */
static void
add_resource(struct buf *body, const char *scope)
{
    char resource[GRANT_SCOPE_MAX];
    size_t len = strlen(scope);

    if (len > strlen(SUFFIX) &&
        strcmp(scope + len - strlen(SUFFIX), SUFFIX) == 0)
        len -= strlen(SUFFIX);
    if (len >= sizeof(resource)) {
        body->failed = true;
        return;
    }
    memcpy(resource, scope, len);
    resource[len] = '\0';
    grant_form_add(body, "resource", resource);
}

static const char *
identity_field(enum config_identity identity)
{
    switch (identity) {
    case CONFIG_IDENTITY_CLIENT_ID:
        return "client_id";
    case CONFIG_IDENTITY_OBJECT_ID:
        return "object_id";
    case CONFIG_IDENTITY_MSI_RES_ID:
        return "msi_res_id";
    case CONFIG_IDENTITY_SYSTEM:
        break;
    }
    return NULL;
}

static void
build(const struct grant_input *input, struct buf *body)
{
    const char *field = identity_field(input->credential->identity);

    add_resource(body, input->scope);
    if (field != NULL)
        grant_form_add(body, field, input->credential->identity_value);
}

const struct grant grant_managed_identity = {
    .proof = GRANT_PROOF_MACHINE,
    .endpoint = GRANT_ENDPOINT_IDENTITY,
    .build = build,
};
