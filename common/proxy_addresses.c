/*
 * proxy_addresses - the addresses of a recipient as Exchange prints them.
 */
#include "common/proxy_addresses.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "common/address.h"
#include "common/util.h"

#define SEPARATORS " \t\n,;|{}"
#define KIND_MAX   20 /* letters and digits before the colon */

void
proxy_addresses_init(struct proxy_addresses *proxy, const char *text)
{
    proxy->at = text;
}

static bool
is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9');
}

/* The bytes before the colon of `smtp:...`; 0 when there is no such thing. */
static size_t
kind_len(const char *text)
{
    size_t len = 0;

    while (is_alnum(text[len]))
        len++;
    return text[len] == ':' && len <= KIND_MAX ? len : 0;
}

/* Skips what separates; the length of the word that follows, 0 at the end. */
static size_t
find_word(struct proxy_addresses *proxy)
{
    proxy->at += strspn(proxy->at, SEPARATORS);
    return strcspn(proxy->at, SEPARATORS);
}

static bool
ends_with(const char *text, size_t len, const char *end)
{
    size_t end_len = strlen(end);

    return len >= end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

static bool
is_cut(const char *text, size_t len)
{
    return ends_with(text, len, "...") || ends_with(text, len, "\xe2\x80\xa6");
}

/* What Export-Csv prints of a list. */
static bool
is_type(const char *text)
{
    static const char *const spaces[] = {"System.", "Microsoft.",
                                         "Deserialized."};

    for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
        if (strncasecmp(text, spaces[i], strlen(spaces[i])) == 0)
            return true;
    return false;
}

/*
 * One of another kind may hold separators: it goes on up to a word that begins
 * with a kind of its own.
 */
static size_t
other_len(const char *text, size_t len)
{
    for (;;) {
        size_t next = len + strspn(text + len, SEPARATORS);

        if (text[next] == '\0' || kind_len(text + next) > 0)
            return len;
        len = next + strcspn(text + next, SEPARATORS);
    }
}

enum proxy_addresses_result
proxy_addresses_next(struct proxy_addresses *proxy, const char **text,
                     size_t *len)
{
    size_t word = find_word(proxy);
    const char *begin = proxy->at;
    size_t kind = kind_len(begin);
    bool is_smtp = kind == 4 && strncasecmp(begin, "smtp", 4) == 0;

    if (word == 0)
        return PROXY_ADDRESSES_END;
    if (is_cut(begin, word))
        return PROXY_ADDRESSES_CUT;
    if (kind > 0 && !is_smtp)
        word = other_len(begin, word);
    proxy->at += word;
    if (is_smtp) {
        begin += 5;
        word -= 5;
    }
    *text = begin;
    *len = word;
    if (kind > 0 && !is_smtp)
        return is_cut(begin, word) ? PROXY_ADDRESSES_CUT
                                   : PROXY_ADDRESSES_OTHER;
    if (address_is_valid(begin, word))
        return PROXY_ADDRESSES_SMTP;
    if (is_smtp)
        return PROXY_ADDRESSES_UNUSABLE;
    return is_type(begin) ? PROXY_ADDRESSES_TYPE : PROXY_ADDRESSES_BAD;
}
