/*
 * sendas: rows for who may send as whom, for decisions, for entries, and for
 * what is refused when the tables are built.
 */
#include <arpa/inet.h>
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
#include "tests/unit/scratch.h"

#define CREDENTIAL                                                 \
    "credential \"c\" { tenant = \"t.example\" client_id = \"i\" " \
    "client_secret = {\"file:/x\"} }\n"

/* Who may send as whom: the text of the tests about look-ups. */
#define PEOPLE                                                           \
    CREDENTIAL                                                           \
    "mailbox \"Relay@Contoso.com\" { credential = \"c\"\n"               \
    "  send_as = {\"alerts@contoso.com\", \"@printers.contoso.com\",\n"  \
    "             \"boss@apps.contoso.com\", \"scanner@contoso.com\",\n" \
    "             \"@both.contoso.com\"} }\n"                            \
    "mailbox \"scanner@contoso.com\" { credential = \"c\"\n"             \
    "  send_as = \"odd@printers.contoso.com\" }\n"                       \
    "mailbox \"@apps.contoso.com\" { credential = \"c\" }\n"             \
    "mailbox \"@both.contoso.com\" { credential = \"c\" }\n"             \
    "mailbox \"own@apps.contoso.com\" { credential = \"c\" }\n"          \
    "mailbox \"@.sub.example\" { credential = \"c\" }\n"                 \
    "mailbox \"far@contoso.com\" { credential = \"c\"\n"                 \
    "  send_as = {\"@.far.example\", \"@.x.sub.example\", \"@.lan\",\n"  \
    "             \"@y.sub.example\", \"one@z.sub.example\"} }\n"

/* rule_line is the line on which one of these ends. */
#define RULES_LINE 16
#define RULES                                                                 \
    "exempt { recipient = \"@contoso.local\" }\n"                             \
    "exempt { client = \"10.1.0.0/16\" recipient = \"@half.example\" }\n"     \
    "route { client = \"10.0.5.0/25\" mailbox = \"scanner@contoso.com\" }\n"  \
    "route { login = \"Erp\" sender = \"@legacy.local\"\n"                    \
    "  mailbox = \"own@apps.contoso.com\" }\n"                                \
    "route { from = \"hr@x.example\" mailbox = \"own@apps.contoso.com\" }\n"  \
    "route { recipient = \"@bank.example\" mailbox = "                        \
    "\"own@apps.contoso.com\" }"                                              \
    "\nroute { client = \"2001:db8::/33\" mailbox = \"scanner@contoso.com\" " \
    "}\n"                                                                     \
    "route { daemon = {\"scan\", \"fax\"} sender = {\"@a.lists\",\n"          \
    "  \"@.b.lists\"} mailbox = \"scanner@contoso.com\" }\n"                  \
    "exempt { client = {\"192.0.2.0/24\", \"198.51.100.1\"}\n"                \
    "  recipient = {\"@one.local\", \"@.two.local\"} }\n"                     \
    "exempt { daemon = \"inbound\" }\n"                                       \
    "route { login = \"pool\" mailbox = {\"scanner@contoso.com\",\n"          \
    "  \"relay@contoso.com\", \"far@contoso.com\"} }\n"
#define EXEMPT_LOCAL  RULES_LINE
#define EXEMPT_HALF   (RULES_LINE + 1)
#define ROUTE_CLIENT  (RULES_LINE + 2)
#define ROUTE_LOGIN   (RULES_LINE + 4)
#define ROUTE_FROM    (RULES_LINE + 5)
#define ROUTE_BANK    (RULES_LINE + 6)
#define ROUTE_CLIENT6 (RULES_LINE + 7)
#define ROUTE_DAEMON  (RULES_LINE + 9)
#define EXEMPT_LISTS  (RULES_LINE + 11)
#define EXEMPT_DAEMON (RULES_LINE + 12)
#define ROUTE_POOL    (RULES_LINE + 14)

#define POOL                                                            \
    "default_mailbox = {\"far@contoso.com\", \"scanner@contoso.com\", " \
    "\"relay@contoso.com\"} "
#define DEFAULT "default_mailbox = \"relay@contoso.com\" "

static struct sendas *
load(const char *text)
{
    struct err err = {ERR_NONE, ""};
    struct config *config;
    struct sendas *sendas;

    scratch_write_text("relay.conf", text);
    config = config_load(scratch_path("relay.conf"), &err);
    assert_string_equal(err.text, "");
    assert_non_null(config);
    sendas = sendas_new(config, &err);
    assert_string_equal(err.text, "");
    assert_non_null(sendas);
    assert_ptr_equal(sendas_config(sendas), config);
    config_unref(&config); /* sendas keeps a reference */
    return sendas;
}

/* ---- looking up ---- */

static const struct {
    const char *address;
    enum sendas_rule rule;
    const char *login;        /* what goes into user= */
    const char *direct_login; /* the same when send_as does not count */
} finds[] = {
    {"relay@contoso.com", SENDAS_RULE_MAILBOX, "Relay@Contoso.com",
     "Relay@Contoso.com"},
    {"RELAY@CONTOSO.COM", SENDAS_RULE_MAILBOX, "Relay@Contoso.com",
     "Relay@Contoso.com"},
    {"alerts@contoso.com", SENDAS_RULE_EXACT, "Relay@Contoso.com", NULL},
    {"Alerts@Contoso.COM", SENDAS_RULE_EXACT, "Relay@Contoso.com", NULL},
    {"a@printers.contoso.com", SENDAS_RULE_DOMAIN, "Relay@Contoso.com", NULL},
    {"odd@printers.contoso.com", SENDAS_RULE_EXACT, "scanner@contoso.com",
     NULL},
    /* a mailbox comes before an entry of that name */
    {"scanner@contoso.com", SENDAS_RULE_MAILBOX, "scanner@contoso.com",
     "scanner@contoso.com"},
    {"own@apps.contoso.com", SENDAS_RULE_MAILBOX, "own@apps.contoso.com",
     "own@apps.contoso.com"},
    /* an exact entry before a mailbox for the domain, that before an entry */
    {"boss@apps.contoso.com", SENDAS_RULE_EXACT, "Relay@Contoso.com",
     "boss@apps.contoso.com"},
    {"Any@Apps.contoso.com", SENDAS_RULE_MAILBOX_DOMAIN, "Any@Apps.contoso.com",
     "Any@Apps.contoso.com"},
    {"x@both.contoso.com", SENDAS_RULE_MAILBOX_DOMAIN, "x@both.contoso.com",
     "x@both.contoso.com"},
    /* domains below one, of any depth; the nearest one first */
    {"a@b.sub.example", SENDAS_RULE_MAILBOX_SUBDOMAIN, "a@b.sub.example",
     "a@b.sub.example"},
    {"a@c.b.Sub.Example", SENDAS_RULE_MAILBOX_SUBDOMAIN, "a@c.b.Sub.Example",
     "a@c.b.Sub.Example"},
    {"a@sub.example", SENDAS_RULE_NONE, NULL, NULL},
    {"a@xsub.example", SENDAS_RULE_NONE, NULL, NULL},
    {"a@b.far.example", SENDAS_RULE_SUBDOMAIN, "far@contoso.com", NULL},
    {"a@d.c.b.far.example", SENDAS_RULE_SUBDOMAIN, "far@contoso.com", NULL},
    {"a@far.example", SENDAS_RULE_NONE, NULL, NULL},
    {"a@far.example.com", SENDAS_RULE_NONE, NULL, NULL},
    {"a@printer.LAN", SENDAS_RULE_SUBDOMAIN, "far@contoso.com", NULL},
    {"a@lan", SENDAS_RULE_NONE, NULL, NULL},
    {"a@b.x.sub.example", SENDAS_RULE_SUBDOMAIN, "far@contoso.com",
     "a@b.x.sub.example"},
    {"a@x.sub.example", SENDAS_RULE_MAILBOX_SUBDOMAIN, "a@x.sub.example",
     "a@x.sub.example"},
    /* an exact entry and one for the domain come before those above */
    {"a@y.sub.example", SENDAS_RULE_DOMAIN, "far@contoso.com",
     "a@y.sub.example"},
    {"one@z.sub.example", SENDAS_RULE_EXACT, "far@contoso.com",
     "one@z.sub.example"},
    {"@.sub.example", SENDAS_RULE_NONE, NULL, NULL},
    {"@b.sub.example", SENDAS_RULE_NONE, NULL, NULL},
    {"a@.sub.example", SENDAS_RULE_NONE, NULL, NULL},
    {".sub.example", SENDAS_RULE_NONE, NULL, NULL},
    {"alerts+1@contoso.com", SENDAS_RULE_NONE, NULL, NULL},
    {"a@sub.printers.contoso.com", SENDAS_RULE_NONE, NULL, NULL},
    {"a@xprinters.contoso.com", SENDAS_RULE_NONE, NULL, NULL},
    {"nobody@contoso.com", SENDAS_RULE_NONE, NULL, NULL},
    {"@printers.contoso.com", SENDAS_RULE_NONE, NULL, NULL},
    {"@apps.contoso.com", SENDAS_RULE_NONE, NULL, NULL},
    {"\"a b\"@apps.contoso.com", SENDAS_RULE_NONE, NULL, NULL},
    {"a@b@apps.contoso.com", SENDAS_RULE_NONE, NULL, NULL},
    {"<relay@contoso.com>", SENDAS_RULE_NONE, NULL, NULL},
    {"relay", SENDAS_RULE_NONE, NULL, NULL},
    {"", SENDAS_RULE_NONE, NULL, NULL},
    {"@", SENDAS_RULE_NONE, NULL, NULL},
};

static void
check_match(const char *address, bool is_found, const struct sendas_match *got,
            enum sendas_rule rule, const char *login)
{
    assert_int_equal(is_found, rule != SENDAS_RULE_NONE);
    if (got->rule != rule)
        fail_msg("%s: %s, not %s", address, sendas_rule_name(got->rule),
                 sendas_rule_name(rule));
    if (!is_found) {
        assert_null(got->mailbox);
        assert_null(got->login);
        return;
    }
    assert_non_null(got->mailbox);
    assert_string_equal(got->login, login);
}

static void
the_most_exact_rule_wins(void **state)
{
    struct sendas *sendas = load(PEOPLE);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(finds); i++) {
        struct sendas_match match;
        bool is_found = sendas_find(sendas, finds[i].address, &match);
        const char *direct = finds[i].direct_login;

        check_match(finds[i].address, is_found, &match, finds[i].rule,
                    finds[i].login);
        is_found = sendas_find_login(sendas, finds[i].address, &match);
        assert_int_equal(is_found, direct != NULL);
        if (is_found)
            assert_string_equal(match.login, direct);
        else
            assert_int_equal(match.rule, SENDAS_RULE_NONE);
    }
    assert_int_equal(sendas_count(sendas), 7 + 11);
    sendas_unref(&sendas);
    assert_null(sendas);
}

static void
entries_cover_an_address_or_a_domain(void **state)
{
    (void)state;
    assert_true(sendas_entry_covers("a@b.c", "A@B.C"));
    assert_false(sendas_entry_covers("a@b.c", "a@b.cc"));
    assert_true(sendas_entry_covers("@b.c", "x@B.c"));
    assert_true(sendas_entry_covers("@b.c", "\"x@y\"@b.c"));
    assert_false(sendas_entry_covers("@b.c", "x@a.b.c"));
    assert_false(sendas_entry_covers("@b.c", "@b.c"));
    assert_true(sendas_entry_covers("@.b.c", "x@a.B.c"));
    assert_true(sendas_entry_covers("@.b.c", "x@d.a.b.c"));
    assert_false(sendas_entry_covers("@.b.c", "x@b.c"));
    assert_false(sendas_entry_covers("@.b.c", "x@ab.c"));
    assert_false(sendas_entry_covers("@.b.c", "x@.b.c"));
    assert_false(sendas_entry_covers("@.b.c", "@a.b.c"));
    assert_false(sendas_entry_covers("@.b.c", "x"));
    assert_false(sendas_entry_covers("@b.c", "b.c"));
    assert_false(sendas_entry_covers("@b.c", ""));
    assert_false(sendas_entry_covers("a@b.c", ""));
}

/* ---- deciding ---- */

struct decide_row {
    const char *name;
    const char *options; /* of the milter; NULL: DEFAULT */
    const char *client;
    const char *daemon;
    const char *login;
    const char *sender; /* NULL: a@device.example */
    const char *from;
    const char *recipients[3];
    enum sendas_verdict want;
    const char *want_login;
    enum sendas_rule want_rule;
    unsigned want_line;
    bool is_pool; /* of more than one */
};

static struct decide_row decide_rows[] = {
    {.name = "a permitted From stays",
     .from = "alerts@contoso.com",
     .want = SENDAS_KEEP,
     .want_login = "Relay@Contoso.com",
     .want_rule = SENDAS_RULE_EXACT},
    {.name = "a permitted From stays, whatever a route says",
     .client = "10.0.5.1",
     .from = "alerts@contoso.com",
     .want = SENDAS_KEEP,
     .want_login = "Relay@Contoso.com",
     .want_rule = SENDAS_RULE_EXACT},
    {.name = "a permitted From stays where the rest is refused",
     .options = "not_permitted = \"reject\" null_sender = \"discard\"",
     .from = "alerts@contoso.com",
     .want = SENDAS_KEEP,
     .want_login = "Relay@Contoso.com",
     .want_rule = SENDAS_RULE_EXACT},
    {.name = "a sender of a mailbox for a domain logs in as itself",
     .from = "x@apps.contoso.com",
     .want = SENDAS_KEEP,
     .want_login = "x@apps.contoso.com",
     .want_rule = SENDAS_RULE_MAILBOX_DOMAIN},
    {.name = "without a route the default mailbox",
     .from = "a@device.example",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "no plain From",
     .from = NULL,
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "an audit decides in the same way",
     .options = DEFAULT "not_permitted = \"audit\"",
     .from = "a@device.example",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "refused where the policy says so",
     .options = DEFAULT "not_permitted = \"reject\"",
     .from = "a@device.example",
     .want = SENDAS_REJECT},
    {.name = "a route is an order to rewrite, where the rest is refused",
     .options = "not_permitted = \"reject\" null_sender = \"discard\"",
     .client = "10.0.5.1",
     .from = "a@device.example",
     .want = SENDAS_REWRITE,
     .want_login = "scanner@contoso.com",
     .want_line = ROUTE_CLIENT},

    {.name = "exempt: every recipient is local",
     .from = "a@device.example",
     .recipients = {"x@contoso.local", "y@Contoso.LOCAL"},
     .want = SENDAS_EXEMPT,
     .want_line = EXEMPT_LOCAL},
    {.name = "not exempt: one recipient is not local",
     .from = "a@device.example",
     .recipients = {"x@contoso.local", "y@example.com"},
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "not exempt: no recipient at all",
     .from = "a@device.example",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "exempt: client and recipient",
     .client = "10.1.255.255",
     .from = "a@device.example",
     .recipients = {"x@half.example"},
     .want = SENDAS_EXEMPT,
     .want_line = EXEMPT_HALF},
    {.name = "not exempt: the recipient, but another client",
     .client = "10.2.0.0",
     .from = "a@device.example",
     .recipients = {"x@half.example"},
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "not exempt: the recipient, but no client is known",
     .from = "a@device.example",
     .recipients = {"x@half.example"},
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "exempt comes before refusing",
     .options = "not_permitted = \"reject\" null_sender = \"discard\"",
     .recipients = {"x@contoso.local"},
     .want = SENDAS_EXEMPT,
     .want_line = EXEMPT_LOCAL},

    {.name = "a route by client, the last address of its network",
     .client = "10.0.5.127",
     .want = SENDAS_REWRITE,
     .want_login = "scanner@contoso.com",
     .want_line = ROUTE_CLIENT},
    {.name = "no route by client, the first address behind its network",
     .client = "10.0.5.128",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "a route by client of the other family",
     .client = "2001:db8:7fff::1",
     .want = SENDAS_REWRITE,
     .want_login = "scanner@contoso.com",
     .want_line = ROUTE_CLIENT6},
    {.name = "no route by client of the other family",
     .client = "2001:db8:8000::1",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "the first of two routes that match",
     .client = "10.0.5.1",
     .from = "hr@x.example",
     .want = SENDAS_REWRITE,
     .want_login = "scanner@contoso.com",
     .want_line = ROUTE_CLIENT},
    {.name = "a route by login and envelope",
     .login = "erp",
     .sender = "x@Legacy.local",
     .from = "a@device.example",
     .want = SENDAS_REWRITE,
     .want_login = "own@apps.contoso.com",
     .want_line = ROUTE_LOGIN},
    {.name = "the login, but another envelope",
     .login = "erp",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "the envelope, but no login",
     .sender = "x@legacy.local",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "a route by From",
     .from = "HR@x.example",
     .want = SENDAS_REWRITE,
     .want_login = "own@apps.contoso.com",
     .want_line = ROUTE_FROM},
    {.name = "a route by the domain of all recipients",
     .recipients = {"a@bank.example", "b@bank.example"},
     .want = SENDAS_REWRITE,
     .want_login = "own@apps.contoso.com",
     .want_line = ROUTE_BANK},
    {.name = "no route by the domain of some recipients",
     .recipients = {"a@bank.example", "b@contoso.com"},
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},

    {.name = "a route by daemon and a list of senders",
     .daemon = "Scan",
     .sender = "x@a.lists",
     .want = SENDAS_REWRITE,
     .want_login = "scanner@contoso.com",
     .want_line = ROUTE_DAEMON},
    {.name = "a route by the second of either list",
     .daemon = "fax",
     .sender = "x@y.b.lists",
     .want = SENDAS_REWRITE,
     .want_login = "scanner@contoso.com",
     .want_line = ROUTE_DAEMON},
    {.name = "no route by a sender alone",
     .sender = "x@a.lists",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "no route by another daemon",
     .daemon = "scanner",
     .sender = "x@a.lists",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "exempt by one of two networks and recipients of both entries",
     .client = "198.51.100.1",
     .recipients = {"a@one.local", "b@x.two.local"},
     .want = SENDAS_EXEMPT,
     .want_line = EXEMPT_LISTS},
    {.name = "not exempt with a recipient of neither entry",
     .client = "192.0.2.77",
     .recipients = {"a@one.local", "b@two.local"},
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "not exempt from a network of neither",
     .client = "198.51.100.2",
     .recipients = {"a@one.local"},
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "exempt by daemon",
     .daemon = "inbound",
     .want = SENDAS_EXEMPT,
     .want_line = EXEMPT_DAEMON},
    {.name = "a pool of a route, by From",
     .login = "pool",
     .from = "printer-1@device.example",
     .sender = "x@device.example",
     .want = SENDAS_REWRITE,
     .want_login = "far@contoso.com",
     .want_line = ROUTE_POOL,
     .is_pool = true},
    {.name = "a pool of a route, by the envelope where From is none",
     .login = "pool",
     .sender = "printer-4@device.example",
     .want = SENDAS_REWRITE,
     .want_login = "scanner@contoso.com",
     .want_line = ROUTE_POOL,
     .is_pool = true},
    {.name = "a pool of default mailboxes",
     .options = POOL,
     .from = "printer-3@device.example",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com",
     .is_pool = true},
    {.name = "a bounce: only the first of the pool of default mailboxes",
     .options = POOL,
     .sender = "",
     .from = "printer-3@device.example",
     .want = SENDAS_REWRITE,
     .want_login = "far@contoso.com"},
    {.name = "a bounce: From stays by the first of the pool only",
     .options = POOL,
     .sender = "",
     .from = "alerts@contoso.com",
     .want = SENDAS_REWRITE,
     .want_login = "far@contoso.com"},
    {.name = "a bounce that gets a sender goes by the pool",
     .options = POOL "null_sender = \"rewrite\"",
     .sender = "",
     .from = "printer-3@device.example",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com",
     .is_pool = true},

    {.name = "a bounce: routes do not apply",
     .sender = "",
     .client = "10.0.5.1",
     .from = "mailer-daemon@device.example",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "a bounce: From stays when the default mailbox may send it",
     .sender = "",
     .from = "alerts@contoso.com",
     .want = SENDAS_KEEP,
     .want_login = "Relay@Contoso.com",
     .want_rule = SENDAS_RULE_EXACT},
    {.name = "a bounce: From does not stay when it is another mailbox",
     .sender = "",
     .from = "scanner@contoso.com",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "a bounce: From does not stay when it logs in as itself",
     .sender = "",
     .from = "x@apps.contoso.com",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "a bounce is rewritten where the rest is refused",
     .options = DEFAULT "not_permitted = \"reject\"",
     .sender = "",
     .from = "mailer-daemon@device.example",
     .want = SENDAS_REWRITE,
     .want_login = "Relay@Contoso.com"},
    {.name = "a bounce that the milter throws away is judged as any message",
     .options = "not_permitted = \"reject\" null_sender = \"discard\"",
     .sender = "",
     .from = "alerts@contoso.com",
     .want = SENDAS_KEEP,
     .want_login = "Relay@Contoso.com",
     .want_rule = SENDAS_RULE_EXACT},
    {.name = "a bounce can be exempt",
     .sender = "",
     .recipients = {"x@contoso.local"},
     .want = SENDAS_EXEMPT,
     .want_line = EXEMPT_LOCAL},
    {.name = "a bounce that gets a sender goes by the routes",
     .options = DEFAULT "null_sender = \"rewrite\"",
     .sender = "",
     .client = "10.0.5.1",
     .want = SENDAS_REWRITE,
     .want_login = "scanner@contoso.com",
     .want_line = ROUTE_CLIENT},
    {.name = "a bounce that gets a sender: a permitted From stays",
     .options = DEFAULT "null_sender = \"rewrite\"",
     .sender = "",
     .from = "scanner@contoso.com",
     .want = SENDAS_KEEP,
     .want_login = "scanner@contoso.com",
     .want_rule = SENDAS_RULE_MAILBOX},
};

static void
fill_message(const struct decide_row *row, struct sendas_message *message)
{
    struct in_addr ip4;

    *message = (struct sendas_message){
        .has_client = row->client != NULL,
        .daemon = row->daemon,
        .login = row->login,
        .sender = row->sender != NULL ? row->sender : "a@device.example",
        .from = row->from,
        .recipients = row->recipients,
    };
    while (message->recipient_count < ARRAY_LEN(row->recipients) &&
           row->recipients[message->recipient_count] != NULL)
        message->recipient_count++;
    if (row->client == NULL)
        return;
    if (inet_pton(AF_INET, row->client, &ip4) == 1) {
        memset(&message->client.s6_addr[10], 0xff, 2);
        memcpy(&message->client.s6_addr[12], &ip4, 4);
    } else {
        assert_int_equal(inet_pton(AF_INET6, row->client, &message->client), 1);
    }
}

static void
check_decision(void **state)
{
    const struct decide_row *row = *state;
    const char *options = row->options != NULL ? row->options : DEFAULT;
    struct sendas *sendas;
    struct sendas_message message;
    struct sendas_decision got;
    char text[4096];

    (void)snprintf(text, sizeof(text), "%smilter { %s\n%s}\n", PEOPLE, options,
                   RULES);
    sendas = load(text);
    fill_message(row, &message);
    sendas_decide(sendas, &message, &got);
    assert_int_equal(got.verdict, row->want);
    assert_int_equal(got.rule, row->want_rule);
    assert_int_equal(got.rule_line, row->want_line);
    assert_int_equal(got.pool != NULL && got.pool->count > 1, row->is_pool);
    if (row->want_login == NULL)
        assert_null(got.login);
    else
        assert_string_equal(got.login, row->want_login);
    sendas_unref(&sendas);
}

/* ---- building ---- */

struct build_row {
    const char *name;
    const char *mailboxes;
    const char *list; /* the content of list.txt */
    const char *want; /* what the error holds; NULL: it is good */
    const char *in;   /* the file and line with which the error begins */
    size_t count;     /* of entries and titles */
};

static struct build_row build_rows[] = {
    {.name = "one entry in two mailboxes",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as = \"x@b.c\" }\n"
                  "mailbox \"d@b.c\" { credential = \"c\"\n"
                  "send_as = \"X@B.c\" }\n",
     .in = "relay.conf:5: ",
     .want = "section mailbox \"d@b.c\": send_as has \"X@B.c\", which section "
             "mailbox \"a@b.c\" (ends at "},
    {.name = "one domain in two mailboxes",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as = \"@x.c\" }\n"
                  "mailbox \"d@b.c\" { credential = \"c\"\n"
                  "send_as = \"@X.c\" }\n",
     .in = "relay.conf:5: ",
     .want = "/relay.conf:3) has as well; remove it from one of them"},
    {.name = "one entry twice in one mailbox",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as = {\"x@b.c\", \"X@b.c\", \"a@b.c\"} }\n",
     .count = 3},
    {.name = "an entry that is another mailbox's name",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as = {\"d@b.c\"} }\n"
                  "mailbox \"d@b.c\" { credential = \"c\" }\n",
     .count = 3},
    {.name = "a list with comments, blanks and lines of another system",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as_file = \"%s\" send_as = \"x@b.c\" }\n",
     .list = "\xef\xbb\xbf# who\r\n\r\n  one@b.c \t\r\ntwo@b.c # second\r\n"
             "#three@b.c\r\n\t#\r\nfo#ur@b.c\r\n@five.c",
     .count = 6},
    {.name = "an empty list",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as_file = \"%s\" }\n",
     .list = "",
     .in = "list.txt: ",
     .want = "section mailbox \"a@b.c\": send_as_file is empty; "},
    {.name = "a list that has only comments",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as_file = \"%s\" }\n",
     .list = "# one@b.c\n\n",
     .in = "list.txt: ",
     .want = "send_as_file is empty; "},
    {.name = "a table that has only its header",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as_file = \"%s\" }\n",
     .list = "Address,Comment\n",
     .in = "list.txt: ",
     .want = "send_as_file is empty; "},
    {.name = "a line that is no entry",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as_file = \"%s\" }\n",
     .list = "one@b.c\n\n# x\ntwo three@b.c\n",
     .in = "list.txt:4: ",
     .want = "a line must be \"user@example.com\", \"@example.com\""},
    {.name = "a line of a table",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as_file = \"%s\" }\n",
     .list = "\"Identity\",\"Office\"\n",
     .in = "list.txt:1: ",
     .want = "this is neither an address nor the header of a table that is "
             "known"},
    {.name = "a line with a NUL after it",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as_file = \"%s\" }\n",
     .list = "one@b.c\n\x01",
     .in = "relay.conf:3: ",
     .want = "send_as_file: "},
    {.name = "a list and another mailbox have the same",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as = \"x@b.c\" }\n"
                  "mailbox \"d@b.c\" { credential = \"c\"\n"
                  "send_as_file = \"%s\" }\n",
     .list = "one@b.c\nX@b.c\n",
     .in = "list.txt:2: ",
     .want = "section mailbox \"a@b.c\" (ends at "},
    {.name = "two mailboxes have the same list",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as_file = \"%s\" }\n"
                  "mailbox \"d@b.c\" { credential = \"c\"\n"
                  "send_as_file = \"%s\" }\n",
     .list = "one@b.c\n",
     .in = "list.txt:1: ",
     .want = "section mailbox \"a@b.c\" (ends at "},
    {.name = "a list that is not there",
     .mailboxes = "mailbox \"a@b.c\" { credential = \"c\"\n"
                  "send_as_file = \"/nonexistent/list\" }\n",
     .in = "relay.conf:3: ",
     .want = "send_as_file: cannot read /nonexistent/list: No such file"},
};

static void
check_build(void **state)
{
    const struct build_row *row = *state;
    const char *list = scratch_path("list.txt");
    struct err err = {ERR_NONE, ""};
    struct config *config;
    struct sendas *sendas;
    struct buf text;

    buf_init(&text, 65536);
    buf_append_str(&text, CREDENTIAL);
    for (const char *p = row->mailboxes; *p != '\0'; p++) {
        if (strncmp(p, "%s", 2) == 0) {
            buf_append_str(&text, list);
            p++;
        } else {
            buf_append_char(&text, *p);
        }
    }
    scratch_write_text("relay.conf", buf_str(&text));
    buf_clear(&text);
    scratch_write_text("list.txt", row->list != NULL ? row->list : "");
    config = config_load(scratch_path("relay.conf"), &err);
    assert_non_null(config);
    sendas = sendas_new(config, &err);
    config_unref(&config);
    if (row->want == NULL) {
        assert_string_equal(err.text, "");
        assert_non_null(sendas);
        assert_int_equal(sendas_count(sendas), row->count);
        sendas_unref(&sendas);
        return;
    }
    assert_null(sendas);
    assert_int_equal(err.code, ERR_CONFIG);
    if (strstr(err.text, scratch_path(row->in)) != err.text ||
        strstr(err.text, row->want) == NULL)
        fail_msg("\"%s\" where \"%s... %s\" is wanted", err.text, row->in,
                 row->want);
}

static void
a_list_is_used_by_its_lines(void **state)
{
    struct sendas *sendas;
    struct sendas_match match;
    char text[2048];

    (void)state;
    scratch_write_text("list.txt", " one@b.c # x\nfo#ur@b.c\n@five.c");
    (void)snprintf(text, sizeof(text),
                   "%smailbox \"a@b.c\" { credential = \"c\" "
                   "send_as_file = \"%s\" }\n",
                   CREDENTIAL, scratch_path("list.txt"));
    sendas = load(text);
    assert_true(sendas_find(sendas, "One@b.c", &match));
    assert_string_equal(match.login, "a@b.c");
    assert_true(sendas_find(sendas, "fo#ur@b.c", &match));
    assert_true(sendas_find(sendas, "x@five.c", &match));
    assert_int_equal(match.rule, SENDAS_RULE_DOMAIN);
    assert_false(sendas_find(sendas, "fo@b.c", &match));
    sendas_unref(&sendas);
}

/* Whatever else the mailbox has: only its own name is beyond the file. */
static void
a_denial_in_the_file_wins(void **state)
{
    struct sendas *sendas;
    struct sendas_match match;
    char text[2048];

    (void)state;
    scratch_write_text("list.txt",
                       "Identity,Trustee,AccessControlType\n"
                       "boss@b.c,a@b.c,Deny\nexact@e.f,a@b.c,Deny\n"
                       "far@x.far.g,a@b.c,Deny\nlast@b.c,a@b.c,Allow\n");
    (void)snprintf(text, sizeof(text),
                   "%smailbox \"a@b.c\" { credential = \"c\" send_as = "
                   "{\"@b.c\", \"exact@e.f\", \"@.far.g\"} "
                   "send_as_file = \"%s\" }\n"
                   "mailbox \"z@b.c\" { credential = \"c\" send_as = "
                   "{\"exact@e.f\", \"@x.far.g\"} }\n",
                   CREDENTIAL, scratch_path("list.txt"));
    sendas = load(text);
    assert_false(sendas_find(sendas, "Boss@b.c", &match));
    assert_true(sendas_find(sendas, "other@b.c", &match));
    assert_true(sendas_find(sendas, "last@b.c", &match));
    assert_true(sendas_find(sendas, "a@b.c", &match));
    /* It is no denial of another mailbox. */
    assert_true(sendas_find(sendas, "exact@e.f", &match));
    assert_string_equal(match.login, "z@b.c");
    assert_true(sendas_find(sendas, "far@x.far.g", &match));
    assert_string_equal(match.login, "z@b.c");
    assert_true(sendas_find(sendas, "far@y.far.g", &match));
    assert_string_equal(match.login, "a@b.c");
    sendas_unref(&sendas);
}

/* 100,000 entries, half of them in the file itself. */
static void
a_hundred_thousand_entries_fit_into_their_budget(void **state)
{
    struct buf list;
    struct buf text;
    struct sendas *sendas;
    struct sendas_match match;

    (void)state;
    buf_init(&list, 16u << 20);
    buf_init(&text, 16u << 20);
    buf_append_str(&text, CREDENTIAL "mailbox \"a@b.c\" { credential = \"c\"\n"
                                     "send_as_file = \"");
    buf_append_str(&text, scratch_path("list.txt"));
    buf_append_str(&text, "\" send_as = {");
    for (int i = 0; i < 50000; i++) {
        buf_append_str(&list, "first.last.");
        buf_append_int(&list, i);
        buf_append_str(&list, "@department.contoso.example\n");
        buf_append_str(&text, "\"printer-");
        buf_append_int(&text, i);
        buf_append_str(&text, "@printers.contoso.example\",\n");
    }
    buf_append_str(&text, "} }\n");
    assert_false(buf_failed(&text) || buf_failed(&list));
    scratch_write_text("list.txt", buf_str(&list));
    sendas = load(buf_str(&text));
    buf_clear(&list);
    buf_clear(&text);
    assert_int_equal(sendas_count(sendas), 100001);
    (void)fprintf(stderr, "# %zu bytes for each of %zu entries\n",
                  sendas_memory(sendas) / sendas_count(sendas),
                  sendas_count(sendas));
    assert_true(sendas_memory(sendas) / sendas_count(sendas) <= 200);
    assert_true(
        sendas_find(sendas, "printer-49999@printers.contoso.example", &match));
    assert_true(sendas_find(
        sendas, "First.Last.49999@department.contoso.example", &match));
    assert_false(
        sendas_find(sendas, "printer-50000@printers.contoso.example", &match));
    sendas_unref(&sendas);
}

static void
a_reference_keeps_it_alive(void **state)
{
    struct sendas *sendas = load(PEOPLE);
    struct sendas *other = sendas_ref(sendas);
    struct sendas_match match;

    (void)state;
    assert_ptr_equal(other, sendas);
    sendas_unref(&sendas);
    assert_null(sendas);
    assert_true(sendas_find(other, "relay@contoso.com", &match));
    sendas_unref(&other);
    sendas_unref(&other);
}

int
main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(the_most_exact_rule_wins),
        cmocka_unit_test(entries_cover_an_address_or_a_domain),
        cmocka_unit_test(a_list_is_used_by_its_lines),
        cmocka_unit_test(a_denial_in_the_file_wins),
        cmocka_unit_test(a_hundred_thousand_entries_fit_into_their_budget),
        cmocka_unit_test(a_reference_keeps_it_alive),
    };
    struct CMUnitTest tests[ARRAY_LEN(decide_rows) + ARRAY_LEN(build_rows) +
                            ARRAY_LEN(others)];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(decide_rows); i++)
        tests[count++] = (struct CMUnitTest){
            .name = decide_rows[i].name,
            .test_func = check_decision,
            .initial_state = &decide_rows[i],
        };
    for (size_t i = 0; i < ARRAY_LEN(build_rows); i++)
        tests[count++] = (struct CMUnitTest){
            .name = build_rows[i].name,
            .test_func = check_build,
            .initial_state = &build_rows[i],
        };
    memcpy(tests + count, others, sizeof(others));
    return cmocka_run_group_tests_name("sendas", tests, scratch_set_up,
                                       scratch_tear_down);
}
