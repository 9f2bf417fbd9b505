/*
 * provider - the presets: endpoints, scopes and submission servers per cloud.
 */
#include "token-daemon/provider.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/util.h"
#include "token-daemon/grant.h"

#define URL_MAX     2048 /* bytes */
#define SCOPE_MAX   4096 /* bytes */
#define TENANT_MAX  253  /* bytes: a domain's length */
#define MAX_SERVERS 4
#define DAY_S       (INT64_C(24) * 60 * 60)

/* % is the tenant */
#define ENTRA_ENDPOINTS(host)                                    \
    .token_url = "https://" host "/%/oauth2/v2.0/token",         \
    .authorize_url = "https://" host "/%/oauth2/v2.0/authorize", \
    .device_url = "https://" host "/%/oauth2/v2.0/devicecode",   \
    .issuer = "https://" host "/%/v2.0"

/*
 * offline_access brings the refresh token; the others bring an id_token that
 * says who has signed in.
 */
#define ENTRA_LOGIN                                        \
    .login_extra = "offline_access openid profile email",  \
    .prompt = "select_account", .has_refresh_scope = true, \
    .refresh_idle_s = 90 * DAY_S

struct preset {
    const char *token_url; /* % stands for the tenant; NULL: must be set */
    const char *authorize_url;
    const char *device_url;
    const char *issuer;      /* of its id_tokens; NULL: discovery tells */
    const char *graph_url;   /* Microsoft Graph; NULL: there is none */
    const char *scope;       /* NULL: none unless set */
    const char *login_scope; /* NULL: as scope */
    const char *login_extra; /* words added to that where they are missing */
    const char *prompt;      /* NULL: by the scope */
    const char *access;
    bool has_refresh_scope;
    int64_t refresh_idle_s; /* that ends a refresh token; 0: not known */
    const char *servers[MAX_SERVERS]; /* in lower case; NULL at the end */
};

static const struct preset presets[] = {
    [CONFIG_PROVIDER_MICROSOFT] =
        {
            ENTRA_ENDPOINTS("login.microsoftonline.com"),
            .graph_url = "https://graph.microsoft.com",
            .scope = "https://outlook.office365.com/.default",
            .login_scope = "https://outlook.office.com/SMTP.Send",
            ENTRA_LOGIN,
            .servers = {"smtp.office365.com", "smtp-legacy.office365.com",
                        "smtp-hve.office365.com"},
        },
    [CONFIG_PROVIDER_MICROSOFT_GCC_HIGH] =
        {
            ENTRA_ENDPOINTS("login.microsoftonline.us"),
            .graph_url = "https://graph.microsoft.us",
            .scope = "https://outlook.office365.us/.default",
            .login_scope = "https://outlook.office365.us/SMTP.Send",
            ENTRA_LOGIN,
            .servers = {"smtp.office365.us"},
        },
    [CONFIG_PROVIDER_MICROSOFT_DOD] =
        {
            ENTRA_ENDPOINTS("login.microsoftonline.us"),
            .graph_url = "https://dod-graph.microsoft.us",
            .scope = "https://outlook.office365.us/.default",
            .login_scope = "https://outlook.office365.us/SMTP.Send",
            ENTRA_LOGIN,
            .servers = {"outlook-dod.office365.us"},
        },
    [CONFIG_PROVIDER_MICROSOFT_CHINA] =
        {
            ENTRA_ENDPOINTS("login.partner.microsoftonline.cn"),
            .graph_url = "https://microsoftgraph.chinacloudapi.cn",
            .scope = "https://partner.outlook.cn/.default",
            .login_scope = "https://partner.outlook.cn/SMTP.Send",
            ENTRA_LOGIN,
            .servers = {"smtp.partner.outlook.cn"},
        },
    [CONFIG_PROVIDER_GOOGLE] =
        {
            .token_url = "https://oauth2.googleapis.com/token",
            .authorize_url = "https://accounts.google.com/o/oauth2/v2/auth",
            .device_url = "https://oauth2.googleapis.com/device/code",
            .issuer = "https://accounts.google.com",
            .scope = "https://mail.google.com/",
            .login_extra = "openid email",
            .prompt = "consent",
            .access = "offline",
            .refresh_idle_s = 180 * DAY_S,
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
    if (is_shared_tenant(credential->tenant) &&
        !grant_needs_login(credential->grant))
        return err_set(err, ERR_CONFIG,
                       "tenant \"%s\" of credential \"%s\" stands for no "
                       "directory: set its id or domain",
                       credential->tenant, credential->name);
    return 0;
}

/* The template with the tenant in the place of `%`. NULL: out of memory. */
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

/*
 * One endpoint: the credential's own, or the preset's, or none. An issuer's is
 * filled in later.
 */
static int
set_endpoint(const struct config_credential *credential, const char *own,
             const char *preset, char **out, struct err *err)
{
    if (own == NULL && preset == NULL)
        return 0;
    if (own == NULL && strchr(preset, '%') != NULL &&
        check_tenant(credential, err) < 0)
        return -1;
    *out =
        own != NULL ? strdup(own) : fill_template(preset, credential->tenant);
    return *out != NULL ? 0 : err_set(err, ERR_SYSTEM, "out of memory");
}

/* Those that the grant uses. */
static int
set_endpoints(const struct config_credential *credential,
              const struct preset *preset, struct provider_settings *out,
              struct err *err)
{
    /* A machine's own service is no endpoint of the provider's. */
    bool is_machine = credential->grant == CONFIG_GRANT_MANAGED_IDENTITY;

    if (set_endpoint(credential, credential->token_url,
                     is_machine ? NULL : preset->token_url, &out->token_url,
                     err) < 0)
        return -1;
    if (!grant_needs_login(credential->grant))
        return 0;
    if (set_endpoint(credential, credential->authorize_url,
                     preset->authorize_url, &out->authorize_url, err) < 0)
        return -1;
    return set_endpoint(credential, credential->device_url, preset->device_url,
                        &out->device_url, err);
}

/* Is it one of the words of a scope? */
static bool
has_word(const char *scope, const char *word, size_t len)
{
    while (*scope != '\0') {
        size_t this = strcspn(scope, " ");

        if (this == len && memcmp(scope, word, len) == 0)
            return true;
        scope += this;
        scope += strspn(scope, " ");
    }
    return false;
}

/* Append the words of `extra` that are not there. */
static void
append_words(struct buf *scope, const char *extra)
{
    while (*extra != '\0') {
        size_t len = strcspn(extra, " ");

        if (!has_word(buf_str(scope), extra, len)) {
            if (scope->len > 0)
                buf_append_char(scope, ' ');
            buf_append(scope, extra, len);
        }
        extra += len;
        extra += strspn(extra, " ");
    }
}

static int
set_scope(const struct config_credential *credential,
          const struct preset *preset, struct provider_settings *out,
          struct err *err)
{
    bool is_login = grant_needs_login(credential->grant);
    const char *own = credential->scope;
    const char *extra = is_login ? preset->login_extra : NULL;
    struct buf scope;

    if (own == NULL && is_login)
        own = preset->login_scope;
    if (own == NULL)
        own = preset->scope;
    /* Of an OpenID provider at least that much can be asked. */
    if (own == NULL && is_login && credential->issuer != NULL)
        own = "openid offline_access email";
    if (own == NULL)
        return 0;
    buf_init(&scope, SCOPE_MAX);
    buf_append_str(&scope, own);
    if (extra != NULL)
        append_words(&scope, extra);
    if (!buf_failed(&scope))
        out->scope = strdup(buf_str(&scope));
    buf_clear(&scope);
    if (out->scope == NULL)
        return err_set(err, ERR_CONFIG,
                       "scope of credential \"%s\" is too long",
                       credential->name);
    return 0;
}

/* OpenID Connect Core 1.0, section 11: offline_access wants consent. */
static const char *
choose_prompt(const struct preset *preset, const char *scope)
{
    static const char offline[] = "offline_access";

    if (preset->prompt != NULL)
        return preset->prompt;
    if (scope != NULL && has_word(scope, offline, sizeof(offline) - 1))
        return "consent";
    return NULL;
}

int
provider_settings(const struct config_credential *credential,
                  struct provider_settings *out, struct err *err)
{
    const struct preset *preset = &presets[credential->provider];
    struct provider_settings settings = {
        .has_refresh_scope = preset->has_refresh_scope,
        .access = preset->access,
        .ca_file = credential->ca_file,
        .proxy = credential->proxy,
    };

    if (credential->token_url == NULL && preset->token_url == NULL &&
        credential->issuer == NULL)
        return err_set(err, ERR_CONFIG,
                       "credential \"%s\" has neither issuer nor token_url, "
                       "one of which provider \"custom\" needs",
                       credential->name);
    if (set_endpoints(credential, preset, &settings, err) < 0 ||
        set_scope(credential, preset, &settings, err) < 0) {
        provider_settings_clear(&settings);
        return -1;
    }
    settings.prompt = choose_prompt(preset, settings.scope);
    *out = settings; /* what it owns moves to the caller */
    return 0;
}

/* Fill in one endpoint that nobody has set. */
static int
adopt(char **url, const char *discovered, struct err *err)
{
    if (*url != NULL || discovered == NULL)
        return 0;
    *url = strdup(discovered);
    return *url != NULL ? 0 : err_set(err, ERR_SYSTEM, "out of memory");
}

int
provider_settings_discover(struct provider_settings *settings,
                           const struct discovery_document *document,
                           struct err *err)
{
    if (adopt(&settings->token_url, document->token_url, err) < 0 ||
        adopt(&settings->authorize_url, document->authorize_url, err) < 0 ||
        adopt(&settings->device_url, document->device_url, err) < 0)
        return -1;
    return 0;
}

/* Does `issuer` begin and end as the template does, with one name between? */
static bool
fits_template(const char *template, const char *issuer)
{
    const char *mark = strchr(template, '%');
    size_t before = (size_t)(mark - template);
    size_t after = strlen(mark + 1);
    size_t len = strlen(issuer);
    char tenant[TENANT_MAX + 1];

    if (len <= before + after || len - before - after > TENANT_MAX ||
        memcmp(issuer, template, before) != 0 ||
        strcmp(issuer + len - after, mark + 1) != 0)
        return false;
    memcpy(tenant, issuer + before, len - before - after);
    tenant[len - before - after] = '\0';
    return is_tenant(tenant);
}

bool
provider_is_issuer(const struct config_credential *credential,
                   const char *discovered, const char *issuer)
{
    const char *own = presets[credential->provider].issuer;

    /* Another host stands in for the provider's, so its name may be any. */
    if (credential->token_url != NULL && credential->issuer == NULL)
        return true;
    if (own == NULL)
        own = discovered != NULL ? discovered : credential->issuer;
    if (own == NULL)
        return true;
    if (strchr(own, '%') != NULL)
        return fits_template(own, issuer);
    /* Google leaves the scheme out at times. */
    return strcmp(own, issuer) == 0 ||
           (credential->provider == CONFIG_PROVIDER_GOOGLE &&
            strcmp(own + strlen("https://"), issuer) == 0);
}

void
provider_settings_clear(struct provider_settings *settings)
{
    free(settings->token_url);
    free(settings->authorize_url);
    free(settings->device_url);
    free(settings->scope);
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

const char *
provider_preset_server(const struct config_credential *credential, size_t n)
{
    return n < MAX_SERVERS ? presets[credential->provider].servers[n] : NULL;
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

const char *
provider_graph_url(const struct config_credential *credential)
{
    return credential->rotation.graph_url != NULL
               ? credential->rotation.graph_url
               : presets[credential->provider].graph_url;
}

bool
provider_is_known_server(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(presets); i++)
        if (preset_has_server(&presets[i], name))
            return true;
    return false;
}

int64_t
provider_refresh_idle_s(const struct config_credential *credential)
{
    return presets[credential->provider].refresh_idle_s;
}

int
provider_min_token_lifetime(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(margins); i++)
        if (strcasecmp(margins[i].server, name) == 0)
            return margins[i].min_token_lifetime;
    return 0;
}
