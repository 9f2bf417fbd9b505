/*
 * What a token endpoint answers. The first two bytes are the HTTP status, the
 * rest is the body.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "token-daemon/oauth_response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int must_hold)
{
    if (!must_hold)
        abort();
}

static void
check_token(const struct oauth_token *token)
{
    check(token->access != NULL && token->access[0] != '\0');
    check(strlen(token->access) <= OAUTH_RESPONSE_TOKEN_MAX);
    for (const char *c = token->access; *c != '\0'; c++)
        check(*c > ' ' && *c <= '~');
    check(token->lifetime >= 1);
    check(token->refresh_in >= 0 && token->refresh_in < token->lifetime);
}

/* Most of the time one of the two that the body matters for. */
static int
choose_status(const uint8_t *data)
{
    if (data[0] & 1)
        return (data[0] << 8 | data[1]) % 600;
    return data[1] & 1 ? 200 : 400;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oauth_token token = {0};
    struct oauth_failure failure = {.problem = PROBLEM_NONE};
    struct err err = {ERR_NONE, ""};
    int status;

    if (size < 2)
        return 0;
    status = choose_status(data);
    if (oauth_response_parse(status, (const char *)data + 2, size - 2, &token,
                             &failure, &err) == 0) {
        check(status == 200);
        check_token(&token);
    } else {
        check(token.access == NULL && token.refresh == NULL);
        check(failure.problem != PROBLEM_NONE);
        check(err.code == problem_code(failure.problem));
        check(err.text[0] != '\0');
    }
    oauth_token_clear(&token);
    return 0;
}
