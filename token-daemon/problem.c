/*
 * problem - why a token could not be had: the few kinds that are told apart.
 */
#include "token-daemon/problem.h"

static const struct {
    const char *word;
    enum err_code code;
} rows[] = {
    [PROBLEM_NONE] = {"ok", ERR_NONE},
    [PROBLEM_UNREACHABLE] = {"idp-unreachable", ERR_RETRY},
    [PROBLEM_UNAVAILABLE] = {"idp-unavailable", ERR_RETRY},
    [PROBLEM_THROTTLED] = {"throttled", ERR_RETRY},
    [PROBLEM_BAD_ANSWER] = {"bad-answer", ERR_PROTO},
    [PROBLEM_BAD_SECRET] = {"bad-secret", ERR_CONFIG},
    [PROBLEM_BAD_CLIENT] = {"bad-client", ERR_CONFIG},
    [PROBLEM_BAD_SCOPE] = {"bad-scope", ERR_CONFIG},
    [PROBLEM_BAD_REQUEST] = {"bad-request", ERR_CONFIG},
    [PROBLEM_ACCESS_DENIED] = {"access-denied", ERR_CONFIG},
    [PROBLEM_NEEDS_LOGIN] = {"needs-login", ERR_REAUTH},
    [PROBLEM_BAD_SETTINGS] = {"bad-settings", ERR_CONFIG},
    [PROBLEM_NO_SECRET] = {"no-secret", ERR_CONFIG},
    [PROBLEM_INTERNAL] = {"internal", ERR_SYSTEM},
};

const char *
problem_word(enum problem problem)
{
    return rows[problem].word;
}

enum err_code
problem_code(enum problem problem)
{
    return rows[problem].code;
}
