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
     "no token_url"},
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

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(own_settings_come_first),
        cmocka_unit_test(a_cloud_has_no_other_clouds_servers),
        cmocka_unit_test(high_volume_email_wants_ten_minutes),
        cmocka_unit_test(custom_has_no_scope_of_its_own),
    };
    struct CMUnitTest
        tests[ARRAY_LEN(preset_rows) + ARRAY_LEN(bad_rows) + ARRAY_LEN(others)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(preset_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = preset_rows[i].name,
                                         .test_func = check_preset,
                                         .initial_state = &preset_rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = bad_rows[i].name,
                                         .test_func = check_bad,
                                         .initial_state = &bad_rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests_name("provider", tests, NULL, NULL);
}
