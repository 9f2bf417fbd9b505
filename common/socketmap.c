/*
 * socketmap - netstrings, and the requests and replies of socketmap_table(5).
 *
 *     netstring = length ":" payload ","
 *     request   = name SP key
 *     reply     = ("OK" / "NOTFOUND" / "TEMP" / "TIMEOUT" / "PERM") SP data
 */
#include "common/socketmap.h"

#include <string.h>

#include "common/util.h"

#define LENGTH_DIGITS_MAX 6 /* digits; SOCKETMAP_REPLY_MAX has five */

static const struct {
    const char *text; /* with the space after it */
    size_t len;
    enum socketmap_status status;
} statuses[] = {
    {"OK ", 3, SOCKETMAP_OK},     {"NOTFOUND ", 9, SOCKETMAP_NOTFOUND},
    {"TEMP ", 5, SOCKETMAP_TEMP}, {"TIMEOUT ", 8, SOCKETMAP_TIMEOUT},
    {"PERM ", 5, SOCKETMAP_PERM},
};

enum socketmap_result
socketmap_decode(const char *data, size_t len, size_t max,
                 struct socketmap_frame *out)
{
    size_t payload_len = 0;
    size_t i;

    for (i = 0; i < len && data[i] >= '0' && data[i] <= '9'; i++) {
        if (i == LENGTH_DIGITS_MAX || (i == 1 && data[0] == '0'))
            return SOCKETMAP_BAD;
        payload_len = payload_len * 10 + (size_t)(data[i] - '0');
        if (payload_len > max)
            return SOCKETMAP_BAD;
    }
    if (i == len)
        return SOCKETMAP_PARTIAL;
    if (i == 0 || data[i] != ':')
        return SOCKETMAP_BAD;
    i++;
    if (len - i < payload_len + 1)
        return SOCKETMAP_PARTIAL;
    if (data[i + payload_len] != ',')
        return SOCKETMAP_BAD;
    out->payload = data + i;
    out->len = payload_len;
    out->consumed = i + payload_len + 1;
    return SOCKETMAP_COMPLETE;
}

bool
socketmap_request_parse(const char *payload, size_t len,
                        struct socketmap_request *out)
{
    const char *space = memchr(payload, ' ', len);

    if (space == NULL || space == payload || memchr(payload, '\0', len) != NULL)
        return false;
    out->name = payload;
    out->name_len = (size_t)(space - payload);
    out->key = space + 1;
    out->key_len = len - out->name_len - 1;
    return true;
}

bool
socketmap_reply_parse(const char *payload, size_t len,
                      struct socketmap_reply *out)
{
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        size_t status_len = statuses[i].len;

        if (len < status_len ||
            memcmp(payload, statuses[i].text, status_len) != 0)
            continue;
        out->status = statuses[i].status;
        out->data = payload + status_len;
        out->len = len - status_len;
        return true;
    }
    return false;
}

/* Append `LENGTH:`; the payload and the comma follow. */
static void
append_length(struct buf *buf, size_t len)
{
    buf_append_int(buf, (int64_t)len);
    buf_append_char(buf, ':');
}

void
socketmap_request_encode(struct buf *buf, const char *name, const char *key)
{
    append_length(buf, strlen(name) + 1 + strlen(key));
    buf_append_str(buf, name);
    buf_append_char(buf, ' ');
    buf_append_str(buf, key);
    buf_append_char(buf, ',');
}

void
socketmap_reply_encode(struct buf *buf, enum socketmap_status status,
                       const char *data, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        if (statuses[i].status != status)
            continue;
        append_length(buf, statuses[i].len + len);
        buf_append(buf, statuses[i].text, statuses[i].len);
        buf_append(buf, data, len);
        buf_append_char(buf, ',');
    }
}
