/*
 * server_error - what a server says when it refuses a token by a challenge.
 *
 *     {"status":"400","schemes":"Bearer","scope":"https://mail.example/"}
 *
 * RFC 7628 has "invalid_token" and other words for a status, which give 0.
 */
#include "sasl-xoauth2/server_error.h"

#include <string.h>

#define STATUS_KEY    "\"status\""
#define STATUS_DIGITS 3

static size_t
skip_blanks(const char *text, size_t len, size_t at)
{
    while (at < len && (text[at] == ' ' || text[at] == '\t' ||
                        text[at] == '\r' || text[at] == '\n'))
        at++;
    return at;
}

int
server_error_status(const char *challenge, size_t len)
{
    const char *key = memmem(challenge, len, STATUS_KEY, strlen(STATUS_KEY));
    size_t at;
    int status = 0;

    if (key == NULL)
        return 0;
    at = (size_t)(key - challenge) + strlen(STATUS_KEY);
    at = skip_blanks(challenge, len, at);
    if (at == len || challenge[at] != ':')
        return 0;
    at = skip_blanks(challenge, len, at + 1);
    if (at < len && challenge[at] == '"')
        at++;
    for (size_t i = 0; i < STATUS_DIGITS; i++, at++) {
        if (at == len || challenge[at] < '0' || challenge[at] > '9')
            return 0;
        status = status * 10 + (challenge[at] - '0');
    }
    if (at < len && challenge[at] >= '0' && challenge[at] <= '9')
        return 0;
    return status;
}
