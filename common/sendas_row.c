/*
 * sendas_row - what a row of a table of permissions says.
 *
 * The only right that Get-RecipientPermission knows is SendAs. Windows
 * PowerShell prints the list of rights as the name of a type, which therefore
 * means SendAs.
 */
#include "common/sendas_row.h"

#include <string.h>
#include <strings.h>

#include "common/address.h"

bool
sendas_row_is_mailbox(const char *name, const char *mailbox,
                      const struct recipients *recipients)
{
    const char *addresses = NULL;
    const char *own = NULL;

    if (mailbox == NULL)
        return false;
    if (address_equal(name, mailbox))
        return true;
    /* Two names of one recipient give the same text. */
    return recipients != NULL &&
           recipients_find(recipients, name, &addresses) == RECIPIENTS_FOUND &&
           recipients_find(recipients, mailbox, &own) == RECIPIENTS_FOUND &&
           addresses == own;
}

const char *
sendas_row_key(const struct sendas_table *table)
{
    const char *key = sendas_table_field(table, SENDAS_TABLE_IDENTITY);

    if (key[0] == '\0')
        key = sendas_table_field(table, SENDAS_TABLE_PRIMARY);
    return key[0] != '\0'
               ? key
               : sendas_table_field(table, SENDAS_TABLE_EMAIL_ADDRESSES);
}

bool
sendas_row_is_denial(const struct sendas_table *table)
{
    return strcasecmp(sendas_table_field(table, SENDAS_TABLE_CONTROL),
                      "Deny") == 0;
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

bool
sendas_row_is_send_as(const struct sendas_table *table)
{
    const char *rights = sendas_table_field(table, SENDAS_TABLE_RIGHTS);

    return rights[0] == '\0' || has_word(rights, "SendAs") ||
           strcasestr(rights, "System.") != NULL ||
           strcasestr(rights, "Microsoft.") != NULL;
}
