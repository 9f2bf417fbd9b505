/*
 * Entries and what they cover, and lists of addresses as Exchange prints them.
 *
 * Of two lines the first is an entry, the second an address: it is covered just
 * by itself, its domain, and the domains above. What is read of a list lies
 * within it, and is an address where it says so.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/config_value.h"
#include "common/proxy_addresses.h"
#include "common/sendas.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int is_fine)
{
    if (!is_fine)
        abort();
}

/* Two lines: an entry covers what it should and nothing else. */
static void
check_cover(const char *entry, const char *address)
{
    struct err err;
    const char *domain = address_domain(address);

    if (config_value_entry(entry, &err) < 0 ||
        !sendas_entry_covers(entry, address))
        return;
    if (entry[0] != '@') {
        check(address_equal(entry, address));
        return;
    }
    check(domain != NULL && domain > address + 1);
    check(strlen(domain) >= strlen(entry + 1));
    check(
        address_equal(entry + 1, domain + strlen(domain) - strlen(entry + 1)));
    check((entry[1] == '.') == (strlen(domain) > strlen(entry + 1)));
}

static void
check_proxies(const char *text)
{
    struct proxy_addresses proxy;
    enum proxy_addresses_result result;
    const char *end = text + strlen(text);
    const char *last = text;

    proxy_addresses_init(&proxy, text);
    do {
        const char *found = text;
        size_t len = 0;

        result = proxy_addresses_next(&proxy, &found, &len);
        check(found >= text && found + len <= end);
        check(proxy.at >= last && proxy.at <= end);
        if (result == PROXY_ADDRESSES_SMTP)
            check(address_is_valid(found, len));
        check(result == PROXY_ADDRESSES_END || proxy.at > last ||
              result > PROXY_ADDRESSES_END);
        last = proxy.at;
    } while (result == PROXY_ADDRESSES_SMTP ||
             result == PROXY_ADDRESSES_OTHER ||
             result == PROXY_ADDRESSES_UNUSABLE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char *second;

    check(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    check_proxies(text);
    second = strchr(text, '\n');
    if (second != NULL) {
        *second = '\0';
        check_cover(text, second + 1);
    }
    free(text);
    return 0;
}
