/*
 * sendas_file: a row is a text and what is taken and skipped of it; then the
 * samples of tests/data/exchange, which look as Exchange prints them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/sendas_file.h"
#include "common/util.h"
#include "tests/unit/scratch.h"

#define MAILBOX "relay@contoso.com"

struct row {
    const char *name;
    const char *text;
    const char *mailbox; /* NULL: MAILBOX */
    const char *want;    /* LINE/ENTRY with a blank after each */
    const char *skipped; /* LINE/WHAT: REASON; */
    const char *error;   /* after `FILE:`; NULL: none */
};

#define PERMISSIONS "Identity,Trustee,AccessControlType,AccessRights\n"

static struct row rows[] = {
    {.name = "a denial of a name that is no address",
     .text = PERMISSIONS "boss," MAILBOX ",Deny,SendAs\n",
     .want = "",
     .skipped = "2/boss: permission that is denied;",
     .error = "2: Identity is no address"},
    {.name = "a denial whose addresses are lost",
     .text = "EmailAddresses,Trustee,AccessControlType\n"
             "System.Object[]," MAILBOX ",Deny\n",
     .want = "",
     .skipped = "2/System.Object[]: permission that is denied;",
     .error = "2: the name of a type stands where addresses should be"},
    {.name = "nothing", .text = "", .want = ""},
    {.name = "comments only", .text = "# a\n\n  # b", .want = ""},
    {.name = "a list",
     .text = "# a\n a@b.c # x\n\n\t@b.c\n@.d.e\t\n#f@g.h\ni#j@k.l",
     .want = "2/a@b.c 4/@b.c 5/@.d.e 7/i#j@k.l "},
    {.name = "a list with a line that is none",
     .text = "a@b.c\nd@e.f,g\n",
     .want = "1/a@b.c ",
     .error = "2: a line must be \"user@example.com\", \"@example.com\" "},
    {.name = "a list with a very long line",
     .text =
         "a@b.c\n"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b.c",
     .want = "1/a@b.c ",
     .error = "2: a line must be"},
    {.name = "prose",
     .text = "# x\nWho may send as whom\n",
     .want = "",
     .error = "2: this is neither an address nor the header of a table"},
    {.name = "a table whose columns say nothing",
     .text = "Department,Office\nx,y\n",
     .want = "",
     .error = "1: this is neither an address nor the header"},
    {.name = "permissions of mailboxes, which are no SendAs",
     .text = "Identity,User,AccessRights\nx,y,FullAccess\n",
     .want = "",
     .error = "1: this is neither"},

    {.name = "a table of addresses",
     .text = "Address,Comment\na@b.c,\"x, y\"\n\"@b.c\",\n@.b.c,z",
     .want = "2/a@b.c 3/@b.c 4/@.b.c "},
    {.name = "with semicolons, blanks and an own spelling",
     .text = "Floor ; E-Mail \n1; a@b.c \n2;d@e.f",
     .want = "2/a@b.c 3/d@e.f "},
    {.name = "with tabs", .text = "mail\tx\na@b.c\t1\n", .want = "2/a@b.c "},
    {.name = "a table for several mailboxes",
     .text = "mailbox,address\nRelay@Contoso.com,a@b.c\nx@contoso.com,d@e.f\n",
     .want = "2/a@b.c ",
     .skipped = "3/d@e.f: permission of somebody else;"},
    {.name = "a table with something that is no address",
     .text = "address\na@b.c\nnobody\n",
     .want = "2/a@b.c ",
     .error = "3: the address must be"},
    {.name = "a table with an empty address",
     .text = "address,x\n,y\n",
     .want = "",
     .error = "2: the address must be"},
    {.name = "a row with a field more",
     .text = "address,x\na@b.c,y,z\n",
     .want = "",
     .error = "2: there are 3 fields where the header has 2;"},
    {.name = "a row with a field less",
     .text = "address,x\na@b.c\n",
     .want = "",
     .error = "2: there are 1 fields where the header has 2;"},
    {.name = "a quote that is never closed",
     .text = "address,x\na@b.c,\"y\n",
     .want = "",
     .error = "2: a quote is opened here and never closed"},
    {.name = "a column twice",
     .text = "address,mail\na@b.c,d@e.f\n",
     .want = "",
     .error = "1: this is neither"},

    {.name = "permissions",
     .text = PERMISSIONS "a@b.c," MAILBOX ",Allow,SendAs\n"
                         "d@e.f,RELAY@contoso.com,Allow,{SendAs}\n"
                         "g@h.i,other@contoso.com,Allow,SendAs\n"
                         "j@k.l,NT AUTHORITY\\SELF,Allow,SendAs\n"
                         "m@n.o," MAILBOX ",Allow,FullAccess\n"
                         "p@q.r," MAILBOX ",Allow,System.Object[]\n"
                         "s@t.u," MAILBOX ",,\n",
     .want = "2/a@b.c 3/d@e.f 7/p@q.r 8/s@t.u ",
     .skipped = "4/g@h.i: permission of somebody else;"
                "5/j@k.l: mailbox that may send as itself;"
                "6/m@n.o: other right than SendAs;"},
    {.name = "a denial wins, wherever it stands",
     .text = PERMISSIONS "a@b.c," MAILBOX ",Allow,SendAs\n"
                         "A@B.C," MAILBOX ",Deny,SendAs\n"
                         "d@e.f," MAILBOX ",deny,SendAs\n"
                         "d@e.f," MAILBOX ",Allow,SendAs\n"
                         "g@h.i," MAILBOX ",Allow,SendAs\n"
                         "g@h.i,x@contoso.com,Deny,SendAs\n",
     .want = "6/g@h.i ",
     .skipped = "2/a@b.c: permission that is denied;"
                "3/A@B.C: permission that is denied;"
                "4/d@e.f: permission that is denied;"
                "5/d@e.f: permission that is denied;"
                "7/g@h.i: permission of somebody else;"},
    {.name = "neither allowed nor denied",
     .text = PERMISSIONS "a@b.c," MAILBOX ",Audit,SendAs\n",
     .want = "",
     .error = "2: AccessControlType is neither Allow nor Deny"},
    {.name = "a permission for a name",
     .text = PERMISSIONS "a@b.c," MAILBOX ",Allow,SendAs\n"
                         "Sales Team," MAILBOX ",Allow,SendAs\n",
     .want = "2/a@b.c ",
     .error = "3: Identity is no address; use what Export-SendAs.ps1"},
    {.name = "the name of somebody else's does no harm",
     .text = PERMISSIONS "Sales Team,x@contoso.com,Allow,SendAs\n",
     .want = "",
     .skipped = "2/Sales Team: permission of somebody else;"},
    {.name = "permissions with the type of Windows PowerShell before them",
     .text = "#TYPE Selected.System.Management.Automation.PSCustomObject\n"
             "\"Trustee\",\"Identity\"\n\"" MAILBOX "\",\"a@b.c\"\n",
     .want = "3/a@b.c "},
    {.name = "permissions with addresses",
     .text = "Identity;Trustee;EmailAddresses\nSales Team;" MAILBOX
             ";\"SMTP:a@b.c;smtp:d@e.f;X500:/o=x y/cn=z\"\n",
     .want = "2/a@b.c 2/d@e.f ",
     .skipped = "2/X500:/o=x y/cn=z: address that is not SMTP;"},
    {.name = "permissions with primary addresses",
     .text = "PrimarySmtpAddress,Trustee\na@b.c," MAILBOX "\n",
     .want = "2/a@b.c "},
    {.name = "rights are whole words",
     .text =
         PERMISSIONS "a@b.c," MAILBOX ",Allow,NotSendAs\n"
                     "d@e.f," MAILBOX ",Allow,\"{ReadPermission, sendas}\"\n"
                     "g@h.i," MAILBOX ",Allow,SendAsNot\n",
     .want = "3/d@e.f ",
     .skipped = "2/a@b.c: other right than SendAs;4/g@h.i: other right than "
                "SendAs;"},
    {.name = "a star for everybody is no address",
     .text = "DisplayName,EmailAddresses\nA,SMTP:*@b.c smtp:d@e.f\n",
     .want = "2/d@e.f ",
     .skipped = "2/*@b.c: SMTP address that no From can have;"},
    {.name = "a list with a star for everybody",
     .text = "a@b.c\n*@d.e\n",
     .want = "1/a@b.c ",
     .error = "2: a line must not begin with \"*\": for everybody of a domain "
              "write \"@d.e\""},
    {.name = "permissions that say not of what",
     .text = "Trustee,AccessRights\n" MAILBOX ",SendAs\n",
     .want = "",
     .error = "1: this is neither"},

    {.name = "recipients",
     .text = "DisplayName,EmailAddresses\nA,SMTP:a@b.c smtp:d@e.f\n"
             "B,SMTP:g@h.i SIP:g@h.i smtp:g_h@i_j\n",
     .want = "2/a@b.c 2/d@e.f 3/g@h.i ",
     .skipped = "3/SIP:g@h.i: address that is not SMTP;"
                "3/g_h@i_j: SMTP address that no From can have;"},
    {.name = "recipients' primary addresses",
     .text = "PrimarySmtpAddress\na@b.c\n",
     .want = "2/a@b.c "},
    {.name = "a recipient without addresses",
     .text = "Identity,EmailAddresses\nx,\n",
     .want = "",
     .skipped = "2/x: recipient whose address is not known;"},
    {.name = "lists of addresses that were not joined",
     .text = "PrimarySmtpAddress,EmailAddresses\na@b.c,System.Object[]\n",
     .want = "",
     .error = "2: the name of a type stands where addresses should be"},
    {.name = "lists of addresses that were cut off",
     .text = "EmailAddresses\n\"{SMTP:a@b.c, smtp:d@e.f...}\"\n",
     .want = "2/a@b.c ",
     .error = "2: addresses are missing where \"...\" stands"},
    {.name = "addresses that are none",
     .text = "EmailAddresses\nhello\n",
     .want = "",
     .error = "2: addresses are not understood"},
    {.name = "with no mailbox in mind nobody's permissions count",
     .text = "mailbox,address\n,a@b.c\n",
     .mailbox = "",
     .want = "",
     .skipped = "2/a@b.c: permission of somebody else;"},
};

static void
add_note(const struct sendas_file_note *note, void *arg)
{
    struct buf *out = arg;

    buf_append_int(out, note->line);
    buf_append_char(out, '/');
    buf_append_str(out, note->what);
    buf_append_str(out, ": ");
    buf_append_str(out, sendas_file_reason_text(note->reason));
    buf_append_char(out, ';');
}

static void
check_taken(const struct sendas_file *file, const char *want)
{
    struct buf got;

    buf_init(&got, 10000);
    for (size_t i = 0; i < file->count; i++) {
        buf_append_int(&got, file->entries[i].line);
        buf_append_char(&got, '/');
        buf_append_str(&got, sendas_file_text(file, i));
        buf_append_char(&got, ' ');
    }
    assert_string_equal(buf_str(&got), want);
    buf_clear(&got);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    const char *mailbox = row->mailbox != NULL ? row->mailbox : MAILBOX;
    struct err err = {ERR_NONE, ""};
    struct sendas_file file;
    struct buf skipped;
    size_t sum = 0;
    struct sendas_file_options options = {
        .name = "FILE",
        .mailbox = mailbox[0] != '\0' ? mailbox : NULL,
        .note = add_note,
        .arg = &skipped,
    };

    buf_init(&skipped, 10000);
    assert_int_equal(sendas_file_parse(&options, row->text, &file, &err),
                     row->error == NULL ? 0 : -1);
    check_taken(&file, row->want);
    assert_string_equal(buf_str(&skipped),
                        row->skipped != NULL ? row->skipped : "");
    for (size_t i = 0; i < SENDAS_FILE_REASONS; i++)
        sum += file.skipped[i];
    assert_int_equal(sum, file.skipped_count);
    if (row->error != NULL) {
        assert_int_equal(err.code, ERR_CONFIG);
        if (strncmp(err.text, "FILE:", 5) != 0 ||
            strncmp(err.text + 5, row->error, strlen(row->error)) != 0)
            fail_msg("\"%s\" where \"%s\" is wanted", err.text, row->error);
        assert_true(strlen(err.text) < ERR_TEXT_MAX - 1);
    }
    buf_clear(&skipped);
    sendas_file_clear(&file);
}

/* ---- the samples ---- */

static void
load_sample(const char *name, struct textfile *out)
{
    struct err err = {ERR_NONE, ""};
    char path[1024];

    (void)snprintf(path, sizeof(path), "%s/tests/data/exchange/%s", SOURCE_DIR,
                   name);
    assert_int_equal(sendas_file_load(path, out, &err), 0);
}

static struct recipients *
load_recipients(void)
{
    struct recipients *recipients = recipients_new();
    struct err err = {ERR_NONE, ""};
    struct sendas_table table;
    struct textfile text;

    assert_non_null(recipients);
    load_sample("recipients.csv", &text);
    assert_int_equal(sendas_table_open(&table, "R", text.text, &err), 0);
    assert_int_equal(table.kind, SENDAS_TABLE_RECIPIENTS);
    assert_int_equal(recipients_add(recipients, &table, &err), 0);
    sendas_table_clear(&table);
    textfile_clear(&text);
    assert_int_equal(recipients_count(recipients), 8);
    return recipients;
}

static void
check_sample(const char *name, const struct recipients *recipients,
             const char *want, const char *want_skipped)
{
    struct err err = {ERR_NONE, ""};
    struct textfile text;
    struct sendas_file file;
    struct buf skipped;
    struct sendas_file_options options = {.name = name,
                                          .mailbox = MAILBOX,
                                          .recipients = recipients,
                                          .note = add_note,
                                          .arg = &skipped};

    buf_init(&skipped, 10000);
    load_sample(name, &text);
    assert_int_equal(sendas_file_parse(&options, text.text, &file, &err), 0);
    check_taken(&file, want);
    assert_string_equal(buf_str(&skipped), want_skipped);
    sendas_file_clear(&file);
    textfile_clear(&text);
    buf_clear(&skipped);
}

static void
what_the_script_exports_needs_nothing_else(void **state)
{
    (void)state;
    check_sample("export-sendas.csv", NULL,
                 "2/alerts@contoso.com 2/alarm@contoso.com "
                 "2/alerts@contoso.onmicrosoft.com 3/sales@contoso.com "
                 "3/orders@shop.contoso.com 4/jo@contoso.com "
                 "4/jo.mueller@contoso.com ",
                 "6/sales_20190412: permission of somebody else;"
                 "7/boss: permission that is denied;"
                 "8/boss: permission that is denied;");
}

static void
names_in_permissions_are_looked_up_among_recipients(void **state)
{
    struct recipients *recipients = load_recipients();

    (void)state;
    check_sample(
        "permissions.csv", recipients,
        "4/alerts@contoso.com 4/alarm@contoso.com "
        "4/alerts@contoso.onmicrosoft.com 5/sales@contoso.com "
        "5/orders@shop.contoso.com 7/jo.mueller@contoso.com 7/jo@contoso.com "
        "8/erp@contoso.com 8/erp@contoso.onmicrosoft.com 11/desk@contoso.com ",
        "3/alerts: mailbox that may send as itself;"
        "4/X500:/o=ExchangeLabs/ou=Exchange Administrative Group "
        "(FYDIBOHF23SPDLT)/cn=Recipients/"
        "cn=00000000000000000000000000000002-alerts: address that is not SMTP;"
        "5/SIP:sales@contoso.com: address that is not SMTP;"
        "6/Sales Team: permission of somebody else;"
        "9/boss@contoso.com: permission that is denied;"
        "10/boss@contoso.com: permission that is denied;"
        "12/former@contoso.com: permission of somebody else;");
    recipients_free(&recipients);
}

static void
without_recipients_names_are_an_error(void **state)
{
    struct err err = {ERR_NONE, ""};
    struct textfile text;
    struct sendas_file file;
    struct sendas_file_options options = {.name = "P", .mailbox = MAILBOX};

    (void)state;
    load_sample("permissions.csv", &text);
    assert_int_equal(sendas_file_parse(&options, text.text, &file, &err), -1);
    assert_string_equal(err.text,
                        "P:4: Identity is no address; use what "
                        "Export-SendAs.ps1 or xoauth2ctl sendas import wrote");
    sendas_file_clear(&file);
    textfile_clear(&text);
}

static void
a_name_of_two_recipients_means_neither(void **state)
{
    struct recipients *recipients = recipients_new();
    struct err err = {ERR_NONE, ""};
    struct sendas_table table;
    const char *addresses = NULL;

    (void)state;
    assert_non_null(recipients);
    assert_int_equal(sendas_table_open(&table, "R",
                                       "Alias,DisplayName,EmailAddresses\n"
                                       "a,Desk,smtp:a@x.y\nb,desk,smtp:b@x.y\n"
                                       "c,c,smtp:c@x.y\n",
                                       &err),
                     0);
    assert_int_equal(recipients_add(recipients, &table, &err), 0);
    sendas_table_clear(&table);
    assert_int_equal(recipients_find(recipients, "Desk", &addresses),
                     RECIPIENTS_AMBIGUOUS);
    assert_int_equal(recipients_find(recipients, "nobody", &addresses),
                     RECIPIENTS_UNKNOWN);
    assert_int_equal(recipients_find(recipients, "A", &addresses),
                     RECIPIENTS_FOUND);
    assert_string_equal(addresses, "smtp:a@x.y");
    assert_int_equal(recipients_find(recipients, "c@X.y", &addresses),
                     RECIPIENTS_FOUND);
    assert_string_equal(addresses, "smtp:c@x.y");
    recipients_free(&recipients);
    assert_null(recipients);
}

/* ---- the file ---- */

static void
files_are_read_in_either_encoding(void **state)
{
    static const char wide[] = "\xff\xfe"
                               "a\0@\0\xfc\0.\0c\0\r\0\n\0";
    struct err err = {ERR_NONE, ""};
    struct textfile text;

    (void)state;
    scratch_write("list", wide, sizeof(wide) - 1, 0644);
    assert_int_equal(sendas_file_load(scratch_path("list"), &text, &err), 0);
    assert_string_equal(text.text, "a@\xc3\xbc.c\n");
    textfile_clear(&text);
    scratch_write_text("list", "\xef\xbb\xbf"
                               "a@b.c\r\n");
    assert_int_equal(sendas_file_load(scratch_path("list"), &text, &err), 0);
    assert_string_equal(text.text, "a@b.c\n");
    textfile_clear(&text);
    scratch_write("list", "\xff\xfe\0\0", 4, 0644);
    assert_int_equal(sendas_file_load(scratch_path("list"), &text, &err), -1);
    assert_non_null(strstr(err.text, "list:1: byte 0x00"));
}

int
main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(what_the_script_exports_needs_nothing_else),
        cmocka_unit_test(names_in_permissions_are_looked_up_among_recipients),
        cmocka_unit_test(without_recipients_names_are_an_error),
        cmocka_unit_test(a_name_of_two_recipients_means_neither),
        cmocka_unit_test(files_are_read_in_either_encoding),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    memcpy(tests + ARRAY_LEN(rows), others, sizeof(others));
    return cmocka_run_group_tests_name("sendas_file", tests, scratch_set_up,
                                       scratch_tear_down);
}
