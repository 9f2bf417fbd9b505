/*
 * encoded_word - `=?charset?encoding?text?=` of RFC 2047.
 *
 *     encoded-word = "=?" charset ["*" language] "?" encoding "?" text "?="
 */
#include "common/encoded_word.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/charset.h"
#include "common/utf8.h"

#define LINE_MAX_BYTES 78
#define PREFIX_LEN     10 /* bytes of `=?utf-8?q?` */
#define SUFFIX_LEN     2  /* bytes of `?=` */
#define PAYLOAD_MAX    (ENCODED_WORD_MAX - PREFIX_LEN - SUFFIX_LEN)

/* The next `?` at or after `from`, or `len`. */
static size_t
find_mark(const char *text, size_t len, size_t from)
{
    const char *mark = memchr(text + from, '?', len - from);

    return mark != NULL ? (size_t)(mark - text) : len;
}

/* Read the one that begins at `at`, where `=?` was seen. */
static bool
read_word(const char *text, size_t len, size_t at, struct encoded_word *out)
{
    size_t charset = at + 2;
    size_t mark = find_mark(text, len, charset);
    const char *star;
    size_t end;

    if (mark == charset || len - mark < 5 || text[mark + 2] != '?' ||
        strchr("bBqQ", text[mark + 1]) == NULL || text[mark + 1] == '\0')
        return false;
    end = find_mark(text, len, mark + 3);
    if (len - end < 2 || text[end + 1] != '=')
        return false;
    *out = (struct encoded_word){
        .at = at,
        .len = end + 2 - at,
        .charset = text + charset,
        .charset_len = mark - charset,
        .is_base64 = text[mark + 1] == 'b' || text[mark + 1] == 'B',
        .encoded = text + mark + 3,
        .encoded_len = end - mark - 3,
    };
    star = memchr(out->charset, '*', out->charset_len);
    if (star != NULL)
        out->charset_len = (size_t)(star - out->charset);
    return true;
}

bool
encoded_word_find(const char *text, size_t len, size_t from,
                  struct encoded_word *out)
{
    for (size_t at = from; at + 1 < len; at++)
        if (text[at] == '=' && text[at + 1] == '?' &&
            read_word(text, len, at, out))
            return true;
    return false;
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static int
base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* May it be in the name of a charset or of a language? RFC 2047, section 2. */
static bool
is_token_char(char c)
{
    return c > ' ' && c < '\177' && strchr("()<>@,;:\"/[]?.=", c) == NULL;
}

static bool
is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_token_char(text[i]))
            return false;
    return len > 0 && text[0] != '*' && text[len - 1] != '*';
}

static bool
is_whole_q(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '=') {
            if (len - i < 3 || hex_value(text[i + 1]) < 0 ||
                hex_value(text[i + 2]) < 0)
                return false;
            i += 2;
        } else if (text[i] <= ' ' || text[i] >= '\177' ||
                   strchr("()<>@,;:\"[]?\\", text[i]) != NULL) {
            return false;
        }
    }
    return true;
}

static bool
is_whole_base64(const char *text, size_t len)
{
    size_t end = len;

    while (end > 0 && len - end < 2 && text[end - 1] == '=')
        end--;
    for (size_t i = 0; i < end; i++)
        if (base64_value(text[i]) < 0)
            return false;
    return len % 4 == 0;
}

/* Is all of the text one encoded word by the letter of the standard? */
static bool
is_valid_word(const char *text, size_t len)
{
    const char *mark = memchr(text, '?', len);
    struct encoded_word word;

    if (len > ENCODED_WORD_MAX || mark != text + 1 ||
        !read_word(text, len, 0, &word) || word.len != len ||
        word.encoded_len == 0)
        return false;
    /* With the language; its `?` and the encoding come before the text. */
    if (!is_token(text + 2, (size_t)(word.encoded - 3 - (text + 2))))
        return false;
    return word.is_base64 ? is_whole_base64(word.encoded, word.encoded_len)
                          : is_whole_q(word.encoded, word.encoded_len);
}

static size_t
part_len(const char *text, size_t len)
{
    size_t end = 0;

    while (end < len && strchr(" \t\r\n", text[end]) == NULL)
        end++;
    return end;
}

bool
encoded_word_all_valid(const char *text, size_t len)
{
    size_t end;

    for (size_t at = 0; at < len; at += end + 1) {
        const char *part = text + at;

        /* A NUL ends a part as well; it is no text for anybody. */
        end = part_len(part, len - at);
        if ((memmem(part, end, "=?", 2) != NULL ||
             memmem(part, end, "=\\?", 3) != NULL) &&
            !is_valid_word(part, end))
            return false;
    }
    return true;
}

static void
decode_q(const char *text, size_t len, encoded_word_sink *sink, void *arg)
{
    for (size_t i = 0; i < len; i++) {
        bool has_digits = text[i] == '=' && len - i > 2;
        int high = has_digits ? hex_value(text[i + 1]) : -1;
        int low = has_digits ? hex_value(text[i + 2]) : -1;
        char c = text[i];

        if (high >= 0 && low >= 0) {
            sink((char)(high << 4 | low), arg);
            i += 2;
        } else {
            if (c == '_')
                c = ' ';
            sink(c, arg);
        }
    }
}

/* Bytes that are not of the alphabet are passed over, as most readers do. */
static void
decode_base64(const char *text, size_t len, encoded_word_sink *sink, void *arg)
{
    uint32_t bits = 0;
    unsigned count = 0;

    for (size_t i = 0; i < len; i++) {
        int value = base64_value(text[i]);

        if (value < 0)
            continue;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            sink((char)(bits >> count & 0xff), arg);
        }
    }
}

void
encoded_word_decode(const struct encoded_word *word, encoded_word_sink *sink,
                    void *arg)
{
    if (word->is_base64)
        decode_base64(word->encoded, word->encoded_len, sink, arg);
    else
        decode_q(word->encoded, word->encoded_len, sink, arg);
}

static void
append_byte(char byte, void *arg)
{
    buf_append_char(arg, byte);
}

bool
encoded_word_decode_utf8(const struct encoded_word *word, struct buf *out)
{
    const struct charset *charset =
        charset_find(word->charset, word->charset_len);
    struct buf bytes;
    bool is_good;

    if (charset == NULL)
        return false;
    buf_init(&bytes, word->encoded_len);
    encoded_word_decode(word, append_byte, &bytes);
    is_good = !buf_failed(&bytes) &&
              charset_append_utf8(charset, buf_str(&bytes), bytes.len, out);
    out->failed |= buf_failed(&bytes);
    buf_clear(&bytes);
    return is_good;
}

/* Go on to the next word, if it belongs to this one. */
static bool
find_next(const char *text, size_t len, struct encoded_word *word)
{
    size_t at = word->at + word->len;
    struct encoded_word next;
    bool is_next;

    while (at < len && strchr(" \t\r\n", text[at]) != NULL && text[at] != '\0')
        at++;
    is_next = len - at > 1 && text[at] == '=' && text[at + 1] == '?' &&
              read_word(text, len, at, &next) &&
              next.charset_len == word->charset_len &&
              strncasecmp(next.charset, word->charset, word->charset_len) == 0;
    if (is_next)
        *word = next;
    return is_next;
}

bool
encoded_word_decode_run(const char *text, size_t len,
                        const struct encoded_word *word, struct buf *out,
                        size_t *end)
{
    const struct charset *charset =
        charset_find(word->charset, word->charset_len);
    struct encoded_word next = *word;
    bool is_whole;
    struct buf bytes;
    size_t count = 0;

    buf_init(&bytes, len);
    do {
        encoded_word_decode(&next, append_byte, &bytes);
        *end = next.at + next.len;
        count++;
    } while (find_next(text, len, &next));
    is_whole = charset != NULL && !buf_failed(&bytes) &&
               charset_append_utf8(charset, buf_str(&bytes), bytes.len, out);
    out->failed |= buf_failed(&bytes);
    buf_clear(&bytes);
    if (is_whole || charset == NULL || count == 1)
        return is_whole;
    for (next = *word; count > 0; count--) {
        (void)encoded_word_decode_utf8(&next, out);
        (void)find_next(text, len, &next);
    }
    return false;
}

/* What the "Q" encoding may leave as it is in a phrase: RFC 2047, 5 (3). */
static bool
is_q_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || (c != '\0' && strchr("!*+-/", c) != NULL);
}

static size_t
q_len(const char *text, size_t len)
{
    size_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += is_q_plain(text[i]) || text[i] == ' ' ? 1 : 3;
    return sum;
}

static size_t
base64_len(size_t len)
{
    return (len + 2) / 3 * 4;
}

static void
append_q(struct buf *out, const char *text, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte == ' ') {
            buf_append_char(out, '_');
        } else if (is_q_plain(text[i])) {
            buf_append_char(out, text[i]);
        } else {
            buf_append_char(out, '=');
            buf_append_char(out, digits[byte >> 4]);
            buf_append_char(out, digits[byte & 15]);
        }
    }
}

static void
append_base64(struct buf *out, const char *text, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = (uint32_t)(unsigned char)text[i] << 16;
        char third = '=';
        char fourth = '=';

        if (len - i > 1)
            bits |= (uint32_t)(unsigned char)text[i + 1] << 8;
        if (len - i > 2)
            bits |= (unsigned char)text[i + 2];
        if (len - i > 1)
            third = digits[bits >> 6 & 63];
        if (len - i > 2)
            fourth = digits[bits & 63];
        buf_append_char(out, digits[bits >> 18]);
        buf_append_char(out, digits[bits >> 12 & 63]);
        buf_append_char(out, third);
        buf_append_char(out, fourth);
    }
}

/* How much of `text`, in whole characters, is at most `max` bytes encoded? */
static size_t
fit(const char *text, size_t len, bool is_base64, size_t max)
{
    size_t taken = 0;
    uint32_t code;

    while (taken < len) {
        size_t more = utf8_next(text + taken, len - taken, &code);

        if (more == 0 || (is_base64 ? base64_len(taken + more)
                                    : q_len(text, taken + more)) > max)
            break;
        taken += more;
    }
    return taken;
}

/* The room for what a word encodes, when it begins after a blank or a fold. */
static size_t
room(size_t column, size_t used, size_t max)
{
    size_t overhead = PREFIX_LEN + SUFFIX_LEN + 2; /* a blank, perhaps an LF */
    size_t least = PAYLOAD_MAX;

    if (used + overhead >= max)
        return 0;
    if (max - used - overhead < least)
        least = max - used - overhead;
    if (column + 1 + PREFIX_LEN + SUFFIX_LEN < LINE_MAX_BYTES &&
        LINE_MAX_BYTES - column - 1 - PREFIX_LEN - SUFFIX_LEN < least)
        least = LINE_MAX_BYTES - column - 1 - PREFIX_LEN - SUFFIX_LEN;
    return least;
}

size_t
encoded_word_append(struct buf *out, const char *text, size_t len,
                    size_t *column, size_t max)
{
    bool is_base64 = base64_len(len) < q_len(text, len);
    size_t done = 0;

    while (done < len && !buf_failed(out)) {
        /* A short rest of the line is not worth a word of its own. */
        bool is_fold = *column > 40;
        size_t taken = fit(text + done, len - done, is_base64,
                           room(is_fold ? 0 : *column, out->len, max));
        size_t before = out->len;

        if (taken == 0)
            break;
        buf_append_str(out, is_fold ? "\n " : " ");
        buf_append_str(out, is_base64 ? "=?utf-8?b?" : "=?utf-8?q?");
        if (is_base64)
            append_base64(out, text + done, taken);
        else
            append_q(out, text + done, taken);
        buf_append_str(out, "?=");
        *column =
            is_fold ? out->len - before - 1 : *column + (out->len - before);
        done += taken;
    }
    return done;
}
