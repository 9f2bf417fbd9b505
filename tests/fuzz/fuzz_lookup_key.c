/*
 * The keys of `token`, `xoauth2` and `refused`.
 *
 * A key that is taken holds an address that can't bring a field of its own into
 * a login, the name of a server, and numbers in range; written again it reads
 * the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "token-daemon/lookup_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int is_fine)
{
    if (!is_fine)
        abort();
}

static void
check_parts(const struct lookup_key *key)
{
    size_t len = strlen(key->fingerprint);

    check(address_is_valid(key->address, strlen(key->address)));
    check(strpbrk(key->address, "\001 \r\n:\"") == NULL);
    check(key->server[0] != '\0');
    for (const char *p = key->server; *p != '\0'; p++)
        check(*p > ' ' && *p <= '~' && !(*p >= 'A' && *p <= 'Z'));
    check(key->min_s >= -1 && key->min_s <= LOOKUP_KEY_MIN_MAX);
    check(len == 0 || len == TOKEN_FINGERPRINT_LEN);
    check(strspn(key->fingerprint, "0123456789abcdef") == len);
}

static void
check_again(const struct lookup_key *key)
{
    struct err err = {ERR_NONE, ""};
    struct lookup_key again;
    struct buf text;

    if (strpbrk(key->server, "[]") != NULL)
        return; /* such a name can't be written in brackets */
    buf_init(&text, 2048);
    buf_append_str(&text, key->address);
    buf_append_str(&text, " host=[");
    buf_append_str(&text, key->server);
    buf_append_str(&text, "]:25");
    if (key->min_s >= 0) {
        buf_append_str(&text, " min=");
        buf_append_int(&text, key->min_s);
    }
    if (key->fingerprint[0] != '\0') {
        buf_append_str(&text, " token=");
        buf_append_str(&text, key->fingerprint);
    }
    check(lookup_key_parse(text.data, text.len, &again, &err) == 0);
    check(strcmp(again.address, key->address) == 0);
    check(strcmp(again.server, key->server) == 0);
    check(strcmp(again.fingerprint, key->fingerprint) == 0);
    check(again.min_s == key->min_s);
    buf_clear(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {ERR_NONE, ""};
    struct lookup_key key;

    if (lookup_key_parse((const char *)data, size, &key, &err) < 0) {
        check(err.code == ERR_PROTO && err.text[0] != '\0');
        for (const char *p = err.text; *p != '\0'; p++)
            check(*p >= ' ' && *p <= '~');
        return 0;
    }
    check_parts(&key);
    check_again(&key);
    return 0;
}
