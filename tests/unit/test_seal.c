/*
 * seal: what was closed opens, and nothing else does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/seal.h"

#define BUF_MAX (1 << 20)

static const struct seal_key keys[] = {
    {"0123456789abcdef0123456789abcde\1"},
    {"0123456789abcdef0123456789abcde\2"},
};
static const struct seal_label label = {"token", "contoso a@b.c"};

static struct seal *
make_seal(size_t which)
{
    struct err err;
    struct seal *seal = seal_new(&keys[which], &err);

    assert_non_null(seal);
    return seal;
}

static void
close_value(struct seal *seal, const void *plain, size_t len, struct buf *out)
{
    struct err err;

    buf_init(out, BUF_MAX);
    assert_int_equal(seal_close(seal, &label, plain, len, out, &err), 0);
    assert_int_equal(out->len, len + SEAL_OVERHEAD);
}

/* It does not open, says ERR_PROTO, and leaves nothing of the plain text. */
static void
assert_shut(struct seal *seal, const struct seal_label *under,
            const void *sealed, size_t len)
{
    struct err err = {ERR_NONE, ""};
    struct buf out;

    buf_init(&out, BUF_MAX);
    assert_int_equal(seal_open(seal, under, sealed, len, &out, &err), -1);
    assert_int_equal(err.code, ERR_PROTO);
    assert_int_equal(out.len, 0);
    buf_clear(&out);
}

static void
what_was_closed_opens(void **state)
{
    static const size_t lengths[] = {0, 1, 15, 16, 17, 4096, 100000};
    struct seal *seal = make_seal(0);
    unsigned char *plain = malloc(100000);

    (void)state;
    assert_non_null(plain);
    for (size_t i = 0; i < 100000; i++)
        plain[i] = (unsigned char)(i * 7);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct seal *other = make_seal(0); /* after a restart */
        struct buf sealed, opened;
        struct err err;

        close_value(seal, plain, lengths[i], &sealed);
        if (lengths[i] >= 16)
            assert_null(memmem(sealed.data, sealed.len, plain, 16));
        buf_init(&opened, BUF_MAX);
        buf_append_str(&opened, "before");
        assert_int_equal(
            seal_open(other, &label, sealed.data, sealed.len, &opened, &err),
            0);
        assert_int_equal(opened.len, 6 + lengths[i]);
        assert_memory_equal(opened.data, "before", 6);
        assert_int_equal(memcmp(opened.data + 6, plain, lengths[i]), 0);
        buf_clear(&opened);
        buf_clear(&sealed);
        seal_free(&other);
    }
    free(plain);
    seal_free(&seal);
    seal_free(&seal); /* takes NULL */
}

static void
a_changed_byte_is_seen(void **state)
{
    struct seal *seal = make_seal(0);
    struct buf sealed;

    (void)state;
    close_value(seal, "a refresh token", 15, &sealed);
    for (size_t i = 0; i < sealed.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            sealed.data[i] = (char)(sealed.data[i] ^ (1 << bit));
            assert_shut(seal, &label, sealed.data, sealed.len);
            sealed.data[i] = (char)(sealed.data[i] ^ (1 << bit));
        }
    buf_clear(&sealed);
    seal_free(&seal);
}

static void
a_cut_or_longer_value_is_seen(void **state)
{
    struct seal *seal = make_seal(0);
    struct buf sealed;

    (void)state;
    close_value(seal, "a refresh token", 15, &sealed);
    for (size_t len = 0; len < sealed.len; len++) {
        /* A copy of its own, so that a byte too many is a fault. */
        char *copy = malloc(len + 1);

        assert_non_null(copy);
        memcpy(copy, sealed.data, len);
        assert_shut(seal, &label, copy, len);
        free(copy);
    }
    buf_append_char(&sealed, '\0');
    assert_shut(seal, &label, sealed.data, sealed.len);
    buf_clear(&sealed);
    seal_free(&seal);
}

static void
another_key_does_not_open_it(void **state)
{
    struct seal *seal = make_seal(0);
    struct seal *other = make_seal(1);
    struct buf sealed;

    (void)state;
    close_value(seal, "a refresh token", 15, &sealed);
    assert_shut(other, &label, sealed.data, sealed.len);
    buf_clear(&sealed);
    seal_free(&other);
    seal_free(&seal);
}

static void
another_label_does_not_open_it(void **state)
{
    static const struct seal_label others[] = {
        {"token", "contoso a@b.d"},
        {"token", "contoso a@b."},
        {"token", "contoso a@b.cc"},
        {"tokens", "contoso a@b.c"},
        {"", "contoso a@b.c"},
        {"tokenc", "ontoso a@b.c"},
        {"token", ""},
    };
    struct seal *seal = make_seal(0);
    struct buf sealed;

    (void)state;
    close_value(seal, "a refresh token", 15, &sealed);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_shut(seal, &others[i], sealed.data, sealed.len);
    buf_clear(&sealed);
    seal_free(&seal);
}

static void
no_two_are_alike(void **state)
{
    struct seal *seal = make_seal(0);
    struct buf first, second;

    (void)state;
    close_value(seal, "a refresh token", 15, &first);
    close_value(seal, "a refresh token", 15, &second);
    /* Neither the nonces nor what follows from them. */
    assert_memory_not_equal(first.data + 1, second.data + 1, 12);
    assert_memory_not_equal(first.data + 13, second.data + 13, 15);
    buf_clear(&first);
    buf_clear(&second);
    seal_free(&seal);
}

static void
what_is_too_long_is_refused(void **state)
{
    struct seal *seal = make_seal(0);
    char name[SEAL_LABEL_MAX + 2];
    struct seal_label long_label = {"", name};
    struct err err = {ERR_NONE, ""};
    struct buf out;

    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    buf_init(&out, BUF_MAX);
    assert_int_equal(seal_close(seal, &long_label, "x", 1, &out, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_int_equal(
        seal_close(seal, &label, "x", SEAL_PLAIN_MAX + 1, &out, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_int_equal(out.len, 0);
    buf_clear(&out);
    buf_init(&out, SEAL_OVERHEAD); /* no room for the value */
    assert_int_equal(seal_close(seal, &label, "x", 1, &out, &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    buf_clear(&out);
    seal_free(&seal);
}

/* ---- keys ---- */

#define HEX    "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"
#define BASE64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define BYTES                                                          \
    "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f" \
    "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"

/* Each good one is the key 00 01 02 ... 1f. */
struct key_row {
    const char *name;
    const char *text;
    size_t len; /* 0: up to the NUL */
    bool is_good;
};

static struct key_row key_rows[] = {
    {"64 hexadecimal digits", HEX, 0, true},
    {"44 characters of base64", BASE64, 0, true},
    {"the 32 bytes themselves", BYTES, 32, true},
    {"nothing", "", 0, false},
    {"a password", "hunter2", 0, false},
    {"32 printable characters, so a password or a shorter key",
     "000102030405060708090a0b0c0d0e0f", 0, false},
    {"a digit too few", &HEX[1], 0, false},
    {"a digit too many", HEX "0", 0, false},
    {"64 characters, one of them no digit",
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g", 0,
     false},
    {"64 bytes, one of them NUL",
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e\0f", 64,
     false},
    {"digits in pairs",
     "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14:1", 0,
     false},
    {"base64 of 33 bytes", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g", 0,
     false},
    {"base64 of 31 bytes", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", 0,
     false},
    {"base64 for URLs", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH_8=", 0,
     false},
    {"base64 with a blank", " AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 0,
     false},
};

static void
check_key(void **state)
{
    const struct key_row *row = *state;
    size_t len = row->len > 0 ? row->len : strlen(row->text);
    char *copy = malloc(len + 1);
    struct err err = {ERR_NONE, ""};
    struct seal_key key = {"something"};
    static const struct seal_key none;
    int rc;

    assert_non_null(copy);
    memcpy(copy, row->text, len); /* without its NUL */
    rc = seal_key_parse(copy, len, &key, &err);
    free(copy);
    if (row->is_good) {
        assert_int_equal(rc, 0);
        assert_memory_equal(key.bytes, BYTES, SEAL_KEY_LEN);
        return;
    }
    assert_int_equal(rc, -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, "openssl rand -hex 32"));
    if (len > 0)
        assert_null(strstr(err.text, row->text));
    assert_memory_equal(&key, &none, sizeof(key));
}

int
main(void)
{
    static const struct CMUnitTest fixed[] = {
        cmocka_unit_test(what_was_closed_opens),
        cmocka_unit_test(a_changed_byte_is_seen),
        cmocka_unit_test(a_cut_or_longer_value_is_seen),
        cmocka_unit_test(another_key_does_not_open_it),
        cmocka_unit_test(another_label_does_not_open_it),
        cmocka_unit_test(no_two_are_alike),
        cmocka_unit_test(what_is_too_long_is_refused),
    };
    struct CMUnitTest tests[ARRAY_LEN(fixed) + ARRAY_LEN(key_rows)];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        tests[count++] = fixed[i];
    for (size_t i = 0; i < ARRAY_LEN(key_rows); i++)
        tests[count++] = (struct CMUnitTest){
            .name = key_rows[i].name,
            .test_func = check_key,
            .initial_state = &key_rows[i],
        };
    return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
