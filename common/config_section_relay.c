/*
 * config_section_relay - `relay "SERVER" { ... }`: a server that may be logged
 * in to.
 */
#include "common/config_section_relay.h"

#include <stdlib.h>
#include <string.h>

#include <confuse.h>

#include "common/config_check.h"
#include "common/config_section.h"
#include "common/config_value.h"

static cfg_opt_t relay_options[] = {
    CONFIG_LOADER_ROW,
    CFG_INT_CB("min_token_lifetime", 300, CFGF_NONE,
               config_check_min_token_lifetime),
    CFG_END(),
};

static int
end_relay(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);
    struct config *config = loader->config;
    cfg_t *section = config_section_last(opt);
    struct config_relay *relay = config_section_add(
        section, &config->relays, &config->relay_count, sizeof(*relay));
    struct err reason = {ERR_NONE, ""};
    size_t len = strlen(section->title);

    if (relay == NULL)
        return -1;
    if (config_value_server(section->title, &reason) < 0)
        return config_section_fail(section,
                                   "its title must be a server's name such "
                                   "as \"smtp.office365.com\"");
    relay->file = loader->file;
    relay->line = (unsigned)section->line;
    relay->min_token_lifetime = (int)cfg_getint(section, "min_token_lifetime");
    relay->name = malloc(len + 1);
    if (relay->name == NULL)
        return config_section_fail_memory(loader);
    (void)config_server_name(section->title, len, relay->name, len + 1);
    return cfg_free_value(opt);
}

cfg_opt_t
config_section_relay(void)
{
    return (cfg_opt_t)CONFIG_SECTION_ROW("relay", CFGF_TITLE, relay_options,
                                         end_relay);
}
