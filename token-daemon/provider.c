/*
 * provider - the presets: endpoint, scope and submission servers per cloud.
 */
#include "token-daemon/provider.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/util.h"

#define URL_MAX        2048 /* bytes */
#define TENANT_MAX     253  /* bytes: a domain's length */
#define MAX_SERVERS    4
#define ENTRA_TEMPLATE "/%/oauth2/v2.0/token" /* % is the tenant */

struct preset {
    const char *token_url; /* % stands for the tenant; NULL: must be set */
    const char *scope;     /* NULL: none unless set */
    const char *servers[MAX_SERVERS]; /* in lower case; NULL at the end */
};

static const struct preset presets[] = {
    [CONFIG_PROVIDER_MICROSOFT] =
        {
            .token_url = "https://login.microsoftonline.com" ENTRA_TEMPLATE,
            .scope = "https://outlook.office365.com/.default",
            .servers = {"smtp.office365.com", "smtp-legacy.office365.com",
                        "smtp-hve.office365.com"},
        },
    [CONFIG_PROVIDER_MICROSOFT_GCC_HIGH] =
        {
            .token_url = "https://login.microsoftonline.us" ENTRA_TEMPLATE,
            .scope = "https://outlook.office365.us/.default",
            .servers = {"smtp.office365.us"},
        },
    [CONFIG_PROVIDER_MICROSOFT_DOD] =
        {
            .token_url = "https://login.microsoftonline.us" ENTRA_TEMPLATE,
            .scope = "https://outlook.office365.us/.default",
            .servers = {"outlook-dod.office365.us"},
        },
    [CONFIG_PROVIDER_MICROSOFT_CHINA] =
        {
            .token_url =
                "https://login.partner.microsoftonline.cn" ENTRA_TEMPLATE,
            .scope = "https://partner.outlook.cn/.default",
            .servers = {"smtp.partner.outlook.cn"},
        },
    [CONFIG_PROVIDER_GOOGLE] =
        {
            .token_url = "https://oauth2.googleapis.com/token",
            .scope = "https://mail.google.com/",
            .servers = {"smtp.gmail.com"},
        },
    [CONFIG_PROVIDER_CUSTOM] = {.token_url = NULL},
};

/* Servers that want more of a token's life than others do. */
static const struct {
    const char *server;
    int min_token_lifetime; /* s */
} margins[] = {
    {"smtp-hve.office365.com", 600},
};

/* A tenant is a GUID or a domain, so it needs no escaping in a URL. */
static bool
is_tenant(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz"
                                  "0123456789-.";
    size_t len = strlen(text);

    return len > 0 && len <= TENANT_MAX && text[0] != '.' &&
           strspn(text, allowed) == len;
}

/* Names that stand for no tenant in particular: nobody could be acted for. */
static bool
is_shared_tenant(const char *text)
{
    static const char *const shared[] = {"common", "organizations",
                                         "consumers"};

    for (size_t i = 0; i < ARRAY_LEN(shared); i++)
        if (strcasecmp(text, shared[i]) == 0)
            return true;
    return false;
}

static int
check_tenant(const struct config_credential *credential, struct err *err)
{
    if (credential->tenant == NULL)
        return err_set(err, ERR_CONFIG,
                       "credential \"%s\" has no tenant: set tenant to the "
                       "directory's id or domain",
                       credential->name);
    if (!is_tenant(credential->tenant))
        return err_set(err, ERR_CONFIG,
                       "tenant of credential \"%s\" is neither a directory's "
                       "id nor a domain",
                       credential->name);
    if (is_shared_tenant(credential->tenant))
        return err_set(err, ERR_CONFIG,
                       "tenant \"%s\" of credential \"%s\" stands for no "
                       "directory: set its id or domain",
                       credential->tenant, credential->name);
    return 0;
}

/* The template with the tenant in the place of `%`; NULL when out of memory. */
static char *
fill_template(const char *template, const char *tenant)
{
    struct buf url;
    const char *mark = strchr(template, '%');
    char *copy = NULL;

    buf_init(&url, URL_MAX);
    if (mark == NULL) {
        buf_append_str(&url, template);
    } else {
        buf_append(&url, template, (size_t)(mark - template));
        buf_append_str(&url, tenant);
        buf_append_str(&url, mark + 1);
    }
    if (!buf_failed(&url))
        copy = strdup(buf_str(&url));
    buf_clear(&url);
    return copy;
}

int
provider_settings(const struct config_credential *credential,
                  struct provider_settings *out, struct err *err)
{
    const struct preset *preset = &presets[credential->provider];
    const char *template = credential->token_url;
    char *url;

    if (template != NULL) {
        url = strdup(template);
    } else {
        template = preset->token_url;
        if (template == NULL)
            return err_set(err, ERR_CONFIG,
                           "credential \"%s\" has no token_url, which provider "
                           "\"custom\" needs",
                           credential->name);
        if (strchr(template, '%') != NULL && check_tenant(credential, err) < 0)
            return -1;
        url = fill_template(template, credential->tenant);
    }
    if (url == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");

    *out = (struct provider_settings){
        .token_url = url,
        .scope = credential->scope != NULL ? credential->scope : preset->scope,
        .ca_file = credential->ca_file,
        .proxy = credential->proxy,
    };
    return 0;
}

void
provider_settings_clear(struct provider_settings *settings)
{
    free(settings->token_url);
    *settings = (struct provider_settings){0};
}

static bool
preset_has_server(const struct preset *preset, const char *name)
{
    for (size_t i = 0; i < MAX_SERVERS && preset->servers[i] != NULL; i++)
        if (strcasecmp(preset->servers[i], name) == 0)
            return true;
    return false;
}

bool
provider_has_server(const struct config_credential *credential,
                    const char *name)
{
    if (credential->server_count == 0)
        return preset_has_server(&presets[credential->provider], name);
    for (size_t i = 0; i < credential->server_count; i++)
        if (strcasecmp(credential->servers[i], name) == 0)
            return true;
    return false;
}

bool
provider_is_known_server(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(presets); i++)
        if (preset_has_server(&presets[i], name))
            return true;
    return false;
}

int
provider_min_token_lifetime(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(margins); i++)
        if (strcasecmp(margins[i].server, name) == 0)
            return margins[i].min_token_lifetime;
    return 0;
}
