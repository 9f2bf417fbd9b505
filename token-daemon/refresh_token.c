/*
 * refresh_token - what a person's sign-in left.
 */
#include "token-daemon/refresh_token.h"

#include <stddef.h>

#include "common/secret.h"

/* The smaller of two numbers of which 0 means none. */
static int64_t
smaller(int64_t a, int64_t b)
{
    if (a == 0 || b == 0)
        return a != 0 ? a : b;
    return a < b ? a : b;
}

void
refresh_token_clear(struct refresh_token *token)
{
    secret_free(&token->text);
    *token = (struct refresh_token){0};
}

void
refresh_token_renew(struct refresh_token *token, struct oauth_token *issued,
                    int64_t wall)
{
    if (issued->refresh != NULL) {
        refresh_token_clear(token);
        token->text = issued->refresh;
        token->obtained_wall = wall;
        issued->refresh = NULL;
    }
    if (token->text == NULL)
        return;
    token->used_wall = wall;
    if (issued->refresh_lifetime > 0)
        token->expires_wall = wall + issued->refresh_lifetime;
}

void
refresh_token_restore(struct refresh_token *token, struct token_record *record)
{
    refresh_token_clear(token);
    *token = (struct refresh_token){
        .text = record->refresh_token,
        .obtained_wall = record->refresh_token_obtained_wall,
        .used_wall = record->refresh_token_used_wall,
        .expires_wall = record->refresh_token_expires_wall,
    };
    record->refresh_token = NULL;
}

void
refresh_token_save(const struct refresh_token *token,
                   struct token_record *record)
{
    record->refresh_token = token->text;
    record->refresh_token_obtained_wall = token->obtained_wall;
    record->refresh_token_used_wall = token->used_wall;
    record->refresh_token_expires_wall = token->expires_wall;
}

int64_t
refresh_token_ends(const struct refresh_token *token, int64_t idle_s)
{
    int64_t used =
        token->used_wall != 0 ? token->used_wall : token->obtained_wall;

    if (token->text == NULL)
        return 0;
    return smaller(token->expires_wall,
                   idle_s != 0 && used != 0 ? used + idle_s : 0);
}

int64_t
refresh_token_pause(const struct refresh_token *token, int64_t idle_s)
{
    int64_t life = token->expires_wall - token->obtained_wall;
    int64_t limit;

    if (token->text == NULL)
        return 0;
    limit = smaller(token->expires_wall != 0 && life > 0 ? life : 0, idle_s);
    limit = limit == 1 ? 1 : limit / 2;
    return smaller(limit, REFRESH_TOKEN_PAUSE_MAX_S);
}
