/* Where a machine's tokens are, when to ask again, and what may be shown. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/util.h"
#include "tests/unit/scratch.h"
#include "token-daemon/machine_identity.h"

#define DIRECTORY "/var/opt/azcmagent/tokens"

static void
assert_found(const char *endpoint, const char *imds, bool has_agent,
             const char *want)
{
    struct buf url;

    buf_init(&url, MACHINE_IDENTITY_URL_MAX);
    machine_identity_find(endpoint, imds, has_agent, &url);
    assert_string_equal(buf_str(&url), want);
    buf_clear(&url);
}

static void
the_agent_comes_before_the_virtual_machine(void **state)
{
    static const char arc[] = "http://localhost:40342/metadata/identity/oauth2/"
                              "token?api-version=2020-06-01";
    static const char vm[] = "http://169.254.169.254/metadata/identity/oauth2/"
                             "token?api-version=2018-02-01";

    (void)state;
    assert_found(NULL, NULL, false, vm);
    assert_found(NULL, NULL, true, arc);
    assert_found("http://127.0.0.1:9/t", "http://127.0.0.1:9", false,
                 "http://127.0.0.1:9/t?api-version=2020-06-01");
    /* Others than Arc set the first of the two only. */
    assert_found("http://127.0.0.1:9/t", NULL, false, vm);
    assert_found(NULL, "http://127.0.0.1:9", false, vm);
}

static void
assert_url(const char *endpoint, const char *want)
{
    struct buf url;

    buf_init(&url, MACHINE_IDENTITY_URL_MAX);
    machine_identity_url(endpoint, "resource=r", &url);
    assert_string_equal(buf_str(&url), want);
    buf_clear(&url);
}

static void
an_endpoint_without_a_version_gets_one(void **state)
{
    (void)state;
    assert_url("http://h/t", "http://h/t?api-version=2018-02-01&resource=r");
    assert_url("http://h/t?api-version=9",
               "http://h/t?api-version=9&resource=r");
}

struct wait_row {
    const char *name;
    int status; /* of every try; 0: no answer */
    int64_t want[7];
};

static struct wait_row wait_rows[] = {
    {"no answer", 0, {2000, 4000, 8000, 16000, -1}},
    {"not there yet", 404, {2000, 4000, 8000, 16000, -1}},
    {"too many requests", 429, {2000, 4000, 8000, 16000, -1}},
    {"a fault", 503, {2000, 4000, 8000, 16000, -1}},
    {"being updated, for up to 70 s",
     410,
     {2000, 4000, 8000, 16000, 40000, -1}},
    {"a bad request is not tried again", 400, {-1}},
    {"forbidden is not tried again", 403, {-1}},
};

static void
check_wait(void **state)
{
    const struct wait_row *row = *state;
    unsigned tries = 0;

    do {
        tries++;
        assert_int_equal(machine_identity_delay_ms(tries, row->status, 1000),
                         row->want[tries - 1]);
    } while (row->want[tries - 1] >= 0);
    assert_int_equal(machine_identity_delay_ms(tries + 1, row->status, 1000),
                     -1);
}

struct challenge_row {
    const char *name;
    const char *header;
    const char *want; /* the file's name; NULL: refused */
};

static struct challenge_row challenge_rows[] = {
    {"a file of the agent's", "Basic realm=" DIRECTORY "/a1.key", "a1.key"},
    {"in quotes", "basic realm=\"" DIRECTORY "/a1.key\"", "a1.key"},
    {"another scheme", "Bearer realm=" DIRECTORY "/a1.key", NULL},
    {"no realm", "Basic", NULL},
    {"another file", "Basic realm=/etc/shadow", NULL},
    {"another file that ends right", "Basic realm=/etc/ssl/private/x.key",
     NULL},
    {"a folder beside it", "Basic realm=" DIRECTORY "2/a1.key", NULL},
    {"out of it again", "Basic realm=" DIRECTORY "/../../x.key", NULL},
    {"below it", "Basic realm=" DIRECTORY "/sub/x.key", NULL},
    {"the folder itself", "Basic realm=" DIRECTORY "/", NULL},
    {"a name that is only the ending", "Basic realm=" DIRECTORY "/.key", NULL},
    {"another ending", "Basic realm=" DIRECTORY "/a1.key.txt", NULL},
    {"one quote", "Basic realm=\"" DIRECTORY "/a1.key", NULL},
};

static void
check_challenge(void **state)
{
    const struct challenge_row *row = *state;
    char name[MACHINE_IDENTITY_NAME_MAX] = "";
    struct err err = {ERR_NONE, ""};
    int rc = machine_identity_challenge(row->header, DIRECTORY, name, &err);

    assert_int_equal(rc, row->want != NULL ? 0 : -1);
    if (row->want != NULL) {
        assert_string_equal(name, row->want);
    } else {
        assert_int_equal(err.code, ERR_PROTO);
        assert_string_equal(name, "");
    }
}

static void
a_name_too_long_is_refused(void **state)
{
    char header[512] = "Basic realm=" DIRECTORY "/";
    char name[MACHINE_IDENTITY_NAME_MAX];
    struct err err = {ERR_NONE, ""};
    size_t len = strlen(header);

    (void)state;
    memset(header + len, 'x', 200);
    memcpy(header + len + 200, ".key", 5);
    assert_int_equal(machine_identity_challenge(header, DIRECTORY, name, &err),
                     -1);
}

static void
assert_key(const char *name, enum err_code want_code, const char *want)
{
    char directory[256];
    struct buf key;
    struct err err = {ERR_NONE, ""};
    int rc;

    (void)snprintf(directory, sizeof(directory), "%s", scratch_path("."));
    buf_init(&key, 2 * MACHINE_IDENTITY_KEY_MAX);
    rc = machine_identity_read_key(directory, name, &key, &err);
    assert_int_equal(err.code, want_code);
    assert_int_equal(rc, want_code == ERR_NONE ? 0 : -1);
    assert_string_equal(buf_str(&key), want);
    assert_null(strstr(err.text, "PLANTED"));
    buf_clear(&key);
}

static void
a_file_is_shown_when_it_is_as_agreed(void **state)
{
    static char long_text[MACHINE_IDENTITY_KEY_MAX + 1];
    char target[256];

    (void)state;
    memset(long_text, 'x', sizeof(long_text));
    scratch_write("a.key", "PLANTED-1", 9, 0640);
    scratch_write("empty.key", "", 0, 0640);
    scratch_write("lines.key", "PLANTED\r\nX: y", 13, 0640);
    scratch_write("long.key", long_text, sizeof(long_text), 0640);
    (void)snprintf(target, sizeof(target), "%s", scratch_path("a.key"));
    (void)unlink(scratch_path("link.key"));
    assert_int_equal(symlink(target, scratch_path("link.key")), 0);
    (void)mkdir(scratch_path("folder.key"), 0700);

    assert_key("a.key", ERR_NONE, "PLANTED-1");
    assert_key("empty.key", ERR_PROTO, "");
    assert_key("lines.key", ERR_PROTO, "");
    assert_key("long.key", ERR_PROTO, "");
    assert_key("link.key", ERR_CONFIG, "");
    assert_key("folder.key", ERR_PROTO, "");
    assert_key("none.key", ERR_CONFIG, "");
    assert_int_equal(rmdir(scratch_path("folder.key")), 0);
    assert_int_equal(unlink(scratch_path("link.key")), 0);
}

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(the_agent_comes_before_the_virtual_machine),
        cmocka_unit_test(an_endpoint_without_a_version_gets_one),
        cmocka_unit_test(a_name_too_long_is_refused),
        cmocka_unit_test(a_file_is_shown_when_it_is_as_agreed),
    };
    struct CMUnitTest tests[ARRAY_LEN(wait_rows) + ARRAY_LEN(challenge_rows) +
                            ARRAY_LEN(others)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(wait_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = wait_rows[i].name,
                                         .test_func = check_wait,
                                         .initial_state = &wait_rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(challenge_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = challenge_rows[i].name,
                                         .test_func = check_challenge,
                                         .initial_state = &challenge_rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests_name("machine_identity", tests,
                                       scratch_set_up, scratch_tear_down);
}
