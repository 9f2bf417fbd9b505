/*
 * config_free - a configuration's life: it is shared, and the last one frees.
 */
#include "common/config.h"

#include <stdlib.h>

#include "common/config_reference.h"
#include "common/util.h"

static void
free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

static void
clear_credential(struct config_credential *credential)
{
    free(credential->name);
    free(credential->tenant);
    free(credential->client_id);
    for (size_t i = 0; i < credential->client_secret_count; i++)
        config_reference_clear(&credential->client_secrets[i]);
    free(credential->client_secrets);
    config_reference_clear(&credential->certificate);
    config_reference_clear(&credential->private_key);
    config_reference_clear(&credential->passphrase);
    config_reference_clear(&credential->federated_token);
    config_reference_clear(&credential->service_account_key);
    free(credential->identity_value);
    free(credential->issuer);
    free(credential->token_url);
    free(credential->authorize_url);
    free(credential->device_url);
    free(credential->scope);
    free(credential->ca_file);
    free(credential->proxy);
    free_list(credential->servers, credential->server_count);
    free(credential->rotation.object_id);
    free(credential->rotation.graph_url);
    free_list(credential->rotation.remove, credential->rotation.remove_count);
}

static void
clear_criteria(struct config_criteria *criteria)
{
    struct config_list *lists[] = {
        &criteria->daemons, &criteria->logins,     &criteria->senders,
        &criteria->froms,   &criteria->recipients,
    };

    free(criteria->clients);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        free_list(lists[i]->items, lists[i]->count);
}

static void
clear_milter(struct config_milter *milter)
{
    free(milter->socket);
    free(milter->socket_group);
    free(milter->metrics);
    free(milter->default_pool.mailboxes);
    free(milter->name_template);
    free_list(milter->deliverable, milter->deliverable_count);
    for (size_t i = 0; i < milter->exempt_count; i++)
        clear_criteria(&milter->exempts[i].criteria);
    free(milter->exempts);
    for (size_t i = 0; i < milter->route_count; i++) {
        clear_criteria(&milter->routes[i].criteria);
        free(milter->routes[i].pool.mailboxes);
    }
    free(milter->routes);
}

static void
clear_access(struct config_access *access)
{
    for (size_t i = 0; i < access->count; i++)
        free(access->peers[i].name);
    free(access->peers);
}

static void
clear_tokend(struct config_tokend *tokend)
{
    free_list(tokend->sockets, tokend->socket_count);
    free(tokend->control);
    clear_access(&tokend->allow);
    for (size_t i = 0; i < tokend->socket_access_count; i++) {
        free(tokend->socket_accesses[i].path);
        clear_access(&tokend->socket_accesses[i].allow);
    }
    free(tokend->socket_accesses);
    clear_access(&tokend->control_allow);
    clear_access(&tokend->control_read);
    for (size_t i = 0; i < tokend->operator_count; i++)
        clear_access(&tokend->operators[i].who);
    free(tokend->operators);
    free(tokend->login_password);
    free(tokend->state);
    config_reference_clear(&tokend->seal_key);
    free(tokend->metrics);
    config_reference_clear(&tokend->on_event);
}

static void
config_free(struct config *config)
{
    for (size_t i = 0; i < config->credential_count; i++)
        clear_credential(&config->credentials[i]);
    free(config->credentials);
    for (size_t i = 0; i < config->mailbox_count; i++) {
        free(config->mailboxes[i].title);
        free_list(config->mailboxes[i].send_as,
                  config->mailboxes[i].send_as_count);
        free(config->mailboxes[i].send_as_file);
        clear_access(&config->mailboxes[i].allow);
    }
    free(config->mailboxes);
    for (size_t i = 0; i < config->relay_count; i++)
        free(config->relays[i].name);
    free(config->relays);
    clear_milter(&config->milter);
    clear_tokend(&config->tokend);
    free_list(config->files, config->file_count);
    free(config->path);
    free(config);
}

struct config *
config_ref(struct config *config)
{
    (void)__atomic_add_fetch(&config->reference_count, 1, __ATOMIC_RELAXED);
    return config;
}

void
config_unref(struct config **config)
{
    if (*config != NULL && __atomic_sub_fetch(&(*config)->reference_count, 1,
                                              __ATOMIC_ACQ_REL) == 0)
        config_free(*config);
    *config = NULL;
}
