/* encoded_word: finding, decoding, and encoding within lines and limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/encoded_word.h"
#include "common/utf8.h"
#include "common/util.h"

struct row {
    const char *name;
    const char *text;
    const char *want; /* the first word as UTF-8; NULL: none, or not readable */
    bool want_found;
};

static struct row rows[] = {
    {"Q encoding", "x =?utf-8?q?M=C3=BCller_1?= y", "M\xc3\xbcller 1", true},
    {"B encoding", "=?UTF-8?B?TcO8bGxlcg==?=", "M\xc3\xbcller", true},
    {"base64 without padding", "=?UTF-8?B?TcO8bGxlcg?=", "M\xc3\xbcller", true},
    {"ISO 8859-1", "=?ISO-8859-1?Q?M=FCller?=", "M\xc3\xbcller", true},
    {"a language", "=?us-ascii*en?q?a?=", "a", true},
    {"another charset", "=?koi8-r?q?=C1?=", "\xd0\xb0", true},
    {"a charset that nobody knows", "=?x-nobody?q?a?=", NULL, true},
    {"bytes that are no UTF-8", "=?utf-8?q?=FF?=", NULL, true},
    {"an = without digits stays", "=?utf-8?q?a=b=4?=", "a=b=4", true},
    {"a word without text",
     "=?utf-8?q?"
     "?=",
     "", true},
    {"without a charset",
     "=?"
     "?q?a?=",
     NULL, false},
    {"another encoding", "=?utf-8?x?a?=", NULL, false},
    {"cut before its end", "=?utf-8?q?a?", NULL, false},
    {"cut after the encoding", "=?utf-8?q", NULL, false},
    {"only its beginning", "=?", NULL, false},
    {"the first one broken, the second not", "=?x=?utf-8?q?a?=", "a", true},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct encoded_word word;
    struct buf got;
    bool is_found = encoded_word_find(row->text, strlen(row->text), 0, &word);

    assert_int_equal(is_found, row->want_found);
    if (!is_found)
        return;
    assert_memory_equal(row->text + word.at, "=?", 2);
    assert_memory_equal(row->text + word.at + word.len - 2, "?=", 2);
    buf_init(&got, 100);
    assert_int_equal(encoded_word_decode_utf8(&word, &got), row->want != NULL);
    assert_string_equal(buf_str(&got), row->want != NULL ? row->want : "");
    buf_clear(&got);
}

/* Decode all words of a folded text; what is between them must be blank. */
static void
decode_all(const char *text, size_t len, struct buf *out)
{
    struct encoded_word word = {0};
    size_t done = 0;

    while (encoded_word_find(text, len, done, &word)) {
        for (; done < word.at; done++)
            assert_non_null(strchr(" \n", text[done]));
        assert_true(word.len <= ENCODED_WORD_MAX);
        assert_true(encoded_word_decode_utf8(&word, out));
        done += word.len;
    }
    assert_int_equal(done, len);
}

static size_t
longest_line(const char *text, size_t column)
{
    size_t longest = 0;

    for (; *text != '\0'; text++) {
        column = *text == '\n' ? 0 : column + 1;
        if (column > longest)
            longest = column;
    }
    return longest;
}

static void
what_is_encoded_decodes_to_itself(void **state)
{
    static const char *const texts[] = {
        "M\xc3\xbcller", "\xe5\x8d\xb0\xe5\x88\xb7\xe6\xa9\x9f",
        "a \"quoted\" (comment) <b@c> \\ ?= =? _ = \t",
        "Donaudampfschifffahrtselektrizit\xc3\xa4tenhauptbetriebswerkbauunter"
        "beamtengesellschaft, \xc3\x96sterreich, in f\xc3\xbcnf langen Zeilen",
        "\xf0\x9f\x96\xa8\xf0\x9f\x96\xa8\xf0\x9f\x96\xa8\xf0\x9f\x96\xa8"
        "\xf0\x9f\x96\xa8\xf0\x9f\x96\xa8\xf0\x9f\x96\xa8\xf0\x9f\x96\xa8"
        "\xf0\x9f\x96\xa8\xf0\x9f\x96\xa8\xf0\x9f\x96\xa8\xf0\x9f\x96\xa8"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (size_t column = 0; column < 90; column++) {
            size_t at = column;
            struct buf encoded;
            struct buf decoded;

            buf_init(&encoded, 10000);
            buf_init(&decoded, 10000);
            assert_int_equal(encoded_word_append(&encoded, texts[i],
                                                 strlen(texts[i]), &at, 10000),
                             strlen(texts[i]));
            assert_true(longest_line(buf_str(&encoded), column) <=
                        (column > 78 ? column : 78));
            decode_all(buf_str(&encoded), encoded.len, &decoded);
            assert_string_equal(buf_str(&decoded), texts[i]);
            buf_clear(&decoded);
            buf_clear(&encoded);
        }
    }
}

static void
the_limit_cuts_between_characters(void **state)
{
    static const char text[] = "\xc3\xbc\xe5\x8d\xb0\xf0\x9f\x96\xa8 \xc3\xbc"
                               "\xe5\x8d\xb0\xf0\x9f\x96\xa8 and so on";

    (void)state;
    for (size_t max = 0; max < 120; max++) {
        size_t column = 0;
        struct buf encoded;
        struct buf decoded;
        size_t taken;

        buf_init(&encoded, 1000);
        buf_init(&decoded, 1000);
        taken = encoded_word_append(&encoded, text, strlen(text), &column, max);
        assert_true(encoded.len <= max);
        decode_all(buf_str(&encoded), encoded.len, &decoded);
        assert_int_equal(decoded.len, taken);
        assert_memory_equal(buf_str(&decoded), text, taken);
        assert_true(utf8_is_valid(text, taken));
        buf_clear(&decoded);
        buf_clear(&encoded);
    }
}

static void
only_valid_utf8_is_valid(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } texts[] = {
        {"", true},
        {"plain", true},
        {"\xc3\xbc\xe2\x82\xac\xf0\x9f\x96\xa8\xf4\x8f\xbf\xbf", true},
        {"\xc3", false},
        {"\xbc", false},
        {"\xc0\x80", false},         /* overlong */
        {"\xe0\x80\x80", false},     /* overlong */
        {"\xf0\x80\x80\x80", false}, /* overlong */
        {"\xed\xa0\x80", false},     /* a surrogate */
        {"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
        {"\xff", false},
        {"\xe2\x82", false},
        {"\xe2\x28\xa1", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(utf8_is_valid(texts[i].text, strlen(texts[i].text)),
                         texts[i].want);
}

#define TEN_XS "xxxxxxxxxx"

static void
only_what_the_standard_allows_is_valid(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } texts[] = {
        {"", true},
        {"no = word ?= here", true},
        {"=?utf-8?q?M=C3=BCller_1?=", true},
        {"=?UTF-8?B?TcO8bGxlcg==?=", true},
        {"=?utf-8*de?Q?a?= x =?us-ascii?b?YWJj?=", true},
        {"=?utf-8?q?a?=\n\t=?utf-8?q?b?=", true},
        {"=?utf-8?q?a.b?=", true},
        {"=?utf-8?q?" TEN_XS TEN_XS TEN_XS TEN_XS TEN_XS TEN_XS "xxx?=", true},
        {"=?utf-8?q?" TEN_XS TEN_XS TEN_XS TEN_XS TEN_XS TEN_XS "xxxx?=",
         false},
        {"=?", false},
        {"=?utf-8", false},
        {"=?utf-8?q", false},
        {"=?utf-8?q?", false},
        {"=?utf-8?q?=41", false},
        {"=?utf-8?q?=41?", false},
        {"=?utf-8?q?=41 ?=", false},
        {"=?utf-8?q?"
         "?=",
         false},
        {"=?utf-8?q?"
         "?=41?=",
         false},
        {"=?utf-8?q?=?=", false},
        {"=?utf-8?q?=4?=", false},
        {"=?utf-8?q?a\"b?=", false},
        {"=?utf-8?q?a@b?=", false},
        {"=?utf-8?q?a(b?=", false},
        {"=?utf-8?q?a\\b?=", false},
        {"=?utf-8?q?a?b?=", false},
        {"=?utf-8?q?\xc3\xbc?=", false},
        {"=?utf-8?x?a?=", false},
        {"=??q?a?=", false},
        {"=?a.b?q?a?=", false},
        {"=?*de?q?a?=", false},
        {"=?\"?q?a?=", false},
        {"=?utf-8?b?YQ?=", false},
        {"=?utf-8?b?YQ===?=", false},
        {"=?utf-8?b?Y=Q=?=", false},
        {"=?utf-8?b?!!!!?=", false},
        {"x=?utf-8?q?a?=", false},
        {"=?utf-8?q?a?=x", false},
        {"=?utf-8?q?a?==?utf-8?q?b?=", false},
        {"=?utf-8?q?a?=.=?utf-8?q?b?=", false},
        {"=?utf-8?q?a?= =?", false},
        {"=\\?utf-8?q?a?=", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        bool got = encoded_word_all_valid(texts[i].text, strlen(texts[i].text));

        if (got != texts[i].want)
            print_message("%s\n", texts[i].text);
        assert_int_equal(got, texts[i].want);
    }
}

/* A character may be cut in two; another charset begins a run of its own. */
static void
words_of_one_charset_are_decoded_together(void **state)
{
    static const struct {
        const char *text;
        const char *want;
        const char *rest; /* what is not taken */
        bool is_whole;
    } runs[] = {
        {"=?utf-8?q?=C3?=\n =?UTF-8?b?vA==?=", "\xc3\xbc", "", true},
        {"=?gb2312?b?tA==?= =?gb2312?b?8g==?= x", "\xe6\x89\x93", " x", true},
        {"=?koi8-r?q?=C1?= =?utf-8?q?a?=", "\xd0\xb0", " =?utf-8?q?a?=", true},
        {"=?utf-8?q?=FF?= =?utf-8?q?a?= x", "a", " x", false},
        {"=?utf-8?q?a?= =?utf-8?q?=FF?= =?utf-8?q?b?=", "ab", "", false},
        {"=?utf-8?q?a?= x =?utf-8?q?b?=", "a", " x =?utf-8?q?b?=", true},
        {"=?x-nobody?q?a?= =?x-nobody?q?b?=", "", "", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        size_t len = strlen(runs[i].text);
        struct encoded_word word;
        struct buf got;
        size_t end = 0;

        buf_init(&got, 100);
        assert_true(encoded_word_find(runs[i].text, len, 0, &word));
        assert_int_equal(
            encoded_word_decode_run(runs[i].text, len, &word, &got, &end),
            runs[i].is_whole);
        assert_string_equal(buf_str(&got), runs[i].want);
        assert_string_equal(runs[i].text + end, runs[i].rest);
        buf_clear(&got);
    }
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 5];
    size_t count = ARRAY_LEN(rows);

    for (size_t i = 0; i < count; i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(what_is_encoded_decodes_to_itself);
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(the_limit_cuts_between_characters);
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(only_valid_utf8_is_valid);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(
        only_what_the_standard_allows_is_valid);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(
        words_of_one_charset_are_decoded_together);
    return cmocka_run_group_tests_name("encoded_word", tests, NULL, NULL);
}
