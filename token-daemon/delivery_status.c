/*
 * delivery_status - what became of a delivery.
 *
 *     status  = class "." subject "." detail SP words
 *     words   = ... "said: " code [SP enhanced] SP text
 *
 * The replies are those of Exchange Online; RFC 3463 names the enhanced codes.
 */
#include "token-daemon/delivery_status.h"

#include <string.h>

#include "common/util.h"

#define SERVER_TEXT_MAX 400 /* bytes of the old status that are passed on */

/*
 * What a server's reply means. The first row that matches counts: the reply
 * has the three digits `code` (NULL: any 5xx) and holds `pattern`
 * (NULL: anything).
 */
static const struct rule {
    const char *code;
    const char *pattern;
    const char *word;
    const char *hint;
} setup_rules[] = {
    {NULL, "SendAsDenied", "send-as-denied",
     "grant it with Add-RecipientPermission -AccessRights SendAs, or let "
     "sendas-milter rewrite From"},
    {NULL, "permissions to send as this sender", "send-as-denied",
     "grant it with Add-RecipientPermission -AccessRights SendAs, or let "
     "sendas-milter rewrite From"},
    {NULL, "SubmissionQuotaExceeded", "quota-exceeded",
     "the mailbox reached its limit of recipients a day; wait, or spread the "
     "mail over more mailboxes"},
    {NULL, "Submission quota exceeded", "quota-exceeded",
     "the mailbox reached its limit of recipients a day; wait, or spread the "
     "mail over more mailboxes"},
    {NULL, " 5.1.90 ", "quota-exceeded",
     "the mailbox reached its limit of recipients a day; wait, or spread the "
     "mail over more mailboxes"},
    {"554", " 5.2.0 STOREDRV", "quota-exceeded",
     "the server could not take it for this mailbox; look at its quota and its "
     "permissions"},
    {"554", " 5.2.2 ", "mailbox-full",
     "the mailbox that sends is full, as copies go to its Sent Items; empty it "
     "or set a retention policy"},
    {"550", " 5.7.30 ", "basic-authentication",
     "the login was not XOAUTH2; set smtp_sasl_mechanism_filter = xoauth2 on "
     "the relay's transport"},
    {"530", NULL, "not-authenticated",
     "the session was not logged in; smtp_sasl_password_maps must answer for "
     "this server"},
    {"550", " 5.1.8 ", "sender-blocked",
     "the mailbox is blocked as a spammer; unblock it under Restricted "
     "entities"},
    {NULL, " 5.7.705 ", "tenant-blocked",
     "the tenant exceeded its threshold; ask Microsoft's support"},
    {NULL, " 5.7.708 ", "tenant-blocked",
     "traffic from this address is not accepted; ask Microsoft's support"},
};

static const struct rule login_rules[] = {
    {NULL, "disabled for the Tenant", "smtp-auth-disabled",
     "SMTP AUTH is off for the tenant; Set-CASMailbox MAILBOX "
     "-SmtpClientAuthenticationDisabled $false"},
    {NULL, "disabled for the Mailbox", "smtp-auth-disabled",
     "SMTP AUTH is off for the mailbox; Set-CASMailbox MAILBOX "
     "-SmtpClientAuthenticationDisabled $false"},
    {NULL, "security defaults", "security-defaults",
     "security defaults block SMTP AUTH; use Conditional Access instead"},
    {NULL, "did not meet the criteria", "policy",
     "a Conditional Access or authentication policy blocks the login; look at "
     "Entra's sign-in log"},
    {NULL, "Token will expire soon", "token-too-short",
     "the server wants more life left; set min_token_lifetime = 600 or more in "
     "its relay section"},
    {NULL, "User address provided is not valid", "bad-user",
     "the server does not know this mailbox; check its address"},
    {NULL, NULL, "login-refused",
     "check that the mailbox exists, that SMTP AUTH is on for it, and that the "
     "app's service principal (object id of the enterprise application) has "
     "rights on it"},
};

static bool
holds(const char *text, size_t len, const char *pattern)
{
    return memmem(text, len, pattern, strlen(pattern)) != NULL;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What follows the first "said: ", when it begins with a code of 5xx. */
static const char *
server_reply(const char *text, size_t len, size_t *reply_len)
{
    static const char said[] = "said: ";
    const char *at = memmem(text, len, said, sizeof(said) - 1);
    size_t left;

    if (at == NULL)
        return NULL;
    at += sizeof(said) - 1;
    left = len - (size_t)(at - text);
    if (left < 4 || at[0] != '5' || !is_digit(at[1]) || !is_digit(at[2]) ||
        (at[3] != ' ' && at[3] != '-'))
        return NULL;
    *reply_len = left;
    return at;
}

static const struct rule *
match(const struct rule *rules, size_t count, const char *reply, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        if (rules[i].code != NULL && memcmp(reply, rules[i].code, 3) != 0)
            continue;
        if (rules[i].pattern != NULL && !holds(reply, len, rules[i].pattern))
            continue;
        return &rules[i];
    }
    return NULL;
}

void
delivery_status_read(const char *text, size_t len, struct delivery_status *out)
{
    const struct rule *rule;
    const char *reply;
    size_t reply_len;
    bool is_login;

    *out = (struct delivery_status){.kind = DELIVERY_OTHER};
    if (len < 6 || text[1] != '.')
        return;
    if (text[0] == '2') {
        out->kind = DELIVERY_ACCEPTED;
        return;
    }
    reply = server_reply(text, len, &reply_len);
    if (reply == NULL)
        return;
    is_login =
        holds(text, (size_t)(reply - text), "SASL authentication failed");
    rule = is_login
               ? match(login_rules, ARRAY_LEN(login_rules), reply, reply_len)
               : match(setup_rules, ARRAY_LEN(setup_rules), reply, reply_len);
    if (rule == NULL)
        return;
    out->kind = is_login ? DELIVERY_LOGIN_REFUSED : DELIVERY_SETUP_REFUSED;
    out->must_defer = text[0] == '5';
    out->word = rule->word;
    out->hint = rule->hint;
}

void
delivery_status_replace(const struct delivery_status *status,
                        const char *mailbox, const char *text, size_t len,
                        struct buf *out)
{
    const char *words = memchr(text, ' ', len);
    size_t skip = words != NULL ? (size_t)(words - text) + 1 : 0;

    buf_append_str(out, "4.7.1 ");
    buf_append_str(out, status->word);
    if (mailbox != NULL) {
        buf_append_str(out, " for ");
        buf_append_str(out, mailbox);
    }
    buf_append_str(out, ": ");
    buf_append_str(out, status->hint);
    buf_append_str(out, "; ");
    for (size_t i = skip; i < len && i - skip < SERVER_TEXT_MAX; i++)
        buf_append_char(out, text[i] >= ' ' && text[i] <= '~' ? text[i] : '?');
}
