/*
 * What is kept of a token. What is read comes back the same when it is written
 * and read again.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "token-daemon/token_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
is_same(const struct token_record *a, const struct token_record *b)
{
    return is_same_text(a->access_token, b->access_token) &&
           a->expires_wall == b->expires_wall &&
           a->lifetime_s == b->lifetime_s &&
           is_same_text(a->refresh_token, b->refresh_token) &&
           a->refresh_token_obtained_wall == b->refresh_token_obtained_wall &&
           a->refresh_token_life_s == b->refresh_token_life_s &&
           a->refresh_token_used_wall == b->refresh_token_used_wall &&
           a->refresh_token_expires_wall == b->refresh_token_expires_wall &&
           is_same_text(a->scope, b->scope) && is_same_text(a->user, b->user) &&
           a->not_before_wall == b->not_before_wall &&
           a->due_wall == b->due_wall && a->failures == b->failures &&
           strcmp(a->reason, b->reason) == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token_record first, second;
    struct err err;
    struct buf out;

    if (token_record_decode((const char *)data, size, &first, &err) < 0) {
        if (first.access_token != NULL || first.refresh_token != NULL)
            abort();
        return 0;
    }
    buf_init(&out, TOKEN_RECORD_MAX);
    /* Six bytes for one may be too many; nothing else can be wrong. */
    if (token_record_encode(&first, &out, &err) == 0) {
        if (token_record_decode(out.data, out.len, &second, &err) < 0 ||
            !is_same(&first, &second))
            abort();
        token_record_clear(&second);
    }
    buf_clear(&out);
    token_record_clear(&first);
    return 0;
}
