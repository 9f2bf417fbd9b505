/*
 * acquire - one attempt to get one access token for one credential.
 *
 * Reads the secrets anew, asks the token endpoint, and says how it went. With
 * several keys (secrets, certificates) it goes on to the next one when the
 * provider refuses one or when one can't be read, and each key is told how it
 * did; any other failure ends the attempt. Where what is read has changed and
 * does not work, what was read before is tried. Only a machine's
 * own identity service is asked several times in one attempt, at the pace that
 * it wants (up to a minute). Does not know when to try again, or who waits for
 * the token, and keeps no refresh token.
 */
#ifndef TOKEN_DAEMON_ACQUIRE_H
#define TOKEN_DAEMON_ACQUIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/device_answer.h"
#include "token-daemon/oauth_response.h"
#include "token-daemon/problem.h"

struct discovery;
struct event_base;
struct grant;
struct http;
struct key;
struct key_list;
struct keyring;
struct signer;
struct acquire;

/* What every attempt needs. Borrowed: for the life of each attempt. */
struct acquire_context {
    struct event_base *base;
    struct http *http;
    struct signer *signer;
    int64_t (*wall)(void); /* s since 1970: clock_wall(), or a test's own */
    int timeout_ms;        /* of one HTTP request; 0: HTTP_TIMEOUT_MS */
    /* Which keys a credential has, in which order; NULL: those configured. */
    struct keyring *keyring;
    struct discovery *discovery; /* for `issuer`; NULL: such credentials fail */
    /*
     * Where a machine asks for its own tokens, unless its credential says so:
     * machine_identity_find(). NULL: such credentials fail.
     */
    const char *identity_endpoint;
    const char *identity_directory; /* MACHINE_IDENTITY_DIRECTORY: NULL */
    int second_ms; /* a second of the waits between tries; 0: 1000 */
};

struct acquire_request {
    /* A reference is held until the attempt ends: a reload may come any time */
    struct config *config;
    const struct config_credential *credential; /* of that configuration */
    const char *user;    /* copied; NULL where the grant is not per user */
    const char *scope;   /* copied; NULL: what the credential is for */
    size_t first_secret; /* where to begin, where there is no keyring */
    /*
     * NULL: what the keyring says. Else these keys only (copied by reference),
     * for a probe: a certificate that has expired is not even sent.
     */
    const struct key_list *keys;
    /*
     * Copied, and wiped after. Used where grant_needs_login(); without one the
     * attempt ends in PROBLEM_NEEDS_LOGIN and nothing is asked.
     */
    const char *refresh_token;

    /*
     * NULL: as the credential says. Else a step of a sign-in, by login_flow:
     * what that grant's form is made of, copied and wiped after.
     */
    const struct grant *grant;
    const char *code;
    const char *verifier;
    const char *redirect_uri;
    const char *device_code;
};

struct acquire_result {
    struct err err; /* code ERR_NONE: there is a token */
    enum problem problem;
    const char *reason; /* static: problem_word() */
    const char *hint;   /* static: what the operator may do; or NULL */
    int64_t number;     /* the provider's own error number; 0: none */
    const char *error;  /* static: OAuth's own word for it; NULL: none known */

    /*
     * The callee may take it; see acquire_done_fn. token.refresh is there when
     * the provider gave a new refresh token: it takes the place of the one in
     * the request, which may be dead from now on.
     */
    struct oauth_token token;
    struct device_answer device; /* of grant_device_request; the same holds */
    size_t secret_index;         /* in the order of this attempt: of that key */
    struct key *key;             /* worked, or tried last; borrowed; or NULL */
    /* One that was refused was put in so recently that it may not be known
     * everywhere yet: try again soon. */
    bool may_spread;
    int64_t not_after; /* the certificate's, s since 1970; 0: none used */

    int http_status;       /* of the last answer; 0: there was none */
    int64_t retry_after_s; /* what the last answer asked for; 0: nothing */
    bool has_skew;         /* did an answer say what time it is? */
    int64_t skew_s;        /* our clock minus the provider's */
    int64_t answered_us;   /* when it came, of CLOCK_BOOTTIME; 0: it did not */
    size_t requests;       /* HTTP requests that were made */
};

/*
 * How the attempt ended. Called exactly once, unless it was cancelled, from
 * the event loop and never from within acquire_start(). The attempt is over
 * then: the pointer that acquire_start() gave must be forgotten, not
 * cancelled. To keep the token, copy result->token and zero it there; what is
 * left in it is wiped after the call.
 */
typedef void acquire_done_fn(struct acquire_result *result, void *arg);

/*
 * Begin. NULL when out of memory; every other failure comes by `done`. The
 * attempt frees itself after `done`, or by acquire_cancel().
 */
struct acquire *acquire_start(const struct acquire_context *context,
                              const struct acquire_request *request,
                              acquire_done_fn *done, void *arg)
    __attribute__((warn_unused_result));

/* Give up without a call of `done`; set *acquire to NULL. Takes NULL. */
void acquire_cancel(struct acquire **acquire);

#endif
