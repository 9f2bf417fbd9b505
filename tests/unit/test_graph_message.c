/*
 * What is said to Microsoft Graph, byte for byte, and what it answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/graph_message.h"
#include "token-daemon/provider.h"

#define ID    "00001111-aaaa-2222-bbbb-3333cccc4444"
#define OTHER "aaaa1111-aaaa-2222-bbbb-3333cccc4444"

/* ---- URLs and bodies ------------------------------------------------------
 */

static void
a_registration_is_found_by_either_id(void **state)
{
    static const struct {
        const char *graph_url;
        const char *object_id;
        const char *client_id;
        const char *action;
        const char *want;
    } rows[] = {
        {"https://graph.microsoft.com", ID, OTHER, "/addKey",
         "https://graph.microsoft.com/v1.0/applications/" ID "/addKey"},
        {"https://graph.microsoft.us//", NULL, OTHER, "/removePassword",
         "https://graph.microsoft.us/v1.0/applications(appId='" OTHER
         "')/removePassword"},
        {"https://g", NULL, "it's/a?", "",
         "https://g/v1.0/applications(appId='it%27s%2Fa%3F')?$select=id,"
         "keyCredentials,passwordCredentials"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out;

        buf_init(&out, GRAPH_MESSAGE_URL_MAX);
        graph_message_url(rows[i].graph_url, rows[i].object_id,
                          rows[i].client_id, rows[i].action, &out);
        assert_string_equal(buf_str(&out), rows[i].want);
        buf_clear(&out);
    }
}

static void
bodies_are_what_graph_documents(void **state)
{
    static const char pem[] = "Subject: x\n-----BEGIN CERTIFICATE-----\n"
                              "MIIB\r\nabc=\n-----END CERTIFICATE-----\n";
    struct err err = {ERR_NONE, ""};
    struct buf out;

    (void)state;
    buf_init(&out, GRAPH_MESSAGE_BODY_MAX);
    assert_int_equal(graph_message_add_key(pem, "name", "p.r.f", &out, &err),
                     0);
    assert_string_equal(
        buf_str(&out),
        "{\"keyCredential\":{\"type\":\"AsymmetricX509Cert\",\"usage\":"
        "\"Verify\",\"key\":\"MIIBabc=\",\"displayName\":\"name\"},"
        "\"passwordCredential\":null,\"proof\":\"p.r.f\"}");
    buf_reset(&out);
    assert_int_equal(
        graph_message_add_password("name", INT64_C(1800000000), &out, &err), 0);
    assert_string_equal(buf_str(&out),
                        "{\"passwordCredential\":{\"displayName\":\"name\","
                        "\"endDateTime\":\"2027-01-15T08:00:00Z\"}}");
    buf_reset(&out);
    assert_int_equal(graph_message_remove(ID, "p.r.f", &out, &err), 0);
    assert_string_equal(buf_str(&out),
                        "{\"keyId\":\"" ID "\",\"proof\":\"p.r.f\"}");
    buf_reset(&out);
    assert_int_equal(graph_message_remove(ID, NULL, &out, &err), 0);
    assert_string_equal(buf_str(&out), "{\"keyId\":\"" ID "\"}");
    buf_reset(&out);
    assert_int_equal(graph_message_add_key("MIIB", "n", "p", &out, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    buf_clear(&out);
}

static void
each_cloud_has_its_graph(void **state)
{
    static const struct {
        enum config_provider provider;
        const char *want;
    } rows[] = {
        {CONFIG_PROVIDER_MICROSOFT, "https://graph.microsoft.com"},
        {CONFIG_PROVIDER_MICROSOFT_GCC_HIGH, "https://graph.microsoft.us"},
        {CONFIG_PROVIDER_MICROSOFT_DOD, "https://dod-graph.microsoft.us"},
        {CONFIG_PROVIDER_MICROSOFT_CHINA,
         "https://microsoftgraph.chinacloudapi.cn"},
        {CONFIG_PROVIDER_GOOGLE, NULL},
    };
    char own[] = "https://localhost:1";
    struct config_credential credential = {.provider = CONFIG_PROVIDER_CUSTOM,
                                           .rotation = {.graph_url = own}};

    (void)state;
    assert_string_equal(provider_graph_url(&credential), own);
    credential.rotation.graph_url = NULL;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        credential.provider = rows[i].provider;
        if (rows[i].want == NULL)
            assert_null(provider_graph_url(&credential));
        else
            assert_string_equal(provider_graph_url(&credential), rows[i].want);
    }
}

/* ---- Registrations --------------------------------------------------------
 */

struct application {
    const char *name;
    const char *body;
    bool is_bad;
    size_t want_count;
    struct graph_rotation_entry want; /* the first */
};

static struct application applications[] = {
    {.name = "a certificate by base64, with a name",
     .body = "{\"id\":\"" ID "\",\"keyCredentials\":[{\"keyId\":\"" OTHER
             "\",\"displayName\":\"xoauth2-relay 0011\","
             "\"customKeyIdentifier\":\"UgOoYkjmNzbAIhGZNC91jnC8Sq0=\","
             "\"key\":null}],\"passwordCredentials\":[]}",
     .want_count = 1,
     .want = {.key_id = OTHER,
              .tag = "xoauth2-relay 0011",
              .thumbprint = "5203A86248E63736C0221199342F758E70BC4AAD"}},
    {.name = "a certificate by hexadecimal digits",
     .body = "{\"id\":\"" ID "\",\"keyCredentials\":[{\"keyId\":\"" OTHER
             "\",\"displayName\":null,\"customKeyIdentifier\":"
             "\"5203a86248e63736c0221199342f758e70bc4aad\"}],"
             "\"passwordCredentials\":[]}",
     .want_count = 1,
     .want = {.key_id = OTHER,
              .thumbprint = "5203A86248E63736C0221199342F758E70BC4AAD"}},
    {.name = "an identifier that somebody chose",
     .body = "{\"id\":\"" ID "\",\"keyCredentials\":[{\"keyId\":\"" OTHER
             "\",\"customKeyIdentifier\":\"bXkga2V5\"}],"
             "\"passwordCredentials\":[]}",
     .want_count = 1,
     .want = {.key_id = OTHER}},
    {.name = "a secret",
     .body = "{\"id\":\"" ID "\",\"keyCredentials\":[],"
             "\"passwordCredentials\":[{\"keyId\":\"" OTHER
             "\",\"displayName\":\"by hand\",\"hint\":\"abc\"}]}",
     .want_count = 1,
     .want = {.is_secret = true, .key_id = OTHER, .tag = "by hand"}},
    {.name = "a name that is too long is not ours",
     .body = "{\"id\":\"" ID "\",\"keyCredentials\":[],"
             "\"passwordCredentials\":[{\"keyId\":\"" OTHER
             "\",\"displayName\":\"0123456789012345678901234567890123\"}]}",
     .want_count = 1,
     .want = {.is_secret = true, .key_id = OTHER}},
    {.name = "what has no id can't be removed",
     .body = "{\"id\":\"" ID "\",\"keyCredentials\":[{\"keyId\":\"x\"},7],"
             "\"passwordCredentials\":[]}",
     .want_count = 0},
    {.name = "no id", .body = "{\"keyCredentials\":[]}", .is_bad = true},
    {.name = "no list",
     .body = "{\"id\":\"" ID "\",\"keyCredentials\":[]}",
     .is_bad = true},
    {.name = "an id that is a path",
     .body = "{\"id\":\"../../users\",\"keyCredentials\":[],"
             "\"passwordCredentials\":[]}",
     .is_bad = true},
    {.name = "no object", .body = "[]", .is_bad = true},
    {.name = "cut off", .body = "{\"id\":\"" ID "\",\"keyC", .is_bad = true},
};

static void
check_application(void **state)
{
    const struct application *row = *state;
    struct graph_application got;
    struct err err = {ERR_NONE, ""};
    int rc = graph_message_read_application(row->body, strlen(row->body), &got,
                                            &err);

    assert_int_equal(rc, row->is_bad ? -1 : 0);
    if (row->is_bad) {
        assert_int_equal(err.code, ERR_PROTO);
        assert_null(got.entries);
        return;
    }
    assert_string_equal(got.object_id, ID);
    assert_int_equal(got.count, row->want_count);
    if (got.count > 0) {
        assert_int_equal(got.entries[0].is_secret, row->want.is_secret);
        assert_string_equal(got.entries[0].key_id, row->want.key_id);
        assert_string_equal(got.entries[0].tag, row->want.tag);
        assert_string_equal(got.entries[0].thumbprint, row->want.thumbprint);
    }
    graph_application_clear(&got);
}

/* ---- What was added -------------------------------------------------------
 */

struct added {
    const char *name;
    const char *body;
    bool is_secret;
    bool is_bad;
    const char *want_id;
    const char *want_secret;
};

static struct added additions[] = {
    {.name = "a certificate's answer with its id",
     .body = "{\"@odata.context\":\"x\",\"keyId\":\"" ID "\"}",
     .want_id = ID},
    {.name = "a certificate's answer without one",
     .body = "{\"@odata.context\":\"x\"}",
     .want_id = ""},
    {.name = "a secret",
     .body = "{\"keyId\":\"" ID "\",\"secretText\":\"a~b c%\"}",
     .is_secret = true,
     .want_id = ID,
     .want_secret = "a~b c%"},
    {.name = "a secret without its text",
     .body = "{\"keyId\":\"" ID "\",\"secretText\":null}",
     .is_secret = true,
     .is_bad = true},
    {.name = "an empty secret",
     .body = "{\"keyId\":\"" ID "\",\"secretText\":\"\"}",
     .is_secret = true,
     .is_bad = true},
    {.name = "a secret with a control byte",
     .body = "{\"keyId\":\"" ID "\",\"secretText\":\"a\\nb\"}",
     .is_secret = true,
     .is_bad = true},
    {.name = "a secret with a NUL",
     .body = "{\"keyId\":\"" ID "\",\"secretText\":\"a\\u0000b\"}",
     .is_secret = true,
     .is_bad = true},
    {.name = "a secret that could not be removed",
     .body = "{\"secretText\":\"ab\"}",
     .is_secret = true,
     .is_bad = true},
    {.name = "a page", .body = "<html>", .is_bad = true},
};

static void
check_added(void **state)
{
    const struct added *row = *state;
    struct graph_added got;
    struct err err = {ERR_NONE, ""};
    int rc = graph_message_read_added(row->body, strlen(row->body),
                                      row->is_secret, &got, &err);

    assert_int_equal(rc, row->is_bad ? -1 : 0);
    if (row->is_bad) {
        assert_int_equal(err.code, ERR_PROTO);
        assert_null(got.secret);
        assert_null(strstr(err.text, "ab"));
        return;
    }
    assert_string_equal(got.key_id, row->want_id);
    if (row->want_secret == NULL)
        assert_null(got.secret);
    else
        assert_string_equal(got.secret, row->want_secret);
    graph_added_clear(&got);
}

/* ---- Refusals -------------------------------------------------------------
 */

struct refusal {
    const char *name;
    enum graph_message_action action;
    int status;
    const char *body;
    enum err_code want;
    const char *want_reason;
    bool want_lasting;
    bool want_unknown;
    const char *want_hint; /* a part; NULL: none */
    const char *want_text; /* a part */
};

static struct refusal refusals[] = {
    {.name = "no permission for secrets",
     .action = GRAPH_MESSAGE_PASSWORD,
     .status = 403,
     .body = "{\"error\":{\"code\":\"Authorization_RequestDenied\","
             "\"message\":\"Insufficient privileges\"}}",
     .want = ERR_DENIED,
     .want_reason = "forbidden",
     .want_lasting = true,
     .want_hint = "Application.ReadWrite.OwnedBy",
     .want_text = "403 Authorization_RequestDenied"},
    {.name = "a proof that is not taken",
     .action = GRAPH_MESSAGE_KEY,
     .status = 401,
     .body = "{\"error\":{\"code\":\"Authentication_MissingOrMalformed\"}}",
     .want = ERR_DENIED,
     .want_reason = "forbidden",
     .want_lasting = true,
     .want_hint = "proof of possession",
     .want_text = "401"},
    {.name = "another object's id",
     .action = GRAPH_MESSAGE_KEY,
     .status = 404,
     .body = "{\"error\":{\"code\":\"Request_ResourceNotFound\"}}",
     .want = ERR_CONFIG,
     .want_reason = "not-found",
     .want_lasting = true,
     .want_hint = "rotate_object_id",
     .want_text = "404 Request_ResourceNotFound"},
    {.name = "a policy against secrets",
     .action = GRAPH_MESSAGE_PASSWORD,
     .status = 400,
     .body = "{\"error\":{\"code\":"
             "\"CredentialTypeNotAllowedAsPerAppPolicy\"}}",
     .want = ERR_CONFIG,
     .want_reason = "refused",
     .want_lasting = true,
     .want_hint = "policy",
     .want_text = "400"},
    {.name = "throttled: it was not done",
     .action = GRAPH_MESSAGE_KEY,
     .status = 429,
     .body = "{\"error\":{\"code\":\"TooManyRequests\"}}",
     .want = ERR_RETRY,
     .want_reason = "throttled",
     .want_text = "429"},
    {.name = "it was done before",
     .action = GRAPH_MESSAGE_KEY,
     .status = 400,
     .body = "{\"error\":{\"code\":\"KeyValueAlreadyExists\"}}",
     .want = ERR_CONFIG,
     .want_reason = "refused",
     .want_unknown = true,
     .want_text = "400 KeyValueAlreadyExists"},
    {.name = "unavailable: who knows",
     .action = GRAPH_MESSAGE_KEY,
     .status = 503,
     .body = "<html>",
     .want = ERR_RETRY,
     .want_reason = "unavailable",
     .want_unknown = true,
     .want_text = "answered 503"},
    {.name = "a redirect is not followed",
     .action = GRAPH_MESSAGE_READ,
     .status = 302,
     .body = "",
     .want = ERR_PROTO,
     .want_reason = "bad-answer",
     .want_lasting = true,
     .want_unknown = true,
     .want_hint = "graph_url",
     .want_text = "302"},
    {.name = "a code with more than a word is not repeated",
     .action = GRAPH_MESSAGE_READ,
     .status = 400,
     .body = "{\"error\":{\"code\":\"you sent hunter2\"}}",
     .want = ERR_CONFIG,
     .want_reason = "refused",
     .want_lasting = true,
     .want_text = "answered 400"},
};

static void
check_refusal(void **state)
{
    const struct refusal *row = *state;
    struct graph_refusal got;
    struct err err = {ERR_NONE, ""};

    graph_message_read_refusal(row->action, row->status, row->body,
                               strlen(row->body), &got, &err);
    assert_int_equal(err.code, row->want);
    assert_string_equal(got.reason, row->want_reason);
    assert_int_equal(got.is_lasting, row->want_lasting);
    assert_int_equal(got.is_unknown, row->want_unknown);
    if (row->want_hint == NULL)
        assert_null(got.hint);
    else
        assert_non_null(strstr(got.hint, row->want_hint));
    assert_non_null(strstr(err.text, row->want_text));
    assert_null(strstr(err.text, "hunter2"));
}

int
main(void)
{
    enum { FIXED = 3 };
    struct CMUnitTest tests[FIXED + ARRAY_LEN(applications) +
                            ARRAY_LEN(additions) + ARRAY_LEN(refusals)] = {
        cmocka_unit_test(a_registration_is_found_by_either_id),
        cmocka_unit_test(bodies_are_what_graph_documents),
        cmocka_unit_test(each_cloud_has_its_graph),
    };
    size_t count = FIXED;

    for (size_t i = 0; i < ARRAY_LEN(applications); i++)
        tests[count++] = (struct CMUnitTest){.name = applications[i].name,
                                             .test_func = check_application,
                                             .initial_state = &applications[i]};
    for (size_t i = 0; i < ARRAY_LEN(additions); i++)
        tests[count++] = (struct CMUnitTest){.name = additions[i].name,
                                             .test_func = check_added,
                                             .initial_state = &additions[i]};
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        tests[count++] = (struct CMUnitTest){.name = refusals[i].name,
                                             .test_func = check_refusal,
                                             .initial_state = &refusals[i]};
    return cmocka_run_group_tests_name("graph_message", tests, NULL, NULL);
}
