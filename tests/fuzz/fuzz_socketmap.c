/*
 * Netstrings, and the requests and replies of socketmap in them.
 *
 * Whatever comes, a whole frame lies within what came, is not whole one byte
 * earlier, and reads the same after it was written again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/socketmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int is_fine)
{
    if (!is_fine)
        abort();
}

static int
is_same(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

/* Decode what was just encoded. */
static struct socketmap_frame
decode_whole(const struct buf *buf)
{
    struct socketmap_frame frame;

    check(!buf_failed(buf));
    check(socketmap_decode(buf->data, buf->len, buf->limit, &frame) ==
          SOCKETMAP_COMPLETE);
    check(frame.consumed == buf->len);
    return frame;
}

static void
check_request(const struct socketmap_frame *frame)
{
    struct socketmap_request request, again;
    struct socketmap_frame second;
    struct buf name, key, out;

    if (!socketmap_request_parse(frame->payload, frame->len, &request))
        return;
    check(request.name == frame->payload && request.name_len > 0);
    check(request.name_len + 1 + request.key_len == frame->len);
    check(memchr(request.name, ' ', request.name_len) == NULL);
    check(memchr(frame->payload, '\0', frame->len) == NULL);

    buf_init(&name, SOCKETMAP_REQUEST_MAX);
    buf_init(&key, SOCKETMAP_REQUEST_MAX);
    buf_init(&out, SOCKETMAP_REQUEST_MAX + SOCKETMAP_FRAME_MORE);
    buf_append(&name, request.name, request.name_len);
    buf_append(&key, request.key, request.key_len);
    socketmap_request_encode(&out, buf_str(&name), buf_str(&key));
    second = decode_whole(&out);
    check(socketmap_request_parse(second.payload, second.len, &again));
    check(is_same(again.name, again.name_len, request.name, request.name_len));
    check(is_same(again.key, again.key_len, request.key, request.key_len));
    buf_clear(&name);
    buf_clear(&key);
    buf_clear(&out);
}

static void
check_reply(const struct socketmap_frame *frame)
{
    struct socketmap_reply reply, again;
    struct socketmap_frame second;
    struct buf out;

    if (!socketmap_reply_parse(frame->payload, frame->len, &reply))
        return;
    check(reply.data + reply.len == frame->payload + frame->len);
    buf_init(&out, SOCKETMAP_REPLY_MAX + SOCKETMAP_FRAME_MORE);
    socketmap_reply_encode(&out, reply.status, reply.data, reply.len);
    second = decode_whole(&out);
    check(is_same(second.payload, second.len, frame->payload, frame->len));
    check(socketmap_reply_parse(second.payload, second.len, &again));
    check(again.status == reply.status);
    buf_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct socketmap_frame frame, other;

    switch (socketmap_decode(text, size, SOCKETMAP_REQUEST_MAX, &frame)) {
    case SOCKETMAP_PARTIAL:
        return 0;
    case SOCKETMAP_BAD:
        /* More can't make it good. */
        for (size_t i = 1; i < size && i < 16; i++)
            if (socketmap_decode(text, i, SOCKETMAP_REQUEST_MAX, &other) ==
                SOCKETMAP_COMPLETE)
                abort();
        return 0;
    case SOCKETMAP_COMPLETE:
        break;
    }
    check(frame.consumed <= size);
    check(frame.len <= SOCKETMAP_REQUEST_MAX);
    check(frame.payload > text &&
          frame.payload + frame.len + 1 == text + frame.consumed);
    check(frame.consumed - frame.len <= SOCKETMAP_FRAME_MORE);
    check(socketmap_decode(text, frame.consumed - 1, SOCKETMAP_REQUEST_MAX,
                           &other) == SOCKETMAP_PARTIAL);
    check_request(&frame);
    check_reply(&frame);
    return 0;
}
