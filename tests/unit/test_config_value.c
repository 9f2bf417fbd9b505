/*
 * config_value: one row is one value of one kind. Numbers, networks and
 * servers' names, which give something back, are below.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/config_value.h"
#include "common/util.h"

#define X50  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X100 X50 X50

typedef int (*value_check)(const char *text, struct err *err);

struct row {
    value_check check;
    const char *text;
    bool is_good;
};

static const struct row rows[] = {
    {config_value_name, "contoso-2_a.b", true},
    {config_value_name, "", false},
    {config_value_name, "a b", false},
    {config_value_name, X50 "xxxxxxxxxxxxxxx", false},

    {config_value_tenant, "contoso.onmicrosoft.com", true},
    {config_value_tenant, "72f988bf-86f1-41af-91ab-2d7cd011db47", true},
    {config_value_tenant, "", false},
    {config_value_tenant, "common", true}, /* where people sign in */
    {config_value_tenant, "..", false},
    {config_value_tenant, "a/../b", false},
    {config_value_tenant, "a?b", false},
    {config_value_tenant, "a b", false},
    {config_value_tenant, X100 X100 X100, false},

    {config_value_issuer, "https://id.example", true},
    {config_value_issuer, "https://id.example/realms/x/", true},
    {config_value_issuer, "http://127.0.0.1:8080/", true},
    {config_value_issuer, "http://id.example", false},
    {config_value_issuer, "https://id.example?x", false},
    {config_value_issuer, "id.example", false},

    {config_value_key_ref, "file:/k", true},
    {config_value_key_ref, "pkcs11:token=a%20b;object=k;type=private", true},
    {config_value_key_ref, "pkcs11:token=a b", false},
    {config_value_key_ref, "pkcs11:token=a?pin-value=1", false},
    {config_value_key_ref, "pkcs11:token=a?pin-source=file:/p", false},
    {config_value_key_ref, "pkcs11:token=a?module-name=x", false},
    {config_value_key_ref, "BEGIN PRIVATE KEY", false},
    {config_value_ref, "pkcs11:token=a", false},

    {config_value_client_id, "00001111-aaaa-2222-bbbb-3333cccc4444", true},
    {config_value_client_id, "123.apps.example.com", true},
    {config_value_client_id, "", false},
    {config_value_client_id, "a b", false},
    {config_value_client_id, "a\tb", false},
    {config_value_client_id, X100 X100 X100, false},

    {config_value_scope, "https://outlook.office365.com/.default", true},
    {config_value_scope, "a b", true},
    {config_value_scope, "", false},
    {config_value_scope, "a\"b", false},
    {config_value_scope, "\xc3\xbc", false},

    {config_value_url, "https://login.example.com/x/oauth2/v2.0/token", true},
    {config_value_url, "HTTPS://h:8443/a?b=c", true},
    {config_value_url, "https://[2001:db8::1]:443/t", true},
    {config_value_url, "http://127.0.0.1:8080/t", true},
    {config_value_url, "http://127.9.9.9/t", true},
    {config_value_url, "http://[::1]/t", true},
    {config_value_url, "http://localhost/t", true},
    {config_value_url, "http://169.254.169.254/metadata", true},
    {config_value_url, "http://login.example.com/t", false},
    {config_value_url, "http://127.0.0.1.example.com/t", false},
    {config_value_url, "http://localhost.example.com/t", false},
    {config_value_url, "http://127.0.0.1@example.com/t", false},
    {config_value_url, "http://169.254.169.25/t", false},
    {config_value_url, "http://[::2]/t", false},
    {config_value_url, "http://0/t", false},
    {config_value_url, "https://user:hunter2@h/t", false},
    {config_value_url, "https://h/t#f", false},
    {config_value_url, "https:///t", false},
    {config_value_url, "https://:443/t", false},
    {config_value_url, "https://h:/t", false},
    {config_value_url, "https://h:4x/t", false},
    {config_value_url, "https://h:123456/t", false},
    {config_value_url, "https://[::1/t", false},
    {config_value_url, "https://h /t", false},
    {config_value_url, "https://h\\@e/t", false},
    {config_value_url, "https://" X100 X100 X100 "/", false},
    {config_value_url, "ftp://h/t", false},
    {config_value_url, "file:///etc/passwd", false},
    {config_value_url, "", false},

    {config_value_proxy, "http://proxy.example.com:3128", true},
    {config_value_proxy, "socks5h://127.0.0.1:1080/", true},
    {config_value_proxy, "http://user:hunter2@proxy:3128", false},
    {config_value_proxy, "proxy:3128", false},
    {config_value_proxy, "http://proxy/x", false},
    {config_value_proxy, "http://", false},
    {config_value_proxy, "", false},

    {config_value_server, "smtp.office365.com", true},
    {config_value_server, "[smtp.office365.com]:587", true},
    {config_value_server, "127.0.0.1", true},
    {config_value_server, "[::1]:25", true},
    {config_value_server, "", false},
    {config_value_server, "[]", false},
    {config_value_server, "a b", false},
    {config_value_server, "https://h", false},

    {config_value_path, "/etc/x", true},
    {config_value_path, "etc/x", false},
    {config_value_path, "", false},
    {config_value_path, "/a\tb", false},

    {config_value_socket_path, "/run/x.sock", true},
    {config_value_socket_path, "run/x.sock", false},
    {config_value_socket_path, "/" X100 "123456", true},
    {config_value_socket_path, "/" X100 "1234567", false},

    {config_value_milter_socket, "unix:/run/x.sock", true},
    {config_value_milter_socket, "unix:run/x.sock", false},
    {config_value_milter_socket, "unix:/" X100 "1234567", false},
    {config_value_milter_socket, "/run/x.sock", false},
    {config_value_milter_socket, "inet:8891@127.0.0.1", true},
    {config_value_milter_socket, "inet:8891", true},
    {config_value_milter_socket, "inet6:8891@::1", true},
    {config_value_milter_socket, "inet:88910@127.0.0.1", false},
    {config_value_milter_socket, "inet:smtp@127.0.0.1", false},
    {config_value_milter_socket, "inet:25@", false},
    {config_value_milter_socket, "fd:3", true},
    {config_value_milter_socket, "fd:2", false},
    {config_value_milter_socket, "fd:", false},

    {config_value_login_password, "", true},
    {config_value_login_password, "unix:run/xoauth2/tokend.sock", true},
    {config_value_login_password, "unix:/run/xoauth2/tokend.sock", true},
    {config_value_login_password, "unix:", false},
    {config_value_login_password, "hunter2", false},
    {config_value_login_password, "unix:a b", false},

    {config_value_metrics, "127.0.0.1:9717", true},
    {config_value_metrics, "127.9.9.9:1", true},
    {config_value_metrics, "[::1]:65535", true},
    {config_value_metrics, "unix:/run/xoauth2/status.sock", true},
    {config_value_metrics, "unix:status.sock", false},
    {config_value_metrics, "unix:/" X100 "1234567", false},
    {config_value_metrics, "0.0.0.0:9717", false},
    {config_value_metrics, "10.0.0.1:9717", false},
    {config_value_metrics, "128.0.0.1:9717", false},
    {config_value_metrics, "[::]:9717", false},
    {config_value_metrics, "[::ffff:127.0.0.1]:9717", false},
    {config_value_metrics, "[2001:db8::1]:9717", false},
    {config_value_metrics, "::1:9717", false},
    {config_value_metrics, "[::1]", false},
    {config_value_metrics, "[::1]9717", false},
    {config_value_metrics, "127.0.0.1", false},
    {config_value_metrics, "127.0.0.1:0", false},
    {config_value_metrics, "127.0.0.1:65536", false},
    {config_value_metrics, "127.0.0.1:97x7", false},
    {config_value_metrics, "127.1:9717", false},
    {config_value_metrics, "localhost:9717", false},
    {config_value_metrics, ":9717", false},
    {config_value_metrics, "9717", false},
    {config_value_metrics, "", false},

    {config_value_command, "exec:/usr/bin/logger -t mail", true},
    {config_value_command, "exec:logger", false},
    {config_value_command, "/usr/bin/logger", false},
    {config_value_command, "file:/etc/x", false},
    {config_value_command, "", false},

    {config_value_ref, "file:/etc/x", true},
    {config_value_ref, "file:x", false},
    {config_value_ref, "file:", false},
    {config_value_ref, "credential:contoso-secret", true},
    {config_value_ref, "credential:../x", false},
    {config_value_ref, "credential:..", false},
    {config_value_ref, "credential:", false},
    {config_value_ref, "exec:/usr/bin/vault kv get x", true},
    {config_value_ref, "exec:vault", false},
    {config_value_ref, "hunter2", false},
    {config_value_ref, "FILE:/etc/hunter2", false},
    {config_value_ref, "", false},

    {config_value_address, "relay@example.com", true},
    {config_value_address, "@example.com", false},
    {config_value_address, "relay", false},
    {config_value_address, "*@example.com", false},
    {config_value_entry, "*@example.com", false},
    {config_value_address, "<relay@example.com>", false},

    {config_value_entry, "relay+x@example.com", true},
    {config_value_entry, "@example.com", true},
    {config_value_entry, "@.example.com", true},
    {config_value_entry, "@.local", true},
    {config_value_entry, "@.", false},
    {config_value_entry, "@..example.com", false},
    {config_value_entry, ".example.com", false},
    {config_value_entry, "user@.example.com", false},
    {config_value_daemon_name, "scan-in [10]", true},
    {config_value_daemon_name, "", false},
    {config_value_daemon_name, "a\tb", false},
    {config_value_entry, "J\xc3\xb6rg@m\xc3\xbcnchen.example", true},
    {config_value_entry, "example.com", false},
    {config_value_entry, "@", false},
    {config_value_entry, "a@b@c", false},
    {config_value_entry, "", false},

    {config_value_name_template, "", true},
    {config_value_name_template, "%n (%a, %d) 100%%", true},
    {config_value_name_template, "B\xc3\xbcro", true},
    {config_value_name_template, "B\xfcro", false},
    {config_value_name_template, "100%", false},
    {config_value_name_template, "%u", false},
    {config_value_name_template, "a\nb", false},

    {config_value_login, "scanner", true},
    {config_value_login, "DOMAIN\\scanner 3", true},
    {config_value_login, "", false},
    {config_value_login, "a\tb", false},

    {config_value_account, "postfix", true},
    {config_value_account, "group:mail", true},
    {config_value_account, "Debian-exim", true},
    {config_value_account, "group:", false},
    {config_value_account, "", false},
    {config_value_account, "-x", false},
    {config_value_account, "a b", false},
};

static void
values_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {ERR_NONE, ""};
        int rc = rows[i].check(rows[i].text, &err);

        if (rc != (rows[i].is_good ? 0 : -1))
            fail_msg("row %zu: \"%s\" gave %d %s", i, rows[i].text, rc,
                     err.text);
        assert_int_equal(err.code, rows[i].is_good ? ERR_NONE : ERR_CONFIG);
        assert_null(strstr(err.text, "hunter2"));
        if (!rows[i].is_good)
            assert_ptr_equal(strstr(err.text, "must "), err.text);
    }
}

static void
numbers_are_decimal_and_in_their_range(void **state)
{
    static const struct {
        const char *text;
        int want; /* -1: refused */
    } numbers[] = {
        {"0", 0},
        {"60", 60},
        {"060", 60},
        {"3600", 3600},
        {"3601", -1},
        {"-1", -1},
        {"+1", -1},
        {"", -1},
        {" 1", -1},
        {"1 ", -1},
        {"0x10", -1},
        {"1e3", -1},
        {"99999999999999999999", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct err err = {ERR_NONE, ""};
        int number = -1;
        int rc = config_value_number(numbers[i].text, 0, 3600, &number, &err);

        assert_int_equal(rc, numbers[i].want < 0 ? -1 : 0);
        assert_int_equal(number, numbers[i].want);
        if (rc < 0)
            assert_string_equal(err.text, "must be a number from 0 to 3600");
    }
}

static void
modes_are_octal(void **state)
{
    static const char *const bad[] = {"",     "66",        "1660", "06600",
                                      "0668", "rw-rw----", "-660"};
    struct err err = {ERR_NONE, ""};
    mode_t mode = 0;

    (void)state;
    assert_int_equal(config_value_mode("0660", &mode, &err), 0);
    assert_int_equal(mode, 0660);
    assert_int_equal(config_value_mode("666", &mode, &err), 0);
    assert_int_equal(mode, 0666);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(config_value_mode(bad[i], &mode, &err), -1);
    assert_int_equal(mode, 0666);
}

static void
the_error_of_a_word_lists_the_words(void **state)
{
    struct err err = {ERR_NONE, ""};
    int number = -1;

    (void)state;
    assert_int_equal(
        config_value_word(config_words_null_sender, "discard", &number, &err),
        0);
    assert_int_equal(number, CONFIG_NULL_SENDER_DISCARD);
    assert_string_equal(
        config_value_word_name(config_words_null_sender, number), "discard");
    assert_int_equal(
        config_value_word(config_words_null_sender, "Keep", &number, &err), -1);
    assert_string_equal(err.text,
                        "must be \"keep\", \"rewrite\" or \"discard\"");
}

static void
networks_have_no_bits_behind_their_prefix(void **state)
{
    static const struct {
        const char *text;
        const char *want; /* NULL: refused */
        unsigned prefix;
    } networks[] = {
        {"10.0.5.0/24", "::ffff:10.0.5.0", 120},
        {"10.0.5.7", "::ffff:10.0.5.7", 128},
        {"0.0.0.0/0", "::ffff:0.0.0.0", 96},
        {"10.0.5.128/25", "::ffff:10.0.5.128", 121},
        {"2001:db8::/32", "2001:db8::", 32},
        {"::1", "::1", 128},
        {"::/0", "::", 0},
        {"10.0.5.1/24", NULL, 0},
        {"2001:db8::1/32", NULL, 0},
        {"10.0.5.0/33", NULL, 0},
        {"10.0.5.0/", NULL, 0},
        {"10.0.5.0/-1", NULL, 0},
        {"10.0.5/24", NULL, 0},
        {"10.0.5.0/255.255.255.0", NULL, 0},
        {"2001:db8::/129", NULL, 0},
        {"localhost", NULL, 0},
        {"", NULL, 0},
        {"/8", NULL, 0},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111", NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(networks); i++) {
        struct config_network network;
        struct err err = {ERR_NONE, ""};
        char text[INET6_ADDRSTRLEN];
        int rc = config_value_network(networks[i].text, &network, &err);

        assert_int_equal(rc, networks[i].want != NULL ? 0 : -1);
        if (rc < 0)
            continue;
        assert_non_null(
            inet_ntop(AF_INET6, &network.address, text, sizeof(text)));
        assert_string_equal(text, networks[i].want);
        assert_int_equal(network.prefix, networks[i].prefix);
    }
}

static void
a_servers_name_loses_brackets_port_and_case(void **state)
{
    static const struct {
        const char *text;
        const char *want; /* NULL: refused */
    } names[] = {
        {"smtp.office365.com", "smtp.office365.com"},
        {"SMTP.Office365.COM", "smtp.office365.com"},
        {"[smtp.office365.com]", "smtp.office365.com"},
        {"[smtp.office365.com]:587", "smtp.office365.com"},
        {"smtp.office365.com:587", "smtp.office365.com"},
        {"smtp.office365.com:submission", "smtp.office365.com"},
        {"[::1]:25", "::1"},
        {"::1", "::1"},
        {"2001:DB8::1", "2001:db8::1"},
        {"", NULL},
        {"[]", NULL},
        {":25", NULL},
        {"[smtp", NULL},
        {"[smtp]x", NULL},
        {"[smtp]:", NULL},
        {"smtp:", NULL},
        {"https://smtp", NULL},
    };
    char name[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        bool is_name = config_server_name(names[i].text, strlen(names[i].text),
                                          name, sizeof(name));

        assert_int_equal(is_name, names[i].want != NULL);
        if (is_name)
            assert_string_equal(name, names[i].want);
    }
    assert_false(config_server_name("a\0b", 3, name, sizeof(name)));
    assert_true(config_server_name("abc", 3, name, 4));
    assert_false(config_server_name("abcd", 4, name, 4));
}

static void
accounts_are_looked_up(void **state)
{
    char root[] = "root";
    char nobody[] = "no-such-account";
    struct config_peer peer = {.name = root};
    struct err err = {ERR_NONE, ""};

    (void)state;
    peer.id = 1;
    assert_int_equal(config_value_peer(&peer, &err), 0);
    assert_true(peer.is_known);
    assert_int_equal(peer.id, 0);
    peer.is_group = true;
    peer.id = 1;
    assert_int_equal(config_value_peer(&peer, &err), 0);
    assert_true(peer.is_known);
    assert_int_equal(peer.id, 0);
    peer.name = nobody;
    assert_int_equal(config_value_peer(&peer, &err), 0);
    assert_false(peer.is_known);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_judged),
        cmocka_unit_test(numbers_are_decimal_and_in_their_range),
        cmocka_unit_test(modes_are_octal),
        cmocka_unit_test(the_error_of_a_word_lists_the_words),
        cmocka_unit_test(networks_have_no_bits_behind_their_prefix),
        cmocka_unit_test(a_servers_name_loses_brackets_port_and_case),
        cmocka_unit_test(accounts_are_looked_up),
    };

    return cmocka_run_group_tests_name("config_value", tests, NULL, NULL);
}
