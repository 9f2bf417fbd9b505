/*
 * provider - the presets: endpoints, scopes and submission servers per cloud.
 *
 * Pure. Whatever a preset says, the credential's own settings come first. The
 * list of servers is an access check: a token is never given to a client that
 * is about to log in to any other.
 */
#ifndef TOKEN_DAEMON_PROVIDER_H
#define TOKEN_DAEMON_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/discovery_document.h"

/* What is in effect for one credential. */
struct provider_settings {
    char *token_url;     /* owned; NULL where the issuer says it, and for a
                            managed_identity that asks at the usual place */
    char *authorize_url; /* owned; NULL: none, or the issuer says it */
    char *device_url;    /* owned; the same */
    char *scope;         /* owned; to ask for: a person's where the grant needs
                            a login, else the application's; NULL: none */
    bool has_refresh_scope; /* is the scope to be said again at a refresh? */
    const char *prompt;     /* static: what to ask the person; NULL: nothing */
    const char *access;     /* static: access_type, of Google's; or NULL */
    const char *ca_file; /* borrowed: of the credential; NULL: the system's */
    const char *proxy;   /* borrowed: of the credential; NULL: none */
};

/*
 * Work out the settings of a credential. Errors: ERR_CONFIG when the preset
 * needs a tenant that is missing or can't be used in a URL, or when neither
 * the preset nor the credential has a token_url nor an issuer; ERR_SYSTEM out
 * of memory.
 */
int provider_settings(const struct config_credential *credential,
                      struct provider_settings *out, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Fill in what the credential left to its issuer. Errors: ERR_SYSTEM out of
 * memory; *settings is then to be cleared as ever.
 */
int provider_settings_discover(struct provider_settings *settings,
                               const struct discovery_document *document,
                               struct err *err)
    __attribute__((warn_unused_result));

/*
 * May an id_token of this issuer be the provider's? For Microsoft the tenant
 * may be any, as a domain stands for its id. `discovered`: the issuer of the
 * document; NULL: none was fetched.
 */
bool provider_is_issuer(const struct config_credential *credential,
                        const char *discovered, const char *issuer);

/* Free what it owns; it is then zeroed. Twice is fine. */
void provider_settings_clear(struct provider_settings *settings);

/*
 * May a token of this credential be given out for this server? `name` is as
 * config_server_name() makes it. Says nothing of `relay` sections.
 */
bool provider_has_server(const struct config_credential *credential,
                         const char *name);

/*
 * After how many seconds without a use a refresh token of this provider ends;
 * 0: not known. What a provider says of one token is a limit beside it.
 */
int64_t provider_refresh_idle_s(const struct config_credential *credential);

/*
 * Where Microsoft Graph is for this credential: static or borrowed of it. NULL:
 * its provider has none.
 */
const char *provider_graph_url(const struct config_credential *credential);

/* The n-th server of the credential's preset, static; NULL: there are fewer. */
const char *provider_preset_server(const struct config_credential *credential,
                                   size_t n);

/* Is it a submission server of any preset? */
bool provider_is_known_server(const char *name);

/*
 * Seconds that a token must still live for this server to take it, where a
 * preset knows better than the general default (Microsoft's High Volume Email
 * refuses tokens minutes before they expire); else 0. A `relay` section's
 * min_token_lifetime comes first.
 */
int provider_min_token_lifetime(const char *name);

#endif
