/* What a provider publishes: one row is one document. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/discovery_document.h"

#define ISSUER "https://id.example.org"
#define FRAME  "\"issuer\":\"" ISSUER "\",\"token_endpoint\":\"" ISSUER "/t\""

struct row {
    const char *name;
    const char *body;
    const char *issuer; /* NULL: ISSUER */
    enum err_code want_code;
    const char *want_text;
    const char *want_token_url; /* NULL: ISSUER "/t" */
    const char *want_authorize_url;
    const char *want_device_url;
};

static struct row rows[] = {
    {.name = "all endpoints",
     .body = "{" FRAME ",\"authorization_endpoint\":\"" ISSUER "/a\","
             "\"device_authorization_endpoint\":\"" ISSUER "/d\","
             "\"scopes_supported\":[\"openid\"]}",
     .want_authorize_url = ISSUER "/a",
     .want_device_url = ISSUER "/d"},
    {.name = "only a token endpoint", .body = "{" FRAME "}"},
    {.name = "no device flow, said with null",
     .body = "{" FRAME ",\"device_authorization_endpoint\":null}"},
    {.name = "an endpoint on another host",
     .body = "{\"issuer\":\"" ISSUER "\","
             "\"token_endpoint\":\"https://other.example.org/t\"}",
     .want_token_url = "https://other.example.org/t"},
    {.name = "another issuer's",
     .body = "{\"issuer\":\"https://evil.example.org\","
             "\"token_endpoint\":\"" ISSUER "/t\"}",
     .want_code = ERR_CONFIG,
     .want_text = "another issuer's: write issuer exactly"},
    {.name = "an issuer with a slash more",
     .body = "{\"issuer\":\"" ISSUER "/\",\"token_endpoint\":\"" ISSUER "/t\"}",
     .want_code = ERR_CONFIG,
     .want_text = "another issuer's"},
    {.name = "nobody's",
     .body = "{\"token_endpoint\":\"" ISSUER "/t\"}",
     .want_code = ERR_CONFIG,
     .want_text = "another issuer's"},
    {.name = "no token endpoint",
     .body = "{\"issuer\":\"" ISSUER "\"}",
     .want_code = ERR_PROTO,
     .want_text = "token_endpoint is missing"},
    {.name = "a token endpoint without TLS",
     .body = "{\"issuer\":\"" ISSUER "\","
             "\"token_endpoint\":\"http://id.example.org/t\"}",
     .want_code = ERR_PROTO,
     .want_text = "token_endpoint of the issuer's document is not an https"},
    {.name = "a token endpoint on this machine",
     .body = "{\"issuer\":\"" ISSUER "\","
             "\"token_endpoint\":\"http://127.0.0.1/t\"}",
     .want_code = ERR_PROTO,
     .want_text = "token_endpoint of the issuer's document is not an https"},
    {.name = "the metadata service as token endpoint",
     .body = "{\"issuer\":\"" ISSUER "\","
             "\"token_endpoint\":\"http://169.254.169.254/t\"}",
     .want_code = ERR_PROTO,
     .want_text = "not an https"},
    {.name = "an issuer on this machine may say this machine",
     .body = "{\"issuer\":\"http://127.0.0.1:1\","
             "\"token_endpoint\":\"http://127.0.0.1:1/t\"}",
     .issuer = "http://127.0.0.1:1",
     .want_token_url = "http://127.0.0.1:1/t"},
    {.name = "a script to sign in at",
     .body = "{" FRAME ",\"authorization_endpoint\":\"javascript:x\"}",
     .want_code = ERR_PROTO,
     .want_text = "authorization_endpoint of the issuer's document"},
    {.name = "an endpoint that is a number",
     .body = "{" FRAME ",\"device_authorization_endpoint\":7}",
     .want_code = ERR_PROTO,
     .want_text = "device_authorization_endpoint of the issuer's document"},
    {.name = "the same field twice",
     .body = "{" FRAME ",\"issuer\":\"" ISSUER "\"}",
     .want_code = ERR_PROTO,
     .want_text = "not one JSON object"},
    {.name = "a page",
     .body = "<html>",
     .want_code = ERR_PROTO,
     .want_text = "not one JSON object"},
};

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
    struct discovery_document got = {0};
    struct err err = {ERR_NONE, ""};
    int rc;

    assert_non_null(body);
    memcpy(body, row->body, len);
    rc = discovery_document_parse(
        body, len, row->issuer != NULL ? row->issuer : ISSUER, &got, &err);
    free(body);
    assert_int_equal(err.code, row->want_code);
    assert_int_equal(rc, row->want_code == ERR_NONE ? 0 : -1);
    if (rc < 0) {
        assert_non_null(strstr(err.text, row->want_text));
        assert_null(strstr(err.text, "evil"));
        assert_null(got.issuer);
        return;
    }
    assert_same(got.token_url, row->want_token_url != NULL ? row->want_token_url
                                                           : ISSUER "/t");
    assert_same(got.authorize_url, row->want_authorize_url);
    assert_same(got.device_url, row->want_device_url);
    discovery_document_clear(&got);
    discovery_document_clear(&got);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = check_row,
                                       .initial_state = &rows[i]};
    return cmocka_run_group_tests_name("discovery_document", tests, NULL, NULL);
}
