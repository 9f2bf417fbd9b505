/*
 * base64url - bytes as text that can stand in a URL. RFC 4648, section 5,
 * without padding, as RFC 7515 has it.
 */
#ifndef TOKEN_DAEMON_BASE64URL_H
#define TOKEN_DAEMON_BASE64URL_H

#include <stddef.h>

#include "common/buf.h"

/* Append `len` bytes as text. Fails as buf does. */
void base64url_append(struct buf *out, const void *data, size_t len);

/*
 * Append the bytes that a text stands for. 0; -1 when it is no such text
 * (padding is none), and *out may then hold a part. Out of room fails as buf
 * does.
 */
int base64url_decode(struct buf *out, const char *text, size_t len)
    __attribute__((warn_unused_result));

#endif
