/*
 * config_link - what sections of relay.conf say of each other.
 */
#include "common/config_link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_value.h"
#include "common/log.h"
#include "common/strmap.h"
#include "common/utf8.h"

struct linker {
    struct config *config;
    const struct config_names *names;
    struct err *err;
};

static int
fail_memory(struct linker *linker)
{
    return err_set(linker->err, ERR_SYSTEM, "out of memory");
}

static int fail_at(struct linker *linker, const char *file, unsigned line,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int
fail_at(struct linker *linker, const char *file, unsigned line, const char *fmt,
        ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut text is fine */
    va_end(ap);
    return err_set(linker->err, ERR_CONFIG, "%s:%u: %s", file, line, text);
}

/* A section in the index of its kind. */
struct section {
    const char *title; /* all borrowed from the configuration */
    const char *file;
    unsigned line;
    void *object;
};

struct section_index {
    struct strmap *map; /* title -> struct section */
    struct section *sections;
};

static void
clear_index(struct section_index *index)
{
    strmap_free(&index->map);
    free(index->sections);
}

/* Take the sections in by their titles; two of one title are wrong. */
static int
fill_index(struct linker *linker, const char *kind, size_t count,
           struct section_index *index)
{
    index->map = strmap_new();
    if (index->map == NULL)
        return fail_memory(linker);
    for (size_t i = 0; i < count; i++) {
        struct section *section = &index->sections[i];
        const struct section *first;

        switch (strmap_add(index->map, section->title, section)) {
        case STRMAP_ADDED:
            continue;
        case STRMAP_NO_MEMORY:
            return fail_memory(linker);
        case STRMAP_EXISTS:
            break;
        }
        first = strmap_get(index->map, section->title, strlen(section->title));
        return fail_at(linker, section->file, section->line,
                       "section %s \"%s\" (ends here): there is one of this "
                       "title already, which ends at %s:%u; put them together "
                       "or rename one",
                       kind, section->title, first->file, first->line);
    }
    return 0;
}

static int
index_credentials(struct linker *linker, struct section_index *index)
{
    const struct config *config = linker->config;
    size_t count = config->credential_count;

    index->sections = calloc(count + 1, sizeof(*index->sections));
    if (index->sections == NULL)
        return fail_memory(linker);
    for (size_t i = 0; i < count; i++) {
        struct config_credential *it = &config->credentials[i];

        index->sections[i] = (struct section){it->name, it->file, it->line, it};
    }
    return fill_index(linker, "credential", count, index);
}

static int
index_mailboxes(struct linker *linker, struct section_index *index)
{
    const struct config *config = linker->config;
    size_t count = config->mailbox_count;

    index->sections = calloc(count + 1, sizeof(*index->sections));
    if (index->sections == NULL)
        return fail_memory(linker);
    for (size_t i = 0; i < count; i++) {
        struct config_mailbox *it = &config->mailboxes[i];

        index->sections[i] =
            (struct section){it->title, it->file, it->line, it};
    }
    return fill_index(linker, "mailbox", count, index);
}

static int
index_relays(struct linker *linker, struct section_index *index)
{
    const struct config *config = linker->config;
    size_t count = config->relay_count;

    index->sections = calloc(count + 1, sizeof(*index->sections));
    if (index->sections == NULL)
        return fail_memory(linker);
    for (size_t i = 0; i < count; i++) {
        struct config_relay *it = &config->relays[i];

        index->sections[i] = (struct section){it->name, it->file, it->line, it};
    }
    return fill_index(linker, "relay", count, index);
}

/* The section of that title, or NULL. */
static void *
find_section(const struct section_index *index, const char *title)
{
    const struct section *section =
        strmap_get(index->map, title, strlen(title));

    return section != NULL ? section->object : NULL;
}

static int
link_credentials(struct linker *linker, const struct section_index *index)
{
    struct config *config = linker->config;

    for (size_t i = 0; i < config->mailbox_count; i++) {
        struct config_mailbox *mailbox = &config->mailboxes[i];
        const char *name = linker->names->credentials[i];

        mailbox->credential = find_section(index, name);
        if (mailbox->credential == NULL)
            return fail_at(linker, mailbox->file, mailbox->line,
                           "section mailbox \"%s\" (ends here): there is no "
                           "section credential \"%s\"; write one or correct "
                           "the name",
                           mailbox->title, name);
    }
    return 0;
}

/*
 * Fill a pool of `count` with its sections' own spelling of their titles; what
 * stands there are `names`.
 */
static int
link_pool(struct linker *linker, const struct section_index *index,
          const char *what, unsigned line, char *const *names,
          struct config_pool *pool)
{
    const char *file = linker->config->milter.file;

    for (size_t i = 0; i < pool->count; i++) {
        const struct config_mailbox *mailbox = find_section(index, names[i]);

        if (mailbox == NULL)
            return fail_at(linker, file, line,
                           "section %s (ends here): there is no section "
                           "mailbox \"%s\"; write one or correct the address",
                           what, names[i]);
        if (!utf8_is_ascii(mailbox->title, strlen(mailbox->title)))
            return fail_at(linker, file, line,
                           "section %s (ends here): \"%s\" is not ASCII, "
                           "which From of most mail may not be (RFC 6532); "
                           "name a mailbox with an ASCII address",
                           what, mailbox->title);
        for (size_t k = 0; k < i; k++)
            if (pool->mailboxes[k] == mailbox->title)
                return fail_at(linker, file, line,
                               "section %s (ends here): \"%s\" is there "
                               "twice; remove one",
                               what, names[i]);
        pool->mailboxes[i] = mailbox->title;
    }
    return 0;
}

static int
link_milter(struct linker *linker, const struct section_index *index)
{
    struct config_milter *milter = &linker->config->milter;
    char *const *names = linker->names->route_mailboxes.items;

    for (size_t i = 0; i < milter->route_count; i++) {
        struct config_route *route = &milter->routes[i];

        if (link_pool(linker, index, "route", route->line, names,
                      &route->pool) < 0)
            return -1;
        names += route->pool.count;
    }
    if (link_pool(linker, index, "milter, default_mailbox", milter->line,
                  linker->names->default_mailboxes.items,
                  &milter->default_pool) < 0)
        return -1;
    if (milter->default_pool.count > 0)
        milter->default_mailbox = milter->default_pool.mailboxes[0];
    return 0;
}

/* No server gets a token of it: most likely something was forgotten. */
static void
warn_if_no_server(const struct config *config)
{
    for (size_t i = 0; i < config->credential_count; i++) {
        const struct config_credential *credential = &config->credentials[i];

        if (credential->provider == CONFIG_PROVIDER_CUSTOM &&
            credential->server_count == 0 && config->relay_count == 0)
            log_warning("custom credential has no servers and there is no "
                        "relay section, so nobody gets its tokens",
                        F_STR("credential", credential->name));
    }
}

static int
look_up_access(struct linker *linker, const char *option,
               struct config_access *access)
{
    for (size_t i = 0; i < access->count; i++) {
        struct config_peer *peer = &access->peers[i];
        struct err err = {ERR_NONE, ""};

        if (config_value_peer(peer, &err) < 0)
            return fail_memory(linker);
        if (!peer->is_known)
            log_warning("an account does not exist here; make it, then reload",
                        F_STR("option", option),
                        F_STR(peer->is_group ? "group" : "user", peer->name));
    }
    return 0;
}

static int
look_up_peers(struct linker *linker)
{
    struct config *config = linker->config;
    struct config_tokend *tokend = &config->tokend;

    for (size_t i = 0; i < config->mailbox_count; i++)
        if (look_up_access(linker, "allow", &config->mailboxes[i].allow) < 0)
            return -1;
    for (size_t i = 0; i < tokend->socket_access_count; i++)
        if (look_up_access(linker, "allow", &tokend->socket_accesses[i].allow) <
            0)
            return -1;
    if (look_up_access(linker, "allow", &tokend->allow) < 0 ||
        look_up_access(linker, "control_allow", &tokend->control_allow) < 0 ||
        look_up_access(linker, "control_read", &tokend->control_read) < 0)
        return -1;
    for (size_t i = 0; i < tokend->operator_count; i++)
        if (look_up_access(linker, "operator", &tokend->operators[i].who) < 0)
            return -1;
    return 0;
}

static int
link_all(struct linker *linker)
{
    struct section_index credentials = {0};
    struct section_index mailboxes = {0};
    struct section_index relays = {0};
    int rc = -1;

    if (linker->config->mailbox_count == 0)
        return fail_at(linker, linker->config->path, 1,
                       "there is no mailbox section; write mailbox "
                       "\"user@domain\" { credential = \"NAME\" }");
    if (index_credentials(linker, &credentials) < 0 ||
        index_mailboxes(linker, &mailboxes) < 0 ||
        index_relays(linker, &relays) < 0 ||
        link_credentials(linker, &credentials) < 0 ||
        link_milter(linker, &mailboxes) < 0 || look_up_peers(linker) < 0)
        goto out;
    warn_if_no_server(linker->config);
    rc = 0;
out:
    clear_index(&credentials);
    clear_index(&mailboxes);
    clear_index(&relays);
    return rc;
}

int
config_link(struct config *config, const struct config_names *names,
            struct err *err)
{
    struct linker linker = {config, names, err};

    return link_all(&linker);
}
