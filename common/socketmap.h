/*
 * socketmap - netstrings, and the requests and replies of socketmap_table(5).
 *
 * Pure: bytes in, spans out; no sockets, no memory of its own. A netstring is
 * `LENGTH:PAYLOAD,` with LENGTH in decimal without leading zeros; a request's
 * payload is `NAME SPACE KEY`, a reply's is `STATUS SPACE DATA`.
 */
#ifndef COMMON_SOCKETMAP_H
#define COMMON_SOCKETMAP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

#define SOCKETMAP_REQUEST_MAX 8192 /* bytes of payload */
#define SOCKETMAP_REPLY_MAX   65536
#define SOCKETMAP_FRAME_MORE  8 /* bytes that a frame adds to its payload */

enum socketmap_result {
    SOCKETMAP_COMPLETE, /* one whole frame is there */
    SOCKETMAP_PARTIAL,  /* good so far, more must come */
    SOCKETMAP_BAD,      /* no netstring, or longer than allowed: close */
};

struct socketmap_frame {
    const char *payload; /* borrowed: points into the input */
    size_t len;          /* bytes of payload */
    size_t consumed;     /* bytes of input that the whole frame takes */
};

/*
 * Look for one frame at the start of `data`. *out is filled in for COMPLETE
 * only. A payload longer than `max` is BAD as soon as its length is read.
 */
enum socketmap_result socketmap_decode(const char *data, size_t len, size_t max,
                                       struct socketmap_frame *out);

struct socketmap_request {
    const char *name; /* borrowed; not NUL-terminated */
    size_t name_len;
    const char *key; /* borrowed; not NUL-terminated; may be empty */
    size_t key_len;
};

/*
 * Split a request's payload. False when there is no space after the name, the
 * name is empty, or a NUL is in it.
 */
bool socketmap_request_parse(const char *payload, size_t len,
                             struct socketmap_request *out);

enum socketmap_status {
    SOCKETMAP_OK,
    SOCKETMAP_NOTFOUND,
    SOCKETMAP_TEMP,    /* try later */
    SOCKETMAP_TIMEOUT, /* the same */
    SOCKETMAP_PERM,    /* an administrator must act */
};

struct socketmap_reply {
    enum socketmap_status status;
    const char *data; /* borrowed; not NUL-terminated */
    size_t len;
};

/* Split a reply's payload. False when the status is none of the five. */
bool socketmap_reply_parse(const char *payload, size_t len,
                           struct socketmap_reply *out);

/* Append one request or reply as a netstring. Fails as buf does. */
void socketmap_request_encode(struct buf *buf, const char *name,
                              const char *key);
void socketmap_reply_encode(struct buf *buf, enum socketmap_status status,
                            const char *data, size_t len);

#endif
