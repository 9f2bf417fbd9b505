/*
 * keeper_record - what of one keeper outlives a restart.
 */
#include "token-daemon/keeper_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/util.h"
#include "token-daemon/fingerprint.h"
#include "token-daemon/grant.h"
#include "token-daemon/hardening.h"
#include "token-daemon/provider.h"

int64_t
keeper_record_pause(const struct keeper *keeper)
{
    return refresh_token_pause(&keeper->refresh,
                               provider_refresh_idle_s(keeper->credential));
}

uint64_t
keeper_application(const struct config_credential *credential)
{
    static const unsigned char salt[] = "application";
    const char provider[] = {(char)('a' + (int)credential->provider), '\0'};
    const char *const texts[] = {provider, credential->tenant,
                                 credential->client_id, credential->issuer,
                                 credential->token_url};
    struct fingerprint_part parts[ARRAY_LEN(texts)];
    char mark[TOKEN_FINGERPRINT_LEN + 1];
    struct err err = {ERR_NONE, ""};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        parts[i] = (struct fingerprint_part){
            texts[i], texts[i] != NULL ? strlen(texts[i]) : 0};
    if (fingerprint_salted(salt, sizeof(salt), parts, ARRAY_LEN(parts), mark,
                           &err) < 0)
        return 0;
    return strtoull(mark, NULL, 16);
}

void
keeper_judge_aside(struct keeper *keeper)
{
    bool was_aside = keeper->is_aside;

    keeper->is_aside =
        keeper->refresh.text != NULL && keeper->application != 0 &&
        keeper->application != keeper_application(keeper->credential);
    if (keeper->is_aside && !was_aside)
        log_warning("what is stored is from another application and is not "
                    "used; a login is needed",
                    F_STR("credential", keeper->credential->name),
                    F_STR("user", keeper->user));
}

/* Fill in what is to be stored; texts are borrowed, so never clear it. */
static void
make_record(const struct keeper *keeper, struct token_record *out)
{
    int64_t wall = keeper_wall(keeper);
    int64_t pause = keeper_record_pause(keeper);
    struct token_snapshot snapshot;
    uint64_t application;

    token_snapshot(&keeper->token, keeper_now(keeper), wall, &snapshot);
    *out = (struct token_record){
        .user = keeper->user,
        .not_before_wall = snapshot.not_before_wall,
        .due_wall = snapshot.due_wall,
        .failures = snapshot.failures,
        .access_token = keeper->token.text,
        .expires_wall = snapshot.expires_wall,
        .lifetime_s = snapshot.lifetime_s,
    };
    refresh_token_save(&keeper->refresh, out);
    application = keeper->refresh.text != NULL
                      ? keeper->application
                      : keeper_application(keeper->credential);
    if (application != 0)
        (void)snprintf(out->application, sizeof(out->application),
                       "%016" PRIx64, application);
    (void)snprintf(out->reason, sizeof(out->reason), "%s", snapshot.reason);
    if (keeper->held != NULL) {
        out->access_token = keeper->held->access;
        out->lifetime_s = keeper->held->lifetime;
        out->expires_wall = wall + keeper->held->lifetime;
        out->due_wall = wall + keeper->held->lifetime / 2;
        if (pause > 0 && wall + pause < out->due_wall)
            out->due_wall = wall + pause;
        out->failures = 0;
        out->reason[0] = '\0';
    } else if (snapshot.text == NULL) {
        out->access_token = NULL;
    }
}

int
keeper_record_store(struct keeper *keeper, refresher_saved_fn *done)
{
    const struct refresher_env *env = &keeper->shared->env;
    struct token_record record;

    if (env->save == NULL)
        return -1;
    make_record(keeper, &record);
    return env->save(env->arg, keeper->name, &record, done, keeper);
}

void
keeper_save(struct keeper *keeper)
{
    /* What is stored may be all there is of a login. */
    if (keeper->refresh.text == NULL &&
        grant_needs_login(keeper->credential->grant))
        return;
    if (keeper->stranger != NULL)
        return; /* there is nothing to go on with */
    /* What fails is said by the one who writes, and is tried again there. */
    (void)keeper_record_store(keeper, NULL);
}

int
keeper_record(const struct keeper *keeper, struct token_record *out,
              struct err *err)
{
    struct token_record borrowed;

    make_record(keeper, &borrowed);
    return token_record_copy(&borrowed, out, err);
}

bool
keeper_is_unsaved(const struct keeper *keeper)
{
    return keeper->unsaved > 0;
}

bool
keeper_restore(struct keeper *keeper, struct token_record *record)
{
    struct token_snapshot snapshot = {
        .text = record->access_token,
        .lifetime_s = record->lifetime_s,
        .expires_wall = record->expires_wall,
        .due_wall = record->due_wall,
        .not_before_wall = record->not_before_wall,
        .failures = record->failures,
        .reason = record->reason,
    };
    uint64_t application = strtoull(record->application, NULL, 16);
    struct err err = {ERR_NONE, ""};
    bool is_taken = false;

    if (keeper->refresh.text == NULL && record->refresh_token != NULL) {
        refresh_token_restore(&keeper->refresh, record);
        keeper->application = application;
        is_taken = true;
        keeper_judge_aside(keeper);
        hardening_lock(keeper->refresh.text, strlen(keeper->refresh.text));
        /* It waited for a sign-in, not for an answer. */
        if (keeper->token.due_at == TOKEN_NEVER &&
            keeper->token.state != TOKEN_FETCHING)
            token_reset(&keeper->token, keeper_now(keeper));
    }
    keeper_judge_stranger(keeper);
    if (keeper->token.state != TOKEN_EMPTY ||
        (application != 0 &&
         application != keeper_application(keeper->credential)))
        return is_taken;
    keeper->is_to_spread = true;
    if (token_restore(&keeper->token, &snapshot, ++keeper->shared->serial,
                      keeper_now(keeper), keeper_wall(keeper), &err) < 0)
        log_error("a stored token could not be used, out of memory",
                  F_STR("credential", keeper->credential->name),
                  F_STR("user", keeper->user));
    keeper_judge_stranger(keeper);
    return true;
}
