/*
 * One row is one status as Postfix's smtp_delivery_status_filter asks about it,
 * with a reply as Exchange Online gives it; one row is one test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/util.h"
#include "token-daemon/delivery_status.h"

#define SERVER "smtp.office365.com[52.97.183.162]"
#define MX     "[AM0PR01CA0077.eurprd01.prod.exchangelabs.com 2026-01-30T10:11:12]"

/* Postfix's own words round a reply; AUTH's code is made temporary. */
#define AUTH(dsn, reply) \
    dsn " SASL authentication failed; server " SERVER " said: " reply
#define MAIL(dsn, reply) \
    dsn " host " SERVER " said: " reply " (in reply to MAIL FROM command)"
#define RCPT(dsn, reply) \
    dsn " host " SERVER " said: " reply " (in reply to RCPT TO command)"
#define DATA(dsn, reply) \
    dsn " host " SERVER " said: " reply " (in reply to end of DATA command)"

struct row {
    const char *name;
    const char *text;
    enum delivery_kind want;
    const char *want_word; /* NULL for ACCEPTED and OTHER */
    bool want_defer;
    const char *want_hint; /* is in the hint */
};

static struct row rows[] = {
    /* ---- Deliveries ---- */
    {"a delivery means that the login worked",
     "2.6.0 250 2.6.0 <4d3c@printer.local> [InternalId=123, Hostname=AM0] 8123 "
     "bytes in 0.2, 38.1 KB/sec Queued mail for delivery",
     DELIVERY_ACCEPTED, NULL, false, NULL},
    {"a delivery in few words", "2.0.0 250 OK", DELIVERY_ACCEPTED, NULL, false,
     NULL},

    /* ---- The login ---- */
    {"a refused token is temporary already",
     AUTH("4.7.3", "535 5.7.3 Authentication unsuccessful " MX),
     DELIVERY_LOGIN_REFUSED, "login-refused", false, "enterprise application"},
    {"a refused token that would bounce is deferred",
     AUTH("5.7.3", "535 5.7.3 Authentication unsuccessful " MX),
     DELIVERY_LOGIN_REFUSED, "login-refused", true, "SMTP AUTH is on"},
    {"SMTP AUTH is off for the tenant",
     AUTH(
         "4.7.139",
         "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is "
         "disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for "
         "more information. " MX),
     DELIVERY_LOGIN_REFUSED, "smtp-auth-disabled", false,
     "SmtpClientAuthenticationDisabled $false"},
    {"SMTP AUTH is off for the mailbox",
     AUTH(
         "4.7.139",
         "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is "
         "disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled "
         "for more information. " MX),
     DELIVERY_LOGIN_REFUSED, "smtp-auth-disabled", false, "Set-CASMailbox"},
    {"security defaults lock the login",
     AUTH("4.7.139",
          "535 5.7.139 Authentication unsuccessful, user is locked by your "
          "organization's security defaults policy. Contact your "
          "administrator. " MX),
     DELIVERY_LOGIN_REFUSED, "security-defaults", false, "Conditional Access"},
    {"a policy blocks the login",
     AUTH("4.7.139",
          "535 5.7.139 Authentication unsuccessful, the request did not meet "
          "the criteria to be authenticated successfully. Contact your "
          "administrator. " MX),
     DELIVERY_LOGIN_REFUSED, "policy", false, "sign-in log"},
    {"a password was used where passwords are off",
     AUTH("4.7.139",
          "535 5.7.139 Authentication unsuccessful, basic authentication is "
          "disabled. " MX),
     DELIVERY_LOGIN_REFUSED, "basic-authentication", false,
     "smtp_sasl_mechanism_filter"},
    {"a password was used and is wrong",
     AUTH("4.7.139",
          "535 5.7.139 Authentication unsuccessful, the user credentials were "
          "incorrect. " MX),
     DELIVERY_LOGIN_REFUSED, "basic-authentication", false,
     "smtp_sasl_mechanism_filter"},
    {"high volume mail wants more life left",
     AUTH("4.5.127",
          "501 5.5.127 Invalid XOAUTH2 auth data - Token will expire soon"),
     DELIVERY_LOGIN_REFUSED, "token-too-short", false, "600"},
    {"high volume mail does not know the mailbox",
     AUTH("4.5.124", "501 5.5.124 Invalid XOAUTH2 auth data - User address "
                     "provided is not valid"),
     DELIVERY_LOGIN_REFUSED, "bad-user", false, "address"},
    {"Gmail's 535 after the empty line",
     AUTH("4.7.8", "535-5.7.8 Username and Password not accepted. For more "
                   "information, go to 535 5.7.8  https://support.google.com"),
     DELIVERY_LOGIN_REFUSED, "login-refused", false, NULL},
    {"passwords are gone: not the token's fault",
     AUTH("4.7.30", "550 5.7.30 Basic authentication is not supported for "
                    "Client Submission. " MX),
     DELIVERY_SETUP_REFUSED, "basic-authentication", false,
     "smtp_sasl_mechanism_filter"},
    {"a mechanism that the server does not take: not the token's fault",
     AUTH("5.7.4", "504 5.7.4 Unrecognized authentication type " MX),
     DELIVERY_SETUP_REFUSED, "mechanism-refused", true, "XOAUTH2"},
    {"a server that wants TLS before the login: not the token's fault",
     AUTH("5.7.0", "530 5.7.0 Must issue a STARTTLS command first"),
     DELIVERY_SETUP_REFUSED, "login-failed", true, NULL},
    {"any other permanent answer to the login is deferred",
     AUTH("5.0.0", "599 what is this"), DELIVERY_SETUP_REFUSED, "login-failed",
     true, NULL},
    {"a temporary answer to the login",
     AUTH("4.7.0", "454 4.7.0 Temporary authentication failure"),
     DELIVERY_OTHER, NULL, false, NULL},
    {"the plugin itself could not log in",
     "4.7.0 SASL authentication failed; cannot authenticate to server " SERVER
     ": generic failure",
     DELIVERY_OTHER, NULL, false, NULL},

    /* ---- The set-up ---- */
    {"SendAs is denied",
     DATA(
         "5.2.252",
         "554 5.2.252 SendAsDenied; relay@contoso.com not allowed to send as "
         "scan@contoso.com; STOREDRV.Submission.Exception:SendAsDeniedException"
         ".MapiExceptionSendAsDenied; Failed to process message due to a "
         "permanent exception with message Cannot submit message."),
     DELIVERY_SETUP_REFUSED, "send-as-denied", true, "Add-RecipientPermission"},
    {"SendAs is denied by an older server",
     DATA("5.2.0",
          "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException."
          "MapiExceptionSendAsDenied; Failed to process message due to a "
          "permanent exception with message Cannot submit message."),
     DELIVERY_SETUP_REFUSED, "send-as-denied", true, "sendas-milter"},
    {"SendAs is denied in yet older words",
     MAIL("5.7.60", "550 5.7.60 SMTP; Client does not have permissions to send "
                    "as this sender " MX),
     DELIVERY_SETUP_REFUSED, "send-as-denied", true, "sendas-milter"},
    {"the daily limit of recipients, as the store says it",
     DATA("5.2.0",
          "554 5.2.0 STOREDRV.Submission.Exception:"
          "SubmissionQuotaExceededException; Failed to process message "
          "due to a permanent exception"),
     DELIVERY_SETUP_REFUSED, "quota-exceeded", true, "recipients"},
    {"the daily limit of recipients, by its number",
     RCPT("5.1.90", "550 5.1.90 Your message can't be sent because you've "
                    "reached your daily limit for message recipients. " MX),
     DELIVERY_SETUP_REFUSED, "quota-exceeded", true, "recipients"},
    {"the daily limit of recipients, in words",
     DATA("5.2.2", "554 5.2.2 Submission quota exceeded"),
     DELIVERY_SETUP_REFUSED, "quota-exceeded", true, "recipients"},
    {"another refusal of the store",
     DATA("5.2.0", "554 5.2.0 STOREDRV.Submission.Exception:"
                   "MapiExceptionNotFound; Failed to process message"),
     DELIVERY_SETUP_REFUSED, "quota-exceeded", true, "quota"},
    {"the mailbox that sends is full",
     DATA("5.2.2", "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:"
                   "QuotaExceededException.MapiExceptionShutoffQuotaExceeded"),
     DELIVERY_SETUP_REFUSED, "mailbox-full", true, "Sent Items"},
    {"passwords are gone",
     MAIL("5.7.30", "550 5.7.30 Basic authentication is not supported for "
                    "Client Submission. " MX),
     DELIVERY_SETUP_REFUSED, "basic-authentication", true, "XOAUTH2"},
    {"the session was not logged in",
     MAIL("5.7.57", "530 5.7.57 Client not authenticated to send mail. " MX),
     DELIVERY_SETUP_REFUSED, "not-authenticated", true,
     "smtp_sasl_password_maps"},
    {"the session was not logged in, in older words",
     MAIL("5.7.57", "530 5.7.57 SMTP; Client was not authenticated to send "
                    "anonymous mail during MAIL FROM " MX),
     DELIVERY_SETUP_REFUSED, "not-authenticated", true,
     "smtp_sasl_password_maps"},
    {"the mailbox is blocked as a spammer",
     DATA("5.1.8",
          "550 5.1.8 Access denied, bad outbound sender AS(42004) " MX),
     DELIVERY_SETUP_REFUSED, "sender-blocked", true, "Restricted entities"},
    {"the tenant is blocked",
     DATA("5.7.705", "550 5.7.705 Access denied, tenant has exceeded threshold "
                     "(AS12345) " MX),
     DELIVERY_SETUP_REFUSED, "tenant-blocked", true, "support"},
    {"the address is blocked",
     DATA("5.7.708", "550 5.7.708 Service unavailable. Access denied, traffic "
                     "not accepted from this IP. " MX),
     DELIVERY_SETUP_REFUSED, "tenant-blocked", true, "support"},
    {"a reply of several lines counts by its first",
     MAIL("5.7.30", "550-5.7.30 Basic authentication is not supported 550 "
                    "5.7.30 for Client Submission"),
     DELIVERY_SETUP_REFUSED, "basic-authentication", true, NULL},
    {"what is temporary already stays as it is",
     DATA("4.2.252", "554 5.2.252 SendAsDenied; a not allowed to send as b"),
     DELIVERY_SETUP_REFUSED, "send-as-denied", false, NULL},

    /* ---- Temporary by itself ---- */
    {"too many connections",
     MAIL("4.3.2",
          "432 4.3.2 Concurrent connections limit exceeded. Visit "
          "https://aka.ms/concurrent_sending for more information. " MX),
     DELIVERY_OTHER, NULL, false, NULL},
    {"too many threads",
     DATA("4.3.2", "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit "
                   "exceeded"),
     DELIVERY_OTHER, NULL, false, NULL},
    {"a bad reputation",
     MAIL("4.7.500", "451 4.7.500 Server busy. Please try again later from "
                     "[192.0.2.1]. (S77714) " MX),
     DELIVERY_OTHER, NULL, false, NULL},
    {"trouble behind the server",
     MAIL("4.7.0", "451 4.7.0 Temporary server error. Please try again later. "
                   "PRX4 " MX),
     DELIVERY_OTHER, NULL, false, NULL},
    {"a connection that was cut",
     "4.4.2 conversation with " SERVER
     " timed out while sending end of data -- message may be sent more than "
     "once",
     DELIVERY_OTHER, NULL, false, NULL},
    {"no connection at all",
     "4.4.1 connect to " SERVER ":587: Connection timed out", DELIVERY_OTHER,
     NULL, false, NULL},

    /* ---- The message's or the recipient's fault ---- */
    {"an unknown recipient",
     RCPT("5.1.1", "550 5.1.1 <who@example.org>: Recipient address rejected: "
                   "User unknown"),
     DELIVERY_OTHER, NULL, false, NULL},
    {"a recipient's name looks like a reply",
     RCPT("5.1.1", "550 5.1.1 <SendAsDenied@example.org>: Recipient address "
                   "rejected: User unknown"),
     DELIVERY_OTHER, NULL, false, NULL},
    {"a recipient's name looks like a code",
     RCPT("5.1.1", "550 5.1.1 <\"a 5.7.30 b\"@example.org>: Recipient address "
                   "rejected: User unknown"),
     DELIVERY_OTHER, NULL, false, NULL},
    {"a recipient's mailbox is full",
     RCPT("5.2.2", "552 5.2.2 <full@example.org>: mailbox full"),
     DELIVERY_OTHER, NULL, false, NULL},
    {"a message that is too big",
     DATA("5.3.4", "552 5.3.4 Message size exceeds fixed maximum message size"),
     DELIVERY_OTHER, NULL, false, NULL},
    {"two addresses in From",
     DATA("5.1.20",
          "550 5.1.20 Multiple From addresses are not allowed without "
          "Sender address"),
     DELIVERY_OTHER, NULL, false, NULL},
    {"no From",
     DATA("5.7.512",
          "550 5.7.512 Access denied, message must be RFC 5322 "
          "section 3.6.2 compliant and include a valid From address"),
     DELIVERY_OTHER, NULL, false, NULL},
    {"a recipient outside, from high volume mail",
     RCPT("5.5.105", "550 5.5.105 External sending is not supported for High "
                     "Volume Email accounts"),
     DELIVERY_OTHER, NULL, false, NULL},
    {"a message that Postfix itself gave up",
     "5.4.6 mail for example.org loops back to myself", DELIVERY_OTHER, NULL,
     false, NULL},

    /* ---- Nonsense ---- */
    {"nothing", "", DELIVERY_OTHER, NULL, false, NULL},
    {"a code alone", "5.7.3", DELIVERY_OTHER, NULL, false, NULL},
    {"a code and a blank", "5.7.30 ", DELIVERY_OTHER, NULL, false, NULL},
    {"a code that is none", "2.x.y delivered", DELIVERY_OTHER, NULL, false,
     NULL},
    {"a code with too many digits", "2.0000.0 delivered", DELIVERY_OTHER, NULL,
     false, NULL},
    {"a code of an unknown class",
     "3.0.0 host h said: 554 5.2.252 SendAsDenied", DELIVERY_OTHER, NULL, false,
     NULL},
    {"a reply that is cut off", "5.2.252 host h[a] said: 55", DELIVERY_OTHER,
     NULL, false, NULL},
    {"a reply that is a code alone", "5.7.57 host h[a] said: 530",
     DELIVERY_OTHER, NULL, false, NULL},
    {"a reply with a code that is cut off", "5.7.3 host h[a] said: 550 5.7.",
     DELIVERY_OTHER, NULL, false, NULL},
    {"a reply without an enhanced code", "5.0.0 host h[a] said: 550 no",
     DELIVERY_OTHER, NULL, false, NULL},
    {"a longer code that begins alike",
     DATA("5.7.305", "550 5.7.305 what is this"), DELIVERY_OTHER, NULL, false,
     NULL},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    size_t len = strlen(row->text);
    struct delivery_status status;
    /* Not NUL-terminated, so that the sanitizer sees a byte too many. */
    char *copy = malloc(len > 0 ? len : 1);

    assert_non_null(copy);
    memcpy(copy, row->text, len);
    delivery_status_read(copy, len, &status);
    assert_int_equal(status.kind, row->want);
    assert_int_equal(status.must_defer, row->want_defer);
    if (row->want_word == NULL) {
        assert_null(status.word);
        assert_null(status.hint);
    } else {
        assert_string_equal(status.word, row->want_word);
        assert_non_null(status.hint);
    }
    if (row->want_hint != NULL && status.hint != NULL)
        assert_non_null(strstr(status.hint, row->want_hint));
    free(copy);
}

struct replacement {
    const char *name;
    const char *mailbox;
    const char *text;
    const char *want;
};

static struct replacement replacements[] = {
    {"the mailbox, what to do, and what the server said", "relay@contoso.com",
     "5.7.57 host h[a] said: 530 5.7.57 Client not authenticated",
     "4.7.1 not-authenticated for relay@contoso.com: the session was not "
     "logged in; smtp_sasl_password_maps must answer for this server; host "
     "h[a] said: 530 5.7.57 Client not authenticated"},
    {"a mailbox that is not known is left out", NULL,
     "5.7.57 host h[a] said: 530 no",
     "4.7.1 not-authenticated: the session was not logged in; "
     "smtp_sasl_password_maps must answer for this server; host h[a] said: 530 "
     "no"},
    {"control and high bytes of the server are shown as ?", NULL,
     "5.7.57 host h[a] said: 530 \x1b[2J\r\n\xc3\xa9",
     "4.7.1 not-authenticated: the session was not logged in; "
     "smtp_sasl_password_maps must answer for this server; host h[a] said: 530 "
     "?[2J????"},
    {"high bytes of the mailbox too", "j\xc3\xb6rg@contoso.com",
     "5.7.57 host h[a] said: 530 no",
     "4.7.1 not-authenticated for j??rg@contoso.com: the session was not "
     "logged "
     "in; smtp_sasl_password_maps must answer for this server; host h[a] said: "
     "530 no"},
};

static void
check_replacement(void **state)
{
    const struct replacement *row = *state;
    struct delivery_status status;
    struct buf out;

    buf_init(&out, 2048);
    delivery_status_read(row->text, strlen(row->text), &status);
    delivery_status_replace(&status, row->mailbox, row->text, strlen(row->text),
                            &out);
    assert_string_equal(buf_str(&out), row->want);
    buf_clear(&out);
}

/* Postfix's log lines are long enough, the queue file's are not endless. */
static void
a_long_text_is_cut(void **state)
{
    static const char begin[] = "5.7.57 host h[a] said: 530 ";
    struct delivery_status status;
    struct buf text, out;

    (void)state;
    buf_init(&text, 8192);
    buf_init(&out, 2048);
    buf_append_str(&text, begin);
    while (text.len < 8000)
        buf_append_char(&text, 'x');
    delivery_status_read(text.data, text.len, &status);
    delivery_status_replace(&status, "relay@contoso.com", text.data, text.len,
                            &out);
    assert_false(buf_failed(&out));
    assert_true(out.len < 1000);
    buf_clear(&out);
    buf_clear(&text);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(replacements) + 1];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[count++] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    for (size_t i = 0; i < ARRAY_LEN(replacements); i++)
        tests[count++] = (struct CMUnitTest){
            .name = replacements[i].name,
            .test_func = check_replacement,
            .initial_state = &replacements[i],
        };
    tests[count] = (struct CMUnitTest)cmocka_unit_test(a_long_text_is_cut);
    return cmocka_run_group_tests_name("delivery_status", tests, NULL, NULL);
}
