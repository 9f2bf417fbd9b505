/*
 * One row is one value of From:; one row is one test. The wants of a field that
 * is not plain say what can be made of it: the only address that is there, and
 * the name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/from_field.h"
#include "common/util.h"

/* Text with its length, so that it may hold NULs. */
#define TEXT(literal) .text = (literal), .len = sizeof(literal) - 1

struct row {
    const char *name;
    const char *text;
    size_t len;
    enum from_field_kind want;
    const char *want_address; /* NULL: none */
    const char *want_name;    /* NULL: none */
    const char *want_comment; /* NULL: none */
    bool want_splice;
    const char *want_after; /* NULL: no name after the brackets */
};

static struct row rows[] = {
    /* Plain. */
    {"a bare address", TEXT(" a@b.example"), FROM_FIELD_PLAIN, "a@b.example",
     NULL, NULL, true},
    {"brackets only", TEXT(" <a@b.example>"), FROM_FIELD_PLAIN, "a@b.example",
     NULL, NULL, true},
    {"an atom as name", TEXT(" Scanner <a@b.example>"), FROM_FIELD_PLAIN,
     "a@b.example", "Scanner", NULL, true},
    {"no blank before the brackets", TEXT("\"Scan\"<a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example", "\"Scan\"", NULL, true},
    {"a quoted name with a comma", TEXT(" \"Doe, John\" <a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example", "\"Doe, John\"", NULL, true},
    {"a quoted name with an escaped quote",
     TEXT(" \"John \\\"J\\\" Doe\" <a@b.example>"), FROM_FIELD_PLAIN,
     "a@b.example", "\"John \\\"J\\\" Doe\"", NULL, true},
    {"a dot in an unquoted name", TEXT(" John Q. Public <a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example", "John Q. Public", NULL, true},
    {"an encoded word with a comma",
     TEXT(" =?utf-8?q?=C3=9Cber=2C_Stock?= <a@b.example>"), FROM_FIELD_PLAIN,
     "a@b.example", "=?utf-8?q?=C3=9Cber=2C_Stock?=", NULL, true},
    {"an encoded word in ISO-2022-JP that has < and @ in its kanji",
     TEXT(" =?iso-2022-jp?b?GyRCPEBAPBsoQg==?= <a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example",
     "=?iso-2022-jp?b?GyRCPEBAPBsoQg==?=", NULL, true},
    {"raw UTF-8 in the name", TEXT(" M\xc3\xbcller <a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example", "M\xc3\xbcller", NULL, true},
    {"raw ISO 8859-1 in the name", TEXT(" \"M\xfcller\" <a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example", "\"M\xfcller\"", NULL, true},
    {"folded between name and address", TEXT(" Scanner\n\t<a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example", "Scanner", NULL, true},
    {"folded within a quoted name", TEXT(" \"Scan\n 3rd\" <a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example", "\"Scan\n 3rd\"", NULL, true},
    {"an empty first line", TEXT("\n Scanner <a@b.example>"), FROM_FIELD_PLAIN,
     "a@b.example", "Scanner", NULL, true},
    {"the comment form", TEXT(" a@b.example (Scanner floor 3)"),
     FROM_FIELD_PLAIN, "a@b.example", NULL, "Scanner floor 3", true},
    {"blanks within brackets", TEXT(" Scan < a@b.example\t>"), FROM_FIELD_PLAIN,
     "a@b.example", "Scan", NULL, true},
    {"folds within brackets", TEXT(" <\n a@b.example\n >"), FROM_FIELD_PLAIN,
     "a@b.example", NULL, NULL, true},
    {"an encoded comma, and an @ behind it",
     TEXT(" =?utf-8?q?Doe=2C_John_=40_Home?= <a@b.example>"), FROM_FIELD_PLAIN,
     "a@b.example", "=?utf-8?q?Doe=2C_John_=40_Home?=", NULL, true},
    {"Shift_JIS whose characters end in the bytes of @ and of \\",
     TEXT(" =?shift_jis?b?g0CDXA==?= <a@b.example>"), FROM_FIELD_PLAIN,
     "a@b.example", "=?shift_jis?b?g0CDXA==?=", NULL, true},
    {"many charsets that hold ASCII",
     TEXT(" =?windows-1252?q?=80?= =?koi8-u?q?=A4?= =?ISO_8859-15*de?q?=A4?="
          " =?ks_c_5601-1987?b?sKE=?= =?x-sjis?b?g3Y=?= <a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example",
     "=?windows-1252?q?=80?= =?koi8-u?q?=A4?= =?ISO_8859-15*de?q?=A4?="
     " =?ks_c_5601-1987?b?sKE=?= =?x-sjis?b?g3Y=?=",
     NULL, true},
    {"a comment after the brackets", TEXT(" Scan <a@b.example> (x)"),
     FROM_FIELD_PLAIN, "a@b.example", "Scan", "x", true},
    {"comments before and in a name", TEXT(" (x) Scan (y) 3 <a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example", "Scan (y) 3", "x", true},
    {"a quoted name that is an address", TEXT(" \"a@b\" <c@d.example>"),
     FROM_FIELD_PLAIN, "c@d.example", "\"a@b\"", NULL, true},
    {"a quoted name with brackets but no address",
     TEXT(" \"Scan <3rd>\" <c@d.example>"), FROM_FIELD_PLAIN, "c@d.example",
     "\"Scan <3rd>\"", NULL, true},
    {"a quoted name with separators", TEXT(" \"a;b:c,d\" <c@d.example>"),
     FROM_FIELD_PLAIN, "c@d.example", "\"a;b:c,d\"", NULL, true},
    {"several words and quoted strings",
     TEXT(" Scan \"of, the\" floor <c@d.example>"), FROM_FIELD_PLAIN,
     "c@d.example", "Scan \"of, the\" floor", NULL, true},
    {"a domain without a dot", TEXT(" root@localhost"), FROM_FIELD_PLAIN,
     "root@localhost", NULL, NULL, true},
    {"plus and other atom characters", TEXT(" a+b_{c}~'d'@e.example"),
     FROM_FIELD_PLAIN, "a+b_{c}~'d'@e.example", NULL, NULL, true},
    {"an address in UTF-8", TEXT(" <\xc3\xbc@\xc3\xbc.example>"),
     FROM_FIELD_PLAIN, "\xc3\xbc@\xc3\xbc.example", NULL, NULL, true},
    {"blanks at the end", TEXT(" a@b.example \t "), FROM_FIELD_PLAIN,
     "a@b.example", NULL, NULL, true},

    /* Nothing there, or no address. */
    {"nothing", TEXT(""), FROM_FIELD_EMPTY, NULL, NULL, NULL, false},
    {"blanks", TEXT(" \t"), FROM_FIELD_EMPTY, NULL, NULL, NULL, false},
    {"a comment only", TEXT(" (nobody)"), FROM_FIELD_EMPTY, NULL, NULL,
     "nobody", false},
    {"words only", TEXT(" Scanner Floor 2"), FROM_FIELD_NO_ADDRESS, NULL,
     "Scanner Floor 2", NULL, false},
    {"a user name only", TEXT(" root"), FROM_FIELD_NO_ADDRESS, NULL, "root",
     NULL, false},
    {"a user name and a comment", TEXT(" root (Cron Daemon)"),
     FROM_FIELD_NO_ADDRESS, NULL, "root", "Cron Daemon", false},
    {"empty brackets", TEXT(" <>"), FROM_FIELD_NO_ADDRESS, NULL, NULL, NULL,
     true},
    {"a name and empty brackets", TEXT(" Scan <>"), FROM_FIELD_NO_ADDRESS, NULL,
     "Scan", NULL, true},
    {"a user name in brackets", TEXT(" Scan <root>"), FROM_FIELD_NO_ADDRESS,
     NULL, "Scan", NULL, true},
    {"a quoted name only", TEXT(" \"a@b.example\""), FROM_FIELD_NO_ADDRESS,
     NULL, "\"a@b.example\"", NULL, false},

    /* Lists and groups. */
    {"two addresses", TEXT(" a@b.example, c@d.example"), FROM_FIELD_SEVERAL,
     NULL, NULL, NULL, false},
    {"two with names", TEXT(" A <a@b.example>, C <c@d.example>"),
     FROM_FIELD_SEVERAL, NULL, "A", NULL, false},
    {"brackets twice without a comma", TEXT(" <good@g.example>,<e@e.example>"),
     FROM_FIELD_SEVERAL, NULL, NULL, NULL, false},
    {"brackets side by side", TEXT(" A <a@b.example> <c@d.example>"),
     FROM_FIELD_SEVERAL, NULL, "A", NULL, false},
    {"a comma at the end", TEXT(" a@b.example,"), FROM_FIELD_SEVERAL,
     "a@b.example", NULL, NULL, false},
    {"a comma and a word", TEXT(" a@b.example, c"), FROM_FIELD_SEVERAL, NULL,
     NULL, NULL, false},
    {"a semicolon between two", TEXT(" a@b.example; c@d.example"),
     FROM_FIELD_SEVERAL, NULL, NULL, NULL, false},
    {"a comma in an unquoted name", TEXT(" Doe, John <a@b.example>"),
     FROM_FIELD_SEVERAL, "a@b.example", "Doe, John", NULL, false},
    {"a group", TEXT(" Team: A <a@b.example>, c@d.example;"), FROM_FIELD_GROUP,
     NULL, "Team", NULL, false},
    {"a group of one", TEXT(" Team: a@b.example;"), FROM_FIELD_GROUP,
     "a@b.example", "Team", NULL, false},
    {"a group whose name is an address", TEXT(" a@b.example:;"),
     FROM_FIELD_GROUP, NULL, NULL, NULL, false},
    {"a URI", TEXT(" mailto:a@b.example"), FROM_FIELD_GROUP, "a@b.example",
     NULL, NULL, false},
    {"an address for a scheme that is none", TEXT(" smtp:a@b.example"),
     FROM_FIELD_GROUP, "a@b.example", "smtp", NULL, false},
    {"an empty group", TEXT(" undisclosed-recipients:;"), FROM_FIELD_GROUP,
     NULL, "undisclosed-recipients", NULL, false},
    {"a colon in an unquoted name", TEXT(" Scan: floor <a@b.example>"),
     FROM_FIELD_GROUP, "a@b.example", "Scan: floor", NULL, false},
    {"a colon in an encoded word", TEXT(" =?utf-8?q?a:b?= <a@b.example>"),
     FROM_FIELD_GROUP, "a@b.example", "=?utf-8?q?a:b?=", NULL, false},

    /* Addresses that are not plain. */
    {"a source route", TEXT(" <@a.example,@b.example:c@d.example>"),
     FROM_FIELD_ROUTE, NULL, NULL, NULL, true},
    {"a route without brackets", TEXT(" @good.example,@e.example:a@b.example"),
     FROM_FIELD_GROUP, NULL, NULL, NULL, false},
    {"a quoted local part", TEXT(" \"a b\"@c.example"), FROM_FIELD_QUOTED_LOCAL,
     NULL, NULL, NULL, false},
    {"a quoted local part in brackets", TEXT(" Scan <\"a@b\"@c.example>"),
     FROM_FIELD_QUOTED_LOCAL, NULL, "Scan", NULL, true},
    {"an address literal", TEXT(" Scan <a@[10.0.0.1]>"), FROM_FIELD_BAD_ADDRESS,
     NULL, "Scan", NULL, true},
    {"a bare address literal", TEXT(" a@[10.0.0.1]"), FROM_FIELD_UNPARSABLE,
     NULL, NULL, NULL, false},
    {"blanks around the @ within brackets", TEXT(" Scan <a @\t b.example>"),
     FROM_FIELD_BAD_ADDRESS, "a@b.example", "Scan", NULL, true},
    {"a blank within a domain", TEXT(" Scan <a@b. example>"),
     FROM_FIELD_BAD_ADDRESS, NULL, "Scan", NULL, true},
    {"a URI in brackets", TEXT(" Scan <MailTo:a@b.example>"),
     FROM_FIELD_BAD_ADDRESS, "a@b.example", "Scan", NULL, true},
    {"a dot at the end", TEXT(" a@b.example."), FROM_FIELD_BAD_ADDRESS,
     "a@b.example", NULL, NULL, true},
    {"two dots at the end", TEXT(" <a@b.example..>"), FROM_FIELD_BAD_ADDRESS,
     NULL, NULL, NULL, true},
    {"a comment within brackets", TEXT(" <a@b.example(evil)>"),
     FROM_FIELD_BAD_ADDRESS, NULL, NULL, NULL, true},
    {"a fold within brackets", TEXT(" Scan <a@\n b.example>"),
     FROM_FIELD_BAD_ADDRESS, "a@b.example", "Scan", NULL, true},
    {"an encoded word as address", TEXT(" =?utf-8?q?a=40b.example?="),
     FROM_FIELD_NO_ADDRESS, NULL, "=?utf-8?q?a=40b.example?=", NULL, false},
    {"an encoded word as local part", TEXT(" <=?utf-8?q?evil?=@g.example>"),
     FROM_FIELD_BAD_ADDRESS, NULL, NULL, NULL, true},
    {"a percent route", TEXT(" evil%e.example@g.example"),
     FROM_FIELD_BAD_ADDRESS, NULL, NULL, NULL, true},
    {"a bang path", TEXT(" <e.example!evil@g.example>"), FROM_FIELD_BAD_ADDRESS,
     NULL, NULL, NULL, true},
    {"two dots", TEXT(" a..b@c.example"), FROM_FIELD_BAD_ADDRESS, NULL, NULL,
     NULL, true},
    {"two @", TEXT(" a@b@c.example"), FROM_FIELD_BAD_ADDRESS, NULL, NULL, NULL,
     true},
    {"an underscore in the domain", TEXT(" Scan <a@print_server>"),
     FROM_FIELD_BAD_ADDRESS, NULL, "Scan", NULL, true},
    {"ISO 8859-1 in the address", TEXT(" <m\xfcller@b.example>"),
     FROM_FIELD_BAD_ADDRESS, NULL, NULL, NULL, true},

    /* What one reader takes for one address and another for another. */
    {"an address before the brackets", TEXT(" a@b.example <c@d.example>"),
     FROM_FIELD_AMBIGUOUS, "c@d.example", "a@b.example", NULL, false},
    {"an address after the brackets", TEXT(" <a@b.example> c@d.example"),
     FROM_FIELD_AMBIGUOUS, NULL, NULL, NULL, false},
    {"words after the brackets", TEXT(" Scan <a@b.example> floor"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", "Scan", NULL, false, "floor"},
    {"the name after the brackets", TEXT(" <a@b.example> Scan \"3\" (x)"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", NULL, "x", false, "Scan \"3\""},
    {"a quoted address after the brackets",
     TEXT(" <a@b.example> \"c@d.example\""), FROM_FIELD_AMBIGUOUS, NULL, NULL,
     NULL, false},
    {"a list after the brackets", TEXT(" <a@b.example> Doe, John"),
     FROM_FIELD_SEVERAL, NULL, NULL, NULL, false},
    {"a comment with a comma", TEXT(" a@b.example (Doe, John)"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", NULL, "Doe, John", false},
    {"words before a bare address", TEXT(" Scan a@b.example"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", "Scan", NULL, false},
    {"blanks around the @", TEXT(" a @ b.example"), FROM_FIELD_AMBIGUOUS, NULL,
     "a", NULL, false},
    {"a comment with an address", TEXT(" a@b.example (<evil@e.example>)"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", NULL, "<evil@e.example>", false},
    {"a comment right after the address",
     TEXT(" good@g.example(x<evil@e.example>)"), FROM_FIELD_AMBIGUOUS,
     "good@g.example", NULL, "x<evil@e.example>", false},
    {"a nested comment", TEXT(" a@b.example (x (y))"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", NULL, "x (y)", false},
    {"a quoted name with an address in brackets",
     TEXT(" \"good <a@b.example>\" <c@d.example>"), FROM_FIELD_AMBIGUOUS,
     "c@d.example", "\"good <a@b.example>\"", NULL, false},
    {"a quoted name that seems to end early",
     TEXT(" \"a\\\" a@b.example, \\\"\" <c@d.example>"), FROM_FIELD_AMBIGUOUS,
     "c@d.example", "\"a\\\" a@b.example, \\\"\"", NULL, false},
    {"an encoded word with an address in brackets",
     TEXT(" =?utf-8?q?=3Ca=40b=3E?= <c@d.example>"), FROM_FIELD_AMBIGUOUS,
     "c@d.example", "=?utf-8?q?=3Ca=40b=3E?=", NULL, false},
    {"an address in two encoded words",
     TEXT(" =?utf-8?q?=3Ca=40?= =?utf-8?q?b=3E?= <c@d.example>"),
     FROM_FIELD_AMBIGUOUS, "c@d.example",
     "=?utf-8?q?=3Ca=40?= =?utf-8?q?b=3E?=", NULL, false},
    {"an encoded word in quotes, with an address in brackets",
     TEXT(" \"=?utf-8?b?PGFAYj4=?=\" <c@d.example>"), FROM_FIELD_AMBIGUOUS,
     "c@d.example", "\"=?utf-8?b?PGFAYj4=?=\"", NULL, false},
    {"an encoded NUL", TEXT(" =?utf-8?b?YWJjAA==?= <c@d.example>"),
     FROM_FIELD_AMBIGUOUS, "c@d.example", "=?utf-8?b?YWJjAA==?=", NULL, false},
    {"an encoded line end", TEXT(" =?utf-8?q?a=0AFrom:_b?= <c@d.example>"),
     FROM_FIELD_GROUP, "c@d.example", "=?utf-8?q?a=0AFrom:_b?=", NULL, false},
    {"an encoded word in UTF-7",
     TEXT(" =?utf-7?q?+ADw-a+AEA-b?= <c@d.example>"), FROM_FIELD_AMBIGUOUS,
     "c@d.example", "=?utf-7?q?+ADw-a+AEA-b?=", NULL, false},

    {"an encoded comma behind an @",
     TEXT(" =?utf-8?q?evil=40x.example=2C?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example",
     "=?utf-8?q?evil=40x.example=2C?=", NULL, false},
    {"an encoded semicolon behind a quoted @",
     TEXT(" \"x@y\" =?utf-8?q?=3B?= <a@b.example>"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", "\"x@y\" =?utf-8?q?=3B?=", NULL, false},
    {"Shift_JIS with an @ and a bracket",
     TEXT(" =?shift_jis?b?g0A8?= <a@b.example>"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", "=?shift_jis?b?g0A8?=", NULL, false},
    {"UTF-7 by its other name", TEXT(" =?utf7?q?+ADw-e?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", "=?utf7?q?+ADw-e?=", NULL, false},
    {"UTF-7 by its oldest name",
     TEXT(" =?unicode-1-1-utf-7?q?+ADw-e?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example",
     "=?unicode-1-1-utf-7?q?+ADw-e?=", NULL, false},
    {"EBCDIC", TEXT(" =?cp037?b?TIWliZN8p0uDlpRuQA==?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example",
     "=?cp037?b?TIWliZN8p0uDlpRuQA==?=", NULL, false},
    {"UTF-16", TEXT(" =?utf-16le?b?PABlAA==?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", "=?utf-16le?b?PABlAA==?=", NULL,
     false},
    {"ISO-2022-KR",
     TEXT(" =?iso-2022-kr?b?GyQpQzxldmlsQHguY29tPiw=?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example",
     "=?iso-2022-kr?b?GyQpQzxldmlsQHguY29tPiw=?=", NULL, false},
    {"ISO-2022-JP-2",
     TEXT(" =?iso-2022-jp-2?b?Gy5BPGV2aWxAeC5jb20+LA==?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example",
     "=?iso-2022-jp-2?b?Gy5BPGV2aWxAeC5jb20+LA==?=", NULL, false},
    {"escapes of Unicode",
     TEXT(" =?unicode-escape?b?XHgzY2V2aWxceDQweC5jb21ceDNlLA==?= "
          "<a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example",
     "=?unicode-escape?b?XHgzY2V2aWxceDQweC5jb21ceDNlLA==?=", NULL, false},
    {"a control in GB18030", TEXT(" =?gb18030?b?gTanMXg=?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", "=?gb18030?b?gTanMXg=?=", NULL,
     false},
    {"the same under an older name",
     TEXT(" =?gb2312?b?gTanMXg=?= <a@b.example>"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", "=?gb2312?b?gTanMXg=?=", NULL, false},
    {"a charset that nobody knows", TEXT(" =?x-nobody?q?e?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", "=?x-nobody?q?e?=", NULL, false},
    {"ISO-2022-JP with a line end while shifted",
     TEXT(" =?iso-2022-jp?b?GyRCCjxldmlsQHguY29tPiw=?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example",
     "=?iso-2022-jp?b?GyRCCjxldmlsQHguY29tPiw=?=", NULL, false},
    {"ISO-2022-JP with another escape sequence",
     TEXT(" =?iso-2022-jp?b?GyhJYRsoQg==?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example",
     "=?iso-2022-jp?b?GyhJYRsoQg==?=", NULL, false},
    {"ISO-2022-JP that ends while shifted",
     TEXT(" =?iso-2022-jp?b?GyRCPHU=?= <a@b.example>"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", "=?iso-2022-jp?b?GyRCPHU=?=", NULL, false},
    {"ISO-2022-JP with half a character",
     TEXT(" =?iso-2022-jp?b?GyRCPBsoQg==?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example",
     "=?iso-2022-jp?b?GyRCPBsoQg==?=", NULL, false},
    {"ISO-2022-JP that ends in an escape sequence",
     TEXT(" =?iso-2022-jp?b?YRsk?= <a@b.example>"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", "=?iso-2022-jp?b?YRsk?=", NULL, false},
    {"ISO-2022-JP with an address in its ASCII",
     TEXT(" =?iso-2022-jp?b?GyRCPHUbKEI8YUBiPg==?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example",
     "=?iso-2022-jp?b?GyRCPHUbKEI8YUBiPg==?=", NULL, false},
    /* `=?` that some take for the beginning of an encoded word. */
    {"an encoded word without an end", TEXT(" =?us-ascii?q?=41 <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", "=?us-ascii?q?=41", NULL, false},
    {"an encoded word that runs on into quotes",
     TEXT(" =?us-ascii?q?=41 \"?= <evil\"\"@x.example\" <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example",
     "=?us-ascii?q?=41 \"?= <evil\"\"@x.example\"", NULL, false},
    {"one that begins in quotes", TEXT(" \"=?us-ascii?q?=41\" <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", "\"=?us-ascii?q?=41\"", NULL, false},
    {"one that begins in a comment", TEXT(" a@b.example (=?us-ascii?q?=41)"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", NULL, "=?us-ascii?q?=41", false},
    {"one with an escaped mark", TEXT(" \"=\\?utf-8?q?x\" <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", "\"=\\?utf-8?q?x\"", NULL, false},
    {"two encoded words with a dot between",
     TEXT(" =?utf-8?q?a?=.=?utf-8?q?b?= <a@b.example>"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", "=?utf-8?q?a?=.=?utf-8?q?b?=", NULL, false},
    {"two without a blank between",
     TEXT(" =?utf-8?q?a?==?utf-8?q?b?= <a@b.example>"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", "=?utf-8?q?a?==?utf-8?q?b?=", NULL, false},
    {"an encoded word right after quotes",
     TEXT(" \"x\"=?utf-8?q?a?= <a@b.example>"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", "\"x\"=?utf-8?q?a?=", NULL, false},
    {"an encoded word right before a comment",
     TEXT(" =?utf-8?q?a?=(x) <a@b.example>"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", "=?utf-8?q?a?=", "x", false},
    {"an encoded word right before the brackets",
     TEXT(" =?utf-8?q?a?=<a@b.example>"), FROM_FIELD_PLAIN, "a@b.example",
     "=?utf-8?q?a?=", NULL, true},
    {"an encoded word as a comment", TEXT(" a@b.example (=?utf-8?q?a?=)"),
     FROM_FIELD_PLAIN, "a@b.example", NULL, "=?utf-8?q?a?=", true},
    {"encoded words within quotes",
     TEXT(" \"x =?utf-8?q?a?= =?utf-8?b?YQ==?=\" <a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example", "\"x =?utf-8?q?a?= =?utf-8?b?YQ==?=\"",
     NULL, true},
    {"an encoded quote beside a quoted address",
     TEXT(" \"=?utf-8?q?=22?= evil@x.example\" <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example", "\"=?utf-8?q?=22?= evil@x.example\"",
     NULL, false},

    /* Broken. */
    {"a quote that is not closed", TEXT(" \"Scan <a@b.example>"),
     FROM_FIELD_UNPARSABLE, NULL, "\"Scan", NULL, false},
    {"brackets that are not closed", TEXT(" Scan <a@b.example"),
     FROM_FIELD_UNPARSABLE, NULL, "Scan", NULL, false},
    {"a comment that is not closed", TEXT(" a@b.example ("),
     FROM_FIELD_UNPARSABLE, NULL, "a@b.example (", NULL, false},
    {"nested brackets", TEXT(" Scan <<a@b.example>>"), FROM_FIELD_UNPARSABLE,
     NULL, "Scan", NULL, false},
    {"a closing bracket too many", TEXT(" Scan <a@b.example>>"),
     FROM_FIELD_UNPARSABLE, "a@b.example", "Scan", NULL, false},
    {"a closing parenthesis too many", TEXT(" Scan) <a@b.example>"),
     FROM_FIELD_UNPARSABLE, "a@b.example", "Scan)", NULL, false},
    {"square brackets in the name", TEXT(" [Scan] <a@b.example>"),
     FROM_FIELD_UNPARSABLE, "a@b.example", "[Scan]", NULL, false},
    {"a backslash outside of quotes", TEXT(" Scan\\ 3 <a@b.example>"),
     FROM_FIELD_UNPARSABLE, "a@b.example", "Scan\\ 3", NULL, false},
    {"a name that begins with a dot", TEXT(" .net <a@b.example>"),
     FROM_FIELD_UNPARSABLE, "a@b.example", ".net", NULL, false},

    /* Bytes and sizes. */
    {"a NUL", TEXT(" good@g.example\0<evil@e.example>"), FROM_FIELD_BAD_BYTES,
     NULL, NULL, NULL, false},
    {"a carriage return", TEXT(" a@b.example\r"), FROM_FIELD_BAD_BYTES,
     "a@b.example", NULL, NULL, false},
    {"a control byte in the name", TEXT(" Sc\001an <a@b.example>"),
     FROM_FIELD_BAD_BYTES, "a@b.example", "Sc\001an", NULL, false},
    {"an override of the direction in the name",
     TEXT(" \xe2\x80\xaeScan <a@b.example>"), FROM_FIELD_BAD_BYTES,
     "a@b.example", "\xe2\x80\xaeScan", NULL, false},
    {"an isolate in a quoted name", TEXT("\"\xe2\x81\xa7Scan\" <a@b.example>"),
     FROM_FIELD_BAD_BYTES, "a@b.example", "\"\xe2\x81\xa7Scan\"", NULL, false},
    {"next line, U+0085, in the name", TEXT("Scan\xc2\x85 <a@b.example>"),
     FROM_FIELD_BAD_BYTES, "a@b.example", "Scan\xc2\x85", NULL, false},
    {"a line separator in a comment", TEXT("a@b.example (\xe2\x80\xa8)"),
     FROM_FIELD_BAD_BYTES, "a@b.example", NULL, "\xe2\x80\xa8", false},
    {"next line in an encoded word",
     TEXT("=?iso-8859-2?q?Scan=85?= <a@b.example>"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", "=?iso-8859-2?q?Scan=85?=", NULL, false},
    {"an ellipsis of Windows in an encoded word",
     TEXT("=?iso-8859-1?q?Scan=85?= <a@b.example>"), FROM_FIELD_PLAIN,
     "a@b.example", "=?iso-8859-1?q?Scan=85?=", NULL, true},
    {"an override in an encoded word",
     TEXT("=?UTF-8?q?=E2=80=AEScan?= <a@b.example>"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", "=?UTF-8?q?=E2=80=AEScan?=", NULL, false},
    {"an embedding in one in base64",
     TEXT("=?utf-8?b?4oCqU2Nhbg==?= <a@b.example>"), FROM_FIELD_AMBIGUOUS,
     "a@b.example", "=?utf-8?b?4oCqU2Nhbg==?=", NULL, false},
    {"one that two encoded words make together",
     TEXT("=?utf-8?q?a=E2?= =?utf-8?q?=81=A6b?= <a@b.example>"),
     FROM_FIELD_AMBIGUOUS, "a@b.example",
     "=?utf-8?q?a=E2?= =?utf-8?q?=81=A6b?=", NULL, false},
    {"the marks of Arabic and Hebrew",
     TEXT("\xd8\x9c\xd7\xa9\xe2\x80\x8f \xe2\x80\x8e"
          "x <a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example",
     "\xd8\x9c\xd7\xa9\xe2\x80\x8f \xe2\x80\x8e"
     "x",
     NULL, true},
    {"the same in encoded words",
     TEXT("=?utf-8?q?=D8=9C=D7=A9=E2=80=8F_=E2=80=8Ex?= <a@b.example>"),
     FROM_FIELD_PLAIN, "a@b.example",
     "=?utf-8?q?=D8=9C=D7=A9=E2=80=8F_=E2=80=8Ex?=", NULL, true},
    {"a DEL", TEXT(" a\177@b.example"), FROM_FIELD_BAD_BYTES, NULL, NULL, NULL,
     false},
    {"a new line that is no fold", TEXT(" a@b.example\nBcc: c@d.example"),
     FROM_FIELD_BAD_BYTES, NULL, NULL, NULL, false},
    {"an empty line in the fold", TEXT(" Scan\n \n <a@b.example>"),
     FROM_FIELD_BAD_BYTES, "a@b.example", "Scan", NULL, false},
    {"a fold with nothing after it", TEXT(" a@b.example\n "),
     FROM_FIELD_BAD_BYTES, "a@b.example", NULL, NULL, false},
    {"a line feed at the end", TEXT(" a@b.example\n"), FROM_FIELD_BAD_BYTES,
     "a@b.example", NULL, NULL, false},
};

static void
check_span(const char *text, struct from_field_span span, const char *want)
{
    if (want == NULL) {
        assert_int_equal(span.len, 0);
        return;
    }
    assert_int_equal(span.len, strlen(want));
    assert_memory_equal(text + span.at, want, span.len);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct from_field got;
    char *copy = malloc(row->len + 1);

    /* Of the exact size, so that a byte too far is seen. */
    assert_non_null(copy);
    memcpy(copy, row->text, row->len);
    from_field_parse(copy, row->len, &got);
    if (got.kind != row->want)
        print_message("%s: %s\n", row->name, from_field_kind_text(got.kind));
    assert_int_equal(got.kind, row->want);
    if (row->want != FROM_FIELD_BAD_BYTES || row->want_address != NULL)
        assert_string_equal(got.address,
                            row->want_address != NULL ? row->want_address : "");
    if (row->want_name != NULL || row->want != FROM_FIELD_BAD_BYTES)
        check_span(copy, got.name, row->want_name);
    check_span(copy, got.comment, row->want_comment);
    check_span(copy, got.name_after, row->want_after);
    assert_int_equal(got.may_splice, row->want_splice);
    if (got.kind == FROM_FIELD_PLAIN) {
        assert_true(got.may_splice);
        assert_int_equal(got.spot.len, strlen(got.address));
        assert_memory_equal(copy + got.spot.at, got.address, got.spot.len);
    }
    free(copy);
}

/* ` N...N <a@b.example>` of `len` bytes, folded every `line` bytes. */
static char *
long_field(size_t len, size_t line)
{
    static const char end[] = " <a@b.example>";
    char *text = malloc(len + 1);

    assert_non_null(text);
    memset(text, 'N', len);
    text[0] = ' ';
    memcpy(text + len - strlen(end), end, sizeof(end));
    for (size_t i = line; i + sizeof(end) + 2 < len; i += line)
        memcpy(text + i, "\n ", 2);
    return text;
}

static void
check_long(size_t len, size_t line, enum from_field_kind want)
{
    char *text = long_field(len, line);
    struct from_field got;

    from_field_parse(text, len, &got);
    assert_int_equal(got.kind, want);
    free(text);
}

static void
lines_and_fields_have_limits(void **state)
{
    (void)state;
    check_long(FROM_FIELD_LINE_MAX - 5, 100000, FROM_FIELD_PLAIN);
    check_long(FROM_FIELD_LINE_MAX - 4, 100000, FROM_FIELD_TOO_LONG);
    check_long(FROM_FIELD_MAX, 500, FROM_FIELD_PLAIN);
    check_long(FROM_FIELD_MAX + 1, 500, FROM_FIELD_TOO_LONG);
}

static void
members_of_a_list_come_one_by_one(void **state)
{
    static const char text[] = "Team: \"a, b\" <c@d>, (x,y) e@f;g@h,";
    static const char *const want[] = {"Team", " \"a, b\" <c@d>", " (x,y) e@f",
                                       "g@h"};
    struct from_field_span member;
    size_t at = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(from_field_next(text, sizeof(text) - 1, &at, &member));
        check_span(text, member, want[i]);
    }
    assert_false(from_field_next(text, sizeof(text) - 1, &at, &member));
}

static void
a_phrase_holds_no_address(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } phrases[] = {
        {"Scan", true},       {"John Q. Public", true},
        {"\"a@b\"", true},    {"a@b", false},
        {"", false},          {" ", false},
        {"a, b", false},      {"\"a", false},
        {"a <b>", false},     {"(only)", false},
        {"\"<a@b>\"", false}, {"a\nb", false},
        {"a\n b", true},      {"=?utf-8?q?a?=", true},
        {"[x]", false},       {"=?utf-8?q?=00?=", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
        assert_int_equal(
            from_field_is_phrase(phrases[i].text, strlen(phrases[i].text)),
            phrases[i].want);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 3];
    size_t count = ARRAY_LEN(rows);

    for (size_t i = 0; i < count; i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(lines_and_fields_have_limits);
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(members_of_a_list_come_one_by_one);
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(a_phrase_holds_no_address);
    return cmocka_run_group_tests_name("from_field", tests, NULL, NULL);
}
