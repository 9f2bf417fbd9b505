/*
 * config_section_tokend - `tokend { ... }` with `access "PATH" { ... }` and
 * `operator "NAME" { ... }`.
 */
#include "common/config_section_tokend.h"

#include <string.h>

#include <confuse.h>

#include "common/config_check.h"
#include "common/config_section.h"
#include "common/config_value.h"

/* libconfuse parses the default of a list, and takes no const for it. */
static char default_sockets[] = "{\"/run/xoauth2/tokend.sock\", "
                                "\"/var/spool/postfix/run/xoauth2/"
                                "tokend.sock\"}";
static char default_allow[] = "{\"postfix\"}";

static char default_control_allow[] = "{\"group:xoauth2-admin\"}";

static cfg_opt_t access_options[] = {
    CONFIG_LOADER_ROW,
    CFG_STR_LIST_CB("allow", NULL, CFGF_NONE, config_check_account),
    CFG_END(),
};

static int
end_access(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_loader *loader = config_loader_of(cfg);
    struct config_tokend *tokend = &loader->config->tokend;
    cfg_t *section = config_section_last(opt);
    struct config_socket_access *access =
        config_section_add(section, &tokend->socket_accesses,
                           &tokend->socket_access_count, sizeof(*access));

    if (access == NULL)
        return -1;
    access->path = strdup(section->title);
    if (access->path == NULL)
        return config_section_fail_memory(loader);
    if (config_section_access(section, "allow", &access->allow) < 0)
        return -1;
    return cfg_free_value(opt);
}

static cfg_opt_t operator_options[] = {
    CONFIG_LOADER_ROW,
    CFG_STR_LIST_CB("verbs", NULL, CFGF_NONE, config_check_verb),
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
    struct config_operator *operator=
        config_section_add(section, &tokend->operators, &tokend->operator_count,
                           sizeof(*operator));
    struct err reason = {ERR_NONE, ""};

    if (operator== NULL)
        return -1;
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
    CFG_STR_LIST_CB("socket", default_sockets, CFGF_NONE,
                    config_check_socket_path),
    CFG_STR_CB("control", "/run/xoauth2/control.sock", CFGF_NONE,
               config_check_socket_path),
    CFG_STR_LIST_CB("allow", default_allow, CFGF_NONE, config_check_account),
    CONFIG_SECTION_ROW("access", CFGF_TITLE, access_options, end_access),
    CFG_STR_LIST_CB("control_allow", default_control_allow, CFGF_NONE,
                    config_check_account),
    CFG_STR_LIST_CB("control_read", NULL, CFGF_NONE, config_check_account),
    CONFIG_SECTION_ROW("operator", CFGF_TITLE, operator_options, end_operator),
    CFG_INT_CB("refetch_interval", 60, CFGF_NONE,
               config_check_refetch_interval),
    CFG_STR_CB("login_password", "", CFGF_NONE, config_check_login_password),
    CFG_STR_CB("state", "/var/lib/xoauth2/state.db", CFGF_NONE,
               config_check_path),
    CFG_STR_CB("seal_key", NULL, CFGF_NONE, config_check_ref),
    CFG_STR_CB("metrics", NULL, CFGF_NONE, config_check_metrics),
    CFG_STR_CB("on_event", NULL, CFGF_NONE, config_check_command),
    CFG_END(),
};

/* Is it the path of one of the first `count` lookup sockets? */
static bool
is_socket(const struct config_tokend *tokend, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(tokend->sockets[i], path) == 0)
            return true;
    return false;
}

/* The status page does not take a path that is another socket's. */
static int
check_metrics_path(cfg_t *section, const struct config_tokend *tokend)
{
    const char *path = tokend->metrics;

    if (path == NULL || strncmp(path, "unix:", 5) != 0)
        return 0;
    path += 5;
    if (strcmp(path, tokend->control) == 0 ||
        is_socket(tokend, tokend->socket_count, path))
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
        if (is_socket(tokend, i, tokend->sockets[i]))
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

        if (!is_socket(tokend, tokend->socket_count, path))
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

    if (config_section_once(section, &loader->tokend_line) < 0)
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

cfg_opt_t
config_section_tokend(void)
{
    return (cfg_opt_t)CONFIG_SECTION_ROW("tokend", CFGF_NONE, tokend_options,
                                         end_tokend);
}
