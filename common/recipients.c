/*
 * recipients - who is meant by a name that Exchange printed, and its addresses.
 */
#include "common/recipients.h"

#include <stdlib.h>
#include <string.h>

#include "common/proxy_addresses.h"
#include "common/strmap.h"

struct recipient {
    struct recipient *next;
    char addresses[];
};

/* One name; lives as long as the map. */
struct name {
    struct name *next;
    const struct recipient *recipient;
    bool is_ambiguous;
    char text[];
};

struct recipients {
    struct strmap *map; /* -> struct name */
    struct recipient *first;
    struct name *names;
    size_t count;
};

struct recipients *
recipients_new(void)
{
    struct recipients *recipients = calloc(1, sizeof(*recipients));

    if (recipients == NULL)
        return NULL;
    recipients->map = strmap_new();
    if (recipients->map == NULL)
        recipients_free(&recipients);
    return recipients;
}

void
recipients_free(struct recipients **recipients)
{
    if (*recipients == NULL)
        return;
    while ((*recipients)->first != NULL) {
        struct recipient *recipient = (*recipients)->first;

        (*recipients)->first = recipient->next;
        free(recipient);
    }
    while ((*recipients)->names != NULL) {
        struct name *name = (*recipients)->names;

        (*recipients)->names = name->next;
        free(name);
    }
    strmap_free(&(*recipients)->map);
    free(*recipients);
    *recipients = NULL;
}

static int
add_name(struct recipients *recipients, const char *text, size_t len,
         const struct recipient *recipient)
{
    struct name *name = strmap_get(recipients->map, text, len);

    if (len == 0)
        return 0;
    if (name != NULL) {
        name->is_ambiguous |= name->recipient != recipient;
        return 0;
    }
    name = calloc(1, sizeof(*name) + len + 1);
    if (name == NULL)
        return -1;
    memcpy(name->text, text, len);
    name->recipient = recipient;
    name->next = recipients->names;
    recipients->names = name;
    return strmap_add(recipients->map, name->text, name) == STRMAP_ADDED ? 0
                                                                         : -1;
}

static int
add_addresses(struct recipients *recipients, const struct recipient *recipient)
{
    struct proxy_addresses proxy;
    enum proxy_addresses_result result;
    const char *text = NULL;
    size_t len = 0;

    proxy_addresses_init(&proxy, recipient->addresses);
    do {
        result = proxy_addresses_next(&proxy, &text, &len);
        if (result == PROXY_ADDRESSES_SMTP &&
            add_name(recipients, text, len, recipient) < 0)
            return -1;
    } while (result == PROXY_ADDRESSES_SMTP ||
             result == PROXY_ADDRESSES_OTHER ||
             result == PROXY_ADDRESSES_UNUSABLE);
    return 0; /* what is wrong with them is said when they are needed */
}

static int
add_row(struct recipients *recipients, const struct sendas_table *table)
{
    const char *addresses =
        sendas_table_field(table, SENDAS_TABLE_EMAIL_ADDRESSES);
    struct recipient *recipient;
    size_t size;

    if (addresses[0] == '\0')
        addresses = sendas_table_field(table, SENDAS_TABLE_PRIMARY);
    size = strlen(addresses) + 1;
    recipient = malloc(sizeof(*recipient) + size);
    if (recipient == NULL)
        return -1;
    memcpy(recipient->addresses, addresses, size);
    recipient->next = recipients->first;
    recipients->first = recipient;
    recipients->count++;
    for (size_t i = SENDAS_TABLE_IDENTITY; i < SENDAS_TABLE_COLUMNS; i++) {
        const char *name =
            sendas_table_field(table, (enum sendas_table_column)i);

        if (add_name(recipients, name, strlen(name), recipient) < 0)
            return -1;
    }
    return add_addresses(recipients, recipient);
}

int
recipients_add(struct recipients *recipients, struct sendas_table *table,
               struct err *err)
{
    for (;;) {
        switch (sendas_table_next(table, err)) {
        case CSV_END:
            return 0;
        case CSV_BAD:
            return -1;
        case CSV_RECORD:
            break;
        }
        if (add_row(recipients, table) < 0)
            return err_set(err, ERR_SYSTEM, "out of memory");
    }
}

enum recipients_result
recipients_find(const struct recipients *recipients, const char *name,
                const char **addresses)
{
    const struct name *found = strmap_get(recipients->map, name, strlen(name));

    if (found == NULL)
        return RECIPIENTS_UNKNOWN;
    if (found->is_ambiguous)
        return RECIPIENTS_AMBIGUOUS;
    *addresses = found->recipient->addresses;
    return RECIPIENTS_FOUND;
}

size_t
recipients_count(const struct recipients *recipients)
{
    return recipients->count;
}
