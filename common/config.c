/*
 * config - relay.conf, read and checked: one immutable struct for all programs.
 *
 * The option tables below are the reference: one row is one setting with its
 * type, its default and what checks it. A row's check runs when its value is
 * read, so it knows the line; the `end_` functions run at the end of their
 * section and turn it into a struct; config_link() links sections to each
 * other when everything has been read.
 *
 * libconfuse keeps sections in an array that it searches from the front, and
 * grows lists by one. So every section and every send_as entry is taken out
 * and freed in there as soon as it is complete.
 */
#include "common/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <confuse.h>

#include "common/config_credential.h"
#include "common/config_link.h"
#include "common/config_rotation.h"
#include "common/config_scan.h"
#include "common/config_section.h"
#include "common/config_value.h"
#include "common/textfile.h"
#include "common/util.h"

#define FILE_SIZE_MAX     (64u << 20) /* bytes */
#define FILE_COUNT_MAX    1000
#define INCLUDE_DEPTH_MAX 10
#define PORT_MAX          65535
#define HOPS_MAX          1000
#define POOL_MAX          1000 /* mailboxes; a look-up weighs each */
#define LIFETIME_MAX      3600 /* s; of min_token_lifetime, refetch_interval */

/* ---- checks of one value ---- */

/* Keep the text when `reason` says that it is good. */
static int
keep_text(const cfg_t *cfg, const cfg_opt_t *opt, const struct err *reason,
          const char *value, void *result)
{
    if (reason->code != ERR_NONE)
        return config_section_fail_option(cfg, opt->name, reason);
    *(const char **)result = value;
    return 0;
}

/* Defines check_KIND(), which asks config_value_KIND(). */
#define TEXT_CHECK(kind)                                                   \
    static int check_##kind(cfg_t *cfg, cfg_opt_t *opt, const char *value, \
                            void *result)                                  \
    {                                                                      \
        struct err reason = {ERR_NONE, ""};                                \
                                                                           \
        (void)config_value_##kind(value, &reason); /* keep_text() looks */ \
        return keep_text(cfg, opt, &reason, value, result);                \
    }

/* The same for one of the words of config_words_KIND. */
#define WORD_CHECK(kind)                                                       \
    static int check_##kind(cfg_t *cfg, cfg_opt_t *opt, const char *value,     \
                            void *result)                                      \
    {                                                                          \
        struct err reason = {ERR_NONE, ""};                                    \
        int number;                                                            \
                                                                               \
        (void)config_value_word(config_words_##kind, value, &number, &reason); \
        return keep_text(cfg, opt, &reason, value, result);                    \
    }

WORD_CHECK(provider)
WORD_CHECK(grant)
WORD_CHECK(assertion)
WORD_CHECK(not_permitted)
WORD_CHECK(reply_to)
WORD_CHECK(rotate)
WORD_CHECK(null_sender)
WORD_CHECK(name_template_for)
WORD_CHECK(dkim)
WORD_CHECK(verb)
TEXT_CHECK(tenant)
TEXT_CHECK(client_id)
TEXT_CHECK(issuer)
TEXT_CHECK(key_ref)
TEXT_CHECK(ref)
TEXT_CHECK(url)
TEXT_CHECK(scope)
TEXT_CHECK(path)
TEXT_CHECK(proxy)
TEXT_CHECK(server)
TEXT_CHECK(address)
TEXT_CHECK(entry)
TEXT_CHECK(daemon_name)
TEXT_CHECK(login)
TEXT_CHECK(name_template)
TEXT_CHECK(account)
TEXT_CHECK(socket_path)
TEXT_CHECK(milter_socket)
TEXT_CHECK(login_password)
TEXT_CHECK(metrics)
TEXT_CHECK(command)

static int
check_network(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct config_network network;
    struct err reason = {ERR_NONE, ""};

    (void)config_value_network(value, &network, &reason);
    return keep_text(cfg, opt, &reason, value, result);
}

static int
check_mode(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct err reason = {ERR_NONE, ""};
    mode_t mode;

    (void)config_value_mode(value, &mode, &reason);
    return keep_text(cfg, opt, &reason, value, result);
}

/* An account, or nothing. */
static int
check_socket_group(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (value[0] != '\0')
        return check_account(cfg, opt, value, result);
    *(const char **)result = value;
    return 0;
}

static int
check_number(cfg_t *cfg, const cfg_opt_t *opt, const char *value, int min,
             int max, long *out)
{
    struct err reason = {ERR_NONE, ""};
    int number = 0;

    if (config_value_number(value, min, max, &number, &reason) < 0)
        return config_section_fail_option(cfg, opt->name, &reason);
    *out = number;
    return 0;
}

static int
check_min_token_lifetime(cfg_t *cfg, cfg_opt_t *opt, const char *value,
                         void *result)
{
    return check_number(cfg, opt, value, 0, LIFETIME_MAX, result);
}

static int
check_refetch_interval(cfg_t *cfg, cfg_opt_t *opt, const char *value,
                       void *result)
{
    return check_number(cfg, opt, value, 1, LIFETIME_MAX, result);
}

static int
check_hop_limit(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    return check_number(cfg, opt, value, 1, HOPS_MAX, result);
}

static int
check_redirect_port(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    return check_number(cfg, opt, value, 0, PORT_MAX, result);
}

static int
check_identity(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    enum config_identity identity;
    struct err reason = {ERR_NONE, ""};
    const char *id;

    (void)config_value_identity(value, &identity, &id, &reason);
    return keep_text(cfg, opt, &reason, value, result);
}

static int
check_span(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct err reason = {ERR_NONE, ""};
    int64_t span;

    if (config_rotation_span(value, &span, &reason) < 0)
        return config_section_fail_option(cfg, opt->name, &reason);
    return keep_text(cfg, opt, &reason, value, result);
}

static int
check_key_id(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct err reason = {ERR_NONE, ""};

    if (config_rotation_id(value, &reason) < 0)
        return config_section_fail_option(cfg, opt->name, &reason);
    return keep_text(cfg, opt, &reason, value, result);
}

static int
check_graph_url(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct err reason = {ERR_NONE, ""};

    if (config_rotation_url(value, &reason) < 0)
        return config_section_fail_option(cfg, opt->name, &reason);
    return keep_text(cfg, opt, &reason, value, result);
}

/* ---- credential ---- */

static cfg_opt_t credential_options[] = {
    CONFIG_LOADER_ROW,
    CFG_STR_CB("provider", "microsoft", CFGF_NONE, check_provider),
    CFG_STR_CB("tenant", NULL, CFGF_NONE, check_tenant),
    CFG_STR_CB("client_id", NULL, CFGF_NONE, check_client_id),
    CFG_STR_CB("grant", "client_credentials", CFGF_NONE, check_grant),
    CFG_STR_LIST_CB("client_secret", NULL, CFGF_NONE, check_ref),
    CFG_STR_CB("certificate", NULL, CFGF_NONE, check_ref),
    CFG_STR_CB("private_key", NULL, CFGF_NONE, check_key_ref),
    CFG_STR_CB("passphrase", NULL, CFGF_NONE, check_ref),
    CFG_STR_CB("assertion_algorithm", "PS256", CFGF_NONE, check_assertion),
    CFG_STR_CB("federated_token", NULL, CFGF_NONE, check_ref),
    CFG_STR_CB("service_account_key", NULL, CFGF_NONE, check_ref),
    CFG_STR_CB("identity", NULL, CFGF_NONE, check_identity),
    CFG_INT_CB("redirect_port", 0, CFGF_NONE, check_redirect_port),
    CFG_STR_CB("issuer", NULL, CFGF_NONE, check_issuer),
    CFG_STR_CB("token_url", NULL, CFGF_NONE, check_url),
    CFG_STR_CB("authorize_url", NULL, CFGF_NONE, check_url),
    CFG_STR_CB("device_url", NULL, CFGF_NONE, check_url),
    CFG_STR_CB("scope", NULL, CFGF_NONE, check_scope),
    CFG_STR_CB("ca_file", NULL, CFGF_NONE, check_path),
    CFG_STR_CB("proxy", NULL, CFGF_NONE, check_proxy),
    CFG_STR_LIST_CB("servers", NULL, CFGF_NONE, check_server),
    CFG_STR_CB("rotate", "none", CFGF_NONE, check_rotate),
    CFG_STR_CB("rotate_every", "30d", CFGF_NONE, check_span),
    CFG_STR_CB("rotate_settle", "2m", CFGF_NONE, check_span),
    CFG_STR_CB("rotate_grace", "2d", CFGF_NONE, check_span),
    CFG_STR_CB("rotate_lifetime", "90d", CFGF_NONE, check_span),
    CFG_STR_CB("rotate_object_id", NULL, CFGF_NONE, check_key_id),
    CFG_STR_LIST_CB("rotate_remove", NULL, CFGF_NONE, check_key_id),
    CFG_STR_CB("graph_url", NULL, CFGF_NONE, check_graph_url),
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
    struct config_credential *credential = config_section_grow(
        config->credentials, config->credential_count, sizeof(*credential));

    if (credential == NULL)
        return config_section_fail_memory(loader);
    config->credentials = credential;
    credential += config->credential_count++;
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

/* ---- mailbox ---- */

/*
 * After each value of the list: take it out, so that libconfuse's own array
 * stays short.
 */
static int
take_send_as(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);

    for (unsigned i = 0; i < cfg_opt_size(opt); i++)
        if (config_section_append(loader, &loader->send_as,
                                  &loader->send_as_count,
                                  cfg_opt_getnstr(opt, i)) < 0)
            return -1;
    return cfg_free_value(opt);
}

static cfg_opt_t mailbox_options[] = {
    CONFIG_LOADER_ROW,
    CFG_STR("credential", NULL, CFGF_NONE),
    {.name = "send_as",
     .type = CFGT_STR,
     .flags = CFGF_LIST,
     .parsecb = check_entry,
     .validcb = take_send_as},
    CFG_STR_CB("send_as_file", NULL, CFGF_NONE, check_path),
    CFG_STR_LIST_CB("allow", NULL, CFGF_NONE, check_account),
    CFG_END(),
};

static int
check_mailbox(cfg_t *section, const struct config_mailbox *mailbox)
{
    struct err reason = {ERR_NONE, ""};

    if (config_value_entry(mailbox->title, &reason) < 0)
        return config_section_fail(section,
                                   "its title must be an address such as "
                                   "\"relay@example.com\", or "
                                   "\"@example.com\" for everybody there");
    if (mailbox->title[0] == '@' &&
        (mailbox->send_as_count > 0 || mailbox->send_as_file != NULL))
        return config_section_fail(section,
                                   "every sender of this domain logs in as "
                                   "itself, so send_as means nothing here; "
                                   "move it to a mailbox \"user@domain\"");
    return 0;
}

static int
end_mailbox(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);
    struct config *config = loader->config;
    cfg_t *section = config_section_last(opt);
    struct config_mailbox *mailbox = config_section_grow(
        config->mailboxes, config->mailbox_count, sizeof(*mailbox));
    const char *credential = cfg_getstr(section, "credential");

    if (mailbox == NULL)
        return config_section_fail_memory(loader);
    config->mailboxes = mailbox;
    if (credential == NULL)
        return config_section_fail(section,
                                   "credential is missing; write credential "
                                   "= \"NAME\" with the name of a credential "
                                   "section");
    if (config_section_append(loader, &loader->names.credentials,
                              &loader->names.credential_count, credential) < 0)
        return -1;
    mailbox += config->mailbox_count++;
    mailbox->file = loader->file;
    mailbox->line = (unsigned)section->line;
    mailbox->send_as = loader->send_as;
    mailbox->send_as_count = loader->send_as_count;
    loader->send_as = NULL;
    loader->send_as_count = 0;
    mailbox->title = strdup(section->title);
    if (mailbox->title == NULL)
        return config_section_fail_memory(loader);
    if (config_section_text(section, "send_as_file", &mailbox->send_as_file) <
            0 ||
        config_section_access(section, "allow", &mailbox->allow) < 0 ||
        check_mailbox(section, mailbox) < 0)
        return -1;
    return cfg_free_value(opt);
}

/* ---- relay ---- */

static cfg_opt_t relay_options[] = {
    CONFIG_LOADER_ROW,
    CFG_INT_CB("min_token_lifetime", 300, CFGF_NONE, check_min_token_lifetime),
    CFG_END(),
};

static int
end_relay(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);
    struct config *config = loader->config;
    cfg_t *section = config_section_last(opt);
    struct config_relay *relay = config_section_grow(
        config->relays, config->relay_count, sizeof(*relay));
    struct err reason = {ERR_NONE, ""};
    size_t len = strlen(section->title);

    if (relay == NULL)
        return config_section_fail_memory(loader);
    config->relays = relay;
    if (config_value_server(section->title, &reason) < 0)
        return config_section_fail(section,
                                   "its title must be a server's name such "
                                   "as \"smtp.office365.com\"");
    relay += config->relay_count++;
    relay->file = loader->file;
    relay->line = (unsigned)section->line;
    relay->min_token_lifetime = (int)cfg_getint(section, "min_token_lifetime");
    relay->name = malloc(len + 1);
    if (relay->name == NULL)
        return config_section_fail_memory(loader);
    (void)config_server_name(section->title, len, relay->name, len + 1);
    return cfg_free_value(opt);
}

/* ---- milter ---- */

/*
 * One list of a rule. `{}` would look as if it fitted nothing, and what is not
 * there fits everything.
 */
static int
take_criterion(cfg_t *section, const char *name, struct config_list *out)
{
    const cfg_opt_t *option = section->opts;

    while (option->name != NULL && strcmp(option->name, name) != 0)
        option++;
    if (option->name == NULL)
        return 0; /* an exempt has fewer of them than a route */
    if (cfg_size(section, name) == 0 && (option->flags & CFGF_MODIFIED) != 0) {
        const struct err reason = {ERR_CONFIG,
                                   "is empty; name something or remove it"};

        return config_section_fail_option(section, name, &reason);
    }
    return config_section_list(section, name, &out->items, &out->count);
}

/* The networks, which were checked when they were read. */
static int
take_clients(cfg_t *section, struct config_criteria *out)
{
    struct config_list texts = {0};
    struct err ignored;
    int rc = take_criterion(section, "client", &texts);

    if (rc == 0 && texts.count > 0) {
        out->clients = calloc(texts.count, sizeof(*out->clients));
        if (out->clients == NULL)
            rc = config_section_fail_memory(config_loader_of(section));
        else
            out->client_count = texts.count;
    }
    for (size_t i = 0; i < out->client_count; i++)
        (void)config_value_network(texts.items[i], &out->clients[i], &ignored);
    config_section_free_list(texts.items, texts.count);
    return rc;
}

/* What messages a rule is for. */
static int
take_criteria(cfg_t *section, struct config_criteria *out)
{
    const struct {
        const char *name;
        struct config_list *list;
    } lists[] = {
        {"daemon", &out->daemons},       {"login", &out->logins},
        {"sender", &out->senders},       {"from", &out->froms},
        {"recipient", &out->recipients},
    };

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (take_criterion(section, lists[i].name, lists[i].list) < 0)
            return -1;
    return take_clients(section, out);
}

/* Does it say nothing at all? */
static bool
is_idle(const struct config_criteria *criteria)
{
    return criteria->client_count == 0 && criteria->daemons.count == 0 &&
           criteria->logins.count == 0 && criteria->senders.count == 0 &&
           criteria->froms.count == 0 && criteria->recipients.count == 0;
}

static cfg_opt_t exempt_options[] = {
    CONFIG_LOADER_ROW,
    CFG_STR_LIST_CB("client", NULL, CFGF_NONE, check_network),
    CFG_STR_LIST_CB("daemon", NULL, CFGF_NONE, check_daemon_name),
    CFG_STR_LIST_CB("recipient", NULL, CFGF_NONE, check_entry),
    CFG_END(),
};

static int
end_exempt(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);
    struct config_milter *milter = &loader->config->milter;
    cfg_t *section = config_section_last(opt);
    struct config_exempt *exempt = config_section_grow(
        milter->exempts, milter->exempt_count, sizeof(*exempt));

    if (exempt == NULL)
        return config_section_fail_memory(loader);
    milter->exempts = exempt;
    exempt += milter->exempt_count++;
    exempt->line = (unsigned)section->line;
    if (take_criteria(section, &exempt->criteria) < 0)
        return -1;
    if (is_idle(&exempt->criteria))
        return config_section_fail(section,
                                   "it says for which messages nowhere; "
                                   "write client = \"NETWORK\", daemon = "
                                   "\"NAME\" or recipient = \"@DOMAIN\"");
    return cfg_free_value(opt);
}

static cfg_opt_t route_options[] = {
    CONFIG_LOADER_ROW,
    CFG_STR_LIST_CB("client", NULL, CFGF_NONE, check_network),
    CFG_STR_LIST_CB("daemon", NULL, CFGF_NONE, check_daemon_name),
    CFG_STR_LIST_CB("login", NULL, CFGF_NONE, check_login),
    CFG_STR_LIST_CB("sender", NULL, CFGF_NONE, check_entry),
    CFG_STR_LIST_CB("from", NULL, CFGF_NONE, check_entry),
    CFG_STR_LIST_CB("recipient", NULL, CFGF_NONE, check_entry),
    CFG_STR_LIST_CB("mailbox", NULL, CFGF_NONE, check_address),
    CFG_END(),
};

/* Make room for a pool; config_link() fills it by the names kept in `list`. */
static int
take_pool(cfg_t *section, const char *name, struct config_list *list,
          struct config_pool *out)
{
    struct config_loader *loader = config_loader_of(section);
    size_t before = list->count;

    if (cfg_size(section, name) > POOL_MAX)
        return config_section_fail(section, "a pool of so many mailboxes can't "
                                            "be meant; name 1000 at most");
    if (config_section_list(section, name, &list->items, &list->count) < 0)
        return -1;
    if (list->count == before)
        return 0;
    out->mailboxes = calloc(list->count - before, sizeof(out->mailboxes[0]));
    if (out->mailboxes == NULL)
        return config_section_fail_memory(loader);
    out->count = list->count - before;
    return 0;
}

static int
end_route(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);
    struct config_milter *milter = &loader->config->milter;
    cfg_t *section = config_section_last(opt);
    struct config_route *route = config_section_grow(
        milter->routes, milter->route_count, sizeof(*route));

    if (route == NULL)
        return config_section_fail_memory(loader);
    milter->routes = route;
    route += milter->route_count++;
    route->line = (unsigned)section->line;
    if (take_criteria(section, &route->criteria) < 0 ||
        take_pool(section, "mailbox", &loader->names.route_mailboxes,
                  &route->pool) < 0)
        return -1;
    if (route->pool.count == 0)
        return config_section_fail(section,
                                   "mailbox is missing; write mailbox = "
                                   "\"user@domain\" with the title of a "
                                   "mailbox section");
    if (is_idle(&route->criteria))
        return config_section_fail(section,
                                   "it says for which messages nowhere; "
                                   "write client, daemon, login, sender, from "
                                   "or recipient, or set default_mailbox");
    return cfg_free_value(opt);
}

static cfg_opt_t milter_options[] = {
    CONFIG_LOADER_ROW,
    CFG_STR_CB("socket", "unix:/var/spool/postfix/run/sendas/sendas.sock",
               CFGF_NONE, check_milter_socket),
    CFG_STR_CB("socket_mode", "0660", CFGF_NONE, check_mode),
    CFG_STR_CB("socket_group", "postfix", CFGF_NONE, check_socket_group),
    CFG_STR_LIST_CB("default_mailbox", NULL, CFGF_NONE, check_address),
    CFG_STR_CB("not_permitted", "rewrite", CFGF_NONE, check_not_permitted),
    CFG_STR_CB("reply_to", "always", CFGF_NONE, check_reply_to),
    CFG_STR_LIST_CB("deliverable", NULL, CFGF_NONE, check_entry),
    CFG_STR_CB("null_sender", "keep", CFGF_NONE, check_null_sender),
    CFG_STR_CB("name_template", "", CFGF_NONE, check_name_template),
    CFG_STR_CB("name_template_for", "nameless", CFGF_NONE,
               check_name_template_for),
    CFG_STR_CB("dkim", "strip", CFGF_NONE, check_dkim),
    CFG_INT_CB("hop_limit", 30, CFGF_NONE, check_hop_limit),
    CFG_STR_CB("metrics", NULL, CFGF_NONE, check_metrics),
    {.name = "exempt",
     .type = CFGT_SEC,
     .flags = CFGF_MULTI,
     .subopts = exempt_options,
     .validcb = end_exempt},
    {.name = "route",
     .type = CFGT_SEC,
     .flags = CFGF_MULTI,
     .subopts = route_options,
     .validcb = end_route},
    CFG_END(),
};

/* A section that may be there once: is it? Notes where it is. */
static int
note_only_one(cfg_t *section, unsigned *line)
{
    struct config_loader *loader = config_loader_of(section);

    if (*line != 0)
        return config_section_fail(section,
                                   "there is such a section already; put "
                                   "the options of both into one");
    if (!loader->is_default)
        *line = (unsigned)section->line;
    return 0;
}

/* How fields are rewritten. */
static int
take_rewriting(cfg_t *section, struct config_milter *milter)
{
    milter->reply_to = (enum config_reply_to)config_section_word(
        section, "reply_to", config_words_reply_to);
    milter->name_template_for =
        (enum config_name_template_for)config_section_word(
            section, "name_template_for", config_words_name_template_for);
    milter->dkim = (enum config_dkim)config_section_word(section, "dkim",
                                                         config_words_dkim);
    milter->hop_limit = (int)cfg_getint(section, "hop_limit");
    if (cfg_getstr(section, "name_template")[0] != '\0' &&
        config_section_text(section, "name_template", &milter->name_template) <
            0)
        return -1;
    return config_section_list(section, "deliverable", &milter->deliverable,
                               &milter->deliverable_count);
}

static int
end_milter(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);
    struct config_milter *milter = &loader->config->milter;
    cfg_t *section = config_section_last(opt);
    struct err ignored;

    if (note_only_one(section, &loader->names.milter_line) < 0)
        return -1;
    milter->is_present = !loader->is_default;
    milter->file = loader->file;
    milter->line = (unsigned)section->line;
    milter->not_permitted = (enum config_not_permitted)config_section_word(
        section, "not_permitted", config_words_not_permitted);
    milter->null_sender = (enum config_null_sender)config_section_word(
        section, "null_sender", config_words_null_sender);
    (void)config_value_mode(cfg_getstr(section, "socket_mode"),
                            &milter->socket_mode, &ignored);
    if (take_rewriting(section, milter) < 0 ||
        config_section_text(section, "socket", &milter->socket) < 0 ||
        config_section_text(section, "metrics", &milter->metrics) < 0 ||
        take_pool(section, "default_mailbox", &loader->names.default_mailboxes,
                  &milter->default_pool) < 0)
        return -1;
    if (cfg_getstr(section, "socket_group")[0] != '\0' &&
        config_section_text(section, "socket_group", &milter->socket_group) < 0)
        return -1;
    if (milter->is_present && milter->default_pool.count == 0 &&
        (milter->not_permitted != CONFIG_NOT_PERMITTED_REJECT ||
         milter->null_sender != CONFIG_NULL_SENDER_DISCARD))
        return config_section_fail(
            section, "default_mailbox is missing; write default_mailbox = "
                     "\"user@domain\", or both not_permitted = \"reject\" "
                     "and null_sender = \"discard\", as bounces are never "
                     "refused and a mailbox has to send them");
    if (milter->metrics != NULL && strcmp(milter->metrics, milter->socket) == 0)
        return config_section_fail(section, "metrics must have a path of its "
                                            "own, not that of socket");
    return cfg_free_value(opt);
}

/* ---- tokend ---- */

/* libconfuse parses the default of a list, and takes no const for it. */
static char default_sockets[] = "{\"/run/xoauth2/tokend.sock\", "
                                "\"/var/spool/postfix/run/xoauth2/"
                                "tokend.sock\"}";
static char default_allow[] = "{\"postfix\"}";

static char default_control_allow[] = "{\"group:xoauth2-admin\"}";

static cfg_opt_t access_options[] = {
    CONFIG_LOADER_ROW,
    CFG_STR_LIST_CB("allow", NULL, CFGF_NONE, check_account),
    CFG_END(),
};

static int
end_access(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);
    struct config_tokend *tokend = &loader->config->tokend;
    cfg_t *section = config_section_last(opt);
    struct config_socket_access *access = config_section_grow(
        tokend->socket_accesses, tokend->socket_access_count, sizeof(*access));

    if (access == NULL)
        return config_section_fail_memory(loader);
    tokend->socket_accesses = access;
    access += tokend->socket_access_count++;
    access->path = strdup(section->title);
    if (access->path == NULL)
        return config_section_fail_memory(loader);
    if (config_section_access(section, "allow", &access->allow) < 0)
        return -1;
    return cfg_free_value(opt);
}

static cfg_opt_t operator_options[] = {
    CONFIG_LOADER_ROW,
    CFG_STR_LIST_CB("verbs", NULL, CFGF_NONE, check_verb),
    CFG_END(),
};

static bool
is_same_peer(const struct config_operator *a, const struct config_operator *b)
{
    return a->who.peers[0].is_group == b->who.peers[0].is_group &&
           strcmp(a->who.peers[0].name, b->who.peers[0].name) == 0;
}

static int
check_operator(cfg_t *section, const struct config_tokend *tokend)
{
    const struct config_operator *last =
        &tokend->operators[tokend->operator_count - 1];

    if (last->verbs == 0)
        return config_section_fail(section,
                                   "verbs is empty; write verbs = "
                                   "{\"status\", \"audit\"} or what else this "
                                   "operator may do");
    for (const struct config_operator *other = tokend->operators; other < last;
         other++)
        if (is_same_peer(other, last))
            return config_section_fail(section,
                                       "operator is there twice for one name; "
                                       "put both into one");
    return 0;
}

static int
end_operator(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);
    struct config_tokend *tokend = &loader->config->tokend;
    cfg_t *section = config_section_last(opt);
    struct config_operator *operator= config_section_grow(
        tokend->operators, tokend->operator_count, sizeof(*operator));
    struct err reason = {ERR_NONE, ""};

    if (operator== NULL)
        return config_section_fail_memory(loader);
    tokend->operators = operator;
    operator+= tokend->operator_count++;
    if (config_value_account(section->title, &reason) < 0)
        return config_section_fail(section,
                                   "its title must be a user's name or "
                                   "\"group:NAME\"");
    if (config_section_peer(section, section->title, &operator->who) < 0)
        return -1;
    for (unsigned i = 0; i < cfg_size(section, "verbs"); i++) {
        int verb = 0;

        /* Each was checked when it was read. */
        (void)config_value_word(config_words_verb,
                                cfg_getnstr(section, "verbs", i), &verb,
                                &reason);
        operator->verbs |= CONFIG_VERB_BIT(verb);
    }
    if (check_operator(section, tokend) < 0)
        return -1;
    return cfg_free_value(opt);
}

static cfg_opt_t tokend_options[] = {
    CONFIG_LOADER_ROW,
    CFG_STR_LIST_CB("socket", default_sockets, CFGF_NONE, check_socket_path),
    CFG_STR_CB("control", "/run/xoauth2/control.sock", CFGF_NONE,
               check_socket_path),
    CFG_STR_LIST_CB("allow", default_allow, CFGF_NONE, check_account),
    {.name = "access",
     .type = CFGT_SEC,
     .flags = CFGF_MULTI | CFGF_TITLE,
     .subopts = access_options,
     .validcb = end_access},
    CFG_STR_LIST_CB("control_allow", default_control_allow, CFGF_NONE,
                    check_account),
    CFG_STR_LIST_CB("control_read", NULL, CFGF_NONE, check_account),
    {.name = "operator",
     .type = CFGT_SEC,
     .flags = CFGF_MULTI | CFGF_TITLE,
     .subopts = operator_options,
     .validcb = end_operator},
    CFG_INT_CB("refetch_interval", 60, CFGF_NONE, check_refetch_interval),
    CFG_STR_CB("login_password", "", CFGF_NONE, check_login_password),
    CFG_STR_CB("state", "/var/lib/xoauth2/state.db", CFGF_NONE, check_path),
    CFG_STR_CB("seal_key", NULL, CFGF_NONE, check_ref),
    CFG_STR_CB("metrics", NULL, CFGF_NONE, check_metrics),
    CFG_STR_CB("on_event", NULL, CFGF_NONE, check_command),
    CFG_END(),
};

/* The status page does not take a path that is another socket's. */
static int
check_metrics_path(cfg_t *section, const struct config_tokend *tokend)
{
    const char *path = tokend->metrics;
    bool is_taken;

    if (path == NULL || strncmp(path, "unix:", 5) != 0)
        return 0;
    path += 5;
    is_taken = strcmp(path, tokend->control) == 0;
    for (size_t i = 0; i < tokend->socket_count; i++)
        is_taken = is_taken || strcmp(path, tokend->sockets[i]) == 0;
    if (is_taken)
        return config_section_fail(section,
                                   "metrics must have a path of its own, not "
                                   "that of socket or control");
    return 0;
}

static int
check_sockets(cfg_t *section, const struct config_tokend *tokend)
{
    if (tokend->socket_count == 0)
        return config_section_fail(section, "socket is empty; write socket = "
                                            "{\"/PATH\"}");
    for (size_t i = 0; i < tokend->socket_count; i++) {
        if (strcmp(tokend->sockets[i], tokend->control) == 0)
            return config_section_fail(section,
                                       "control must have a path of its "
                                       "own, not one of socket");
        for (size_t k = 0; k < i; k++)
            if (strcmp(tokend->sockets[i], tokend->sockets[k]) == 0)
                return config_section_fail(section,
                                           "socket has the same path twice; "
                                           "remove one");
    }
    return check_metrics_path(section, tokend);
}

/* Each names a socket that there is, and no two the same. */
static int
check_accesses(cfg_t *section, const struct config_tokend *tokend)
{
    for (size_t i = 0; i < tokend->socket_access_count; i++) {
        const char *path = tokend->socket_accesses[i].path;
        bool is_there = false;

        for (size_t k = 0; k < tokend->socket_count; k++)
            is_there = is_there || strcmp(tokend->sockets[k], path) == 0;
        if (!is_there)
            return config_section_fail(section,
                                       "the title of access must be a path "
                                       "that socket lists");
        for (size_t k = 0; k < i; k++)
            if (strcmp(tokend->socket_accesses[k].path, path) == 0)
                return config_section_fail(section,
                                           "access is there twice for one "
                                           "path; put both into one");
    }
    return 0;
}

static int
end_tokend(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);
    struct config_tokend *tokend = &loader->config->tokend;
    cfg_t *section = config_section_last(opt);

    if (note_only_one(section, &loader->tokend_line) < 0)
        return -1;
    tokend->file = loader->file;
    tokend->line = (unsigned)section->line;
    tokend->refetch_interval = (int)cfg_getint(section, "refetch_interval");
    if (config_section_list(section, "socket", &tokend->sockets,
                            &tokend->socket_count) < 0 ||
        config_section_text(section, "control", &tokend->control) < 0 ||
        config_section_text(section, "login_password",
                            &tokend->login_password) < 0 ||
        config_section_text(section, "state", &tokend->state) < 0 ||
        config_section_ref(section, "seal_key", &tokend->seal_key) < 0 ||
        config_section_text(section, "metrics", &tokend->metrics) < 0 ||
        config_section_ref(section, "on_event", &tokend->on_event) < 0 ||
        config_section_access(section, "allow", &tokend->allow) < 0 ||
        config_section_access(section, "control_allow",
                              &tokend->control_allow) < 0 ||
        config_section_access(section, "control_read", &tokend->control_read) <
            0 ||
        check_sockets(section, tokend) < 0 ||
        check_accesses(section, tokend) < 0)
        return -1;
    return cfg_free_value(opt);
}

/* ---- files ---- */

/* Let libconfuse read a text that config_scan() has passed. */
static int
parse(struct config_loader *loader, char *text, size_t len)
{
    FILE *stream;
    int rc;

    if (len == 0)
        return 0;
    stream = fmemopen(text, len, "r");
    if (stream == NULL)
        return config_section_fail_memory(loader);
    rc = cfg_parse_fp(loader->root, stream);
    (void)fclose(stream); /* a stream for reading */
    /* Without a text of its own it ran out of memory. */
    return rc == CFG_SUCCESS ? 0 : config_section_fail_memory(loader);
}

/* Read one file, with what it includes. */
static int
load_file(struct config_loader *loader, const char *path)
{
    struct config *config = loader->config;
    const char *outer_file = loader->file;
    char *outer_name = loader->root->filename;
    int outer_line = loader->root->line;
    struct textfile file = {0};
    int rc = -1;

    if (textfile_read(path, FILE_SIZE_MAX, &file, &loader->err) < 0)
        return -1;
    if (config_scan(path, file.text, file.len, &loader->err) < 0 ||
        config_section_append(loader, &config->files, &config->file_count,
                              path) < 0)
        goto out;
    loader->root->filename = strdup(path);
    if (loader->root->filename == NULL) {
        loader->root->filename = outer_name;
        config_section_fail_memory(loader);
        goto out;
    }
    loader->file = config->files[config->file_count - 1];
    rc = parse(loader, file.text, file.len);
    free(loader->root->filename);
    loader->root->filename = outer_name;
    loader->root->line = outer_line;
    loader->file = outer_file;
out:
    textfile_clear(&file);
    return rc;
}

/* An included file's path: one that is not absolute is beside its includer. */
static char *
included_path(const char *includer, const char *name)
{
    const char *slash = strrchr(includer, '/');
    char *path = NULL;

    if (name[0] == '/' || slash == NULL)
        return strdup(name);
    if (asprintf(&path, "%.*s/%s", (int)(slash - includer), includer, name) < 0)
        return NULL;
    return path;
}

static int
include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
    struct config_loader *loader = config_loader_of(cfg);
    unsigned line = (unsigned)cfg->line;
    char *path;
    int rc;

    (void)opt;
    if (argc != 1 || argv[0][0] == '\0')
        return config_section_fail_at(loader, cfg->filename, line,
                                      "include names no file");
    if (loader->depth == INCLUDE_DEPTH_MAX ||
        loader->config->file_count >= FILE_COUNT_MAX)
        return config_section_fail_at(
            loader, cfg->filename, line,
            "files are included too deeply or too many; does a "
            "file include itself?");
    path = included_path(cfg->filename, argv[0]);
    if (path == NULL)
        return config_section_fail_memory(loader);
    loader->depth++;
    rc = load_file(loader, path);
    loader->depth--;
    free(path);
    if (rc < 0 && strncmp(loader->err.text, "cannot read ", 12) == 0) {
        struct err cannot = loader->err;

        loader->err.code = ERR_NONE;
        (void)config_section_fail_at(loader, cfg->filename, line, "%s",
                                     cannot.text);
        loader->err.code = cannot.code;
    }
    return rc;
}

static cfg_opt_t root_options[] = {
    CONFIG_LOADER_ROW,
    {.name = "credential",
     .type = CFGT_SEC,
     .flags = CFGF_MULTI | CFGF_TITLE,
     .subopts = credential_options,
     .validcb = end_credential},
    {.name = "mailbox",
     .type = CFGT_SEC,
     .flags = CFGF_MULTI | CFGF_TITLE,
     .subopts = mailbox_options,
     .validcb = end_mailbox},
    {.name = "relay",
     .type = CFGT_SEC,
     .flags = CFGF_MULTI | CFGF_TITLE,
     .subopts = relay_options,
     .validcb = end_relay},
    {.name = "milter",
     .type = CFGT_SEC,
     .flags = CFGF_MULTI,
     .subopts = milter_options,
     .validcb = end_milter},
    {.name = "tokend",
     .type = CFGT_SEC,
     .flags = CFGF_MULTI,
     .subopts = tokend_options,
     .validcb = end_tokend},
    CFG_FUNC("include", include),
    CFG_END(),
};

/* Sections that are not in the file have their defaults all the same. */
static int
load_defaults(struct config_loader *loader)
{
    char milter[] = "milter { }";
    char tokend[] = "tokend { }";

    loader->is_default = true;
    if (loader->names.milter_line == 0 &&
        parse(loader, milter, sizeof(milter) - 1) < 0)
        return -1;
    if (loader->tokend_line == 0 &&
        parse(loader, tokend, sizeof(tokend) - 1) < 0)
        return -1;
    return 0;
}

/* ---- the whole ---- */

static int
load(struct config_loader *loader, const char *path)
{
    loader->config->path = strdup(path);
    loader->root = cfg_init(root_options, CFGF_NONE);
    if (loader->config->path == NULL || loader->root == NULL)
        return config_section_fail_memory(loader);
    config_loader_plant(loader->root->opts, loader);
    cfg_set_error_function(loader->root, config_section_on_error);
    if (load_file(loader, path) < 0 || load_defaults(loader) < 0)
        return -1;
    return config_link(loader->config, &loader->names, &loader->err);
}

struct config *
config_load(const char *path, struct err *err)
{
    struct config_loader loader = {0};
    struct config *config;

    loader.config = calloc(1, sizeof(*loader.config));
    if (loader.config == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    loader.config->reference_count = 1;
    if (load(&loader, path) < 0) {
        *err = loader.err;
        config_unref(&loader.config);
    }
    config = loader.config;
    if (loader.root != NULL)
        (void)cfg_free(loader.root); /* also resets libconfuse's scanner */
    config_section_free_list(loader.send_as, loader.send_as_count);
    config_section_free_list(loader.names.credentials,
                             loader.names.credential_count);
    config_section_free_list(loader.names.route_mailboxes.items,
                             loader.names.route_mailboxes.count);
    config_section_free_list(loader.names.default_mailboxes.items,
                             loader.names.default_mailboxes.count);
    return config;
}
