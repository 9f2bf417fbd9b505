/*
 * One row is one login; one row is one test. ^A is written \001.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "sasl-xoauth2/client_response.h"

struct row {
    const char *name;
    enum client_response_format format;
    const char *user;
    const char *host;
    unsigned port;
    const char *token;
    const char *want;
};

static struct row rows[] = {
    {
        .name = "XOAUTH2 as Microsoft documents it",
        .format = CLIENT_RESPONSE_XOAUTH2,
        .user = "test@contoso.onmicrosoft.com",
        .host = "smtp.office365.com",
        .token = "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA",
        .want = "user=test@contoso.onmicrosoft.com\001"
                "auth=Bearer EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA\001\001",
    },
    {
        .name = "XOAUTH2 escapes nothing",
        .format = CLIENT_RESPONSE_XOAUTH2,
        .user = "a=b,c@d",
        .token = "t",
        .want = "user=a=b,c@d\001"
                "auth=Bearer t\001\001",
    },
    {
        .name = "XOAUTH2 takes a UTF-8 user",
        .format = CLIENT_RESPONSE_XOAUTH2,
        .user = "j\303\266rg@d",
        .token = "t",
        .want = "user=j\303\266rg@d\001"
                "auth=Bearer t\001\001",
    },
    {
        .name = "OAUTHBEARER, the example of RFC 7628 section 4.1",
        .format = CLIENT_RESPONSE_OAUTHBEARER,
        .user = "user@example.com",
        .host = "server.example.com",
        .port = 143,
        .token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==",
        .want = "n,a=user@example.com,\001host=server.example.com\001"
                "port=143\001auth=Bearer "
                "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\001\001",
    },
    {
        .name = "OAUTHBEARER without a port",
        .format = CLIENT_RESPONSE_OAUTHBEARER,
        .user = "u@d",
        .host = "h.example",
        .token = "t",
        .want = "n,a=u@d,\001host=h.example\001auth=Bearer t\001\001",
    },
    {
        .name = "OAUTHBEARER escapes comma and equals sign",
        .format = CLIENT_RESPONSE_OAUTHBEARER,
        .user = ",a=b,,c=@d",
        .host = "h",
        .token = "t=",
        .want = "n,a==2Ca=3Db=2C=2Cc=3D@d,\001host=h\001auth=Bearer "
                "t=\001\001",
    },
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct buf out;

    buf_init(&out, CLIENT_RESPONSE_MAX);
    client_response_build(row->format,
                          &(struct client_response){
                              .user = row->user,
                              .host = row->host,
                              .port = row->port,
                              .token = row->token,
                              .token_len = strlen(row->token),
                          },
                          &out);
    assert_false(buf_failed(&out));
    assert_string_equal(buf_str(&out), row->want);
    assert_int_equal(out.len, strlen(row->want));
    buf_clear(&out);
}

static void
names_have_no_blanks_and_no_control_bytes(void **state)
{
    static const char *const good[] = {"a", "a@b.c", "a=b,c;d", "j\303\266rg@d",
                                       "[192.0.2.1]:587"};
    static const char *const bad[] = {"",       " ",     "a b",         "a\tb",
                                      "a\nb",   "a\rb",  "a ",          " a",
                                      "a\001b", "a\177", "a host=other"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(client_response_name_is_valid(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(client_response_name_is_valid(bad[i]));
}

static void
tokens_are_visible_ascii_up_to_the_limit(void **state)
{
    char *token = malloc(CLIENT_RESPONSE_TOKEN_MAX + 1);

    (void)state;
    assert_non_null(token);
    memset(token, 'x', CLIENT_RESPONSE_TOKEN_MAX + 1);
    assert_false(client_response_token_is_valid(token, 0));
    assert_true(client_response_token_is_valid(token, 1));
    assert_true(
        client_response_token_is_valid(token, CLIENT_RESPONSE_TOKEN_MAX));
    assert_false(
        client_response_token_is_valid(token, CLIENT_RESPONSE_TOKEN_MAX + 1));
    for (int c = 0; c < 256; c++) {
        token[1] = (char)c;
        assert_int_equal(client_response_token_is_valid(token, 3),
                         c > ' ' && c < 0x7f);
    }
    free(token);
}

static void
the_longest_login_fits(void **state)
{
    char *token = malloc(CLIENT_RESPONSE_TOKEN_MAX);
    char name[CLIENT_RESPONSE_NAME_MAX + 2];
    struct buf out;

    (void)state;
    assert_non_null(token);
    memset(token, 'x', CLIENT_RESPONSE_TOKEN_MAX);
    memset(name, '=', sizeof(name)); /* each takes three bytes */
    name[CLIENT_RESPONSE_NAME_MAX + 1] = '\0';
    assert_false(client_response_name_is_valid(name));
    name[CLIENT_RESPONSE_NAME_MAX] = '\0';
    assert_true(client_response_name_is_valid(name));
    buf_init(&out, CLIENT_RESPONSE_MAX);
    client_response_build(CLIENT_RESPONSE_OAUTHBEARER,
                          &(struct client_response){
                              .user = name,
                              .host = name,
                              .port = 65535,
                              .token = token,
                              .token_len = CLIENT_RESPONSE_TOKEN_MAX,
                          },
                          &out);
    assert_false(buf_failed(&out));
    buf_clear(&out);
    free(token);
}

static void
an_error_is_answered_so_that_the_server_goes_on(void **state)
{
    (void)state;
    assert_string_equal(client_response_to_error(CLIENT_RESPONSE_XOAUTH2), "");
    assert_string_equal(client_response_to_error(CLIENT_RESPONSE_OAUTHBEARER),
                        "\001");
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 4] = {
        cmocka_unit_test(names_have_no_blanks_and_no_control_bytes),
        cmocka_unit_test(tokens_are_visible_ascii_up_to_the_limit),
        cmocka_unit_test(the_longest_login_fits),
        cmocka_unit_test(an_error_is_answered_so_that_the_server_goes_on),
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[4 + i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    return cmocka_run_group_tests_name("client_response", tests, NULL, NULL);
}
