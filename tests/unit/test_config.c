/*
 * config: one row is one relay.conf: what is wrong with it and in which line,
 * or what is in effect. After every row a good file is read, for libconfuse
 * has one scanner in a process; and whatever is good is printed and read again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/textfile.h"
#include "common/util.h"
#include "tests/unit/scratch.h"

#define PRINT_MAX (32u << 20) /* bytes */

/* Two lines that a file needs; rows put what they are about before or after. */
#define CREDENTIAL                                                 \
    "credential \"c\" { tenant = \"t.example\" client_id = \"i\" " \
    "client_secret = {\"file:/x\"} }\n"
#define BASE CREDENTIAL "mailbox \"relay@example.com\" { credential = \"c\" }\n"

/* A credential section of three lines with something in its second. */
#define WITH(options) BASE "credential \"d\" {\n" options "\n}\n"
#define GOOD          "tenant = \"t.example\" client_id = \"i\" "
#define SECRET        "client_secret = \"file:/x\" "
#define MILTER(options) \
    BASE "milter { default_mailbox = \"relay@example.com\"\n" options "\n}\n"
#define TOKEND(options) BASE "tokend {\n" options "\n}\n"

struct row {
    const char *name;
    const char *text;
    const char *more; /* the content of more.conf */
    unsigned line;    /* of the error; 0: it is good */
    const char *in;   /* the file of the error; NULL: relay.conf */
    const char *want; /* what the error, or what is printed, holds */
};

static struct row rows[] = {
    /* ---- what must be there ---- */
    {.name = "the least that works",
     .text = BASE,
     .want = "tokend {\n"
             "    socket = {\"/run/xoauth2/tokend.sock\", "
             "\"/var/spool/postfix/run/xoauth2/tokend.sock\"}\n"
             "    control = \"/run/xoauth2/control.sock\"\n"
             "    allow = {\"postfix\"}\n"
             "    control_allow = {\"group:xoauth2-admin\"}\n"
             "    control_read = {}\n"
             "    refetch_interval = 60\n"
             "    login_password = \"\"\n"
             "    state = \"/var/lib/xoauth2/state.db\"\n"
             "}\n"},
    {.name = "an empty file",
     .text = "",
     .line = 1,
     .want = "there is no mailbox section; write mailbox"},
    {.name = "comments only",
     .text = "# nothing\n",
     .line = 1,
     .want = "there is no mailbox section; write mailbox"},
    {.name = "defaults of a credential",
     .text = BASE,
     .want = "credential \"c\" {\n"
             "    provider = \"microsoft\"\n"
             "    tenant = \"t.example\"\n"
             "    client_id = \"i\"\n"
             "    grant = \"client_credentials\"\n"
             "    client_secret = {\"file:/x\"}\n"
             "    assertion_algorithm = \"PS256\"\n"
             "    rotate = \"none\"\n"
             "}\n"},
    {.name = "everything of a credential",
     .text =
         BASE "credential \"d\" { provider = \"custom\" client_id = \"i\" "
              "client_secret = {\"file:/x\", \"credential:y\", \"exec:/z -a\"} "
              "certificate = \"credential:c.pem\" private_key = \"file:/k\" "
              "assertion_algorithm = \"RS256\" token_url = \"https://h/t\" "
              "scope = \"a b\" ca_file = \"/ca\" proxy = \"http://p:3128\" "
              "servers = {\"[Smtp.Example.com]:587\", \"b\"} }",
     .want = "credential \"d\" {\n"
             "    provider = \"custom\"\n"
             "    client_id = \"i\"\n"
             "    grant = \"client_credentials\"\n"
             "    client_secret = {\"file:/x\", \"credential:y\", "
             "\"exec:/z -a\"}\n"
             "    certificate = \"credential:c.pem\"\n"
             "    private_key = \"file:/k\"\n"
             "    assertion_algorithm = \"RS256\"\n"
             "    token_url = \"https://h/t\"\n"
             "    scope = \"a b\"\n"
             "    ca_file = \"/ca\"\n"
             "    proxy = \"http://p:3128\"\n"
             "    servers = {\"smtp.example.com\", \"b\"}\n"
             "    rotate = \"none\"\n"
             "}\n"},
    {.name = "client_id is missing",
     .text = WITH("tenant = \"t\" " SECRET),
     .line = 5,
     .want = "section credential \"d\" (ends here): client_id is missing; "
             "write client_id = "},
    {.name = "tenant is missing",
     .text = WITH("client_id = \"i\" " SECRET),
     .line = 5,
     .want = "tenant is missing; write tenant = "},
    {.name = "tenant is missing in another of Microsoft's clouds",
     .text = WITH("provider = \"microsoft-dod\" client_id = \"i\" " SECRET),
     .line = 5,
     .want = "tenant is missing; write tenant = "},
    {.name = "a token_url needs no tenant",
     .text = WITH("client_id = \"i\" token_url = \"https://h/t\" " SECRET),
     .want = "    token_url = \"https://h/t\"\n"},
    {.name = "Google has no tenants",
     .text = WITH("provider = \"google\" client_id = \"i\" " SECRET),
     .want = "    provider = \"google\"\n"},
    {.name = "a tenant for Google",
     .text = WITH("provider = \"google\" " GOOD SECRET),
     .line = 5,
     .want = "tenant is for the microsoft providers; remove it"},
    {.name = "a tenant that is none in particular",
     .text = WITH("tenant = \"common\" client_id = \"i\" " SECRET),
     .line = 5,
     .want = "tenant must name one tenant"},
    {.name = "people may sign in at no tenant in particular",
     .text = WITH("tenant = \"consumers\" client_id = \"i\" "
                  "grant = \"device_code\""),
     .want = "    grant = \"device_code\"\n"},
    /* ---- credentials that renew themselves ---- */
    {.name = "nothing renews itself unless it is told",
     .text = WITH(GOOD SECRET),
     .want = "    rotate = \"none\"\n"},
    {.name = "the times of a rotation have defaults",
     .text = WITH(GOOD SECRET " rotate = \"graph\""),
     .want = "    rotate = \"graph\"\n    rotate_every = \"30d\"\n"
             "    rotate_settle = \"2m\"\n    rotate_grace = \"2d\"\n"
             "    rotate_lifetime = \"90d\"\n"},
    {.name = "a span is printed in the largest unit that says it whole",
     .text = WITH(GOOD SECRET " rotate = \"graph\" rotate_grace = \"90m\" "
                              "rotate_settle = \"3600s\""),
     .want = "    rotate_settle = \"1h\"\n    rotate_grace = \"90m\"\n"},
    {.name = "a span without unit",
     .text = WITH(GOOD SECRET " rotate_every = \"30\""),
     .line = 4,
     .want = "rotate_every must be a span of time"},
    {.name = "a span of nothing",
     .text = WITH(GOOD SECRET " rotate_every = \"0d\""),
     .line = 4,
     .want = "rotate_every must be a span of time"},
    {.name = "a span that is too long",
     .text = WITH(GOOD SECRET " rotate_lifetime = \"999999999d\""),
     .line = 4,
     .want = "of at most 3650d"},
    {.name = "a certificate's registration, and what may be removed",
     .text =
         WITH(GOOD "certificate = \"file:/c\" private_key = \"file:/k\""
                   " rotate = \"graph\" rotate_object_id = "
                   "\"00001111-aaaa-2222-bbbb-3333cccc4444\" rotate_remove = "
                   "{\"aaaa1111-aaaa-2222-bbbb-3333cccc4444\"}"),
     .want = "    rotate_remove = {\"aaaa1111-aaaa-2222-bbbb-3333cccc4444\"}"},
    {.name = "an object's id that is none",
     .text = WITH(GOOD SECRET " rotate = \"graph\" rotate_object_id = "
                              "\"00001111-aaaa-2222-bbbb-3333cccc444g\""),
     .line = 4,
     .want = "rotate_object_id must be an id such as"},
    {.name = "a Graph with a query",
     .text = WITH(GOOD SECRET " rotate = \"graph\" "
                              "graph_url = \"https://g/?x\""),
     .line = 4,
     .want = "graph_url must be a URL without query"},
    {.name = "options of a rotation that there is not",
     .text = WITH(GOOD SECRET " graph_url = \"https://g\""),
     .line = 5,
     .want = "graph_url means nothing without rotate = \"graph\""},
    {.name = "Google's secrets are not renewed at Microsoft",
     .text = WITH("provider = \"google\" client_id = \"i\" " SECRET
                  " rotate = \"graph\""),
     .line = 5,
     .want = "rotate = \"graph\" is for the microsoft providers"},
    {.name = "a public client has nothing to renew",
     .text = WITH(GOOD "grant = \"device_code\" rotate = \"graph\""),
     .line = 5,
     .want = "rotate = \"graph\" is for grant \"client_credentials\""},
    {.name = "no key is made in a token",
     .text = WITH(GOOD "certificate = \"file:/c\" private_key = "
                       "\"pkcs11:token=t\" rotate = \"graph\""),
     .line = 5,
     .want = "can not make a key in a token"},
    {.name = "a custom provider's Graph must be named",
     .text = WITH("provider = \"custom\" client_id = \"i\" token_url = "
                  "\"https://h/t\" " SECRET " rotate = \"graph\""),
     .line = 5,
     .want = "graph_url is missing"},
    {.name = "rotations that would overlap",
     .text = WITH(GOOD SECRET " rotate = \"graph\" rotate_every = \"2d\""),
     .line = 5,
     .want = "rotate_settle and rotate_grace together must be shorter"},
    {.name = "what would expire while it is used",
     .text = WITH(GOOD SECRET " rotate = \"graph\" rotate_every = \"89d\""),
     .line = 5,
     .want = "rotate_lifetime must be at least"},
    /* ---- which option goes with which grant ---- */
    {.name = "a public client, for people who sign in",
     .text = WITH(GOOD "grant = \"authorization_code\" redirect_port = 8400"),
     .want = "    redirect_port = 8400\n"},
    {.name = "a confidential client with an encrypted key",
     .text = WITH(GOOD "grant = \"authorization_code\" "
                       "certificate = \"file:/c\" private_key = \"file:/k\" "
                       "passphrase = \"credential:p\""),
     .want = "    private_key = \"file:/k\"\n"
             "    passphrase = \"credential:p\"\n"},
    {.name = "a key in a token",
     .text = WITH(GOOD "certificate = \"file:/c\" "
                       "private_key = \"pkcs11:token=relay;object=k\" "
                       "passphrase = \"file:/pin\""),
     .want = "    private_key = \"pkcs11:token=relay;object=k\"\n"},
    {.name = "a secret is no key in a token",
     .text = WITH(GOOD "client_secret = \"pkcs11:token=relay\""),
     .line = 4,
     .want = "client_secret must be a reference"},
    {.name = "a PIN in the URI of a key",
     .text = WITH(GOOD "private_key = \"pkcs11:token=r?pin-value=1234\""),
     .line = 4,
     .want = "private_key must not hold the PIN: write passphrase = "},
    {.name = "a module in the URI of a key",
     .text = WITH(GOOD "private_key = \"pkcs11:token=r?module-path=/x.so\""),
     .line = 4,
     .want = "private_key must not name a module"},
    {.name = "a URI of a key with a blank",
     .text = WITH(GOOD "private_key = \"pkcs11:token=my token\""),
     .line = 4,
     .want = "private_key must be a URI such as"},
    {.name = "a passphrase without a key",
     .text = WITH(GOOD SECRET "passphrase = \"file:/p\""),
     .line = 5,
     .want = "passphrase is for private_key, which is missing"},
    {.name = "a machine's own identity needs nothing",
     .text = WITH("grant = \"managed_identity\""),
     .want = "    grant = \"managed_identity\"\n"},
    {.name = "the default identity is printed",
     .text = WITH("grant = \"managed_identity\" identity = \"system\""),
     .want = "    identity = \"system\"\n"},
    {.name = "one of a machine's identities",
     .text = WITH("grant = \"managed_identity\" "
                  "identity = \"msi_res_id:/subscriptions/x\""),
     .want = "    identity = \"msi_res_id:/subscriptions/x\"\n"},
    {.name = "an identity of no kind",
     .text = WITH("grant = \"managed_identity\" identity = \"client_id:\""),
     .line = 4,
     .want = "identity must be \"system\", \"client_id:ID\""},
    {.name = "a machine's identity at Google",
     .text = WITH("provider = \"google\" grant = \"managed_identity\""),
     .line = 5,
     .want = "\"managed_identity\" is for the microsoft providers"},
    {.name = "a machine has no client id",
     .text = WITH("grant = \"managed_identity\" client_id = \"i\""),
     .line = 5,
     .want = "client_id means nothing with grant \"managed_identity\""},
    {.name = "no proxy knows a machine",
     .text = WITH("grant = \"managed_identity\" proxy = \"http://p:1\""),
     .line = 5,
     .want = "proxy means nothing with grant \"managed_identity\""},
    {.name = "an identity with another grant",
     .text = WITH(GOOD SECRET "identity = \"client_id:x\""),
     .line = 5,
     .want = "identity means nothing with grant \"client_credentials\""},
    {.name = "another issuer's token",
     .text = WITH(GOOD "grant = \"workload_identity\" "
                       "federated_token = \"file:/var/run/token\""),
     .want = "    federated_token = \"file:/var/run/token\"\n"},
    {.name = "no token of the other issuer",
     .text = WITH(GOOD "grant = \"workload_identity\""),
     .line = 5,
     .want = "federated_token is missing; write federated_token = "},
    {.name = "a secret beside another issuer's token",
     .text = WITH(GOOD SECRET "grant = \"workload_identity\" "
                              "federated_token = \"file:/t\""),
     .line = 5,
     .want = "client_secret means nothing with grant \"workload_identity\""},
    {.name = "another issuer's token at Google",
     .text = WITH("provider = \"google\" client_id = \"i\" "
                  "grant = \"workload_identity\" "
                  "federated_token = \"file:/t\""),
     .line = 5,
     .want = "write grant = \"service_account\""},
    {.name = "a service account by its key file",
     .text = WITH("provider = \"google\" grant = \"service_account\" "
                  "service_account_key = \"file:/k.json\""),
     .want = "    service_account_key = \"file:/k.json\"\n"},
    {.name = "a service account by address and key",
     .text = WITH("provider = \"google\" grant = \"service_account\" "
                  "client_id = \"r@p.example\" private_key = \"file:/k\""),
     .want = "    client_id = \"r@p.example\"\n"},
    {.name = "a service account without a key",
     .text = WITH("provider = \"google\" grant = \"service_account\" "
                  "client_id = \"r@p.example\""),
     .line = 5,
     .want = "the service account's key is missing"},
    {.name = "a service account with two keys",
     .text = WITH("provider = \"google\" grant = \"service_account\" "
                  "service_account_key = \"file:/k\" private_key = "
                  "\"file:/k\""),
     .line = 5,
     .want = "service_account_key says client_id and private_key already"},
    {.name = "a service account at Microsoft",
     .text = WITH(GOOD "grant = \"service_account\" "
                       "service_account_key = \"file:/k\""),
     .line = 5,
     .want = "write provider = \"google\", or another grant"},
    {.name = "a custom provider that publishes its endpoints",
     .text = WITH("provider = \"custom\" client_id = \"i\" "
                  "issuer = \"https://id.example\" "
                  "grant = \"authorization_code\""),
     .want = "    issuer = \"https://id.example\"\n"},
    {.name = "an issuer with a query",
     .text = WITH("issuer = \"https://id.example/?x\""),
     .line = 4,
     .want = "issuer must be the provider's name for itself"},
    {.name = "an issuer without TLS",
     .text = WITH("issuer = \"http://id.example/\""),
     .line = 4,
     .want = "issuer must be the provider's name for itself"},
    {.name = "an issuer of a provider that is known",
     .text = WITH(GOOD SECRET "issuer = \"https://id.example\""),
     .line = 5,
     .want = "issuer is for provider \"custom\""},
    {.name = "a custom provider where people sign in nowhere",
     .text = WITH("provider = \"custom\" client_id = \"i\" "
                  "token_url = \"https://id.example/t\" "
                  "grant = \"authorization_code\""),
     .line = 5,
     .want = "authorize_url is missing, where people sign in"},
    {.name = "a custom provider that gives no device codes",
     .text = WITH("provider = \"custom\" client_id = \"i\" "
                  "token_url = \"https://id.example/t\" "
                  "grant = \"device_code\""),
     .line = 5,
     .want = "device_url is missing, where device codes are given"},
    {.name = "all endpoints of a custom provider",
     .text = WITH("provider = \"custom\" client_id = \"i\" "
                  "token_url = \"https://id.example/t\" "
                  "authorize_url = \"https://id.example/a\" "
                  "device_url = \"https://id.example/d\" "
                  "grant = \"device_code\""),
     .want = "    token_url = \"https://id.example/t\"\n"
             "    authorize_url = \"https://id.example/a\"\n"
             "    device_url = \"https://id.example/d\"\n"},
    {.name = "where people sign in, when none does",
     .text = WITH(GOOD SECRET "authorize_url = \"https://id.example/a\""),
     .line = 5,
     .want = "authorize_url means nothing with grant"},
    {.name = "a port that is none",
     .text = WITH("redirect_port = 65536"),
     .line = 4,
     .want = "redirect_port must be a number from 0 to 65535"},
    {.name = "custom without a URL",
     .text = WITH("provider = \"custom\" client_id = \"i\" " SECRET),
     .line = 5,
     .want = "token_url is missing, which provider \"custom\" needs"},
    {.name = "neither a secret nor a certificate",
     .text = WITH(GOOD),
     .line = 5,
     .want = "no way to prove who it is; write client_secret = "},
    {.name = "an empty list of secrets",
     .text = WITH(GOOD "client_secret = {}"),
     .line = 5,
     .want = "no way to prove who it is; write client_secret = "},
    {.name = "a key without its certificate",
     .text = WITH(GOOD "private_key = \"file:/k\""),
     .line = 5,
     .want = "private_key needs its certificate; write certificate = "},
    {.name = "a key without its certificate beside a secret",
     .text = WITH(GOOD SECRET "private_key = \"file:/k\""),
     .line = 5,
     .want = "private_key needs its certificate; write certificate = "},
    {.name = "a certificate alone",
     .text = WITH(GOOD "certificate = \"file:/c\""),
     .want = "    certificate = \"file:/c\"\n"},
    {.name = "a title that is no name",
     .text = BASE "credential \"d e\" {}",
     .line = 3,
     .want = "its title must be a short name"},
    {.name = "credential is missing",
     .text = BASE "mailbox \"b@example.com\" { }",
     .line = 3,
     .want = "section mailbox \"b@example.com\" (ends here): credential is "
             "missing; write credential = "},
    {.name = "a mailbox that is no address",
     .text = BASE "mailbox \"example.com\" { credential = \"c\" }",
     .line = 3,
     .want = "its title must be an address"},
    {.name = "send_as where everybody is a mailbox",
     .text = BASE
     "mailbox \"@b.example\" { credential = \"c\" send_as = \"a@b.c\" }",
     .line = 3,
     .want = "send_as means nothing here"},
    {.name = "send_as_file where everybody is a mailbox",
     .text = BASE
     "mailbox \"@b.example\" { credential = \"c\" send_as_file = \"/x\" }",
     .line = 3,
     .want = "send_as means nothing here"},
    {.name = "mailboxes with send_as",
     .text = CREDENTIAL
     "mailbox \"@b.example\" { credential = c }\n"
     "mailbox \"b@c.example\" { send_as = {\"x@c.example\",\n"
     "\"@y.example\"} credential = \"c\" send_as_file = \"/x\" }",
     .want = "mailbox \"@b.example\" {\n"
             "    credential = \"c\"\n"
             "}\n"
             "mailbox \"b@c.example\" {\n"
             "    credential = \"c\"\n"
             "    send_as = {\"x@c.example\", \"@y.example\"}\n"
             "    send_as_file = \"/x\"\n"
             "}\n"},
    {.name = "relays, in one spelling",
     .text = BASE "relay \"[SMTP.Office365.com]:587\" { }\n"
                  "relay \"hve\" { min_token_lifetime = 600 }",
     .want = "relay \"smtp.office365.com\" {\n"
             "    min_token_lifetime = 300\n"
             "}\n"
             "relay \"hve\" {\n"
             "    min_token_lifetime = 600\n"
             "}\n"},
    {.name = "a relay that is no server's name",
     .text = BASE "relay \"https://h\" {}",
     .line = 3,
     .want = "its title must be a server's name"},
    {.name = "defaults of the milter",
     .text = MILTER(""),
     .want = "milter {\n"
             "    socket = "
             "\"unix:/var/spool/postfix/run/sendas/sendas.sock\"\n"
             "    socket_mode = \"0660\"\n"
             "    socket_group = \"postfix\"\n"
             "    default_mailbox = \"relay@example.com\"\n"
             "    not_permitted = \"rewrite\"\n"
             "    reply_to = \"always\"\n"
             "    null_sender = \"keep\"\n"
             "    name_template = \"\"\n"
             "    name_template_for = \"nameless\"\n"
             "    dkim = \"strip\"\n"
             "    hop_limit = 30\n"
             "}\n"},
    {.name = "a name_template with what stands for nothing",
     .text = MILTER("name_template = \"%n of %x\""),
     .line = 4,
     .want = "name_template must have after each % one of n (name)"},
    {.name = "a hop_limit that lets nothing through",
     .text = MILTER("hop_limit = 0"),
     .line = 4,
     .want = "hop_limit must be a number from 1 to 1000"},
    {.name = "everything of the milter",
     .text = BASE "milter { socket = \"fd:3\" socket_mode = 0600 "
                  "socket_group = \"\" not_permitted = \"reject\" "
                  "reply_to = never null_sender = \"discard\"\n"
                  "name_template = \"%n (%d) 100%%\" "
                  "name_template_for = all dkim = rename hop_limit = 9 "
                  "deliverable = {\"@a.example\", \"b@c.example\"}\n"
                  "exempt { recipient = \"@local.example\" }\n"
                  "exempt { client = \"10.1.0.0/16\" recipient = \"a@b.c\" }\n"
                  "route { client = \"2001:db8::/32\" login = \"scan ner\" "
                  "sender = \"@s.example\" from = \"@f.example\" "
                  "recipient = \"r@r.example\" "
                  "mailbox = \"RELAY@example.com\" } }",
     .want = "milter {\n"
             "    socket = \"fd:3\"\n"
             "    socket_mode = \"0600\"\n"
             "    socket_group = \"\"\n"
             "    not_permitted = \"reject\"\n"
             "    reply_to = \"never\"\n"
             "    deliverable = {\"@a.example\", \"b@c.example\"}\n"
             "    null_sender = \"discard\"\n"
             "    name_template = \"%n (%d) 100%%\"\n"
             "    name_template_for = \"all\"\n"
             "    dkim = \"rename\"\n"
             "    hop_limit = 9\n"
             "    exempt {\n"
             "        recipient = \"@local.example\"\n"
             "    }\n"
             "    exempt {\n"
             "        client = \"10.1.0.0/16\"\n"
             "        recipient = \"a@b.c\"\n"
             "    }\n"
             "    route {\n"
             "        client = \"2001:db8::/32\"\n"
             "        login = \"scan ner\"\n"
             "        sender = \"@s.example\"\n"
             "        from = \"@f.example\"\n"
             "        recipient = \"r@r.example\"\n"
             "        mailbox = \"relay@example.com\"\n"
             "    }\n"
             "}\n"},
    {.name = "lists and pools of the milter",
     .text = BASE
     "mailbox \"b@example.com\" { credential = c }\n"
     "mailbox \"@.example.com\" { credential = c }\n"
     "milter { default_mailbox = {\"b@EXAMPLE.com\", \"relay@example.com\"}\n"
     "exempt { client = {\"10.1.0.0/16\", \"::1\"} daemon = \"IN\"\n"
     "  recipient = {\"@local.example\", \"@.local.example\"} }\n"
     "route { daemon = {\"SUB MIT\", \"scan\"} login = {\"a\", \"b\"}\n"
     "  sender = {\"@a.example\", \"@b.example\"} from = {\"@.x\"}\n"
     "  mailbox = {\"relay@example.com\", \"b@example.com\"} } }",
     .want = "    exempt {\n"
             "        client = {\"10.1.0.0/16\", \"::1/128\"}\n"
             "        daemon = \"IN\"\n"
             "        recipient = {\"@local.example\", \"@.local.example\"}\n"
             "    }\n"
             "    route {\n"
             "        daemon = {\"SUB MIT\", \"scan\"}\n"
             "        login = {\"a\", \"b\"}\n"
             "        sender = {\"@a.example\", \"@b.example\"}\n"
             "        from = \"@.x\"\n"
             "        mailbox = {\"relay@example.com\", \"b@example.com\"}\n"
             "    }\n"
             "}\n"},
    {.name = "a pool of default mailboxes",
     .text = BASE
     "mailbox \"b@example.com\" { credential = c }\n"
     "milter { default_mailbox = {\"b@EXAMPLE.com\", \"relay@example.com\"} }",
     .want =
         "    default_mailbox = {\"b@example.com\", \"relay@example.com\"}\n"},
    {.name = "a criterion that is an empty list",
     .text = MILTER("exempt { client = {} recipient = \"@x.example\" }"),
     .line = 4,
     .want = "client is empty; name something or remove it"},
    {.name = "a pool with one mailbox twice",
     .text = BASE "milter { default_mailbox = {\"relay@example.com\",\n"
                  "\"Relay@example.com\"}\n}",
     .line = 5,
     .want = "default_mailbox (ends here): \"Relay@example.com\" is there "
             "twice; remove one"},
    {.name = "a default mailbox that is not ASCII",
     .text =
         CREDENTIAL "mailbox \"b\xc3\xbcro@b.example\" { credential = c }\n"
                    "milter { default_mailbox = \"b\xc3\xbcro@b.example\" }",
     .line = 3,
     .want = "default_mailbox (ends here): \"b\xc3\xbcro@b.example\" is not "
             "ASCII, which From of most mail may not be (RFC 6532); name a "
             "mailbox with an ASCII address"},
    {.name = "a route's pool with a mailbox that is not ASCII",
     .text = BASE "mailbox \"b\xc3\xbcro@b.example\" { credential = c }\n"
                  "milter { default_mailbox = \"relay@example.com\"\n"
                  "route { from = \"@x.example\" mailbox = "
                  "{\"relay@example.com\",\"b\xc3\xbcro@b.example\"} } }",
     .line = 5,
     .want = "section route (ends here): \"b\xc3\xbcro@b.example\" is not"},
    {.name = "a pool with a mailbox that is not there",
     .text = MILTER("route { from = \"@x.example\" mailbox = "
                    "{\"relay@example.com\",\n\"a@b.c\"} }"),
     .line = 5,
     .want =
         "section route (ends here): there is no section mailbox \"a@b.c\""},
    {.name = "an empty pool",
     .text = BASE "milter { default_mailbox = {} }",
     .line = 3,
     .want = "default_mailbox is missing; write default_mailbox = "},
    {.name = "default_mailbox is missing",
     .text = BASE "milter {\n}",
     .line = 4,
     .want = "default_mailbox is missing; write default_mailbox = "},
    {.name = "default_mailbox is missing in an audit",
     .text = BASE "milter { not_permitted = \"audit\" }",
     .line = 3,
     .want = "default_mailbox is missing; write default_mailbox = "},
    {.name = "default_mailbox is missing where bounces are sent",
     .text = BASE "milter { not_permitted = \"reject\" }",
     .line = 3,
     .want = "or both not_permitted = \"reject\" and null_sender = "},
    {.name = "default_mailbox is missing where only bounces are thrown away",
     .text = BASE "milter { null_sender = \"discard\" }",
     .line = 3,
     .want = "default_mailbox is missing; write default_mailbox = "},
    {.name = "default_mailbox is a domain",
     .text = CREDENTIAL "mailbox \"@b.example\" { credential = \"c\" }\n"
                        "milter { default_mailbox = \"@b.example\" }",
     .line = 3,
     .want = "default_mailbox must be an address"},
    {.name = "default_mailbox is no section, though its domain is",
     .text = CREDENTIAL "mailbox \"@b.example\" { credential = \"c\" }\n"
                        "milter {\ndefault_mailbox = \"a@b.example\" }",
     .line = 4,
     .want = "default_mailbox (ends here): there is no section mailbox "
             "\"a@b.example\"; write one or correct the address"},
    {.name = "an exempt for nothing",
     .text = MILTER("exempt { }"),
     .line = 4,
     .want = "section exempt (ends here): it says for which messages nowhere"},
    {.name = "a route for nothing",
     .text = MILTER("route { mailbox = \"relay@example.com\" }"),
     .line = 4,
     .want = "section route (ends here): it says for which messages nowhere"},
    {.name = "a route to nowhere",
     .text = MILTER("route { from = \"@x.example\" }"),
     .line = 4,
     .want = "mailbox is missing; write mailbox = "},
    {.name = "a route to a mailbox that is not there",
     .text = MILTER("\nroute { from = \"@x.example\" mailbox = \"a@b.c\" }"),
     .line = 5,
     .want =
         "section route (ends here): there is no section mailbox \"a@b.c\""},
    {.name = "a network with bits behind it",
     .text = MILTER("exempt { client = \"10.1.0.1/16\" }"),
     .line = 4,
     .want = "client must be a network"},
    {.name = "everything of tokend",
     .text = TOKEND("socket = \"/a\" control = \"/b\" allow = {\"root\", "
                    "\"group:root\"}\n access \"/a\" { allow = {\"root\"} } "
                    "control_allow = {} control_read = {\"group:root\"} "
                    "operator \"group:root\" { verbs = {\"audit\", "
                    "\"token\"} } operator \"root\" { verbs = {\"status\"} } "
                    "refetch_interval = 1 "
                    "login_password = \"unix:run/x\" state = \"/s/d\" "
                    "seal_key = \"credential:seal\" "
                    "metrics = \"[::1]:9717\" "
                    "on_event = \"exec:/bin/true -x\""),
     .want = "tokend {\n"
             "    socket = {\"/a\"}\n"
             "    control = \"/b\"\n"
             "    allow = {\"root\", \"group:root\"}\n"
             "    access \"/a\" {\n"
             "        allow = {\"root\"}\n"
             "    }\n"
             "    control_allow = {}\n"
             "    control_read = {\"group:root\"}\n"
             "    operator \"group:root\" {\n"
             "        verbs = {\"token\", \"audit\"}\n"
             "    }\n"
             "    operator \"root\" {\n"
             "        verbs = {\"status\"}\n"
             "    }\n"
             "    refetch_interval = 1\n"
             "    login_password = \"unix:run/x\"\n"
             "    state = \"/s/d\"\n"
             "    seal_key = \"credential:seal\"\n"
             "    metrics = \"[::1]:9717\"\n"
             "    on_event = \"exec:/bin/true -x\"\n"
             "}\n"},
    {.name = "access to a socket that is not there",
     .text = TOKEND("access \"/x\" { allow = {\"root\"} }"),
     .line = 5,
     .want = "the title of access must be a path that socket lists"},
    {.name = "access to one socket twice",
     .text = TOKEND("socket = {\"/x\"} access \"/x\" { } access \"/x\" { }"),
     .line = 5,
     .want = "access is there twice for one path"},
    {.name = "access without a path",
     .text = TOKEND("access { }"),
     .line = 4,
     .want = "access"},
    {.name = "an operator of a verb that there is not",
     .text = TOKEND("operator \"root\" {\n verbs = {\"status\", \"all\"} }"),
     .line = 5,
     .want =
         "verbs must be \"status\", \"token\", \"refresh\", \"invalidate\", "
         "\"login\", \"logout\", \"rotate\", \"audit\", \"export\", "
         "\"import\" or \"reload\""},
    {.name = "an operator who may do nothing",
     .text = TOKEND("operator \"root\" { }"),
     .line = 4,
     .want = "verbs is empty; write verbs = {\"status\", "},
    {.name = "an operator of no name",
     .text = TOKEND("operator { verbs = {\"status\"} }"),
     .line = 4,
     .want = "operator"},
    {.name = "an operator who is no account",
     .text = TOKEND("operator \"a b\" { verbs = {\"status\"} }"),
     .line = 4,
     .want = "its title must be a user's name or \"group:NAME\""},
    {.name = "an operator twice",
     .text = TOKEND("operator \"root\" { verbs = {\"status\"} }\n"
                    "operator \"root\" { verbs = {\"audit\"} }"),
     .line = 5,
     .want = "operator is there twice for one name"},
    {.name = "an operator who is a user, and a group of that name",
     .text = TOKEND("operator \"root\" { verbs = {\"status\"} }\n"
                    "operator \"group:root\" { verbs = {\"audit\"} }"),
     .want = "    operator \"root\" {\n        verbs = {\"status\"}\n    }\n"
             "    operator \"group:root\" {\n        verbs = {\"audit\"}\n"},
    {.name = "a mailbox of some users only",
     .text = BASE "mailbox \"x@y.example\" { credential = \"c\" allow = "
                  "{\"root\", \"group:root\"} }",
     .want = "    allow = {\"root\", \"group:root\"}\n"},
    {.name = "a mailbox of no account",
     .text = BASE "mailbox \"x@y.example\" { allow = {\"a b\"} }",
     .line = 3,
     .want = "allow must be"},
    {.name = "a status page for the whole network",
     .text = TOKEND("metrics = \"0.0.0.0:9717\""),
     .line = 4,
     .want = "metrics must be a loopback address such as"},
    {.name = "a status page on a path of its own",
     .text = TOKEND("metrics = \"unix:/run/status.sock\""),
     .want = "    metrics = \"unix:/run/status.sock\"\n"},
    {.name = "a status page on the control socket's path",
     .text = TOKEND("control = \"/c\" metrics = \"unix:/c\""),
     .line = 5,
     .want = "metrics must have a path of its own"},
    {.name = "a status page on a lookup socket's path",
     .text = TOKEND("socket = {\"/a\", \"/b\"} metrics = \"unix:/b\""),
     .line = 5,
     .want = "metrics must have a path of its own"},
    {.name = "a status page of the milter",
     .text = MILTER("metrics = \"127.0.0.1:9718\""),
     .want = "    metrics = \"127.0.0.1:9718\"\n"},
    {.name = "a status page of the milter for the whole network",
     .text = MILTER("metrics = \"[::]:9718\""),
     .line = 4,
     .want = "metrics must be a loopback address such as"},
    {.name = "a status page on the milter's own path",
     .text = MILTER("socket = \"unix:/a\" metrics = \"unix:/a\""),
     .line = 5,
     .want = "metrics must have a path of its own, not that of socket"},
    {.name = "a hook that is no command",
     .text = TOKEND("on_event = \"file:/bin/true\""),
     .line = 4,
     .want = "on_event must be a command by its absolute path"},
    {.name = "state is a relative path",
     .text = TOKEND("state = \"state.db\""),
     .line = 4,
     .want = "state must be"},
    {.name = "no state at all",
     .text = TOKEND("state = \"\""),
     .line = 4,
     .want = "state must be"},
    {.name = "the key itself",
     .text = TOKEND("seal_key = \"00112233445566778899aabbccddeeff\""),
     .line = 4,
     .want = "seal_key must be a reference such as \"file:"},
    {.name = "nobody else may ask",
     .text = TOKEND("allow = {}"),
     .want = "    allow = {}\n"},
    {.name = "no socket",
     .text = TOKEND("socket = {}"),
     .line = 5,
     .want = "section tokend (ends here): socket is empty"},
    {.name = "a socket twice",
     .text = TOKEND("socket = {\"/a\", \"/b\", \"/a\"}"),
     .line = 5,
     .want = "socket has the same path twice"},
    {.name = "one path for both kinds of socket",
     .text = TOKEND("socket = {\"/a\"} control = \"/a\""),
     .line = 5,
     .want = "control must have a path of its own"},
    {.name = "refetch_interval is zero",
     .text = TOKEND("refetch_interval = 0"),
     .line = 4,
     .want = "refetch_interval must be a number from 1 to 3600"},
    {.name = "min_token_lifetime is too large",
     .text = BASE "relay \"h\" { min_token_lifetime = 3601 }",
     .line = 3,
     .want = "min_token_lifetime must be a number from 0 to 3600"},

    /* ---- secrets ---- */
    {.name = "a secret itself",
     .text = WITH("client_secret = \"hunter2\""),
     .line = 4,
     .want = "client_secret must be a reference such as \"file:"},
    {.name = "a secret itself, second in the list",
     .text = WITH("client_secret = {\"file:/x\",\n \"hunter2\"}"),
     .line = 5,
     .want = "client_secret must be a reference such as \"file:"},
    {.name = "a secret itself without quotes",
     .text = WITH("client_secret = hunter2"),
     .line = 4,
     .want = "client_secret must be a reference such as \"file:"},
    {.name = "a secret itself with an odd sign",
     .text = WITH("client_secret = hunter2~x"),
     .line = 4,
     .want = "means nothing here"},
    {.name = "a secret after a forgotten =",
     .text = WITH("client_secret \"hunter2\""),
     .line = 5,
     .want = "followed by {"},
    {.name = "a secret for a title",
     .text = WITH("client_secret \"hunter2\" { }"),
     .line = 4,
     .want = "client_secret is an option: write NAME = VALUE"},
    {.name = "a secret beside another value",
     .text = WITH("client_secret = {\"file:/x\"} \"hunter2\""),
     .line = 4,
     .want = "an option's name"},
    {.name = "a key itself",
     .text = WITH("private_key = \"-----BEGIN hunter2\""),
     .line = 4,
     .want = "private_key must be a reference"},
    {.name = "a password for login_password",
     .text = TOKEND("login_password = \"hunter2\""),
     .line = 4,
     .want = "login_password must be empty or say where"},
    {.name = "a password in a URL",
     .text = WITH("token_url = \"https://u:hunter2@h/\""),
     .line = 4,
     .want = "token_url must be a URL"},
    {.name = "a password for a proxy",
     .text = WITH("proxy = \"http://u:hunter2@h:1\""),
     .line = 4,
     .want = "proxy must be \"http://HOST:PORT\""},
    {.name = "a relative file",
     .text = WITH("client_secret = \"file:secret\""),
     .line = 4,
     .want = "client_secret must name its file by an absolute path"},

    /* ---- the table ---- */
    {.name = "an unknown option",
     .text = BASE "tokend {\n sockets = {\"/x\"} }",
     .line = 4,
     .want = "unknown option sockets; what may stand here: socket, control, "
             "allow, access, control_allow, "},
    {.name = "an unknown section",
     .text = "\nproxy { }\n" BASE,
     .line = 2,
     .want = "unknown option proxy; what may stand here: credential, mailbox, "
             "relay, milter, tokend, include"},
    {.name = "an option in the wrong section",
     .text = BASE "tokend { exempt { } }",
     .line = 3,
     .want = "unknown option exempt"},
    {.name = "an option outside of all sections",
     .text = BASE "tenant = \"x\"",
     .line = 3,
     .want = "unknown option tenant"},
    {.name = "an include in a section",
     .text = BASE "tokend { include(\"x\") }",
     .line = 3,
     .want = "unknown option include"},
    {.name = "the row that is no option",
     .text = BASE "\"\" = \"x\"",
     .line = 3,
     .want = "an option's name"},
    {.name = "a list for one value",
     .text = TOKEND("control = {\"/a\"}"),
     .line = 4,
     .want = "takes one value"},
    {.name = "an option as a section",
     .text = TOKEND("control { }"),
     .line = 4,
     .want = "control is an option: write NAME = VALUE"},
    {.name = "a section as an option",
     .text = BASE "tokend = \"x\"",
     .line = 3,
     .want = "tokend is a section without a title"},
    {.name = "a section with a title as an option",
     .text = BASE "mailbox = \"x\"",
     .line = 3,
     .want = "mailbox is a section with a title"},
    {.name = "a title missing",
     .text = BASE "mailbox { }",
     .line = 3,
     .want = "mailbox is a section with a title"},
    {.name = "a title too many",
     .text = BASE "tokend \"x\" { }",
     .line = 3,
     .want = "tokend is a section without a title"},
    {.name = "include as an option",
     .text = BASE "include = \"x\"",
     .line = 3,
     .want = "include is written include(\"FILE\")"},
    {.name = "a section as a call",
     .text = BASE "tokend(\"x\")",
     .line = 3,
     .want = "tokend is a section without a title"},
    {.name = "a word that is not in the list",
     .text = WITH("provider = \"office365\""),
     .line = 4,
     .want = "provider must be \"microsoft\", \"microsoft-gcc-high\", "
             "\"microsoft-dod\", \"microsoft-china\", \"google\" or "
             "\"custom\""},
    {.name = "a grant that is not there",
     .text = WITH("grant = \"password\""),
     .line = 4,
     .want = "grant must be \"client_credentials\""},

    /* ---- twice, and who is meant ---- */
    {.name = "an option twice",
     .text = TOKEND("control = \"/a\"\n\n control = \"/a\""),
     .line = 6,
     .want = "control is already set in line 4; keep one of the two"},
    {.name = "a list twice",
     .text = TOKEND("allow = {\"root\"}\n allow = {}"),
     .line = 5,
     .want = "allow is already set in line 4"},
    {.name = "two credentials of one name",
     .text = BASE CREDENTIAL,
     .line = 3,
     .want = "section credential \"c\" (ends here): there is one of this title "
             "already, which ends at "},
    {.name = "two mailboxes of one title, in another case",
     .text = BASE "\nmailbox \"Relay@EXAMPLE.com\" { credential = \"c\" }",
     .line = 4,
     .want = "/relay.conf:2; put them together"},
    {.name = "two relays of one name, in another spelling",
     .text = BASE "relay \"h\" { }\nrelay \"[H]:25\" { }",
     .line = 4,
     .want = "section relay \"h\" (ends here): there is one of this title "},
    {.name = "two milters",
     .text = MILTER("") "milter { }",
     .line = 6,
     .want = "section milter (ends here): there is such a section already"},
    {.name = "two tokends",
     .text = TOKEND("") "tokend { }",
     .line = 6,
     .want = "section tokend (ends here): there is such a section already"},
    {.name = "a credential that is not there",
     .text = BASE "mailbox \"b@example.com\" {\n credential = \"contosoo\" }",
     .line = 4,
     .want =
         "there is no section credential \"contosoo\"; write one or correct "
         "the name"},
    {.name = "a credential that comes later",
     .text = "mailbox \"a@b.c\" { credential = \"c\" }\n" CREDENTIAL,
     .want = "mailbox \"a@b.c\" {\n    credential = \"c\"\n}\n"},

    /* ---- the text ---- */
    {.name = "lines after comments keep their number",
     .text = "# a\n// b\n/* c\n * d */ # e\n#### f\n\nx = y\n" BASE,
     .line = 7,
     .want = "unknown option x"},
    {.name = "an unclosed section at the end",
     .text = BASE "\ntokend {\n control = \"/x\"\n",
     .line = 4,
     .want = "this { is never closed; a } is missing"},
    {.name = "an environment variable",
     .text = TOKEND("control = \"${PATH}\""),
     .line = 4,
     .want = "${...} is not replaced"},
    {.name = "a broken string",
     .text = TOKEND("control = \"/x\nallow = {}"),
     .line = 4,
     .want = "this string is not closed on its line"},
    {.name = "lines of another system, with a byte order mark",
     .text = "\xef\xbb\xbf# x\r\ntokend {\r\n control = \"/x\"\r\n}\r\n" BASE,
     .want = "    control = \"/x\"\n"},
    {.name = "quotes and backslashes",
     .text =
         BASE "milter { default_mailbox = \"relay@example.com\" route { "
              "login = 'D\\\\scan \"3\"' mailbox = \"relay@example.com\" } }",
     .want = "        login = \"D\\\\scan \\\"3\\\"\"\n"},
    {.name = "an address beyond ASCII",
     .text = CREDENTIAL
     "mailbox \"j\xc3\xb6rg@m\xc3\xbcnchen.example\" { credential = \"c\" }",
     .want = "mailbox \"j\xc3\xb6rg@m\xc3\xbcnchen.example\" {\n"},

    /* ---- includes ---- */
    {.name = "an included file beside this one",
     .text = BASE "include(\"more.conf\")\n",
     .more = "tokend { control = \"/more\" }",
     .want = "    control = \"/more\"\n"},
    {.name = "an error in an included file has its name and line",
     .text = "\n\ninclude(\"more.conf\")\n" BASE,
     .more = "\n# x\ntokend { x = y }",
     .in = "more.conf",
     .line = 3,
     .want = "unknown option x"},
    {.name = "a bad shape in an included file",
     .text = BASE "include(\"more.conf\")\n",
     .more = "\ntokend {",
     .in = "more.conf",
     .line = 2,
     .want = "this { is never closed"},
    {.name = "bad bytes in an included file",
     .text = BASE "include(\"more.conf\")\n",
     .more = "\n\x01",
     .in = "more.conf",
     .line = 2,
     .want = "byte 0x01"},
    {.name = "a section of an included file that has no credential",
     .text = BASE "include(\"more.conf\")\n",
     .more = "mailbox \"b@example.com\" {\ncredential = \"x\" }",
     .in = "more.conf",
     .line = 2,
     .want = "there is no section credential \"x\""},
    {.name = "two of one title in two files",
     .text = BASE "include(\"more.conf\")\n",
     .more = "\n\nmailbox \"relay@example.com\" { credential = \"c\" }",
     .in = "more.conf",
     .line = 3,
     .want = "/relay.conf:2; put them together"},
    {.name = "a milter in an included file, with a route to nowhere",
     .text = BASE "include(\"more.conf\")\n",
     .more = "\nmilter { default_mailbox = \"relay@example.com\"\n"
             "route { login = \"x\" mailbox = \"a@b.c\" } }",
     .in = "more.conf",
     .line = 3,
     .want = "there is no section mailbox \"a@b.c\""},
    {.name = "an error after an include has the right file and line",
     .text = BASE "include(\"more.conf\")\n\nx = y\n",
     .more = "# 1\n# 2\n# 3\n# 4\n",
     .line = 5,
     .want = "unknown option x"},
    {.name = "an empty included file",
     .text = BASE "include(\"more.conf\")\n",
     .more = "",
     .want = "mailbox "},
    {.name = "an include of nothing",
     .text = BASE "include(\"\")\n",
     .line = 3,
     .want = "include names no file"},
    {.name = "an included file that is not there",
     .text = BASE "\ninclude(\"none.conf\")\n",
     .line = 4,
     .want = "none.conf: No such file"},
    {.name = "an included directory",
     .text = BASE "include(\".\")\n",
     .line = 3,
     .want = "it is not a regular file"},
    {.name = "a file that includes itself",
     .text = BASE "include(\"more.conf\")\n",
     .more = "\ninclude(\"more.conf\")",
     .in = "more.conf",
     .line = 2,
     .want = "does a file include itself?"},
};

/* ---- helpers ---- */

static char *
print(const struct config *config)
{
    struct buf out;
    char *text;

    buf_init(&out, PRINT_MAX);
    config_print(config, &out);
    assert_false(buf_failed(&out));
    text = strdup(buf_str(&out));
    assert_non_null(text);
    buf_clear(&out);
    return text;
}

static struct config *
load_good(const char *name)
{
    struct err err = {ERR_NONE, ""};
    struct config *config = config_load(scratch_path(name), &err);

    assert_string_equal(err.text, "");
    assert_int_equal(err.code, ERR_NONE);
    assert_non_null(config);
    return config;
}

/* What is printed is read as the same. */
static void
check_round_trip(const struct config *config)
{
    char *first = print(config);
    struct config *again;
    char *second;

    scratch_write_text("again.conf", first);
    again = load_good("again.conf");
    second = print(again);
    assert_string_equal(first, second);
    assert_int_equal(config->milter.is_present, again->milter.is_present);
    free(first);
    free(second);
    config_unref(&again);
}

static void
check_good(const struct row *row)
{
    struct config *config = load_good("relay.conf");
    char *text = print(config);

    if (strstr(text, row->want) == NULL)
        fail_msg("not printed:\n%s\nbut:\n%s", row->want, text);
    free(text);
    check_round_trip(config);
    config_unref(&config);
    assert_null(config);
}

static void
check_bad(const struct row *row)
{
    struct err err = {ERR_NONE, ""};
    char place[1100];

    assert_null(config_load(scratch_path("relay.conf"), &err));
    assert_int_equal(err.code, ERR_CONFIG);
    (void)snprintf(place, sizeof(place), "%s:%u: ",
                   scratch_path(row->in != NULL ? row->in : "relay.conf"),
                   row->line);
    if (strstr(err.text, place) != err.text ||
        strstr(err.text, row->want) == NULL)
        fail_msg("\"%s\" where \"%s... %s\" is wanted", err.text, place,
                 row->want);
    assert_null(strstr(err.text, "hunter2"));
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct config *config;

    scratch_write_text("relay.conf", row->text);
    scratch_write_text("more.conf", row->more != NULL ? row->more : "");
    if (row->line == 0)
        check_good(row);
    else
        check_bad(row);

    scratch_write_text("good.conf", MILTER("") "tokend { control = \"/x\" }");
    config = load_good("good.conf");
    assert_string_equal(config->tokend.control, "/x");
    config_unref(&config);
}

/* ---- what rows can't say ---- */

static void
the_structs_hold_what_the_file_says(void **state)
{
    struct config *config;
    const struct config_credential *credential;

    (void)state;
    scratch_write_text(
        "relay.conf", CREDENTIAL
        "credential \"d\" { provider = \"google\" client_id = \"i\"\n"
        "client_secret = {\"file:/a\", \"credential:b\", \"exec:/c d\"}\n"
        "certificate = \"file:/e\" assertion_algorithm = \"RS256\" }\n"
        "mailbox \"Relay@example.com\" { credential = \"d\" }\n"
        "milter { default_mailbox = \"relay@EXAMPLE.com\" "
        "socket_mode = \"0606\" reply_to = \"deliverable\"\n"
        "exempt { client = \"10.1.0.0/16\" }\n"
        "route { client = \"::1\" mailbox = \"relay@example.com\" } }\n"
        "tokend { allow = {\"group:root\", \"no-such-account\"} }\n");
    config = load_good("relay.conf");
    assert_string_equal(config->path, scratch_path("relay.conf"));
    assert_int_equal(config->file_count, 1);
    assert_int_equal(config->credential_count, 2);
    credential = &config->credentials[1];
    assert_int_equal(credential->line, 4);
    assert_string_equal(credential->file, scratch_path("relay.conf"));
    assert_int_equal(credential->provider, CONFIG_PROVIDER_GOOGLE);
    assert_int_equal(credential->client_secret_count, 3);
    assert_int_equal(credential->client_secrets[0].kind, CONFIG_REF_FILE);
    assert_string_equal(credential->client_secrets[0].value, "/a");
    assert_int_equal(credential->client_secrets[1].kind, CONFIG_REF_CREDENTIAL);
    assert_string_equal(credential->client_secrets[1].value, "b");
    assert_int_equal(credential->client_secrets[2].kind, CONFIG_REF_EXEC);
    assert_string_equal(credential->client_secrets[2].value, "/c d");
    assert_string_equal(credential->client_secrets[2].written, "exec:/c d");
    assert_string_equal(credential->client_secrets[2].text, "exec:/c");
    assert_int_equal(credential->certificate.kind, CONFIG_REF_FILE);
    assert_int_equal(credential->private_key.kind, CONFIG_REF_NONE);
    assert_int_equal(credential->assertion_algorithm, CONFIG_ASSERTION_RS256);
    assert_null(credential->token_url);
    assert_ptr_equal(config->mailboxes[0].credential, credential);
    assert_true(config->milter.is_present);
    assert_int_equal(config->milter.socket_mode, 0606);
    assert_int_equal(config->milter.reply_to, CONFIG_REPLY_TO_DELIVERABLE);
    assert_string_equal(config->milter.default_mailbox, "Relay@example.com");
    assert_ptr_equal(config->milter.default_mailbox,
                     config->mailboxes[0].title);
    assert_ptr_equal(config->milter.file, config->files[0]);
    assert_int_equal(config->milter.line, 8);
    assert_int_equal(config->milter.exempts[0].criteria.client_count, 1);
    assert_int_equal(config->milter.exempts[0].criteria.clients[0].prefix, 112);
    assert_int_equal(config->milter.exempts[0].line, 7);
    assert_int_equal(config->milter.routes[0].line, 8);
    assert_int_equal(config->milter.routes[0].pool.count, 1);
    assert_ptr_equal(config->milter.routes[0].pool.mailboxes[0],
                     config->mailboxes[0].title);
    assert_true(config->tokend.allow.peers[0].is_group);
    assert_true(config->tokend.allow.peers[0].is_known);
    assert_int_equal(config->tokend.allow.peers[0].id, 0);
    assert_false(config->tokend.allow.peers[1].is_known);
    config_unref(&config);
}

static void
without_a_milter_section_there_are_its_defaults(void **state)
{
    struct config *config;

    (void)state;
    scratch_write_text("relay.conf", BASE);
    config = load_good("relay.conf");
    assert_false(config->milter.is_present);
    assert_string_equal(config->milter.socket_group, "postfix");
    assert_null(config->milter.default_mailbox);
    assert_int_equal(config->tokend.socket_count, 2);
    config_unref(&config);
}

static void
a_reference_keeps_it_alive(void **state)
{
    struct config *config;
    struct config *other;

    (void)state;
    scratch_write_text("relay.conf", BASE);
    config = load_good("relay.conf");
    other = config_ref(config);
    assert_ptr_equal(other, config);
    config_unref(&config);
    assert_null(config);
    assert_string_equal(other->mailboxes[0].title, "relay@example.com");
    config_unref(&other);
    config_unref(&other);
}

/* What an administrator copies from must work. */
static void
the_examples_are_good(void **state)
{
    static const char *const examples[] = {
        SOURCE_DIR "/contrib/relay.conf.certificate",
        SOURCE_DIR "/contrib/relay.conf.secret",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        struct err err = {ERR_NONE, ""};
        struct config *config = config_load(examples[i], &err);

        assert_string_equal(err.text, "");
        assert_non_null(config);
        check_round_trip(config);
        config_unref(&config);
    }
}

/* The display of the man page's EXAMPLES, which has everything once. */
static void
the_example_of_the_man_page_is_good(void **state)
{
    struct textfile page = {0};
    struct err err = {ERR_NONE, ""};
    struct config *config;
    char *start;
    char *end;

    (void)state;
    assert_int_equal(textfile_read(SOURCE_DIR "/token-daemon/relay.conf.5",
                                   1u << 20, &page, &err),
                     0);
    start = strstr(page.text, ".Sh EXAMPLES\n");
    assert_non_null(start);
    start = strstr(start, ".Bd -literal\n");
    assert_non_null(start);
    end = strstr(start, ".Ed\n");
    assert_non_null(end);
    *end = '\0';
    scratch_write_text("relay.conf", start + strlen(".Bd -literal\n"));
    config = load_good("relay.conf");
    assert_int_equal(config->credential_count, 3);
    assert_int_equal(config->mailbox_count, 4);
    assert_int_equal(config->milter.route_count, 3);
    check_round_trip(config);
    config_unref(&config);
    textfile_clear(&page);
}

static void
expect_unreadable(const char *path, const char *want)
{
    struct err err = {ERR_NONE, ""};

    assert_null(config_load(path, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_ptr_equal(strstr(err.text, "cannot read "), err.text);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, want));
}

static void
a_file_that_can_not_be_read_is_named(void **state)
{
    (void)state;
    expect_unreadable(scratch_path("none.conf"), "No such file");
    expect_unreadable(scratch_directory(), "not a regular file");
    expect_unreadable("/dev/null", "not a regular file");
}

/* Cut anywhere a file is wrong or still whole, and never more than that. */
static void
every_beginning_of_a_file_is_survived(void **state)
{
    static const char text[] = "# a\n" MILTER(
        "/* b */ route { client = '10.0.0.0/8' mailbox = "
        "\"relay@example.com\" } exempt { client = ::1 }") "relay \"h\\\"\" { "
                                                           "}\ninclude(\"more."
                                                           "conf\")\n";
    struct err err;
    struct config *config;

    (void)state;
    scratch_write_text("more.conf", "tokend { allow = {root, } }\n");
    for (size_t len = 0; len < sizeof(text); len++) {
        scratch_write("relay.conf", text, len, 0644);
        err = (struct err){ERR_NONE, ""};
        config = config_load(scratch_path("relay.conf"), &err);
        if (config == NULL)
            assert_int_equal(err.code, ERR_CONFIG);
        config_unref(&config);
    }
}

static void
ten_megabytes_are_read_to_the_end(void **state)
{
    static const char line[] = "relay \"h\" { min_token_lifetime = 10 } # x\n";
    size_t size = 10u << 20;
    char *text = malloc(size + sizeof(line) + 16);
    struct err err = {ERR_NONE, ""};
    size_t len = 0;

    (void)state;
    assert_non_null(text);
    for (; len < size; len += sizeof(line) - 1)
        memcpy(text + len, line, sizeof(line) - 1);
    memcpy(text + len, "x = y\n", 6);
    scratch_write("relay.conf", text, len + 6, 0644);
    free(text);
    assert_null(config_load(scratch_path("relay.conf"), &err));
    assert_non_null(strstr(err.text, ": unknown option x"));
}

/* As many as are promised; how long it takes is for the benchmark. */
static void
many_mailboxes_and_entries_are_kept(void **state)
{
    struct buf text;
    struct config *config;

    (void)state;
    buf_init(&text, 16u << 20);
    buf_append_str(&text, CREDENTIAL);
    for (int i = 0; i < 10000; i++) {
        buf_append_str(&text, "mailbox \"m");
        buf_append_int(&text, i);
        buf_append_str(&text, "@example.com\" { credential = \"c\" }\n");
    }
    buf_append_str(&text, "mailbox \"a@b.c\" { credential = \"c\" send_as = {");
    for (int i = 0; i < 100000; i++) {
        buf_append_str(&text, "\"s");
        buf_append_int(&text, i);
        buf_append_str(&text, "@example.com\",\n");
    }
    buf_append_str(&text, "} }");
    scratch_write("relay.conf", buf_str(&text), text.len, 0644);
    buf_clear(&text);
    config = load_good("relay.conf");
    assert_int_equal(config->mailbox_count, 10001);
    assert_string_equal(config->mailboxes[9999].title, "m9999@example.com");
    assert_int_equal(config->mailboxes[10000].send_as_count, 100000);
    assert_string_equal(config->mailboxes[10000].send_as[99999],
                        "s99999@example.com");
    check_round_trip(config);
    config_unref(&config);
}

int
main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(the_structs_hold_what_the_file_says),
        cmocka_unit_test(without_a_milter_section_there_are_its_defaults),
        cmocka_unit_test(a_reference_keeps_it_alive),
        cmocka_unit_test(the_examples_are_good),
        cmocka_unit_test(the_example_of_the_man_page_is_good),
        cmocka_unit_test(a_file_that_can_not_be_read_is_named),
        cmocka_unit_test(every_beginning_of_a_file_is_survived),
        cmocka_unit_test(ten_megabytes_are_read_to_the_end),
        cmocka_unit_test(many_mailboxes_and_entries_are_kept),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    memcpy(tests + ARRAY_LEN(rows), others, sizeof(others));
    return cmocka_run_group_tests_name("config", tests, scratch_set_up,
                                       scratch_tear_down);
}
