/*
 * client_response - what the client sends: user and token as one response.
 *
 *     XOAUTH2     = "user=" user ^A "auth=Bearer " token ^A ^A
 *     OAUTHBEARER = "n,a=" saslname "," ^A "host=" host ^A
 *                   ["port=" port ^A] "auth=Bearer " token ^A ^A
 *     saslname    = user with "," as "=2C" and "=" as "=3D" (RFC 5801)
 */
#include "sasl-xoauth2/client_response.h"

#include <string.h>

#define CTRL_A "\001"

bool
client_response_name_is_valid(const char *name)
{
    size_t len = strnlen(name, CLIENT_RESPONSE_NAME_MAX + 1);

    if (len == 0 || len > CLIENT_RESPONSE_NAME_MAX)
        return false;
    for (const char *p = name; *p != '\0'; p++) {
        /* Bytes over 127 are UTF-8: mailboxes may be named so (RFC 6531). */
        unsigned char c = (unsigned char)*p;

        if (c <= ' ' || c == 0x7f)
            return false;
    }
    return true;
}

bool
client_response_token_is_valid(const char *token, size_t len)
{
    if (len == 0 || len > CLIENT_RESPONSE_TOKEN_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (token[i] <= ' ' || token[i] > '~')
            return false;
    }
    return true;
}

static void
append_saslname(struct buf *out, const char *user)
{
    for (const char *p = user; *p != '\0'; p++) {
        if (*p == ',')
            buf_append_str(out, "=2C");
        else if (*p == '=')
            buf_append_str(out, "=3D");
        else
            buf_append_char(out, *p);
    }
}

void
client_response_build(enum client_response_format format,
                      const struct client_response *response, struct buf *out)
{
    switch (format) {
    case CLIENT_RESPONSE_XOAUTH2:
        buf_append_str(out, "user=");
        buf_append_str(out, response->user);
        break;
    case CLIENT_RESPONSE_OAUTHBEARER:
        buf_append_str(out, "n,a=");
        append_saslname(out, response->user);
        buf_append_str(out, "," CTRL_A "host=");
        buf_append_str(out, response->host);
        if (response->port != 0) {
            buf_append_str(out, CTRL_A "port=");
            buf_append_int(out, response->port);
        }
        break;
    }
    buf_append_str(out, CTRL_A "auth=Bearer ");
    buf_append(out, response->token, response->token_len);
    buf_append_str(out, CTRL_A CTRL_A);
}

const char *
client_response_to_error(enum client_response_format format)
{
    return format == CLIENT_RESPONSE_OAUTHBEARER ? CTRL_A : "";
}
