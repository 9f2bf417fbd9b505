/*
 * config_link - what sections of relay.conf say of each other.
 *
 * Runs when every file has been read: turns names into pointers, refuses two
 * sections of one title and names of sections that do not exist, and looks up
 * the accounts of `allow`. Part of config.c; nobody else calls it.
 */
#ifndef COMMON_CONFIG_LINK_H
#define COMMON_CONFIG_LINK_H

#include <stddef.h>

#include "common/config.h"
#include "common/err.h"

/* What was written, kept until the sections that it names are known. */
struct config_names {
    char **credentials; /* owned; one for each of config->mailboxes */
    size_t credential_count;
    /* owned; those of each route's pool, in the order of the routes */
    struct config_list route_mailboxes;
    struct config_list default_mailboxes; /* owned */
    unsigned milter_line;                 /* 0: there is no milter section */
};

/*
 * Link `config`, of which everything else is set. Errors: ERR_CONFIG with
 * `FILE:LINE: ` of the section that is wrong, ERR_SYSTEM out of memory.
 */
int config_link(struct config *config, const struct config_names *names,
                struct err *err) __attribute__((warn_unused_result));

#endif
