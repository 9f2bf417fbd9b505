/*
 * buf - a growing byte buffer with a hard cap, wiped when it grows or is freed.
 *
 * Errors are sticky: append as often as you like and ask buf_failed() once.
 * After a failure nothing more is appended. The content is always followed by
 * a NUL that does not count, so buf_str() is a C string when it holds no NUL.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data;      /* NULL while nothing has been appended */
    size_t len;      /* bytes in use */
    size_t capacity; /* bytes allocated, with room for the NUL */
    size_t limit;    /* bytes that `len` may reach */
    bool failed;     /* out of memory, or over the limit */
};

/* An empty buffer that may grow to `limit` bytes. Allocates nothing. */
void buf_init(struct buf *buf, size_t limit);

/* Wipe and free; the buffer is then zeroed. Twice is fine. */
void buf_clear(struct buf *buf);

/* Wipe the content and the error, keep the memory. */
void buf_reset(struct buf *buf);

void buf_append(struct buf *buf, const void *data, size_t len);
void buf_append_str(struct buf *buf, const char *text);
void buf_append_char(struct buf *buf, char c);
/* In decimal. */
void buf_append_int(struct buf *buf, int64_t value);

/* Has an append failed since the last init or reset? */
bool buf_failed(const struct buf *buf);

/* The content as a C string, borrowed: until the next append. Never NULL. */
const char *buf_str(const struct buf *buf);

/* Drop the first `len` bytes; the rest moves to the front. len <= buf->len. */
void buf_consume(struct buf *buf, size_t len);

#endif
