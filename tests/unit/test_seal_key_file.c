/*
 * seal_key_file: made once, whole, for the owner alone; and what is there is
 * never replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/util.h"
#include "tests/unit/scratch.h"
#include "token-daemon/seal_key_file.h"

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

struct row {
    const char *name;
    const char *content; /* NULL: there is no file */
    mode_t mode;
    enum err_code want_code; /* NONE: it is read */
    const char *want_error;
};

static struct row rows[] = {
    {"a key", HEX "\n", 0600, ERR_NONE, NULL},
    {"a key that nobody may change", HEX "\n", 0400, ERR_NONE, NULL},
    {"a key without a newline", HEX, 0600, ERR_NONE, NULL},
    {"no file", NULL, 0, ERR_NOTFOUND, "there is no key file"},
    {"a file that others may read", HEX "\n", 0640, ERR_CONFIG,
     "(mode 0640); run: chmod 0600 '"},
    {"an empty file", "", 0600, ERR_CONFIG, "holds no key of 32 bytes"},
    {"half a key", "000102030405060708090a0b0c0d0e0f\n", 0600, ERR_CONFIG,
     "put it back from a backup"},
    {"two lines", HEX "\n\n", 0600, ERR_CONFIG, "holds no key of 32 bytes"},
    {"a long text", HEX HEX HEX HEX HEX, 0600, ERR_CONFIG,
     "holds no key of 32 bytes"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    const char *path = scratch_path("key");
    struct seal_key key = {{0}};
    struct err err = {ERR_NONE, ""};
    int rc;

    (void)unlink(path);
    if (row->content != NULL)
        scratch_write("key", row->content, strlen(row->content), row->mode);
    rc = seal_key_file_read(path, &key, &err);
    assert_int_equal(err.code, row->want_code);
    assert_int_equal(rc, row->want_code == ERR_NONE ? 0 : -1);
    if (row->want_error == NULL) {
        for (size_t i = 0; i < SEAL_KEY_LEN; i++)
            assert_int_equal(key.bytes[i], i);
        return;
    }
    if (strstr(err.text, row->want_error) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.text, row->want_error);
    assert_non_null(strstr(err.text, path));
    assert_null(strstr(err.text, "000102"));
}

static void
what_is_made_is_read_again(void **state)
{
    const char *path = scratch_path("new.key");
    struct seal_key made, read_again, other;
    struct err err;
    struct stat st;

    (void)state;
    (void)umask(0);
    assert_int_equal(seal_key_file_create(path, &made, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_nlink, 1); /* the draft is gone */
    assert_int_equal(st.st_size, 2 * SEAL_KEY_LEN + 1);
    assert_int_equal(seal_key_file_read(path, &read_again, &err), 0);
    assert_memory_equal(&made, &read_again, sizeof(made));
    assert_int_equal(
        seal_key_file_create(scratch_path("other.key"), &other, &err), 0);
    assert_memory_not_equal(&made, &other, sizeof(made));
}

static void
what_is_there_is_not_replaced(void **state)
{
    const char *path = scratch_path("old.key");
    struct seal_key key;
    struct err err;

    (void)state;
    scratch_write("old.key", HEX "\n", strlen(HEX) + 1, 0600);
    assert_int_equal(seal_key_file_create(path, &key, &err), 0);
    assert_int_equal(key.bytes[31], 31);

    /* Neither is one that can't be used. */
    scratch_write("old.key", "mine", 4, 0600);
    assert_int_equal(seal_key_file_create(path, &key, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_int_equal(truncate(path, 3), 0);
}

static void
where_it_can_not_be_made(void **state)
{
    struct err err = {ERR_NONE, ""};
    struct seal_key key;

    (void)state;
    assert_int_equal(seal_key_file_create(scratch_path("none/key"), &key, &err),
                     -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "No such file or directory"));
}

/* It must not wait for a writer. */
static void
what_is_no_file_is_refused(void **state)
{
    struct err err = {ERR_NONE, ""};
    struct seal_key key;

    (void)state;
    assert_int_equal(mkfifo(scratch_path("fifo"), 0600), 0);
    assert_int_equal(seal_key_file_read(scratch_path("fifo"), &key, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, "is no regular file"));
}

int
main(void)
{
    static const struct CMUnitTest fixed[] = {
        cmocka_unit_test(what_is_made_is_read_again),
        cmocka_unit_test(what_is_there_is_not_replaced),
        cmocka_unit_test(where_it_can_not_be_made),
        cmocka_unit_test(what_is_no_file_is_refused),
    };
    struct CMUnitTest tests[ARRAY_LEN(fixed) + ARRAY_LEN(rows)];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        tests[count++] = fixed[i];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[count++] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    return cmocka_run_group_tests_name("seal_key_file", tests, scratch_set_up,
                                       scratch_tear_down);
}
