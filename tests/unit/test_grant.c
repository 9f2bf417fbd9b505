/* The forms that are sent, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/grant.h"

#define JWT_BEARER                                                          \
    "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-" \
    "type%3Ajwt-bearer&client_assertion="

static char value[] = "/subscriptions/s&x=y";

static const struct config_credential of_system = {.identity =
                                                       CONFIG_IDENTITY_SYSTEM};
static const struct config_credential by_client = {
    .identity = CONFIG_IDENTITY_CLIENT_ID, .identity_value = value};
static const struct config_credential by_object = {
    .identity = CONFIG_IDENTITY_OBJECT_ID, .identity_value = value};
static const struct config_credential by_resource = {
    .identity = CONFIG_IDENTITY_MSI_RES_ID, .identity_value = value};

struct row {
    const char *name;
    const struct grant *grant;
    struct grant_input input;
    const char *want;
};

static struct row rows[] = {
    {"client credentials with a secret",
     &grant_client_credentials,
     {.client_id = "0000-1111",
      .scope = "https://outlook.office365.com/.default",
      .secret = "abc"},
     "grant_type=client_credentials&client_id=0000-1111&"
     "scope=https%3A%2F%2Foutlook.office365.com%2F.default&client_secret=abc"},
    {"every byte of a secret that could break the form is escaped",
     &grant_client_credentials,
     {.client_id = "c", .secret = "a&b=c+d e%f~_-.*\xc3\xa9\x01\x7f"},
     "grant_type=client_credentials&client_id=c&client_secret="
     "a%26b%3Dc%2Bd%20e%25f%7E_-.*%C3%A9%01%7F"},
    {"client credentials with an assertion",
     &grant_client_credentials,
     {.client_id = "c", .scope = "s", .assertion = "e30.e30.AA-_"},
     "grant_type=client_credentials&client_id=c&scope=s&" JWT_BEARER
     "e30.e30.AA-_"},
    {"no scope, and neither secret nor assertion",
     &grant_client_credentials,
     {.client_id = "c"},
     "grant_type=client_credentials&client_id=c"},
    {"a token of another issuer in the place of a secret",
     &grant_workload_identity,
     {.client_id = "c", .scope = "s", .assertion = "e30.e30."},
     "grant_type=client_credentials&client_id=c&scope=s&" JWT_BEARER
     "e30.e30."},
    {"a refresh token of a public client",
     &grant_refresh_token,
     {.client_id = "c", .refresh_token = "1//0g+x"},
     "grant_type=refresh_token&client_id=c&refresh_token=1%2F%2F0g%2Bx"},
    {"a refresh token of a confidential client, with its scope",
     &grant_refresh_token,
     {.client_id = "c",
      .refresh_token = "r",
      .scope = "a offline_access",
      .secret = "s"},
     "grant_type=refresh_token&client_id=c&refresh_token=r&"
     "scope=a%20offline_access&client_secret=s"},
    {"a refresh token of a client with a certificate",
     &grant_refresh_token,
     {.client_id = "c", .refresh_token = "r", .assertion = "e30.e30.AA"},
     "grant_type=refresh_token&client_id=c&refresh_token=r&" JWT_BEARER
     "e30.e30.AA"},
    {"a code that the browser brought",
     &grant_authorization_code,
     {.client_id = "c",
      .scope = "not sent",
      .code = "0.A&b",
      .redirect_uri = "http://localhost:8400/",
      .verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
     "grant_type=authorization_code&client_id=c&code=0.A%26b&"
     "redirect_uri=http%3A%2F%2Flocalhost%3A8400%2F&"
     "code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
    {"a code, from a confidential client",
     &grant_authorization_code,
     {.client_id = "c",
      .code = "x",
      .redirect_uri = "r",
      .verifier = "v",
      .secret = "s"},
     "grant_type=authorization_code&client_id=c&code=x&redirect_uri=r&"
     "code_verifier=v&client_secret=s"},
    {"the request for a device's code",
     &grant_device_request,
     {.client_id = "c", .scope = "a b"},
     "client_id=c&scope=a%20b"},
    {"the question whether it was typed",
     &grant_device_code,
     {.client_id = "c", .scope = "not sent", .device_code = "GmRh-m"},
     "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&"
     "client_id=c&device_code=GmRh-m"},
    {"a service account's assertion, and nothing else",
     &grant_service_account,
     {.client_id = "c", .scope = "not sent", .user_assertion = "e30.e30.AA"},
     "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&"
     "assertion=e30.e30.AA"},
    {"the machine's own identity",
     &grant_managed_identity,
     {.scope = "https://outlook.office365.com/.default",
      .credential = &of_system},
     "resource=https%3A%2F%2Foutlook.office365.com"},
    {"a resource that is not written as a scope",
     &grant_managed_identity,
     {.scope = "api://x", .credential = &of_system},
     "resource=api%3A%2F%2Fx"},
    {"one of several identities, by its client id",
     &grant_managed_identity,
     {.scope = "r/.default", .credential = &by_client},
     "resource=r&client_id=%2Fsubscriptions%2Fs%26x%3Dy"},
    {"one of several identities, by its object id",
     &grant_managed_identity,
     {.scope = "r/.default", .credential = &by_object},
     "resource=r&object_id=%2Fsubscriptions%2Fs%26x%3Dy"},
    {"one of several identities, by its resource id",
     &grant_managed_identity,
     {.scope = "r/.default", .credential = &by_resource},
     "resource=r&msi_res_id=%2Fsubscriptions%2Fs%26x%3Dy"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct buf body;

    buf_init(&body, GRANT_BODY_MAX);
    row->grant->build(&row->input, &body);
    assert_false(buf_failed(&body));
    assert_string_equal(buf_str(&body), row->want);
    buf_clear(&body);
}

struct kind_row {
    const char *name;
    enum config_grant kind;
    const struct grant *want;
    enum grant_proof want_proof;
    bool want_per_user;
    bool want_login;
};

static struct kind_row kind_rows[] = {
    {"client_credentials", CONFIG_GRANT_CLIENT_CREDENTIALS,
     &grant_client_credentials, GRANT_PROOF_SECRET, false, false},
    {"authorization_code", CONFIG_GRANT_AUTHORIZATION_CODE,
     &grant_refresh_token, GRANT_PROOF_OPTIONAL, true, true},
    {"device_code", CONFIG_GRANT_DEVICE_CODE, &grant_refresh_token,
     GRANT_PROOF_OPTIONAL, true, true},
    {"managed_identity", CONFIG_GRANT_MANAGED_IDENTITY, &grant_managed_identity,
     GRANT_PROOF_MACHINE, false, false},
    {"workload_identity", CONFIG_GRANT_WORKLOAD_IDENTITY,
     &grant_workload_identity, GRANT_PROOF_FEDERATED, false, false},
    {"service_account", CONFIG_GRANT_SERVICE_ACCOUNT, &grant_service_account,
     GRANT_PROOF_ACCOUNT, true, false},
};

static void
check_kind(void **state)
{
    const struct kind_row *row = *state;

    assert_ptr_equal(grant_find(row->kind), row->want);
    assert_int_equal(row->want->proof, row->want_proof);
    assert_int_equal(grant_is_per_user(row->kind), row->want_per_user);
    assert_int_equal(grant_needs_login(row->kind), row->want_login);
}

static void
a_form_over_the_limit_fails(void **state)
{
    char scope[GRANT_SCOPE_MAX + 1];
    const struct grant_input input = {.client_id = "c", .secret = "0123456789"};
    const struct grant_input machine = {.scope = scope,
                                        .credential = &of_system};
    struct buf body;

    (void)state;
    buf_init(&body, 60);
    grant_client_credentials.build(&input, &body);
    assert_true(buf_failed(&body));
    buf_clear(&body);

    memset(scope, 'x', sizeof(scope) - 1);
    scope[sizeof(scope) - 1] = '\0';
    buf_init(&body, GRANT_BODY_MAX);
    grant_managed_identity.build(&machine, &body);
    assert_true(buf_failed(&body));
    buf_clear(&body);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(kind_rows) + 1];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[n++] = (struct CMUnitTest){.name = rows[i].name,
                                         .test_func = check_row,
                                         .initial_state = &rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(kind_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = kind_rows[i].name,
                                         .test_func = check_kind,
                                         .initial_state = &kind_rows[i]};
    tests[n++] =
        (struct CMUnitTest)cmocka_unit_test(a_form_over_the_limit_fails);
    return cmocka_run_group_tests_name("grant", tests, NULL, NULL);
}
