/*
 * oauth_response - the answer of a token endpoint: a token, or what is wrong.
 *
 *     200  {"token_type":"Bearer","access_token":"...","expires_in":3599, ...}
 *     4xx  {"error":"invalid_client","error_description":"AADSTS7000222: ...",
 *           "error_codes":[7000222], ...}
 */
#include "token-daemon/oauth_response.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "common/secret.h"
#include "common/util.h"

#define LIFETIME_MAX (10 * INT64_C(31556952)) /* s: ten years */
#define NUMBER_MAX   99999999                 /* an AADSTS number */
#define DIGITS_MAX   10 /* of a number that is sent as a string */

/* RFC 6749, section 5.2; RFC 8628, section 3.5; and what providers have added.
 */
static const struct {
    const char *error;
    enum problem problem;
} errors[] = {
    {"access_denied", PROBLEM_ACCESS_DENIED},
    {"admin_policy_enforced", PROBLEM_ACCESS_DENIED},
    {"authorization_declined", PROBLEM_ACCESS_DENIED},
    {"authorization_pending", PROBLEM_NEEDS_LOGIN},
    {"bad_verification_code", PROBLEM_BAD_REQUEST},
    {"consent_required", PROBLEM_NEEDS_LOGIN},
    {"expired_token", PROBLEM_NEEDS_LOGIN},
    {"interaction_required", PROBLEM_NEEDS_LOGIN},
    {"invalid_client", PROBLEM_BAD_SECRET},
    {"invalid_grant", PROBLEM_NEEDS_LOGIN},
    {"invalid_request", PROBLEM_BAD_REQUEST},
    {"invalid_resource", PROBLEM_BAD_SCOPE},
    {"invalid_scope", PROBLEM_BAD_SCOPE},
    {"invalid_target", PROBLEM_BAD_SCOPE},
    {"login_required", PROBLEM_NEEDS_LOGIN},
    {"server_error", PROBLEM_UNAVAILABLE},
    {"slow_down", PROBLEM_NEEDS_LOGIN},
    {"temporarily_unavailable", PROBLEM_UNAVAILABLE},
    {"unauthorized_client", PROBLEM_BAD_CLIENT},
    {"unsupported_grant_type", PROBLEM_BAD_REQUEST},
};

/* What an operator may do about a number. Nothing else depends on it. */
#define HINT(number, text)                 \
    {                                      \
        number, "AADSTS" #number ": " text \
    }
#define CHECK_CERTIFICATE                                                  \
    "upload this certificate to the application, or check that it is the " \
    "right one"
#define SIGN_IN_AGAIN "sign in again with `xoauth2ctl login`"
#define ACCOUNT       "check the account in the directory"
#define CA_POLICY                                                              \
    "a Conditional Access policy or the security defaults forbid it: exclude " \
    "the application or name this host's location"
#define TRANSIENT "a passing fault at Microsoft; nothing to do"
#define TICKET    "if it goes on, open a support ticket with Microsoft"

static const struct {
    int64_t number;
    const char *text;
} hints[] = {
    HINT(16000, SIGN_IN_AGAIN),
    HINT(28002, "the scope is not one of the resource's: check scope"),
    HINT(50000, TICKET),
    HINT(50012, CHECK_CERTIFICATE),
    HINT(50020, "the account is not of this tenant: check tenant"),
    HINT(50033, TRANSIENT),
    HINT(50034, "the account is not in this tenant: check tenant and mailbox"),
    HINT(50053, "the account is locked: " ACCOUNT),
    HINT(50055, "the account's password has expired: " ACCOUNT),
    HINT(50057, "the account is disabled: " ACCOUNT),
    HINT(50072,
         "the account must enrol for multi-factor sign-in: " SIGN_IN_AGAIN),
    HINT(50074, "multi-factor sign-in is needed: " SIGN_IN_AGAIN),
    HINT(50076, "multi-factor sign-in is needed: " SIGN_IN_AGAIN),
    HINT(50078, "the multi-factor sign-in has expired: " SIGN_IN_AGAIN),
    HINT(50079,
         "the account must enrol for multi-factor sign-in: " SIGN_IN_AGAIN),
    HINT(50086, TICKET),
    HINT(50087, TRANSIENT),
    HINT(50089, "the sign-in has expired: " SIGN_IN_AGAIN),
    HINT(50126, "wrong name or password: " ACCOUNT),
    HINT(50131, CA_POLICY),
    HINT(50133, "the password was changed: " SIGN_IN_AGAIN),
    HINT(50166, TRANSIENT),
    HINT(50173, "the sign-in was revoked: " SIGN_IN_AGAIN),
    HINT(50194, "the application is for one tenant only: set tenant to its id "
                "or domain"),
    HINT(50196, "too many equal requests, which looks like a loop: another "
                "program may be using the same application"),
    HINT(51004, "the account is not in this tenant: check tenant and mailbox"),
    HINT(53000, CA_POLICY),
    HINT(53001, CA_POLICY),
    HINT(53002, CA_POLICY),
    HINT(53003, CA_POLICY),
    HINT(54005, "the code was used already: start the sign-in again"),
    HINT(65001, "consent is missing: an administrator must grant it to the "
                "application"),
    HINT(70001, "the application is disabled or not in this tenant: check "
                "tenant and client_id"),
    HINT(70008, "the sign-in has expired: " SIGN_IN_AGAIN),
    HINT(70011, "the scope is not valid: check scope and the cloud of "
                "provider"),
    HINT(70012, TRANSIENT),
    HINT(70043,
         "the sign-in frequency policy ended the session: " SIGN_IN_AGAIN),
    HINT(90002, "the tenant was not found: check tenant and the cloud of "
                "provider"),
    HINT(90006, TRANSIENT),
    HINT(90012, TRANSIENT),
    HINT(90024, TRANSIENT),
    HINT(90033, TRANSIENT),
    HINT(90036, TICKET),
    HINT(90038, "the tenant is in another cloud: check provider"),
    HINT(90055, "the tenant is throttled: too many requests"),
    HINT(90090, TRANSIENT),
    HINT(90092, TICKET),
    HINT(90094, "an administrator must grant consent to the application"),
    HINT(500011, "the resource is not in this tenant: check scope and the "
                 "cloud of provider"),
    HINT(501481, "the sign-in does not belong to this request: start it "
                 "again"),
    HINT(530032, CA_POLICY),
    HINT(530034, CA_POLICY),
    HINT(530035, CA_POLICY),
    HINT(650056, "the application lacks a permission or its consent: add "
                 "SMTP.SendAsApp and grant admin consent"),
    HINT(650057, "the application lacks a permission or its consent: add "
                 "SMTP.SendAsApp and grant admin consent"),
    HINT(700011, "the application was not found in the tenant: check "
                 "client_id and tenant"),
    HINT(700016, "the application was not found in the tenant: check "
                 "client_id and tenant, or grant consent there"),
    HINT(700021, "the assertion names another application: check client_id"),
    HINT(700022, "the scope names more than one resource: check scope"),
    HINT(700023, "the assertion is for another endpoint: check tenant and "
                 "token_url"),
    HINT(700024, "the assertion is not valid at this time: check this host's "
                 "clock"),
    HINT(700025, "the application is a public client: remove client_secret "
                 "or certificate"),
    HINT(700027, CHECK_CERTIFICATE),
    HINT(700030, CHECK_CERTIFICATE),
    HINT(700082, "the sign-in was not used for too long: " SIGN_IN_AGAIN),
    HINT(700084, "the sign-in has reached its end: " SIGN_IN_AGAIN),
    HINT(900144, "a parameter is missing: check the settings"),
    HINT(7000112, "the application is disabled: enable it in the tenant"),
    HINT(7000215, "wrong client secret: set the secret's value, not its id, "
                  "and check client_id"),
    HINT(7000218, "the application needs a client_secret or certificate, or "
                  "must allow public client flows"),
    HINT(7000222, "the client secret has expired: make a new one in the "
                  "application's registration"),
    HINT(9001023, "the tenant may not be common, organizations or consumers: "
                  "set its id or domain"),
};

/* Where no number says more. NULL: nothing that an operator could do. */
static const char *const general_hints[] = {
    [PROBLEM_NONE] = NULL,
    [PROBLEM_UNREACHABLE] = NULL,
    [PROBLEM_UNAVAILABLE] = "a fault at the provider; nothing to do",
    [PROBLEM_THROTTLED] = "too many requests; it is tried again when the "
                          "provider allows it",
    [PROBLEM_BAD_ANSWER] = "something other than a token endpoint answers: "
                           "check token_url, and any proxy on the way",
    [PROBLEM_BAD_SECRET] = "the provider does not take client_id with this "
                           "secret or certificate: check both",
    [PROBLEM_BAD_CLIENT] = "the application may not use this grant: check its "
                           "permissions and consent",
    [PROBLEM_BAD_SCOPE] = "check scope",
    [PROBLEM_BAD_REQUEST] = "check tenant, client_id and token_url",
    [PROBLEM_ACCESS_DENIED] = "a policy of the provider forbids it, or "
                              "whoever was to sign in declined",
    [PROBLEM_NEEDS_LOGIN] = "a person must sign in, or an administrator must "
                            "grant consent",
    [PROBLEM_BAD_SETTINGS] = NULL,
    [PROBLEM_NO_SECRET] = NULL,
    [PROBLEM_INTERNAL] = NULL,
};

void
oauth_token_clear(struct oauth_token *token)
{
    secret_free(&token->access);
    secret_free(&token->refresh);
    secret_free(&token->id_token);
    secret_free(&token->scope);
    *token = (struct oauth_token){0};
}

void
oauth_token_keep_refresh(struct oauth_token *token)
{
    struct oauth_token kept = {
        .refresh = token->refresh,
        .refresh_lifetime = token->refresh_lifetime,
    };

    token->refresh = NULL;
    oauth_token_clear(token);
    if (kept.refresh != NULL)
        *token = kept;
}

/* Printable ASCII without blanks: it goes into headers and SASL strings. */
static bool
is_token_text(const char *text, size_t len)
{
    if (len == 0 || len > OAUTH_RESPONSE_TOKEN_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return true;
}

/*
 * Copy a token out of `root`. Absent, null or empty is no error (managed
 * identities send an empty refresh_token): *out is then left NULL.
 */
static int
copy_token(const json_t *root, const char *key, char **out, struct err *err)
{
    const json_t *field = json_object_get(root, key);
    const char *text = json_string_value(field);

    if (field == NULL || json_is_null(field) ||
        (text != NULL && text[0] == '\0'))
        return 0;
    if (text == NULL || !is_token_text(text, json_string_length(field)))
        return err_set(err, ERR_PROTO,
                       "%s is not a string of 1 to %zu printable characters",
                       key, OAUTH_RESPONSE_TOKEN_MAX);
    *out = secret_dup(text);
    if (*out == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}

/*
 * The same for what is of use only once, at a sign-in: what can't be read is
 * left out, for no later answer should fail by it.
 */
static int
copy_extra(const json_t *root, const char *key, bool may_blank, char **out,
           struct err *err)
{
    const json_t *field = json_object_get(root, key);
    const char *text = json_string_value(field);
    size_t len = json_string_length(field);

    if (text == NULL || len == 0 || len > OAUTH_RESPONSE_TOKEN_MAX)
        return 0;
    for (size_t i = 0; i < len; i++)
        if (text[i] < (may_blank ? ' ' : '!') || text[i] > '~')
            return 0;
    *out = secret_dup(text);
    return *out != NULL ? 0 : err_set(err, ERR_SYSTEM, "out of memory");
}

/* A number, or a string of digits as managed identities send. */
static bool
read_seconds(const json_t *field, int64_t *out)
{
    const char *text = json_string_value(field);

    if (json_is_integer(field)) {
        *out = json_integer_value(field);
        return true;
    }
    if (text == NULL || text[0] == '\0' || strlen(text) > DIGITS_MAX ||
        strspn(text, "0123456789") != strlen(text))
        return false;
    *out = strtoll(text, NULL, 10);
    return true;
}

static int
read_lifetime(const json_t *root, struct oauth_token *out, struct err *err)
{
    const json_t *field = json_object_get(root, "expires_in");
    int64_t seconds;

    /* Some of Azure's identity services send that in its place. */
    if (field == NULL &&
        read_seconds(json_object_get(root, "expires_on"), &out->expires_on))
        return 0;
    if (field == NULL)
        return err_set(err, ERR_PROTO, "expires_in is missing");
    if (!read_seconds(field, &seconds) || seconds < 1 || seconds > LIFETIME_MAX)
        return err_set(err, ERR_PROTO,
                       "expires_in is not a number of seconds that can be");
    out->lifetime = seconds;
    return 0;
}

/* Advice only, so what can't be followed is left out. */
static int64_t
read_refresh_in(const json_t *root, int64_t lifetime)
{
    int64_t seconds;

    if (!read_seconds(json_object_get(root, "refresh_in"), &seconds) ||
        seconds < 1 || seconds >= lifetime)
        return 0;
    return seconds;
}

/* Neither Microsoft's nor Google's name for it is in a standard. */
static int64_t
read_refresh_lifetime(const json_t *root)
{
    static const char *const keys[] = {"refresh_token_expires_in",
                                       "refresh_expires_in"};
    int64_t seconds;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (read_seconds(json_object_get(root, keys[i]), &seconds) &&
            seconds >= 1 && seconds <= LIFETIME_MAX)
            return seconds;
    return 0;
}

/* RFC 6749, section 5.1. */
static int
read_token(const json_t *root, struct oauth_token *out, struct err *err)
{
    struct oauth_token token = {0};
    const char *type = json_string_value(json_object_get(root, "token_type"));
    int rc = -1;

    if (copy_token(root, "refresh_token", &token.refresh, err) < 0)
        return -1;
    token.refresh_lifetime = read_refresh_lifetime(root);
    if (type == NULL || strcasecmp(type, "bearer") != 0) {
        err_set(err, ERR_PROTO, "token_type is not bearer");
        goto out;
    }
    if (copy_token(root, "access_token", &token.access, err) < 0 ||
        copy_extra(root, "id_token", false, &token.id_token, err) < 0 ||
        copy_extra(root, "scope", true, &token.scope, err) < 0 ||
        read_lifetime(root, &token, err) < 0)
        goto out;
    if (token.access == NULL) {
        err_set(err, ERR_PROTO, "access_token is missing");
        goto out;
    }
    token.refresh_in = read_refresh_in(root, token.lifetime);
    rc = 0;
out:
    if (rc < 0)
        oauth_token_keep_refresh(&token);
    if (rc == 0 || token.refresh != NULL)
        *out = token; /* what it owns moves to the caller */
    return rc;
}

/* The number that a description begins with; 0: none. */
static int64_t
number_of(const char *description)
{
    static const char prefix[] = "AADSTS";
    int64_t number = 0;

    if (strncmp(description, prefix, sizeof(prefix) - 1) != 0)
        return 0;
    description += sizeof(prefix) - 1;
    for (; *description >= '0' && *description <= '9' && number <= NUMBER_MAX;
         description++)
        number = number * 10 + (*description - '0');
    return number;
}

/* The first of `error_codes`, else what the description begins with. */
static int64_t
read_number(const json_t *root)
{
    const json_t *code =
        json_array_get(json_object_get(root, "error_codes"), 0);
    const char *text =
        json_string_value(json_object_get(root, "error_description"));
    int64_t number = 0;

    if (json_is_integer(code))
        number = json_integer_value(code);
    else if (text != NULL)
        number = number_of(text);
    return number >= 1 && number <= NUMBER_MAX ? number : 0;
}

static const char *
choose_hint(int64_t number, enum problem problem)
{
    for (size_t i = 0; i < ARRAY_LEN(hints); i++)
        if (hints[i].number == number)
            return hints[i].text;
    return general_hints[problem];
}

/*
 * The word as it is written here, so that no byte of the answer is used, and
 * its kind; NULL, and *problem is left alone, when it is not known.
 */
static const char *
find_error(const char *error, enum problem *problem)
{
    for (size_t i = 0; error != NULL && i < ARRAY_LEN(errors); i++) {
        if (strcmp(error, errors[i].error) == 0) {
            *problem = errors[i].problem;
            return errors[i].error;
        }
    }
    return NULL;
}

void
oauth_failure_read(const char *error, const char *description,
                   struct oauth_failure *failure, struct err *err)
{
    enum problem problem = PROBLEM_BAD_REQUEST; /* for a word not known here */
    const char *known = find_error(error, &problem);
    int64_t number = number_of(description);
    char label[32] = "";

    if (number > NUMBER_MAX)
        number = 0;
    if (number != 0)
        (void)snprintf(label, sizeof(label), " AADSTS%" PRId64, number);
    *failure = (struct oauth_failure){
        .problem = problem,
        .number = number,
        .error = known,
        .hint = choose_hint(number, problem),
    };
    (void)err_set(err, problem_code(problem),
                  "the provider answered the sign-in with %s%s",
                  known != NULL ? known : "an unknown error", label);
}

/*
 * What the status alone says. Of the 4xx, only `error` tells which of them it
 * is; without one it was not a token endpoint that answered.
 */
static enum problem
problem_of_status(int http_status)
{
    if (http_status == 429)
        return PROBLEM_THROTTLED;
    if (http_status == 408 || http_status >= 500)
        return PROBLEM_UNAVAILABLE;
    return PROBLEM_BAD_ANSWER;
}

/*
 * Of two things that may be wrong, the status is the surer: a 5xx is a fault
 * over there, whatever its body says. `root` may be NULL.
 */
static void
read_failure(int http_status, const json_t *root, struct oauth_failure *out,
             struct err *err)
{
    enum problem problem = problem_of_status(http_status);
    enum problem named = PROBLEM_BAD_REQUEST; /* for a name not known here */
    const json_t *field = json_object_get(root, "error");
    bool has_error = json_is_string(field);
    const char *error = find_error(json_string_value(field), &named);
    int64_t number = read_number(root);
    char label[32] = "";

    if (problem == PROBLEM_BAD_ANSWER && has_error)
        problem = named;
    if (number != 0)
        (void)snprintf(label, sizeof(label), " AADSTS%" PRId64, number);
    *out = (struct oauth_failure){
        .problem = problem,
        .number = number,
        .error = error,
        .hint = choose_hint(number, problem),
    };
    (void)err_set(err, problem_code(problem),
                  "the token endpoint answered status %d%s%s%s", http_status,
                  has_error ? " " : "",
                  error != NULL ? error
                  : has_error   ? "an unknown error"
                                : "",
                  label);
}

/* The answer is no use, and *err says why: give that the kind it has. */
static int
fail_as(enum problem problem, struct oauth_failure *out, struct err *err)
{
    *out = (struct oauth_failure){
        .problem = problem,
        .hint = general_hints[problem],
    };
    err->code = problem_code(problem);
    return -1;
}

int
oauth_response_parse(int http_status, const char *body, size_t len,
                     struct oauth_token *out, struct oauth_failure *failure,
                     struct err *err)
{
    json_t *root = NULL;
    json_error_t where;
    int rc = -1;

    if (len > OAUTH_RESPONSE_MAX) {
        (void)err_set(err, ERR_PROTO, "the answer is longer than %zu bytes",
                      OAUTH_RESPONSE_MAX);
        return fail_as(PROBLEM_BAD_ANSWER, failure, err);
    }
    /* jansson's own message is not used: it quotes the input. */
    root = json_loadb(body, len, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL && json_error_code(&where) == json_error_out_of_memory) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return fail_as(PROBLEM_INTERNAL, failure, err);
    }
    if (http_status != 200 || json_is_string(json_object_get(root, "error"))) {
        read_failure(http_status, root, failure, err);
        goto out;
    }
    if (!json_is_object(root)) {
        (void)err_set(err, ERR_PROTO,
                      "the answer is not one JSON object without duplicates");
        (void)fail_as(PROBLEM_BAD_ANSWER, failure, err);
        goto out;
    }
    if (read_token(root, out, err) < 0) {
        (void)fail_as(err->code == ERR_SYSTEM ? PROBLEM_INTERNAL
                                              : PROBLEM_BAD_ANSWER,
                      failure, err);
        goto out;
    }
    rc = 0;
out:
    json_decref(root);
    return rc;
}
