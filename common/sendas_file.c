/*
 * sendas_file - what a send_as_file says a mailbox may send as.
 *
 * A list of addresses that PowerShell printed as the name of its type is lost,
 * and the file is refused.
 */
#include "common/sendas_file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/address.h"
#include "common/config_value.h"
#include "common/proxy_addresses.h"
#include "common/sendas_row.h"
#include "common/utf16.h"

/* UTF-16 takes two bytes where UTF-8 takes three at most. */
#define TEXTS_MAX (SENDAS_FILE_MAX / 2 * 3 + 1)

struct reader {
    const struct sendas_file_options *options;
    struct sendas_table table;
    struct sendas_file *out;
    const struct sendas_denials *denials;
    bool is_denial; /* of the row: nothing of it is taken */
    struct err *err;
};

const char *
sendas_file_reason_text(enum sendas_file_reason reason)
{
    switch (reason) {
    case SENDAS_FILE_OTHER_TRUSTEE:
        return "permission of somebody else";
    case SENDAS_FILE_SELF:
        return "mailbox that may send as itself";
    case SENDAS_FILE_DENIED:
        return "permission that is denied";
    case SENDAS_FILE_OTHER_RIGHT:
        return "other right than SendAs";
    case SENDAS_FILE_NO_SMTP:
        return "address that is not SMTP";
    case SENDAS_FILE_UNUSABLE:
        return "SMTP address that no From can have";
    case SENDAS_FILE_NO_ADDRESS:
        return "recipient whose address is not known";
    case SENDAS_FILE_AMBIGUOUS:
        return "name that several recipients have";
    case SENDAS_FILE_REASONS:
        break;
    }
    return "";
}

/* ---- what is taken, and what is not ---- */

static int
fail_memory(struct reader *reader)
{
    return err_set(reader->err, ERR_SYSTEM, "out of memory");
}

/* This row is wrong. */
static int
fail_row(struct reader *reader, const char *text)
{
    return err_set(reader->err, ERR_CONFIG, "%s:%u: %s", reader->options->name,
                   sendas_table_line(&reader->table), text);
}

/* Whom a row is for. */
static const char *
trustee_of(const struct sendas_table *table)
{
    const char *trustee = sendas_table_field(table, SENDAS_TABLE_TRUSTEE);

    return trustee[0] != '\0' ? trustee
                              : sendas_table_field(table, SENDAS_TABLE_MAILBOX);
}

static void
skip_line(struct reader *reader, unsigned line, enum sendas_file_reason reason,
          const char *what)
{
    const struct sendas_file_options *options = reader->options;
    struct sendas_file_note note = {
        .file = options->name,
        .line = line,
        .reason = reason,
        .what = what,
        .trustee = "",
    };

    /* Of a recipient that is denied it only counts whether it is known. */
    if (reader->is_denial && reason != SENDAS_FILE_NO_ADDRESS &&
        reason != SENDAS_FILE_AMBIGUOUS)
        return;
    reader->out->skipped[reason]++;
    reader->out->skipped_count++;
    if (reader->table.kind != SENDAS_TABLE_NONE)
        note.trustee = trustee_of(&reader->table);
    if (options->note != NULL)
        options->note(&note, options->arg);
}

/* The same for this row. */
static void
skip(struct reader *reader, enum sendas_file_reason reason, const char *what)
{
    skip_line(reader, sendas_table_line(&reader->table), reason, what);
}

/* The same for `len` bytes; out of memory just shows less. */
static void
skip_part(struct reader *reader, enum sendas_file_reason reason,
          const char *what, size_t len)
{
    char *copy = strndup(what, len);

    skip(reader, reason, copy != NULL ? copy : "");
    free(copy);
}

/* Take an entry; text[len] need not be its end. */
static int
take(struct reader *reader, unsigned line, const char *text, size_t len)
{
    struct sendas_file *out = reader->out;
    struct sendas_file_entry *entry;

    if (reader->is_denial)
        return 0;
    /* It is full whenever it holds a power of two. */
    if ((out->count & (out->count - 1)) == 0) {
        struct sendas_file_entry *bigger =
            reallocarray(out->entries, out->count == 0 ? 1 : out->count * 2,
                         sizeof(*bigger));

        if (bigger == NULL)
            return fail_memory(reader);
        out->entries = bigger;
    }
    entry = &out->entries[out->count];
    *entry = (struct sendas_file_entry){(uint32_t)out->texts.len, line};
    buf_append(&out->texts, text, len);
    buf_append_char(&out->texts, '\0');
    if (buf_failed(&out->texts))
        return fail_memory(reader);
    out->count++;
    return 0;
}

/* ---- an entry on each line ---- */

/* Cut off a comment, which begins a line or follows a blank, and blanks. */
static size_t
entry_len(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (line[i] == '#' &&
            (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
            len = i;
            break;
        }
    }
    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    return len;
}

/* An entry of a list or table that somebody else than Exchange wrote. */
static int
take_entry(struct reader *reader, unsigned line, const char *entry)
{
    size_t len = strlen(entry);

    if (!sendas_denials_have(reader->denials, entry, len))
        return take(reader, line, entry, len);
    skip_line(reader, line, SENDAS_FILE_DENIED, entry);
    return 0;
}

/* One line, without its blanks and its comment. */
static int
read_line(struct reader *reader, unsigned number, const char *line, size_t len)
{
    struct err reason = {ERR_NONE, ""};
    char entry[ADDRESS_MAX + 2];

    if (len == 0)
        return 0;
    len = len < sizeof(entry) ? len : sizeof(entry) - 1; /* so it is none */
    memcpy(entry, line, len);
    entry[len] = '\0';
    if (config_value_entry(entry, &reason) < 0)
        return err_set(reader->err, ERR_CONFIG,
                       "%s:%u: a line %s; comments begin with #",
                       reader->options->name, number, reason.text);
    return take_entry(reader, number, entry);
}

static int
read_lines(struct reader *reader, const char *text)
{
    for (unsigned number = 1; *text != '\0'; number++) {
        size_t end = strcspn(text, "\n");
        size_t begin = strspn(text, " \t");

        if (begin < end && read_line(reader, number, text + begin,
                                     entry_len(text + begin, end - begin)) < 0)
            return -1;
        text += end + (text[end] == '\n');
    }
    return 0;
}

/* ---- a row of a table ---- */

/* In other programs that is everybody there; here it is refused. */
static bool
is_starred(const char *text, size_t len)
{
    return len >= 2 && memcmp(text, "*@", 2) == 0;
}

/* Addresses as Exchange prints them. */
static int
take_proxies(struct reader *reader, const char *addresses)
{
    struct proxy_addresses proxy;
    const char *text = NULL;
    size_t len = 0;

    proxy_addresses_init(&proxy, addresses);
    for (;;) {
        switch (proxy_addresses_next(&proxy, &text, &len)) {
        case PROXY_ADDRESSES_SMTP:
            if (is_starred(text, len))
                skip_part(reader, SENDAS_FILE_UNUSABLE, text, len);
            else if (take(reader, sendas_table_line(&reader->table), text,
                          len) < 0)
                return -1;
            break;
        case PROXY_ADDRESSES_OTHER:
            skip_part(reader, SENDAS_FILE_NO_SMTP, text, len);
            break;
        case PROXY_ADDRESSES_UNUSABLE:
            skip_part(reader, SENDAS_FILE_UNUSABLE, text, len);
            break;
        case PROXY_ADDRESSES_END:
            return 0;
        case PROXY_ADDRESSES_CUT:
            return fail_row(reader, "addresses are missing where \"...\" "
                                    "stands; export them with Export-Csv");
        case PROXY_ADDRESSES_TYPE:
            return fail_row(reader, "the name of a type stands where addresses "
                                    "should be; export them with Export-SendAs"
                                    ".ps1, or joined by -join ' '");
        case PROXY_ADDRESSES_BAD:
            return fail_row(reader, "addresses are not understood; they look "
                                    "like SMTP:a@example.com with blanks "
                                    "between");
        }
    }
}

/* Whoever is called so; `identity` is not empty. */
static int
take_identity(struct reader *reader, const char *identity)
{
    const struct recipients *recipients = reader->options->recipients;
    const char *addresses = NULL;
    bool is_address = address_is_valid(identity, strlen(identity));

    if (recipients != NULL) {
        switch (recipients_find(recipients, identity, &addresses)) {
        case RECIPIENTS_FOUND:
            return take_proxies(reader, addresses);
        case RECIPIENTS_AMBIGUOUS:
            skip(reader, SENDAS_FILE_AMBIGUOUS, identity);
            return 0;
        case RECIPIENTS_UNKNOWN:
            break;
        }
    }
    if (is_starred(identity, strlen(identity))) {
        skip(reader, SENDAS_FILE_UNUSABLE, identity);
        return 0;
    }
    if (is_address)
        return take(reader, sendas_table_line(&reader->table), identity,
                    strlen(identity));
    if (recipients == NULL)
        return fail_row(reader, "Identity is no address; use what "
                                "Export-SendAs.ps1 or xoauth2ctl sendas import "
                                "wrote");
    skip(reader, SENDAS_FILE_NO_ADDRESS, identity);
    return 0;
}

/* Those of the row's own columns, else those of its identity. */
static int
take_addresses(struct reader *reader)
{
    const struct sendas_table *table = &reader->table;
    const char *all = sendas_table_field(table, SENDAS_TABLE_EMAIL_ADDRESSES);
    const char *primary = sendas_table_field(table, SENDAS_TABLE_PRIMARY);
    const char *identity = sendas_table_field(table, SENDAS_TABLE_IDENTITY);

    if (all[0] != '\0')
        return take_proxies(reader, all);
    if (primary[0] != '\0')
        return take_proxies(reader, primary);
    if (table->kind == SENDAS_TABLE_PERMISSIONS && identity[0] != '\0')
        return take_identity(reader, identity);
    skip(reader, SENDAS_FILE_NO_ADDRESS, identity);
    return 0;
}

/* Is it the mailbox that is asked about? */
static bool
is_mailbox(const struct reader *reader, const char *name)
{
    return sendas_row_is_mailbox(name, reader->options->mailbox,
                                 reader->options->recipients);
}

/* Whose permission a row is: does it count? Tells when it does not. */
static bool
is_ours(struct reader *reader)
{
    const struct sendas_table *table = &reader->table;
    const char *trustee = sendas_table_field(table, SENDAS_TABLE_TRUSTEE);
    const char *what = sendas_table_field(table, SENDAS_TABLE_IDENTITY);

    if (what[0] == '\0')
        what = sendas_table_field(table, SENDAS_TABLE_PRIMARY);
    if (is_mailbox(reader, trustee))
        return true;
    skip(reader,
         strcasecmp(trustee, "NT AUTHORITY\\SELF") == 0
             ? SENDAS_FILE_SELF
             : SENDAS_FILE_OTHER_TRUSTEE,
         what);
    return false;
}

/*
 * Which addresses it takes away has to be known as well as which ones another
 * gives: else the wrong ones might be left.
 */
static int
read_denial(struct reader *reader)
{
    int rc;

    skip(reader, SENDAS_FILE_DENIED, sendas_row_key(&reader->table));
    reader->is_denial = true;
    rc = take_addresses(reader);
    reader->is_denial = false;
    return rc;
}

static int
read_permission(struct reader *reader)
{
    const struct sendas_table *table = &reader->table;
    const char *control = sendas_table_field(table, SENDAS_TABLE_CONTROL);

    if (!is_ours(reader))
        return 0;
    if (!sendas_row_is_send_as(table)) {
        skip(reader, SENDAS_FILE_OTHER_RIGHT, sendas_row_key(table));
        return 0;
    }
    if (sendas_row_is_denial(table))
        return read_denial(reader);
    if (control[0] != '\0' && strcasecmp(control, "Allow") != 0)
        return fail_row(reader, "AccessControlType is neither Allow nor Deny");
    if (sendas_denials_have_row(reader->denials, table,
                                reader->options->recipients)) {
        skip(reader, SENDAS_FILE_DENIED, sendas_row_key(table));
        return 0;
    }
    return take_addresses(reader);
}

static int
read_entry(struct reader *reader)
{
    const struct sendas_table *table = &reader->table;
    const char *entry = sendas_table_field(table, SENDAS_TABLE_ENTRY);
    const char *mailbox = sendas_table_field(table, SENDAS_TABLE_MAILBOX);
    struct err reason = {ERR_NONE, ""};

    if (config_value_entry(entry, &reason) < 0)
        return err_set(reader->err, ERR_CONFIG, "%s:%u: the address %s",
                       reader->options->name, sendas_table_line(table),
                       reason.text);
    if (table->columns[SENDAS_TABLE_MAILBOX] >= 0 &&
        !is_mailbox(reader, mailbox)) {
        skip(reader, SENDAS_FILE_OTHER_TRUSTEE, entry);
        return 0;
    }
    return take_entry(reader, sendas_table_line(table), entry);
}

static int
read_row(struct reader *reader)
{
    switch (reader->table.kind) {
    case SENDAS_TABLE_ENTRIES:
        return read_entry(reader);
    case SENDAS_TABLE_PERMISSIONS:
        return read_permission(reader);
    case SENDAS_TABLE_RECIPIENTS:
        return take_addresses(reader);
    case SENDAS_TABLE_NONE:
        break;
    }
    return 0;
}

/* ---- a table ---- */

static int
read_rows(struct reader *reader)
{
    for (;;) {
        switch (sendas_table_next(&reader->table, reader->err)) {
        case CSV_END:
            return 0;
        case CSV_BAD:
            return -1;
        case CSV_RECORD:
            break;
        }
        if (read_row(reader) < 0)
            return -1;
    }
}

/* A denial wins wherever it stands, so they are looked for first. */
static int
find_denials(struct reader *reader, struct sendas_file *out, const char *text)
{
    const struct sendas_file_options *options = reader->options;

    out->denials = sendas_denials_new();
    if (out->denials == NULL)
        return fail_memory(reader);
    reader->denials = out->denials;
    if (strcasestr(text, "deny") == NULL)
        return 0; /* large tables need not be read twice */
    return sendas_denials_add(out->denials, &reader->table, options->mailbox,
                              options->recipients, reader->err);
}

int
sendas_file_parse(const struct sendas_file_options *options, const char *text,
                  struct sendas_file *out, struct err *err)
{
    struct reader reader = {.options = options,
                            .denials = options->denials,
                            .out = out,
                            .err = err};
    int rc = -1;

    *out = (struct sendas_file){.kind = SENDAS_TABLE_NONE};
    buf_init(&out->texts, TEXTS_MAX);
    if (sendas_table_open(&reader.table, options->name, text, err) < 0)
        return -1;
    out->kind = reader.table.kind;
    if (reader.denials == NULL && find_denials(&reader, out, text) < 0)
        rc = -1;
    else if (out->kind == SENDAS_TABLE_NONE)
        rc = read_lines(&reader, text);
    else
        rc = read_rows(&reader);
    sendas_table_clear(&reader.table);
    return rc;
}

void
sendas_file_clear(struct sendas_file *file)
{
    buf_clear(&file->texts);
    sendas_denials_free(&file->denials);
    free(file->entries);
    *file = (struct sendas_file){.kind = SENDAS_TABLE_NONE};
}

const char *
sendas_file_text(const struct sendas_file *file, size_t i)
{
    return file->texts.data + file->entries[i].text;
}

/* ---- the file ---- */

/* Replace UTF-16 by UTF-8. */
static int
decode(struct textfile *file, struct err *err)
{
    struct buf text;
    char *copy = NULL;

    if (!utf16_has_mark(file->text, file->len))
        return 0;
    buf_init(&text, TEXTS_MAX);
    utf16_append(&text, file->text, file->len);
    if (!buf_failed(&text))
        copy = malloc(text.len + 1);
    if (copy != NULL) {
        memcpy(copy, buf_str(&text), text.len + 1);
        free(file->text);
        *file = (struct textfile){copy, text.len};
    }
    buf_clear(&text);
    return copy != NULL ? 0 : err_set(err, ERR_SYSTEM, "out of memory");
}

int
sendas_file_load(const char *path, struct textfile *out, struct err *err)
{
    if (textfile_load(path, SENDAS_FILE_MAX, out, err) < 0)
        return -1;
    if (decode(out, err) == 0 &&
        textfile_clean(path, out->text, &out->len, err) == 0)
        return 0;
    textfile_clear(out);
    return -1;
}
