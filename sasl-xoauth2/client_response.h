/*
 * client_response - what the client sends: user and token as one response.
 *
 * Pure. Two formats: XOAUTH2 (the one that Microsoft and Google document) and
 * OAUTHBEARER (RFC 7628, section 3.1). Neither is base64-encoded; the host of
 * the plugin does that.
 */
#ifndef SASL_XOAUTH2_CLIENT_RESPONSE_H
#define SASL_XOAUTH2_CLIENT_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

#define CLIENT_RESPONSE_NAME_MAX  1024  /* bytes of a user or a server */
#define CLIENT_RESPONSE_TOKEN_MAX 32768 /* bytes */
#define CLIENT_RESPONSE_MAX       40960 /* bytes: the longest of all these fits */

enum client_response_format {
    CLIENT_RESPONSE_XOAUTH2,
    CLIENT_RESPONSE_OAUTHBEARER,
};

/* Everything is borrowed for the call. */
struct client_response {
    const char *user; /* who logs in */
    const char *host; /* the server's name; OAUTHBEARER only */
    unsigned port;    /* 0: not known, then it is left out; OAUTHBEARER only */
    const char *token;
    size_t token_len; /* bytes */
};

/*
 * May this stand for a user or a server, in a response and in a request to
 * tokend? 1 to CLIENT_RESPONSE_NAME_MAX bytes, no blanks and no control bytes,
 * so that it can't bring in a field of its own.
 */
bool client_response_name_is_valid(const char *name);

/*
 * May this be sent as a token? 1 to CLIENT_RESPONSE_TOKEN_MAX bytes, all of
 * them visible ASCII.
 */
bool client_response_token_is_valid(const char *token, size_t len);

/*
 * Append the response. Names and token must be valid; then only running out
 * of memory can fail: ask buf_failed().
 */
void client_response_build(enum client_response_format format,
                           const struct client_response *response,
                           struct buf *out);

/*
 * What answers a server's error challenge, so that it goes on and fails the
 * authentication: nothing at all for XOAUTH2, one ^A for OAUTHBEARER
 * (RFC 7628, section 3.2.3). Static; never NULL.
 */
const char *client_response_to_error(enum client_response_format format);

#endif
