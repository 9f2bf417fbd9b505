/*
 * fuzz_from_field - any value of From: becomes one that is right.
 *
 * The first byte says whether the message may hold UTF-8. What new_field_from()
 * writes must be plain, hold the mailbox and nothing else, be short and clean,
 * and be kept as it is when it is written again. What is plain must have the
 * address at the place that is said.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/from_field.h"
#include "common/utf8.h"
#include "milter/new_field.h"

#define MAILBOX "relay@contoso.com"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No control bytes but folds; no line without content. */
static void
check_bytes(const struct buf *value, bool is_utf8)
{
    bool has_content = true; /* the name of the field */

    for (size_t i = 0; i < value->len; i++) {
        unsigned char byte = (unsigned char)value->data[i];

        assert(byte != 0x7f && (byte >= ' ' || byte == '\n' || byte == '\t'));
        if (byte == '\n') {
            assert(has_content);
            assert(value->data[i + 1] == ' ' || value->data[i + 1] == '\t');
            has_content = false;
        } else if (byte != ' ' && byte != '\t') {
            has_content = true;
        }
    }
    assert(has_content);
    assert(is_utf8 ? utf8_is_valid(value->data, value->len)
                   : utf8_is_ascii(value->data, value->len));
}

static void
check_from(const struct buf *value, bool is_utf8)
{
    struct from_field field;
    struct new_field_text again = {value->data, value->len};
    const struct new_field_rules rules = {.mailbox = MAILBOX,
                                          .is_smtputf8 = is_utf8};
    struct buf second;

    assert(!buf_failed(value));
    assert(value->len + strlen("From:") <= NEW_FIELD_MAX);
    check_bytes(value, is_utf8);
    from_field_parse(value->data, value->len, &field);
    assert(field.kind == FROM_FIELD_PLAIN);
    assert(strcmp(field.address, MAILBOX) == 0);

    buf_init(&second, 2000);
    new_field_from(&second, again, &rules);
    assert(second.len == value->len);
    assert(memcmp(second.data, value->data, value->len) == 0);
    buf_clear(&second);
}

static void
check_parse(const char *text, size_t len)
{
    struct from_field_span member;
    struct from_field field;
    size_t at = 0;

    from_field_parse(text, len, &field);
    assert(field.spot.at + field.spot.len <= len);
    assert(field.name.at + field.name.len <= len);
    assert(field.comment.at + field.comment.len <= len);
    if (field.kind == FROM_FIELD_PLAIN) {
        assert(field.may_splice);
        assert(field.spot.len == strlen(field.address));
        assert(memcmp(text + field.spot.at, field.address, field.spot.len) ==
               0);
        assert(address_is_valid(field.address, field.spot.len));
    }
    while (from_field_next(text, len, &at, &member))
        assert(at <= len && member.at + member.len <= len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct new_field_rules rules = {0};
    struct new_field_text old;
    struct buf value;
    struct buf trace;
    bool is_utf8;
    char *text;

    if (size == 0)
        return 0;
    is_utf8 = (data[0] & 1) != 0;
    text = malloc(size); /* of the exact size, so that a byte too far shows */
    assert(text != NULL);
    memcpy(text, data + 1, size - 1);
    old = (struct new_field_text){text, size - 1};

    check_parse(old.text, old.len);
    buf_init(&value, 2000);
    rules.mailbox = MAILBOX;
    rules.is_smtputf8 = is_utf8;
    new_field_from(&value, old, &rules);
    check_from(&value, is_utf8);
    buf_init(&trace, 2000);
    new_field_trace(&trace, &old, 1);
    assert(!buf_failed(&trace));
    assert(trace.len + strlen(NEW_FIELD_TRACE ":") <= NEW_FIELD_MAX);
    if (trace.len > 0)
        check_bytes(&trace, false);
    buf_clear(&trace);
    buf_clear(&value);
    free(text);
    return 0;
}
