/*
 * tokend_reply - what tokend's answers mean for one authentication.
 *
 * Pure. Reads the replies to `token` and `refused`.
 */
#ifndef SASL_XOAUTH2_TOKEND_REPLY_H
#define SASL_XOAUTH2_TOKEND_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/socketmap.h"

#define TOKEND_REPLY_REASON_MAX 400 /* bytes of tokend's text, with the NUL */

struct tokend_token {
    int64_t expires_at; /* s since 1970 */
    const char *text;   /* borrowed: from the reply; not NUL-terminated */
    size_t len;         /* bytes */
};

/* Why there is no token, and what to do about it. */
struct tokend_refusal {
    /*
     * ERR_RETRY, ERR_REAUTH, ERR_NOTFOUND (no such mailbox), ERR_CONFIG (tokend
     * does not serve this server), ERR_DENIED (any other refusal), ERR_PROTO.
     */
    enum err_code code;
    char reason[TOKEND_REPLY_REASON_MAX]; /* tokend's, printable and cut */
    const char *step; /* "; " and what to do, static; "": the reason says it */
};

/*
 * The reply to `token`. 0: *token is one that may be sent
 * (client_response_token_is_valid()); -1: *refusal is filled in.
 */
int tokend_reply_token(const struct socketmap_reply *reply,
                       struct tokend_token *token,
                       struct tokend_refusal *refusal)
    __attribute__((warn_unused_result));

/*
 * The reply to `refused`, as a printable text in `out` of `size` bytes: what
 * tokend does about the token. Returns `out`.
 */
const char *tokend_reply_refused(const struct socketmap_reply *reply, char *out,
                                 size_t size);

#endif
