/*
 * refresh_token - what a person's sign-in left.
 */
#include "token-daemon/refresh_token.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/secret.h"

/* An end that is said anew wavers by the seconds that the answer took. */
#define SAME_END_S 60

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

static void
note_end(struct refresh_token *token, int64_t life_s, int64_t wall)
{
    int64_t ends = wall + life_s;

    if (ends > token->expires_wall + SAME_END_S)
        token->life_s = life_s;
    token->expires_wall = ends;
}

void
refresh_token_renew(struct refresh_token *token, struct oauth_token *issued,
                    int64_t wall)
{
    bool is_said = issued->refresh_lifetime > 0;

    if (issued->refresh != NULL) {
        secret_free(&token->text);
        token->text = issued->refresh;
        token->obtained_wall = wall;
        issued->refresh = NULL;
        /* What was said of the old one does not hold for the new one. */
        if (!is_said)
            token->expires_wall = token->life_s = 0;
    }
    if (token->text == NULL)
        return;
    token->used_wall = wall;
    if (is_said)
        note_end(token, issued->refresh_lifetime, wall);
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
        .life_s = record->refresh_token_life_s,
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
    record->refresh_token_life_s = token->life_s;
}

/* What the provider said it lives; 0: nothing. */
static int64_t
life_of(const struct refresh_token *token)
{
    int64_t life = token->expires_wall - token->obtained_wall;

    if (token->expires_wall == 0)
        return 0;
    if (token->life_s != 0)
        return token->life_s;
    return life > 0 ? life : 0;
}

/* When it ends of resting; 0: not known. */
static int64_t
idle_end(const struct refresh_token *token, int64_t idle_s)
{
    int64_t used =
        token->used_wall != 0 ? token->used_wall : token->obtained_wall;

    return idle_s != 0 && used != 0 ? used + idle_s : 0;
}

int64_t
refresh_token_ends(const struct refresh_token *token, int64_t idle_s)
{
    if (token->text == NULL)
        return 0;
    return smaller(token->expires_wall, idle_end(token, idle_s));
}

int64_t
refresh_token_warns(const struct refresh_token *token, int64_t idle_s)
{
    int64_t idle = idle_end(token, idle_s);

    if (token->text == NULL)
        return 0;
    return smaller(
        token->expires_wall != 0 ? token->expires_wall - life_of(token) / 3 : 0,
        idle != 0 ? idle - idle_s / 3 : 0);
}

int64_t
refresh_token_pause(const struct refresh_token *token, int64_t idle_s)
{
    int64_t limit;

    if (token->text == NULL)
        return 0;
    limit = smaller(life_of(token), idle_s);
    limit = limit == 1 ? 1 : limit / 2;
    return smaller(limit, REFRESH_TOKEN_PAUSE_MAX_S);
}
