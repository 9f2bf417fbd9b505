/*
 * What tokend, or whoever listens in its place, sends to the plugin.
 *
 * Any input must end without a fault, must never give a token that could bring
 * a field of its own into a login, and must leave only printable ASCII in what
 * is logged.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/socketmap.h"
#include "sasl-xoauth2/client_response.h"
#include "sasl-xoauth2/tokend_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int is_fine)
{
    if (!is_fine)
        abort();
}

static void
check_printable(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        check(*p >= ' ' && *p <= '~');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct socketmap_frame frame;
    struct socketmap_reply reply;
    struct tokend_token token = {0};
    struct tokend_refusal refusal = {0};
    char text[TOKEND_REPLY_REASON_MAX];

    if (socketmap_decode((const char *)data, size, SOCKETMAP_REPLY_MAX,
                         &frame) != SOCKETMAP_COMPLETE)
        return 0;
    check(frame.consumed <= size);
    if (!socketmap_reply_parse(frame.payload, frame.len, &reply))
        return 0;
    check_printable(tokend_reply_refused(&reply, text, sizeof(text)));
    if (tokend_reply_token(&reply, &token, &refusal) == 0) {
        check(reply.status == SOCKETMAP_OK);
        check(client_response_token_is_valid(token.text, token.len));
        check(memchr(token.text, '\001', token.len) == NULL);
        check(token.expires_at >= 0);
    } else {
        check(refusal.code != ERR_NONE);
        check(token.text == NULL);
        check_printable(refusal.reason);
        check_printable(refusal.step);
    }
    return 0;
}
