/*
 * grant - what is posted to a token endpoint, one file per grant.
 */
#include "token-daemon/grant.h"

#include <string.h>

/* Every byte that the URL standard's form encoding leaves as it is. */
static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz"
                                 "0123456789-._*";

static void
append_encoded(struct buf *body, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";

    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        if (strchr(unreserved, *text) != NULL) {
            buf_append_char(body, *text);
        } else {
            /* A blank too: %20 is understood everywhere, + is not. */
            buf_append_char(body, '%');
            buf_append_char(body, hex[byte >> 4]);
            buf_append_char(body, hex[byte & 15]);
        }
    }
}

void
grant_form_add(struct buf *body, const char *name, const char *value)
{
    if (body->len > 0)
        buf_append_char(body, '&');
    append_encoded(body, name);
    buf_append_char(body, '=');
    append_encoded(body, value);
}

void
grant_form_add_client(struct buf *body, const struct grant_input *input)
{
    if (input->assertion != NULL) {
        grant_form_add(
            body, "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        grant_form_add(body, "client_assertion", input->assertion);
    } else if (input->secret != NULL) {
        grant_form_add(body, "client_secret", input->secret);
    }
}

const struct grant *
grant_find(enum config_grant kind)
{
    const struct grant *grant = NULL;

    switch (kind) {
    case CONFIG_GRANT_CLIENT_CREDENTIALS:
        grant = &grant_client_credentials;
        break;
    case CONFIG_GRANT_AUTHORIZATION_CODE:
    case CONFIG_GRANT_DEVICE_CODE:
        grant = &grant_refresh_token;
        break;
    case CONFIG_GRANT_MANAGED_IDENTITY:
        grant = &grant_managed_identity;
        break;
    case CONFIG_GRANT_WORKLOAD_IDENTITY:
        grant = &grant_workload_identity;
        break;
    case CONFIG_GRANT_SERVICE_ACCOUNT:
        grant = &grant_service_account;
        break;
    }
    return grant;
}

bool
grant_needs_login(enum config_grant kind)
{
    const struct grant *grant = grant_find(kind);

    return grant != NULL && grant->needs_refresh_token;
}

bool
grant_is_per_user(enum config_grant kind)
{
    return grant_needs_login(kind) || kind == CONFIG_GRANT_SERVICE_ACCOUNT;
}
