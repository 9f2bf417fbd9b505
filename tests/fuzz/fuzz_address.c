/*
 * fuzz_address - addresses and paths of any bytes.
 *
 * What is valid has one @, no byte that ends or quotes anything, and is the
 * same within brackets and without.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_valid(const char *text, size_t len)
{
    const char *at = memchr(text, '@', len);

    assert(len <= ADDRESS_MAX);
    assert(at != NULL && at > text && at + 1 < text + len);
    assert(memchr(at + 1, '@', (size_t)(text + len - at) - 1) == NULL);
    assert(address_domain_is_valid(at + 1, (size_t)(text + len - at) - 1));
    assert(utf8_is_valid(text, len));
    for (size_t i = 0; i < len; i++)
        assert((unsigned char)text[i] > ' ' && text[i] != '\177' &&
               strchr("()<>[]:;\\,\"", text[i]) == NULL);
}

/* The path in brackets, and as it is. */
static void
check_path(const char *text, size_t len)
{
    char path[ADDRESS_MAX + 3];
    char out[ADDRESS_MAX + 1];

    memcpy(path, "<", 1);
    memcpy(path + 1, text, len);
    memcpy(path + 1 + len, ">", 2);
    assert(address_from_path(path, out, sizeof(out)));
    assert(strlen(out) == len && memcmp(out, text, len) == 0);
    assert(address_from_path(out, path, sizeof(path)));
    assert(address_equal(out, path));
    assert(address_domain(out) == strchr(out, '@') + 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char out[64];

    assert(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (address_from_path(text, out, sizeof(out)))
        assert(strlen(out) < sizeof(out));
    free(text);

    text = malloc(size > 0 ? size : 1); /* so that a byte too far shows */
    assert(text != NULL);
    memcpy(text, data, size);
    if (address_is_valid(text, size)) {
        check_valid(text, size);
        check_path(text, size);
    }
    free(text);
    return 0;
}
