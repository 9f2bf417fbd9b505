/*
 * config_section_milter - `milter { ... }` with its rules, `exempt { ... }`
 * and `route { ... }`.
 */
#include "common/config_section_milter.h"

#include <stdlib.h>
#include <string.h>

#include <confuse.h>

#include "common/config_check.h"
#include "common/config_section.h"
#include "common/config_value.h"
#include "common/util.h"

#define POOL_MAX 1000 /* mailboxes; a look-up weighs each */

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
    CFG_STR_LIST_CB("client", NULL, CFGF_NONE, config_check_network),
    CFG_STR_LIST_CB("daemon", NULL, CFGF_NONE, config_check_daemon_name),
    CFG_STR_LIST_CB("recipient", NULL, CFGF_NONE, config_check_entry),
    CFG_END(),
};

static int
end_exempt(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);
    struct config_milter *milter = &loader->config->milter;
    cfg_t *section = config_section_last(opt);
    struct config_exempt *exempt = config_section_add(
        section, &milter->exempts, &milter->exempt_count, sizeof(*exempt));

    if (exempt == NULL)
        return -1;
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
    CFG_STR_LIST_CB("client", NULL, CFGF_NONE, config_check_network),
    CFG_STR_LIST_CB("daemon", NULL, CFGF_NONE, config_check_daemon_name),
    CFG_STR_LIST_CB("login", NULL, CFGF_NONE, config_check_login),
    CFG_STR_LIST_CB("sender", NULL, CFGF_NONE, config_check_entry),
    CFG_STR_LIST_CB("from", NULL, CFGF_NONE, config_check_entry),
    CFG_STR_LIST_CB("recipient", NULL, CFGF_NONE, config_check_entry),
    CFG_STR_LIST_CB("mailbox", NULL, CFGF_NONE, config_check_address),
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
    struct config_route *route = config_section_add(
        section, &milter->routes, &milter->route_count, sizeof(*route));

    if (route == NULL)
        return -1;
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
               CFGF_NONE, config_check_milter_socket),
    CFG_STR_CB("socket_mode", "0660", CFGF_NONE, config_check_mode),
    CFG_STR_CB("socket_group", "postfix", CFGF_NONE, config_check_socket_group),
    CFG_STR_LIST_CB("default_mailbox", NULL, CFGF_NONE, config_check_address),
    CFG_STR_CB("not_permitted", "rewrite", CFGF_NONE,
               config_check_not_permitted),
    CFG_STR_CB("reply_to", "always", CFGF_NONE, config_check_reply_to),
    CFG_STR_LIST_CB("deliverable", NULL, CFGF_NONE, config_check_entry),
    CFG_STR_CB("null_sender", "keep", CFGF_NONE, config_check_null_sender),
    CFG_STR_CB("name_template", "", CFGF_NONE, config_check_name_template),
    CFG_STR_CB("name_template_for", "nameless", CFGF_NONE,
               config_check_name_template_for),
    CFG_STR_CB("dkim", "strip", CFGF_NONE, config_check_dkim),
    CFG_INT_CB("hop_limit", 30, CFGF_NONE, config_check_hop_limit),
    CFG_STR_CB("metrics", NULL, CFGF_NONE, config_check_metrics),
    CONFIG_SECTION_ROW("exempt", CFGF_NONE, exempt_options, end_exempt),
    CONFIG_SECTION_ROW("route", CFGF_NONE, route_options, end_route),
    CFG_END(),
};

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

    if (config_section_once(section, &loader->names.milter_line) < 0)
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

cfg_opt_t
config_section_milter(void)
{
    return (cfg_opt_t)CONFIG_SECTION_ROW("milter", CFGF_NONE, milter_options,
                                         end_milter);
}
