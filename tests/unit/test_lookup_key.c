/* One row is one key of `token`, `xoauth2` or `refused`; one row is one test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/util.h"
#include "token-daemon/lookup_key.h"

#define A "relay@contoso.com"
#define H " host=smtp.office365.com"

struct row {
    const char *name;
    const char *key;
    size_t len;               /* 0: up to the NUL */
    const char *want;         /* is in the error; NULL: it is good */
    const char *want_address; /* NULL: A */
    const char *want_server;  /* NULL: smtp.office365.com */
    int64_t want_min;         /* only when has_min */
    bool has_min;
    const char *want_fingerprint; /* NULL: none */
};

static struct row rows[] = {
    {.name = "an address and a server", .key = A H},
    {.name = "the words may come in any order",
     .key = A " token=0123456789ABCDEF min=600" H,
     .want_min = 600,
     .has_min = true,
     .want_fingerprint = "0123456789abcdef"},
    {.name = "the address keeps its case, the server does not",
     .key = "Relay@Contoso.COM host=SMTP.Office365.COM",
     .want_address = "Relay@Contoso.COM"},
    {.name = "a port is cut off", .key = A " host=smtp.office365.com:587"},
    {.name = "brackets are cut off", .key = A " host=[smtp.office365.com]"},
    {.name = "brackets and a port are cut off",
     .key = A " host=[smtp.office365.com]:submission"},
    {.name = "an IPv6 address in brackets",
     .key = A " host=[2001:DB8::1]:25",
     .want_server = "2001:db8::1"},
    {.name = "an IPv6 address without brackets",
     .key = A " host=2001:db8::1",
     .want_server = "2001:db8::1"},
    {.name = "a server with a dot at its end is another one",
     .key = A " host=smtp.office365.com.",
     .want_server = "smtp.office365.com."},
    {.name = "no life at all", .key = A H " min=0", .has_min = true},
    {.name = "a day of life",
     .key = A H " min=86400",
     .want_min = 86400,
     .has_min = true},
    {.name = "leading zeros",
     .key = A H " min=00300",
     .want_min = 300,
     .has_min = true},
    {.name = "a UTF-8 address",
     .key = "j\xc3\xb6rg@contoso.com" H,
     .want_address = "j\xc3\xb6rg@contoso.com"},

    {.name = "nothing", .key = "", .want = "mail address"},
    {.name = "only a blank", .key = " ", .want = "mail address"},
    {.name = "no address",
     .key = "host=smtp.office365.com",
     .want = "mail address"},
    {.name = "an address without a domain",
     .key = "relay" H,
     .want = "mail address"},
    {.name = "an address without a local part",
     .key = "@contoso.com" H,
     .want = "mail address"},
    {.name = "two @", .key = "a@b@contoso.com" H, .want = "mail address"},
    {.name = "a quoted local part",
     .key = "\"a\"@contoso.com" H,
     .want = "mail address"},
    {.name = "a control byte that would end the response",
     .key = "a\001@contoso.com" H,
     .want = "mail address"},
    {.name = "a line's end in the address",
     .key = "a\n@contoso.com" H,
     .want = "mail address"},
    {.name = "a NUL in the address",
     .key = "a\0@contoso.com" H,
     .len = sizeof("a\0@contoso.com" H) - 1,
     .want = "mail address"},
    {.name = "a colon in the address",
     .key = "a:b@contoso.com" H,
     .want = "mail address"},
    {.name = "no server", .key = A, .want = "host=SERVER is missing"},
    {.name = "no server but a life",
     .key = A " min=300",
     .want = "host=SERVER is missing"},
    {.name = "an empty server", .key = A " host=", .want = "name of a server"},
    {.name = "a server of a port alone",
     .key = A " host=:25",
     .want = "name of a server"},
    {.name = "empty brackets", .key = A " host=[]", .want = "name of a server"},
    {.name = "a bracket that is not closed",
     .key = A " host=[smtp.x",
     .want = "name of a server"},
    {.name = "words behind the bracket",
     .key = A " host=[smtp.x]y",
     .want = "name of a server"},
    {.name = "a NUL in the server",
     .key = A " host=smtp.office365.com\0.evil.example",
     .len = sizeof(A " host=smtp.office365.com\0.evil.example") - 1,
     .want = "name of a server"},
    {.name = "a line's end in the server",
     .key = A " host=smtp\n.x",
     .want = "name of a server"},
    {.name = "a high byte in the server",
     .key = A " host=smtp\xc3\xa9.x",
     .want = "name of a server"},
    {.name = "an @ in the server",
     .key = A " host=a@smtp.x",
     .want = "name of a server"},
    {.name = "two servers",
     .key = A H " host=smtp.evil.example",
     .want = "host= is given twice"},
    {.name = "the same server twice",
     .key = A H H,
     .want = "host= is given twice"},
    {.name = "an empty life", .key = A H " min=", .want = "min= wants seconds"},
    {.name = "a life below zero",
     .key = A H " min=-1",
     .want = "min= wants seconds"},
    {.name = "a life with a sign",
     .key = A H " min=+1",
     .want = "min= wants seconds"},
    {.name = "a life with a unit",
     .key = A H " min=300s",
     .want = "min= wants seconds"},
    {.name = "more than a day of life",
     .key = A H " min=86401",
     .want = "min= wants seconds"},
    {.name = "a life of more digits than a number has",
     .key = A H " min=99999999999999999999999999999999999999",
     .want = "min= wants seconds"},
    {.name = "zeros before too long a life",
     .key = A H " min=000086401",
     .want = "min= wants seconds"},
    {.name = "two lives",
     .key = A H " min=0 min=0",
     .want = "min= is given twice"},
    {.name = "an empty fingerprint",
     .key = A H " token=",
     .want = "token= wants 16 hexadecimal digits"},
    {.name = "a fingerprint that is too short",
     .key = A H " token=0123456789abcde",
     .want = "token= wants 16 hexadecimal digits"},
    {.name = "a fingerprint that is too long",
     .key = A H " token=0123456789abcdef0",
     .want = "token= wants 16 hexadecimal digits"},
    {.name = "a fingerprint with another letter",
     .key = A H " token=0123456789abcdeg",
     .want = "token= wants 16 hexadecimal digits"},
    {.name = "two fingerprints",
     .key = A H " token=0123456789abcdef token=0123456789abcdef",
     .want = "token= is given twice"},
    {.name = "two blanks", .key = A " " H, .want = "unknown word"},
    {.name = "a blank at the end", .key = A H " ", .want = "unknown word"},
    {.name = "a tab in the place of a blank",
     .key = A "\thost=smtp.x",
     .want = "mail address"},
    {.name = "a word that is misspelt",
     .key = A H " mim=300",
     .want = "unknown word"},
    {.name = "a word in capitals",
     .key = A " HOST=smtp.x",
     .want = "unknown word"},
    {.name = "a word that is cut off",
     .key = A " host",
     .want = "unknown word"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    size_t len = row->len > 0 ? row->len : strlen(row->key);
    struct err err = {ERR_NONE, ""};
    struct lookup_key key;
    /* Not NUL-terminated, so that the sanitizer sees a byte too many. */
    char *copy = malloc(len > 0 ? len : 1);
    int rc;

    assert_non_null(copy);
    memcpy(copy, row->key, len);
    rc = lookup_key_parse(copy, len, &key, &err);
    free(copy);
    assert_int_equal(rc, row->want == NULL ? 0 : -1);
    if (row->want != NULL) {
        assert_int_equal(err.code, ERR_PROTO);
        assert_non_null(strstr(err.text, row->want));
        return;
    }
    assert_string_equal(key.address,
                        row->want_address != NULL ? row->want_address : A);
    assert_string_equal(key.server, row->want_server != NULL
                                        ? row->want_server
                                        : "smtp.office365.com");
    assert_int_equal(key.min_s, row->has_min ? row->want_min : -1);
    assert_string_equal(key.fingerprint, row->want_fingerprint != NULL
                                             ? row->want_fingerprint
                                             : "");
}

/* `count` bytes of `c`, then `end`. Appends to `out`. */
static void
append_many(struct buf *out, char c, size_t count, const char *end)
{
    for (size_t i = 0; i < count; i++)
        buf_append_char(out, c);
    buf_append_str(out, end);
}

/* Does a key of these lengths parse? */
static bool
parses(size_t local, size_t server)
{
    struct err err = {ERR_NONE, ""};
    struct lookup_key key;
    struct buf text;
    int rc;

    buf_init(&text, 8192);
    append_many(&text, 'a', local, "@contoso.com host=");
    append_many(&text, 'h', server, "");
    rc = lookup_key_parse(text.data, text.len, &key, &err);
    if (rc == 0) {
        assert_int_equal(strlen(key.server), server);
        assert_int_equal(strlen(key.address), local + strlen("@contoso.com"));
    }
    buf_clear(&text);
    return rc == 0;
}

static void
the_longest_parts_fit_and_one_byte_more_does_not(void **state)
{
    (void)state;
    assert_true(parses(64, LOOKUP_KEY_SERVER_MAX));
    assert_false(parses(65, 1));
    assert_false(parses(1, LOOKUP_KEY_SERVER_MAX + 1));
    assert_false(parses(1, 8000));
    assert_false(parses(8000, 1));
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    tests[ARRAY_LEN(rows)] = (struct CMUnitTest)cmocka_unit_test(
        the_longest_parts_fit_and_one_byte_more_does_not);
    return cmocka_run_group_tests_name("lookup_key", tests, NULL, NULL);
}
