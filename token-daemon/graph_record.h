/*
 * graph_record - a credential's rotation as bytes, for the state.
 *
 * Pure: a JSON object with a version, which holds the new key or secret until
 * it is in use; so it is sealed like a token. Members that this version does
 * not know are ignored.
 */
#ifndef TOKEN_DAEMON_GRAPH_RECORD_H
#define TOKEN_DAEMON_GRAPH_RECORD_H

#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"
#include "token-daemon/graph_rotation.h"

#define GRAPH_RECORD_MAX ((size_t)64 * 1024) /* bytes when encoded */

/*
 * Append the bytes to `out`. `client_id` is the application that it is of.
 * Errors: ERR_PROTO (no UTF-8, or too long), ERR_SYSTEM.
 */
int graph_record_encode(const struct graph_rotation *rotation,
                        const char *client_id, struct buf *out, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Read the bytes. Owned: graph_rotation_clear(). Errors: ERR_PROTO (no such
 * record, or one that only a later version understands), ERR_NOTFOUND (it is
 * another application's), ERR_SYSTEM; *out is then zeroed. The text holds
 * nothing of the content.
 */
int graph_record_decode(const char *data, size_t len, const char *client_id,
                        struct graph_rotation *out, struct err *err)
    __attribute__((warn_unused_result));

#endif
