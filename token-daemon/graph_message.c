/*
 * graph_message - what is said to Microsoft Graph and what it answers.
 *
 *     POST /v1.0/applications/ID/addKey
 *     {"keyCredential":{"type":"AsymmetricX509Cert","usage":"Verify",
 *      "key":"MII...","displayName":"..."},"passwordCredential":null,
 *      "proof":"eyJ..."}
 *
 *     {"error":{"code":"Authorization_RequestDenied","message":"..."}}
 */
#include "token-daemon/graph_message.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/config_rotation.h"
#include "common/secret.h"
#include "common/util.h"

#define VERSION      "/v1.0"
#define SELECT       "?$select=id,keyCredentials,passwordCredentials"
#define PEM_BEGIN    "-----BEGIN CERTIFICATE-----"
#define PEM_END      "-----END CERTIFICATE-----"
#define TIME_SIZE    32 /* bytes of a time as text, with the NUL */
#define CODE_MAX     64 /* bytes of Graph's error code */
#define SHA1_LEN     20 /* bytes */
#define SHA1_B64_LEN 28 /* characters */

/* A client id is mostly a GUID, but may be any visible text. */
static void
append_escaped(struct buf *out, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";

    for (const unsigned char *c = (const unsigned char *)text; *c != '\0';
         c++) {
        if (isalnum(*c) || *c == '-' || *c == '_' || *c == '.') {
            buf_append_char(out, (char)*c);
        } else {
            buf_append_char(out, '%');
            buf_append_char(out, hex[*c >> 4]);
            buf_append_char(out, hex[*c & 15]);
        }
    }
}

void
graph_message_url(const char *graph_url, const char *object_id,
                  const char *client_id, const char *action, struct buf *out)
{
    size_t len = strlen(graph_url);

    while (len > 0 && graph_url[len - 1] == '/')
        len--;
    buf_append(out, graph_url, len);
    buf_append_str(out, VERSION "/applications");
    if (object_id != NULL) {
        buf_append_char(out, '/');
        buf_append_str(out, object_id);
    } else {
        buf_append_str(out, "(appId='");
        append_escaped(out, client_id);
        buf_append_str(out, "')");
    }
    buf_append_str(out, action[0] != '\0' ? action : SELECT);
}

/* ---- Requests -------------------------------------------------------------
 */

static int
append_to_buf(const char *data, size_t len, void *arg)
{
    struct buf *out = arg;

    buf_append(out, data, len);
    return buf_failed(out) ? -1 : 0;
}

/* Append and drop the object. */
static int
append_json(json_t *root, struct buf *out, struct err *err)
{
    int rc = 0;

    if (root == NULL ||
        json_dump_callback(root, append_to_buf, out, JSON_COMPACT) < 0)
        rc = err_set(err, ERR_SYSTEM, "no room for the request");
    json_decref(root);
    return rc;
}

/* The base64 of the DER form is what stands in the PEM form. */
static int
read_pem(const char *pem, struct buf *out, struct err *err)
{
    const char *at = strstr(pem, PEM_BEGIN);
    const char *end = at != NULL ? strstr(at, PEM_END) : NULL;

    if (end == NULL)
        return err_set(err, ERR_CONFIG, "the certificate is no PEM");
    for (at += strlen(PEM_BEGIN); at < end; at++)
        if (!isspace((unsigned char)*at))
            buf_append_char(out, *at);
    return buf_failed(out) ? err_set(err, ERR_SYSTEM, "out of memory") : 0;
}

int
graph_message_add_key(const char *certificate, const char *tag,
                      const char *proof, struct buf *out, struct err *err)
{
    struct buf key;
    int rc = -1;

    buf_init(&key, GRAPH_MESSAGE_BODY_MAX);
    if (read_pem(certificate, &key, err) == 0)
        rc = append_json(json_pack("{s:{s:s, s:s, s:s, s:s}, s:n, s:s}",
                                   "keyCredential", "type",
                                   "AsymmetricX509Cert", "usage", "Verify",
                                   "key", buf_str(&key), "displayName", tag,
                                   "passwordCredential", "proof", proof),
                         out, err);
    buf_clear(&key);
    return rc;
}

/* RFC 3339, in UTC. */
static int
write_time(int64_t wall, char out[TIME_SIZE])
{
    time_t seconds = (time_t)wall;
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(out, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return -1;
    return 0;
}

int
graph_message_add_password(const char *tag, int64_t end_wall, struct buf *out,
                           struct err *err)
{
    char end[TIME_SIZE];

    if (write_time(end_wall, end) < 0)
        return err_set(err, ERR_SYSTEM, "the clock is out of range");
    /* It begins when Graph's clock says so, which may be behind ours. */
    return append_json(json_pack("{s:{s:s, s:s}}", "passwordCredential",
                                 "displayName", tag, "endDateTime", end),
                       out, err);
}

int
graph_message_remove(const char *key_id, const char *proof, struct buf *out,
                     struct err *err)
{
    return append_json(
        json_pack("{s:s, s:s*}", "keyId", key_id, "proof", proof), out, err);
}

/* ---- Answers --------------------------------------------------------------
 */

static json_t *
parse(const char *body, size_t len, struct err *err)
{
    json_error_t where; /* its text quotes the input, maybe a secret */
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, &where);

    if (json_is_object(root))
        return root;
    json_decref(root);
    (void)err_set(err, ERR_PROTO, "the answer is not a JSON object");
    return NULL;
}

/* A text that fits; anything else is as if it were not there. */
static void
copy_text(const json_t *object, const char *key, char *out, size_t size)
{
    const json_t *member = json_object_get(object, key);

    out[0] = '\0';
    if (json_is_string(member) && json_string_length(member) < size &&
        strlen(json_string_value(member)) == json_string_length(member))
        (void)snprintf(out, size, "%s", json_string_value(member));
}

static bool
copy_id(const json_t *object, const char *key, char out[GRAPH_ROTATION_ID_SIZE])
{
    struct err ignored;

    copy_text(object, key, out, GRAPH_ROTATION_ID_SIZE);
    if (out[0] != '\0' && config_rotation_id(out, &ignored) == 0)
        return true;
    out[0] = '\0';
    return false;
}

static int
base64_value(char c)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

    return at != NULL ? (int)(at - alphabet) : -1;
}

/* 28 characters of base64 for the 20 bytes of a SHA-1. */
static bool
read_base64_thumbprint(const char *text,
                       char out[GRAPH_ROTATION_THUMBPRINT_SIZE])
{
    uint32_t bits = 0;
    size_t len = 0;

    for (size_t i = 0; i < SHA1_B64_LEN - 1; i++) {
        int value = base64_value(text[i]);

        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 == 0 || len == SHA1_LEN)
            continue;
        (void)snprintf(out + 2 * len, 3, "%02X",
                       bits >> (6 - 2 * (i % 4)) & 0xff);
        len++;
    }
    return len == SHA1_LEN;
}

/*
 * customKeyIdentifier is the certificate's thumbprint unless somebody chose it:
 * documented as binary, so base64, but seen as hexadecimal digits, too.
 */
static void
read_thumbprint(const json_t *object, char out[GRAPH_ROTATION_THUMBPRINT_SIZE])
{
    const char *text =
        json_string_value(json_object_get(object, "customKeyIdentifier"));
    size_t len = text != NULL ? strlen(text) : 0;

    out[0] = '\0';
    if (len == SHA1_B64_LEN && text[len - 1] == '=') {
        if (!read_base64_thumbprint(text, out))
            out[0] = '\0';
    } else if (len == GRAPH_ROTATION_THUMBPRINT_SIZE - 1 &&
               strspn(text, "0123456789abcdefABCDEF") == len) {
        for (size_t i = 0; i <= len; i++)
            out[i] = (char)toupper((unsigned char)text[i]);
    }
}

/* Append what has an id; nothing else can be removed. */
static void
read_entries(const json_t *list, bool is_secret, struct graph_application *out)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct graph_rotation_entry entry = {.is_secret = is_secret};

        if (!copy_id(item, "keyId", entry.key_id))
            continue;
        copy_text(item, "displayName", entry.tag, sizeof(entry.tag));
        if (!is_secret)
            read_thumbprint(item, entry.thumbprint);
        out->entries[out->count++] = entry;
    }
}

void
graph_application_clear(struct graph_application *application)
{
    free(application->entries);
    *application = (struct graph_application){.entries = NULL};
}

static int
read_application(const json_t *root, struct graph_application *out,
                 struct err *err)
{
    const json_t *keys = json_object_get(root, "keyCredentials");
    const json_t *passwords = json_object_get(root, "passwordCredentials");
    size_t count = json_array_size(keys) + json_array_size(passwords);

    if (!copy_id(root, "id", out->object_id))
        return err_set(err, ERR_PROTO, "the registration has no id");
    if (!json_is_array(keys) || !json_is_array(passwords) ||
        count > GRAPH_MESSAGE_ENTRIES_MAX)
        return err_set(err, ERR_PROTO,
                       "the registration does not list its credentials");
    out->entries = calloc(count + 1, sizeof(*out->entries));
    if (out->entries == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    read_entries(keys, false, out);
    read_entries(passwords, true, out);
    return 0;
}

int
graph_message_read_application(const char *body, size_t len,
                               struct graph_application *out, struct err *err)
{
    json_t *root = parse(body, len, err);
    int rc = -1;

    *out = (struct graph_application){.entries = NULL};
    if (root != NULL)
        rc = read_application(root, out, err);
    if (rc < 0)
        graph_application_clear(out);
    json_decref(root);
    return rc;
}

void
graph_added_clear(struct graph_added *added)
{
    secret_free(&added->secret);
    *added = (struct graph_added){.secret = NULL};
}

/* It is used as it came: in a form, percent-encoded. */
static bool
is_secret_text(const json_t *field)
{
    const char *text = json_string_value(field);
    size_t len = text != NULL ? strlen(text) : 0;

    if (len == 0 || len > GRAPH_MESSAGE_SECRET_MAX ||
        len != json_string_length(field))
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

int
graph_message_read_added(const char *body, size_t len, bool is_secret,
                         struct graph_added *out, struct err *err)
{
    json_t *root = parse(body, len, err);
    const json_t *text = json_object_get(root, "secretText");
    int rc = -1;

    *out = (struct graph_added){.secret = NULL};
    if (root == NULL)
        return -1;
    if (!copy_id(root, "keyId", out->key_id) && is_secret) {
        (void)err_set(err, ERR_PROTO, "the new secret has no keyId");
    } else if (!is_secret) {
        rc = 0;
    } else if (!is_secret_text(text)) {
        (void)err_set(err, ERR_PROTO, "the new secret has no secretText");
    } else {
        out->secret = secret_dup(json_string_value(text));
        rc =
            out->secret != NULL ? 0 : err_set(err, ERR_SYSTEM, "out of memory");
    }
    if (rc < 0)
        graph_added_clear(out);
    json_decref(root);
    return rc;
}

/* ---- Refusals -------------------------------------------------------------
 */

#define HINT_PASSWORD                                                     \
    "grant the application the permission Application.ReadWrite.OwnedBy " \
    "of Microsoft Graph, with the consent of an administrator, and make " \
    "its service principal an owner of the app registration"
#define HINT_KEY                                                            \
    "no permission is needed for an application's own certificates: check " \
    "that rotate_object_id is the object id of this app registration, not " \
    "of the enterprise application, and this host's clock"
#define HINT_READ                                                     \
    "an application may read its own registration: check client_id, " \
    "rotate_object_id and graph_url"
#define HINT_POLICY                                                       \
    "a policy of the organisation for applications forbids this kind or " \
    "lifetime: use a certificate, shorten rotate_lifetime, or have the "  \
    "application exempted"

/* What Graph's own codes tell beyond the status. */
static const struct known_code {
    const char *code;
    const char *hint;
} known_codes[] = {
    {"CredentialTypeNotAllowedAsPerAppPolicy", HINT_POLICY},
    {"CredentialLifetimeExceedsMaxValueAsPerAppPolicy", HINT_POLICY},
    {"CredentialInvalidLifetimeAsPerAppPolicy", HINT_POLICY},
    {"Authentication_MissingOrMalformed",
     "the proof of possession was not taken: check that the certificate is "
     "registered, rotate_object_id, and this host's clock"},
    {"InvalidAuthenticationToken",
     "the token is for another service or cloud: check provider, tenant and "
     "graph_url"},
    {"Directory_QuotaExceeded",
     "the registration holds too many credentials: remove old ones"},
};

/* Graph's error code, for the log; "": there is none that is one word. */
static void
read_code(const char *body, size_t len, char out[CODE_MAX])
{
    struct err ignored;
    json_t *root = parse(body, len, &ignored);

    out[0] = '\0';
    copy_text(json_object_get(root, "error"), "code", out, CODE_MAX);
    for (const char *c = out; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '.')
            out[0] = '\0';
    json_decref(root);
}

static const char *
usual_hint(enum graph_message_action action)
{
    const char *hint = NULL;

    switch (action) {
    case GRAPH_MESSAGE_READ:
        hint = HINT_READ;
        break;
    case GRAPH_MESSAGE_KEY:
        hint = HINT_KEY;
        break;
    case GRAPH_MESSAGE_PASSWORD:
        hint = HINT_PASSWORD;
        break;
    }
    return hint;
}

static const char *
find_hint(enum graph_message_action action, int status, const char *code)
{
    for (size_t i = 0; i < ARRAY_LEN(known_codes); i++)
        if (strcmp(code, known_codes[i].code) == 0)
            return known_codes[i].hint;
    if (status == 401 || status == 403 || status == 404)
        return usual_hint(action);
    return NULL;
}

void
graph_message_read_refusal(enum graph_message_action action, int status,
                           const char *body, size_t len,
                           struct graph_refusal *out, struct err *err)
{
    enum err_code code = ERR_CONFIG;
    char word[CODE_MAX];

    read_code(body, len, word);
    *out = (struct graph_refusal){.reason = "refused", .is_lasting = true};
    if (status == 429) {
        *out = (struct graph_refusal){.reason = "throttled"};
        code = ERR_RETRY;
    } else if (status >= 500) {
        *out =
            (struct graph_refusal){.reason = "unavailable", .is_unknown = true};
        code = ERR_RETRY;
    } else if (status == 403 || status == 401) {
        out->reason = "forbidden";
        code = ERR_DENIED;
    } else if (status == 404) {
        out->reason = "not-found";
    } else if (status == 409 || strstr(word, "Exists") != NULL) {
        /* It was done before: look. */
        *out = (struct graph_refusal){.reason = "refused", .is_unknown = true};
    } else if (status < 400) {
        /* Redirects among them, which are not followed with a secret. */
        *out = (struct graph_refusal){.reason = "bad-answer",
                                      .is_lasting = true,
                                      .is_unknown = true,
                                      .hint = "check graph_url"};
        code = ERR_PROTO;
    }
    if (out->hint == NULL)
        out->hint = find_hint(action, status, word);
    (void)err_set(err, code, "Microsoft Graph answered %d%s%s", status,
                  word[0] != '\0' ? " " : "", word);
}
