/*
 * utf8 - UTF-8 (RFC 3629): what is valid, and one character after the other.
 *
 * Pure. Overlong forms, surrogates and numbers above U+10FFFF are not valid.
 */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/*
 * The bytes that the first character of `text` takes, with its number in
 * *code; 0 when `len` is 0 or when no valid character starts there.
 */
size_t utf8_next(const char *text, size_t len, uint32_t *code);

bool utf8_is_valid(const char *text, size_t len);

bool utf8_is_ascii(const char *text, size_t len);

/*
 * Is it a control: C0, DEL, C1, the line and paragraph separators, or one that
 * embeds, overrides or isolates a direction (U+202A to U+202E, U+2066 to
 * U+2069) and so can turn round what is shown behind it? The marks U+061C,
 * U+200E and U+200F are none: they move nothing but themselves, and names in
 * Arabic and Hebrew have them.
 */
bool utf8_is_control(uint32_t code);

/* Append one character. Its number is at most U+10FFFF and no surrogate. */
void utf8_append(struct buf *out, uint32_t code);

#endif
