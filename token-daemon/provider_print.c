/*
 * provider_print - what a credential's preset adds to its section.
 */
#include "token-daemon/provider_print.h"

#include <stddef.h>

#include "token-daemon/provider.h"

static void
begin_comment(struct buf *out, const char *name)
{
    buf_append_str(out, "    # ");
    buf_append_str(out, name);
    buf_append_str(out, " = ");
}

/* One option that the section has not, but the preset has. */
static void
print_text(struct buf *out, const char *name, const char *written,
           const char *in_effect)
{
    if (written != NULL || in_effect == NULL)
        return;
    begin_comment(out, name);
    buf_append_char(out, '"');
    buf_append_str(out, in_effect); /* of the preset: nothing to escape */
    buf_append_str(out, "\"\n");
}

static void
print_servers(struct buf *out, const struct config_credential *credential)
{
    const char *server = provider_preset_server(credential, 0);

    if (credential->server_count > 0 || server == NULL)
        return;
    begin_comment(out, "servers");
    buf_append_char(out, '{');
    for (size_t i = 0; server != NULL; i++) {
        buf_append_str(out, i > 0 ? ", \"" : "\"");
        buf_append_str(out, server);
        buf_append_char(out, '"');
        server = provider_preset_server(credential, i + 1);
    }
    buf_append_str(out, "}\n");
}

void
provider_print(const struct config_credential *credential, struct buf *out)
{
    struct provider_settings settings;
    struct err err = {ERR_NONE, ""};

    if (provider_settings(credential, &settings, &err) < 0) {
        buf_append_str(out, "    # ");
        buf_append_str(out, err.text);
        buf_append_char(out, '\n');
        return;
    }
    if (credential->issuer != NULL &&
        (settings.token_url == NULL || settings.authorize_url == NULL))
        buf_append_str(out, "    # other endpoints: as the issuer says\n");
    print_text(out, "token_url", credential->token_url, settings.token_url);
    print_text(out, "authorize_url", credential->authorize_url,
               settings.authorize_url);
    print_text(out, "device_url", credential->device_url, settings.device_url);
    print_text(out, "scope", credential->scope, settings.scope);
    print_servers(out, credential);
    if (credential->rotation.kind != CONFIG_ROTATE_NONE)
        print_text(out, "graph_url", credential->rotation.graph_url,
                   provider_graph_url(credential));
    provider_settings_clear(&settings);
}
