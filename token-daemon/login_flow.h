/*
 * login_flow - a person signs in for a mailbox, once, so that tokens can be
 * had without them from then on.
 *
 * By authorization code with PKCE (RFC 6749, section 4.1; RFC 7636): the
 * person opens a URL, and what the browser is sent to afterwards comes back
 * here, from a local page or pasted. Or by device code (RFC 8628): the person
 * types a short code at the provider's page, and we ask until that was done.
 * Or by a refresh token of elsewhere, which is tried by a token request.
 * Keeps nothing: the refresh token is the caller's. Knows nothing of
 * terminals, control sockets or the local page.
 */
#ifndef TOKEN_DAEMON_LOGIN_FLOW_H
#define TOKEN_DAEMON_LOGIN_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/acquire.h"

#define LOGIN_FLOW_CODE_LIFETIME 900 /* s that we wait for the browser */

struct login_flow;

struct login_flow_request {
    struct config *config; /* a reference is held until the end */
    const struct config_credential *credential; /* of that configuration */
    const char *mailbox; /* copied; whom it is for: the hint at the provider */
    size_t first_secret; /* see acquire_request */
    bool by_device;      /* device code, not authorization code */
    /*
     * Authorization code only, copied: `http://localhost:PORT/`, where the
     * local page listens, or where nothing does when the URL is to be pasted.
     * NULL: made of the credential's redirect_port, without a port when that
     * is 0.
     */
    const char *redirect_uri;
    /* May the account that signs in have another name than the mailbox? */
    bool may_differ;
    /*
     * Copied, and wiped after. Not NULL: nobody is asked; this is tried once,
     * and is what DONE gives where the provider gave no new one for it. It may
     * be good for one use only, so what DONE gives must be kept.
     */
    const char *refresh_token;
};

enum login_flow_kind {
    LOGIN_FLOW_PROMPT,  /* show it to the person; more will come */
    LOGIN_FLOW_WAITING, /* device code: asked once more, not yet; more comes */
    LOGIN_FLOW_DONE,    /* the end: signed in */
    LOGIN_FLOW_FAILED,  /* the end: acquire.err says why */
};

/* Whom the provider says has signed in. */
enum login_flow_account {
    LOGIN_FLOW_ACCOUNT_UNKNOWN, /* it does not say: no id_token */
    LOGIN_FLOW_ACCOUNT_SAME,    /* the mailbox */
    LOGIN_FLOW_ACCOUNT_OTHER,   /* see `account` */
};

/* All texts are borrowed: during the call. */
struct login_flow_event {
    enum login_flow_kind kind;

    /* PROMPT, WAITING */
    const char *url;       /* to be opened: authorize URL or verification_uri */
    const char *user_code; /* to be typed there; NULL: authorization code */
    const char *complete_url; /* that has the code in it; or NULL */
    int64_t lifetime;         /* s that are left */
    int64_t interval;         /* s to the next poll; 0: authorization code */

    /* DONE: result->token has the tokens; take what is wanted, as with
     * acquire_done_fn. token.refresh is never NULL then. FAILED: err, problem,
     * reason, hint as ever. NULL otherwise. */
    struct acquire_result *result;

    /* DONE, and FAILED when it is OTHER, which may_differ would allow. */
    enum login_flow_account account_match;
    const char *account; /* printable ASCII; NULL: unknown */

    /* DONE */
    const char *scope; /* that was granted; NULL: it did not say */
};

/*
 * Always from the event loop, never from within login_flow_start() or
 * login_flow_answer(). After DONE and FAILED the flow is over and its pointer
 * must be forgotten; none comes after that or after login_flow_cancel().
 * It must not be cancelled from within the callback of DONE or FAILED; in the
 * others it may.
 */
typedef void login_flow_fn(struct login_flow_event *event, void *arg);

/*
 * Begin. `context` is borrowed for the life of the flow. NULL when out of
 * memory; every other failure comes by `tell`. The credential must be one for
 * which grant_needs_login() holds (any of the two may use either way).
 */
struct login_flow *login_flow_start(const struct acquire_context *context,
                                    const struct login_flow_request *request,
                                    login_flow_fn *tell, void *arg)
    __attribute__((warn_unused_result));

/*
 * Authorization code: what the browser was sent to, as the local page got it
 * or as it was pasted: the whole URL, or its path and query, or the query.
 * 0: it was this flow's, and the end will be told by the callback. -1: it was
 * not understood, and the flow goes on waiting. Errors: ERR_PROTO (no such
 * answer, or another sign-in's), ERR_DENIED (this flow takes none now).
 */
int login_flow_answer(struct login_flow *flow, const char *text, size_t len,
                      struct err *err) __attribute__((warn_unused_result));

/* Is a code or a token with the provider, which may take it that once only? */
bool login_flow_is_exchanging(const struct login_flow *flow);

/* Give up without a further call; set *flow to NULL. Takes NULL. */
void login_flow_cancel(struct login_flow **flow);

#endif
