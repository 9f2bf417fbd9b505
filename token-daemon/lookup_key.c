/*
 * lookup_key - the keys of the lookups `token`, `xoauth2` and `refused`.
 */
#include "token-daemon/lookup_key.h"

#include <string.h>

#include "common/config.h"

/* Is it what config_server_name() may leave: a host name or an address? */
static bool
is_server(const char *name)
{
    for (; *name != '\0'; name++)
        if (*name <= ' ' || *name > '~' || strchr("\"\\'<>,;()=@", *name))
            return false;
    return true;
}

static int
read_seconds(const char *text, size_t len, int64_t *out, struct err *err)
{
    int64_t value = 0;

    if (*out >= 0)
        return err_set(err, ERR_PROTO, "min= is given twice");
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || value > LOOKUP_KEY_MIN_MAX)
            return err_set(err, ERR_PROTO, "min= wants seconds, 0 to %d",
                           LOOKUP_KEY_MIN_MAX);
        value = value * 10 + (text[i] - '0');
    }
    if (len == 0 || value > LOOKUP_KEY_MIN_MAX)
        return err_set(err, ERR_PROTO, "min= wants seconds, 0 to %d",
                       LOOKUP_KEY_MIN_MAX);
    *out = value;
    return 0;
}

static int
read_server(const char *text, size_t len, struct lookup_key *key,
            struct err *err)
{
    if (key->server[0] != '\0')
        return err_set(err, ERR_PROTO, "host= is given twice");
    if (memchr(text, '\0', len) != NULL ||
        !config_server_name(text, len, key->server, sizeof(key->server)) ||
        !is_server(key->server))
        return err_set(err, ERR_PROTO, "host= wants the name of a server");
    return 0;
}

static int
read_fingerprint(const char *text, size_t len, struct lookup_key *key,
                 struct err *err)
{
    if (key->fingerprint[0] != '\0')
        return err_set(err, ERR_PROTO, "token= is given twice");
    if (len != TOKEN_FINGERPRINT_LEN)
        return err_set(err, ERR_PROTO, "token= wants %d hexadecimal digits",
                       TOKEN_FINGERPRINT_LEN);
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c >= 'A' && c <= 'F')
            c = (char)(c + ('a' - 'A'));
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return err_set(err, ERR_PROTO, "token= wants %d hexadecimal digits",
                           TOKEN_FINGERPRINT_LEN);
        key->fingerprint[i] = c;
    }
    return 0;
}

/* Does the word begin with `prefix`? Then *rest and *rest_len are what follows
 */
static bool
starts(const char *word, size_t len, const char *prefix, const char **rest,
       size_t *rest_len)
{
    size_t prefix_len = strlen(prefix);

    if (len < prefix_len || memcmp(word, prefix, prefix_len) != 0)
        return false;
    *rest = word + prefix_len;
    *rest_len = len - prefix_len;
    return true;
}

static int
read_word(const char *word, size_t len, struct lookup_key *key, struct err *err)
{
    const char *rest;
    size_t rest_len;

    if (starts(word, len, "host=", &rest, &rest_len))
        return read_server(rest, rest_len, key, err);
    if (starts(word, len, "min=", &rest, &rest_len))
        return read_seconds(rest, rest_len, &key->min_s, err);
    if (starts(word, len, "token=", &rest, &rest_len))
        return read_fingerprint(rest, rest_len, key, err);
    return err_set(err, ERR_PROTO,
                   "unknown word; a key is ADDRESS host=SERVER [min=SECONDS] "
                   "[token=FINGERPRINT]");
}

int
lookup_key_parse(const char *key, size_t len, struct lookup_key *out,
                 struct err *err)
{
    const char *end = key + len;
    const char *space = memchr(key, ' ', len);
    size_t address_len = space != NULL ? (size_t)(space - key) : len;

    *out = (struct lookup_key){.min_s = -1};
    if (!address_is_valid(key, address_len) || address_len > ADDRESS_MAX)
        return err_set(err, ERR_PROTO, "a key begins with a mail address");
    memcpy(out->address, key, address_len);
    while (space != NULL) {
        const char *word = space + 1;

        space = memchr(word, ' ', (size_t)(end - word));
        if (read_word(word, (size_t)((space != NULL ? space : end) - word), out,
                      err) < 0)
            return -1;
    }
    if (out->server[0] == '\0')
        return err_set(err, ERR_PROTO, "host=SERVER is missing");
    return 0;
}
