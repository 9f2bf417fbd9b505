/*
 * oauth_response - the answer of a token endpoint: a token, or what is wrong.
 *
 * Pure: status and body in, values out. RFC 6749, sections 5.1 and 5.2. What
 * to do next follows from the HTTP status and from `error`; a provider's own
 * numbers (Microsoft's AADSTS...) only choose the hint for the operator, since
 * they may change without notice.
 */
#ifndef TOKEN_DAEMON_OAUTH_RESPONSE_H
#define TOKEN_DAEMON_OAUTH_RESPONSE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "token-daemon/problem.h"

#define OAUTH_RESPONSE_MAX       ((size_t)256 * 1024) /* bytes of body */
#define OAUTH_RESPONSE_TOKEN_MAX ((size_t)32 * 1024)  /* bytes of one token */

struct oauth_token {
    char *access;     /* owned; printable ASCII without blanks */
    char *refresh;    /* owned; NULL: the answer had none */
    char *id_token;   /* owned; NULL: the answer had none */
    char *scope;      /* owned; that was granted; NULL: it said nothing */
    int64_t lifetime; /* s from now; at least 1, but see expires_on */
    int64_t
        expires_on; /* s since 1970, in place of lifetime, which is 0 then */
    int64_t refresh_in;       /* s from now; 0: it said nothing */
    int64_t refresh_lifetime; /* s from now, of `refresh`; 0: it said nothing */
};

/* Wipe and free what it owns; it is then zeroed. Twice is fine. */
void oauth_token_clear(struct oauth_token *token);

/* The same for all but `refresh` and `refresh_lifetime`. */
void oauth_token_keep_refresh(struct oauth_token *token);

/* What an answer that brought no token means. */
struct oauth_failure {
    enum problem problem;
    int64_t number;    /* Microsoft's AADSTS number; 0: none */
    const char *error; /* borrowed: static; `error` where it is a known word */
    const char *hint;  /* borrowed: static; what the operator may do; or NULL */
};

/*
 * What an `error` with its description means that did not come as the answer
 * of a token endpoint but in a URL. Fills in *failure and *err; no byte of the
 * texts is in there.
 */
void oauth_failure_read(const char *error, const char *description,
                        struct oauth_failure *failure, struct err *err);

/*
 * Read an answer. 0: *out is filled in, and what it owns is the caller's (give
 * it back with oauth_token_clear()). -1: *failure and *err are filled in;
 * err->code is that of the problem. The text holds no byte of the answer, only
 * numbers and words that are known here. *out is left alone then, but for a
 * success (RFC 6749, section 5.1) of which only the access token can't be used:
 * its refresh token, which may be the one that is good from now on, is in there
 * with its lifetime, alone, and is the caller's.
 */
int oauth_response_parse(int http_status, const char *body, size_t len,
                         struct oauth_token *out, struct oauth_failure *failure,
                         struct err *err) __attribute__((warn_unused_result));

#endif
