/*
 * refresh_token - what a person's sign-in left: a token that brings tokens,
 * how old it is, and when it ends.
 *
 * Pure: the caller passes the time in. It ends when its provider said so, or
 * when it was not used for as long as the provider's preset knows, whichever
 * comes first. Owns the text and wipes it. Nothing here ever drops it because
 * its time is over: only the provider knows that.
 *
 * All times are seconds since 1970, as they outlive the process.
 */
#ifndef TOKEN_DAEMON_REFRESH_TOKEN_H
#define TOKEN_DAEMON_REFRESH_TOKEN_H

#include <stdint.h>

#include "token-daemon/oauth_response.h"
#include "token-daemon/token_record.h"

/* Used at the latest after so long, however long access tokens live. */
#define REFRESH_TOKEN_PAUSE_MAX_S (INT64_C(7) * 24 * 60 * 60)

/* Zeroed: there is none. */
struct refresh_token {
    char *text;            /* owned; NULL: there is none */
    int64_t obtained_wall; /* when this text was */
    int64_t used_wall;     /* when the provider last took it; 0: not known */
    int64_t expires_wall;  /* what the provider said; 0: nothing */
    int64_t life_s; /* that was left when that last moved; 0: not known */
};

/* Wipe and free; the struct is then zeroed. Twice is fine. */
void refresh_token_clear(struct refresh_token *token);

/*
 * The provider has answered: a newer one (taken out of `issued`) takes the
 * place of the old one, or the old one was used and stays.
 */
void refresh_token_renew(struct refresh_token *token,
                         struct oauth_token *issued, int64_t wall);

/* Take what was stored out of `record`. */
void refresh_token_restore(struct refresh_token *token,
                           struct token_record *record);

/* For storing; the text stays borrowed, so never clear the record. */
void refresh_token_save(const struct refresh_token *token,
                        struct token_record *record);

/*
 * When does it end? `idle_s`: what it may rest, see provider_refresh_idle_s().
 * 0: not known, or there is none.
 */
int64_t refresh_token_ends(const struct refresh_token *token, int64_t idle_s);

/*
 * From when on is its end worth a word? When a third of its life is left. An
 * end that moves never comes so near while it is used in time; one that does
 * not move, or that could not be used, does. 0: no end is known.
 */
int64_t refresh_token_warns(const struct refresh_token *token, int64_t idle_s);

/*
 * How long it may rest after it was used so that it surely lives, in seconds:
 * half of what would end it, and at most REFRESH_TOKEN_PAUSE_MAX_S. 0: there
 * is none.
 */
int64_t refresh_token_pause(const struct refresh_token *token, int64_t idle_s);

#endif
