/*
 * Keys out of passphrases (RFC 7914), and costs that are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/passphrase.h"

static const unsigned char salt[PASSPHRASE_SALT_LEN] = "SodiumChloride!!";

/* As Python's hashlib.scrypt() gives it. */
static void
a_passphrase_makes_the_key_that_others_make(void **state)
{
    static const unsigned char want[PASSPHRASE_KEY_LEN] = {
        0x75, 0x21, 0xa0, 0x29, 0x28, 0x2d, 0xaa, 0x43, 0xc8, 0x9f, 0xed,
        0x3f, 0x29, 0x46, 0xae, 0x43, 0x63, 0x38, 0x5f, 0x1c, 0x8d, 0x5e,
        0xbc, 0xc8, 0xc5, 0x09, 0x30, 0xed, 0xc6, 0xe3, 0x7e, 0xbe};
    const struct passphrase_cost cost = {1024, 8, 2};
    unsigned char key[PASSPHRASE_KEY_LEN];
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(passphrase_key("pleaseletmein", salt, &cost, key, &err),
                     0);
    assert_memory_equal(key, want, sizeof(key));
    assert_int_equal(passphrase_key("pleaseletmeix", salt, &cost, key, &err),
                     0);
    assert_memory_not_equal(key, want, sizeof(key));
}

static const struct passphrase_cost mad[] = {
    {0, 8, 1},          {1, 8, 1},          {1000, 8, 1},      {1024, 0, 1},
    {1024, 8, 0},       {1024, 8, 17},      {1024, 65, 1},     {1U << 21, 8, 1},
    {UINT64_MAX, 1, 1}, {1ULL << 63, 1, 1}, {1U << 18, 64, 1},
};

static void
a_mad_cost_is_refused(void **state)
{
    unsigned char key[PASSPHRASE_KEY_LEN];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mad); i++) {
        struct err err = {ERR_NONE, ""};

        assert_int_equal(passphrase_key("x", salt, &mad[i], key, &err), -1);
        assert_int_equal(err.code, ERR_PROTO);
    }
}

static void
two_salts_differ(void **state)
{
    unsigned char a[PASSPHRASE_SALT_LEN], b[PASSPHRASE_SALT_LEN];
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(passphrase_salt(a, &err), 0);
    assert_int_equal(passphrase_salt(b, &err), 0);
    assert_memory_not_equal(a, b, sizeof(a));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_passphrase_makes_the_key_that_others_make),
        cmocka_unit_test(a_mad_cost_is_refused),
        cmocka_unit_test(two_salts_differ),
    };

    return cmocka_run_group_tests_name("passphrase", tests, NULL, NULL);
}
