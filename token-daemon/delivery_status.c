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
 * has the three digits `code` (NULL: any 5xx), the enhanced code `enhanced`
 * (NULL: any or none) and holds `pattern` (NULL: anything). A pattern is never
 * so short that a recipient's address may hold it.
 */
struct rule {
    const char *code;
    const char *enhanced;
    const char *pattern;
    const char *word;
    const char *hint;
};

#define SEND_AS_WORD "send-as-denied"
#define SEND_AS_HINT                                                      \
    "grant it with Add-RecipientPermission -AccessRights SendAs, or let " \
    "sendas-milter rewrite From"
#define QUOTA_HINT                                                            \
    "the mailbox reached its limit of recipients a day; wait, or spread the " \
    "mail over more mailboxes"
#define PASSWORD_HINT                                                         \
    "the login was not XOAUTH2; set smtp_sasl_mechanism_filter = xoauth2 on " \
    "the relay's transport"

/* To anything but the login. */
static const struct rule setup_rules[] = {
    {"554", "5.2.252", NULL, SEND_AS_WORD, SEND_AS_HINT},
    {"554", "5.2.0", "SendAsDenied", SEND_AS_WORD, SEND_AS_HINT},
    {"550", NULL, "Client does not have permissions to send as this sender",
     SEND_AS_WORD, SEND_AS_HINT},
    {NULL, "5.1.90", NULL, "quota-exceeded", QUOTA_HINT},
    {NULL, "5.2.2", "Submission quota exceeded", "quota-exceeded", QUOTA_HINT},
    {"554", "5.2.0", "SubmissionQuotaExceeded", "quota-exceeded", QUOTA_HINT},
    {"554", "5.2.0", "STOREDRV", "quota-exceeded",
     "the server could not take it for this mailbox; look at its quota and its "
     "permissions"},
    {"554", "5.2.2", NULL, "mailbox-full",
     "the mailbox that sends is full, as copies go to its Sent Items; empty it "
     "or set a retention policy"},
    {"550", "5.7.30", NULL, "basic-authentication", PASSWORD_HINT},
    {"530", NULL, NULL, "not-authenticated",
     "the session was not logged in; smtp_sasl_password_maps must answer for "
     "this server"},
    {"550", "5.1.8", NULL, "sender-blocked",
     "the mailbox is blocked as a spammer; unblock it under Restricted "
     "entities"},
    {NULL, "5.7.705", NULL, "tenant-blocked",
     "the tenant exceeded its threshold; ask Microsoft's support"},
    {NULL, "5.7.708", NULL, "tenant-blocked",
     "traffic from this address is not accepted; ask Microsoft's support"},
};

/* To the login, when it is about the token or the mailbox: 535 or 501. */
static const struct rule login_rules[] = {
    {NULL, NULL, "disabled for the Tenant", "smtp-auth-disabled",
     "SMTP AUTH is off for the tenant; Set-CASMailbox MAILBOX "
     "-SmtpClientAuthenticationDisabled $false"},
    {NULL, NULL, "disabled for the Mailbox", "smtp-auth-disabled",
     "SMTP AUTH is off for the mailbox; Set-CASMailbox MAILBOX "
     "-SmtpClientAuthenticationDisabled $false"},
    {NULL, NULL, "security defaults", "security-defaults",
     "security defaults block SMTP AUTH; use Conditional Access instead"},
    {NULL, NULL, "did not meet the criteria", "policy",
     "a Conditional Access or authentication policy blocks the login; look at "
     "Entra's sign-in log"},
    {NULL, NULL, "basic authentication is disabled", "basic-authentication",
     PASSWORD_HINT},
    {NULL, NULL, "user credentials were incorrect", "basic-authentication",
     PASSWORD_HINT},
    {NULL, NULL, "Token will expire soon", "token-too-short",
     "the server wants more life left; set min_token_lifetime = 600 or more in "
     "its relay section"},
    {NULL, NULL, "User address provided is not valid", "bad-user",
     "the server does not know this mailbox; check its address"},
    {NULL, NULL, NULL, "login-refused",
     "check that the mailbox exists, that SMTP AUTH is on for it, and that the "
     "app's service principal (object id of the enterprise application) has "
     "rights on it"},
};

/* To the login, when no token would help. */
static const struct rule auth_rules[] = {
    {"550", "5.7.30", NULL, "basic-authentication", PASSWORD_HINT},
    {"504", NULL, NULL, "mechanism-refused",
     "the server does not take XOAUTH2 here; check the server's name and port "
     "and that TLS begins before the login"},
    {NULL, NULL, NULL, "login-failed",
     "the server refuses the login, and not for the token; see what it said"},
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

/* How many digits, at most `max`, stand at the beginning? */
static size_t
count_digits(const char *text, size_t len, size_t max)
{
    size_t count = 0;

    while (count < len && count < max && is_digit(text[count]))
        count++;
    return count;
}

/* The length of the code `class.subject.detail` that ends at a blank; or 0. */
static size_t
enhanced_code(const char *text, size_t len)
{
    size_t subject, detail;

    if (len < 6 || (text[0] != '2' && text[0] != '4' && text[0] != '5') ||
        text[1] != '.')
        return 0;
    subject = count_digits(text + 2, len - 2, 3);
    if (subject == 0 || len < 2 + subject + 3 || text[2 + subject] != '.')
        return 0;
    detail = count_digits(text + 3 + subject, len - 3 - subject, 3);
    if (detail == 0 || len <= 3 + subject + detail ||
        text[3 + subject + detail] != ' ')
        return 0;
    return 3 + subject + detail;
}

/* A server's reply, taken apart. */
struct reply {
    const char *code; /* three digits */
    const char *enhanced;
    size_t enhanced_len; /* 0: none */
    const char *text;    /* what follows `code` and one byte */
    size_t text_len;
};

/* What follows the first "said: ", when it begins with a code of 5xx. */
static bool
read_reply(const char *text, size_t len, struct reply *out)
{
    static const char said[] = "said: ";
    const char *at = memmem(text, len, said, sizeof(said) - 1);
    size_t left;

    if (at == NULL)
        return false;
    at += sizeof(said) - 1;
    left = len - (size_t)(at - text);
    if (left < 4 || at[0] != '5' || !is_digit(at[1]) || !is_digit(at[2]) ||
        (at[3] != ' ' && at[3] != '-'))
        return false;
    *out = (struct reply){
        .code = at,
        .enhanced = at + 4,
        .enhanced_len = enhanced_code(at + 4, left - 4),
        .text = at + 4,
        .text_len = left - 4,
    };
    return true;
}

static bool
has_code(const struct reply *reply, const char *code)
{
    return memcmp(reply->code, code, 3) == 0;
}

static const struct rule *
match(const struct rule *rules, size_t count, const struct reply *reply)
{
    for (size_t i = 0; i < count; i++) {
        const struct rule *rule = &rules[i];

        if (rule->code != NULL && !has_code(reply, rule->code))
            continue;
        if (rule->enhanced != NULL &&
            (strlen(rule->enhanced) != reply->enhanced_len ||
             memcmp(rule->enhanced, reply->enhanced, reply->enhanced_len) != 0))
            continue;
        if (rule->pattern != NULL &&
            !holds(reply->text, reply->text_len, rule->pattern))
            continue;
        return rule;
    }
    return NULL;
}

static const struct rule *
find_rule(const struct reply *reply, bool is_auth, bool is_login)
{
    if (is_login)
        return match(login_rules, ARRAY_LEN(login_rules), reply);
    if (is_auth)
        return match(auth_rules, ARRAY_LEN(auth_rules), reply);
    return match(setup_rules, ARRAY_LEN(setup_rules), reply);
}

void
delivery_status_read(const char *text, size_t len, struct delivery_status *out)
{
    const struct rule *rule;
    struct reply reply;
    bool is_auth, is_login;

    *out = (struct delivery_status){.kind = DELIVERY_OTHER};
    if (enhanced_code(text, len) == 0)
        return;
    if (text[0] == '2') {
        out->kind = DELIVERY_ACCEPTED;
        return;
    }
    if (!read_reply(text, len, &reply))
        return;
    is_auth =
        holds(text, (size_t)(reply.code - text), "SASL authentication failed");
    is_login = is_auth && (has_code(&reply, "535") || has_code(&reply, "501"));
    rule = find_rule(&reply, is_auth, is_login);
    if (rule == NULL)
        return;
    out->kind = is_login ? DELIVERY_LOGIN_REFUSED : DELIVERY_SETUP_REFUSED;
    out->must_defer = text[0] == '5';
    out->word = rule->word;
    out->hint = rule->hint;
    out->is_of_sender = strcmp(rule->word, SEND_AS_WORD) == 0;
}

/* No byte outside printable ASCII. */
static void
append_printable(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] >= ' ' && text[i] <= '~')
            buf_append_char(out, text[i]);
        else
            buf_append_char(out, '?');
}

void
delivery_status_replace(const struct delivery_status *status,
                        const char *mailbox, const char *text, size_t len,
                        struct buf *out)
{
    const char *words = memchr(text, ' ', len);
    size_t skip = words != NULL ? (size_t)(words - text) + 1 : 0;
    size_t left = len - skip;

    buf_append_str(out, "4.7.1 ");
    buf_append_str(out, status->word);
    if (mailbox != NULL) {
        buf_append_str(out, " for ");
        append_printable(out, mailbox, strlen(mailbox));
    }
    buf_append_str(out, ": ");
    buf_append_str(out, status->hint);
    buf_append_str(out, "; ");
    append_printable(out, text + skip,
                     left < SERVER_TEXT_MAX ? left : SERVER_TEXT_MAX);
}
