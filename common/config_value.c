/*
 * config_value - one value of relay.conf: is it good, and what does it mean?
 */
#include "common/config_value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "common/address.h"
#include "common/buf.h"
#include "common/utf8.h"
#include "common/util.h"

#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define PATH_LEN_MAX    1024      /* bytes */
#define ID_MAX          256       /* bytes of a tenant, client id or login */
#define SERVER_MAX      255       /* bytes of a server's name */
#define NAME_LEN_MAX    64        /* bytes of a credential's name */
#define ACCOUNT_MAX     64        /* bytes of a user's or group's name */
#define TEMPLATE_MAX    256       /* bytes of a name_template */
#define LOOKUP_MAX      (1 << 20) /* bytes that one passwd or group entry takes */

const struct config_word config_words_provider[] = {
    {"microsoft", CONFIG_PROVIDER_MICROSOFT},
    {"microsoft-gcc-high", CONFIG_PROVIDER_MICROSOFT_GCC_HIGH},
    {"microsoft-dod", CONFIG_PROVIDER_MICROSOFT_DOD},
    {"microsoft-china", CONFIG_PROVIDER_MICROSOFT_CHINA},
    {"google", CONFIG_PROVIDER_GOOGLE},
    {"custom", CONFIG_PROVIDER_CUSTOM},
    {NULL, 0},
};

const struct config_word config_words_grant[] = {
    {"client_credentials", CONFIG_GRANT_CLIENT_CREDENTIALS},
    {"authorization_code", CONFIG_GRANT_AUTHORIZATION_CODE},
    {"device_code", CONFIG_GRANT_DEVICE_CODE},
    {"managed_identity", CONFIG_GRANT_MANAGED_IDENTITY},
    {"workload_identity", CONFIG_GRANT_WORKLOAD_IDENTITY},
    {"service_account", CONFIG_GRANT_SERVICE_ACCOUNT},
    {NULL, 0},
};

const struct config_word config_words_assertion[] = {
    {"PS256", CONFIG_ASSERTION_PS256},
    {"RS256", CONFIG_ASSERTION_RS256},
    {NULL, 0},
};

const struct config_word config_words_not_permitted[] = {
    {"rewrite", CONFIG_NOT_PERMITTED_REWRITE},
    {"reject", CONFIG_NOT_PERMITTED_REJECT},
    {"audit", CONFIG_NOT_PERMITTED_AUDIT},
    {NULL, 0},
};

const struct config_word config_words_rotate[] = {
    {"none", CONFIG_ROTATE_NONE},
    {"graph", CONFIG_ROTATE_GRAPH},
    {NULL, 0},
};

const struct config_word config_words_reply_to[] = {
    {"always", CONFIG_REPLY_TO_ALWAYS},
    {"deliverable", CONFIG_REPLY_TO_DELIVERABLE},
    {"never", CONFIG_REPLY_TO_NEVER},
    {NULL, 0},
};

const struct config_word config_words_null_sender[] = {
    {"keep", CONFIG_NULL_SENDER_KEEP},
    {"rewrite", CONFIG_NULL_SENDER_REWRITE},
    {"discard", CONFIG_NULL_SENDER_DISCARD},
    {NULL, 0},
};

const struct config_word config_words_name_template_for[] = {
    {"nameless", CONFIG_NAME_TEMPLATE_FOR_NAMELESS},
    {"all", CONFIG_NAME_TEMPLATE_FOR_ALL},
    {NULL, 0},
};

const struct config_word config_words_dkim[] = {
    {"strip", CONFIG_DKIM_STRIP},
    {"keep", CONFIG_DKIM_KEEP},
    {"rename", CONFIG_DKIM_RENAME},
    {NULL, 0},
};

/* In the order of the enum. */
const struct config_word config_words_verb[] = {
    {"status", CONFIG_VERB_STATUS},   {"token", CONFIG_VERB_TOKEN},
    {"refresh", CONFIG_VERB_REFRESH}, {"invalidate", CONFIG_VERB_INVALIDATE},
    {"login", CONFIG_VERB_LOGIN},     {"logout", CONFIG_VERB_LOGOUT},
    {"rotate", CONFIG_VERB_ROTATE},   {"audit", CONFIG_VERB_AUDIT},
    {"export", CONFIG_VERB_EXPORT},   {"import", CONFIG_VERB_IMPORT},
    {"reload", CONFIG_VERB_RELOAD},   {NULL, 0},
};

/* ---- words and numbers ---- */

int
config_value_word(const struct config_word *words, const char *text, int *out,
                  struct err *err)
{
    struct buf list;

    for (size_t i = 0; words[i].word != NULL; i++) {
        if (strcmp(words[i].word, text) == 0) {
            *out = words[i].value;
            return 0;
        }
    }
    buf_init(&list, ERR_TEXT_MAX);
    for (size_t i = 0; words[i].word != NULL; i++) {
        if (i > 0)
            buf_append_str(&list, words[i + 1].word == NULL ? " or " : ", ");
        buf_append_char(&list, '"');
        buf_append_str(&list, words[i].word);
        buf_append_char(&list, '"');
    }
    err_set(err, ERR_CONFIG, "must be %s", buf_str(&list));
    buf_clear(&list);
    return -1;
}

const char *
config_value_word_name(const struct config_word *words, int value)
{
    size_t i = 0;

    while (words[i].word != NULL && words[i].value != value)
        i++;
    return words[i].word != NULL ? words[i].word : "";
}

int
config_value_number(const char *text, int min, int max, int *out,
                    struct err *err)
{
    long long value = 0;
    char *end = NULL;
    bool is_digits =
        text[0] != '\0' && strspn(text, "0123456789") == strlen(text);

    errno = 0;
    if (is_digits)
        value = strtoll(text, &end, 10);
    if (!is_digits || errno != 0 || value < min || value > max)
        return err_set(err, ERR_CONFIG, "must be a number from %d to %d", min,
                       max);
    *out = (int)value;
    return 0;
}

int
config_value_mode(const char *text, mode_t *out, struct err *err)
{
    size_t len = strlen(text);

    if (len < 3 || len > 4 || strspn(text, "01234567") != len ||
        (len == 4 && text[0] != '0'))
        return err_set(err, ERR_CONFIG,
                       "must be octal permissions such as \"0660\"");
    *out = (mode_t)strtol(text, NULL, 8);
    return 0;
}

/* ---- characters ---- */

static bool
is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9');
}

/* 1 to `max` bytes, each a letter, a digit or one of `more`. */
static bool
is_made_of(const char *text, const char *more, size_t max)
{
    size_t i = 0;

    for (; text[i] != '\0'; i++)
        if (!is_alnum(text[i]) && strchr(more, text[i]) == NULL)
            return false;
    return i > 0 && i <= max;
}

/* No control bytes; UTF-8 is welcome. */
static bool
is_printable(const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return true;
}

/* Visible ASCII; a blank too where `may_blank`. */
static bool
is_visible(const char *text, bool may_blank)
{
    for (size_t i = 0; text[i] != '\0'; i++)
        if (text[i] < '!' || text[i] > '~')
            if (text[i] != ' ' || !may_blank)
                return false;
    return text[0] != '\0';
}

/* ---- credentials ---- */

int
config_value_name(const char *text, struct err *err)
{
    if (!is_made_of(text, "._-", NAME_LEN_MAX))
        return err_set(err, ERR_CONFIG,
                       "must be at most %d letters, digits and ._-",
                       NAME_LEN_MAX);
    return 0;
}

int
config_value_tenant(const char *text, struct err *err)
{
    /* It becomes part of a path, so nothing that a path or URL gives sense. */
    if (!is_made_of(text, ".-", ID_MAX) || text[0] == '.' || text[0] == '-' ||
        strstr(text, "..") != NULL)
        return err_set(err, ERR_CONFIG,
                       "must be the tenant's id or one of its domains, such "
                       "as \"contoso.onmicrosoft.com\"");
    return 0;
}

int
config_value_client_id(const char *text, struct err *err)
{
    if (!is_visible(text, false) || strlen(text) > ID_MAX)
        return err_set(err, ERR_CONFIG,
                       "must be the application's id, such as "
                       "\"00001111-aaaa-2222-bbbb-3333cccc4444\"");
    return 0;
}

int
config_value_scope(const char *text, struct err *err)
{
    /* RFC 6749, section 3.3 */
    if (!is_visible(text, true) || strpbrk(text, "\"\\") != NULL)
        return err_set(err, ERR_CONFIG,
                       "must be scopes in ASCII with blanks between them, "
                       "such as \"https://outlook.office365.com/.default\"");
    return 0;
}

/* The host of `rest`, what follows :// in a URL. False when there is none. */
static bool
url_host(const char *rest, char *out, size_t size)
{
    size_t len = strcspn(rest, "/?#");
    size_t host;

    if (memchr(rest, '@', len) != NULL)
        return false;
    if (rest[0] == '[') {
        const char *end = memchr(rest, ']', len);

        host = end != NULL ? (size_t)(end - rest) + 1 : 0;
    } else {
        const char *colon = memchr(rest, ':', len);

        host = colon != NULL ? (size_t)(colon - rest) : len;
    }
    if (host == 0 || host >= size)
        return false;
    if (host < len && (rest[host] != ':' || len - host < 2 || len - host > 6 ||
                       strspn(rest + host + 1, "0123456789") != len - host - 1))
        return false;
    memcpy(out, rest, host);
    out[host] = '\0';
    return rest[0] == '['
               ? strspn(out + 1, "0123456789abcdefABCDEF:.") == host - 2
               : is_made_of(out, ".-_", SERVER_MAX);
}

static bool
may_be_plain(const char *host)
{
    struct in_addr address;

    if (inet_pton(AF_INET, host, &address) == 1)
        return ntohl(address.s_addr) >> 24 == 127 ||
               strcmp(host, "169.254.169.254") == 0;
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

int
config_value_url(const char *text, struct err *err)
{
    char host[SERVER_MAX + 1];

    if (is_visible(text, false) && strpbrk(text, "\"\\<>#") == NULL) {
        if (strncasecmp(text, "https://", 8) == 0 &&
            url_host(text + 8, host, sizeof(host)))
            return 0;
        if (strncasecmp(text, "http://", 7) == 0 &&
            url_host(text + 7, host, sizeof(host)) && may_be_plain(host))
            return 0;
    }
    return err_set(err, ERR_CONFIG,
                   "must be a URL such as \"https://HOST/PATH\", without user "
                   "and fragment; plain http:// is for 127.0.0.1, [::1] and "
                   "169.254.169.254 only, as a secret travels there");
}

int
config_value_issuer(const char *text, struct err *err)
{
    struct err reason = {ERR_NONE, ""};

    if (config_value_url(text, &reason) == 0 && strchr(text, '?') == NULL)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "must be the provider's name for itself, such as "
                   "\"https://id.example.com\", to which "
                   "/.well-known/openid-configuration is added");
}

int
config_value_identity(const char *text, enum config_identity *identity,
                      const char **id, struct err *err)
{
    static const struct {
        const char *prefix;
        enum config_identity identity;
    } kinds[] = {
        {"client_id:", CONFIG_IDENTITY_CLIENT_ID},
        {"object_id:", CONFIG_IDENTITY_OBJECT_ID},
        {"msi_res_id:", CONFIG_IDENTITY_MSI_RES_ID},
    };

    *identity = CONFIG_IDENTITY_SYSTEM;
    *id = NULL;
    if (strcmp(text, "system") == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        size_t len = strlen(kinds[i].prefix);

        if (strncmp(text, kinds[i].prefix, len) != 0 ||
            !is_visible(text + len, false) || strlen(text + len) > PATH_LEN_MAX)
            continue;
        *identity = kinds[i].identity;
        *id = text + len;
        return 0;
    }
    return err_set(err, ERR_CONFIG,
                   "must be \"system\", \"client_id:ID\", \"object_id:ID\" or "
                   "\"msi_res_id:/subscriptions/...\"");
}

int
config_value_proxy(const char *text, struct err *err)
{
    static const char *const schemes[] = {"http://", "https://", "socks5://",
                                          "socks5h://"};
    char host[SERVER_MAX + 1];

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i]);
        const char *path;

        if (strncasecmp(text, schemes[i], len) != 0)
            continue;
        path = text + len + strcspn(text + len, "/?#");
        if (is_visible(text, false) &&
            url_host(text + len, host, sizeof(host)) &&
            (path[0] == '\0' || strcmp(path, "/") == 0))
            return 0;
    }
    return err_set(err, ERR_CONFIG,
                   "must be \"http://HOST:PORT\" (or https, socks5, socks5h) "
                   "without user and password");
}

static char
lower(char c)
{
    if (c < 'A' || c > 'Z')
        return c;
    return (char)(c - 'A' + 'a');
}

/* `:PORT` by number or name, or nothing. */
static bool
is_port_suffix(const char *text, size_t len)
{
    if (len == 0)
        return true;
    if (text[0] != ':' || len == 1)
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_alnum(text[i]) && text[i] != '-')
            return false;
    return true;
}

bool
config_server_name(const char *text, size_t len, char *out, size_t size)
{
    const char *end = text + len;
    const char *colon = memchr(text, ':', len);
    const char *bracket = memchr(text, ']', len);
    const char *rest = end; /* what follows the name */

    if (len > 0 && text[0] == '[') {
        if (bracket == NULL)
            return false;
        text++;
        rest = bracket + 1;
        len = (size_t)(bracket - text);
    } else if (colon != NULL &&
               memchr(colon + 1, ':', (size_t)(end - colon - 1)) == NULL) {
        /* One colon is a port's; more than one are an IPv6 address's. */
        rest = colon;
        len = (size_t)(colon - text);
    }
    if (!is_port_suffix(rest, (size_t)(end - rest)) || len == 0 ||
        len >= size || memchr(text, '\0', len) != NULL)
        return false;
    for (size_t i = 0; i < len; i++)
        out[i] = lower(text[i]);
    out[len] = '\0';
    return true;
}

int
config_value_server(const char *text, struct err *err)
{
    char name[SERVER_MAX + 1];

    if (!config_server_name(text, strlen(text), name, sizeof(name)) ||
        !is_made_of(name, ".-_:", SERVER_MAX))
        return err_set(err, ERR_CONFIG,
                       "must be a server's name such as "
                       "\"smtp.office365.com\"");
    return 0;
}

/* ---- paths and references ---- */

int
config_value_path(const char *text, struct err *err)
{
    if (text[0] != '/' || strlen(text) > PATH_LEN_MAX || !is_printable(text))
        return err_set(err, ERR_CONFIG,
                       "must be an absolute path: begin it with /");
    return 0;
}

int
config_value_socket_path(const char *text, struct err *err)
{
    if (config_value_path(text, err) < 0)
        return -1;
    if (strlen(text) > SOCKET_PATH_MAX)
        return err_set(err, ERR_CONFIG,
                       "must be at most %zu bytes long, as it is the path of "
                       "a Unix socket",
                       SOCKET_PATH_MAX);
    return 0;
}

/* PORT@HOST, or PORT alone. */
static bool
is_port_at_host(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 5 || strtol(text, NULL, 10) > 65535)
        return false;
    return text[digits] == '\0' ||
           (text[digits] == '@' &&
            is_made_of(text + digits + 1, ".-_:", SERVER_MAX));
}

int
config_value_milter_socket(const char *text, struct err *err)
{
    struct err ignored;
    int fd;

    if (strncmp(text, "unix:", 5) == 0) {
        if (config_value_socket_path(text + 5, &ignored) == 0)
            return 0;
    } else if (strncmp(text, "fd:", 3) == 0) {
        if (config_value_number(text + 3, 3, 1023, &fd, &ignored) == 0)
            return 0;
    } else if (strncmp(text, "inet:", 5) == 0) {
        if (is_port_at_host(text + 5))
            return 0;
    } else if (strncmp(text, "inet6:", 6) == 0) {
        if (is_port_at_host(text + 6))
            return 0;
    }
    return err_set(err, ERR_CONFIG,
                   "must be \"unix:/PATH\" (of at most %zu bytes), "
                   "\"inet:PORT@HOST\", \"inet6:PORT@HOST\" or \"fd:N\" with N "
                   "from 3",
                   SOCKET_PATH_MAX);
}

int
config_value_login_password(const char *text, struct err *err)
{
    /* Relative paths are right here: they work in and out of a chroot. */
    if (text[0] == '\0' ||
        (strncmp(text, "unix:", 5) == 0 && text[5] != '\0' &&
         strlen(text + 5) <= SOCKET_PATH_MAX && is_visible(text, false)))
        return 0;
    return err_set(err, ERR_CONFIG,
                   "must be empty or say where the plugin finds the socket, "
                   "such as \"unix:run/xoauth2/tokend.sock\"; no password "
                   "belongs there");
}

/* The digits behind the last colon; 0: no port. */
static in_port_t
read_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    long port;

    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return 0;
    port = strtol(text, NULL, 10);
    return port <= UINT16_MAX ? (in_port_t)port : 0;
}

/* IPv4's whole 127/8 is loopback. */
static bool
read_loopback4(const char *host, in_port_t port, struct sockaddr_in *out)
{
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    return inet_pton(AF_INET, host, &out->sin_addr) == 1 &&
           ntohl(out->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static bool
read_loopback6(const char *host, in_port_t port, struct sockaddr_in6 *out)
{
    *out = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                 .sin6_port = htons(port)};
    return inet_pton(AF_INET6, host, &out->sin6_addr) == 1 &&
           IN6_IS_ADDR_LOOPBACK(&out->sin6_addr);
}

bool
config_metrics_address(const char *text, struct sockaddr_storage *out,
                       socklen_t *len_out)
{
    const char *colon = strrchr(text, ':');
    in_port_t port = colon != NULL ? read_port(colon + 1) : 0;
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    char host[INET6_ADDRSTRLEN + 2];

    if (port == 0 || len < 2 || len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    *out = (struct sockaddr_storage){0};
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        *len_out = sizeof(struct sockaddr_in6);
        return read_loopback6(host + 1, port, (struct sockaddr_in6 *)out);
    }
    *len_out = sizeof(struct sockaddr_in);
    return read_loopback4(host, port, (struct sockaddr_in *)out);
}

int
config_value_metrics(const char *text, struct err *err)
{
    struct sockaddr_storage address;
    struct err ignored;
    socklen_t len;

    if (strncmp(text, "unix:", 5) == 0
            ? config_value_socket_path(text + 5, &ignored) == 0
            : config_metrics_address(text, &address, &len))
        return 0;
    return err_set(err, ERR_CONFIG,
                   "must be a loopback address such as \"127.0.0.1:9717\" or "
                   "\"[::1]:9717\", or \"unix:/PATH\" (of at most %zu bytes): "
                   "the status page has no password",
                   SOCKET_PATH_MAX);
}

enum config_ref_kind
config_value_ref_kind(const char *text)
{
    if (strncmp(text, "file:", 5) == 0)
        return CONFIG_REF_FILE;
    if (strncmp(text, "credential:", 11) == 0)
        return CONFIG_REF_CREDENTIAL;
    if (strncmp(text, "exec:", 5) == 0)
        return CONFIG_REF_EXEC;
    if (strncmp(text, "pkcs11:", 7) == 0)
        return CONFIG_REF_PKCS11;
    return CONFIG_REF_NONE;
}

int
config_value_command(const char *text, struct err *err)
{
    struct err ignored;

    if (config_value_ref_kind(text) == CONFIG_REF_EXEC &&
        config_value_ref(text, &ignored) == 0)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "must be a command by its absolute path, such as "
                   "\"exec:/usr/local/bin/notify-admins\"");
}

int
config_value_ref(const char *text, struct err *err)
{
    const char *value = strchr(text, ':');

    switch (config_value_ref_kind(text)) {
    case CONFIG_REF_FILE:
        if (config_value_path(value + 1, err) == 0)
            return 0;
        return err_set(err, ERR_CONFIG,
                       "must name its file by an absolute path, such as "
                       "\"file:/etc/xoauth2-relay/secrets/NAME\"");
    case CONFIG_REF_CREDENTIAL:
        if (is_made_of(value + 1, "._-", ID_MAX) && value[1] != '.')
            return 0;
        return err_set(err, ERR_CONFIG,
                       "must name a credential of the service manager by "
                       "letters, digits and ._-, such as "
                       "\"credential:NAME\"");
    case CONFIG_REF_EXEC:
        if (config_value_path(value + 1, err) == 0)
            return 0;
        return err_set(err, ERR_CONFIG,
                       "must name its command by an absolute path, such as "
                       "\"exec:/usr/bin/vault kv get -field=secret NAME\"");
    case CONFIG_REF_PKCS11:
    case CONFIG_REF_NONE:
        break;
    }
    return err_set(err, ERR_CONFIG,
                   "must be a reference such as "
                   "\"file:/etc/xoauth2-relay/secrets/NAME\", "
                   "\"credential:NAME\" or \"exec:/PATH/COMMAND\", not the "
                   "secret itself");
}

int
config_value_key_ref(const char *text, struct err *err)
{
    if (config_value_ref_kind(text) != CONFIG_REF_PKCS11)
        return config_value_ref(text, err);
    if (!is_visible(text, false) || strlen(text) > PATH_LEN_MAX ||
        strpbrk(text, "\"\\<>#") != NULL)
        return err_set(err, ERR_CONFIG,
                       "must be a URI such as \"pkcs11:token=NAME;"
                       "object=NAME;type=private\"");
    if (strstr(text, "pin-value") != NULL || strstr(text, "pin-source") != NULL)
        return err_set(err, ERR_CONFIG,
                       "must not hold the PIN: write passphrase = "
                       "\"file:/PATH\"");
    if (strstr(text, "module-path") != NULL || strstr(text, "module-name"))
        return err_set(err, ERR_CONFIG,
                       "must not name a module: register it with p11-kit, as "
                       "pkcs11.conf(5) says");
    return 0;
}

/* ---- addresses, accounts, networks ---- */

/* In other programs that is everybody there; in mail it is an odd name. */
static int
refuse_star(const char *text, struct err *err)
{
    if (strncmp(text, "*@", 2) == 0)
        return err_set(err, ERR_CONFIG,
                       "must not begin with \"*\": for everybody of a domain "
                       "write \"%s\"",
                       text + 1);
    return 0;
}

int
config_value_address(const char *text, struct err *err)
{
    if (refuse_star(text, err) < 0)
        return -1;
    if (!address_is_valid(text, strlen(text)))
        return err_set(err, ERR_CONFIG,
                       "must be an address such as \"user@example.com\"");
    return 0;
}

int
config_value_entry(const char *text, struct err *err)
{
    size_t len = strlen(text);
    size_t skip = strncmp(text, "@.", 2) == 0 ? 2 : 1;

    if (refuse_star(text, err) < 0)
        return -1;
    if (text[0] == '@' ? !address_domain_is_valid(text + skip, len - skip)
                       : !address_is_valid(text, len))
        return err_set(err, ERR_CONFIG,
                       "must be \"user@example.com\", \"@example.com\" for "
                       "everybody there, or \"@.example.com\" for all domains "
                       "below it");
    return 0;
}

int
config_value_daemon_name(const char *text, struct err *err)
{
    if (!is_visible(text, true) || strlen(text) > ID_MAX)
        return err_set(err, ERR_CONFIG,
                       "must be what milter_macro_daemon_name says, at most %d "
                       "characters",
                       ID_MAX);
    return 0;
}

int
config_value_name_template(const char *text, struct err *err)
{
    const char *percent = text;

    if (strlen(text) > TEMPLATE_MAX || !is_printable(text) ||
        !utf8_is_valid(text, strlen(text)))
        return err_set(err, ERR_CONFIG,
                       "must be a text of at most %d bytes in UTF-8",
                       TEMPLATE_MAX);
    while ((percent = strchr(percent, '%')) != NULL) {
        if (percent[1] == '\0' || strchr("nad%", percent[1]) == NULL)
            return err_set(err, ERR_CONFIG,
                           "must have after each %% one of n (name), a "
                           "(address), d (domain) and %%");
        percent += 2;
    }
    return 0;
}

int
config_value_login(const char *text, struct err *err)
{
    if (text[0] == '\0' || strlen(text) > ID_MAX || !is_printable(text))
        return err_set(err, ERR_CONFIG,
                       "must be a login name of at most %d bytes", ID_MAX);
    return 0;
}

int
config_value_account(const char *text, struct err *err)
{
    if (strncmp(text, "group:", 6) == 0)
        text += 6;
    if (!is_made_of(text, "._-$@\\", ACCOUNT_MAX) || text[0] == '-')
        return err_set(err, ERR_CONFIG,
                       "must be the name of a user, or \"group:NAME\"");
    return 0;
}

static unsigned
count_bits_behind(const struct in6_addr *address, unsigned prefix)
{
    unsigned count = 0;

    for (unsigned bit = prefix; bit < 128; bit++)
        if (address->s6_addr[bit / 8] & (0x80u >> bit % 8))
            count++;
    return count;
}

/* The address before the slash, which ends at `len`. */
static bool
read_address(const char *text, size_t len, struct in6_addr *out, bool *is_ip4)
{
    char address[INET6_ADDRSTRLEN];
    struct in_addr ip4;

    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    *is_ip4 = inet_pton(AF_INET, address, &ip4) == 1;
    if (!*is_ip4)
        return inet_pton(AF_INET6, address, out) == 1;
    *out = (struct in6_addr){{{[10] = 0xff, [11] = 0xff}}};
    memcpy(&out->s6_addr[12], &ip4, sizeof(ip4));
    return true;
}

int
config_value_network(const char *text, struct config_network *out,
                     struct err *err)
{
    size_t len = strcspn(text, "/");
    struct err ignored;
    bool is_ip4 = false;
    int prefix = 0;

    if (!read_address(text, len, &out->address, &is_ip4))
        return err_set(err, ERR_CONFIG,
                       "must be an address or a network such as "
                       "\"10.0.5.0/24\" or \"2001:db8::/32\"");
    if (text[len] == '\0')
        prefix = is_ip4 ? 32 : 128;
    else if (config_value_number(text + len + 1, 0, is_ip4 ? 32 : 128, &prefix,
                                 &ignored) < 0)
        return err_set(err, ERR_CONFIG,
                       "must have a number from 0 to %d after the /",
                       is_ip4 ? 32 : 128);
    out->prefix = (unsigned)prefix + (is_ip4 ? 96 : 0);
    if (count_bits_behind(&out->address, out->prefix) > 0)
        return err_set(err, ERR_CONFIG,
                       "must be a network: its address has bits behind the "
                       "/%d; set them to zero",
                       prefix);
    return 0;
}

/* Look up a user or group with `size` bytes of room. 0, or an errno. */
static int
look_up(struct config_peer *peer, char *room, size_t size)
{
    int rc;

    if (peer->is_group) {
        struct group entry;
        struct group *found = NULL;

        rc = getgrnam_r(peer->name, &entry, room, size, &found);
        peer->is_known = found != NULL;
        peer->id = found != NULL ? entry.gr_gid : 0;
    } else {
        struct passwd entry;
        struct passwd *found = NULL;

        rc = getpwnam_r(peer->name, &entry, room, size, &found);
        peer->is_known = found != NULL;
        peer->id = found != NULL ? entry.pw_uid : 0;
    }
    return rc;
}

int
config_value_peer(struct config_peer *peer, struct err *err)
{
    size_t size = 4096;
    char *room = NULL;
    int rc;

    /* A large group needs more room; any other failure is "not known". */
    do {
        char *more = realloc(room, size);

        if (more == NULL) {
            free(room);
            return err_set(err, ERR_SYSTEM, "out of memory");
        }
        room = more;
        rc = look_up(peer, room, size);
        size *= 2;
    } while (rc == ERANGE && size <= LOOKUP_MAX);
    free(room);
    return 0;
}
