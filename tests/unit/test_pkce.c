/* The secrets of a sign-in, and the text they are written as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/base64url.h"
#include "token-daemon/pkce.h"

struct row {
    const char *name;
    const char *bytes;
    size_t len;
    const char *text;
};

static struct row rows[] = {
    {"RFC 4648, section 10: nothing", "", 0, ""},
    {"RFC 4648, section 10: one byte", "f", 1, "Zg"},
    {"RFC 4648, section 10: two bytes", "fo", 2, "Zm8"},
    {"RFC 4648, section 10: three bytes", "foo", 3, "Zm9v"},
    {"RFC 4648, section 10: six bytes", "foobar", 6, "Zm9vYmFy"},
    {"the two digits that are a URL's own", "\xfb\xff\xfe", 3, "-__-"},
    {"bytes that are zero", "\0\0\0\0", 4, "AAAAAA"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct buf out;

    buf_init(&out, 64);
    base64url_append(&out, row->bytes, row->len);
    assert_false(buf_failed(&out));
    assert_string_equal(buf_str(&out), row->text);
    buf_reset(&out);
    assert_int_equal(base64url_decode(&out, row->text, strlen(row->text)), 0);
    assert_int_equal(out.len, row->len);
    assert_memory_equal(buf_str(&out), row->bytes, row->len);
    buf_clear(&out);
}

static void
what_is_no_such_text_is_refused(void **state)
{
    static const char *const bad[] = {"Z",   "Zg==", "Zm9vY",
                                      "Z+8", "Z/8",  "Z 8"};
    struct buf out;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        buf_init(&out, 64);
        assert_int_equal(base64url_decode(&out, bad[i], strlen(bad[i])), -1);
        buf_clear(&out);
    }
}

static void
the_challenge_is_that_of_rfc_7636_appendix_b(void **state)
{
    char challenge[PKCE_SIZE];
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(
        pkce_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", challenge,
                       &err),
        0);
    assert_string_equal(challenge,
                        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

/* RFC 7636, section 4.1: 43 to 128 unreserved characters. */
static void
a_verifier_is_long_enough_and_never_the_same(void **state)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789-._~";
    char one[PKCE_SIZE], two[PKCE_SIZE];
    struct err err = {ERR_NONE, ""};

    (void)state;
    assert_int_equal(pkce_random(one, &err), 0);
    assert_int_equal(pkce_random(two, &err), 0);
    assert_int_equal(strlen(one), 43);
    assert_int_equal(strspn(one, allowed), 43);
    assert_string_not_equal(one, two);
}

static void
texts_are_the_same_or_not(void **state)
{
    (void)state;
    assert_true(pkce_is_same("", ""));
    assert_true(pkce_is_same("abc", "abc"));
    assert_false(pkce_is_same("abc", "abd"));
    assert_false(pkce_is_same("abc", "ab"));
    assert_false(pkce_is_same("ab", "abc"));
    assert_false(pkce_is_same("", "a"));
}

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(what_is_no_such_text_is_refused),
        cmocka_unit_test(the_challenge_is_that_of_rfc_7636_appendix_b),
        cmocka_unit_test(a_verifier_is_long_enough_and_never_the_same),
        cmocka_unit_test(texts_are_the_same_or_not),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[n++] = (struct CMUnitTest){.name = rows[i].name,
                                         .test_func = check_row,
                                         .initial_state = &rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests_name("pkce", tests, NULL, NULL);
}
