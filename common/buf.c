/*
 * buf - a growing byte buffer with a hard cap, wiped when it grows or is freed.
 */
#include "common/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

#define FIRST_CAPACITY 128 /* bytes */

/* Room for `more` bytes and the NUL. realloc() would leave an unwiped copy. */
static bool
reserve(struct buf *buf, size_t more)
{
    size_t capacity = buf->capacity > 0 ? buf->capacity : FIRST_CAPACITY;
    char *data;

    if (more > buf->limit || buf->len > buf->limit - more)
        return false;
    while (capacity < buf->len + more + 1)
        capacity *= 2;
    if (capacity == buf->capacity)
        return true;
    data = malloc(capacity);
    if (data == NULL)
        return false;
    if (buf->data != NULL) {
        memcpy(data, buf->data, buf->len);
        secret_wipe(buf->data, buf->len);
        free(buf->data);
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void
buf_init(struct buf *buf, size_t limit)
{
    *buf = (struct buf){.limit = limit};
}

void
buf_clear(struct buf *buf)
{
    if (buf->data != NULL) {
        /* Nothing is behind it: whoever makes it shorter wipes what goes. */
        secret_wipe(buf->data, buf->len);
        free(buf->data);
    }
    *buf = (struct buf){0};
}

void
buf_reset(struct buf *buf)
{
    if (buf->data != NULL) {
        secret_wipe(buf->data, buf->len);
        buf->data[0] = '\0';
    }
    buf->len = 0;
    buf->failed = false;
}

void
buf_append(struct buf *buf, const void *data, size_t len)
{
    if (buf->failed)
        return;
    if (!reserve(buf, len)) {
        buf->failed = true;
        return;
    }
    if (len > 0)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void
buf_append_str(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void
buf_append_char(struct buf *buf, char c)
{
    buf_append(buf, &c, 1);
}

void
buf_append_int(struct buf *buf, int64_t value)
{
    char digits[20]; /* of 2^63, and the sign */
    size_t at = sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    /* By hand: every answer of tokend has two numbers. */
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        digits[--at] = '-';
    buf_append(buf, digits + at, sizeof(digits) - at);
}

bool
buf_failed(const struct buf *buf)
{
    return buf->failed;
}

const char *
buf_str(const struct buf *buf)
{
    return buf->data != NULL ? buf->data : "";
}

void
buf_consume(struct buf *buf, size_t len)
{
    if (len == 0)
        return;
    memmove(buf->data, buf->data + len, buf->len - len);
    secret_wipe(buf->data + buf->len - len, len);
    buf->len -= len;
    buf->data[buf->len] = '\0';
}
