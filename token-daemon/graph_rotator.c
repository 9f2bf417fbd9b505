/*
 * graph_rotator - which credentials renew themselves at Microsoft Graph.
 */
#include "token-daemon/graph_rotator.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/log.h"

struct entry {
    LIST_ENTRY(entry) link;
    struct graph_renewal *renewal;
};

struct graph_rotator {
    struct graph_renewal_env env;
    bool is_open; /* can the state be written? */
    LIST_HEAD(, entry) entries;
};

/* There are as many as credentials that renew themselves: a few. */
static struct graph_renewal *
find_renewal(const struct graph_rotator *rotator, const char *name)
{
    struct entry *entry;

    LIST_FOREACH(entry, &rotator->entries, link)
    {
        if (strcmp(graph_renewal_name(entry->renewal), name) == 0)
            return entry->renewal;
    }
    return NULL;
}

/* The one there is, or a new one; NULL when out of memory. */
static struct graph_renewal *
get_renewal(struct graph_rotator *rotator, const char *name)
{
    struct graph_renewal *renewal = find_renewal(rotator, name);
    struct entry *entry;

    if (renewal != NULL)
        return renewal;
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return NULL;
    entry->renewal = graph_renewal_new(&rotator->env, name);
    if (entry->renewal == NULL) {
        free(entry);
        return NULL;
    }
    if (rotator->is_open)
        graph_renewal_open(entry->renewal, false);
    LIST_INSERT_HEAD(&rotator->entries, entry, link);
    return entry->renewal;
}

/* Is it still to renew itself? */
static bool
is_configured(const char *name, const struct config *config)
{
    for (size_t i = 0; i < config->credential_count; i++)
        if (config->credentials[i].rotation.kind == CONFIG_ROTATE_GRAPH &&
            strcmp(config->credentials[i].name, name) == 0)
            return true;
    return false;
}

int
graph_rotator_configure(struct graph_rotator *rotator, struct config *config,
                        struct err *err)
{
    struct entry *entry;

    for (size_t i = 0; i < config->credential_count; i++) {
        const struct config_credential *credential = &config->credentials[i];
        struct graph_renewal *renewal;

        if (credential->rotation.kind != CONFIG_ROTATE_GRAPH)
            continue;
        renewal = get_renewal(rotator, credential->name);
        if (renewal == NULL)
            return err_set(err, ERR_SYSTEM, "out of memory");
        if (graph_renewal_configure(renewal, config, credential, err) < 0)
            return -1;
    }
    LIST_FOREACH(entry, &rotator->entries, link)
    {
        if (!is_configured(graph_renewal_name(entry->renewal), config))
            graph_renewal_stop(entry->renewal);
    }
    return 0;
}

void
graph_rotator_restore(void *arg, const char *name, const char *value,
                      size_t len)
{
    struct graph_rotator *rotator = arg;
    struct graph_renewal *renewal;

    if (rotator->is_open)
        return; /* what is here is newer */
    renewal = get_renewal(rotator, name);
    if (renewal == NULL)
        log_error("a stored rotation is lost: out of memory",
                  F_STR("credential", name));
    else
        graph_renewal_restore(renewal, value, len);
}

bool
graph_rotator_import(void *arg, const char *name, const char *value, size_t len)
{
    struct graph_rotator *rotator = arg;
    struct graph_renewal *renewal = get_renewal(rotator, name);

    if (renewal == NULL) {
        log_error("an imported rotation is lost: out of memory",
                  F_STR("credential", name));
        return false;
    }
    return graph_renewal_import(renewal, value, len);
}

void
graph_rotator_opened(void *arg, bool is_new)
{
    struct graph_rotator *rotator = arg;
    bool is_lost = is_new && rotator->is_open;
    struct entry *entry;

    rotator->is_open = true;
    LIST_FOREACH(entry, &rotator->entries, link)
    {
        graph_renewal_open(entry->renewal, is_lost);
    }
}

struct graph_rotator *
graph_rotator_new(const struct graph_renewal_env *env)
{
    struct graph_rotator *rotator = calloc(1, sizeof(*rotator));

    if (rotator == NULL)
        return NULL;
    rotator->env = *env;
    LIST_INIT(&rotator->entries);
    return rotator;
}

void
graph_rotator_free(struct graph_rotator **rotator)
{
    struct entry *entry;

    if (*rotator == NULL)
        return;
    while ((entry = LIST_FIRST(&(*rotator)->entries)) != NULL) {
        LIST_REMOVE(entry, link);
        graph_renewal_free(&entry->renewal);
        free(entry);
    }
    free(*rotator);
    *rotator = NULL;
}

int
graph_rotator_hurry(struct graph_rotator *rotator, const char *credential,
                    struct err *err)
{
    struct graph_renewal *renewal = find_renewal(rotator, credential);
    struct graph_renewal_info ignored;

    if (renewal == NULL || !graph_renewal_describe(renewal, &ignored))
        return err_set(err, ERR_CONFIG,
                       "credential \"%s\" does not renew itself: write rotate "
                       "= \"graph\" into its section, or bring the new secret "
                       "or certificate",
                       credential);
    return graph_renewal_hurry(renewal, err);
}

bool
graph_rotator_describe(const struct graph_rotator *rotator,
                       const char *credential, struct graph_renewal_info *out)
{
    const struct graph_renewal *renewal = find_renewal(rotator, credential);

    return renewal != NULL && graph_renewal_describe(renewal, out);
}
