/* What each preset gives, and that the credential's own settings come first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/provider.h"
#include "token-daemon/provider_print.h"

static char name[] = "contoso";
static char tenant[] = "contoso.onmicrosoft.com";
static char token_url[] = "https://sts.example.org/%/token";
static char scope[] = "mail";
static char ca_file[] = "/ca.pem";
static char proxy[] = "http://proxy:3128";
static char own_server[] = "smtp.example.org";
static char *own_servers[] = {own_server};

struct preset_row {
    const char *name;
    enum config_provider provider;
    const char *want_url;
    const char *want_scope;
    const char *want_server;
};

static struct preset_row preset_rows[] = {
    {"microsoft, worldwide and GCC", CONFIG_PROVIDER_MICROSOFT,
     "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/"
     "token",
     "https://outlook.office365.com/.default", "smtp.office365.com"},
    {"microsoft, old TLS", CONFIG_PROVIDER_MICROSOFT,
     "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/"
     "token",
     "https://outlook.office365.com/.default", "smtp-legacy.office365.com"},
    {"microsoft, high volume", CONFIG_PROVIDER_MICROSOFT,
     "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/"
     "token",
     "https://outlook.office365.com/.default", "smtp-hve.office365.com"},
    {"GCC High", CONFIG_PROVIDER_MICROSOFT_GCC_HIGH,
     "https://login.microsoftonline.us/contoso.onmicrosoft.com/oauth2/v2.0/"
     "token",
     "https://outlook.office365.us/.default", "smtp.office365.us"},
    {"DoD", CONFIG_PROVIDER_MICROSOFT_DOD,
     "https://login.microsoftonline.us/contoso.onmicrosoft.com/oauth2/v2.0/"
     "token",
     "https://outlook.office365.us/.default", "outlook-dod.office365.us"},
    {"China", CONFIG_PROVIDER_MICROSOFT_CHINA,
     "https://login.partner.microsoftonline.cn/contoso.onmicrosoft.com/oauth2/"
     "v2.0/token",
     "https://partner.outlook.cn/.default", "smtp.partner.outlook.cn"},
    {"google", CONFIG_PROVIDER_GOOGLE, "https://oauth2.googleapis.com/token",
     "https://mail.google.com/", "smtp.gmail.com"},
};

static void
check_preset(void **state)
{
    const struct preset_row *row = *state;
    struct config_credential credential = {
        .name = name,
        .provider = row->provider,
        .tenant = tenant,
    };
    struct provider_settings got = {0};
    struct err err = {ERR_NONE, ""};

    assert_int_equal(provider_settings(&credential, &got, &err), 0);
    assert_string_equal(got.token_url, row->want_url);
    assert_string_equal(got.scope, row->want_scope);
    assert_null(got.ca_file);
    assert_null(got.proxy);
    provider_settings_clear(&got);
    assert_null(got.token_url);

    assert_true(provider_has_server(&credential, row->want_server));
    assert_true(provider_is_known_server(row->want_server));
    assert_false(provider_has_server(&credential, "smtp.example.org"));
}

static void
own_settings_come_first(void **state)
{
    struct config_credential credential = {
        .name = name,
        .provider = CONFIG_PROVIDER_MICROSOFT,
        .tenant = tenant,
        .token_url = token_url,
        .scope = scope,
        .ca_file = ca_file,
        .proxy = proxy,
        .servers = own_servers,
        .server_count = 1,
    };
    struct provider_settings got = {0};
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(provider_settings(&credential, &got, &err), 0);
    assert_string_equal(got.token_url, token_url);
    assert_string_equal(got.scope, scope);
    assert_string_equal(got.ca_file, ca_file);
    assert_string_equal(got.proxy, proxy);
    provider_settings_clear(&got);
    provider_settings_clear(&got);

    assert_true(provider_has_server(&credential, "SMTP.example.ORG"));
    assert_false(provider_has_server(&credential, "smtp.office365.com"));
}

static void
a_cloud_has_no_other_clouds_servers(void **state)
{
    struct config_credential credential = {
        .name = name, .provider = CONFIG_PROVIDER_MICROSOFT_CHINA};

    (void)state;
    assert_false(provider_has_server(&credential, "smtp.office365.com"));
    assert_false(provider_has_server(&credential, "smtp.gmail.com"));
    assert_false(provider_has_server(&credential, ""));
    assert_false(provider_is_known_server("office365.com"));
    assert_false(provider_is_known_server("smtp.office365.com.example.org"));
    assert_false(provider_is_known_server(""));
}

static void
high_volume_email_wants_ten_minutes(void **state)
{
    (void)state;
    assert_int_equal(provider_min_token_lifetime("smtp-hve.office365.com"),
                     600);
    assert_int_equal(provider_min_token_lifetime("smtp.office365.com"), 0);
}

static void
custom_has_no_scope_of_its_own(void **state)
{
    struct config_credential credential = {.name = name,
                                           .provider = CONFIG_PROVIDER_CUSTOM,
                                           .token_url = token_url};
    struct provider_settings got = {0};
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(provider_settings(&credential, &got, &err), 0);
    assert_null(got.scope);
    provider_settings_clear(&got);
    assert_false(provider_has_server(&credential, "smtp.office365.com"));
}

struct login_row {
    const char *name;
    enum config_provider provider;
    bool has_tenant;
    const char *scope; /* the credential's own; NULL: none */
    const char *issuer;
    const char *want_token_url;
    const char *want_authorize_url;
    const char *want_device_url;
    const char *want_scope;
    const char *want_prompt;
    const char *want_access;
    bool want_refresh_scope;
};

#define ENTRA(host, path) \
    "https://" host "/contoso.onmicrosoft.com/oauth2/v2.0/" path

static struct login_row login_rows[] = {
    {.name = "a person signs in at microsoft",
     .provider = CONFIG_PROVIDER_MICROSOFT,
     .has_tenant = true,
     .want_token_url = ENTRA("login.microsoftonline.com", "token"),
     .want_authorize_url = ENTRA("login.microsoftonline.com", "authorize"),
     .want_device_url = ENTRA("login.microsoftonline.com", "devicecode"),
     .want_scope = "https://outlook.office.com/SMTP.Send offline_access openid "
                   "profile email",
     .want_prompt = "select_account",
     .want_refresh_scope = true},
    {.name = "words that the credential's scope has are not said twice",
     .provider = CONFIG_PROVIDER_MICROSOFT_CHINA,
     .has_tenant = true,
     .scope = "openid https://partner.outlook.cn/SMTP.Send  emails",
     .want_token_url = ENTRA("login.partner.microsoftonline.cn", "token"),
     .want_authorize_url =
         ENTRA("login.partner.microsoftonline.cn", "authorize"),
     .want_device_url = ENTRA("login.partner.microsoftonline.cn", "devicecode"),
     .want_scope = "openid https://partner.outlook.cn/SMTP.Send  emails "
                   "offline_access profile email",
     .want_prompt = "select_account",
     .want_refresh_scope = true},
    {.name = "a person signs in at google",
     .provider = CONFIG_PROVIDER_GOOGLE,
     .want_token_url = "https://oauth2.googleapis.com/token",
     .want_authorize_url = "https://accounts.google.com/o/oauth2/v2/auth",
     .want_device_url = "https://oauth2.googleapis.com/device/code",
     .want_scope = "https://mail.google.com/ openid email",
     .want_prompt = "consent",
     .want_access = "offline"},
    {.name = "an issuer's endpoints are left open, and the scope is OpenID's",
     .provider = CONFIG_PROVIDER_CUSTOM,
     .issuer = "https://id.example.org",
     .want_scope = "openid offline_access email",
     .want_prompt = "consent"},
    {.name = "a custom scope is taken as it is",
     .provider = CONFIG_PROVIDER_CUSTOM,
     .scope = "mail-w",
     .issuer = "https://id.example.org",
     .want_scope = "mail-w"},
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
check_login(void **state)
{
    const struct login_row *row = *state;
    struct config_credential credential = {
        .name = name,
        .provider = row->provider,
        .grant = CONFIG_GRANT_DEVICE_CODE,
        .tenant = row->has_tenant ? tenant : NULL,
        .scope = (char *)(uintptr_t)row->scope,
        .issuer = (char *)(uintptr_t)row->issuer,
    };
    struct provider_settings got = {0};
    struct err err = {ERR_NONE, ""};

    assert_int_equal(provider_settings(&credential, &got, &err), 0);
    assert_same(got.token_url, row->want_token_url);
    assert_same(got.authorize_url, row->want_authorize_url);
    assert_same(got.device_url, row->want_device_url);
    assert_same(got.scope, row->want_scope);
    assert_same(got.prompt, row->want_prompt);
    assert_same(got.access, row->want_access);
    assert_int_equal(got.has_refresh_scope, row->want_refresh_scope);
    provider_settings_clear(&got);
}

static void
a_person_may_sign_in_at_a_shared_tenant(void **state)
{
    char shared[] = "consumers";
    struct config_credential credential = {
        .name = name,
        .provider = CONFIG_PROVIDER_MICROSOFT,
        .grant = CONFIG_GRANT_AUTHORIZATION_CODE,
        .tenant = shared,
    };
    struct provider_settings got = {0};
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(provider_settings(&credential, &got, &err), 0);
    assert_string_equal(
        got.authorize_url,
        "https://login.microsoftonline.com/consumers/oauth2/v2.0/authorize");
    provider_settings_clear(&got);
}

static void
a_machine_needs_no_tenant(void **state)
{
    struct config_credential credential = {
        .name = name,
        .provider = CONFIG_PROVIDER_MICROSOFT,
        .grant = CONFIG_GRANT_MANAGED_IDENTITY,
    };
    struct provider_settings got = {0};
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(provider_settings(&credential, &got, &err), 0);
    assert_null(got.token_url);
    assert_string_equal(got.scope, "https://outlook.office365.com/.default");
    provider_settings_clear(&got);
}

static void
a_document_fills_in_only_what_is_open(void **state)
{
    char issuer[] = "https://id.example.org";
    char own_url[] = "https://own.example.org/token";
    char device[] = "https://id.example.org/device";
    struct config_credential credential = {
        .name = name,
        .provider = CONFIG_PROVIDER_CUSTOM,
        .grant = CONFIG_GRANT_DEVICE_CODE,
        .issuer = issuer,
        .token_url = own_url,
    };
    const struct discovery_document document = {
        .issuer = issuer,
        .token_url = issuer,
        .device_url = device,
    };
    struct provider_settings got = {0};
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(provider_settings(&credential, &got, &err), 0);
    assert_int_equal(provider_settings_discover(&got, &document, &err), 0);
    assert_string_equal(got.token_url, own_url);
    assert_string_equal(got.device_url, device);
    assert_null(got.authorize_url);
    provider_settings_clear(&got);
}

struct issuer_row {
    const char *name;
    enum config_provider provider;
    bool has_token_url;
    const char *discovered;
    const char *issuer;
    bool want;
};

static struct issuer_row issuer_rows[] = {
    {"the tenant's id stands for its domain", CONFIG_PROVIDER_MICROSOFT, false,
     NULL,
     "https://login.microsoftonline.com/"
     "9122040d-6c67-4c5b-b112-36a304b66dad/v2.0",
     true},
    {"another cloud's issuer", CONFIG_PROVIDER_MICROSOFT, false, NULL,
     "https://login.microsoftonline.us/contoso/v2.0", false},
    {"an issuer that only begins right", CONFIG_PROVIDER_MICROSOFT, false, NULL,
     "https://login.microsoftonline.com/a/b/v2.0", false},
    {"an issuer without a tenant", CONFIG_PROVIDER_MICROSOFT, false, NULL,
     "https://login.microsoftonline.com//v2.0", false},
    {"google", CONFIG_PROVIDER_GOOGLE, false, NULL,
     "https://accounts.google.com", true},
    {"google without the scheme", CONFIG_PROVIDER_GOOGLE, false, NULL,
     "accounts.google.com", true},
    {"somebody else for google", CONFIG_PROVIDER_GOOGLE, false, NULL,
     "https://accounts.google.com.example.org", false},
    {"the discovered issuer", CONFIG_PROVIDER_CUSTOM, false,
     "https://id.example.org", "https://id.example.org", true},
    {"another than the discovered one", CONFIG_PROVIDER_CUSTOM, false,
     "https://id.example.org", "https://id.example.org/", false},
    {"a custom token_url may have any", CONFIG_PROVIDER_CUSTOM, true, NULL,
     "https://anything.example.org", true},
};

static void
check_issuer(void **state)
{
    const struct issuer_row *row = *state;
    struct config_credential credential = {
        .name = name,
        .provider = row->provider,
        .token_url = row->has_token_url ? token_url : NULL,
    };

    assert_int_equal(
        provider_is_issuer(&credential, row->discovered, row->issuer),
        row->want);
}

struct bad_row {
    const char *name;
    enum config_provider provider;
    const char *tenant;
    const char *want; /* a part of the text */
};

static struct bad_row bad_rows[] = {
    {"no tenant", CONFIG_PROVIDER_MICROSOFT, NULL, "has no tenant"},
    {"tenant with a slash", CONFIG_PROVIDER_MICROSOFT, "a/b", "neither"},
    {"tenant with a query", CONFIG_PROVIDER_MICROSOFT_DOD, "a?b", "neither"},
    {"tenant of dots", CONFIG_PROVIDER_MICROSOFT, "..", "neither"},
    {"empty tenant", CONFIG_PROVIDER_MICROSOFT, "", "neither"},
    {"common", CONFIG_PROVIDER_MICROSOFT, "common", "no directory"},
    {"Organizations", CONFIG_PROVIDER_MICROSOFT_CHINA, "Organizations",
     "no directory"},
    {"custom without token_url", CONFIG_PROVIDER_CUSTOM, "contoso",
     "neither issuer nor token_url"},
};

static void
check_bad(void **state)
{
    const struct bad_row *row = *state;
    char *text = row->tenant != NULL ? strdup(row->tenant) : NULL;
    struct config_credential credential = {
        .name = name, .provider = row->provider, .tenant = text};
    struct provider_settings got = {0};
    struct err err = {ERR_NONE, ""};

    assert_int_equal(provider_settings(&credential, &got, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, row->want));
    assert_null(got.token_url);
    free(text);
}

static void
what_is_known_of_idle_refresh_tokens(void **state)
{
    static const struct {
        enum config_provider provider;
        int64_t want_days;
    } idle_rows[] = {
        {CONFIG_PROVIDER_MICROSOFT, 90},
        {CONFIG_PROVIDER_MICROSOFT_GCC_HIGH, 90},
        {CONFIG_PROVIDER_MICROSOFT_DOD, 90},
        {CONFIG_PROVIDER_MICROSOFT_CHINA, 90},
        {CONFIG_PROVIDER_GOOGLE, 180},
        {CONFIG_PROVIDER_CUSTOM, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(idle_rows); i++) {
        struct config_credential credential = {
            .name = name, .provider = idle_rows[i].provider};

        assert_int_equal(provider_refresh_idle_s(&credential),
                         idle_rows[i].want_days * 24 * 60 * 60);
    }
}

/* Only what the section has not itself. */
static void
what_the_preset_adds_is_printed(void **state)
{
    static char own_scope[] = "own";
    static char own_tenant[] = "t.example";
    static char not_a_tenant[] = "a b";
    static char own_name[] = "c";
    struct config_credential credential = {.provider =
                                               CONFIG_PROVIDER_MICROSOFT,
                                           .tenant = own_tenant,
                                           .name = own_name};
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    provider_print(&credential, &out);
    assert_string_equal(
        buf_str(&out),
        "    # token_url = "
        "\"https://login.microsoftonline.com/t.example/oauth2/"
        "v2.0/token\"\n"
        "    # scope = \"https://outlook.office365.com/.default\"\n"
        "    # servers = {\"smtp.office365.com\", "
        "\"smtp-legacy.office365.com\", \"smtp-hve.office365.com\"}\n");
    buf_reset(&out);
    credential.scope = own_scope;
    credential.rotation.kind = CONFIG_ROTATE_GRAPH;
    provider_print(&credential, &out);
    assert_null(strstr(buf_str(&out), "scope"));
    assert_non_null(strstr(buf_str(&out),
                           "    # graph_url = \"https://graph.microsoft.com"));
    buf_reset(&out);
    credential.tenant = not_a_tenant;
    provider_print(&credential, &out);
    assert_non_null(strstr(buf_str(&out), "    # tenant of credential"));
    buf_clear(&out);
}

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(own_settings_come_first),
        cmocka_unit_test(a_cloud_has_no_other_clouds_servers),
        cmocka_unit_test(high_volume_email_wants_ten_minutes),
        cmocka_unit_test(custom_has_no_scope_of_its_own),
        cmocka_unit_test(a_person_may_sign_in_at_a_shared_tenant),
        cmocka_unit_test(a_machine_needs_no_tenant),
        cmocka_unit_test(what_is_known_of_idle_refresh_tokens),
        cmocka_unit_test(what_the_preset_adds_is_printed),
        cmocka_unit_test(a_document_fills_in_only_what_is_open),
    };
    struct CMUnitTest tests[ARRAY_LEN(preset_rows) + ARRAY_LEN(bad_rows) +
                            ARRAY_LEN(login_rows) + ARRAY_LEN(issuer_rows) +
                            ARRAY_LEN(others)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(preset_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = preset_rows[i].name,
                                         .test_func = check_preset,
                                         .initial_state = &preset_rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = bad_rows[i].name,
                                         .test_func = check_bad,
                                         .initial_state = &bad_rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(login_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = login_rows[i].name,
                                         .test_func = check_login,
                                         .initial_state = &login_rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(issuer_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = issuer_rows[i].name,
                                         .test_func = check_issuer,
                                         .initial_state = &issuer_rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests_name("provider", tests, NULL, NULL);
}
