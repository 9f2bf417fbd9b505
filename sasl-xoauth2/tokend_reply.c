/*
 * tokend_reply - what tokend's answers mean for one authentication.
 *
 *     OK to `token` = expires SP token     ; Unix time in decimal
 *     any other     = word [SP text]       ; the word is stable
 *
 * A text of tokend's own says what to do after a "; ". A step is added where
 * there is none, and where the mail server's side knows more than tokend.
 */
#include "sasl-xoauth2/tokend_reply.h"

#include <string.h>

#include "common/util.h"
#include "sasl-xoauth2/client_response.h"
#include "sasl-xoauth2/printable.h"

#define EXPIRES_DIGITS_MAX 18 /* digits; int64_t has 19 */

#define STEP_MAILBOX                                            \
    "; add the mailbox to relay.conf, or correct the login in " \
    "smtp_sasl_password_maps"
#define STEP_WAIT "; the mail waits; for the cause: xoauth2ctl status"

struct meaning {
    const char *word; /* also shown when tokend gave no reason at all */
    enum err_code code;
    const char *step;
};

/* Reasons that ask for something else than their status says. */
static const struct meaning unknown_mailbox = {"unknown-mailbox", ERR_NOTFOUND,
                                               STEP_MAILBOX};
static const struct meaning foreign_server = {
    "foreign-server", ERR_CONFIG,
    "; to log in there by LOGIN or PLAIN, set smtp_sasl_mechanism_filter = "
    "login, plain on a transport for it"};
static const struct meaning needs_login = {
    "needs-login", ERR_REAUTH,
    "; the credential must be authorised again: xoauth2ctl status"};

/* The others, by status; indexed by enum socketmap_status. */
static const struct meaning statuses[] = {
    [SOCKETMAP_OK] = {"tokend-protocol", ERR_PROTO,
                      "; see that it is xoauth2-tokend that listens there"},
    [SOCKETMAP_NOTFOUND] = {"unknown-mailbox", ERR_NOTFOUND, STEP_MAILBOX},
    [SOCKETMAP_TEMP] = {"no reason given", ERR_RETRY, STEP_WAIT},
    [SOCKETMAP_TIMEOUT] = {"no reason given", ERR_RETRY, STEP_WAIT},
    [SOCKETMAP_PERM] = {"no reason given", ERR_DENIED,
                        "; an administrator must act: xoauth2ctl status"},
};

static const struct meaning *
find_meaning(const struct socketmap_reply *reply)
{
    static const struct meaning *const words[] = {
        &unknown_mailbox, &foreign_server, &needs_login};
    const char *space = memchr(reply->data, ' ', reply->len);
    size_t len = space != NULL ? (size_t)(space - reply->data) : reply->len;

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strlen(words[i]->word) == len &&
            memcmp(words[i]->word, reply->data, len) == 0)
            return words[i];
    }
    return &statuses[reply->status];
}

static int
refuse(const struct socketmap_reply *reply, struct tokend_refusal *refusal)
{
    const struct meaning *meaning = find_meaning(reply);
    const char *reason = reply->len > 0 ? reply->data : meaning->word;
    size_t len = reply->len > 0 ? reply->len : strlen(meaning->word);

    (void)printable(refusal->reason, sizeof(refusal->reason), reason, len);
    refusal->code = meaning->code;
    refusal->step = meaning->step;
    if (meaning != &foreign_server && strstr(refusal->reason, "; ") != NULL)
        refusal->step = "";
    return -1;
}

/* An OK that is none. Its bytes are not quoted: they might be a token. */
static int
refuse_answer(const char *reason, struct tokend_refusal *refusal)
{
    const struct meaning *meaning = &statuses[SOCKETMAP_OK];

    (void)printable(refusal->reason, sizeof(refusal->reason), reason,
                    strlen(reason));
    refusal->code = meaning->code;
    refusal->step = meaning->step;
    return -1;
}

int
tokend_reply_token(const struct socketmap_reply *reply,
                   struct tokend_token *token, struct tokend_refusal *refusal)
{
    struct tokend_token found = {0};
    size_t i;

    if (reply->status != SOCKETMAP_OK)
        return refuse(reply, refusal);
    for (i = 0;
         i < reply->len && reply->data[i] >= '0' && reply->data[i] <= '9';
         i++) {
        if (i == EXPIRES_DIGITS_MAX)
            return refuse_answer("tokend-protocol: the expiry is too long",
                                 refusal);
        found.expires_at = found.expires_at * 10 + (reply->data[i] - '0');
    }
    if (i == 0 || i == reply->len || reply->data[i] != ' ')
        return refuse_answer("tokend-protocol: no expiry before the token",
                             refusal);
    found.text = reply->data + i + 1;
    found.len = reply->len - i - 1;
    if (!client_response_token_is_valid(found.text, found.len))
        return refuse_answer("tokend-protocol: the token is empty, longer than "
                             "32 KiB or not visible ASCII",
                             refusal);
    *token = found;
    return 0;
}

const char *
tokend_reply_refused(const struct socketmap_reply *reply, char *out,
                     size_t size)
{
    const char *text = reply->len > 0 ? reply->data : "no reason given";

    return printable(out, size, text,
                     reply->len > 0 ? reply->len : strlen(text));
}
