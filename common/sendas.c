/*
 * sendas - who may send as whom, and which mailbox that takes.
 *
 * Two maps: titles of mailboxes, and send_as entries. Both hold `user@domain`,
 * `@domain` and, for `@.domain`, `.domain`: strings that can't be equal, so a
 * look-up for a domain asks for the address from its @ on, one for the domains
 * above for what follows from each dot on, and nothing is copied. Keys are
 * borrowed from the configuration and from what was taken of the files.
 */
#include "common/sendas.h"

#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/log.h"
#include "common/sendas_file.h"
#include "common/strmap.h"

/* Where entries come from: a mailbox's send_as or its send_as_file. */
struct source {
    const struct config_mailbox *mailbox;
    const char *file;         /* borrowed from the configuration */
    struct sendas_file taken; /* of a send_as_file */
};

struct entry {
    const char *text; /* borrowed from the configuration or `taken` */
    uint32_t line;
    uint32_t source;
};

struct sendas {
    struct config *config;
    struct strmap *titles;  /* -> struct config_mailbox */
    struct strmap *entries; /* -> struct entry */
    struct source *sources;
    size_t source_count;
    struct entry *list;
    size_t list_count;
    bool has_subdomains;      /* is there any `@.domain`? */
    unsigned reference_count; /* atomic */
    uint64_t shadowed_count;  /* entries that are also a mailbox's title */
};

/* Is the mailbox denied the address in its send_as_file? */
static bool
is_denied(const struct sendas *sendas, const struct source *source,
          const char *address)
{
    const struct sendas_denials *denials = source->taken.denials;

    /* The file of a mailbox comes behind its send_as. */
    if (denials == NULL &&
        source + 1 < sendas->sources + sendas->source_count &&
        source[1].mailbox == source->mailbox)
        denials = source[1].taken.denials;
    return denials != NULL &&
           sendas_denials_have(denials, address, strlen(address));
}

/* ---- building ---- */

/* As the maps have it: see above. */
static const char *
key_of(const char *entry)
{
    return entry[0] == '@' && entry[1] == '.' ? entry + 1 : entry;
}

static int
add_title(struct sendas *sendas, struct config_mailbox *mailbox,
          struct err *err)
{
    const char *key = key_of(mailbox->title);

    sendas->has_subdomains |= key[0] == '.';
    /* The configuration has no two sections of one title. */
    if (strmap_add(sendas->titles, key, mailbox) == STRMAP_NO_MEMORY)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}

/* A mailbox of that title comes first, so the entry never applies. */
static void
warn_if_shadowed(struct sendas *sendas, const char *entry,
                 const struct config_mailbox *mailbox)
{
    const char *key = key_of(entry);
    const struct config_mailbox *titled =
        strmap_get(sendas->titles, key, strlen(key));

    if (titled == NULL || titled == mailbox ||
        !log_is_due(++sendas->shadowed_count))
        return;
    log_warning("send_as entry has no effect as a mailbox has this name",
                F_STR("entry", entry), F_STR("mailbox", mailbox->title),
                F_INT("count", sendas->shadowed_count));
}

/* An entry of send_as. */
static bool
is_denied_entry(const struct sendas *sendas, const struct source *source,
                const char *entry)
{
    if (!is_denied(sendas, source, entry))
        return false;
    log_warning("send_as entry has no effect as send_as_file denies it",
                F_STR("entry", entry),
                F_STR("file", source->mailbox->send_as_file),
                F_STR("mailbox", source->mailbox->title));
    return true;
}

/* An entry that has been counted. */
static int
add_entry(struct sendas *sendas, const char *text, size_t line,
          const struct source *source, struct err *err)
{
    struct entry *entry = &sendas->list[sendas->list_count];
    const struct config_mailbox *mailbox = source->mailbox;
    const char *key = key_of(text);
    const struct config_mailbox *other;

    *entry = (struct entry){text, (uint32_t)line,
                            (uint32_t)(source - sendas->sources)};
    sendas->has_subdomains |= key[0] == '.';
    switch (strmap_add(sendas->entries, key, entry)) {
    case STRMAP_ADDED:
        sendas->list_count++;
        warn_if_shadowed(sendas, text, mailbox);
        return 0;
    case STRMAP_NO_MEMORY:
        return err_set(err, ERR_SYSTEM, "out of memory");
    case STRMAP_EXISTS:
        break;
    }
    entry = strmap_get(sendas->entries, key, strlen(key));
    other = sendas->sources[entry->source].mailbox;
    if (other == mailbox)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "%s:%zu: section mailbox \"%s\": send_as has \"%s\", which "
                   "section mailbox \"%s\" (ends at %s:%u) has as well; remove "
                   "it from one of them",
                   source->file, line, mailbox->title, text, other->title,
                   other->file, other->line);
}

/* What was skipped is told, and a list of which nothing counts is suspect. */
static void
log_file(const struct source *source)
{
    const struct sendas_file *taken = &source->taken;

    if (taken->skipped_count == 0)
        return;
    if (taken->count == 0)
        log_warning("send_as_file has nothing for its mailbox; xoauth2ctl "
                    "sendas import says why",
                    F_STR("file", source->file),
                    F_STR("mailbox", source->mailbox->title),
                    F_INT("skipped", taken->skipped_count));
    else
        log_info("send_as_file read", F_STR("file", source->file),
                 F_STR("mailbox", source->mailbox->title),
                 F_INT("taken", taken->count),
                 F_INT("skipped", taken->skipped_count));
}

static int
read_file(struct source *source, struct err *err)
{
    const struct config_mailbox *mailbox = source->mailbox;
    const struct sendas_file_options options = {.name = source->file,
                                                .mailbox = mailbox->title};
    struct err cannot = {ERR_NONE, ""};
    struct textfile file = {0};
    int rc;

    if (sendas_file_load(mailbox->send_as_file, &file, &cannot) < 0)
        return err_set(err, cannot.code,
                       "%s:%u: section mailbox \"%s\" (ends "
                       "here): send_as_file: %s",
                       mailbox->file, mailbox->line, mailbox->title,
                       cannot.text);
    rc = sendas_file_parse(&options, file.text, &source->taken, err);
    textfile_clear(&file);
    if (rc < 0)
        return -1;
    if (source->taken.count == 0 && source->taken.skipped_count == 0)
        return err_set(err, ERR_CONFIG,
                       "%s: section mailbox \"%s\": send_as_file is empty; "
                       "export the list again, or remove send_as_file",
                       source->file, mailbox->title);
    log_file(source);
    return 0;
}

/* The sources of a mailbox, read and counted. */
static int
add_sources(struct sendas *sendas, const struct config_mailbox *mailbox,
            size_t *entry_count, struct err *err)
{
    struct source *source = &sendas->sources[sendas->source_count];

    if (mailbox->send_as_count > 0) {
        *source++ = (struct source){.mailbox = mailbox, .file = mailbox->file};
        sendas->source_count++;
        *entry_count += mailbox->send_as_count;
    }
    if (mailbox->send_as_file == NULL)
        return 0;
    *source =
        (struct source){.mailbox = mailbox, .file = mailbox->send_as_file};
    sendas->source_count++;
    if (read_file(source, err) < 0)
        return -1;
    *entry_count += source->taken.count;
    return 0;
}

static int
add_entries(struct sendas *sendas, const struct source *source, struct err *err)
{
    const struct config_mailbox *mailbox = source->mailbox;
    const struct sendas_file *taken = &source->taken;

    if (source->file == mailbox->file)
        for (size_t i = 0; i < mailbox->send_as_count; i++)
            if (!is_denied_entry(sendas, source, mailbox->send_as[i]) &&
                add_entry(sendas, mailbox->send_as[i], mailbox->line, source,
                          err) < 0)
                return -1;
    for (size_t i = 0; i < taken->count; i++)
        if (add_entry(sendas, sendas_file_text(taken, i),
                      taken->entries[i].line, source, err) < 0)
            return -1;
    return 0;
}

static int
fill(struct sendas *sendas, struct err *err)
{
    struct config *config = sendas->config;
    size_t entry_count = 0;

    sendas->sources =
        calloc(config->mailbox_count * 2 + 1, sizeof(*sendas->sources));
    if (sendas->sources == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    for (size_t i = 0; i < config->mailbox_count; i++)
        if (add_title(sendas, &config->mailboxes[i], err) < 0 ||
            add_sources(sendas, &config->mailboxes[i], &entry_count, err) < 0)
            return -1;
    /* One more, as the next one is written before it is known to be new. */
    sendas->list = calloc(entry_count + 1, sizeof(*sendas->list));
    if (sendas->list == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    for (size_t i = 0; i < sendas->source_count; i++) {
        struct sendas_file *taken = &sendas->sources[i].taken;

        if (add_entries(sendas, &sendas->sources[i], err) < 0)
            return -1;
        free(taken->entries); /* its texts stay */
        taken->entries = NULL;
        if (taken->denials != NULL && sendas_denials_count(taken->denials) == 0)
            sendas_denials_free(&taken->denials);
    }
    return 0;
}

static void
sendas_free(struct sendas *sendas)
{
    strmap_free(&sendas->titles);
    strmap_free(&sendas->entries);
    for (size_t i = 0; i < sendas->source_count; i++)
        sendas_file_clear(&sendas->sources[i].taken);
    free(sendas->sources);
    free(sendas->list);
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
found_title(const struct sendas *sendas, const char *key, enum sendas_rule rule,
            struct sendas_match *out)
{
    const struct config_mailbox *mailbox =
        strmap_get(sendas->titles, key, strlen(key));

    if (mailbox == NULL)
        return false;
    *out = (struct sendas_match){.rule = rule,
                                 .mailbox = mailbox,
                                 .file = mailbox->file,
                                 .line = mailbox->line};
    return true;
}

/* The key is the address or the end of it. */
static bool
found_entry(const struct sendas *sendas, const char *address, const char *key,
            enum sendas_rule rule, struct sendas_match *out)
{
    const struct entry *entry = strmap_get(sendas->entries, key, strlen(key));

    if (entry == NULL ||
        is_denied(sendas, &sendas->sources[entry->source], address))
        return false;
    *out =
        (struct sendas_match){.rule = rule,
                              .mailbox = sendas->sources[entry->source].mailbox,
                              .file = sendas->sources[entry->source].file,
                              .line = entry->line};
    return true;
}

/* Each domain above that of the address has a turn, the nearest first. */
static bool
find_above(const struct sendas *sendas, const char *address, bool has_entries,
           struct sendas_match *out)
{
    const char *domain = strrchr(address, '@');

    if (!sendas->has_subdomains)
        return false;
    for (const char *dot = strchr(domain, '.'); dot != NULL;
         dot = strchr(dot + 1, '.'))
        if (found_title(sendas, dot, SENDAS_RULE_MAILBOX_SUBDOMAIN, out) ||
            (has_entries &&
             found_entry(sendas, address, dot, SENDAS_RULE_SUBDOMAIN, out)))
            return true;
    return false;
}

/* What goes into user=, once there is a mailbox. */
static bool
set_login(const char *address, struct sendas_match *out)
{
    out->login = sendas_rule_is_own(out->rule) ? address : out->mailbox->title;
    return true;
}

bool
sendas_find(const struct sendas *sendas, const char *address,
            struct sendas_match *out)
{
    const char *domain;

    *out = (struct sendas_match){.rule = SENDAS_RULE_NONE};
    if (!address_is_valid(address, strlen(address)))
        return false;
    domain = strrchr(address, '@');
    return (found_title(sendas, address, SENDAS_RULE_MAILBOX, out) ||
            found_entry(sendas, address, address, SENDAS_RULE_EXACT, out) ||
            found_title(sendas, domain, SENDAS_RULE_MAILBOX_DOMAIN, out) ||
            found_entry(sendas, address, domain, SENDAS_RULE_DOMAIN, out) ||
            find_above(sendas, address, true, out)) &&
           set_login(address, out);
}

bool
sendas_find_login(const struct sendas *sendas, const char *address,
                  struct sendas_match *out)
{
    const char *domain;

    *out = (struct sendas_match){.rule = SENDAS_RULE_NONE};
    if (!address_is_valid(address, strlen(address)))
        return false;
    domain = strrchr(address, '@');
    return (found_title(sendas, address, SENDAS_RULE_MAILBOX, out) ||
            found_title(sendas, domain, SENDAS_RULE_MAILBOX_DOMAIN, out) ||
            find_above(sendas, address, false, out)) &&
           set_login(address, out);
}

bool
sendas_rule_is_own(enum sendas_rule rule)
{
    return rule == SENDAS_RULE_MAILBOX_DOMAIN ||
           rule == SENDAS_RULE_MAILBOX_SUBDOMAIN;
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
    case SENDAS_RULE_MAILBOX_SUBDOMAIN:
        return "mailbox-subdomain";
    case SENDAS_RULE_SUBDOMAIN:
        return "send_as-subdomain";
    }
    return "none";
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

    bytes += sendas->list_count * sizeof(*sendas->list);
    for (size_t i = 0; i < sendas->source_count; i++)
        bytes += sizeof(sendas->sources[i]) +
                 sendas->sources[i].taken.texts.capacity;
    for (size_t i = 0; i < config->mailbox_count; i++) {
        const struct config_mailbox *mailbox = &config->mailboxes[i];

        for (size_t k = 0; k < mailbox->send_as_count; k++)
            bytes += sizeof(char *) + strlen(mailbox->send_as[k]) + 1;
    }
    return bytes;
}
