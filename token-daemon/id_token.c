/*
 * id_token - who has signed in, as the token endpoint says.
 *
 *     BASE64URL(header) "." BASE64URL(claims) "." BASE64URL(signature)
 */
#include "token-daemon/id_token.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "common/buf.h"
#include "token-daemon/base64url.h"

#define NAME_MAX_BYTES 320 /* of an address */

void
id_token_clear(struct id_token *token)
{
    free(token->issuer);
    for (size_t i = 0; i < ID_TOKEN_NAMES; i++)
        free(token->names[i]);
    *token = (struct id_token){0};
}

/* The claims as JSON; NULL: this is no JWT. */
static json_t *
open_claims(const char *text, size_t len)
{
    const char *first = memchr(text, '.', len);
    const char *second;
    json_t *root = NULL;
    struct buf claims;

    if (first == NULL)
        return NULL;
    first++;
    second = memchr(first, '.', len - (size_t)(first - text));
    if (second == NULL)
        return NULL;
    buf_init(&claims, ID_TOKEN_MAX);
    if (base64url_decode(&claims, first, (size_t)(second - first)) == 0 &&
        !buf_failed(&claims))
        root = json_loadb(buf_str(&claims), claims.len, JSON_REJECT_DUPLICATES,
                          NULL);
    buf_clear(&claims);
    return root;
}

/* `aud` is a text or an array of texts. */
static bool
is_for_client(const json_t *root, const char *client_id)
{
    const json_t *audience = json_object_get(root, "aud");
    const char *text = json_string_value(audience);

    if (text != NULL)
        return strcmp(text, client_id) == 0;
    for (size_t i = 0; i < json_array_size(audience); i++) {
        text = json_string_value(json_array_get(audience, i));
        if (text != NULL && strcmp(text, client_id) == 0)
            return true;
    }
    return false;
}

/* Section 3.1.3.7: 3, 9 and 11. */
static int
check_claims(const json_t *root, const struct id_token_check *check,
             struct err *err)
{
    const char *nonce = json_string_value(json_object_get(root, "nonce"));
    const json_t *expiry = json_object_get(root, "exp");

    if (!is_for_client(root, check->client_id))
        return err_set(err, ERR_PROTO,
                       "the id_token is for another application");
    if (check->nonce != NULL &&
        (nonce == NULL || strcmp(nonce, check->nonce) != 0))
        return err_set(err, ERR_PROTO, "the id_token is of another sign-in");
    if (!json_is_number(expiry) ||
        json_number_value(expiry) < (double)(check->now - ID_TOKEN_SLACK))
        return err_set(err, ERR_PROTO,
                       "the id_token has expired already: check this host's "
                       "clock");
    return 0;
}

/* Copy a text; *out is left NULL when there is none that can be. */
static int
copy_text(const json_t *root, const char *key, char **out, struct err *err)
{
    const json_t *field = json_object_get(root, key);
    const char *text = json_string_value(field);

    if (text == NULL || text[0] == '\0' ||
        strlen(text) != json_string_length(field))
        return 0;
    *out = strdup(text);
    return *out != NULL ? 0 : err_set(err, ERR_SYSTEM, "out of memory");
}

static int
copy_names(const json_t *root, struct id_token *out, struct err *err)
{
    static const char *const keys[ID_TOKEN_NAMES] = {"preferred_username",
                                                     "email", "upn"};
    size_t n = 0;

    for (size_t i = 0; i < ID_TOKEN_NAMES; i++) {
        if (copy_text(root, keys[i], &out->names[n], err) < 0)
            return -1;
        if (out->names[n] != NULL)
            n++;
    }
    return 0;
}

int
id_token_parse(const char *text, size_t len, const struct id_token_check *check,
               struct id_token *out, struct err *err)
{
    struct id_token token = {0};
    json_t *root = NULL;
    int rc = -1;

    if (len > ID_TOKEN_MAX)
        return err_set(err, ERR_PROTO, "the id_token is longer than %zu bytes",
                       ID_TOKEN_MAX);
    root = open_claims(text, len);
    if (!json_is_object(root)) {
        (void)err_set(err, ERR_PROTO, "the id_token is not a JWT");
        goto out;
    }
    if (check_claims(root, check, err) < 0 ||
        copy_text(root, "iss", &token.issuer, err) < 0 ||
        copy_names(root, &token, err) < 0)
        goto out;
    if (token.issuer == NULL) {
        (void)err_set(err, ERR_PROTO, "the id_token names no issuer");
        goto out;
    }
    *out = token; /* what it owns moves to the caller */
    token = (struct id_token){0};
    rc = 0;
out:
    id_token_clear(&token);
    json_decref(root);
    return rc;
}

bool
id_token_is_of(const struct id_token *token, const char *mailbox)
{
    for (size_t i = 0; i < ID_TOKEN_NAMES; i++)
        if (token->names[i] != NULL &&
            strcasecmp(token->names[i], mailbox) == 0)
            return true;
    return false;
}

static bool
may_be_shown(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++)
        if (name[i] < ' ' || name[i] > '~')
            return false;
    return len <= NAME_MAX_BYTES;
}

const char *
id_token_name(const struct id_token *token)
{
    for (size_t i = 0; i < ID_TOKEN_NAMES; i++)
        if (token->names[i] != NULL && may_be_shown(token->names[i]))
            return token->names[i];
    return NULL;
}
