/*
 * sendas_table - a table of who may send as whom: a CSV file with a header.
 */
#include "common/sendas_table.h"

#include <stdbool.h>
#include <string.h>

#include "common/address.h"
#include "common/config_value.h"
#include "common/util.h"

#define NAME_MAX_LEN 64 /* bytes of a column's name that is known */

/* Small letters and digits only. */
static const struct {
    const char *name;
    enum sendas_table_column column;
} names[] = {
    {"address", SENDAS_TABLE_ENTRY},
    {"email", SENDAS_TABLE_ENTRY},
    {"emailaddress", SENDAS_TABLE_ENTRY},
    {"from", SENDAS_TABLE_ENTRY},
    {"mail", SENDAS_TABLE_ENTRY},
    {"sendas", SENDAS_TABLE_ENTRY},
    {"sender", SENDAS_TABLE_ENTRY},
    {"smtpaddress", SENDAS_TABLE_ENTRY},
    {"login", SENDAS_TABLE_MAILBOX},
    {"mailbox", SENDAS_TABLE_MAILBOX},
    {"trustee", SENDAS_TABLE_TRUSTEE},
    {"emailaddresses", SENDAS_TABLE_EMAIL_ADDRESSES},
    {"proxyaddresses", SENDAS_TABLE_EMAIL_ADDRESSES},
    {"primarysmtpaddress", SENDAS_TABLE_PRIMARY},
    {"accessrights", SENDAS_TABLE_RIGHTS},
    {"accesscontroltype", SENDAS_TABLE_CONTROL},
    {"identity", SENDAS_TABLE_IDENTITY},
    {"name", SENDAS_TABLE_NAME},
    {"alias", SENDAS_TABLE_ALIAS},
    {"displayname", SENDAS_TABLE_DISPLAY_NAME},
    {"distinguishedname", SENDAS_TABLE_DISTINGUISHED_NAME},
    {"userprincipalname", SENDAS_TABLE_USER_PRINCIPAL_NAME},
    {"guid", SENDAS_TABLE_GUID},
    {"externaldirectoryobjectid", SENDAS_TABLE_EXTERNAL_ID},
};

/* A column's name as the table above has it; false when it is longer. */
static bool
fold_name(const char *text, char *out, size_t size)
{
    size_t len = 0;

    for (; *text != '\0'; text++) {
        char c = *text;

        if (strchr(" \t_-.", c) != NULL)
            continue;
        if (len + 1 == size)
            return false;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        out[len++] = c;
    }
    out[len] = '\0';
    return true;
}

/* Which column is it? -1 when its name says nothing. */
static int
find_column(const char *text)
{
    char name[NAME_MAX_LEN];

    if (!fold_name(text, name, sizeof(name)))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i].name, name) == 0)
            return (int)names[i].column;
    return -1;
}

/* Note where the columns are. False when one is there twice. */
static bool
read_header(struct sendas_table *table)
{
    for (size_t i = 0; i < SENDAS_TABLE_COLUMNS; i++)
        table->columns[i] = -1;
    table->width = table->csv.count;
    for (size_t i = 0; i < table->width; i++) {
        int column = find_column(csv_field(&table->csv, i));

        if (column < 0)
            continue;
        if (table->columns[column] >= 0)
            return false;
        table->columns[column] = (int)i;
    }
    return true;
}

static bool
has(const struct sendas_table *table, enum sendas_table_column column)
{
    return table->columns[column] >= 0;
}

static enum sendas_table_kind
find_kind(const struct sendas_table *table)
{
    bool has_addresses = has(table, SENDAS_TABLE_EMAIL_ADDRESSES) ||
                         has(table, SENDAS_TABLE_PRIMARY);

    if (has(table, SENDAS_TABLE_TRUSTEE))
        return has_addresses || has(table, SENDAS_TABLE_IDENTITY)
                   ? SENDAS_TABLE_PERMISSIONS
                   : SENDAS_TABLE_NONE;
    if (has_addresses)
        return SENDAS_TABLE_RECIPIENTS;
    return has(table, SENDAS_TABLE_ENTRY) ? SENDAS_TABLE_ENTRIES
                                          : SENDAS_TABLE_NONE;
}

/* The first line that is neither empty nor a comment, such as `#TYPE ...`. */
static const char *
skip_comments(const char *text, unsigned *line)
{
    for (;;) {
        size_t blanks = strspn(text, " \t");

        if (text[blanks] != '#' && text[blanks] != '\n')
            return text;
        text = strchr(text, '\n');
        if (text == NULL)
            return "";
        text++;
        (*line)++;
    }
}

/* Is the first word of the line an entry, with nothing but a comment after? */
static bool
is_entry(const char *line)
{
    struct err ignored;
    char entry[ADDRESS_MAX + 2];
    size_t begin = strspn(line, " \t");
    size_t len = strcspn(line + begin, " \t\n");
    const char *after = line + begin + len;

    if (len >= sizeof(entry))
        return false;
    memcpy(entry, line + begin, len);
    entry[len] = '\0';
    after += strspn(after, " \t");
    return (*after == '\0' || *after == '\n' || *after == '#') &&
           config_value_entry(entry, &ignored) == 0;
}

/* Try one delimiter. False when the header says nothing by it, with *reason. */
static bool
try_delimiter(struct sendas_table *table, const char *name, const char *text,
              unsigned line, char delimiter, struct err *reason)
{
    csv_init(&table->csv, name, text, strlen(text), line, delimiter);
    if (csv_next(&table->csv, reason) == CSV_RECORD && read_header(table))
        table->kind = find_kind(table);
    table->first_row = table->csv.at;
    table->first_row_line = table->csv.at_line;
    if (table->kind == SENDAS_TABLE_NONE)
        csv_clear(&table->csv);
    return table->kind != SENDAS_TABLE_NONE;
}

int
sendas_table_open(struct sendas_table *table, const char *name,
                  const char *text, struct err *err)
{
    static const char delimiters[] = {',', ';', '\t'};
    struct err reason = {ERR_NONE, ""};
    unsigned line = 1;
    const char *first = skip_comments(text, &line);

    *table = (struct sendas_table){.kind = SENDAS_TABLE_NONE};
    if (*first == '\0' || is_entry(first))
        return 0;
    for (size_t i = 0; i < sizeof(delimiters) && reason.code != ERR_SYSTEM; i++)
        if (try_delimiter(table, name, first, line, delimiters[i], &reason))
            return 0;
    if (reason.code == ERR_SYSTEM)
        return err_set(err, ERR_SYSTEM, "%s", reason.text);
    return err_set(err, ERR_CONFIG,
                   "%s:%u: this is neither an address nor the header of a "
                   "table that is known (with a column address, EmailAddresses "
                   "or Trustee); comments begin with #",
                   name, line);
}

void
sendas_table_clear(struct sendas_table *table)
{
    csv_clear(&table->csv);
    *table = (struct sendas_table){.kind = SENDAS_TABLE_NONE};
}

/* Blanks round a field are not meant. */
static void
trim(struct sendas_table *table)
{
    for (size_t i = 0; i < SENDAS_TABLE_COLUMNS; i++) {
        size_t *start;
        char *text;
        size_t end;

        if (table->columns[i] < 0)
            continue;
        start = &table->csv.starts[table->columns[i]];
        *start += strspn(table->csv.record.data + *start, " \t\n");
        text = table->csv.record.data + *start;
        end = strlen(text);
        while (end > 0 && strchr(" \t\n", text[end - 1]) != NULL)
            text[--end] = '\0';
    }
}

enum csv_result
sendas_table_next(struct sendas_table *table, struct err *err)
{
    enum csv_result result = csv_next(&table->csv, err);

    if (result != CSV_RECORD)
        return result;
    if (table->csv.count != table->width) {
        (void)err_set(err, ERR_CONFIG,
                      "%s:%u: there are %zu fields where the header has %zu; "
                      "enclose a field that holds the delimiter in quotes",
                      table->csv.name, table->csv.line, table->csv.count,
                      table->width);
        return CSV_BAD;
    }
    trim(table);
    return CSV_RECORD;
}

void
sendas_table_rewind(struct sendas_table *table)
{
    table->csv.at = table->first_row;
    table->csv.at_line = table->first_row_line;
}

unsigned
sendas_table_line(const struct sendas_table *table)
{
    return table->csv.line;
}

const char *
sendas_table_field(const struct sendas_table *table,
                   enum sendas_table_column column)
{
    int field = table->columns[column];

    return field >= 0 ? csv_field(&table->csv, (size_t)field) : "";
}
