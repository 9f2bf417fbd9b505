/*
 * config_section_mailbox - `mailbox "ADDRESS" { ... }`: who logs in, and what
 * it may send as.
 */
#include "common/config_section_mailbox.h"

#include <string.h>

#include <confuse.h>

#include "common/config_check.h"
#include "common/config_section.h"
#include "common/config_value.h"

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
     .parsecb = config_check_entry,
     .validcb = take_send_as},
    CFG_STR_CB("send_as_file", NULL, CFGF_NONE, config_check_path),
    CFG_STR_LIST_CB("allow", NULL, CFGF_NONE, config_check_account),
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
    struct config_mailbox *mailbox = config_section_add(
        section, &config->mailboxes, &config->mailbox_count, sizeof(*mailbox));
    const char *credential = cfg_getstr(section, "credential");

    if (mailbox == NULL)
        return -1;
    if (credential == NULL)
        return config_section_fail(section,
                                   "credential is missing; write credential "
                                   "= \"NAME\" with the name of a credential "
                                   "section");
    if (config_section_append(loader, &loader->names.credentials,
                              &loader->names.credential_count, credential) < 0)
        return -1;
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

cfg_opt_t
config_section_mailbox(void)
{
    return (cfg_opt_t)CONFIG_SECTION_ROW("mailbox", CFGF_TITLE, mailbox_options,
                                         end_mailbox);
}
