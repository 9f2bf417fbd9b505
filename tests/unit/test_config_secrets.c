/*
 * config_check_secrets: one row is one file's permissions and owner.
 */
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/util.h"
#include "tests/unit/scratch.h"

struct row {
    const char *name;
    const char *options; /* @ stands for the file */
    mode_t mode;
    bool is_foreign;     /* its group is another than ours */
    const char *section; /* NULL: the credential */
    const char *want;    /* what the error holds; NULL: it is good */
};

#define SECRET "client_secret = {\"credential:x\", \"file:@\"}"

static struct row rows[] = {
    {.name = "for the owner alone", .options = SECRET, .mode = 0600},
    {.name = "for our group", .options = SECRET, .mode = 0640},
    {.name = "for everybody",
     .options = SECRET,
     .mode = 0644,
     .want = "client_secret: others may read the secret (mode 0644)"},
    {.name = "for everybody to write",
     .options = SECRET,
     .mode = 0602,
     .want = "(mode 0602)"},
    {.name = "for another group",
     .options = SECRET,
     .mode = 0640,
     .is_foreign = true,
     .want = "(mode 0640, group is not this program's)"},
    {.name = "of another group that may not read it",
     .options = SECRET,
     .mode = 0600,
     .is_foreign = true},
    {.name = "a certificate with its key in it",
     .options = "certificate = \"file:@\"",
     .mode = 0644,
     .want = "certificate: others may read"},
    {.name = "a certificate beside its key",
     .options = "certificate = \"file:@\" private_key = \"credential:k\"",
     .mode = 0644},
    {.name = "a key",
     .options = "certificate = \"credential:c\" private_key = \"file:@\"",
     .mode = 0604,
     .want = "private_key: others may read"},
    {.name = "a passphrase that others may read",
     .options = "certificate = \"exec:/x\" private_key = \"exec:/x\" "
                "passphrase = \"file:@\"",
     .mode = 0644,
     .want = "passphrase: others may read"},
    {.name = "a key in a token is no file",
     .options = "certificate = \"exec:/x\" "
                "private_key = \"pkcs11:token=x\""},
    {.name = "a service account's key that others may read",
     .section = ":3: section credential \"d\"",
     .options = "client_secret = \"exec:/x\" } credential \"d\" { provider = "
                "\"google\" "
                "grant = \"service_account\" "
                "service_account_key = \"file:@\"",
     .mode = 0644,
     .want = "service_account_key: others may read"},
    {.name = "nothing in files",
     .options = "client_secret = {\"credential:x\", \"exec:/nonexistent\"}"},
    {.name = "a file that is not there",
     .options = "client_secret = \"file:/nonexistent/secret\"",
     .want = "client_secret: /nonexistent/secret: No such file"},
    {.name = "the key of the state",
     .options = "client_secret = \"credential:x\" }\n\n\ntokend { "
                "seal_key = \"file:@\"",
     .mode = 0644,
     .section = ":6: section tokend",
     .want = "seal_key: others may read the secret (mode 0644)"},
    {.name = "a list of authorities that is not there",
     .options = SECRET " ca_file = \"/nonexistent/ca.pem\"",
     .mode = 0600,
     .want = "ca_file: /nonexistent/ca.pem: No such file"},
    {.name = "a directory",
     .options = "client_secret = \"file:/\"",
     .want = "client_secret: /: this is not a regular file"},
};

static void
write_config(const char *options)
{
    char text[4096] =
        "\ncredential \"c\" { tenant = \"t.example\" client_id = \"i\"\n";
    size_t len = strlen(text);
    const char *path = scratch_path("secret");

    for (; *options != '\0' && len < sizeof(text); options++)
        if (*options == '@')
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", path);
        else
            text[len++] = *options;
    len += (size_t)snprintf(text + len, sizeof(text) - len,
                            "}\nmailbox \"a@b.c\" { credential = \"c\" }\n");
    assert_true(len < sizeof(text));
    scratch_write_text("relay.conf", text);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct err err = {ERR_NONE, ""};
    struct config *config;
    char begin[1024];
    int rc;

    if (row->is_foreign && geteuid() != 0)
        skip(); /* only root may give a file away */
    scratch_write("secret", "hunter2\n", 8, row->mode);
    if (row->is_foreign)
        assert_int_equal(chown(scratch_path("secret"), (uid_t)-1, 65533), 0);
    write_config(row->options);
    config = config_load(scratch_path("relay.conf"), &err);
    assert_string_equal(err.text, "");
    rc = config_check_secrets(config, &err);
    assert_int_equal(rc, row->want == NULL ? 0 : -1);
    assert_int_equal(err.code, row->want == NULL ? ERR_NONE : ERR_CONFIG);
    if (row->want != NULL) {
        (void)snprintf(begin, sizeof(begin),
                       "%s%s (ends here): ", scratch_path("relay.conf"),
                       row->section != NULL ? row->section
                                            : ":3: section credential \"c\"");
        assert_ptr_equal(strstr(err.text, begin), err.text);
        if (strstr(err.text, row->want) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.text, row->want);
    }
    assert_null(strstr(err.text, "hunter2"));
    config_unref(&config);
}

/* What the error says to run makes it good. */
static void
the_command_of_the_error_puts_it_right(void **state)
{
    struct err err = {ERR_NONE, ""};
    const struct group *group = getgrgid(getegid());
    struct config *config;
    char want[1024];

    (void)state;
    assert_non_null(group);
    scratch_write("secret", "x", 1, 0666);
    write_config(SECRET);
    config = config_load(scratch_path("relay.conf"), &err);
    assert_non_null(config);
    assert_int_equal(config_check_secrets(config, &err), -1);
    (void)snprintf(
        want, sizeof(want), "; run: chown root:%s '%s' && chmod 0640 '%s'",
        group->gr_name, scratch_path("secret"), scratch_path("secret"));
    assert_non_null(strstr(err.text, want));
    assert_int_equal(chmod(scratch_path("secret"), 0640), 0);
    assert_int_equal(config_check_secrets(config, &err), 0);
    config_unref(&config);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];
    size_t count = 0;

    for (; count < ARRAY_LEN(rows); count++) {
        tests[count] = (struct CMUnitTest){
            .name = rows[count].name,
            .test_func = check_row,
            .initial_state = &rows[count],
        };
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(
        the_command_of_the_error_puts_it_right);
    return cmocka_run_group_tests_name("config_secrets", tests, scratch_set_up,
                                       scratch_tear_down);
}
