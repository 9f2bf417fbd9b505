/*
 * tokend_reply - what tokend's answers mean for one authentication.
 *
 *     OK to `token` = expires SP token     ; Unix time in decimal
 *     any other     = word [SP text]       ; the word is stable
 */
#include "sasl-xoauth2/tokend_reply.h"

#include <string.h>

#include "common/util.h"
#include "sasl-xoauth2/client_response.h"
#include "sasl-xoauth2/printable.h"

#define EXPIRES_DIGITS_MAX 18 /* digits; int64_t has 19 */

struct meaning {
    const char *word;
    enum err_code code;
    const char *step; /* what a person does about it */
};

/* Reasons that ask for something else than their status says. */
static const struct meaning words[] = {
    {"unknown-mailbox", ERR_NOTFOUND,
     "add the mailbox to relay.conf, or correct the login in "
     "smtp_sasl_password_maps"},
    {"foreign-server", ERR_CONFIG,
     "keep LOGIN and PLAIN there by smtp_sasl_mechanism_filter = login, plain, "
     "or name it in a relay section of relay.conf"},
    {"needs-login", ERR_REAUTH,
     "its credential must be authorised again: xoauth2ctl status"},
};

/* The others, by status; indexed by enum socketmap_status. */
static const struct meaning statuses[] = {
    [SOCKETMAP_OK] = {"", ERR_PROTO, "see that xoauth2-tokend listens there"},
    [SOCKETMAP_NOTFOUND] =
        {"unknown-mailbox", ERR_NOTFOUND,
         "add the mailbox to relay.conf, or correct the login in "
         "smtp_sasl_password_maps"},
    [SOCKETMAP_TEMP] = {"no reason given", ERR_RETRY,
                        "the mail waits; for the cause: xoauth2ctl status"},
    [SOCKETMAP_TIMEOUT] = {"no reason given", ERR_RETRY,
                           "the mail waits; for the cause: xoauth2ctl status"},
    [SOCKETMAP_PERM] = {"no reason given", ERR_DENIED,
                        "an administrator must act: xoauth2ctl status"},
};

static const struct meaning *
find_meaning(const struct socketmap_reply *reply)
{
    const char *space = memchr(reply->data, ' ', reply->len);
    size_t word_len =
        space != NULL ? (size_t)(space - reply->data) : reply->len;

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strlen(words[i].word) == word_len &&
            memcmp(words[i].word, reply->data, word_len) == 0)
            return &words[i];
    }
    return &statuses[reply->status];
}

static int
refuse(const struct socketmap_reply *reply, struct err *err)
{
    const struct meaning *meaning = find_meaning(reply);
    char reason[TOKEND_REPLY_REASON_MAX];

    (void)printable(reason, sizeof(reason), reply->data, reply->len);
    return err_set(err, meaning->code, "%s; %s",
                   reason[0] != '\0' ? reason : meaning->word, meaning->step);
}

int
tokend_reply_token(const struct socketmap_reply *reply,
                   struct tokend_token *out, struct err *err)
{
    struct tokend_token token = {0};
    size_t i;

    if (reply->status != SOCKETMAP_OK)
        return refuse(reply, err);
    for (i = 0;
         i < reply->len && reply->data[i] >= '0' && reply->data[i] <= '9';
         i++) {
        if (i == EXPIRES_DIGITS_MAX)
            return err_set(err, ERR_PROTO, "the expiry is too long a number");
        token.expires_at = token.expires_at * 10 + (reply->data[i] - '0');
    }
    if (i == 0 || i == reply->len || reply->data[i] != ' ')
        return err_set(err, ERR_PROTO, "no expiry before the token");
    token.text = reply->data + i + 1;
    token.len = reply->len - i - 1;
    /* Never quoted: it might be a token all the same. */
    if (!client_response_token_is_valid(token.text, token.len))
        return err_set(err, ERR_PROTO,
                       "the token is empty, longer than %d bytes or not "
                       "visible ASCII",
                       CLIENT_RESPONSE_TOKEN_MAX);
    *out = token;
    return 0;
}

const char *
tokend_reply_refused(const struct socketmap_reply *reply, char *out,
                     size_t size)
{
    if (reply->len == 0)
        return printable(out, size, statuses[SOCKETMAP_TEMP].word,
                         strlen(statuses[SOCKETMAP_TEMP].word));
    return printable(out, size, reply->data, reply->len);
}
