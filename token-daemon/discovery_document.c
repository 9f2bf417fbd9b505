/*
 * discovery_document - what a provider publishes of itself.
 *
 *     {"issuer":"https://id.example.org","token_endpoint":"https://...",
 *      "authorization_endpoint":"https://...",
 *      "device_authorization_endpoint":"https://...", ...}
 */
#include "token-daemon/discovery_document.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "common/config_value.h"

#define URL_MAX 2048 /* bytes */

void
discovery_document_clear(struct discovery_document *document)
{
    free(document->issuer);
    free(document->token_url);
    free(document->authorize_url);
    free(document->device_url);
    *document = (struct discovery_document){0};
}

/*
 * Copy an endpoint. What comes by TLS from the issuer must not send us, and a
 * secret, to where there is no TLS: not on this machine either, where a service
 * that is none of the issuer's may listen.
 */
static int
copy_url(const json_t *root, const char *key, bool is_tls, char **out,
         struct err *err)
{
    const json_t *field = json_object_get(root, key);
    const char *text = json_string_value(field);
    struct err reason = {ERR_NONE, ""};

    if (field == NULL || json_is_null(field))
        return 0;
    if (text == NULL || json_string_length(field) != strlen(text) ||
        strlen(text) > URL_MAX || config_value_url(text, &reason) < 0 ||
        (is_tls && strncasecmp(text, "https://", 8) != 0))
        return err_set(err, ERR_PROTO,
                       "%s of the issuer's document is not an https URL", key);
    *out = strdup(text);
    return *out != NULL ? 0 : err_set(err, ERR_SYSTEM, "out of memory");
}

static int
read_document(const json_t *root, const char *issuer,
              struct discovery_document *out, struct err *err)
{
    const char *own = json_string_value(json_object_get(root, "issuer"));
    struct discovery_document document = {0};
    bool is_tls = strncasecmp(issuer, "https://", 8) == 0;
    int rc = -1;

    /* RFC 8414, section 3.3: byte for byte. */
    if (own == NULL || strcmp(own, issuer) != 0)
        return err_set(err, ERR_CONFIG,
                       "the document there is another issuer's: write issuer "
                       "exactly as its field \"issuer\" has it");
    if (copy_url(root, "token_endpoint", is_tls, &document.token_url, err) <
            0 ||
        copy_url(root, "authorization_endpoint", is_tls,
                 &document.authorize_url, err) < 0 ||
        copy_url(root, "device_authorization_endpoint", is_tls,
                 &document.device_url, err) < 0)
        goto out;
    if (document.token_url == NULL) {
        (void)err_set(err, ERR_PROTO,
                      "token_endpoint is missing in the issuer's document");
        goto out;
    }
    document.issuer = strdup(issuer);
    if (document.issuer == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        goto out;
    }
    *out = document; /* what it owns moves to the caller */
    document = (struct discovery_document){0};
    rc = 0;
out:
    discovery_document_clear(&document);
    return rc;
}

int
discovery_document_parse(const char *body, size_t len, const char *issuer,
                         struct discovery_document *out, struct err *err)
{
    json_t *root;
    int rc = -1;

    if (len > DISCOVERY_DOCUMENT_MAX)
        return err_set(err, ERR_PROTO,
                       "the issuer's document is longer than %zu bytes",
                       DISCOVERY_DOCUMENT_MAX);
    root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root))
        (void)err_set(err, ERR_PROTO,
                      "the issuer's document is not one JSON object without "
                      "duplicates");
    else
        rc = read_document(root, issuer, out, err);
    json_decref(root);
    return rc;
}
