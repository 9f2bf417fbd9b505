/*
 * sendas_file - what a send_as_file says a mailbox may send as.
 *
 * The only right that Get-RecipientPermission knows is SendAs. Windows
 * PowerShell prints the list of rights as the name of a type, which therefore
 * means SendAs; where it does so with a list of addresses, these are lost, and
 * the file is refused.
 */
#include "common/sendas_file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/address.h"
#include "common/config_value.h"
#include "common/proxy_addresses.h"
#include "common/strmap.h"
#include "common/utf16.h"

/* UTF-16 takes two bytes where UTF-8 takes three at most. */
#define TEXTS_MAX (SENDAS_FILE_MAX / 2 * 3 + 1)

struct reader {
    const struct sendas_file_options *options;
    struct sendas_table table;
    struct sendas_file *out;
    struct strmap *denied; /* identities; NULL: none is */
    char **denied_names;   /* owned; the keys of that map */
    size_t denied_count;
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

static int
take(struct reader *reader, unsigned line, const char *text, size_t len)
{
    struct sendas_file *out = reader->out;
    struct sendas_file_entry *entry;

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

static void
skip(struct reader *reader, enum sendas_file_reason reason, const char *what)
{
    const struct sendas_file_options *options = reader->options;
    struct sendas_file_note note = {
        .file = options->name,
        .line = sendas_table_line(&reader->table),
        .reason = reason,
        .what = what,
        .trustee = sendas_table_field(&reader->table, SENDAS_TABLE_TRUSTEE),
    };

    reader->out->skipped[reason]++;
    reader->out->skipped_count++;
    if (note.trustee[0] == '\0')
        note.trustee = sendas_table_field(&reader->table, SENDAS_TABLE_MAILBOX);
    if (options->note != NULL)
        options->note(&note, options->arg);
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
    return take(reader, number, entry, len);
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
            if (len > 2 && memcmp(text, "*@", 2) == 0)
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

/* Is it the mailbox that is asked about, by whatever name? */
static bool
is_mailbox(const struct reader *reader, const char *name)
{
    const struct sendas_file_options *options = reader->options;
    const char *addresses = NULL;
    const char *own = NULL;

    if (options->mailbox == NULL)
        return false;
    if (address_equal(name, options->mailbox))
        return true;
    /* Two names of one recipient give the same text. */
    return options->recipients != NULL &&
           recipients_find(options->recipients, name, &addresses) ==
               RECIPIENTS_FOUND &&
           recipients_find(options->recipients, options->mailbox, &own) ==
               RECIPIENTS_FOUND &&
           addresses == own;
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

static bool
is_denial(const struct sendas_table *table)
{
    return strcasecmp(sendas_table_field(table, SENDAS_TABLE_CONTROL),
                      "Deny") == 0;
}

/* What a denial and what it denies have in common. */
static const char *
key_of(const struct sendas_table *table)
{
    const char *key = sendas_table_field(table, SENDAS_TABLE_IDENTITY);

    if (key[0] == '\0')
        key = sendas_table_field(table, SENDAS_TABLE_PRIMARY);
    return key[0] != '\0'
               ? key
               : sendas_table_field(table, SENDAS_TABLE_EMAIL_ADDRESSES);
}

/* Is it one of the words, whatever stands between them? */
static bool
has_word(const char *text, const char *word)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    while (*(text += strcspn(text, letters)) != '\0') {
        size_t len = strspn(text, letters);

        if (len == strlen(word) && strncasecmp(text, word, len) == 0)
            return true;
        text += len;
    }
    return false;
}

static int
read_permission(struct reader *reader)
{
    const struct sendas_table *table = &reader->table;
    const char *rights = sendas_table_field(table, SENDAS_TABLE_RIGHTS);
    const char *control = sendas_table_field(table, SENDAS_TABLE_CONTROL);
    const char *key = key_of(table);

    if (!is_ours(reader))
        return 0;
    if (rights[0] != '\0' && !has_word(rights, "SendAs") &&
        strcasestr(rights, "System.") == NULL &&
        strcasestr(rights, "Microsoft.") == NULL) {
        skip(reader, SENDAS_FILE_OTHER_RIGHT, key);
        return 0;
    }
    if (control[0] != '\0' && strcasecmp(control, "Allow") != 0 &&
        !is_denial(table))
        return fail_row(reader, "AccessControlType is neither Allow nor Deny");
    if (is_denial(table) ||
        (reader->denied != NULL &&
         strmap_get(reader->denied, key, strlen(key)) != NULL)) {
        skip(reader, SENDAS_FILE_DENIED, key);
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
    return take(reader, sendas_table_line(table), entry, strlen(entry));
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

/* Call `read` with every row. */
static int
each_row(struct reader *reader, int (*read)(struct reader *reader))
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
        if (read(reader) < 0)
            return -1;
    }
}

static int
note_denial(struct reader *reader)
{
    const struct sendas_table *table = &reader->table;
    char **bigger;
    char *key;

    if (!is_denial(table) ||
        !is_mailbox(reader, sendas_table_field(table, SENDAS_TABLE_TRUSTEE)))
        return 0;
    bigger = reallocarray(reader->denied_names, reader->denied_count + 1,
                          sizeof(*bigger));
    if (bigger == NULL)
        return fail_memory(reader);
    reader->denied_names = bigger;
    key = strdup(key_of(table));
    if (key == NULL)
        return fail_memory(reader);
    bigger[reader->denied_count++] = key;
    if (strmap_add(reader->denied, key, key) == STRMAP_NO_MEMORY)
        return fail_memory(reader);
    return 0;
}

/* A denial wins wherever it stands, so they are looked for first. */
static int
find_denials(struct reader *reader, const char *text)
{
    if (reader->table.kind != SENDAS_TABLE_PERMISSIONS ||
        strcasestr(text, "deny") == NULL)
        return 0;
    reader->denied = strmap_new();
    if (reader->denied == NULL)
        return fail_memory(reader);
    if (each_row(reader, note_denial) < 0)
        return -1;
    sendas_table_rewind(&reader->table);
    return 0;
}

int
sendas_file_parse(const struct sendas_file_options *options, const char *text,
                  struct sendas_file *out, struct err *err)
{
    struct reader reader = {.options = options, .out = out, .err = err};
    int rc = -1;

    *out = (struct sendas_file){.kind = SENDAS_TABLE_NONE};
    buf_init(&out->texts, TEXTS_MAX);
    if (sendas_table_open(&reader.table, options->name, text, err) < 0)
        return -1;
    out->kind = reader.table.kind;
    if (out->kind == SENDAS_TABLE_NONE)
        rc = read_lines(&reader, text);
    else if (find_denials(&reader, text) == 0)
        rc = each_row(&reader, read_row);
    sendas_table_clear(&reader.table);
    strmap_free(&reader.denied);
    for (size_t i = 0; i < reader.denied_count; i++)
        free(reader.denied_names[i]);
    free(reader.denied_names);
    return rc;
}

void
sendas_file_clear(struct sendas_file *file)
{
    buf_clear(&file->texts);
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
