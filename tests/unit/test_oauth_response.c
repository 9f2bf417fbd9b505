/*
 * One row is one answer of a token endpoint; one row is one test.
 * To add a case, add a row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/oauth_response.h"

struct row {
    const char *name;
    int status;
    const char *body;
    enum problem want_problem; /* NONE: the wants below apply */
    int64_t want_number;
    const char *want_hint; /* how it begins; NULL: not looked at */
    const char *want_text; /* a part of err.text; NULL: not looked at */
    const char *want_access;
    const char *want_refresh; /* NULL: none */
    int64_t want_lifetime;
    int64_t want_refresh_in;
    int64_t want_expires_on;
    int64_t want_refresh_lifetime;
    const char *want_id_token; /* NULL: none */
    const char *want_scope;
    const char *want_error; /* NULL: none that is known */
};

#define GOOD "\"token_type\":\"Bearer\",\"access_token\":\"abc\""

/* Not const only because cmocka hands the row back as a `void *`. */
static struct row rows[] = {
    {
        .name = "RFC 6749 section 5.1, the example",
        .status = 200,
        .body = "{\"access_token\":\"2YotnFZFEjr1zCsicMWpAA\","
                "\"token_type\":\"example\",\"expires_in\":3600}",
        .want_problem = PROBLEM_BAD_ANSWER, /* we speak bearer only */
    },
    {
        .name = "as Entra answers for client credentials",
        .status = 200,
        .body = "{\"token_type\":\"Bearer\",\"expires_in\":3599,"
                "\"ext_expires_in\":3599,\"access_token\":\"abc\"}",
        .want_access = "abc",
        .want_lifetime = 3599,
    },
    {
        .name = "all fields",
        .status = 200,
        .body = "{" GOOD ",\"refresh_token\":\"def\",\"expires_in\":86399,"
                "\"refresh_in\":43199,\"scope\":\"a b\",\"id_token\":\"x.y\"}",
        .want_access = "abc",
        .want_refresh = "def",
        .want_lifetime = 86399,
        .want_refresh_in = 43199,
        .want_id_token = "x.y",
        .want_scope = "a b",
    },
    {
        .name = "an id_token and a scope that can't be read are left out",
        .status = 200,
        .body = "{" GOOD ",\"expires_in\":60,\"id_token\":\"a b\","
                "\"scope\":\"a\\u0007\",\"refresh_expires_in\":7}",
        .want_access = "abc",
        .want_lifetime = 60,
        .want_refresh_lifetime = 7,
    },
    {
        .name = "a moment in place of a lifetime",
        .status = 200,
        .body = "{" GOOD ",\"expires_on\":\"1767323045\"}",
        .want_access = "abc",
        .want_expires_on = 1767323045,
    },
    {
        .name = "neither a lifetime nor a moment that can be read",
        .status = 200,
        .body = "{" GOOD ",\"expires_on\":\"tomorrow\"}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "nobody has typed the device's code yet",
        .status = 400,
        .body = "{\"error\":\"authorization_pending\"}",
        .want_problem = PROBLEM_NEEDS_LOGIN,
        .want_error = "authorization_pending",
    },
    {
        .name = "asked too often for a device's code",
        .status = 400,
        .body = "{\"error\":\"slow_down\"}",
        .want_problem = PROBLEM_NEEDS_LOGIN,
        .want_error = "slow_down",
    },
    {
        .name = "the person said no",
        .status = 400,
        .body = "{\"error\":\"authorization_declined\"}",
        .want_problem = PROBLEM_ACCESS_DENIED,
        .want_error = "authorization_declined",
    },
    {
        .name = "as a managed identity answers: strings, no refresh token",
        .status = 200,
        .body = "{\"access_token\":\"abc\",\"refresh_token\":\"\","
                "\"expires_in\":\"86399\",\"expires_on\":\"1586984735\","
                "\"not_before\":\"1586898035\",\"token_type\":\"Bearer\"}",
        .want_access = "abc",
        .want_lifetime = 86399,
    },
    {
        .name = "token_type without case",
        .status = 200,
        .body = "{\"token_type\":\"bEARER\",\"access_token\":\"abc\","
                "\"expires_in\":1}",
        .want_access = "abc",
        .want_lifetime = 1,
    },
    {
        .name = "refresh_in that can't be followed is left out",
        .status = 200,
        .body = "{" GOOD ",\"expires_in\":3600,\"refresh_in\":3600}",
        .want_access = "abc",
        .want_lifetime = 3600,
    },
    {
        .name = "refresh_in that is no number is left out",
        .status = 200,
        .body = "{" GOOD ",\"expires_in\":3600,\"refresh_in\":{}}",
        .want_access = "abc",
        .want_lifetime = 3600,
    },
    {
        .name = "lifetime missing",
        .status = 200,
        .body = "{" GOOD "}",
        .want_problem = PROBLEM_BAD_ANSWER,
        .want_text = "expires_in is missing",
    },
    {
        .name = "lifetime zero",
        .status = 200,
        .body = "{" GOOD ",\"expires_in\":0}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "lifetime negative",
        .status = 200,
        .body = "{" GOOD ",\"expires_in\":-1}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "lifetime of centuries",
        .status = 200,
        .body = "{" GOOD ",\"expires_in\":9223372036854775807}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "lifetime over 64 bits",
        .status = 200,
        .body = "{" GOOD ",\"expires_in\":9223372036854775808}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "lifetime as a string of too many digits",
        .status = 200,
        .body = "{" GOOD ",\"expires_in\":\"99999999999\"}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "lifetime as a string with a sign",
        .status = 200,
        .body = "{" GOOD ",\"expires_in\":\"+3599\"}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "lifetime as a fraction",
        .status = 200,
        .body = "{" GOOD ",\"expires_in\":3599.5}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "no access token",
        .status = 200,
        .body = "{\"token_type\":\"Bearer\",\"refresh_token\":\"def\","
                "\"expires_in\":3599}",
        .want_problem = PROBLEM_BAD_ANSWER,
        .want_text = "access_token is missing",
        .want_refresh = "def",
    },
    {
        .name = "no lifetime, with all that may come beside it",
        .status = 200,
        .body = "{\"token_type\":\"Bearer\",\"refresh_token\":\"def\","
                "\"refresh_token_expires_in\":86400,\"scope\":\"s\","
                "\"id_token\":\"e30.e30.AA\",\"access_token\":\"abc\"}",
        .want_problem = PROBLEM_BAD_ANSWER,
        .want_refresh = "def",
        .want_refresh_lifetime = 86400,
    },
    {
        .name = "another type of token, with a refresh token",
        .status = 200,
        .body = "{\"token_type\":\"DPoP\",\"refresh_token\":\"def\","
                "\"access_token\":\"abc\",\"expires_in\":3599}",
        .want_problem = PROBLEM_BAD_ANSWER,
        .want_refresh = "def",
    },
    {
        .name = "control byte in the token, after a good refresh token",
        .status = 200,
        .body = "{\"token_type\":\"bearer\",\"refresh_token\":\"def\","
                "\"access_token\":\"a\\u0001b\",\"expires_in\":3599}",
        .want_problem = PROBLEM_BAD_ANSWER,
        .want_refresh = "def",
    },
    {
        .name = "blank in the token",
        .status = 200,
        .body = "{\"token_type\":\"bearer\",\"access_token\":\"a b\","
                "\"expires_in\":3599}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "NUL in the token",
        .status = 200,
        .body = "{\"token_type\":\"bearer\",\"access_token\":\"a\\u0000b\","
                "\"expires_in\":3599}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "token that is not ASCII",
        .status = 200,
        .body = "{\"token_type\":\"bearer\",\"access_token\":\"\xc3\xa9\","
                "\"expires_in\":3599}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "refresh token that is a number",
        .status = 200,
        .body = "{" GOOD ",\"refresh_token\":7,\"expires_in\":3599}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "the same key twice",
        .status = 200,
        .body = "{" GOOD ",\"access_token\":\"def\",\"expires_in\":3599}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "something after the object",
        .status = 200,
        .body = "{" GOOD ",\"expires_in\":3599} x",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "truncated",
        .status = 200,
        .body = "{\"access_token\":\"a",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "empty",
        .status = 200,
        .body = "",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "an array",
        .status = 200,
        .body = "[]",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "a sign-in page of some network",
        .status = 200,
        .body = "<html>",
        .want_problem = PROBLEM_BAD_ANSWER,
        .want_hint = "something other than a token endpoint",
    },
    {
        .name = "an error under status 200",
        .status = 200,
        .body = "{\"error\":\"invalid_scope\"}",
        .want_problem = PROBLEM_BAD_SCOPE,
    },
    {
        .name = "wrong client secret",
        .status = 401,
        .body = "{\"error\":\"invalid_client\",\"error_description\":"
                "\"AADSTS7000215: Invalid client secret provided. PLANTED\","
                "\"error_codes\":[7000215],\"trace_id\":\"PLANTED\"}",
        .want_problem = PROBLEM_BAD_SECRET,
        .want_number = 7000215,
        .want_hint = "AADSTS7000215: wrong client secret",
        .want_text = "status 401 invalid_client AADSTS7000215",
    },
    {
        .name = "expired client secret, number in the description only",
        .status = 401,
        .body = "{\"error\":\"invalid_client\",\"error_description\":"
                "\"AADSTS7000222: PLANTED\"}",
        .want_problem = PROBLEM_BAD_SECRET,
        .want_number = 7000222,
        .want_hint = "AADSTS7000222: the client secret has expired",
    },
    {
        .name = "a number that is not known changes nothing but is shown",
        .status = 400,
        .body = "{\"error\":\"invalid_client\",\"error_codes\":[424242]}",
        .want_problem = PROBLEM_BAD_SECRET,
        .want_number = 424242,
        .want_hint = "the provider does not take client_id",
        .want_text = "AADSTS424242",
    },
    {
        .name = "the number does not decide: throttled by number only",
        .status = 400,
        .body = "{\"error\":\"invalid_grant\",\"error_codes\":[90055]}",
        .want_problem = PROBLEM_NEEDS_LOGIN,
        .want_number = 90055,
    },
    {
        .name = "numbers that can't be are none",
        .status = 400,
        .body = "{\"error\":\"invalid_client\",\"error_codes\":[-5]}",
        .want_problem = PROBLEM_BAD_SECRET,
    },
    {
        .name = "a number of too many digits is none",
        .status = 400,
        .body = "{\"error\":\"invalid_client\",\"error_description\":"
                "\"AADSTS99999999999999999999999999\"}",
        .want_problem = PROBLEM_BAD_SECRET,
    },
    {
        .name = "error_codes that is no array",
        .status = 400,
        .body = "{\"error\":\"invalid_client\",\"error_codes\":\"7\"}",
        .want_problem = PROBLEM_BAD_SECRET,
    },
    {
        .name = "grant revoked",
        .status = 400,
        .body = "{\"error\":\"invalid_grant\"}",
        .want_problem = PROBLEM_NEEDS_LOGIN,
    },
    {
        .name = "multi-factor sign-in needed",
        .status = 400,
        .body = "{\"error\":\"interaction_required\",\"error_codes\":[50076],"
                "\"suberror\":\"basic_action\"}",
        .want_problem = PROBLEM_NEEDS_LOGIN,
        .want_number = 50076,
        .want_hint = "AADSTS50076: multi-factor",
    },
    {
        .name = "application not in the tenant",
        .status = 400,
        .body = "{\"error\":\"unauthorized_client\",\"error_codes\":[700016]}",
        .want_problem = PROBLEM_BAD_CLIENT,
        .want_number = 700016,
        .want_hint = "AADSTS700016: the application was not found",
    },
    {
        .name = "scope refused",
        .status = 400,
        .body = "{\"error\":\"invalid_scope\",\"error_codes\":[70011]}",
        .want_problem = PROBLEM_BAD_SCOPE,
        .want_number = 70011,
    },
    {
        .name = "tenant not found",
        .status = 400,
        .body = "{\"error\":\"invalid_request\",\"error_codes\":[90002]}",
        .want_problem = PROBLEM_BAD_REQUEST,
        .want_number = 90002,
        .want_hint = "AADSTS90002: the tenant was not found",
    },
    {
        .name = "conditional access",
        .status = 400,
        .body = "{\"error\":\"access_denied\",\"error_codes\":[53003]}",
        .want_problem = PROBLEM_ACCESS_DENIED,
        .want_number = 53003,
    },
    {
        .name = "an error that is not known is not quoted",
        .status = 400,
        .body = "{\"error\":\"PLANTED\"}",
        .want_problem = PROBLEM_BAD_REQUEST,
        .want_text = "status 400 an unknown error",
    },
    {
        .name = "a passing fault under status 400",
        .status = 400,
        .body = "{\"error\":\"temporarily_unavailable\","
                "\"error_codes\":[90033]}",
        .want_problem = PROBLEM_UNAVAILABLE,
        .want_number = 90033,
    },
    {
        .name = "throttled",
        .status = 429,
        .body = "{\"error\":\"invalid_request\",\"error_codes\":[90055]}",
        .want_problem = PROBLEM_THROTTLED,
        .want_number = 90055,
    },
    {
        .name = "throttled without a body",
        .status = 429,
        .body = "",
        .want_problem = PROBLEM_THROTTLED,
    },
    {
        .name = "a broken server that says the secret is wrong",
        .status = 500,
        .body = "{\"error\":\"invalid_client\"}",
        .want_problem = PROBLEM_UNAVAILABLE,
    },
    {
        .name = "proxy error page",
        .status = 502,
        .body = "<html>",
        .want_problem = PROBLEM_UNAVAILABLE,
    },
    {
        .name = "request timeout",
        .status = 408,
        .body = "",
        .want_problem = PROBLEM_UNAVAILABLE,
    },
    {
        .name = "a redirect",
        .status = 302,
        .body = "",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "not found, no JSON",
        .status = 404,
        .body = "<html>PLANTED",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "error that is an object",
        .status = 403,
        .body = "{\"error\":{\"code\":403,\"message\":\"PLANTED\"}}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
    {
        .name = "created",
        .status = 201,
        .body = "{" GOOD ",\"expires_in\":3599}",
        .want_problem = PROBLEM_BAD_ANSWER,
    },
};

static void
check_failure(const struct row *row, const struct oauth_failure *failure,
              const struct err *err)
{
    assert_int_equal(failure->problem, row->want_problem);
    assert_int_equal(err->code, problem_code(row->want_problem));
    assert_int_equal(failure->number, row->want_number);
    assert_true(err->text[0] != '\0');
    assert_null(strstr(err->text, "PLANTED"));
    if (row->want_hint != NULL)
        assert_memory_equal(failure->hint, row->want_hint,
                            strlen(row->want_hint));
    if (row->want_text != NULL)
        assert_non_null(strstr(err->text, row->want_text));
}

static void
assert_same(const char *got, const char *want)
{
    if (want == NULL)
        assert_null(got);
    else
        assert_string_equal(got, want);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    size_t len = strlen(row->body);
    char *body = malloc(len + 1); /* so that reading on is seen */
    struct oauth_token got = {0};
    struct oauth_failure failure = {0};
    struct err err = {ERR_NONE, ""};
    int rc;

    assert_non_null(body);
    memcpy(body, row->body, len);
    rc = oauth_response_parse(row->status, body, len, &got, &failure, &err);
    free(body);

    assert_int_equal(rc, row->want_problem == PROBLEM_NONE ? 0 : -1);
    if (rc < 0) {
        check_failure(row, &failure, &err);
        if (row->want_error != NULL)
            assert_string_equal(failure.error, row->want_error);
        /* The refresh token alone. */
        assert_null(got.access);
        assert_null(got.id_token);
        assert_null(got.scope);
        assert_same(got.refresh, row->want_refresh);
        assert_int_equal(got.refresh_lifetime, row->want_refresh_lifetime);
        oauth_token_clear(&got);
        return;
    }
    assert_int_equal(err.code, ERR_NONE);
    assert_string_equal(got.access, row->want_access);
    if (row->want_refresh == NULL)
        assert_null(got.refresh);
    else
        assert_string_equal(got.refresh, row->want_refresh);
    assert_int_equal(got.lifetime, row->want_lifetime);
    assert_int_equal(got.refresh_in, row->want_refresh_in);
    assert_int_equal(got.expires_on, row->want_expires_on);
    assert_int_equal(got.refresh_lifetime, row->want_refresh_lifetime);
    assert_same(got.id_token, row->want_id_token);
    assert_same(got.scope, row->want_scope);
    oauth_token_clear(&got);
    oauth_token_clear(&got);
}

/* An answer whose token is `len` bytes long; owned. */
static char *
answer_with_token(size_t len)
{
    static const char head[] = "{\"token_type\":\"Bearer\",\"expires_in\":60,"
                               "\"access_token\":\"";
    char *body = malloc(sizeof(head) + len + 2);

    assert_non_null(body);
    memcpy(body, head, sizeof(head) - 1);
    memset(body + sizeof(head) - 1, 'x', len);
    memcpy(body + sizeof(head) - 1 + len, "\"}", 3);
    return body;
}

static void
tokens_of_32_kib_are_taken_and_no_longer_ones(void **state)
{
    struct oauth_token got = {0};
    struct oauth_failure failure = {0};
    struct err err = {ERR_NONE, ""};
    char *body = answer_with_token(OAUTH_RESPONSE_TOKEN_MAX);

    (void)state;
    assert_int_equal(
        oauth_response_parse(200, body, strlen(body), &got, &failure, &err), 0);
    assert_int_equal(strlen(got.access), OAUTH_RESPONSE_TOKEN_MAX);
    oauth_token_clear(&got);
    free(body);

    body = answer_with_token(OAUTH_RESPONSE_TOKEN_MAX + 1);
    assert_int_equal(
        oauth_response_parse(200, body, strlen(body), &got, &failure, &err),
        -1);
    assert_int_equal(failure.problem, PROBLEM_BAD_ANSWER);
    free(body);
}

static void
a_body_over_the_cap_is_not_even_parsed(void **state)
{
    struct oauth_token got = {0};
    struct oauth_failure failure = {0};
    struct err err = {ERR_NONE, ""};
    size_t len = OAUTH_RESPONSE_MAX + 1;
    char *body = malloc(len);

    (void)state;
    assert_non_null(body);
    memset(body, ' ', len);
    assert_int_equal(oauth_response_parse(200, body, len, &got, &failure, &err),
                     -1);
    assert_int_equal(failure.problem, PROBLEM_BAD_ANSWER);
    assert_non_null(strstr(err.text, "longer"));
    free(body);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 2];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    tests[ARRAY_LEN(rows)] = (struct CMUnitTest)cmocka_unit_test(
        tokens_of_32_kib_are_taken_and_no_longer_ones);
    tests[ARRAY_LEN(rows) + 1] = (struct CMUnitTest)cmocka_unit_test(
        a_body_over_the_cap_is_not_even_parsed);
    return cmocka_run_group_tests_name("oauth_response", tests, NULL, NULL);
}
