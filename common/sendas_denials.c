/*
 * sendas_denials - whom a mailbox may not send as, whatever else permits it.
 *
 * One set of names, identities and addresses alike: a name that two recipients
 * have denies both, as nobody can tell them apart.
 */
#include "common/sendas_denials.h"

#include <stdlib.h>
#include <string.h>

#include "common/proxy_addresses.h"
#include "common/sendas_row.h"
#include "common/strmap.h"

struct sendas_denials {
    struct strmap *set;
    char **names; /* owned; the keys */
    size_t count;
};

/* What is done with a name; true: enough of them. */
typedef bool (*name_fn)(const char *name, size_t len, void *arg);

/* Each SMTP address of a list as Exchange prints it. */
static bool
each_address(const char *addresses, name_fn fn, void *arg)
{
    struct proxy_addresses proxy;
    const char *text = NULL;
    size_t len = 0;

    proxy_addresses_init(&proxy, addresses);
    for (;;) {
        switch (proxy_addresses_next(&proxy, &text, &len)) {
        case PROXY_ADDRESSES_SMTP:
            if (fn(text, len, arg))
                return true;
            break;
        case PROXY_ADDRESSES_OTHER:
        case PROXY_ADDRESSES_UNUSABLE:
            break;
        case PROXY_ADDRESSES_END:
        case PROXY_ADDRESSES_CUT:
        case PROXY_ADDRESSES_TYPE:
        case PROXY_ADDRESSES_BAD:
            return false; /* whoever reads the row complains */
        }
    }
}

/* Each address of whoever is called so. */
static bool
each_known(const char *name, const struct recipients *recipients, name_fn fn,
           void *arg)
{
    const char *addresses = NULL;

    return recipients != NULL && name[0] != '\0' &&
           recipients_find(recipients, name, &addresses) == RECIPIENTS_FOUND &&
           each_address(addresses, fn, arg);
}

/* All that the row and the recipients say of whom it is about. */
static bool
each_name(const struct sendas_table *table, const struct recipients *recipients,
          name_fn fn, void *arg)
{
    const char *key = sendas_row_key(table);
    const char *primary = sendas_table_field(table, SENDAS_TABLE_PRIMARY);

    return (key[0] != '\0' && fn(key, strlen(key), arg)) ||
           each_address(primary, fn, arg) ||
           each_address(sendas_table_field(table, SENDAS_TABLE_EMAIL_ADDRESSES),
                        fn, arg) ||
           each_known(key, recipients, fn, arg) ||
           each_known(primary, recipients, fn, arg);
}

struct sendas_denials *
sendas_denials_new(void)
{
    struct sendas_denials *denials = calloc(1, sizeof(*denials));

    if (denials == NULL)
        return NULL;
    denials->set = strmap_new();
    if (denials->set == NULL)
        sendas_denials_free(&denials);
    return denials;
}

void
sendas_denials_free(struct sendas_denials **denials)
{
    if (*denials == NULL)
        return;
    strmap_free(&(*denials)->set);
    for (size_t i = 0; i < (*denials)->count; i++)
        free((*denials)->names[i]);
    free((*denials)->names);
    free(*denials);
    *denials = NULL;
}

/* True when out of memory. */
static bool
add_name(const char *name, size_t len, void *arg)
{
    struct sendas_denials *denials = arg;
    size_t count = denials->count;
    char *copy;

    if (strmap_get(denials->set, name, len) != NULL)
        return false;
    /* It is full whenever it holds a power of two. */
    if ((count & (count - 1)) == 0) {
        char **bigger = reallocarray(denials->names, count == 0 ? 1 : count * 2,
                                     sizeof(*bigger));

        if (bigger == NULL)
            return true;
        denials->names = bigger;
    }
    copy = strndup(name, len);
    if (copy == NULL)
        return true;
    denials->names[denials->count++] = copy;
    return strmap_add(denials->set, copy, copy) == STRMAP_NO_MEMORY;
}

int
sendas_denials_add(struct sendas_denials *denials, struct sendas_table *table,
                   const char *mailbox, const struct recipients *recipients,
                   struct err *err)
{
    enum csv_result result;

    if (table->kind != SENDAS_TABLE_PERMISSIONS)
        return 0;
    while ((result = sendas_table_next(table, err)) == CSV_RECORD) {
        const char *trustee = sendas_table_field(table, SENDAS_TABLE_TRUSTEE);

        if (sendas_row_is_denial(table) && sendas_row_is_send_as(table) &&
            sendas_row_is_mailbox(trustee, mailbox, recipients) &&
            each_name(table, recipients, add_name, denials))
            return err_set(err, ERR_SYSTEM, "out of memory");
    }
    if (result == CSV_BAD)
        return -1;
    sendas_table_rewind(table);
    return 0;
}

static bool
is_denied(const char *name, size_t len, void *arg)
{
    return strmap_get(arg, name, len) != NULL;
}

bool
sendas_denials_have_row(const struct sendas_denials *denials,
                        const struct sendas_table *table,
                        const struct recipients *recipients)
{
    return denials->count > 0 &&
           each_name(table, recipients, is_denied, denials->set);
}

bool
sendas_denials_have(const struct sendas_denials *denials, const char *address,
                    size_t len)
{
    return denials->count > 0 && strmap_get(denials->set, address, len) != NULL;
}

size_t
sendas_denials_count(const struct sendas_denials *denials)
{
    return denials->count;
}
