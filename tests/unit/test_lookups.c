/*
 * One row is a conversation of mail servers with the lookups, as a list of
 * steps, in a world that the test moves; one row is one test. Unless a row says
 * otherwise its first token, TOKEN_A of 3600 s, is there from the beginning.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/sendas.h"
#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "token-daemon/lookups.h"
#include "token-daemon/refresher.h"

#define STEPS_MAX   40
#define PENDING_MAX 600

#define TOKEN_A "eyJ0eXAi.text-a"
#define TOKEN_B "eyJ0eXAi.text-b"
#define TOKEN_C "eyJ0eXAi.text-c"
#define GIVEN_A "1790003600 " TOKEN_A /* FAKE_ENV_WALL + 3600 s */
#define PRINT_A "9d333153f06bd729"    /* of TOKEN_A: its fingerprint */
#define PRINT_B "2f232cda4647f007"

#define HOST  " host=smtp.office365.com"
#define RELAY "relay@contoso.example"
#define SCAN  "scan@contoso.example"
#define APP   "alarm@apps.contoso.example"
#define LOGIN ":unix:run/xoauth2/tokend.sock"
#define REFUSED_535                                                          \
    "4.7.3 SASL authentication failed; server smtp.office365.com[192.0.2.1]" \
    " said: 535 5.7.3 Authentication unsuccessful [host]"
#define SENT "2.0.0 delivered via smtp.office365.com[192.0.2.1]: 250 2.0.0 OK"
#define HINT "check that the mailbox exists"

#define CREDENTIAL                                          \
    "credential \"contoso\" {\n provider = \"microsoft\"\n" \
    " tenant = \"contoso.example\"\n client_id = \"id\"\n"  \
    " client_secret = {\"file:/etc/contoso\"}\n}\n"
#define OTHER_CREDENTIAL                                          \
    "credential \"own\" {\n provider = \"custom\"\n"              \
    " token_url = \"https://idp.example/token\"\n"                \
    " client_id = \"id\"\n client_secret = {\"file:/etc/own\"}\n" \
    " servers = {\"smtp.own.example\"}\n}\n"
#define MAILBOXES                                          \
    "mailbox \"" RELAY "\" {\n credential = \"contoso\"\n" \
    " send_as = {\"alerts@contoso.example\", "             \
    "\"@printers.contoso.example\"}\n}\n"                  \
    "mailbox \"" SCAN "\" { credential = \"contoso\" }\n"  \
    "mailbox \"@apps.contoso.example\" { credential = \"contoso\" }\n"
#define RELAYS                                                       \
    "relay \"smtp.partner.example\" { min_token_lifetime = 1200 }\n" \
    "relay \"2001:db8::1\" { min_token_lifetime = 0 }\n"
#define MILTER "milter { default_mailbox = \"" RELAY "\" }\n"
#define NO_DEFAULT \
    "milter { not_permitted = \"reject\" null_sender = \"discard\" }\n"
#define TOKEND                           \
    "tokend {\n refetch_interval = 60\n" \
    " login_password = \"unix:run/xoauth2/tokend.sock\"\n allow = {}\n}\n"
#define CONFIG CREDENTIAL OTHER_CREDENTIAL MAILBOXES RELAYS MILTER TOKEND

#define STRANGER 5000

enum op {
    OP_END,
    OP_ASK,    /* `text` is the key of `name`, from `pid`; answered at once */
    OP_WAIT,   /* the same, not answered yet */
    OP_GOT,    /* the oldest one that waits was answered */
    OP_SILENT, /* nobody who waits was answered */
    OP_GO,     /* the oldest one that waits goes away */
    OP_GIVE,   /* the provider answers a token `text` of 3600 s */
    OP_FAIL,   /* the provider answers a failure */
    OP_PASS,   /* time passes */
    OP_RELOAD, /* the configuration is `text` now */
    OP_STARTS, /* check how many requests there were */
    OP_LOGGED, /* check how many lines of the log hold `text` */
    OP_DENIED, /* check how many mailboxes are denied */
};

struct step {
    enum op op;
    pid_t pid;
    const char *name;
    const char *text;
    enum socketmap_status status;
    const char *want; /* the answer begins with this; NULL: anything */
    bool is_whole;    /* it is the whole answer */
    int64_t ms;
    enum problem problem;
    int64_t retry_after;
    size_t count;
};

#define ASK(who, what, key, is, data)                                      \
    {                                                                      \
        OP_ASK, .pid = (who), .name = (what), .text = (key),               \
                .status = SOCKETMAP_##is, .want = (data), .is_whole = true \
    }
#define ASK_WORD(who, what, key, is, word)                   \
    {                                                        \
        OP_ASK, .pid = (who), .name = (what), .text = (key), \
                .status = SOCKETMAP_##is, .want = (word)     \
    }
#define WAIT(who, what, key)                                 \
    {                                                        \
        OP_WAIT, .pid = (who), .name = (what), .text = (key) \
    }
#define GOT(is, data)                                                      \
    {                                                                      \
        OP_GOT, .status = SOCKETMAP_##is, .want = (data), .is_whole = true \
    }
#define GOT_WORD(is, word)                               \
    {                                                    \
        OP_GOT, .status = SOCKETMAP_##is, .want = (word) \
    }
#define SILENT          \
    {                   \
        .op = OP_SILENT \
    }
#define GO          \
    {               \
        .op = OP_GO \
    }
#define GIVE(token)              \
    {                            \
        OP_GIVE, .text = (token) \
    }
#define FAIL(why)                         \
    {                                     \
        OP_FAIL, .problem = PROBLEM_##why \
    }
#define FAIL_FOR(why, s)                                      \
    {                                                         \
        OP_FAIL, .problem = PROBLEM_##why, .retry_after = (s) \
    }
#define PASS(s)                                  \
    {                                            \
        OP_PASS, .ms = (int64_t)((s)*1000 + 0.5) \
    }
#define RELOAD(config)              \
    {                               \
        OP_RELOAD, .text = (config) \
    }
#define STARTS(n)               \
    {                           \
        OP_STARTS, .count = (n) \
    }
#define LOGGED(n, words)                         \
    {                                            \
        OP_LOGGED, .count = (n), .text = (words) \
    }
#define DENIED(n)               \
    {                           \
        OP_DENIED, .count = (n) \
    }

struct row {
    const char *name;
    bool is_fresh; /* no token is there yet */
    struct step steps[STEPS_MAX];
};

/* clang-format off */
static struct row rows[] = {
    /* ---- token ---- */
    {"a token in force is answered with its expiry", false, {
        ASK(1, "token", RELAY HOST, OK, GIVEN_A)}},
    {"the address and the server compare without case", false, {
        ASK(1, "token", "Relay@Contoso.EXAMPLE host=SMTP.Office365.COM", OK,
            GIVEN_A)}},
    {"a server may have brackets and a port", false, {
        ASK(1, "token", RELAY " host=[smtp.office365.com]:587", OK, GIVEN_A),
        ASK(1, "token", RELAY " host=smtp.office365.com:25", OK, GIVEN_A),
        ASK(1, "token", RELAY " host=[smtp.office365.com]", OK, GIVEN_A),
        ASK(1, "token", RELAY " host=[2001:db8::1]:587", OK, GIVEN_A)}},
    {"every mailbox of a credential gets the one token", false, {
        ASK(1, "token", SCAN HOST, OK, GIVEN_A),
        ASK(2, "token", APP HOST, OK, GIVEN_A),
        STARTS(2)}}, /* two credentials */
    {"a send_as address can not log in", false, {
        ASK_WORD(1, "token", "alerts@contoso.example" HOST, PERM,
                 "unknown-mailbox "),
        ASK_WORD(1, "token", "x@printers.contoso.example" HOST, PERM,
                 "unknown-mailbox ")}},
    {"an unknown mailbox is an administrator's matter, said seldom", false, {
        ASK_WORD(1, "token", "who@else.example" HOST, PERM, "unknown-mailbox "),
        ASK_WORD(1, "token", "who@else.example" HOST, PERM, "unknown-mailbox "),
        LOGGED(1, "who@else.example")}},
    {"a mailbox with an allow of its own is for those only", false, {
        ASK(STRANGER, "token", RELAY HOST, OK, GIVEN_A),
        RELOAD(CREDENTIAL "mailbox \"" RELAY
               "\" { credential = \"contoso\" allow = {\"nobody\"} }\n"
               "mailbox \"" SCAN "\" { credential = \"contoso\" }\n"
               MILTER TOKEND),
        ASK_WORD(STRANGER, "token", RELAY HOST, PERM, "not-allowed "),
        ASK_WORD(STRANGER, "xoauth2", RELAY HOST, PERM, "not-allowed "),
        ASK_WORD(STRANGER, "refused", RELAY HOST, PERM, "not-allowed "),
        LOGGED(1, "uid=4242"),
        ASK(STRANGER, "token", SCAN HOST, OK, GIVEN_A),
        ASK(1, "token", RELAY HOST, OK, GIVEN_A),
        ASK(STRANGER, "login", RELAY, OK,
            RELAY ":unix:run/xoauth2/tokend.sock")}},
    {"a server that is not listed never sees a token", false, {
        ASK_WORD(1, "token", RELAY " host=smtp.evil.example", PERM,
                 "foreign-server "),
        ASK_WORD(1, "xoauth2", RELAY " host=smtp.evil.example", PERM,
                 "foreign-server "),
        ASK_WORD(1, "refused", RELAY " host=smtp.evil.example", PERM,
                 "foreign-server "),
        ASK_WORD(1, "token", RELAY " host=smtp.office365.com.evil.example",
                 PERM, "foreign-server "),
        ASK_WORD(1, "token", RELAY " host=office365.com", PERM,
                 "foreign-server "),
        ASK_WORD(1, "token", RELAY " host=smtp.office365.com.", PERM,
                 "foreign-server ")}},
    {"another credential's own server is foreign too", false, {
        ASK_WORD(1, "token", RELAY " host=smtp.own.example", PERM,
                 "foreign-server "),
        ASK_WORD(1, "token", RELAY " host=smtp.gmail.com", PERM,
                 "foreign-server ")}},
    {"a relay section opens a server to all", false, {
        ASK(1, "token", RELAY " host=smtp.partner.example", OK, GIVEN_A)}},
    {"a key without host= gets nothing", false, {
        ASK_WORD(1, "token", RELAY, PERM, "bad-request "),
        ASK_WORD(1, "xoauth2", RELAY, PERM, "bad-request "),
        ASK_WORD(1, "refused", RELAY, PERM, "bad-request ")}},
    {"an empty key gets nothing", false, {
        ASK_WORD(1, "token", "", PERM, "bad-request "),
        ASK_WORD(1, "token", HOST, PERM, "bad-request ")}},
    {"an @domain can not ask", false, {
        ASK_WORD(1, "token", "@apps.contoso.example" HOST, PERM,
                 "bad-request ")}},
    {"an unknown lookup says which ones there are", false, {
        ASK_WORD(1, "tokens", RELAY HOST, PERM, "unknown-lookup "),
        ASK_WORD(1, "toke", RELAY HOST, PERM, "unknown-lookup "),
        ASK_WORD(1, "TOKEN", RELAY HOST, PERM, "unknown-lookup ")}},

    /* ---- min= ---- */
    {"a server takes a token with 300 s left, and none with less", false, {
        PASS(3300), ASK(1, "token", RELAY HOST, OK, GIVEN_A), PASS(0.001),
        WAIT(1, "token", RELAY HOST),
        ASK(2, "token", RELAY HOST " min=60", OK, GIVEN_A), GIVE(TOKEN_B),
        GOT(OK, "1790006900 " TOKEN_B)}},
    {"a relay section's minimum holds for its server only", false, {
        PASS(2400),
        ASK(1, "token", RELAY " host=smtp.partner.example", OK, GIVEN_A),
        PASS(0.001), WAIT(1, "token", RELAY " host=smtp.partner.example"),
        ASK(2, "token", RELAY HOST, OK, GIVEN_A), GIVE(TOKEN_B),
        GOT(OK, "1790006000 " TOKEN_B)}},
    {"high volume mail wants 600 s", false, {
        PASS(3000),
        ASK(1, "token", RELAY " host=smtp-hve.office365.com", OK, GIVEN_A),
        PASS(0.001), WAIT(1, "token", RELAY " host=smtp-hve.office365.com"),
        ASK(2, "token", RELAY HOST, OK, GIVEN_A)}},
    {"min= takes the place of the server's own minimum", false, {
        PASS(2400.001), WAIT(1, "token", RELAY HOST " min=1200"),
        ASK(2, "token", RELAY " host=smtp.partner.example min=0", OK,
            GIVEN_A)}},
    {"min= beyond half of the life means half of the life", false, {
        ASK(1, "token", RELAY HOST " min=86400", OK, GIVEN_A), PASS(1800),
        ASK(1, "token", RELAY HOST " min=86400", OK, GIVEN_A), PASS(0.001),
        WAIT(1, "token", RELAY HOST " min=86400")}},
    {"a bad min= is no request", false, {
        ASK_WORD(1, "token", RELAY HOST " min=-1", PERM, "bad-request "),
        ASK_WORD(1, "token", RELAY HOST " min=86401", PERM, "bad-request "),
        ASK_WORD(1, "token", RELAY HOST " min=", PERM, "bad-request ")}},

    /* ---- Waiting ---- */
    {"who asks before there is a token waits for it", true, {
        WAIT(1, "token", RELAY HOST), WAIT(2, "xoauth2", SCAN HOST), PASS(1),
        GIVE(TOKEN_A), GOT(OK, "1790003601 " TOKEN_A),
        GOT(OK, "user=" SCAN "\001auth=Bearer " TOKEN_A "\001\001")}},
    {"after 15 s the answer is TEMP, and says what it waits for", true, {
        WAIT(1, "token", RELAY HOST), PASS(14.999), SILENT, PASS(0.001),
        GOT_WORD(TEMP, "fetching ")}},
    {"a failure that passes is TEMP with its word", true, {
        WAIT(1, "token", RELAY HOST), FAIL_FOR(THROTTLED, 60),
        GOT_WORD(TEMP, "throttled "),
        ASK_WORD(1, "token", RELAY HOST, TEMP, "throttled ")}},
    {"a failure that an administrator must mend is PERM", true, {
        WAIT(1, "token", RELAY HOST), FAIL(BAD_SECRET),
        GOT_WORD(PERM, "bad-secret "),
        ASK_WORD(1, "token", RELAY HOST, PERM, "bad-secret ")}},
    {"a login that is needed is PERM", true, {
        WAIT(1, "xoauth2", RELAY HOST), FAIL(NEEDS_LOGIN),
        GOT_WORD(PERM, "needs-login ")}},
    {"what somebody must mend first is told at once", true, {
        WAIT(1, "token", RELAY HOST), FAIL(NO_SECRET),
        GOT_WORD(PERM, "no-secret ")}},
    {"who goes away is not answered", true, {
        WAIT(1, "token", RELAY HOST), WAIT(2, "token", SCAN HOST), GO,
        GIVE(TOKEN_A), GOT(OK, GIVEN_A)}},
    {"who waits is told when a reload takes the credential away", true, {
        WAIT(1, "token", RELAY HOST),
        RELOAD(OTHER_CREDENTIAL "mailbox \"" RELAY
               "\" { credential = \"own\" }\n" MILTER TOKEND),
        GOT_WORD(PERM, "unknown-mailbox ")}},
    {"who waits is answered as before when a reload takes the mailbox", true, {
        WAIT(1, "token", SCAN HOST),
        RELOAD(CREDENTIAL "mailbox \"" RELAY
               "\" { credential = \"contoso\" }\n" MILTER TOKEND),
        GIVE(TOKEN_A), GOT(OK, GIVEN_A),
        ASK_WORD(1, "token", SCAN HOST, PERM, "unknown-mailbox ")}},
    {"a reload opens and closes servers", false, {
        RELOAD(CREDENTIAL MAILBOXES MILTER TOKEND),
        ASK_WORD(1, "token", RELAY " host=smtp.partner.example", PERM,
                 "foreign-server "),
        RELOAD(CONFIG),
        ASK(1, "token", RELAY " host=smtp.partner.example", OK, GIVEN_A)}},

    /* ---- refused ---- */
    {"the first report fetches, the mailbox waits, others do not", false, {
        ASK(1, "refused", RELAY HOST, OK, "fetching"), STARTS(3),
        WAIT(1, "token", RELAY HOST),
        ASK(2, "token", SCAN HOST, OK, GIVEN_A), GIVE(TOKEN_B),
        GOT(OK, "1790003600 " TOKEN_B)}},
    {"more reports while it is fetched cause no more requests", false, {
        ASK(1, "refused", RELAY HOST, OK, "fetching"),
        ASK(2, "refused", SCAN HOST, OK, "fetching"),
        ASK(3, "refused", APP HOST, OK, "fetching"), STARTS(3),
        WAIT(2, "token", SCAN HOST), WAIT(3, "token", APP HOST)}},
    {"a report of a token that was replaced says renewed", false, {
        ASK(1, "token", RELAY HOST, OK, GIVEN_A),
        ASK(2, "refused", SCAN HOST, OK, "fetching"), GIVE(TOKEN_B),
        ASK(1, "refused", RELAY HOST, OK, "renewed"),
        ASK(3, "refused", APP HOST " token=" PRINT_A, OK, "renewed"),
        STARTS(3), DENIED(0),
        ASK(1, "token", RELAY HOST, OK, "1790003600 " TOKEN_B)}},
    {"a fingerprint in capitals is the same one", false, {
        ASK(1, "refused", RELAY HOST " token=9D333153F06BD729", OK,
            "fetching")}},
    {"a fingerprint that nobody knows is none that is in force", false, {
        ASK(1, "refused", RELAY HOST " token=0123456789abcdef", OK, "renewed"),
        STARTS(2)}},
    {"what the report says comes before what the process was given", false, {
        ASK(1, "token", RELAY HOST, OK, GIVEN_A),
        ASK(2, "refused", SCAN HOST, OK, "fetching"), GIVE(TOKEN_B),
        ASK(1, "refused", RELAY HOST " token=" PRINT_B, OK,
            "limited until 2026-09-21T14:14:20Z")}},
    {"what the process was given for another mailbox does not count", false, {
        ASK(1, "token", RELAY HOST, OK, GIVEN_A),
        ASK(2, "refused", SCAN HOST, OK, "fetching"), GIVE(TOKEN_B),
        ASK(1, "refused", SCAN HOST, OK, "limited until 2026-09-21T14:14:20Z")}},
    {"the second report is limited until the interval ends", false, {
        ASK(1, "refused", RELAY HOST, OK, "fetching"), GIVE(TOKEN_B),
        ASK(1, "refused", RELAY HOST, OK, "limited until 2026-09-21T14:14:20Z"),
        PASS(59.999), STARTS(3), PASS(0.001), STARTS(4)}},
    {"a report before there is a token says fetching", true, {
        ASK(1, "refused", RELAY HOST, OK, "fetching")}},
    {"a report of an unknown mailbox is refused", false, {
        ASK_WORD(1, "refused", "who@else.example" HOST, PERM,
                 "unknown-mailbox "),
        STARTS(2)}},
    {"a mailbox whose newest token is refused too is denied, said once", false, {
        ASK(1, "refused", RELAY HOST, OK, "fetching"), DENIED(0),
        GIVE(TOKEN_B), ASK(1, "token", RELAY HOST, OK, "1790003600 " TOKEN_B),
        ASK_WORD(1, "refused", RELAY HOST, OK, "limited "), DENIED(1),
        ASK_WORD(1, "refused", RELAY HOST, OK, "limited "),
        ASK_WORD(2, "refused", RELAY HOST, OK, "limited "), PASS(60),
        GIVE(TOKEN_C), ASK(1, "token", RELAY HOST, OK, "1790003660 " TOKEN_C),
        ASK_WORD(1, "refused", RELAY HOST, OK, "limited "),
        DENIED(1), LOGGED(1, "is denied"), LOGGED(1, HINT)}},
    {"what is refused again and again is logged ever more seldom", false, {
        ASK(1, "refused", RELAY HOST, OK, "fetching"),
        ASK(1, "refused", RELAY HOST, OK, "fetching"),
        ASK(1, "refused", SCAN HOST, OK, "fetching"),
        LOGGED(1, "refused by the server mailbox=" RELAY),
        LOGGED(1, "refused by the server mailbox=" SCAN)}},
    {"a denied mailbox goes on being served", false, {
        ASK(1, "refused", RELAY HOST, OK, "fetching"), GIVE(TOKEN_B),
        ASK_WORD(1, "refused", RELAY HOST, OK, "limited "), DENIED(1),
        ASK(1, "token", RELAY HOST, OK, "1790003600 " TOKEN_B)}},
    {"the same text from a caching issuer denies nobody", false, {
        ASK(1, "token", RELAY HOST, OK, GIVEN_A),
        ASK(1, "refused", RELAY HOST, OK, "fetching"), GIVE(TOKEN_A),
        ASK_WORD(1, "refused", RELAY HOST, OK, "limited "),
        ASK_WORD(1, "refused", RELAY HOST " token=" PRINT_A, OK, "limited "),
        DENIED(0), PASS(50), WAIT(1, "token", RELAY HOST), PASS(10), STARTS(4),
        GIVE(TOKEN_B), GOT(OK, "1790003660 " TOKEN_B),
        ASK_WORD(1, "refused", RELAY HOST, OK, "limited "), DENIED(1)}},

    /* ---- status ---- */
    {"a 535 names the one token that this process was given", false, {
        ASK(7, "login", RELAY, OK, RELAY LOGIN),
        ASK(7, "token", RELAY HOST, OK, GIVEN_A),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), STARTS(3),
        WAIT(7, "token", RELAY HOST), ASK(8, "token", SCAN HOST, OK, GIVEN_A),
        GIVE(TOKEN_B), GOT(OK, "1790003600 " TOKEN_B),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), DENIED(1),
        LOGGED(1, "is denied")}},
    {"the statuses of many recipients are one refusal", false, {
        ASK(7, "token", RELAY HOST, OK, GIVEN_A),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), GIVE(TOKEN_B),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), STARTS(3), DENIED(0)}},
    {"and so they are with an issuer that caches", false, {
        ASK(7, "token", RELAY HOST, OK, GIVEN_A),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), GIVE(TOKEN_A),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), STARTS(3), DENIED(0)}},
    {"a 535 of an unknown process marks nothing and is logged", false, {
        ASK(7, "token", RELAY HOST, OK, GIVEN_A),
        ASK(8, "status", REFUSED_535, NOTFOUND, ""),
        ASK(0, "status", REFUSED_535, NOTFOUND, ""), STARTS(2),
        LOGGED(1, "was given no token here")}},
    {"a 535 of a process that was only asked for a login marks nothing", false, {
        ASK(7, "login", RELAY, OK, RELAY LOGIN),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), STARTS(2)}},
    {"a 535 after ten minutes of silence marks nothing", false, {
        ASK(7, "token", RELAY HOST, OK, GIVEN_A), PASS(600),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), STARTS(2)}},
    {"a 535 names the mailbox that was last given a token", false, {
        ASK(7, "token", RELAY HOST, OK, GIVEN_A),
        ASK(7, "token", SCAN HOST, OK, GIVEN_A),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""),
        WAIT(7, "token", SCAN HOST), ASK(7, "token", RELAY HOST, OK, GIVEN_A)}},
    {"an address of an @domain mailbox is refused by itself", false, {
        ASK(7, "token", APP HOST, OK, GIVEN_A),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""),
        WAIT(7, "token", APP HOST),
        ASK(8, "token", "other@apps.contoso.example" HOST, OK, GIVEN_A)}},
    {"a mailbox that works again is said once", false, {
        ASK(7, "login", RELAY, OK, RELAY LOGIN),
        ASK(7, "token", RELAY HOST, OK, GIVEN_A),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), GIVE(TOKEN_B),
        ASK(7, "token", RELAY HOST, OK, "1790003600 " TOKEN_B),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), DENIED(1),
        ASK(7, "status", SENT, NOTFOUND, ""), DENIED(0),
        ASK(7, "status", SENT, NOTFOUND, ""), LOGGED(1, "works again"),
        LOGGED(1, "postqueue -f")}},
    {"a delivery over a session of another mailbox accepts nobody", false, {
        ASK(7, "login", RELAY, OK, RELAY LOGIN),
        ASK(7, "token", RELAY HOST, OK, GIVEN_A),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), GIVE(TOKEN_B),
        ASK(7, "token", RELAY HOST, OK, "1790003600 " TOKEN_B),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""),
        ASK(7, "login", SCAN, OK, SCAN LOGIN),
        ASK(7, "status", SENT, NOTFOUND, ""), DENIED(1)}},
    {"after a success the next report fetches at the interval's end", false, {
        ASK(7, "token", RELAY HOST, OK, GIVEN_A),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), GIVE(TOKEN_B),
        ASK(7, "token", RELAY HOST, OK, "1790003600 " TOKEN_B),
        ASK(7, "status", SENT, NOTFOUND, ""), PASS(60),
        ASK(7, "status", REFUSED_535, NOTFOUND, ""), STARTS(4)}},
    {"a status that bounces for the set-up's fault is deferred", false, {
        ASK(7, "login", RELAY, OK, RELAY LOGIN),
        ASK_WORD(7, "status",
                 "5.2.252 host smtp.office365.com[192.0.2.1] said: 554 5.2.252 "
                 "SendAsDenied; a not allowed to send as b",
                 OK, "4.7.1 send-as-denied for " RELAY ": "),
        ASK_WORD(7, "status",
                 "5.2.252 host smtp.office365.com[192.0.2.1] said: 554 5.2.252 "
                 "SendAsDenied; a not allowed to send as b",
                 OK, "4.7.1 send-as-denied for " RELAY ": "),
        LOGGED(1, "reason=send-as-denied"), STARTS(2)}},
    {"a bounce for the recipient's fault stays", false, {
        ASK(7, "status",
            "5.1.1 host h.example[192.0.2.1] said: 550 5.1.1 User unknown",
            NOTFOUND, "")}},
    {"a status without text is left alone", false, {
        ASK(7, "status", "", NOTFOUND, ""),
        ASK(7, "status", "5", NOTFOUND, ""),
        ASK(7, "status", "5.7.3 said: ", NOTFOUND, "")}},

    /* ---- xoauth2 ---- */
    {"the client response is whole, and not base64", false, {
        ASK(1, "xoauth2", "Alarm@Apps.contoso.example" HOST, OK,
            "user=Alarm@Apps.contoso.example\001auth=Bearer " TOKEN_A
            "\001\001")}},
    {"a mailbox is named as its section is", false, {
        ASK(1, "xoauth2", "RELAY@contoso.example" HOST, OK,
            "user=" RELAY "\001auth=Bearer " TOKEN_A "\001\001")}},

    /* ---- login ---- */
    {"a sender logs in as its mailbox", false, {
        ASK(1, "login", RELAY, OK, RELAY LOGIN),
        ASK(1, "login", "RELAY@CONTOSO.EXAMPLE", OK, RELAY LOGIN),
        ASK(1, "login", "alerts@contoso.example", OK, RELAY LOGIN),
        ASK(1, "login", "any@printers.contoso.example", OK, RELAY LOGIN),
        ASK(1, "login", "Alarm@apps.contoso.example", OK,
            "Alarm@apps.contoso.example" LOGIN)}},
    {"a sender that nobody may send as is not found", false, {
        ASK(1, "login", "who@else.example", NOTFOUND, "")}},
    {"a known server gives the default mailbox, in every form", false, {
        ASK(1, "login", "smtp.office365.com", OK, RELAY LOGIN),
        ASK(1, "login", "[smtp.office365.com]", OK, RELAY LOGIN),
        ASK(1, "login", "[smtp.office365.com]:587", OK, RELAY LOGIN),
        ASK(1, "login", "smtp.office365.com:587", OK, RELAY LOGIN),
        ASK(1, "login", "SMTP.Office365.COM", OK, RELAY LOGIN),
        ASK(1, "login", "smtp.partner.example", OK, RELAY LOGIN),
        ASK(1, "login", "[2001:db8::1]:587", OK, RELAY LOGIN),
        ASK(1, "login", "2001:db8::1", OK, RELAY LOGIN),
        ASK(1, "login", "[smtp.own.example]:submission", OK, RELAY LOGIN)}},
    {"a known server is never not found, even without a default", false, {
        RELOAD(CREDENTIAL OTHER_CREDENTIAL MAILBOXES RELAYS NO_DEFAULT TOKEND),
        ASK_WORD(1, "login", "smtp.office365.com", PERM, "no-default-mailbox "),
        ASK_WORD(1, "login", "[smtp.office365.com]:587", PERM,
                 "no-default-mailbox "),
        ASK_WORD(1, "login", "smtp.own.example", PERM, "no-default-mailbox "),
        ASK_WORD(1, "login", "[smtp.partner.example]", PERM,
                 "no-default-mailbox "),
        ASK(1, "login", RELAY, OK, RELAY LOGIN),
        LOGGED(3, "set default_mailbox")}},
    {"another server is not found", false, {
        ASK(1, "login", "mx.else.example", NOTFOUND, ""),
        ASK(1, "login", "[192.0.2.1]:25", NOTFOUND, ""),
        ASK(1, "login", "[smtp.office365.com", NOTFOUND, ""),
        ASK(1, "login", "", NOTFOUND, "")}},
    {"an @domain and a local part are not found", false, {
        ASK(1, "login", "@apps.contoso.example", NOTFOUND, ""),
        ASK(1, "login", "@printers.contoso.example", NOTFOUND, ""),
        ASK(1, "login", "@", NOTFOUND, ""),
        ASK(1, "login", "relay", NOTFOUND, "")}},
    {"what is no plain address is not found", false, {
        ASK(1, "login", "\"a:b\"@apps.contoso.example", NOTFOUND, ""),
        ASK(1, "login", "a b@apps.contoso.example", NOTFOUND, ""),
        ASK(1, "login", "a\nb@apps.contoso.example", NOTFOUND, ""),
        ASK(1, "login", "a@b@apps.contoso.example", NOTFOUND, ""),
        ASK(1, "login", "a:b@apps.contoso.example", NOTFOUND, "")}},
    {"a login is answered while the provider hangs", true, {
        WAIT(1, "token", RELAY HOST),
        ASK(2, "login", RELAY, OK, RELAY LOGIN),
        ASK(2, "status", SENT, NOTFOUND, ""),
        ASK(2, "sendas", RELAY, OK, RELAY)}},

    /* ---- sendas ---- */
    {"a permitted sender stays, any other becomes the default", false, {
        ASK(1, "sendas", RELAY, OK, RELAY),
        ASK(1, "sendas", "alerts@contoso.example", OK,
            "alerts@contoso.example"),
        ASK(1, "sendas", "Any@printers.contoso.example", OK,
            "Any@printers.contoso.example"),
        ASK(1, "sendas", "who@else.example", OK, RELAY)}},
    {"where nobody may send it, it is refused", false, {
        RELOAD(CREDENTIAL MAILBOXES NO_DEFAULT TOKEND),
        ASK_WORD(1, "sendas", "who@else.example", PERM, "not-permitted ")}},
    {"what is no address is not found", false, {
        ASK(1, "sendas", "", NOTFOUND, ""),
        ASK(1, "sendas", "relay", NOTFOUND, ""),
        ASK(1, "sendas", "@contoso.example", NOTFOUND, "")}},
};
/* clang-format on */

/* ---- The world ---------------------------------------------------------- */

struct reply {
    unsigned count;
    enum socketmap_status status;
    struct buf data;
    struct lookups_pending *pending;
};

struct world {
    const struct row *row; /* NULL: a test of its own */
    struct fake_env *env;
    struct refresher *refresher;
    struct lookups *lookups;
    struct reply replies[PENDING_MAX]; /* of those who waited, in order */
    size_t pending_count;              /* how many waited so far */
    size_t next;                       /* the oldest that was not looked at */
};

static void
on_reply(enum socketmap_status status, const char *data, size_t len, void *arg)
{
    struct reply *reply = arg;

    reply->count++;
    reply->status = status;
    reply->pending = NULL;
    buf_append(&reply->data, data, len);
}

static void
ask(struct world *world, pid_t pid, const char *name, const char *key,
    struct reply *reply)
{
    struct socketmap_request request = {
        .name = name,
        .name_len = strlen(name),
        .key = key,
        .key_len = strlen(key),
    };
    /* Pids from STRANGER on are of a user who is not root. */
    const struct peer_identity peer = {.pid = pid,
                                       .uid = pid >= STRANGER ? 4242 : 0};
    struct lookups_pending *pending;

    *reply = (struct reply){0};
    buf_init(&reply->data, SOCKETMAP_REPLY_MAX);
    pending = lookups_ask(world->lookups, &request, &peer, on_reply, reply);
    if (pending != NULL)
        reply->pending = pending;
    assert_int_equal(reply->count, pending == NULL ? 1 : 0);
}

static void
reload(struct world *world, const char *text)
{
    struct config *config = fake_env_config(text);
    struct err err = {ERR_NONE, ""};
    struct sendas *policy = sendas_new(config, &err);

    assert_non_null(policy);
    assert_int_equal(lookups_configure(world->lookups, policy, &err), 0);
    assert_int_equal(refresher_configure(world->refresher, config, &err), 0);
    sendas_unref(&policy);
    config_unref(&config);
}

static void
check_reply(struct reply *reply, const struct step *step)
{
    assert_int_equal(reply->count, 1);
    assert_int_equal(reply->status, step->status);
    if (step->is_whole)
        assert_string_equal(buf_str(&reply->data), step->want);
    else
        assert_memory_equal(buf_str(&reply->data), step->want,
                            strlen(step->want));
    if (reply->status != SOCKETMAP_OK) {
        assert_null(strchr(buf_str(&reply->data), '\n'));
        assert_null(strstr(buf_str(&reply->data), "eyJ0eXAi"));
    }
    buf_clear(&reply->data);
}

static void
give(struct world *world, const char *text)
{
    fake_env_answer(world->env,
                    &(struct fake_answer){.text = text, .life_s = 3600});
}

static void
run_step(struct world *world, const struct step *step)
{
    struct reply *oldest = &world->replies[world->next];
    struct lookups_counts counts;
    struct reply reply;

    switch (step->op) {
    case OP_END:
        break;
    case OP_ASK:
        ask(world, step->pid, step->name, step->text, &reply);
        check_reply(&reply, step);
        break;
    case OP_WAIT:
        assert_true(world->pending_count < PENDING_MAX);
        ask(world, step->pid, step->name, step->text,
            &world->replies[world->pending_count]);
        assert_non_null(world->replies[world->pending_count++].pending);
        break;
    case OP_GOT:
        check_reply(oldest, step);
        world->next++;
        break;
    case OP_SILENT:
        for (size_t i = world->next; i < world->pending_count; i++)
            assert_int_equal(world->replies[i].count, 0);
        break;
    case OP_GO:
        lookups_forget(&oldest->pending);
        assert_null(oldest->pending);
        world->next++;
        break;
    case OP_GIVE:
        give(world, step->text);
        break;
    case OP_FAIL:
        fake_env_answer(world->env, &(struct fake_answer){
                                        .problem = step->problem,
                                        .retry_after_s = step->retry_after,
                                    });
        break;
    case OP_PASS:
        fake_env_advance(world->env, step->ms);
        break;
    case OP_RELOAD:
        reload(world, step->text);
        break;
    case OP_STARTS:
        assert_int_equal(fake_env_starts(world->env), step->count);
        break;
    case OP_LOGGED:
        assert_int_equal(fake_env_logged(world->env, step->text), step->count);
        break;
    case OP_DENIED:
        lookups_count(world->lookups, &counts);
        assert_int_equal(counts.denied_mailboxes, step->count);
        break;
    }
}

static void
world_init(struct world *world)
{
    world->env = fake_env_new();
    fake_env_forbid(world->env, "eyJ0eXAi");
    world->refresher = refresher_new(fake_env_refresher(world->env));
    assert_non_null(world->refresher);
    world->lookups =
        lookups_new(fake_env_lookups(world->env), world->refresher);
    assert_non_null(world->lookups);
    reload(world, CONFIG);
}

/* Who still waits goes away; nothing is answered after that. */
static void
world_clear(struct world *world)
{
    for (size_t i = 0; i < world->pending_count; i++) {
        struct reply *reply = &world->replies[i];

        lookups_forget(&reply->pending);
        buf_clear(&reply->data);
    }
    lookups_free(&world->lookups);
    refresher_free(&world->refresher);
    fake_env_free(&world->env);
}

/* The first credential's token, and one of the other's that lasts. */
static void
get_first(struct world *world)
{
    fake_env_advance(world->env, 0);
    give(world, TOKEN_A);
    fake_env_answer(world->env,
                    &(struct fake_answer){.text = "other", .life_s = 86400});
}

static int
set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->row = *state;
    world_init(world);
    *state = world;
    return 0;
}

static int
tear_down(void **state)
{
    world_clear(*state);
    free(*state);
    return 0;
}

static void
check_row(void **state)
{
    struct world *world = *state;
    const struct row *row = world->row;

    if (!row->is_fresh)
        get_first(world);
    for (size_t i = 0; i < STEPS_MAX && row->steps[i].op != OP_END; i++)
        run_step(world, &row->steps[i]);
}

/* ---- What takes more than a row ------------------------------------------ */

/* A token of `len` bytes. Owned: free(). */
static char *
long_token(size_t len)
{
    char *text = malloc(len + 1);

    assert_non_null(text);
    memset(text, 'x', len);
    text[len] = '\0';
    return text;
}

/* Ask once; the answer is in *reply, whose data is to be cleared. */
static void
ask_for(struct world *world, const char *name, struct reply *reply)
{
    ask(world, 1, name, RELAY HOST, reply);
    assert_int_equal(reply->count, 1);
}

static void
exim_gets_3057_bytes_and_no_more(void **state)
{
    static const size_t frame =
        sizeof("user=" RELAY "\001auth=Bearer \001\001");
    struct world *world = *state;
    struct reply reply;

    for (size_t more = 0; more < 2; more++) {
        char *text = long_token(LOOKUPS_XOAUTH2_MAX - (frame - 1) + more);

        fake_env_advance(world->env, more == 0 ? 0 : 1800000);
        give(world, text);
        free(text);
        ask_for(world, "xoauth2", &reply);
        if (more == 0) {
            assert_int_equal(reply.status, SOCKETMAP_OK);
            assert_int_equal(reply.data.len, LOOKUPS_XOAUTH2_MAX);
        } else {
            assert_int_equal(reply.status, SOCKETMAP_TEMP);
            assert_memory_equal(reply.data.data, "token-too-long ", 15);
        }
        buf_clear(&reply.data);
        ask_for(world, "token", &reply);
        assert_int_equal(reply.status, SOCKETMAP_OK);
        buf_clear(&reply.data);
        if (more == 0) /* the other credential's request */
            give(world, "other");
    }
}

static void
a_token_of_32_kib_is_given(void **state)
{
    struct world *world = *state;
    char *text = long_token(32768);
    struct reply reply;

    fake_env_advance(world->env, 0);
    give(world, text);
    ask_for(world, "token", &reply);
    assert_int_equal(reply.status, SOCKETMAP_OK);
    assert_string_equal(buf_str(&reply.data) + strlen("1790003600 "), text);
    buf_clear(&reply.data);
    free(text);
}

/* A token that did not fit was not given: a 535 can't be about it. */
static void
a_token_that_was_too_long_is_not_noted(void **state)
{
    struct world *world = *state;
    char *text = long_token(LOOKUPS_XOAUTH2_MAX);
    struct reply reply;

    fake_env_advance(world->env, 0);
    give(world, text);
    free(text);
    ask_for(world, "xoauth2", &reply);
    assert_int_equal(reply.status, SOCKETMAP_TEMP);
    buf_clear(&reply.data);
    ask(world, 1, "status", REFUSED_535, &reply);
    assert_int_equal(reply.status, SOCKETMAP_NOTFOUND);
    buf_clear(&reply.data);
    assert_int_equal(fake_env_starts(world->env), 2);
}

static void
without_memory_to_wait_the_answer_is_temp(void **state)
{
    struct world *world = *state;
    struct reply reply;

    fake_env_refuse_timers(world->env, true);
    ask_for(world, "token", &reply);
    assert_int_equal(reply.status, SOCKETMAP_TEMP);
    buf_clear(&reply.data);
    fake_env_refuse_timers(world->env, false);
}

/* 500 mailboxes on one token, refused every 5 s for an hour. */
static void
five_hundred_refused_mailboxes_cause_one_request_per_interval(void **state)
{
    struct world *world = *state;
    struct lookups_counts counts;
    char key[128];
    char text[32];

    get_first(world);
    for (int round = 0; round < 12 * 60; round++) {
        for (int i = 0; i < 500; i++) {
            struct reply reply;

            (void)snprintf(key, sizeof(key), "m%d@apps.contoso.example" HOST,
                           i);
            ask(world, i + 1, "refused", key, &reply);
            assert_int_equal(reply.status, SOCKETMAP_OK);
            buf_clear(&reply.data);
        }
        (void)snprintf(text, sizeof(text), "token-%d", round);
        if (fake_env_open(world->env) > 0)
            give(world, text);
        fake_env_advance(world->env, 5000);
    }
    /* At 0, 1, 3, 7, 15, 30, 45 and 60 min, and the planned ones. */
    assert_in_range(fake_env_starts(world->env) - 2, 7, 9);
    lookups_count(world->lookups, &counts);
    assert_int_equal(counts.denied_mailboxes, 500);
    assert_int_equal(fake_env_logged(world->env, "is denied"), 500);
    assert_int_equal(counts.refusals, 500 * 12 * 60);
}

/* 500 processes ask when the only token has just expired. */
static void
five_hundred_who_wait_are_all_answered_by_one_request(void **state)
{
    struct world *world = *state;
    char key[128];

    get_first(world);
    fake_env_suspend(world->env, 3600000);
    for (int i = 0; i < 500; i++) {
        (void)snprintf(key, sizeof(key), "m%d@apps.contoso.example" HOST, i);
        ask(world, i + 1, "token", key, &world->replies[i]);
        world->pending_count++;
        assert_non_null(world->replies[i].pending);
    }
    give(world, TOKEN_B);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(world->replies[i].count, 1);
        assert_int_equal(world->replies[i].status, SOCKETMAP_OK);
    }
    assert_int_equal(fake_env_starts(world->env), 3);
}

static void
what_is_counted_is_what_happened(void **state)
{
    struct world *world = *state;
    struct lookups_counts counts;
    struct reply reply;

    get_first(world);
    ask_for(world, "token", &reply);
    buf_clear(&reply.data);
    ask_for(world, "refused", &reply);
    buf_clear(&reply.data);
    ask(world, 1, "status",
        "5.7.30 host h[a] said: 550 5.7.30 Basic authentication is not "
        "supported for Client Submission",
        &reply);
    buf_clear(&reply.data);
    ask(world, 1, "nonsense", "", &reply);
    buf_clear(&reply.data);
    lookups_count(world->lookups, &counts);
    assert_int_equal(counts.requests, 4);
    assert_int_equal(counts.tokens_given, 1);
    assert_int_equal(counts.refusals, 1);
    assert_int_equal(counts.deferred, 1);
    assert_int_equal(counts.denied_mailboxes, 0);
    assert_non_null(lookups_suspect(world->lookups, RELAY));
    assert_null(lookups_suspect(world->lookups, SCAN));
}

#define WORLD_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    static const struct CMUnitTest others[] = {
        WORLD_TEST(exim_gets_3057_bytes_and_no_more),
        WORLD_TEST(a_token_of_32_kib_is_given),
        WORLD_TEST(a_token_that_was_too_long_is_not_noted),
        WORLD_TEST(without_memory_to_wait_the_answer_is_temp),
        WORLD_TEST(
            five_hundred_refused_mailboxes_cause_one_request_per_interval),
        WORLD_TEST(five_hundred_who_wait_are_all_answered_by_one_request),
        WORLD_TEST(what_is_counted_is_what_happened),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .setup_func = set_up,
            .teardown_func = tear_down,
            .initial_state = &rows[i],
        };
    memcpy(&tests[ARRAY_LEN(rows)], others, sizeof(others));
    return cmocka_run_group_tests_name("lookups", tests, NULL, NULL);
}
