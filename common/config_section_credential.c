/*
 * config_section_credential - `credential "NAME" { ... }`: how to get a token.
 */
#include "common/config_section_credential.h"

#include <stdlib.h>
#include <string.h>

#include <confuse.h>

#include "common/config_check.h"
#include "common/config_credential.h"
#include "common/config_rotation.h"
#include "common/config_section.h"
#include "common/config_value.h"
#include "common/util.h"

static cfg_opt_t credential_options[] = {
    CONFIG_LOADER_ROW,
    CFG_STR_CB("provider", "microsoft", CFGF_NONE, config_check_provider),
    CFG_STR_CB("tenant", NULL, CFGF_NONE, config_check_tenant),
    CFG_STR_CB("client_id", NULL, CFGF_NONE, config_check_client_id),
    CFG_STR_CB("grant", "client_credentials", CFGF_NONE, config_check_grant),
    CFG_STR_LIST_CB("client_secret", NULL, CFGF_NONE, config_check_ref),
    CFG_STR_CB("certificate", NULL, CFGF_NONE, config_check_ref),
    CFG_STR_CB("private_key", NULL, CFGF_NONE, config_check_key_ref),
    CFG_STR_CB("passphrase", NULL, CFGF_NONE, config_check_ref),
    CFG_STR_CB("assertion_algorithm", "PS256", CFGF_NONE,
               config_check_assertion),
    CFG_STR_CB("federated_token", NULL, CFGF_NONE, config_check_ref),
    CFG_STR_CB("service_account_key", NULL, CFGF_NONE, config_check_ref),
    CFG_STR_CB("identity", NULL, CFGF_NONE, config_check_identity),
    CFG_INT_CB("redirect_port", 0, CFGF_NONE, config_check_redirect_port),
    CFG_STR_CB("issuer", NULL, CFGF_NONE, config_check_issuer),
    CFG_STR_CB("token_url", NULL, CFGF_NONE, config_check_url),
    CFG_STR_CB("authorize_url", NULL, CFGF_NONE, config_check_url),
    CFG_STR_CB("device_url", NULL, CFGF_NONE, config_check_url),
    CFG_STR_CB("scope", NULL, CFGF_NONE, config_check_scope),
    CFG_STR_CB("ca_file", NULL, CFGF_NONE, config_check_path),
    CFG_STR_CB("proxy", NULL, CFGF_NONE, config_check_proxy),
    CFG_STR_LIST_CB("servers", NULL, CFGF_NONE, config_check_server),
    CFG_STR_CB("rotate", "none", CFGF_NONE, config_check_rotate),
    CFG_STR_CB("rotate_every", "30d", CFGF_NONE, config_check_span),
    CFG_STR_CB("rotate_settle", "2m", CFGF_NONE, config_check_span),
    CFG_STR_CB("rotate_grace", "2d", CFGF_NONE, config_check_span),
    CFG_STR_CB("rotate_lifetime", "90d", CFGF_NONE, config_check_span),
    CFG_STR_CB("rotate_object_id", NULL, CFGF_NONE, config_check_key_id),
    CFG_STR_LIST_CB("rotate_remove", NULL, CFGF_NONE, config_check_key_id),
    CFG_STR_CB("graph_url", NULL, CFGF_NONE, config_check_graph_url),
    CFG_END(),
};

static int
take_client_secrets(cfg_t *section, struct config_credential *credential)
{
    unsigned count = cfg_size(section, "client_secret");

    if (count == 0)
        return 0;
    credential->client_secrets =
        calloc(count, sizeof(*credential->client_secrets));
    if (credential->client_secrets == NULL)
        return config_section_fail_memory(config_loader_of(section));
    credential->client_secret_count = count;
    for (unsigned i = 0; i < count; i++)
        if (config_section_copy_ref(config_loader_of(section),
                                    cfg_getnstr(section, "client_secret", i),
                                    &credential->client_secrets[i]) < 0)
            return -1;
    return 0;
}

static int
take_servers(cfg_t *section, struct config_credential *credential)
{
    if (config_section_list(section, "servers", &credential->servers,
                            &credential->server_count) < 0)
        return -1;
    for (size_t i = 0; i < credential->server_count; i++) {
        char *name = credential->servers[i];
        size_t len = strlen(name);

        /* In place: it only gets shorter. Checked when it was read. */
        (void)config_server_name(name, len, name, len + 1);
    }
    return 0;
}

/* What no single option can say. */
static int
check_credential(cfg_t *section, const struct config_credential *credential)
{
    struct err reason = {ERR_NONE, ""};

    if (config_value_name(section->title, &reason) < 0)
        return config_section_fail(section, "its title must be a short name of "
                                            "letters, digits and ._-");
    if (config_credential_check(credential, &reason) < 0)
        return config_section_fail(section, reason.text);
    return 0;
}

/* `KIND:ID`, or nothing for the machine's own. */
static int
take_identity(cfg_t *section, struct config_credential *credential)
{
    const char *text = cfg_getstr(section, "identity");
    struct err ignored;
    const char *value = NULL;

    /* Checked when it was read. */
    if (text == NULL ||
        config_value_identity(text, &credential->identity, &value, &ignored) <
            0 ||
        value == NULL)
        return 0;
    credential->identity_value = strdup(value);
    return credential->identity_value != NULL
               ? 0
               : config_section_fail_memory(config_loader_of(section));
}

/* Everything that is one text or one reference. */
static int
take_texts(cfg_t *section, struct config_credential *credential)
{
    const struct {
        const char *name;
        char **out;
    } texts[] = {
        {"tenant", &credential->tenant},
        {"client_id", &credential->client_id},
        {"issuer", &credential->issuer},
        {"token_url", &credential->token_url},
        {"authorize_url", &credential->authorize_url},
        {"device_url", &credential->device_url},
        {"scope", &credential->scope},
        {"ca_file", &credential->ca_file},
        {"proxy", &credential->proxy},
    };
    const struct {
        const char *name;
        struct config_ref *out;
    } refs[] = {
        {"certificate", &credential->certificate},
        {"private_key", &credential->private_key},
        {"passphrase", &credential->passphrase},
        {"federated_token", &credential->federated_token},
        {"service_account_key", &credential->service_account_key},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (config_section_text(section, texts[i].name, texts[i].out) < 0)
            return -1;
    for (size_t i = 0; i < ARRAY_LEN(refs); i++)
        if (config_section_ref(section, refs[i].name, refs[i].out) < 0)
            return -1;
    return 0;
}

static int
take_rotation(cfg_t *section, struct config_rotation *rotation)
{
    const struct {
        const char *name;
        int64_t *out;
    } spans[] = {
        {"rotate_every", &rotation->every_s},
        {"rotate_settle", &rotation->settle_s},
        {"rotate_grace", &rotation->grace_s},
        {"rotate_lifetime", &rotation->lifetime_s},
    };
    struct err reason = {ERR_NONE, ""};

    rotation->kind = (enum config_rotate)config_section_word(
        section, "rotate", config_words_rotate);
    for (size_t i = 0; i < ARRAY_LEN(spans); i++)
        if (config_rotation_span(cfg_getstr(section, spans[i].name),
                                 spans[i].out, &reason) < 0)
            return config_section_fail(section, reason.text);
    if (config_section_text(section, "rotate_object_id", &rotation->object_id) <
            0 ||
        config_section_text(section, "graph_url", &rotation->graph_url) < 0)
        return -1;
    return config_section_list(section, "rotate_remove", &rotation->remove,
                               &rotation->remove_count);
}

static int
end_credential(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);
    struct config *config = loader->config;
    cfg_t *section = config_section_last(opt);
    struct config_credential *credential =
        config_section_add(section, &config->credentials,
                           &config->credential_count, sizeof(*credential));

    if (credential == NULL)
        return -1;
    credential->file = loader->file;
    credential->line = (unsigned)section->line;
    credential->provider = (enum config_provider)config_section_word(
        section, "provider", config_words_provider);
    credential->grant = (enum config_grant)config_section_word(
        section, "grant", config_words_grant);
    credential->assertion_algorithm =
        (enum config_assertion)config_section_word(
            section, "assertion_algorithm", config_words_assertion);
    credential->name = strdup(section->title);
    if (credential->name == NULL)
        return config_section_fail_memory(loader);
    credential->redirect_port = (int)cfg_getint(section, "redirect_port");
    if (take_texts(section, credential) < 0 ||
        take_identity(section, credential) < 0 ||
        take_client_secrets(section, credential) < 0 ||
        take_servers(section, credential) < 0 ||
        take_rotation(section, &credential->rotation) < 0 ||
        check_credential(section, credential) < 0)
        return -1;
    return cfg_free_value(opt);
}

cfg_opt_t
config_section_credential(void)
{
    return (cfg_opt_t)CONFIG_SECTION_ROW("credential", CFGF_TITLE,
                                         credential_options, end_credential);
}
