/*
 * sendas_table - a table of who may send as whom: a CSV file with a header.
 *
 * Pure. What kind of table it is, and which delimiter it has, is told by the
 * names of its columns, which compare without case, blanks and `_-.`: so it may
 * come from PowerShell, a spreadsheet or a script.
 */
#ifndef COMMON_SENDAS_TABLE_H
#define COMMON_SENDAS_TABLE_H

#include <stddef.h>

#include "common/csv.h"
#include "common/err.h"

enum sendas_table_kind {
    SENDAS_TABLE_NONE,    /* no table: an entry on each line */
    SENDAS_TABLE_ENTRIES, /* a column of entries, perhaps one of mailboxes */
    SENDAS_TABLE_PERMISSIONS, /* Get-RecipientPermission: who may send as it */
    SENDAS_TABLE_RECIPIENTS,  /* Get-EXOMailbox: recipients, their addresses */
};

/* Those that mean something; all others are passed over. */
enum sendas_table_column {
    SENDAS_TABLE_ENTRY,
    SENDAS_TABLE_MAILBOX,
    SENDAS_TABLE_TRUSTEE,
    SENDAS_TABLE_EMAIL_ADDRESSES,
    SENDAS_TABLE_PRIMARY,
    SENDAS_TABLE_RIGHTS,
    SENDAS_TABLE_CONTROL,
    SENDAS_TABLE_IDENTITY, /* from here on: what names a recipient */
    SENDAS_TABLE_NAME,
    SENDAS_TABLE_ALIAS,
    SENDAS_TABLE_DISPLAY_NAME,
    SENDAS_TABLE_DISTINGUISHED_NAME,
    SENDAS_TABLE_USER_PRINCIPAL_NAME,
    SENDAS_TABLE_GUID,
    SENDAS_TABLE_EXTERNAL_ID,
    SENDAS_TABLE_COLUMNS, /* how many there are */
};

struct sendas_table {
    enum sendas_table_kind kind;
    struct csv csv;
    int columns[SENDAS_TABLE_COLUMNS]; /* which field it is; -1: none */
    size_t width;                      /* fields of the header */
    size_t first_row;                  /* bytes before it */
    unsigned first_row_line;
};

/*
 * Look at a text that textfile has made plain, and stand before its first row.
 * To be given back with sendas_table_clear(), whatever the kind is. Borrows
 * `name` and `text` as csv_init(). Errors: ERR_CONFIG with `NAME:LINE: ` when
 * it is neither a list nor a table with columns that are known.
 */
int sendas_table_open(struct sendas_table *table, const char *name,
                      const char *text, struct err *err)
    __attribute__((warn_unused_result));
void sendas_table_clear(struct sendas_table *table);

/* The next row; as csv_next(), and each has as many fields as the header. */
enum csv_result sendas_table_next(struct sendas_table *table, struct err *err)
    __attribute__((warn_unused_result));

/* Begin again with the first row. */
void sendas_table_rewind(struct sendas_table *table);

/* The line of the row. */
unsigned sendas_table_line(const struct sendas_table *table);

/*
 * A field of the row without blanks round it; "" where there is no such column.
 * Borrowed: until the next row.
 */
const char *sendas_table_field(const struct sendas_table *table,
                               enum sendas_table_column column);

#endif
