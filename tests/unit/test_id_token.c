/* Who signed in: one row is one set of claims. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/util.h"
#include "token-daemon/base64url.h"
#include "token-daemon/id_token.h"

#define NOW   INT64_C(1767323045)
#define FRAME "\"iss\":\"https://i\",\"aud\":\"c\",\"exp\":1767323045"

struct row {
    const char *name;
    const char *claims;
    const char *nonce;     /* that was asked for; NULL: none */
    const char *want_name; /* NULL: none that can be shown */
    bool want_same;        /* is it relay@example.com's? */
    const char *want_text; /* NULL: it is good */
};

static struct row rows[] = {
    {.name = "Microsoft's, with the mailbox in preferred_username",
     .claims = "{" FRAME ",\"preferred_username\":\"Relay@Example.com\"}",
     .want_name = "Relay@Example.com",
     .want_same = true},
    {.name = "Google's, with the mailbox in email",
     .claims = "{" FRAME ",\"email\":\"relay@example.com\"}",
     .want_name = "relay@example.com",
     .want_same = true},
    {.name = "any of the names may be the mailbox's",
     .claims = "{" FRAME ",\"preferred_username\":\"someone\","
               "\"email\":\"x@y\",\"upn\":\"relay@example.com\"}",
     .want_name = "someone",
     .want_same = true},
    {.name = "somebody else",
     .claims = "{" FRAME ",\"email\":\"relay@example.com.evil\"}",
     .want_name = "relay@example.com.evil"},
    {.name = "nobody is named", .claims = "{" FRAME "}"},
    {.name = "a name that must not be shown",
     .claims = "{" FRAME ",\"email\":\"a\\u001b[2Jb\"}"},
    {.name = "a name with a NUL is none",
     .claims = "{" FRAME ",\"email\":\"relay@example.com\\u0000x\"}",
     .want_text = "not a JWT"},
    {.name = "a name that is a number is none",
     .claims = "{" FRAME ",\"email\":7}"},
    {.name = "this application is one of several",
     .claims = "{\"iss\":\"https://i\",\"aud\":[\"b\",7,\"c\"],"
               "\"exp\":1767323045}"},
    {.name = "another application's",
     .claims = "{\"iss\":\"https://i\",\"aud\":\"d\",\"exp\":1767323045}",
     .want_text = "another application"},
    {.name = "several, but not this one",
     .claims = "{\"iss\":\"https://i\",\"aud\":[\"d\"],\"exp\":1767323045}",
     .want_text = "another application"},
    {.name = "nobody's",
     .claims = "{\"iss\":\"https://i\",\"exp\":1767323045}",
     .want_text = "another application"},
    {.name = "the nonce that was asked for",
     .claims = "{" FRAME ",\"nonce\":\"n\"}",
     .nonce = "n"},
    {.name = "another nonce",
     .claims = "{" FRAME ",\"nonce\":\"m\"}",
     .nonce = "n",
     .want_text = "another sign-in"},
    {.name = "no nonce",
     .claims = "{" FRAME "}",
     .nonce = "n",
     .want_text = "another sign-in"},
    {.name = "expired, but not more than clocks may differ",
     .claims = "{\"iss\":\"https://i\",\"aud\":\"c\",\"exp\":1767322745}"},
    {.name = "expired",
     .claims = "{\"iss\":\"https://i\",\"aud\":\"c\",\"exp\":1767322744}",
     .want_text = "expired"},
    {.name = "without an end",
     .claims = "{\"iss\":\"https://i\",\"aud\":\"c\"}",
     .want_text = "expired"},
    {.name = "without an issuer",
     .claims = "{\"aud\":\"c\",\"exp\":1767323045}",
     .want_text = "no issuer"},
    {.name = "the same claim twice",
     .claims = "{" FRAME ",\"aud\":\"d\"}",
     .want_text = "not a JWT"},
    {.name = "claims that are no object",
     .claims = "[]",
     .want_text = "not a JWT"},
    {.name = "claims that are no JSON",
     .claims = "x",
     .want_text = "not a JWT"},
};

static const struct id_token_check whole = {.client_id = "c", .now = NOW};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct id_token_check check = whole;
    struct id_token got = {0};
    struct err err = {ERR_NONE, ""};
    struct buf jwt;
    int rc;

    check.nonce = row->nonce;
    buf_init(&jwt, 4096);
    buf_append_str(&jwt, "e30.");
    base64url_append(&jwt, row->claims, strlen(row->claims));
    buf_append_str(&jwt, ".c2ln");
    rc = id_token_parse(buf_str(&jwt), jwt.len, &check, &got, &err);
    buf_clear(&jwt);

    assert_int_equal(rc, row->want_text == NULL ? 0 : -1);
    if (rc < 0) {
        assert_int_equal(err.code, ERR_PROTO);
        assert_non_null(strstr(err.text, row->want_text));
        assert_null(got.issuer);
        return;
    }
    assert_string_equal(got.issuer, "https://i");
    assert_int_equal(id_token_is_of(&got, "relay@example.com"), row->want_same);
    if (row->want_name == NULL)
        assert_null(id_token_name(&got));
    else
        assert_string_equal(id_token_name(&got), row->want_name);
    id_token_clear(&got);
    id_token_clear(&got);
}

static void
what_is_no_jwt_is_refused(void **state)
{
    static const char *const bad[] = {"",    "e30",      "e30.e30", ".",
                                      "..",  "e30.e3.x", "a.b c.d", "e30.e30=.",
                                      "...", "e30..e30"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct id_token got = {0};
        struct err err = {ERR_NONE, ""};

        assert_int_equal(
            id_token_parse(bad[i], strlen(bad[i]), &whole, &got, &err), -1);
        assert_int_equal(err.code, ERR_PROTO);
    }
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = check_row,
                                       .initial_state = &rows[i]};
    tests[ARRAY_LEN(rows)] =
        (struct CMUnitTest)cmocka_unit_test(what_is_no_jwt_is_refused);
    return cmocka_run_group_tests_name("id_token", tests, NULL, NULL);
}
