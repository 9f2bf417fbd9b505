/*
 * The files of sasl-xoauth2: what is taken out of them, and what relay.conf
 * gets for it. One row is one file, or one line of a password map.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/foreign_plugin.h"

#define MICROSOFT                                                        \
    "\"token_endpoint\":\"https://login.microsoftonline.com/contoso.ex/" \
    "oauth2/v2.0/token\""

struct row {
    const char *name;
    const char *token;  /* the token file */
    const char *config; /* the plugin's configuration; NULL: none */
    const char *secret; /* the reference that is printed */
    const char *want;   /* the section, or what the error says */
    bool is_bad;
};

static struct row rows[] = {
    {.name = "Google is where nothing is said",
     .token = "{\"refresh_token\":\"r\",\"access_token\":\"a\","
              "\"expiry\":\"1\"}",
     .config = "{\"client_id\":\"id\",\"client_secret\":\"s\"}",
     .secret = "file:/s/1",
     .want = "credential \"n\" {\n    provider = \"google\"\n"
             "    client_id = \"id\"\n    grant = \"authorization_code\"\n"
             "    client_secret = \"file:/s/1\"\n}\n"},
    {.name = "Microsoft with its tenant, a public client",
     .token = "{\"refresh_token\":\"r\",\"user\":\"u@v\"}",
     .config = "{\"client_id\":\"id\",\"client_secret\":\"\"," MICROSOFT "}",
     .want = "credential \"n\" {\n    provider = \"microsoft\"\n"
             "    tenant = \"contoso.ex\"\n    client_id = \"id\"\n"
             "    grant = \"authorization_code\"\n}\n"},
    {.name = "what the token file says goes before",
     .token = "{\"refresh_token\":\"r\",\"client_id\":\"own\","
              "\"token_endpoint\":\"https://oauth2.googleapis.com/token\"}",
     .config = "{\"client_id\":\"id\"," MICROSOFT "}",
     .want = "credential \"n\" {\n    provider = \"google\"\n"
             "    client_id = \"own\"\n"
             "    grant = \"authorization_code\"\n}\n"},
    {.name = "a provider of their own, by a proxy",
     .token = "{\"refresh_token\":\"r\",\"client_id\":\"id\","
              "\"token_endpoint\":\"https://idp.example/token\","
              "\"proxy\":\"http://proxy:3128\","
              "\"ca_bundle_file\":\"/etc/ca.pem\"}",
     .want = "credential \"n\" {\n    provider = \"custom\"\n"
             "    # authorize_url = \"https://HOST/PATH\" must be added: where "
             "people sign in\n"
             "    token_url = \"https://idp.example/token\"\n"
             "    client_id = \"id\"\n    grant = \"authorization_code\"\n"
             "    proxy = \"http://proxy:3128\"\n"
             "    ca_file = \"/etc/ca.pem\"\n}\n"},
    {.name = "an endpoint of Microsoft's first version is their own",
     .token = "{\"refresh_token\":\"r\",\"client_id\":\"id\","
              "\"token_endpoint\":"
              "\"https://login.microsoftonline.com/t/oauth2/token\"}",
     .want = "credential \"n\" {\n    provider = \"custom\"\n"
             "    # authorize_url = \"https://HOST/PATH\" must be added: where "
             "people sign in\n"
             "    token_url = "
             "\"https://login.microsoftonline.com/t/oauth2/token\"\n"
             "    client_id = \"id\"\n"
             "    grant = \"authorization_code\"\n}\n"},
    {.name = "nothing",
     .token = "",
     .want = "not a JSON object",
     .is_bad = true},
    {.name = "a comment",
     .token = "// x\n{\"refresh_token\":\"r\"}",
     .want = "comments must be removed",
     .is_bad = true},
    {.name = "no refresh token",
     .token = "{\"access_token\":\"a\"}",
     .want = "there is no refresh_token",
     .is_bad = true},
    {.name = "a refresh token that is a number",
     .token = "{\"refresh_token\":1}",
     .want = "refresh_token is no text",
     .is_bad = true},
    {.name = "a NUL in a text",
     .token = "{\"refresh_token\":\"a\\u0000b\"}",
     .want = "not a JSON object",
     .is_bad = true},
    {.name = "nobody says the client",
     .token = "{\"refresh_token\":\"r\"}",
     .want = "no client_id is known",
     .is_bad = true},
    {.name = "a client that would end its text in relay.conf",
     .token = "{\"refresh_token\":\"r\",\"client_id\":\"a\\\"}\"}",
     .want = "client_id has a character",
     .is_bad = true},
    {.name = "a client that would be taken from the environment",
     .token = "{\"refresh_token\":\"r\",\"client_id\":\"${HOME}\"}",
     .want = "client_id has a character",
     .is_bad = true},
};

static int
read_both(const struct row *row, struct foreign_plugin *token,
          struct foreign_plugin *config, struct err *err)
{
    if (row->config != NULL &&
        foreign_plugin_parse(row->config, strlen(row->config), false, config,
                             err) < 0)
        return -1;
    if (foreign_plugin_parse(row->token, strlen(row->token), true, token, err) <
        0)
        return -1;
    return foreign_plugin_inherit(token, row->config != NULL ? config : NULL,
                                  err);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct foreign_plugin token = {0}, config = {0};
    struct err err = {ERR_NONE, ""};
    struct buf out;
    int rc;

    buf_init(&out, 4096);
    rc = read_both(row, &token, &config, &err);
    if (rc == 0) {
        assert_string_equal(token.refresh_token, "r");
        assert_true(foreign_plugin_is_same(&token, &token));
        rc = foreign_plugin_print(&token, "n", row->secret, &out, &err);
    }
    assert_int_equal(rc, row->is_bad ? -1 : 0);
    if (row->is_bad)
        assert_non_null(strstr(err.text, row->want));
    else
        assert_string_equal(buf_str(&out), row->want);
    buf_clear(&out);
    foreign_plugin_clear(&token);
    foreign_plugin_clear(&config);
    foreign_plugin_clear(&config);
}

struct line {
    const char *name;
    const char *text;
    const char *user; /* NULL: nothing for us */
    const char *path;
};

static struct line lines[] = {
    {"a server with its port", "[h.example]:587 a@b:/etc/tokens/a@b", "a@b",
     "/etc/tokens/a@b"},
    {"a sender, tabs, an end of Windows", "a@b\t \ta@b:/t \r", "a@b", "/t"},
    {"a path with a colon", "h u:/t:1", "u", "/t:1"},
    {"a password", "h user:secret", NULL, NULL},
    {"no user", "h :/t", NULL, NULL},
    {"no value", "h", NULL, NULL},
    {"a comment", "#h u:/t", NULL, NULL},
    {"a continued line", "  u:/t", NULL, NULL},
    {"only the root", "h u:/", NULL, NULL},
    {"nothing", "", NULL, NULL},
};

static void
check_line(void **state)
{
    const struct line *line = *state;
    struct foreign_plugin_entry entry;

    assert_int_equal(
        foreign_plugin_entry(line->text, strlen(line->text), &entry),
        line->user != NULL);
    if (line->user == NULL)
        return;
    assert_int_equal(entry.user_len, strlen(line->user));
    assert_memory_equal(entry.user, line->user, entry.user_len);
    assert_int_equal(entry.path_len, strlen(line->path));
    assert_memory_equal(entry.path, line->path, entry.path_len);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(lines)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = check_row,
                                       .initial_state = &rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        tests[ARRAY_LEN(rows) + i] =
            (struct CMUnitTest){.name = lines[i].name,
                                .test_func = check_line,
                                .initial_state = &lines[i]};
    return cmocka_run_group_tests_name("foreign_plugin", tests, NULL, NULL);
}
