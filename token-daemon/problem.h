/*
 * problem - why a token could not be had: the few kinds that are told apart.
 *
 * Pure. A kind decides the stable word that lookups and logs begin with, the
 * error code (what the caller is to do) and how fast it is tried again. Kinds
 * come from HTTP statuses and OAuth's `error` values only, never from a
 * provider's own numbers or prose.
 */
#ifndef TOKEN_DAEMON_PROBLEM_H
#define TOKEN_DAEMON_PROBLEM_H

#include "common/err.h"

enum problem {
    PROBLEM_NONE,
    PROBLEM_UNREACHABLE,   /* no answer: connection, name, TLS, time limit */
    PROBLEM_UNAVAILABLE,   /* it answered that it cannot just now: 5xx */
    PROBLEM_THROTTLED,     /* 429: too many requests */
    PROBLEM_BAD_ANSWER,    /* what answered is no token endpoint */
    PROBLEM_BAD_SECRET,    /* invalid_client: secret or assertion refused */
    PROBLEM_BAD_CLIENT,    /* the application may not do this */
    PROBLEM_BAD_SCOPE,     /* invalid_scope, or an unknown resource */
    PROBLEM_BAD_REQUEST,   /* invalid_request: tenant, grant, parameters */
    PROBLEM_ACCESS_DENIED, /* a policy of the provider's forbids it */
    PROBLEM_NEEDS_LOGIN,   /* the grant is dead, a person must sign in */
    PROBLEM_BAD_SETTINGS,  /* no request can be made of the settings */
    PROBLEM_NO_SECRET,     /* a secret, key or certificate can't be read */
    PROBLEM_INTERNAL,      /* here: out of memory and the like */
};
#define PROBLEM_COUNT (PROBLEM_INTERNAL + 1) /* it stays the last */

/* The stable word: `throttled`, `bad-secret`, ... For NONE it is `ok`. */
const char *problem_word(enum problem problem);

/* What the caller is to do. For NONE it is ERR_NONE. */
enum err_code problem_code(enum problem problem);

#endif
