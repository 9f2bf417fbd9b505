/*
 * fuzz_encoded_word - encoded words in any text, and any text encoded.
 *
 * Words that are found lie within the text, one behind the other; what they
 * decode to is UTF-8. Text that is encoded is found again as it was.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/encoded_word.h"
#include "common/utf8.h"

#define TEXT_MAX 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
count_byte(char byte, void *arg)
{
    size_t *count = arg;

    (void)byte;
    ++*count;
}

static void
check_find(const char *text, size_t len)
{
    struct encoded_word word = {0};

    while (encoded_word_find(text, len, word.at + word.len, &word)) {
        struct buf decoded;
        size_t count = 0;

        assert(word.at + word.len <= len && word.len > 6);
        assert(memcmp(text + word.at, "=?", 2) == 0);
        assert(memcmp(text + word.at + word.len - 2, "?=", 2) == 0);
        assert(word.encoded >= text + word.at &&
               word.encoded + word.encoded_len <= text + word.at + word.len);
        encoded_word_decode(&word, count_byte, &count);
        assert(count <= word.encoded_len);
        buf_init(&decoded, TEXT_MAX);
        if (encoded_word_decode_utf8(&word, &decoded))
            assert(utf8_is_valid(decoded.data, decoded.len));
        else
            assert(decoded.len == 0);
        assert(!buf_failed(&decoded));
        buf_clear(&decoded);
    }
}

/* Runs of words go on, never back, and are UTF-8 too. */
static void
check_runs(const char *text, size_t len)
{
    struct encoded_word word = {0};
    struct buf decoded;
    size_t end = 0;

    buf_init(&decoded, TEXT_MAX);
    while (encoded_word_find(text, len, end, &word)) {
        (void)encoded_word_decode_run(text, len, &word, &decoded, &end);
        assert(end >= word.at + word.len && end <= len);
    }
    assert(!buf_failed(&decoded));
    assert(utf8_is_valid(buf_str(&decoded), decoded.len));
    buf_clear(&decoded);
}

/* Lines are short, words too, and all of it decodes to the text. */
static void
check_append(const char *text, size_t len, size_t max)
{
    struct encoded_word word = {0};
    struct buf encoded;
    struct buf decoded;
    size_t column = 5;
    size_t taken;
    size_t line = 5;

    buf_init(&encoded, TEXT_MAX);
    buf_init(&decoded, TEXT_MAX);
    taken = encoded_word_append(&encoded, text, len, &column, max);
    assert(taken <= len && !buf_failed(&encoded));
    assert(encoded.len <= max);
    for (size_t i = 0; i < encoded.len; i++) {
        line = encoded.data[i] == '\n' ? 0 : line + 1;
        assert(line <= 78);
        assert(encoded.data[i] == '\n' ||
               (encoded.data[i] >= ' ' && encoded.data[i] < '\177'));
    }
    while (encoded_word_find(buf_str(&encoded), encoded.len, word.at + word.len,
                             &word)) {
        assert(word.len <= ENCODED_WORD_MAX);
        assert(encoded_word_decode_utf8(&word, &decoded));
    }
    assert(decoded.len == taken);
    assert(taken == 0 || memcmp(decoded.data, text, taken) == 0);
    buf_clear(&decoded);
    buf_clear(&encoded);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len;
    char *text;

    if (size == 0 || size > 10000)
        return 0;
    len = size - 1;
    text = malloc(size); /* of the exact size, so that a byte too far shows */
    assert(text != NULL);
    memcpy(text, data + 1, len);
    check_find(text, len);
    check_runs(text, len);
    if (utf8_is_valid(text, len))
        check_append(text, len, (size_t)data[0] * 8);
    free(text);
    return 0;
}
