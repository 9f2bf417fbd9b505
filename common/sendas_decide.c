/*
 * sendas_decide - what happens to a message: the exempts, who may send as whom,
 * the routes and the default mailboxes, in this order.
 */
#include "common/sendas.h"

#include <string.h>
#include <strings.h>

#include "common/address.h"
#include "common/sendas_pool.h"

bool
sendas_entry_covers(const char *entry, const char *address)
{
    const char *domain = address_domain(address);
    size_t len;
    size_t tail;

    if (entry[0] != '@')
        return address_equal(entry, address);
    if (domain == NULL || domain - 1 == address)
        return false;
    if (entry[1] != '.')
        return address_equal(entry + 1, domain);
    len = strlen(domain);
    tail = strlen(entry + 1);
    return len > tail && address_equal(entry + 1, domain + len - tail);
}

static bool
is_in_network(const struct config_network *network,
              const struct in6_addr *address)
{
    unsigned whole = network->prefix / 8;
    unsigned rest = network->prefix % 8;
    unsigned differs;

    if (memcmp(network->address.s6_addr, address->s6_addr, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    differs = network->address.s6_addr[whole] ^ address->s6_addr[whole];
    return differs >> (8 - rest) == 0;
}

static bool
client_matches(const struct config_criteria *criteria,
               const struct sendas_message *message)
{
    if (criteria->client_count == 0)
        return true;
    for (size_t i = 0; message->has_client && i < criteria->client_count; i++)
        if (is_in_network(&criteria->clients[i], &message->client))
            return true;
    return false;
}

/* Is a name one of the list? */
static bool
name_matches(const struct config_list *list, const char *name)
{
    if (list->count == 0)
        return true;
    for (size_t i = 0; name != NULL && i < list->count; i++)
        if (strcasecmp(list->items[i], name) == 0)
            return true;
    return false;
}

static bool
address_matches(const struct config_list *list, const char *address)
{
    if (list->count == 0)
        return true;
    for (size_t i = 0; address != NULL && i < list->count; i++)
        if (sendas_entry_covers(list->items[i], address))
            return true;
    return false;
}

/* Is every recipient covered, and is there one? */
static bool
recipients_match(const struct config_list *list,
                 const struct sendas_message *message)
{
    if (list->count == 0)
        return true;
    for (size_t i = 0; i < message->recipient_count; i++)
        if (!address_matches(list, message->recipients[i]))
            return false;
    return message->recipient_count > 0;
}

static bool
fits(const struct config_criteria *criteria,
     const struct sendas_message *message)
{
    return client_matches(criteria, message) &&
           name_matches(&criteria->daemons, message->daemon) &&
           name_matches(&criteria->logins, message->login) &&
           address_matches(&criteria->senders, message->sender) &&
           address_matches(&criteria->froms, message->from) &&
           recipients_match(&criteria->recipients, message);
}

static const struct config_exempt *
find_exempt(const struct config_milter *milter,
            const struct sendas_message *message)
{
    for (size_t i = 0; i < milter->exempt_count; i++)
        if (fits(&milter->exempts[i].criteria, message))
            return &milter->exempts[i];
    return NULL;
}

static const struct config_route *
find_route(const struct config_milter *milter,
           const struct sendas_message *message)
{
    for (size_t i = 0; i < milter->route_count; i++)
        if (fits(&milter->routes[i].criteria, message))
            return &milter->routes[i];
    return NULL;
}

/* From becomes the mailbox of the pool that the original sender belongs to. */
static void
decide_pool(const struct config_pool *pool,
            const struct sendas_message *message, struct sendas_decision *out)
{
    out->verdict = SENDAS_REWRITE;
    out->pool = pool;
    out->login = sendas_pool_pick(
        pool, message->from != NULL ? message->from : message->sender);
}

/* Nobody may send it as it is, and no route says who does. */
static void
decide_default(const struct config_milter *milter,
               const struct sendas_message *message,
               struct sendas_decision *out)
{
    if (milter->default_mailbox == NULL ||
        milter->not_permitted == CONFIG_NOT_PERMITTED_REJECT)
        out->verdict = SENDAS_REJECT;
    else
        decide_pool(&milter->default_pool, message, out);
}

/* Postfix logs in as the first default mailbox, whoever From names. */
static void
decide_null_sender(const struct config_milter *milter,
                   const struct sendas_match *match,
                   struct sendas_decision *out)
{
    out->verdict = SENDAS_REWRITE;
    out->login = milter->default_mailbox;
    if (out->login == NULL) {
        out->verdict = SENDAS_REJECT;
    } else if (match->rule != SENDAS_RULE_NONE &&
               address_equal(match->login, out->login)) {
        out->verdict = SENDAS_KEEP;
        out->rule = match->rule;
    }
}

void
sendas_decide(const struct sendas *sendas, const struct sendas_message *message,
              struct sendas_decision *out)
{
    const struct config_milter *milter = &sendas_config(sendas)->milter;
    const struct config_exempt *exempt = find_exempt(milter, message);
    const struct config_route *route;
    struct sendas_match match = {0};

    *out = (struct sendas_decision){.verdict = SENDAS_EXEMPT};
    if (exempt != NULL) {
        out->rule_line = exempt->line;
        return;
    }
    if (message->from != NULL)
        (void)sendas_find(sendas, message->from, &match); /* NONE if not */
    if (message->sender[0] == '\0' &&
        milter->null_sender == CONFIG_NULL_SENDER_KEEP) {
        decide_null_sender(milter, &match, out);
        return;
    }
    if (match.rule != SENDAS_RULE_NONE) {
        out->verdict = SENDAS_KEEP;
        out->login = match.login;
        out->rule = match.rule;
        return;
    }
    route = find_route(milter, message);
    if (route == NULL) {
        decide_default(milter, message, out);
        return;
    }
    decide_pool(&route->pool, message, out);
    out->rule_line = route->line;
}
