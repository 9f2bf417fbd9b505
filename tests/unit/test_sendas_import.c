/*
 * sendas_import: a row is some files and the list that is made of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/sendas_import.h"
#include "common/util.h"

#define FILES_MAX 3
#define MAILBOX   "relay@contoso.com"
#define PEOPLE                                        \
    "Alias,DisplayName,EmailAddresses\n"              \
    "relay,Relay Mailbox,SMTP:relay@contoso.com\n"    \
    "sales,Sales,SMTP:sales@contoso.com smtp:s@c.d\n" \
    "desk1,Desk,SMTP:desk1@contoso.com\n"             \
    "desk2,Desk,SMTP:desk2@contoso.com\n"

#define DENIED "Identity,Trustee,AccessControlType\n"
#define NOT    "permission that is denied;"

struct row {
    const char *name;
    const char *files[FILES_MAX];
    const char *mailbox;
    const char *want;     /* entries with a blank after each */
    const char *trustees; /* the same */
    const char *notes;    /* reasons, with a semicolon after each */
    size_t repeated;
    const char *error;
};

static struct row rows[] = {
    {.name = "a list, sorted, each once",
     .files = {"b@b.c\nA@b.c\n@x.y\na@B.c\n"},
     .want = "@x.y A@b.c b@b.c ",
     .repeated = 1},
    {.name = "several lists and recipients",
     .files = {"b@b.c\n", "address\na@b.c\n", PEOPLE},
     .want = "a@b.c b@b.c desk1@contoso.com desk2@contoso.com "
             "relay@contoso.com s@c.d sales@contoso.com "},
    {.name = "names in permissions, explained before or behind",
     .files = {"Identity,Trustee\nSales,Relay Mailbox\nx@y.z,relay\n", PEOPLE},
     .mailbox = MAILBOX,
     .want = "s@c.d sales@contoso.com x@y.z "},
    {.name = "names that nobody explains, and that several have",
     .files = {PEOPLE, "Identity,Trustee\nDesk," MAILBOX "\nLobby," MAILBOX
                       "\nx@y.z," MAILBOX "\n"},
     .mailbox = MAILBOX,
     .want = "x@y.z ",
     .notes = "name that several recipients have;"
              "recipient whose address is not known;"},
    {.name = "permissions of others",
     .files = {"Identity,Trustee\na@b.c,x@y.z\nd@e.f," MAILBOX "\n"},
     .mailbox = MAILBOX,
     .want = "d@e.f ",
     .notes = "permission of somebody else;"},
    {.name = "an identity that no list may have",
     .files = {"Identity,Trustee\n*@b.c," MAILBOX "\nd@e.f," MAILBOX "\n"},
     .mailbox = MAILBOX,
     .want = "d@e.f ",
     .notes = "SMTP address that no From can have;"},
    {.name = "whose permissions there are",
     .files = {"Identity,Trustee\na@b.c,x@y.z\nd@e.f," MAILBOX
               "\ng@h.i,X@Y.z\nj@k.l,NT AUTHORITY\\SELF\n",
               "x@y.z\n"},
     .want = "x@y.z ",
     .trustees = MAILBOX " x@y.z ",
     .notes = "mailbox that may send as itself;"},
    {.name = "a denial in another file wins",
     .files = {"Identity,Trustee\na@b.c," MAILBOX "\nd@e.f," MAILBOX "\n",
               DENIED "A@B.C," MAILBOX ",Deny\n"},
     .mailbox = MAILBOX,
     .want = "d@e.f ",
     .notes = NOT "" NOT},
    {.name = "before as well as behind",
     .files = {DENIED "a@b.c," MAILBOX ",Deny\n",
               "Identity,Trustee\na@b.c," MAILBOX "\nd@e.f," MAILBOX "\n"},
     .mailbox = MAILBOX,
     .want = "d@e.f ",
     .notes = NOT "" NOT},
    {.name = "a denial by name, a permission by address",
     .files = {DENIED "Sales," MAILBOX ",Deny\nx@y.z," MAILBOX ",Allow\n",
               "Identity,Trustee\ns@c.d," MAILBOX "\n", PEOPLE},
     .mailbox = MAILBOX,
     .want = "x@y.z ",
     .notes = NOT "" NOT},
    {.name = "a denial by one address, a permission by another",
     .files = {DENIED "s@c.d," MAILBOX ",Deny\nx@y.z," MAILBOX ",Allow\n",
               "Identity,Trustee\nsales@contoso.com,relay\n", PEOPLE},
     .mailbox = MAILBOX,
     .want = "x@y.z ",
     .notes = NOT "" NOT},
    {.name = "a denial of one address in the row of another",
     .files = {DENIED "s@c.d," MAILBOX ",Deny\n",
               "Identity,EmailAddresses,Trustee\n"
               "sales,SMTP:sales@contoso.com smtp:s@c.d," MAILBOX "\n"
               "desk,SMTP:desk@contoso.com," MAILBOX "\n"},
     .mailbox = MAILBOX,
     .want = "desk@contoso.com ",
     .notes = NOT "" NOT},
    {.name = "a denial under another name of the mailbox",
     .files = {DENIED "s@c.d,Relay Mailbox,Deny\n",
               "Identity,Trustee\nSales,relay\nx@y.z,relay\n", PEOPLE},
     .mailbox = MAILBOX,
     .want = "x@y.z ",
     .notes = NOT "" NOT},
    {.name = "a denial wins over a list",
     .files = {DENIED "Sales," MAILBOX ",Deny\n",
               "# a list\ns@c.d\nx@y.z\nsales@contoso.com\n", PEOPLE},
     .mailbox = MAILBOX,
     .want = "x@y.z ",
     .notes = NOT "" NOT "" NOT},
    {.name = "a denial of somebody else's, and of another right",
     .files = {DENIED "a@b.c,x@y.z,Deny\n",
               "Identity,Trustee,AccessControlType,AccessRights\n"
               "a@b.c," MAILBOX ",Deny,FullAccess\n"
               "a@b.c," MAILBOX ",Allow,SendAs\n"},
     .mailbox = MAILBOX,
     .want = "a@b.c ",
     .notes = "permission of somebody else;other right than SendAs;"},
    {.name = "a denial of nobody knows whom",
     .files = {DENIED "Lobby," MAILBOX ",Deny\nDesk," MAILBOX
                      ",Deny\nx@y.z," MAILBOX ",Allow\n",
               PEOPLE},
     .mailbox = MAILBOX,
     .want = "x@y.z ",
     .notes = NOT "recipient whose address is not known;" NOT
                  "name that several recipients have;"},
    {.name = "a file that is not understood",
     .files = {"a@b.c\n", "Office\nx\n"},
     .error = "file1:1: this is neither an address"},
    {.name = "recipients that are not understood",
     .files = {"Identity,Trustee\na@b.c,x\n", "Alias,EmailAddresses\nx\n"},
     .error = "file1:2: there are 1 fields"},
    {.name = "permissions that are not understood",
     .files = {"Identity,Trustee\n\"a\n", PEOPLE},
     .error = "file0:2: a quote is opened"},
};

static const char *const file_names[FILES_MAX] = {"file0", "file1", "file2"};

static void
add_note(const struct sendas_file_note *note, void *arg)
{
    buf_append_str(arg, sendas_file_reason_text(note->reason));
    buf_append_char(arg, ';');
}

static void
check_list(char *const *list, size_t count, const char *want)
{
    struct buf got;

    buf_init(&got, 10000);
    for (size_t i = 0; i < count; i++) {
        buf_append_str(&got, list[i]);
        buf_append_char(&got, ' ');
    }
    assert_string_equal(buf_str(&got), want != NULL ? want : "");
    buf_clear(&got);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct sendas_import_file files[FILES_MAX] = {{0}};
    struct err err = {ERR_NONE, ""};
    struct sendas_import import;
    struct buf notes;
    const struct sendas_import_options options = {
        .mailbox = row->mailbox, .note = add_note, .arg = &notes};
    size_t count = 0;
    int rc;

    buf_init(&notes, 10000);
    for (; count < FILES_MAX && row->files[count] != NULL; count++)
        files[count] = (struct sendas_import_file){.name = file_names[count],
                                                   .text = row->files[count]};
    rc = sendas_import_run(files, count, &options, &import, &err);
    if (row->error != NULL) {
        assert_int_equal(rc, -1);
        assert_non_null(strstr(err.text, row->error));
    } else {
        assert_string_equal(err.text, "");
        check_list(import.entries, import.count, row->want);
        check_list(import.trustees, import.trustee_count, row->trustees);
        assert_int_equal(import.repeated, row->repeated);
        assert_string_equal(buf_str(&notes),
                            row->notes != NULL ? row->notes : "");
    }
    buf_clear(&notes);
    sendas_import_clear(&import);
    assert_null(import.entries);
}

static void
files_are_described(void **state)
{
    struct sendas_import_file files[] = {
        {.name = "p", .text = "Identity,Trustee\nSales," MAILBOX "\nx,y\n"},
        {.name = "r", .text = PEOPLE},
        {.name = "l", .text = "a@b.c\n"},
    };
    const struct sendas_import_options options = {.mailbox = MAILBOX};
    struct err err = {ERR_NONE, ""};
    struct sendas_import import;

    (void)state;
    assert_int_equal(
        sendas_import_run(files, ARRAY_LEN(files), &options, &import, &err), 0);
    assert_int_equal(files[0].kind, SENDAS_TABLE_PERMISSIONS);
    assert_int_equal(files[0].taken, 2);
    assert_int_equal(files[0].skipped[SENDAS_FILE_OTHER_TRUSTEE], 1);
    assert_int_equal(files[1].kind, SENDAS_TABLE_RECIPIENTS);
    assert_true(files[1].is_directory);
    assert_int_equal(files[1].taken, 4);
    assert_int_equal(files[2].kind, SENDAS_TABLE_NONE);
    assert_int_equal(files[2].taken, 1);
    sendas_import_clear(&import);
}

/* What would be a comment makes it a table. */
static void
the_list_reads_as_what_it_was_made_of(void **state)
{
    struct sendas_import_file file = {.name = "t",
                                      .text = "address\nb@b.c\n#a@b.c\n"};
    const struct sendas_import_options options = {.mailbox = NULL};
    struct err err = {ERR_NONE, ""};
    struct sendas_import import;
    struct buf text;

    (void)state;
    buf_init(&text, 1000);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sendas_import_run(&file, 1, &options, &import, &err),
                         0);
        check_list(import.entries, import.count, "#a@b.c b@b.c ");
        buf_reset(&text);
        buf_append_str(&text, "# comment\n");
        sendas_import_print(&import, &text);
        assert_string_equal(buf_str(&text),
                            "# comment\naddress\n#a@b.c\nb@b.c\n");
        sendas_import_clear(&import);
        file.text = buf_str(&text);
    }
    buf_clear(&text);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 2];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    tests[ARRAY_LEN(rows)] =
        (struct CMUnitTest)cmocka_unit_test(files_are_described);
    tests[ARRAY_LEN(rows) + 1] = (struct CMUnitTest)cmocka_unit_test(
        the_list_reads_as_what_it_was_made_of);
    return cmocka_run_group_tests_name("sendas_import", tests, NULL, NULL);
}
