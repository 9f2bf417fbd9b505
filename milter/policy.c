/*
 * policy - the policy in force: loaded from relay.conf, replaced on a reload.
 */
#include "milter/policy.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/log.h"

struct policy {
    pthread_mutex_t mutex;  /* for `current` */
    struct sendas *current; /* never NULL */
    char *path;
};

static struct sendas *
load(const char *path, struct err *err)
{
    struct config *config = config_load(path, err);
    struct sendas *policy = NULL;

    if (config == NULL)
        return NULL;
    if (config->milter.is_present)
        policy = sendas_new(config, err);
    else
        (void)err_set(err, ERR_CONFIG,
                      "%s: there is no milter section; write "
                      "milter { socket = \"unix:...\" "
                      "default_mailbox = \"...\" }",
                      path);
    config_unref(&config);
    return policy;
}

struct policy *
policy_new(const char *path, struct err *err)
{
    struct policy *policy = calloc(1, sizeof(*policy));

    if (policy != NULL)
        policy->path = strdup(path);
    if (policy == NULL || policy->path == NULL) {
        free(policy);
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    /* Can't fail on Linux without attributes. */
    (void)pthread_mutex_init(&policy->mutex, NULL);
    policy->current = load(path, err);
    if (policy->current == NULL)
        policy_free(&policy);
    return policy;
}

void
policy_free(struct policy **policy)
{
    if (*policy == NULL)
        return;
    sendas_unref(&(*policy)->current);
    (void)pthread_mutex_destroy(&(*policy)->mutex);
    free((*policy)->path);
    free(*policy);
    *policy = NULL;
}

struct sendas *
policy_get(struct policy *policy)
{
    struct sendas *current;

    (void)pthread_mutex_lock(&policy->mutex);
    current = sendas_ref(policy->current);
    (void)pthread_mutex_unlock(&policy->mutex);
    return current;
}

static void
warn_of_sockets(const struct sendas *old, const struct sendas *new)
{
    const struct config_milter *before = &sendas_config(old)->milter;
    const struct config_milter *after = &sendas_config(new)->milter;
    const char *page_before = before->metrics != NULL ? before->metrics : "";
    const char *page_after = after->metrics != NULL ? after->metrics : "";

    if (strcmp(before->socket, after->socket) != 0)
        log_warning("another socket needs a restart",
                    F_STR("in_use", before->socket),
                    F_STR("configured", after->socket));
    if (strcmp(page_before, page_after) != 0)
        log_warning("metrics elsewhere need a restart",
                    F_STR("in_use", page_before),
                    F_STR("configured", page_after));
}

int
policy_reload(struct policy *policy, struct err *err)
{
    struct sendas *new = load(policy->path, err);
    struct sendas *old;

    if (new == NULL)
        return -1;
    (void)pthread_mutex_lock(&policy->mutex);
    old = policy->current;
    policy->current = new;
    warn_of_sockets(old, new);
    (void)pthread_mutex_unlock(&policy->mutex);
    sendas_unref(&old);
    return 0;
}
