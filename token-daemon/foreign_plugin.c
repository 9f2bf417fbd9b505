/*
 * foreign_plugin - the files of the C++ plugin sasl-xoauth2.
 */
#include "token-daemon/foreign_plugin.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/secret.h"
#include "common/util.h"

/* What that plugin takes where nothing is said. */
#define DEFAULT_ENDPOINT "https://accounts.google.com/o/oauth2/token"
#define GOOGLE_ENDPOINT  "https://oauth2.googleapis.com/token"
#define MICROSOFT_PATH   "/oauth2/v2.0/token"

static const struct {
    const char *key;
    size_t offset;
} members[] = {
    {"client_id", offsetof(struct foreign_plugin, client_id)},
    {"client_secret", offsetof(struct foreign_plugin, client_secret)},
    {"token_endpoint", offsetof(struct foreign_plugin, token_endpoint)},
    {"proxy", offsetof(struct foreign_plugin, proxy)},
    {"ca_bundle_file", offsetof(struct foreign_plugin, ca_bundle_file)},
    {"refresh_token", offsetof(struct foreign_plugin, refresh_token)},
    {"user", offsetof(struct foreign_plugin, user)},
};

static char **
member_of(const struct foreign_plugin *plugin, size_t i)
{
    return (char **)((char *)(uintptr_t)plugin + members[i].offset);
}

void
foreign_plugin_clear(struct foreign_plugin *plugin)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        secret_free(member_of(plugin, i));
}

static int
take_member(const json_t *root, size_t i, struct foreign_plugin *out,
            struct err *err)
{
    const json_t *value = json_object_get(root, members[i].key);
    const char *text = json_string_value(value);

    if (value == NULL || json_is_null(value))
        return 0;
    if (text == NULL || strlen(text) != json_string_length(value))
        return err_set(err, ERR_PROTO, "%s is no text", members[i].key);
    if (text[0] == '\0')
        return 0;
    *member_of(out, i) = secret_dup(text);
    if (*member_of(out, i) == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}

int
foreign_plugin_parse(const char *data, size_t len, bool is_token_file,
                     struct foreign_plugin *out, struct err *err)
{
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    int rc = 0;

    *out = (struct foreign_plugin){0};
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_PROTO,
                       "this is not a JSON object (comments must be removed)");
    }
    for (size_t i = 0; i < ARRAY_LEN(members) && rc == 0; i++)
        rc = take_member(root, i, out, err);
    if (rc == 0 && is_token_file && out->refresh_token == NULL)
        rc = err_set(err, ERR_PROTO,
                     "there is no refresh_token, so it is no token file of "
                     "sasl-xoauth2");
    json_decref(root);
    if (rc < 0)
        foreign_plugin_clear(out);
    return rc;
}

int
foreign_plugin_inherit(struct foreign_plugin *token,
                       const struct foreign_plugin *config, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const char *text = config != NULL ? *member_of(config, i) : NULL;

        if (*member_of(token, i) != NULL || text == NULL)
            continue;
        *member_of(token, i) = secret_dup(text);
        if (*member_of(token, i) == NULL)
            return err_set(err, ERR_SYSTEM, "out of memory");
    }
    if (token->client_id == NULL)
        return err_set(err, ERR_PROTO,
                       "no client_id is known; name the plugin's own "
                       "configuration with --plugin-config");
    if (token->token_endpoint == NULL)
        token->token_endpoint = secret_dup(DEFAULT_ENDPOINT);
    if (token->token_endpoint == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}

static bool
is_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
foreign_plugin_is_same(const struct foreign_plugin *a,
                       const struct foreign_plugin *b)
{
    return is_equal(a->client_id, b->client_id) &&
           is_equal(a->client_secret, b->client_secret) &&
           is_equal(a->token_endpoint, b->token_endpoint) &&
           is_equal(a->proxy, b->proxy) &&
           is_equal(a->ca_bundle_file, b->ca_bundle_file);
}

/* ---- The password map --------------------------------------------------- */

static size_t
blanks(const char *text, size_t len)
{
    size_t n = 0;

    while (n < len && strchr(" \t\r\n", text[n]) != NULL && text[n] != '\0')
        n++;
    return n;
}

/*
 * postconf(5), smtp_sasl_password_maps: KEY BLANKS USER:PASSWORD; here the
 * password is the path of a token file. A path may hold colons, a user not.
 */
bool
foreign_plugin_entry(const char *line, size_t len,
                     struct foreign_plugin_entry *out)
{
    size_t at = 0;
    const char *colon;

    if (len == 0 || line[0] == '#' || blanks(line, len) > 0)
        return false;
    while (at < len && blanks(line + at, len - at) == 0)
        at++;
    at += blanks(line + at, len - at);
    while (len > at && blanks(line + len - 1, 1) > 0)
        len--;
    colon = memchr(line + at, ':', len - at);
    if (colon == NULL || colon == line + at)
        return false;
    out->user = line + at;
    out->user_len = (size_t)(colon - out->user);
    out->path = colon + 1;
    out->path_len = len - at - out->user_len - 1;
    return out->path_len > 1 && out->path[0] == '/';
}

/* ---- Sections of relay.conf(5) ------------------------------------------ */

static const struct {
    const char *host;
    const char *provider;
} clouds[] = {
    {"https://login.microsoftonline.com/", "microsoft"},
    {"https://login.microsoftonline.us/", "microsoft-gcc-high"},
    {"https://login.partner.microsoftonline.cn/", "microsoft-china"},
};

/* Quotes, backslashes, ${VAR} and control bytes mean something in the file. */
static int
print_text(struct buf *out, const char *name, const char *value,
           struct err *err)
{
    for (const char *c = value; *c != '\0'; c++)
        if (*c == '"' || *c == '\\' || *c == '$' || (unsigned char)*c < ' ')
            return err_set(err, ERR_PROTO,
                           "%s has a character that relay.conf can't hold",
                           name);
    buf_append_str(out, "    ");
    buf_append_str(out, name);
    buf_append_str(out, " = \"");
    buf_append_str(out, value);
    buf_append_str(out, "\"\n");
    return 0;
}

/* The tenant in an endpoint of Microsoft's; false: it is another's. */
static bool
find_tenant(const char *endpoint, size_t *cloud_out, char *tenant, size_t size)
{
    for (size_t i = 0; i < ARRAY_LEN(clouds); i++) {
        size_t host_len = strlen(clouds[i].host);
        const char *end;
        size_t len;

        if (strncmp(endpoint, clouds[i].host, host_len) != 0)
            continue;
        end = strchr(endpoint + host_len, '/');
        len = end != NULL ? (size_t)(end - endpoint) - host_len : 0;
        if (len == 0 || len >= size || strcmp(end, MICROSOFT_PATH) != 0)
            return false;
        memcpy(tenant, endpoint + host_len, len);
        tenant[len] = '\0';
        *cloud_out = i;
        return true;
    }
    return false;
}

static int
print_provider(const struct foreign_plugin *plugin, struct buf *out,
               struct err *err)
{
    const char *endpoint = plugin->token_endpoint;
    char tenant[256];
    size_t cloud;

    if (find_tenant(endpoint, &cloud, tenant, sizeof(tenant))) {
        if (print_text(out, "provider", clouds[cloud].provider, err) < 0)
            return -1;
        return print_text(out, "tenant", tenant, err);
    }
    if (strcmp(endpoint, DEFAULT_ENDPOINT) == 0 ||
        strcmp(endpoint, GOOGLE_ENDPOINT) == 0)
        return print_text(out, "provider", "google", err);
    if (print_text(out, "provider", "custom", err) < 0)
        return -1;
    buf_append_str(out, "    # authorize_url = \"https://HOST/PATH\" must be "
                        "added: where people sign in\n");
    return print_text(out, "token_url", endpoint, err);
}

int
foreign_plugin_print(const struct foreign_plugin *plugin, const char *name,
                     const char *secret, struct buf *out, struct err *err)
{
    buf_append_str(out, "credential \"");
    buf_append_str(out, name);
    buf_append_str(out, "\" {\n");
    if (print_provider(plugin, out, err) < 0 ||
        print_text(out, "client_id", plugin->client_id, err) < 0 ||
        print_text(out, "grant", "authorization_code", err) < 0 ||
        (secret != NULL && print_text(out, "client_secret", secret, err) < 0) ||
        (plugin->proxy != NULL &&
         print_text(out, "proxy", plugin->proxy, err) < 0) ||
        (plugin->ca_bundle_file != NULL &&
         print_text(out, "ca_file", plugin->ca_bundle_file, err) < 0))
        return -1;
    buf_append_str(out, "}\n");
    return 0;
}
