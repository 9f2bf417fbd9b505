/*
 * One row is one message and what becomes of it. Every row is filtered twice:
 * the second time must change nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "tests/unit/mail.h"

#define RELAY "relay@contoso.com"

struct row {
    const char *name;
    const char *settings; /* of the milter section, beside those below */
    const char *sender;   /* NULL: <scan@inside.example> */
    const char *parameter;
    const char *header;
    const char *want;        /* NULL: the header stays */
    const char *want_sender; /* NULL: RELAY; "=": it stays */
    enum ruling_action action;
    const char *queue_id; /* NULL: none yet, as in SMTP */
    const char *client_port;
};

#define KEPT(sender_in, header_in)                                    \
    .sender = (sender_in), .header = (header_in), .want_sender = "=", \
    .action = RULING_KEPT
#define REWRITTEN .action = RULING_REWRITTEN
/* What Postfix tells of mail that came by no SMTP. */
#define INTERNAL .queue_id = "4bXyz", .client_port = "0"

static struct row rows[] = {
    /* What is permitted stays. */
    {"the mailbox itself",
     KEPT("<" RELAY ">", "From: " RELAY "\nSubject: x\n")},
    {"another case", KEPT("<Relay@CONTOSO.com>", "From: RELAY@contoso.COM\n")},
    {"an exact send_as entry",
     KEPT("<alerts@contoso.com>", "From: Alerts <alerts@contoso.com>\n")},
    {"a send_as domain, odd blanks and folds",
     KEPT("<a@printers.contoso.com>",
          "FROM:   \"Scan\"\n\t <a@printers.contoso.com>  (x) \n")},
    {"a blank before the colon goes, as some know no such field",
     .sender = "<" RELAY ">",
     .header = "DKIM-Signature: h=from\nFROM \t:  x  <" RELAY "> (y)\n"
               "Sender : " RELAY "\n",
     .want = "From:  x  <" RELAY "> (y)\n", .want_sender = "=",
     .action = RULING_KEPT},
    {"a mailbox of a whole domain",
     KEPT("<app@apps.contoso.com>", "From: app@apps.contoso.com\n")},
    {"a Reply-To and a Sender that is permitted",
     KEPT("<" RELAY ">", "From: alerts@contoso.com\nSender: " RELAY
                         "\nReply-To: x@y.example\n")},
    {"an old X-Original-From and a signature",
     KEPT("<" RELAY ">", "X-Original-From: x\nDKIM-Signature: h=from; b=\n"
                         "From: " RELAY "\n")},
    {"a bounce whose From the default mailbox may use",
     KEPT("<>", "From: alerts@contoso.com\n")},

    {"blanks within the brackets of a permitted address",
     KEPT("<alerts@contoso.com>", "From: < alerts@contoso.com >\n")},
    {"a comma and an @ in an encoded word",
     KEPT("<alerts@contoso.com>",
          "From: =?utf-8?q?Doe=2C_John_=40_Home?= <alerts@contoso.com>\n")},

    /* The envelope follows. */
    {"an envelope that logs in as another mailbox",
     .sender = "<erp@contoso.com>", .header = "From: " RELAY "\n",
     .action = RULING_KEPT},
    {"an envelope that nobody may use", .header = "From: alerts@contoso.com\n",
     .action = RULING_KEPT},
    {"an envelope of the same domain, but another sender",
     .sender = "<other@apps.contoso.com>",
     .header = "From: app@apps.contoso.com\n",
     .want_sender = "app@apps.contoso.com", .action = RULING_KEPT},
    {"an envelope without brackets", .sender = "alerts@contoso.com",
     .header = "From: " RELAY "\n", .want_sender = "=", .action = RULING_KEPT},
    {"an envelope with a quoted local part", .sender = "<\"a b\"@contoso.com>",
     .header = "From: " RELAY "\n", .action = RULING_KEPT},

    /* From is rewritten; the name stays byte for byte. */
    {"a bare address", .header = "From: scan@inside.example\nTo: x@y\n",
     .want = "From: " RELAY "\nTo: x@y\n"
             "X-Original-From: scan@inside.example\n"
             "Reply-To: scan@inside.example\n",
     REWRITTEN},
    {"a quoted name",
     .header = "From: \"Scan 3rd floor\" <scan@inside.example>\n",
     .want = "From: \"Scan 3rd floor\" <" RELAY ">\n"
             "X-Original-From: \"Scan 3rd floor\" <scan@inside.example>\n"
             "Reply-To: scan@inside.example\n",
     REWRITTEN},
    {"a permitted envelope stays", .sender = "<alerts@contoso.com>",
     .header = "From: scan@inside.example\n",
     .want = "From: " RELAY "\nX-Original-From: scan@inside.example\n"
             "Reply-To: scan@inside.example\n",
     .want_sender = "=", REWRITTEN},
    {"folded, tabs and comments",
     .header = "From:\t\"Scan,\n\t3rd\"\n <s@inside.example>\t(x)\n",
     .want = "From:\t\"Scan,\n\t3rd\"\n <" RELAY ">\t(x)\n"
             "X-Original-From: \"Scan, 3rd\" <s@inside.example> (x)\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    /* A name that is not valid to the letter, in any charset. */
    {"a blank within an encoded word",
     .header = "From: =?windows-1252?q?J=F6hn Doe?= <s@inside.example>\n",
     .want =
         "From: =?utf-8?b?SsO2aG4gRG9l?= <" RELAY ">\n"
         "X-Original-From: =?windows-1252?q?J=F6hn Doe?= <s@inside.example>\n"
         "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"an encoded word without its padding",
     .header = "From: =?koi8-r?b?8tXT08vJyg?= <s@inside.example>\n",
     .want = "From: =?utf-8?b?0KDRg9GB0YHQutC40Lk=?= <" RELAY ">\n"
             "X-Original-From: =?koi8-r?b?8tXT08vJyg?= <s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"an unquoted comma before an encoded word",
     .header = "From: Doe, =?windows-1252?q?J=F6hn?= <s@inside.example>\n",
     .want =
         "From: =?utf-8?q?Doe=2C_J=C3=B6hn?= <" RELAY ">\n"
         "X-Original-From: Doe, =?windows-1252?q?J=F6hn?= <s@inside.example>\n"
         "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a character in two encoded words, and a comma",
     .header = "From: =?gb2312?b?tA==?= =?gb2312?b?8tOhu/o=?=, x "
               "<s@inside.example>\n",
     .want = "From: =?utf-8?b?5omT5Y2w5py6LCB4?= <" RELAY ">\n"
             "X-Original-From: =?gb2312?b?tA==?= =?gb2312?b?8tOhu/o=?=, x "
             "<s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"an unquoted comma before a word that can't be decoded",
     .header = "From: Doe, =?windows-1252?q?J=81hn?= <s@inside.example>\n",
     .want =
         "From: \"Doe,\" =?windows-1252?q?J=81hn?= <" RELAY ">\n"
         "X-Original-From: Doe, =?windows-1252?q?J=81hn?= <s@inside.example>\n"
         "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"an unquoted comma before a word that nobody can judge",
     .header = "From: Doe, =?x-nobody?q?John?= <s@inside.example>\n",
     .want = "From: \"Doe,\" <" RELAY ">\n"
             "X-Original-From: Doe, =?x-nobody?q?John?= <s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"an address in UTF-7",
     .header =
         "From: =?utf7?q?+ADw-evil+AEA-x.example+AD4-?= <s@inside.example>\n",
     .want = "From: \"evil@x.example\" <" RELAY ">\n"
             "X-Original-From: =?utf7?q?+ADw-evil+AEA-x.example+AD4-?= "
             "<s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"an address in EBCDIC",
     .header = "From: =?cp037?b?TIWliZN8p0uDlpRuQA==?= <s@inside.example>\n",
     .want = "From: " RELAY "\n"
             "X-Original-From: =?cp037?b?TIWliZN8p0uDlpRuQA==?= "
             "<s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"an encoded name with a comma behind an @",
     .header = "From: =?utf-8?q?J=C3=B6hn_=40_Home=2C_3?= <s@inside.example>\n",
     .want = "From: =?utf-8?b?SsO2aG4=?= \"@ Home, 3\" <" RELAY ">\n"
             "X-Original-From: =?utf-8?q?J=C3=B6hn_=40_Home=2C_3?= "
             "<s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a quoted name with a comma behind an @",
     .header = "From: =?utf-8?q?J_=40_Home=2C_3?= <s@inside.example>\n",
     .want = "From: \"J @ Home, 3\" <" RELAY ">\n"
             "X-Original-From: =?utf-8?q?J_=40_Home=2C_3?= <s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    /* An address that is understood, written oddly. */
    {"blanks within the brackets",
     .header = "From: Scan < s@inside.example >\n",
     .want = "From: Scan < " RELAY " >\n"
             "X-Original-From: Scan < s@inside.example >\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a name behind the brackets",
     .header = "From: <s@inside.example> Scanner\n",
     .want = "From: Scanner <" RELAY ">\n"
             "X-Original-From: <s@inside.example> Scanner\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a name on both sides of the brackets",
     .header = "From: Scan <s@inside.example> floor 3\n",
     .want = "From: Scan floor 3 <" RELAY ">\n"
             "X-Original-From: Scan <s@inside.example> floor 3\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a URI", .header = "From: <mailto:s@inside.example>\n",
     .want = "From: <" RELAY ">\n"
             "X-Original-From: <mailto:s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a full domain name", .header = "From: s@inside.example.\n",
     .want = "From: " RELAY "\n"
             "X-Original-From: s@inside.example.\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a comment with a comma", .header = "From: s@inside.example (Doe, John)\n",
     .want = "From: \"Doe, John\" <" RELAY ">\n"
             "X-Original-From: s@inside.example (Doe, John)\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a comment with a comma behind the brackets",
     .header = "From: <s@inside.example> (Doe, John)\n",
     .want = "From: \"Doe, John\" <" RELAY ">\n"
             "X-Original-From: <s@inside.example> (Doe, John)\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"an encoded word with a comma",
     .header = "From: =?utf-8?q?=C3=9Cber=2C_Stock?= <s@inside.example>\n",
     .want = "From: =?utf-8?q?=C3=9Cber=2C_Stock?= <" RELAY ">\n"
             "X-Original-From: =?utf-8?q?=C3=9Cber=2C_Stock?= "
             "<s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a quoted address before the brackets",
     .header = "From: \"a@b\" <c@d.example>\n",
     .want = "From: \"a@b\" <" RELAY ">\n"
             "X-Original-From: \"a@b\" <c@d.example>\n"
             "Reply-To: c@d.example\n",
     REWRITTEN},
    {"the comment form", .header = "From: s@inside.example (Scan (3))\n",
     .want = "From: \"Scan (3)\" <" RELAY ">\n"
             "X-Original-From: s@inside.example (Scan (3))\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"the comment form with an encoded word",
     .header = "From: s@inside.example (=?utf-8?b?TcO8bGxlcg==?=)\n",
     .want = "From: =?utf-8?b?TcO8bGxlcg==?= <" RELAY ">\n"
             "X-Original-From: s@inside.example (=?utf-8?b?TcO8bGxlcg==?=)\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"what cron writes", .header = "From: root (Cron Daemon)\n",
     .want = "From: Cron Daemon <" RELAY ">\n"
             "X-Original-From: root (Cron Daemon)\n",
     REWRITTEN},
    {"words only", .header = "From: Scanner Floor 2\n",
     .want = "From: Scanner Floor 2 <" RELAY ">\n"
             "X-Original-From: Scanner Floor 2\n",
     REWRITTEN},
    {"a blank before the colon", .header = "From : scan@inside.example\n",
     .want = "From: " RELAY "\nX-Original-From: scan@inside.example\n"
             "Reply-To: scan@inside.example\n",
     REWRITTEN},

    /* UTF-8. */
    {"raw UTF-8 is encoded",
     .header = "From: M\xc3\xbcller <s@inside.example>\n",
     .want = "From: =?utf-8?q?M=C3=BCller?= <" RELAY ">\n"
             "X-Original-From: =?utf-8?q?M=C3=BCller?= <s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"raw UTF-8 stays with SMTPUTF8", .parameter = "SMTPUTF8",
     .header = "From: M\xc3\xbcller <s@inside.example>\n",
     .want = "From: M\xc3\xbcller <" RELAY ">\n"
             "X-Original-From: =?utf-8?q?M=C3=BCller?= <s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"raw ISO 8859-1 is encoded", .parameter = "SMTPUTF8",
     .header = "From: \"M\xfcller\" <s@inside.example>\n",
     .want = "From: \"M\xc3\xbcller\" <" RELAY ">\n"
             "X-Original-From: =?utf-8?b?Ik3DvGxsZXIi?= <s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"an address in UTF-8 that needs SMTPUTF8", .sender = "<" RELAY ">",
     .header = "From: <m\xc3\xbc@printers.contoso.com>\n",
     .want = "From: " RELAY "\n"
             "X-Original-From: =?utf-8?b?PG3DvEBwcmludGVycy5jb250b3NvLmNvbT4=?="
             "\n",
     .want_sender = "=", REWRITTEN},
    {"an address in UTF-8 with SMTPUTF8", .parameter = "SMTPUTF8",
     KEPT("<" RELAY ">", "From: <m\xc3\xbc@printers.contoso.com>\n")},

    /* More or less than one address. */
    {"two From fields",
     .header = "From: A <a@inside.example>\nSubject: x\nFrom: " RELAY "\n",
     .want = "From: A <" RELAY ">\nSubject: x\n"
             "X-Original-From: A <a@inside.example>, " RELAY "\n"
             "Reply-To: a@inside.example\n",
     REWRITTEN},
    {"three From fields that are the same and permitted",
     .sender = "<" RELAY ">",
     .header = "From: " RELAY "\nfrom: " RELAY "\nFROM: " RELAY "\n",
     .want = "From: " RELAY "\n"
             "X-Original-From: " RELAY ", " RELAY ", " RELAY "\n",
     .want_sender = "=", REWRITTEN},
    {"a list", .header = "From: A <a@b.example>, \"C, d\" <c@d.example>\n",
     .want = "From: A <" RELAY ">\n"
             "X-Original-From: A <a@b.example>, \"C, d\" <c@d.example>\n"
             "Reply-To: a@b.example,\n c@d.example\n",
     REWRITTEN},
    {"answers go to each address once, whatever its case",
     .header = "From: a@b.example, A@B.example, c@b.example\n"
               "From: c@b.example, a@b.example, b@b.example\n",
     .want = "From: " RELAY "\n"
             "X-Original-From: a@b.example, A@B.example, c@b.example, "
             "c@b.example,\n a@b.example, b@b.example\n"
             "Reply-To: a@b.example,\n c@b.example,\n b@b.example\n",
     REWRITTEN},
    {"an address that another one begins or ends with is another",
     .header = "From: aa@b.examples, a@b.examples, aa@b.example\n",
     .want = "From: " RELAY "\n"
             "X-Original-From: aa@b.examples, a@b.examples, aa@b.example\n"
             "Reply-To: aa@b.examples,\n a@b.examples,\n aa@b.example\n",
     REWRITTEN},
    {"a list of permitted addresses", .sender = "<" RELAY ">",
     .header = "From: alerts@contoso.com, " RELAY "\n",
     .want = "From: " RELAY "\n"
             "X-Original-From: alerts@contoso.com, " RELAY "\n"
             "Reply-To: alerts@contoso.com\n",
     .want_sender = "=", REWRITTEN},
    {"a group", .header = "From: Team: A <a@b.example>, c@d.example;\n",
     .want = "From: Team <" RELAY ">\n"
             "X-Original-From: Team: A <a@b.example>, c@d.example;\n"
             "Reply-To: a@b.example,\n c@d.example\n",
     REWRITTEN},
    {"an empty group", .header = "From: undisclosed-recipients:;\n",
     .want = "From: undisclosed-recipients <" RELAY ">\n"
             "X-Original-From: undisclosed-recipients:;\n",
     REWRITTEN},
    {"no From", .header = "Subject: x\n",
     .want = "Subject: x\nFrom: " RELAY "\nReply-To: scan@inside.example\n",
     REWRITTEN},
    {"no From, and a trace from outside",
     .header = "X-Original-From: x\nX-original-from: y\n",
     .want = "From: " RELAY "\nReply-To: scan@inside.example\n", REWRITTEN},
    {"an empty From", .header = "From:\n", .want = "From: " RELAY "\n",
     REWRITTEN},
    {"an unquoted comma in the name",
     .header = "From: Doe, John <j@inside.example>\n",
     .want = "From: \"Doe, John\" <" RELAY ">\n"
             "X-Original-From: Doe, John <j@inside.example>\n"
             "Reply-To: j@inside.example\n",
     REWRITTEN},

    /* What two readers may read differently. */
    {"a permitted address before the brackets", .sender = "<" RELAY ">",
     .header = "From: " RELAY " <evil@e.example>\n",
     .want = "From: \"" RELAY "\" <" RELAY ">\n"
             "X-Original-From: " RELAY " <evil@e.example>\n"
             "Reply-To: evil@e.example\n",
     .want_sender = "=", REWRITTEN},
    {"a permitted address in the brackets, another before",
     .sender = "<" RELAY ">", .header = "From: evil@e.example <" RELAY ">\n",
     .want = "From: \"evil@e.example\" <" RELAY ">\n"
             "X-Original-From: evil@e.example <" RELAY ">\n",
     .want_sender = "=", REWRITTEN},
    {"a quoted name with an address in brackets", .sender = "<" RELAY ">",
     .header = "From: \"x <" RELAY ">\" <" RELAY ">\n",
     .want = "From: \"x " RELAY "\" <" RELAY ">\n"
             "X-Original-From: \"x <" RELAY ">\" <" RELAY ">\n",
     .want_sender = "=", REWRITTEN},
    {"an encoded word with an address in brackets", .sender = "<" RELAY ">",
     .header = "From: =?utf-8?q?x_=3Ca=40b=3E?= <" RELAY ">\n",
     .want = "From: \"x a@b\" <" RELAY ">\n"
             "X-Original-From: =?utf-8?q?x_=3Ca=40b=3E?= <" RELAY ">\n",
     .want_sender = "=", REWRITTEN},
    {"an encoded NUL and line end", .sender = "<" RELAY ">",
     .header = "From: =?utf-8?b?YQBiCmM=?= <" RELAY ">\n",
     .want = "From: a b c <" RELAY ">\n"
             "X-Original-From: =?utf-8?b?YQBiCmM=?= <" RELAY ">\n",
     .want_sender = "=", REWRITTEN},
    {"an encoded word within an encoded word", .sender = "<" RELAY ">",
     .header = "From: [=?utf-8?q?=3D=3Futf-8=3Fq=3F=3Ca=40b=3E=3F=3D?=] <" RELAY
               ">\n",
     .want = "From: =?utf-8?b?Wz0/dXRmLTg/cT8gYUBiID89XQ==?= <" RELAY ">\n"
             "X-Original-From: [=?utf-8?q?=3D=3Futf-8=3Fq=3F=3Ca=40b=3E=3F=3D"
             "?=]\n <" RELAY ">\n",
     .want_sender = "=", REWRITTEN},
    {"a source route", .sender = "<" RELAY ">",
     .header = "From: <@a.example,@b.example:" RELAY ">\n",
     .want = "From: <" RELAY ">\n"
             "X-Original-From: <@a.example,@b.example:" RELAY ">\n",
     .want_sender = "=", REWRITTEN},
    {"a percent route", .sender = "<" RELAY ">",
     .header = "From: evil%e.example@printers.contoso.com\n",
     .want = "From: " RELAY "\n"
             "X-Original-From: evil%e.example@printers.contoso.com\n",
     .want_sender = "=", REWRITTEN},
    {"nested brackets", .header = "From: Scan <<s@inside.example>>\n",
     .want = "From: Scan <" RELAY ">\n"
             "X-Original-From: Scan <<s@inside.example>>\n",
     REWRITTEN},
    {"a quote that is not closed",
     .header = "From: \"Scan <s@inside.example>\n",
     .want = "From: Scan <" RELAY ">\n"
             "X-Original-From: \"Scan <s@inside.example>\n",
     REWRITTEN},
    {"control bytes", .header = "From: Sc\001an\r <s@inside.example>\n",
     .want = "From: Sc an <" RELAY ">\n"
             "X-Original-From: Sc an <s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},

    /* Reply-To. */
    {"a Reply-To stays",
     .header = "Reply-To: x@y.example\n"
               "From: s@inside.example\n",
     .want = "Reply-To: x@y.example\nFrom: " RELAY "\n"
             "X-Original-From: s@inside.example\n",
     REWRITTEN},
    {"an empty Reply-To is filled",
     .header = "Reply-To: \n"
               "From: s@inside.example\n",
     .want = "Reply-To: s@inside.example\nFrom: " RELAY "\n"
             "X-Original-From: s@inside.example\n",
     REWRITTEN},
    {"reply_to = never", .settings = "reply_to = \"never\"",
     .header = "From: s@inside.example\n",
     .want = "From: " RELAY "\nX-Original-From: s@inside.example\n", REWRITTEN},
    {"reply_to = deliverable, and it is",
     .settings = "reply_to = \"deliverable\"",
     .header = "From: s@fabrikam.com\n",
     .want = "From: " RELAY "\nX-Original-From: s@fabrikam.com\n"
             "Reply-To: s@fabrikam.com\n",
     REWRITTEN},
    {"reply_to = deliverable, and it is not",
     .settings = "reply_to = \"deliverable\"",
     .header = "From: s@printers.local\n",
     .want = "From: " RELAY "\nX-Original-From: s@printers.local\n", REWRITTEN},

/* Names by a template. */
#define TEMPLATE(text) .settings = "name_template = \"" text "\""
#define TEMPLATE_ALL(text) \
    .settings = "name_template = \"" text "\" name_template_for = \"all\""
    {"a template for who has no name", TEMPLATE("%n of %d (100%%)"),
     .header = "From: scan@inside.example\nReply-To: x@y.example\n",
     .want = "From: \"scan of inside.example (100%)\" <" RELAY ">\n"
             "Reply-To: x@y.example\n"
             "X-Original-From: scan@inside.example\n",
     REWRITTEN},
    {"a template with the address", TEMPLATE("%a"),
     .header = "From: <scan@inside.example>\nReply-To: x@y.example\n",
     .want = "From: \"scan@inside.example\" <" RELAY ">\n"
             "Reply-To: x@y.example\n"
             "X-Original-From: <scan@inside.example>\n",
     REWRITTEN},
    {"a template that would hide an address", TEMPLATE("%n <%a>, x"),
     .header = "From: scan@inside.example\nReply-To: x@y.example\n",
     .want = "From: \"scan scan@inside.example , x\" <" RELAY ">\n"
             "Reply-To: x@y.example\n"
             "X-Original-From: scan@inside.example\n",
     REWRITTEN},
    {"a template that is not ASCII", TEMPLATE("B\xc3\xbcro %d"),
     .header = "From: \"\" <scan@inside.example>\nReply-To: x@y.example\n",
     .want = "From: =?utf-8?q?B=C3=BCro_inside=2Eexample?= <" RELAY ">\n"
             "Reply-To: x@y.example\n"
             "X-Original-From: \"\" <scan@inside.example>\n",
     REWRITTEN},
    {"the same with SMTPUTF8", TEMPLATE("B\xc3\xbcro %n"),
     .parameter = "SMTPUTF8",
     .header = "From: scan@inside.example\nReply-To: x@y.example\n",
     .want = "From: \"B\xc3\xbcro scan\" <" RELAY ">\n"
             "Reply-To: x@y.example\n"
             "X-Original-From: scan@inside.example\n",
     REWRITTEN},
    {"a template does not touch a name", TEMPLATE("%n via relay"),
     .header = "From: \"Scan, 3rd\"  <s@inside.example>\n"
               "Reply-To: x@y.example\n",
     .want = "From: \"Scan, 3rd\"  <" RELAY ">\nReply-To: x@y.example\n"
             "X-Original-From: \"Scan, 3rd\" <s@inside.example>\n",
     REWRITTEN},
    {"nor one that only stands in a comment", TEMPLATE("%n via relay"),
     .header = "From: root (Cron Daemon)\nReply-To: x@y.example\n",
     .want = "From: Cron Daemon <" RELAY ">\nReply-To: x@y.example\n"
             "X-Original-From: root (Cron Daemon)\n",
     REWRITTEN},
    {"a template for all", TEMPLATE_ALL("%n via relay"),
     .header = "From: \"Scan, 3rd\" <s@inside.example>\n"
               "Reply-To: x@y.example\n",
     .want = "From: \"Scan, 3rd via relay\" <" RELAY ">\n"
             "Reply-To: x@y.example\n"
             "X-Original-From: \"Scan, 3rd\" <s@inside.example>\n",
     REWRITTEN},
    {"a template for all, and a name that is encoded",
     TEMPLATE_ALL("%n via relay"),
     .header = "From: =?utf-8?q?M=C3=BCller?= <s@inside.example>\n"
               "Reply-To: x@y.example\n",
     .want = "From: =?utf-8?q?M=C3=BCller_via_relay?= <" RELAY ">\n"
             "Reply-To: x@y.example\n"
             "X-Original-From: =?utf-8?q?M=C3=BCller?= <s@inside.example>\n",
     REWRITTEN},
    {"a template for all, and a name that can't be read",
     TEMPLATE_ALL("%n via relay"),
     .header = "From: =?utf-8?q?M=FCller?= <s@inside.example>\n"
               "Reply-To: x@y.example\n",
     .want = "From: =?utf-8?q?M=FCller?= <" RELAY ">\n"
             "Reply-To: x@y.example\n"
             "X-Original-From: =?utf-8?q?M=FCller?= <s@inside.example>\n",
     REWRITTEN},
    {"a template for all, and a name in an old charset",
     TEMPLATE_ALL("%n via relay"),
     .header = "From: =?iso-2022-jp?b?GyRCPHUbKEI=?= <s@inside.example>\n"
               "Reply-To: x@y.example\n",
     .want = "From: =?utf-8?q?=E5=8F=97_via_relay?= <" RELAY ">\n"
             "Reply-To: x@y.example\n"
             "X-Original-From: =?iso-2022-jp?b?GyRCPHUbKEI=?= "
             "<s@inside.example>\n",
     REWRITTEN},
    {"a template in place of a name that nobody can judge",
     TEMPLATE("%n at %d"),
     .header = "From: =?cp037?b?TIWl?= <s@inside.example>\n"
               "Reply-To: x@y.example\n",
     .want = "From: \"s at inside.example\" <" RELAY ">\n"
             "Reply-To: x@y.example\n"
             "X-Original-From: =?cp037?b?TIWl?= <s@inside.example>\n",
     REWRITTEN},
    {"a template for all leaves a permitted sender alone",
     TEMPLATE_ALL("%n via relay"), KEPT("<" RELAY ">", "From: " RELAY "\n")},
    {"a template, and From is missing", TEMPLATE("%n via relay"),
     .header = "Reply-To: x@y.example\n",
     .want = "Reply-To: x@y.example\nFrom: scan via relay <" RELAY ">\n",
     REWRITTEN},
    {"a template, and nothing is known", TEMPLATE("%n via %d"), .sender = "<>",
     .header = "From: <>\nReply-To: x@y.example\n",
     .want = "From: <" RELAY ">\nReply-To: x@y.example\n"
             "X-Original-From: <>\n",
     .want_sender = "=", REWRITTEN},
    {"a template that asks for nothing", TEMPLATE("Scanner"), .sender = "<>",
     .header = "From: <>\nReply-To: x@y.example\n",
     .want = "From: Scanner <" RELAY ">\nReply-To: x@y.example\n"
             "X-Original-From: <>\n",
     .want_sender = "=", REWRITTEN},
    {"a template that would make an encoded word", TEMPLATE("=?utf-8?q?x?="),
     .header = "From: scan@inside.example\nReply-To: x@y.example\n",
     .want = "From: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <" RELAY ">\n"
             "Reply-To: x@y.example\n"
             "X-Original-From: scan@inside.example\n",
     REWRITTEN},

    /* Whom answers can reach. */
    {"reply_to = deliverable, and a noreply in a public domain",
     .settings = "reply_to = \"deliverable\"",
     .header = "From: NoReply@fabrikam.com\n",
     .want = "From: " RELAY "\nX-Original-From: NoReply@fabrikam.com\n",
     REWRITTEN},
    {"reply_to = deliverable with a list, and it is listed",
     .settings = "reply_to = \"deliverable\" deliverable = "
                 "{\"@fabrikam.com\", \"scan@printers.local\"}",
     .header = "From: A <Scan@Printers.LOCAL>, b@fabrikam.com, c@x.org\n",
     .want = "From: A <" RELAY ">\n"
             "X-Original-From: A <Scan@Printers.LOCAL>, b@fabrikam.com, "
             "c@x.org\n"
             "Reply-To: Scan@Printers.LOCAL,\n b@fabrikam.com\n",
     REWRITTEN},
    {"reply_to = deliverable with a list, and another mailbox has it",
     .settings = "reply_to = \"deliverable\" deliverable = \"@x.org\"",
     .sender = "<>", .header = "From: erp@contoso.com\n",
     .want = "From: " RELAY "\nX-Original-From: erp@contoso.com\n"
             "Reply-To: erp@contoso.com\n",
     .want_sender = "=", REWRITTEN},
    {"reply_to = deliverable with a list, and it is not listed",
     .settings = "reply_to = \"deliverable\" deliverable = \"@x.org\"",
     .header = "From: s@fabrikam.com\n",
     .want = "From: " RELAY "\nX-Original-From: s@fabrikam.com\n", REWRITTEN},

    {"two Reply-To fields that say nothing",
     .header = "Reply-To:\nFrom: s@inside.example\nReply-To: \n",
     .want = "Reply-To: s@inside.example\nFrom: " RELAY "\n"
             "X-Original-From: s@inside.example\n",
     REWRITTEN},
    {"a Reply-To that says nothing beside one that does",
     .header = "Reply-To:\nFrom: s@inside.example\nReply-To: x@y.example\n",
     .want = "Reply-To:\nFrom: " RELAY "\nReply-To: x@y.example\n"
             "X-Original-From: s@inside.example\n",
     REWRITTEN},

    /* What turns the direction of text goes, however it is written. */
    {"an override in raw UTF-8",
     .header = "From: \xe2\x80\xaeScan\xe2\x80\xac <s@inside.example>\n",
     .want = "From: Scan <" RELAY ">\n"
             "X-Original-From: Scan <s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"an override in raw UTF-8 with SMTPUTF8", .parameter = "SMTPUTF8",
     .header = "From: \xe2\x80\xaeM\xc3\xbcller <s@inside.example>\n",
     .want = "From: \"M\xc3\xbcller\" <" RELAY ">\n"
             "X-Original-From: =?utf-8?q?M=C3=BCller?= <s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"an override in an encoded word",
     .header = "From: =?utf-8?q?=E2=80=AEScan?= <s@inside.example>\n",
     .want = "From: Scan <" RELAY ">\n"
             "X-Original-From: =?utf-8?q?=E2=80=AEScan?= <s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"an override before a permitted address", .sender = "<" RELAY ">",
     .header = "From: \xe2\x80\xaeScan <alerts@contoso.com>\n",
     .want = "From: Scan <" RELAY ">\n"
             "X-Original-From: Scan <alerts@contoso.com>\n"
             "Reply-To: alerts@contoso.com\n",
     .want_sender = "=", REWRITTEN},
    {"a mark in an encoded word stays",
     .header = "From: =?utf-8?q?=D7=A9=E2=80=8F?= <s@inside.example>\n",
     .want = "From: =?utf-8?q?=D7=A9=E2=80=8F?= <" RELAY ">\n"
             "X-Original-From: =?utf-8?q?=D7=A9=E2=80=8F?= "
             "<s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a mark in raw UTF-8 stays, encoded",
     .header = "From: \xd7\xa9\xe2\x80\x8f <s@inside.example>\n",
     .want = "From: =?utf-8?b?16nigI8=?= <" RELAY ">\n"
             "X-Original-From: =?utf-8?b?16nigI8=?= <s@inside.example>\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},

    /* Sender and Resent-*. */
    {"nobody has resent what nobody may have resent",
     .header = "Resent-Date: x\nResent-From: evil@e.example\n"
               "Resent-Sender: " RELAY "\nResent-To: a@b.example\n"
               "Resent-To: c@b.example\nResent-Cc: a@b.example\n"
               "Resent-Bcc: a@b.example\nResent-Reply-To: a@b.example\n"
               "Resent-Message-ID: <x@y>\nFrom: " RELAY "\nTo: a@b.example\n",
     .sender = "<" RELAY ">", .want = "From: " RELAY "\nTo: a@b.example\n",
     .want_sender = "=", .action = RULING_KEPT},
    {"without a Resent-From there was nothing to lose",
     KEPT("<" RELAY ">", "Resent-To: a@b.example\nFrom: " RELAY "\n")},
    {"a Sender that is the old From",
     .header = "Sender: s@inside.example\nFrom: s@inside.example\n",
     .want = "From: " RELAY "\nX-Original-From: s@inside.example\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a Sender that is the old address of a From that two readers read "
     "differently, though permitted",
     .sender = "<" RELAY ">",
     .header = "From: evil@e.example <alerts@contoso.com>\n"
               "Sender: Alerts@contoso.com\n",
     .want = "From: \"evil@e.example\" <" RELAY ">\n"
             "X-Original-From: evil@e.example <alerts@contoso.com>\n"
             "Reply-To: alerts@contoso.com\n",
     .want_sender = "=", REWRITTEN},
    {"another permitted Sender beside such a From", .sender = "<" RELAY ">",
     .header = "From: evil@e.example <alerts@contoso.com>\n"
               "Sender: a@printers.contoso.com\n",
     .want = "From: \"evil@e.example\" <" RELAY ">\n"
             "Sender: a@printers.contoso.com\n"
             "X-Original-From: evil@e.example <alerts@contoso.com>\n"
             "Reply-To: alerts@contoso.com\n",
     .want_sender = "=", REWRITTEN},
    {"a Sender that the mailbox may use",
     .header = "Sender: Alerts <alerts@contoso.com>\nFrom: s@inside.example\n",
     .want = "Sender: Alerts <alerts@contoso.com>\nFrom: " RELAY "\n"
             "X-Original-From: s@inside.example\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"two Senders",
     .header = "Sender: " RELAY "\nFrom: s@inside.example\n"
               "Sender: alerts@contoso.com\n",
     .want = "Sender: " RELAY "\nFrom: " RELAY "\n"
             "X-Original-From: s@inside.example\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"Resent-From and Resent-Sender",
     .header = "Resent-From: evil@e.example\nResent-Sender: x@e.example\n"
               "Resent-To: a@b.example\nResent-From: " RELAY "\n"
               "From: s@inside.example\nResent-From: " RELAY ", a@b.example\n",
     .want = "Resent-To: a@b.example\nResent-From: " RELAY "\n"
             "From: " RELAY "\nX-Original-From: s@inside.example\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a permitted From with a Sender that is not", .sender = "<" RELAY ">",
     .header = "From: " RELAY "\nSender: evil@e.example\n",
     .want = "From: " RELAY "\n", .want_sender = "=", .action = RULING_KEPT},

    /* Signatures. */
    {"signatures that the change breaks",
     .header = "DKIM-Signature: v=1; a=rsa-sha256; h=To : From: Subject; b=x\n"
               "DKIM-Signature: v=1; b=h=from; h=to:subject\n"
               "dkim-signature: nonsense\nFrom: s@inside.example\n",
     .want = "DKIM-Signature: v=1; b=h=from; h=to:subject\n"
             "From: " RELAY "\nX-Original-From: s@inside.example\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},
    {"a signature that covers the Sender which goes", .sender = "<" RELAY ">",
     .header = "DKIM-Signature: h=from:sen\n der; b=x\n"
               "DKIM-Signature: h=from:to; b=x\n"
               "From: " RELAY "\nSender: evil@e.example\n",
     .want = "DKIM-Signature: h=from:to; b=x\nFrom: " RELAY "\n",
     .want_sender = "=", .action = RULING_KEPT},
    {"dkim = keep", .settings = "dkim = \"keep\"",
     .header = "DKIM-Signature: h=from; b=x\nARC-Seal: i=1\n"
               "ARC-Message-Signature: i=1; h=from; b=y\n"
               "From: s@inside.example\nReply-To: x@y.example\n",
     .want = "DKIM-Signature: h=from; b=x\nARC-Seal: i=1\n"
             "ARC-Message-Signature: i=1; h=from; b=y\n"
             "From: " RELAY "\nReply-To: x@y.example\n"
             "X-Original-From: s@inside.example\n",
     REWRITTEN},
    {"dkim = rename", .settings = "dkim = \"rename\"",
     .header = "DKIM-Signature: a; h=from;\n\tb=x\n"
               "DKIM-Signature: h=to; b=y\nDKIM-SIGNATURE:h=from:to; b=z\n"
               "From: s@inside.example\nReply-To: x@y.example\n",
     .want = "DKIM-Signature: h=to; b=y\n"
             "From: " RELAY "\nReply-To: x@y.example\n"
             "X-Original-From: s@inside.example\n"
             "X-Original-DKIM-Signature: a; h=from;\n\tb=x\n"
             "X-Original-DKIM-Signature:h=from:to; b=z\n",
     REWRITTEN},
    {"dkim = rename, and one that is no text", .settings = "dkim = \"rename\"",
     .header = "DKIM-Signature: h=from; b=\001\nDKIM-Signature: h=from; b=y\n"
               "From: s@inside.example\nReply-To: x@y.example\n",
     .want = "From: " RELAY "\nReply-To: x@y.example\n"
             "X-Original-From: s@inside.example\n"
             "X-Original-DKIM-Signature: h=from; b=y\n",
     REWRITTEN},
    {"ARC sets go together",
     .header = "ARC-Seal: i=2; cv=pass; b=x\n"
               "ARC-Message-Signature: i=2; h=to:subject; b=x\n"
               "ARC-Authentication-Results: i=2; x.example; spf=pass\n"
               "ARC-Seal: i=1; cv=none; b=x\n"
               "ARC-Message-Signature: i=1; h=from:to; b=x\n"
               "ARC-Authentication-Results: i=1; y.example; spf=pass\n"
               "From: s@inside.example\nReply-To: x@y.example\n",
     .want = "From: " RELAY "\nReply-To: x@y.example\n"
             "X-Original-From: s@inside.example\n",
     REWRITTEN},
    {"ARC sets that cover nothing of it stay",
     .header = "ARC-Seal: i=1; cv=none; b=x\n"
               "ARC-Message-Signature: i=1; h=to:subject; b=x\n"
               "ARC-Authentication-Results: i=1; y.example; spf=pass\n"
               "From: s@inside.example\nReply-To: x@y.example\n",
     .want = "ARC-Seal: i=1; cv=none; b=x\n"
             "ARC-Message-Signature: i=1; h=to:subject; b=x\n"
             "ARC-Authentication-Results: i=1; y.example; spf=pass\n"
             "From: " RELAY "\nReply-To: x@y.example\n"
             "X-Original-From: s@inside.example\n",
     REWRITTEN},
    {"ARC sets of a message that stays",
     KEPT("<" RELAY ">",
          "ARC-Seal: i=1\nARC-Message-Signature: i=1; h=from; b=x\n"
          "From: " RELAY "\n")},
    {"ARC sets are renamed", .settings = "dkim = \"rename\"",
     .header = "ARC-Seal: i=1; b=x\n"
               "ARC-Message-Signature: i=1; h=from:to; b=x\n"
               "ARC-Authentication-Results: i=1; y.example; spf=pass\n"
               "From: s@inside.example\nReply-To: x@y.example\n",
     .want = "From: " RELAY "\nReply-To: x@y.example\n"
             "X-Original-From: s@inside.example\n"
             "X-Original-ARC-Seal: i=1; b=x\n"
             "X-Original-ARC-Message-Signature: i=1; h=from:to; b=x\n"
             "X-Original-ARC-Authentication-Results: i=1; y.example; "
             "spf=pass\n",
     REWRITTEN},

    /* X-Original-From. */
    {"traces from outside",
     .header = "X-Original-From: a\nX-ORIGINAL-FROM: b\n"
               "From: s@inside.example\nX-Original-From: c\n",
     .want = "X-Original-From: s@inside.example\nFrom: " RELAY "\n"
             "Reply-To: s@inside.example\n",
     REWRITTEN},

    /* Bounces. */
    {"a bounce keeps its envelope", .sender = "<>",
     .header = "From: MAILER-DAEMON@gw.inside.example\n",
     .want = "From: " RELAY "\n"
             "X-Original-From: MAILER-DAEMON@gw.inside.example\n"
             "Reply-To: MAILER-DAEMON@gw.inside.example\n",
     .want_sender = "=", REWRITTEN},
    {"a bounce whose From only another mailbox may use", .sender = "<>",
     .header = "From: erp@contoso.com\n",
     .want = "From: " RELAY "\nX-Original-From: erp@contoso.com\n"
             "Reply-To: erp@contoso.com\n",
     .want_sender = "=", REWRITTEN},
    {"null_sender = rewrite", .settings = "null_sender = \"rewrite\"",
     .sender = "<>", .header = "From: d@gw.inside.example\n",
     .want = "From: " RELAY "\nX-Original-From: d@gw.inside.example\n"
             "Reply-To: d@gw.inside.example\n"
             "Auto-Submitted: auto-replied\n",
     REWRITTEN},
    {"null_sender = rewrite and it is marked already",
     .settings = "null_sender = \"rewrite\"", .sender = "<>",
     .header = "From: " RELAY "\nAuto-Submitted: auto-generated\n",
     .action = RULING_KEPT},
    {"null_sender = rewrite and it says it is no answer",
     .settings = "null_sender = \"rewrite\"", .sender = "<>",
     .header = "From: " RELAY "\nAuto-Submitted: NO (really)\n",
     .want = "From: " RELAY "\nAuto-Submitted: auto-replied\n",
     .action = RULING_KEPT},
    {"null_sender = discard", .settings = "null_sender = \"discard\"",
     .sender = "<>", .header = "From: " RELAY "\n", .want_sender = "=",
     .action = RULING_DISCARDED},
    {"null_sender = discard and a sender",
     .settings = "null_sender = \"discard\"",
     KEPT("<" RELAY ">", "From: " RELAY "\n")},

/* Loops. */
#define HOPS "Received: a\nReceived: b\nReceived: c\n"
    {"as many hops as there may be", .settings = "hop_limit = 3",
     KEPT("<" RELAY ">", HOPS "From: " RELAY "\n")},
    {"a loop", .settings = "hop_limit = 2", .sender = "<" RELAY ">",
     .header = HOPS "From: " RELAY "\n", .want_sender = "=",
     .action = RULING_LOOPING},
    {"a loop of what is not permitted", .settings = "hop_limit = 2",
     .header = HOPS "From: s@inside.example\n", .want_sender = "=",
     .action = RULING_LOOPING},
    {"a loop of what is exempt",
     .settings = "hop_limit = 2 exempt { recipient = \"@example.com\" }",
     .header = HOPS "From: s@inside.example\n", .want_sender = "=",
     .action = RULING_EXEMPT},
    {"a bounce in a loop is not refused, and gets no sender",
     .settings = "hop_limit = 2 null_sender = \"rewrite\"", .sender = "<>",
     .header = HOPS "From: " RELAY "\n", .want_sender = "=",
     .action = RULING_KEPT},
    {"a notice of Postfix itself is under the limit, as it begins with none",
     .settings = "hop_limit = 2", .sender = "double-bounce@gw.inside.example",
     .header = HOPS "From: " RELAY "\n", .want_sender = "=", INTERNAL,
     .action = RULING_LOOPING},

    /* Routes, exemptions, refusals. */
    {"a route by From",
     .settings =
         "route { from = \"@legacy.local\" mailbox = \"erp@contoso.com\" }",
     .header = "From: x@legacy.local\n",
     .want = "From: erp@contoso.com\nX-Original-From: x@legacy.local\n"
             "Reply-To: x@legacy.local\n",
     .want_sender = "erp@contoso.com", REWRITTEN},
    {"an exempt recipient",
     .settings = "exempt { recipient = \"@example.com\" }",
     .header = "From: x\nFrom: y\nSender: z\n", .want_sender = "=",
     .action = RULING_EXEMPT},
    {"not_permitted = reject", .settings = "not_permitted = \"reject\"",
     .header = "From: s@inside.example\n", .want_sender = "=",
     .action = RULING_REJECTED},
    {"not_permitted = reject, but a bounce",
     .settings = "not_permitted = \"reject\"", .sender = "<>",
     .header = "From: MAILER-DAEMON\n",
     .want = "From: MAILER-DAEMON <" RELAY ">\n"
             "X-Original-From: MAILER-DAEMON\n",
     .want_sender = "=", REWRITTEN},
    {"not_permitted = reject, but a notice of Postfix itself",
     .settings = "not_permitted = \"reject\"",
     .sender = "double-bounce@gw.inside.example",
     .header = "From: MAILER-DAEMON@gw.inside.example\nReply-To: x@y.example\n",
     .want = "From: " RELAY "\nReply-To: x@y.example\n"
             "X-Original-From: MAILER-DAEMON@gw.inside.example\n",
     REWRITTEN, INTERNAL},
    {"not_permitted = reject, and mail of a local user",
     .settings = "not_permitted = \"reject\"", .sender = "s@inside.example",
     .header = "From: s@inside.example\n", .want_sender = "=", INTERNAL,
     .action = RULING_REJECTED},
    {"not_permitted = reject, and a client says that it is Postfix",
     .settings = "not_permitted = \"reject\"",
     .sender = "<double-bounce@gw.inside.example>", .client_port = "35742",
     .header = "From: MAILER-DAEMON@gw.inside.example\n", .want_sender = "=",
     .action = RULING_REJECTED},
    {"the same without brackets", .settings = "not_permitted = \"reject\"",
     .sender = "double-bounce@gw.inside.example", .client_port = "35742",
     .header = "From: s@inside.example\n", .want_sender = "=",
     .action = RULING_REJECTED},
    {"the same to a server with queue ids from the beginning",
     .settings = "not_permitted = \"reject\"", .queue_id = "5AL0x",
     .sender = "double-bounce@gw.inside.example", .client_port = "35742",
     .header = "From: s@inside.example\n", .want_sender = "=",
     .action = RULING_REJECTED},
    {"the same to one that knows no port",
     .settings = "not_permitted = \"reject\"", .queue_id = "5AL0x",
     .sender = "double-bounce@gw.inside.example",
     .header = "From: s@inside.example\n", .want_sender = "=",
     .action = RULING_REJECTED},
    {"the same to one that tells nothing",
     .settings = "not_permitted = \"reject\"",
     .sender = "double-bounce@gw.inside.example",
     .header = "From: s@inside.example\n", .want_sender = "=",
     .action = RULING_REJECTED},
    {"the same by a proxy that hides its port",
     .settings = "not_permitted = \"reject\"", .client_port = "0",
     .sender = "double-bounce@gw.inside.example",
     .header = "From: s@inside.example\n", .want_sender = "=",
     .action = RULING_REJECTED},
};

static struct sendas *
policy_for(const char *settings)
{
    char conf[2000];
    int len = snprintf(
        conf, sizeof(conf),
        "credential \"c\" { provider = \"microsoft\" tenant = \"t.example\" "
        "client_id = \"i\" client_secret = {\"file:/nonexistent\"} }\n"
        "mailbox \"" RELAY "\" { credential = \"c\" send_as = "
        "{\"alerts@contoso.com\", \"@printers.contoso.com\"} }\n"
        "mailbox \"erp@contoso.com\" { credential = \"c\" }\n"
        "mailbox \"@apps.contoso.com\" { credential = \"c\" }\n"
        "milter { socket = \"unix:/nonexistent/s\" default_mailbox = \"" RELAY
        "\"\n%s }\n",
        settings != NULL ? settings : "");

    assert_true(len > 0 && (size_t)len < sizeof(conf));
    return mail_policy(conf);
}

static void
check_header(const struct mail *mail, const char *want)
{
    char *got = mail_header(mail);

    assert_string_equal(got, want);
    free(got);
}

static void
check_sender(const struct row *row, const char *got)
{
    if (row->want_sender == NULL)
        assert_string_equal(got, RELAY);
    else if (strcmp(row->want_sender, "=") == 0)
        assert_string_equal(got, row->sender != NULL ? row->sender
                                                     : "<scan@inside.example>");
    else
        assert_string_equal(got, row->want_sender);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct sendas *policy = policy_for(row->settings);
    const char *want = row->want != NULL ? row->want : row->header;
    struct rewrite_plan plan;
    struct mail mail;

    mail_init(&mail,
              row->sender != NULL ? row->sender : "<scan@inside.example>",
              row->parameter, row->header);
    mail.queue_id = row->queue_id;
    mail.client_port = row->client_port;
    assert_int_equal(mail_filter(&mail, policy, &plan), 0);
    check_header(&mail, want);
    check_sender(row, mail.sender);
    assert_string_equal(ruling_action_text(plan.ruling.action),
                        ruling_action_text(row->action));
    rewrite_plan_clear(&plan);

    assert_int_equal(mail_filter(&mail, policy, &plan), 0);
    assert_int_equal(plan.edit_count, 0);
    rewrite_plan_clear(&plan);
    mail_clear(&mail);
    sendas_unref(&policy);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    return cmocka_run_group_tests_name("rewrite", tests, NULL, NULL);
}
