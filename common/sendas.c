/*
 * sendas - who may send as whom, and which mailbox that takes.
 *
 * Two maps: titles of mailboxes, and send_as entries. Both hold `user@domain`
 * and `@domain`, which are different strings, so a look-up for the domain asks
 * for the address from its @ on, and nothing is copied. Keys are borrowed from
 * the configuration and from the texts of the send_as files.
 */
#include "common/sendas.h"

#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/config_value.h"
#include "common/log.h"
#include "common/strmap.h"
#include "common/textfile.h"

#define FILE_SIZE_MAX (64u << 20) /* bytes of one send_as_file */

struct sendas {
    struct config *config;
    struct strmap *titles;  /* -> struct config_mailbox */
    struct strmap *entries; /* -> struct config_mailbox */
    struct textfile *files; /* what entries of send_as_files point into */
    size_t file_count;
    unsigned reference_count; /* atomic */
    uint64_t shadowed_count;  /* entries that are also a mailbox's title */
};

/* Where an entry is written. */
struct place {
    const char *file;
    unsigned line;
};

/* ---- building ---- */

static int
add_title(struct sendas *sendas, struct config_mailbox *mailbox,
          struct err *err)
{
    /* The configuration has no two sections of one title. */
    if (strmap_add(sendas->titles, mailbox->title, mailbox) == STRMAP_NO_MEMORY)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}

/* A mailbox of that title comes first, so the entry never applies. */
static void
warn_if_shadowed(struct sendas *sendas, const char *entry,
                 const struct config_mailbox *mailbox)
{
    const struct config_mailbox *titled =
        strmap_get(sendas->titles, entry, strlen(entry));

    if (titled == NULL || titled == mailbox ||
        !log_is_due(++sendas->shadowed_count))
        return;
    log_warning("send_as entry has no effect as a mailbox has this name",
                F_STR("entry", entry), F_STR("mailbox", mailbox->title),
                F_INT("count", sendas->shadowed_count));
}

static int
add_entry(struct sendas *sendas, const char *entry,
          struct config_mailbox *mailbox, const struct place *place,
          struct err *err)
{
    const struct config_mailbox *other;

    switch (strmap_add(sendas->entries, entry, mailbox)) {
    case STRMAP_ADDED:
        warn_if_shadowed(sendas, entry, mailbox);
        return 0;
    case STRMAP_NO_MEMORY:
        return err_set(err, ERR_SYSTEM, "out of memory");
    case STRMAP_EXISTS:
        break;
    }
    other = strmap_get(sendas->entries, entry, strlen(entry));
    if (other == mailbox)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "%s:%u: section mailbox \"%s\": send_as has \"%s\", which "
                   "section mailbox \"%s\" (ends at %s:%u) has as well; remove "
                   "it from one of them",
                   place->file, place->line, mailbox->title, entry,
                   other->title, other->file, other->line);
}

static char *
skip_blanks(char *text)
{
    return text + strspn(text, " \t");
}

/* Cut off a comment, which begins a line or follows a blank, and blanks. */
static void
cut_line(char *line)
{
    size_t len = strlen(line);

    for (char *hash = strchr(line, '#'); hash != NULL;
         hash = strchr(hash + 1, '#')) {
        if (hash == line || hash[-1] == ' ' || hash[-1] == '\t') {
            len = (size_t)(hash - line);
            break;
        }
    }
    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    line[len] = '\0';
}

/* Entries of a file's text, which is cut into strings in place. */
static int
add_lines(struct sendas *sendas, char *text, struct config_mailbox *mailbox,
          struct err *err)
{
    struct place place = {mailbox->send_as_file, 0};
    char *next = text;

    while (next != NULL && *next != '\0') {
        char *line = next;
        struct err reason = {ERR_NONE, ""};

        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        place.line++;
        line = skip_blanks(line);
        cut_line(line);
        if (line[0] == '\0')
            continue;
        if (config_value_entry(line, &reason) < 0)
            return err_set(err, ERR_CONFIG,
                           "%s:%u: a line %s; comments begin with #",
                           place.file, place.line, reason.text);
        if (add_entry(sendas, line, mailbox, &place, err) < 0)
            return -1;
    }
    return 0;
}

static int
add_file(struct sendas *sendas, struct config_mailbox *mailbox, struct err *err)
{
    struct textfile *file = &sendas->files[sendas->file_count];
    struct err cannot = {ERR_NONE, ""};

    if (textfile_read(mailbox->send_as_file, FILE_SIZE_MAX, file, &cannot) < 0)
        return err_set(err, cannot.code,
                       "%s:%u: section mailbox \"%s\" (ends "
                       "here): send_as_file: %s",
                       mailbox->file, mailbox->line, mailbox->title,
                       cannot.text);
    sendas->file_count++;
    return add_lines(sendas, file->text, mailbox, err);
}

static int
add_mailbox(struct sendas *sendas, struct config_mailbox *mailbox,
            struct err *err)
{
    struct place place = {mailbox->file, mailbox->line};

    for (size_t i = 0; i < mailbox->send_as_count; i++)
        if (add_entry(sendas, mailbox->send_as[i], mailbox, &place, err) < 0)
            return -1;
    return mailbox->send_as_file != NULL ? add_file(sendas, mailbox, err) : 0;
}

static int
fill(struct sendas *sendas, struct err *err)
{
    struct config *config = sendas->config;
    size_t file_count = 0;

    for (size_t i = 0; i < config->mailbox_count; i++) {
        if (add_title(sendas, &config->mailboxes[i], err) < 0)
            return -1;
        file_count += config->mailboxes[i].send_as_file != NULL;
    }
    sendas->files = calloc(file_count + 1, sizeof(*sendas->files));
    if (sendas->files == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    for (size_t i = 0; i < config->mailbox_count; i++)
        if (add_mailbox(sendas, &config->mailboxes[i], err) < 0)
            return -1;
    return 0;
}

static void
sendas_free(struct sendas *sendas)
{
    strmap_free(&sendas->titles);
    strmap_free(&sendas->entries);
    for (size_t i = 0; i < sendas->file_count; i++)
        textfile_clear(&sendas->files[i]);
    free(sendas->files);
    config_unref(&sendas->config);
    free(sendas);
}

struct sendas *
sendas_new(struct config *config, struct err *err)
{
    struct sendas *sendas = calloc(1, sizeof(*sendas));

    if (sendas == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    sendas->reference_count = 1;
    sendas->config = config_ref(config);
    sendas->titles = strmap_new();
    sendas->entries = strmap_new();
    if (sendas->titles == NULL || sendas->entries == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        sendas_unref(&sendas);
    } else if (fill(sendas, err) < 0) {
        sendas_unref(&sendas);
    }
    return sendas;
}

struct sendas *
sendas_ref(struct sendas *sendas)
{
    (void)__atomic_add_fetch(&sendas->reference_count, 1, __ATOMIC_RELAXED);
    return sendas;
}

void
sendas_unref(struct sendas **sendas)
{
    if (*sendas != NULL && __atomic_sub_fetch(&(*sendas)->reference_count, 1,
                                              __ATOMIC_ACQ_REL) == 0)
        sendas_free(*sendas);
    *sendas = NULL;
}

const struct config *
sendas_config(const struct sendas *sendas)
{
    return sendas->config;
}

/* ---- looking up ---- */

static bool
found(const struct strmap *map, const char *key, enum sendas_rule rule,
      struct sendas_match *out)
{
    out->mailbox = strmap_get(map, key, strlen(key));
    if (out->mailbox != NULL)
        out->rule = rule;
    return out->mailbox != NULL;
}

bool
sendas_find(const struct sendas *sendas, const char *address,
            struct sendas_match *out)
{
    const char *domain;

    *out = (struct sendas_match){SENDAS_RULE_NONE, NULL, NULL};
    if (!address_is_valid(address, strlen(address)))
        return false;
    domain = strrchr(address, '@');
    if (!found(sendas->titles, address, SENDAS_RULE_MAILBOX, out) &&
        !found(sendas->entries, address, SENDAS_RULE_EXACT, out) &&
        !found(sendas->titles, domain, SENDAS_RULE_MAILBOX_DOMAIN, out) &&
        !found(sendas->entries, domain, SENDAS_RULE_DOMAIN, out))
        return false;
    out->login =
        out->rule == SENDAS_RULE_MAILBOX_DOMAIN ? address : out->mailbox->title;
    return true;
}

bool
sendas_find_login(const struct sendas *sendas, const char *address,
                  struct sendas_match *out)
{
    *out = (struct sendas_match){SENDAS_RULE_NONE, NULL, NULL};
    if (!address_is_valid(address, strlen(address)))
        return false;
    if (!found(sendas->titles, address, SENDAS_RULE_MAILBOX, out) &&
        !found(sendas->titles, strrchr(address, '@'),
               SENDAS_RULE_MAILBOX_DOMAIN, out))
        return false;
    out->login =
        out->rule == SENDAS_RULE_MAILBOX_DOMAIN ? address : out->mailbox->title;
    return true;
}

const char *
sendas_rule_name(enum sendas_rule rule)
{
    switch (rule) {
    case SENDAS_RULE_NONE:
        return "none";
    case SENDAS_RULE_MAILBOX:
        return "mailbox";
    case SENDAS_RULE_EXACT:
        return "send_as";
    case SENDAS_RULE_MAILBOX_DOMAIN:
        return "mailbox-domain";
    case SENDAS_RULE_DOMAIN:
        return "send_as-domain";
    }
    return "none";
}

/* ---- deciding ---- */

bool
sendas_entry_covers(const char *entry, const char *address)
{
    const char *domain;

    if (entry[0] != '@')
        return address_equal(entry, address);
    domain = address_domain(address);
    return domain != NULL && domain - 1 > address &&
           address_equal(entry + 1, domain);
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
client_matches(bool has_rule, const struct config_network *network,
               const struct sendas_message *message)
{
    return !has_rule ||
           (message->has_client && is_in_network(network, &message->client));
}

/* Is every recipient covered, and is there one? */
static bool
recipients_match(const char *entry, const struct sendas_message *message)
{
    if (entry == NULL)
        return true;
    for (size_t i = 0; i < message->recipient_count; i++)
        if (!sendas_entry_covers(entry, message->recipients[i]))
            return false;
    return message->recipient_count > 0;
}

static bool
address_matches(const char *entry, const char *address)
{
    return entry == NULL ||
           (address != NULL && sendas_entry_covers(entry, address));
}

static const struct config_exempt *
find_exempt(const struct config_milter *milter,
            const struct sendas_message *message)
{
    for (size_t i = 0; i < milter->exempt_count; i++) {
        const struct config_exempt *exempt = &milter->exempts[i];

        if (client_matches(exempt->has_client, &exempt->client, message) &&
            recipients_match(exempt->recipient, message))
            return exempt;
    }
    return NULL;
}

static const struct config_route *
find_route(const struct config_milter *milter,
           const struct sendas_message *message)
{
    for (size_t i = 0; i < milter->route_count; i++) {
        const struct config_route *route = &milter->routes[i];

        if (client_matches(route->has_client, &route->client, message) &&
            (route->login == NULL ||
             (message->login != NULL &&
              address_equal(route->login, message->login))) &&
            address_matches(route->sender, message->sender) &&
            address_matches(route->from, message->from) &&
            recipients_match(route->recipient, message))
            return route;
    }
    return NULL;
}

/* Nobody may send it as it is, and no route says who does. */
static void
decide_default(const struct config_milter *milter, bool may_reject,
               struct sendas_decision *out)
{
    if (milter->default_mailbox == NULL ||
        (may_reject && milter->not_permitted == CONFIG_NOT_PERMITTED_REJECT)) {
        out->verdict = SENDAS_REJECT;
        return;
    }
    out->verdict = SENDAS_REWRITE;
    out->login = milter->default_mailbox;
}

/* Postfix logs in as the default mailbox, whoever From names. */
static void
decide_null_sender(const struct config_milter *milter,
                   const struct sendas_match *match,
                   struct sendas_decision *out)
{
    if (match->rule != SENDAS_RULE_NONE && milter->default_mailbox != NULL &&
        address_equal(match->login, milter->default_mailbox)) {
        out->verdict = SENDAS_KEEP;
        out->login = milter->default_mailbox;
        out->rule = match->rule;
        return;
    }
    decide_default(milter, false, out);
}

void
sendas_decide(const struct sendas *sendas, const struct sendas_message *message,
              struct sendas_decision *out)
{
    const struct config_milter *milter = &sendas->config->milter;
    const struct config_exempt *exempt = find_exempt(milter, message);
    const struct config_route *route;
    struct sendas_match match = {SENDAS_RULE_NONE, NULL, NULL};

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
        decide_default(milter, true, out);
        return;
    }
    out->verdict = SENDAS_REWRITE;
    out->login = route->mailbox;
    out->rule_line = route->line;
}

/* ---- for status ---- */

size_t
sendas_count(const struct sendas *sendas)
{
    return strmap_count(sendas->titles) + strmap_count(sendas->entries);
}

size_t
sendas_memory(const struct sendas *sendas)
{
    const struct config *config = sendas->config;
    size_t bytes = sizeof(*sendas) + strmap_memory(sendas->titles) +
                   strmap_memory(sendas->entries);

    for (size_t i = 0; i < sendas->file_count; i++)
        bytes += sizeof(sendas->files[i]) + sendas->files[i].len + 1;
    for (size_t i = 0; i < config->mailbox_count; i++) {
        const struct config_mailbox *mailbox = &config->mailboxes[i];

        for (size_t k = 0; k < mailbox->send_as_count; k++)
            bytes += sizeof(char *) + strlen(mailbox->send_as[k]) + 1;
    }
    return bytes;
}
