/*
 * config - relay.conf, read and checked: one immutable struct for all programs.
 *
 * The option tables below are the reference: one row is one setting with its
 * type, its default and what checks it. A row's check runs when its value is
 * read, so it knows the line; the `end_` functions run at the end of their
 * section and turn it into a struct; resolve() links sections to each other
 * when everything has been read.
 *
 * libconfuse keeps sections in an array that it searches from the front, and
 * grows lists by one. So every section and every send_as entry is taken out
 * and freed in there as soon as it is complete.
 */
#include "common/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <confuse.h>

#include "common/config_scan.h"
#include "common/config_value.h"
#include "common/log.h"
#include "common/strmap.h"
#include "common/textfile.h"

#define FILE_SIZE_MAX     (64u << 20) /* bytes */
#define FILE_COUNT_MAX    1000
#define INCLUDE_DEPTH_MAX 10
#define LIFETIME_MAX      3600 /* s; of min_token_lifetime, refetch_interval */

struct loader {
    struct config *config;
    struct err err; /* the first one; what follows from it is not told */
    cfg_t *root;
    size_t depth;     /* of includes */
    const char *file; /* that is being read; borrowed from config->files */
    char **send_as;   /* of the mailbox section that is being read */
    size_t send_as_count;
    char **credential_names; /* one for each mailbox, for resolve() */
    size_t credential_name_count;
    char **route_mailboxes; /* one for each route, for resolve() */
    size_t route_mailbox_count;
    const char *milter_file;
    unsigned milter_line; /* 0: no such section */
    unsigned tokend_line;
    bool is_default; /* what is read now is not the administrator's text */
};

/* ---- errors ---------------------------------------------------------------
 */

/*
 * Callbacks of libconfuse get no argument of ours, so the first row of every
 * table is not an option but carries the loader; plant() puts it there. No
 * file can name it.
 */
#define LOADER_ROW                    \
    {                                 \
        .name = "", .type = CFGT_FUNC \
    }

static struct loader *
loader_of(const cfg_t *cfg)
{
    return (void *)cfg->opts[0].simple_value.ptr;
}

static void
plant(cfg_opt_t *options, struct loader *loader)
{
    options[0].simple_value.ptr = (void *)loader;
    for (size_t i = 1; options[i].name != NULL; i++)
        if (options[i].subopts != NULL)
            plant(options[i].subopts, loader);
}

static int
fail_memory(struct loader *loader)
{
    if (loader->err.code == ERR_NONE)
        err_set(&loader->err, ERR_SYSTEM, "out of memory");
    return -1;
}

static int fail_at(struct loader *loader, const char *file, unsigned line,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int
fail_at(struct loader *loader, const char *file, unsigned line, const char *fmt,
        ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;

    if (loader->err.code != ERR_NONE)
        return -1;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut text is fine */
    va_end(ap);
    return err_set(&loader->err, ERR_CONFIG, "%s:%u: %s", file, line, text);
}

/* The option that is being read is wrong. */
static int
fail_option(const cfg_t *cfg, const char *name, const struct err *reason)
{
    if (reason->code == ERR_SYSTEM)
        return fail_memory(loader_of(cfg));
    return fail_at(loader_of(cfg), cfg->filename, (unsigned)cfg->line, "%s %s",
                   name, reason->text);
}

/* A section as a whole is wrong. */
static int
fail_section(const cfg_t *section, const char *text)
{
    bool has_title = section->title != NULL;

    return fail_at(loader_of(section), section->filename,
                   (unsigned)section->line, "section %s%s%s%s (ends here): %s",
                   section->name, has_title ? " \"" : "",
                   has_title ? section->title : "", has_title ? "\"" : "",
                   text);
}

/* `name` is none of the options that may stand here; say which are. */
static void
fail_unknown(const cfg_t *cfg, const char *name)
{
    struct buf known;

    buf_init(&known, ERR_TEXT_MAX);
    for (size_t i = 1; cfg->opts[i].name != NULL; i++) {
        if (i > 1)
            buf_append_str(&known, ", ");
        buf_append_str(&known, cfg->opts[i].name);
    }
    (void)fail_at(loader_of(cfg), cfg->filename, (unsigned)cfg->line,
                  "unknown option %s; what may stand here: %s", name,
                  buf_str(&known));
    buf_clear(&known);
}

/*
 * What libconfuse itself finds wrong. Its own texts may quote a value, so all
 * but those about a name are replaced.
 */
static void on_library_error(cfg_t *cfg, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void
on_library_error(cfg_t *cfg, const char *fmt, va_list ap)
{
    static const struct {
        const char *theirs; /* how their format begins */
        const char *ours;   /* after the option's name */
    } texts[] = {
        {"missing equal sign", "is an option: write NAME = VALUE"},
        {"missing opening brace", "is a section without a title: write NAME { "
                                  "... }"},
        {"missing title", "is a section with a title: write NAME \"TITLE\" { "
                          "... }"},
        {"missing parenthesis", "is written include(\"FILE\")"},
    };
    struct loader *loader = loader_of(cfg);
    const char *name;

    if (loader->err.code != ERR_NONE)
        return;
    if (strncmp(fmt, "no such option", 14) == 0) {
        fail_unknown(cfg, va_arg(ap, const char *));
        return;
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strncmp(fmt, texts[i].theirs, strlen(texts[i].theirs)) == 0) {
            name = va_arg(ap, const char *);
            (void)fail_at(loader, cfg->filename, (unsigned)cfg->line, "%s %s",
                          name, texts[i].ours);
            return;
        }
    }
    (void)fail_at(loader, cfg->filename, (unsigned)cfg->line,
                  "this option takes one value in double quotes, no list");
}

/* ---- checks of one value --------------------------------------------------
 */

/* Keep the text when `reason` says that it is good. */
static int
keep_text(const cfg_t *cfg, const cfg_opt_t *opt, const struct err *reason,
          const char *value, void *result)
{
    if (reason->code != ERR_NONE)
        return fail_option(cfg, opt->name, reason);
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
WORD_CHECK(null_sender)
TEXT_CHECK(tenant)
TEXT_CHECK(client_id)
TEXT_CHECK(ref)
TEXT_CHECK(url)
TEXT_CHECK(scope)
TEXT_CHECK(path)
TEXT_CHECK(proxy)
TEXT_CHECK(server)
TEXT_CHECK(address)
TEXT_CHECK(entry)
TEXT_CHECK(login)
TEXT_CHECK(account)
TEXT_CHECK(socket_path)
TEXT_CHECK(milter_socket)
TEXT_CHECK(login_password)

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
             long *out)
{
    struct err reason = {ERR_NONE, ""};
    int number = 0;

    if (config_value_number(value, min, LIFETIME_MAX, &number, &reason) < 0)
        return fail_option(cfg, opt->name, &reason);
    *out = number;
    return 0;
}

static int
check_min_token_lifetime(cfg_t *cfg, cfg_opt_t *opt, const char *value,
                         void *result)
{
    return check_number(cfg, opt, value, 0, result);
}

static int
check_refetch_interval(cfg_t *cfg, cfg_opt_t *opt, const char *value,
                       void *result)
{
    return check_number(cfg, opt, value, 1, result);
}

/* ---- growing arrays -------------------------------------------------------
 */

/* Room for one more at the end of `array`, zeroed; NULL: out of memory. */
static void *
grow(void *array, size_t count, size_t size)
{
    char *bigger = array;

    /* It is full whenever it holds a power of two. */
    if ((count & (count - 1)) == 0)
        bigger = reallocarray(array, count == 0 ? 1 : count * 2, size);
    if (bigger != NULL)
        memset(bigger + count * size, 0, size);
    return bigger;
}

static int
append_text(struct loader *loader, char ***list, size_t *count,
            const char *text)
{
    char **bigger = grow(*list, *count, sizeof(**list));

    if (bigger == NULL)
        return fail_memory(loader);
    *list = bigger;
    bigger[*count] = strdup(text);
    if (bigger[*count] == NULL)
        return fail_memory(loader);
    ++*count;
    return 0;
}

static void
free_list(char **list, size_t count)
{
    for (size_t i = 0; list != NULL && i < count; i++)
        free(list[i]);
    free(list);
}

/* ---- values out of a section ----------------------------------------------
 */

/* A copy of an option's text; NULL stays NULL. */
static int
take_text(cfg_t *section, const char *name, char **out)
{
    const char *text = cfg_getstr(section, name);

    if (text == NULL)
        return 0;
    *out = strdup(text);
    return *out != NULL ? 0 : fail_memory(loader_of(section));
}

static int
take_list(cfg_t *section, const char *name, char ***out, size_t *count)
{
    for (unsigned i = 0; i < cfg_size(section, name); i++)
        if (append_text(loader_of(section), out, count,
                        cfg_getnstr(section, name, i)) < 0)
            return -1;
    return 0;
}

/* The number of a word, which has been checked. */
static int
take_word(cfg_t *section, const char *name, const struct config_word *words)
{
    struct err ignored;
    int value = 0;

    (void)config_value_word(words, cfg_getstr(section, name), &value, &ignored);
    return value;
}

static int
copy_ref(struct loader *loader, const char *text, struct config_ref *out)
{
    out->kind = config_value_ref_kind(text);
    out->text = strdup(text);
    if (out->text == NULL)
        return fail_memory(loader);
    out->value = strdup(strchr(text, ':') + 1);
    return out->value != NULL ? 0 : fail_memory(loader);
}

static int
take_ref(cfg_t *section, const char *name, struct config_ref *out)
{
    const char *text = cfg_getstr(section, name);

    return text != NULL ? copy_ref(loader_of(section), text, out) : 0;
}

static void
take_network(cfg_t *section, const char *name, bool *has,
             struct config_network *out)
{
    const char *text = cfg_getstr(section, name);
    struct err ignored;

    *has = text != NULL && config_value_network(text, out, &ignored) == 0;
}

/* The section that has just ended. */
static cfg_t *
last_section(cfg_opt_t *opt)
{
    return cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
}

/* ---- credential -----------------------------------------------------------
 */

static cfg_opt_t credential_options[] = {
    LOADER_ROW,
    CFG_STR_CB("provider", "microsoft", CFGF_NONE, check_provider),
    CFG_STR_CB("tenant", NULL, CFGF_NONE, check_tenant),
    CFG_STR_CB("client_id", NULL, CFGF_NONE, check_client_id),
    CFG_STR_CB("grant", "client_credentials", CFGF_NONE, check_grant),
    CFG_STR_LIST_CB("client_secret", NULL, CFGF_NONE, check_ref),
    CFG_STR_CB("certificate", NULL, CFGF_NONE, check_ref),
    CFG_STR_CB("private_key", NULL, CFGF_NONE, check_ref),
    CFG_STR_CB("assertion_algorithm", "PS256", CFGF_NONE, check_assertion),
    CFG_STR_CB("token_url", NULL, CFGF_NONE, check_url),
    CFG_STR_CB("scope", NULL, CFGF_NONE, check_scope),
    CFG_STR_CB("ca_file", NULL, CFGF_NONE, check_path),
    CFG_STR_CB("proxy", NULL, CFGF_NONE, check_proxy),
    CFG_STR_LIST_CB("servers", NULL, CFGF_NONE, check_server),
    CFG_END(),
};

static bool
is_microsoft(enum config_provider provider)
{
    switch (provider) {
    case CONFIG_PROVIDER_MICROSOFT:
    case CONFIG_PROVIDER_MICROSOFT_GCC_HIGH:
    case CONFIG_PROVIDER_MICROSOFT_DOD:
    case CONFIG_PROVIDER_MICROSOFT_CHINA:
        return true;
    case CONFIG_PROVIDER_GOOGLE:
    case CONFIG_PROVIDER_CUSTOM:
        break;
    }
    return false;
}

static int
take_client_secrets(cfg_t *section, struct config_credential *credential)
{
    unsigned count = cfg_size(section, "client_secret");

    if (count == 0)
        return 0;
    credential->client_secrets =
        calloc(count, sizeof(*credential->client_secrets));
    if (credential->client_secrets == NULL)
        return fail_memory(loader_of(section));
    credential->client_secret_count = count;
    for (unsigned i = 0; i < count; i++)
        if (copy_ref(loader_of(section),
                     cfg_getnstr(section, "client_secret", i),
                     &credential->client_secrets[i]) < 0)
            return -1;
    return 0;
}

static int
take_servers(cfg_t *section, struct config_credential *credential)
{
    if (take_list(section, "servers", &credential->servers,
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
    bool has_tenant = credential->tenant != NULL;

    if (section->title[0] == '\0')
        return fail_section(section, "give it a name in the quotes");
    if (credential->client_id == NULL)
        return fail_section(section, "client_id is missing; write client_id = "
                                     "\"ID OF THE APPLICATION\"");
    if (is_microsoft(credential->provider) && !has_tenant)
        return fail_section(section, "tenant is missing; write tenant = "
                                     "\"ID OR DOMAIN OF THE TENANT\"");
    if (!is_microsoft(credential->provider) && has_tenant)
        return fail_section(section, "tenant is for the microsoft providers; "
                                     "remove it");
    if (credential->provider == CONFIG_PROVIDER_CUSTOM &&
        credential->token_url == NULL)
        return fail_section(section, "token_url is missing, which provider "
                                     "\"custom\" needs; write token_url = "
                                     "\"https://HOST/PATH\"");
    if (credential->client_secret_count == 0 &&
        credential->certificate.kind == CONFIG_REF_NONE)
        return fail_section(section,
                            credential->private_key.kind == CONFIG_REF_NONE
                                ? "it has no way to prove who it is; write "
                                  "client_secret = {\"file:/PATH\"} or "
                                  "certificate = \"file:/PATH\""
                                : "private_key needs its certificate; write "
                                  "certificate = \"file:/PATH\"");
    if (credential->private_key.kind != CONFIG_REF_NONE &&
        credential->certificate.kind == CONFIG_REF_NONE)
        return fail_section(section, "private_key needs its certificate; "
                                     "write certificate = \"file:/PATH\", or "
                                     "remove private_key");
    return 0;
}

static int
end_credential(cfg_t *cfg, cfg_opt_t *opt)
{
    struct loader *loader = loader_of(cfg);
    struct config *config = loader->config;
    cfg_t *section = last_section(opt);
    struct config_credential *credential = grow(
        config->credentials, config->credential_count, sizeof(*credential));

    if (credential == NULL)
        return fail_memory(loader);
    config->credentials = credential;
    credential += config->credential_count++;
    credential->file = loader->file;
    credential->line = (unsigned)section->line;
    credential->provider = (enum config_provider)take_word(
        section, "provider", config_words_provider);
    credential->grant =
        (enum config_grant)take_word(section, "grant", config_words_grant);
    credential->assertion_algorithm = (enum config_assertion)take_word(
        section, "assertion_algorithm", config_words_assertion);
    credential->name = strdup(section->title);
    if (credential->name == NULL)
        return fail_memory(loader);
    if (take_text(section, "tenant", &credential->tenant) < 0 ||
        take_text(section, "client_id", &credential->client_id) < 0 ||
        take_text(section, "token_url", &credential->token_url) < 0 ||
        take_text(section, "scope", &credential->scope) < 0 ||
        take_text(section, "ca_file", &credential->ca_file) < 0 ||
        take_text(section, "proxy", &credential->proxy) < 0 ||
        take_ref(section, "certificate", &credential->certificate) < 0 ||
        take_ref(section, "private_key", &credential->private_key) < 0 ||
        take_client_secrets(section, credential) < 0 ||
        take_servers(section, credential) < 0 ||
        check_credential(section, credential) < 0)
        return -1;
    return cfg_free_value(opt);
}

/* ---- mailbox --------------------------------------------------------------
 */

/*
 * After each value of the list: take it out, so that libconfuse's own array
 * stays short.
 */
static int
take_send_as(cfg_t *cfg, cfg_opt_t *opt)
{
    struct loader *loader = loader_of(cfg);

    for (unsigned i = 0; i < cfg_opt_size(opt); i++)
        if (append_text(loader, &loader->send_as, &loader->send_as_count,
                        cfg_opt_getnstr(opt, i)) < 0)
            return -1;
    return cfg_free_value(opt);
}

static cfg_opt_t mailbox_options[] = {
    LOADER_ROW,
    CFG_STR("credential", NULL, CFGF_NONE),
    {.name = "send_as",
     .type = CFGT_STR,
     .flags = CFGF_LIST,
     .parsecb = check_entry,
     .validcb = take_send_as},
    CFG_STR_CB("send_as_file", NULL, CFGF_NONE, check_path),
    CFG_END(),
};

static int
check_mailbox(cfg_t *section, const struct config_mailbox *mailbox)
{
    struct err reason = {ERR_NONE, ""};

    if (config_value_entry(mailbox->title, &reason) < 0)
        return fail_section(section, "its title must be an address such as "
                                     "\"relay@example.com\", or "
                                     "\"@example.com\" for everybody there");
    if (mailbox->title[0] == '@' &&
        (mailbox->send_as_count > 0 || mailbox->send_as_file != NULL))
        return fail_section(section, "every sender of this domain logs in as "
                                     "itself, so send_as means nothing here; "
                                     "move it to a mailbox \"user@domain\"");
    return 0;
}

static int
end_mailbox(cfg_t *cfg, cfg_opt_t *opt)
{
    struct loader *loader = loader_of(cfg);
    struct config *config = loader->config;
    cfg_t *section = last_section(opt);
    struct config_mailbox *mailbox =
        grow(config->mailboxes, config->mailbox_count, sizeof(*mailbox));
    const char *credential = cfg_getstr(section, "credential");

    if (mailbox == NULL)
        return fail_memory(loader);
    config->mailboxes = mailbox;
    if (credential == NULL)
        return fail_section(section, "credential is missing; write credential "
                                     "= \"NAME\" with the name of a credential "
                                     "section");
    if (append_text(loader, &loader->credential_names,
                    &loader->credential_name_count, credential) < 0)
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
        return fail_memory(loader);
    if (take_text(section, "send_as_file", &mailbox->send_as_file) < 0 ||
        check_mailbox(section, mailbox) < 0)
        return -1;
    return cfg_free_value(opt);
}

/* ---- relay ----------------------------------------------------------------
 */

static cfg_opt_t relay_options[] = {
    LOADER_ROW,
    CFG_INT_CB("min_token_lifetime", 300, CFGF_NONE, check_min_token_lifetime),
    CFG_END(),
};

static int
end_relay(cfg_t *cfg, cfg_opt_t *opt)
{
    struct loader *loader = loader_of(cfg);
    struct config *config = loader->config;
    cfg_t *section = last_section(opt);
    struct config_relay *relay =
        grow(config->relays, config->relay_count, sizeof(*relay));
    struct err reason = {ERR_NONE, ""};
    size_t len = strlen(section->title);

    if (relay == NULL)
        return fail_memory(loader);
    config->relays = relay;
    if (config_value_server(section->title, &reason) < 0)
        return fail_section(section, "its title must be a server's name such "
                                     "as \"smtp.office365.com\"");
    relay += config->relay_count++;
    relay->file = loader->file;
    relay->line = (unsigned)section->line;
    relay->min_token_lifetime = (int)cfg_getint(section, "min_token_lifetime");
    relay->name = malloc(len + 1);
    if (relay->name == NULL)
        return fail_memory(loader);
    (void)config_server_name(section->title, len, relay->name, len + 1);
    return cfg_free_value(opt);
}

/* ---- milter ---------------------------------------------------------------
 */

static cfg_opt_t exempt_options[] = {
    LOADER_ROW,
    CFG_STR_CB("client", NULL, CFGF_NONE, check_network),
    CFG_STR_CB("recipient", NULL, CFGF_NONE, check_entry),
    CFG_END(),
};

static int
end_exempt(cfg_t *cfg, cfg_opt_t *opt)
{
    struct loader *loader = loader_of(cfg);
    struct config_milter *milter = &loader->config->milter;
    cfg_t *section = last_section(opt);
    struct config_exempt *exempt =
        grow(milter->exempts, milter->exempt_count, sizeof(*exempt));

    if (exempt == NULL)
        return fail_memory(loader);
    milter->exempts = exempt;
    exempt += milter->exempt_count++;
    exempt->line = (unsigned)section->line;
    take_network(section, "client", &exempt->has_client, &exempt->client);
    if (take_text(section, "recipient", &exempt->recipient) < 0)
        return -1;
    if (!exempt->has_client && exempt->recipient == NULL)
        return fail_section(section, "it says for which messages nowhere; "
                                     "write client = \"NETWORK\", recipient = "
                                     "\"@DOMAIN\" or both");
    return cfg_free_value(opt);
}

static cfg_opt_t route_options[] = {
    LOADER_ROW,
    CFG_STR_CB("client", NULL, CFGF_NONE, check_network),
    CFG_STR_CB("login", NULL, CFGF_NONE, check_login),
    CFG_STR_CB("sender", NULL, CFGF_NONE, check_entry),
    CFG_STR_CB("from", NULL, CFGF_NONE, check_entry),
    CFG_STR_CB("recipient", NULL, CFGF_NONE, check_entry),
    CFG_STR_CB("mailbox", NULL, CFGF_NONE, check_address),
    CFG_END(),
};

static int
end_route(cfg_t *cfg, cfg_opt_t *opt)
{
    struct loader *loader = loader_of(cfg);
    struct config_milter *milter = &loader->config->milter;
    cfg_t *section = last_section(opt);
    struct config_route *route =
        grow(milter->routes, milter->route_count, sizeof(*route));
    const char *mailbox = cfg_getstr(section, "mailbox");

    if (route == NULL)
        return fail_memory(loader);
    milter->routes = route;
    if (mailbox == NULL)
        return fail_section(section, "mailbox is missing; write mailbox = "
                                     "\"user@domain\" with the title of a "
                                     "mailbox section");
    if (append_text(loader, &loader->route_mailboxes,
                    &loader->route_mailbox_count, mailbox) < 0)
        return -1;
    route += milter->route_count++;
    route->line = (unsigned)section->line;
    take_network(section, "client", &route->has_client, &route->client);
    if (take_text(section, "login", &route->login) < 0 ||
        take_text(section, "sender", &route->sender) < 0 ||
        take_text(section, "from", &route->from) < 0 ||
        take_text(section, "recipient", &route->recipient) < 0)
        return -1;
    if (!route->has_client && route->login == NULL && route->sender == NULL &&
        route->from == NULL && route->recipient == NULL)
        return fail_section(section, "it says for which messages nowhere; "
                                     "write client, login, sender, from or "
                                     "recipient, or set default_mailbox");
    return cfg_free_value(opt);
}

static cfg_opt_t milter_options[] = {
    LOADER_ROW,
    CFG_STR_CB("socket", "unix:/var/spool/postfix/run/sendas/sendas.sock",
               CFGF_NONE, check_milter_socket),
    CFG_STR_CB("socket_mode", "0660", CFGF_NONE, check_mode),
    CFG_STR_CB("socket_group", "postfix", CFGF_NONE, check_socket_group),
    CFG_STR_CB("default_mailbox", NULL, CFGF_NONE, check_address),
    CFG_STR_CB("not_permitted", "rewrite", CFGF_NONE, check_not_permitted),
    CFG_STR_CB("reply_to", "always", CFGF_NONE, check_reply_to),
    CFG_STR_CB("null_sender", "keep", CFGF_NONE, check_null_sender),
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
    struct loader *loader = loader_of(section);

    if (*line != 0)
        return fail_section(section, "there is such a section already; put "
                                     "the options of both into one");
    if (!loader->is_default)
        *line = (unsigned)section->line;
    return 0;
}

static int
end_milter(cfg_t *cfg, cfg_opt_t *opt)
{
    struct loader *loader = loader_of(cfg);
    struct config_milter *milter = &loader->config->milter;
    cfg_t *section = last_section(opt);
    struct err ignored;

    if (note_only_one(section, &loader->milter_line) < 0)
        return -1;
    loader->milter_file = loader->file;
    milter->is_present = !loader->is_default;
    milter->not_permitted = (enum config_not_permitted)take_word(
        section, "not_permitted", config_words_not_permitted);
    milter->reply_to = (enum config_reply_to)take_word(section, "reply_to",
                                                       config_words_reply_to);
    milter->null_sender = (enum config_null_sender)take_word(
        section, "null_sender", config_words_null_sender);
    (void)config_value_mode(cfg_getstr(section, "socket_mode"),
                            &milter->socket_mode, &ignored);
    if (take_text(section, "socket", &milter->socket) < 0 ||
        take_text(section, "default_mailbox", &milter->default_mailbox) < 0)
        return -1;
    if (cfg_getstr(section, "socket_group")[0] != '\0' &&
        take_text(section, "socket_group", &milter->socket_group) < 0)
        return -1;
    if (milter->is_present && milter->default_mailbox == NULL &&
        milter->not_permitted != CONFIG_NOT_PERMITTED_REJECT)
        return fail_section(section, "default_mailbox is missing; write "
                                     "default_mailbox = \"user@domain\", or "
                                     "not_permitted = \"reject\"");
    return cfg_free_value(opt);
}

/* ---- tokend ---------------------------------------------------------------
 */

/* libconfuse parses the default of a list, and takes no const for it. */
static char default_sockets[] = "{\"/run/xoauth2/tokend.sock\", "
                                "\"/var/spool/postfix/run/xoauth2/"
                                "tokend.sock\"}";
static char default_allow[] = "{\"postfix\"}";

static cfg_opt_t tokend_options[] = {
    LOADER_ROW,
    CFG_STR_LIST_CB("socket", default_sockets, CFGF_NONE, check_socket_path),
    CFG_STR_CB("control", "/run/xoauth2/control.sock", CFGF_NONE,
               check_socket_path),
    CFG_STR_LIST_CB("allow", default_allow, CFGF_NONE, check_account),
    CFG_INT_CB("refetch_interval", 60, CFGF_NONE, check_refetch_interval),
    CFG_STR_CB("login_password", "", CFGF_NONE, check_login_password),
    CFG_END(),
};

static int
take_peers(cfg_t *section, struct config_tokend *tokend)
{
    unsigned count = cfg_size(section, "allow");

    if (count == 0)
        return 0;
    tokend->allow = calloc(count, sizeof(*tokend->allow));
    if (tokend->allow == NULL)
        return fail_memory(loader_of(section));
    tokend->allow_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct config_peer *peer = &tokend->allow[i];
        const char *name = cfg_getnstr(section, "allow", i);

        peer->is_group = strncmp(name, "group:", 6) == 0;
        peer->name = strdup(peer->is_group ? name + 6 : name);
        if (peer->name == NULL)
            return fail_memory(loader_of(section));
    }
    return 0;
}

static int
check_sockets(cfg_t *section, const struct config_tokend *tokend)
{
    if (tokend->socket_count == 0)
        return fail_section(section, "socket is empty; write socket = "
                                     "{\"/PATH\"}");
    for (size_t i = 0; i < tokend->socket_count; i++) {
        if (strcmp(tokend->sockets[i], tokend->control) == 0)
            return fail_section(section, "control must have a path of its "
                                         "own, not one of socket");
        for (size_t k = 0; k < i; k++)
            if (strcmp(tokend->sockets[i], tokend->sockets[k]) == 0)
                return fail_section(section, "socket has the same path twice; "
                                             "remove one");
    }
    return 0;
}

static int
end_tokend(cfg_t *cfg, cfg_opt_t *opt)
{
    struct loader *loader = loader_of(cfg);
    struct config_tokend *tokend = &loader->config->tokend;
    cfg_t *section = last_section(opt);

    if (note_only_one(section, &loader->tokend_line) < 0)
        return -1;
    tokend->refetch_interval = (int)cfg_getint(section, "refetch_interval");
    if (take_list(section, "socket", &tokend->sockets, &tokend->socket_count) <
            0 ||
        take_text(section, "control", &tokend->control) < 0 ||
        take_text(section, "login_password", &tokend->login_password) < 0 ||
        take_peers(section, tokend) < 0 || check_sockets(section, tokend) < 0)
        return -1;
    return cfg_free_value(opt);
}

/* ---- files ----------------------------------------------------------------
 */

/* Let libconfuse read a text that config_scan() has passed. */
static int
parse(struct loader *loader, char *text, size_t len)
{
    FILE *stream;
    int rc;

    if (len == 0)
        return 0;
    stream = fmemopen(text, len, "r");
    if (stream == NULL)
        return fail_memory(loader);
    rc = cfg_parse_fp(loader->root, stream);
    (void)fclose(stream); /* a stream for reading */
    /* Without a text of its own it ran out of memory. */
    return rc == CFG_SUCCESS ? 0 : fail_memory(loader);
}

/* Read one file, with what it includes. */
static int
load_file(struct loader *loader, const char *path)
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
        append_text(loader, &config->files, &config->file_count, path) < 0)
        goto out;
    loader->root->filename = strdup(path);
    if (loader->root->filename == NULL) {
        loader->root->filename = outer_name;
        fail_memory(loader);
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
    struct loader *loader = loader_of(cfg);
    unsigned line = (unsigned)cfg->line;
    char *path;
    int rc;

    (void)opt;
    if (argc != 1 || argv[0][0] == '\0')
        return fail_at(loader, cfg->filename, line, "include names no file");
    if (loader->depth == INCLUDE_DEPTH_MAX ||
        loader->config->file_count >= FILE_COUNT_MAX)
        return fail_at(loader, cfg->filename, line,
                       "files are included too deeply or too many; does a "
                       "file include itself?");
    path = included_path(cfg->filename, argv[0]);
    if (path == NULL)
        return fail_memory(loader);
    loader->depth++;
    rc = load_file(loader, path);
    loader->depth--;
    free(path);
    if (rc < 0 && strncmp(loader->err.text, "cannot read ", 12) == 0) {
        struct err cannot = loader->err;

        loader->err.code = ERR_NONE;
        (void)fail_at(loader, cfg->filename, line, "%s", cannot.text);
        loader->err.code = cannot.code;
    }
    return rc;
}

static cfg_opt_t root_options[] = {
    LOADER_ROW,
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
load_defaults(struct loader *loader)
{
    char milter[] = "milter { }";
    char tokend[] = "tokend { }";

    loader->is_default = true;
    if (loader->milter_line == 0 &&
        parse(loader, milter, sizeof(milter) - 1) < 0)
        return -1;
    if (loader->tokend_line == 0 &&
        parse(loader, tokend, sizeof(tokend) - 1) < 0)
        return -1;
    return 0;
}

/* ---- references between sections ------------------------------------------
 */

/* How a section is known in errors about references and duplicates. */
struct section {
    const char *kind;
    const char *title; /* these three are borrowed */
    const char *file;
    unsigned line;
};

/* Enter a section into the index of its kind; two of one title are wrong. */
static int
index_section(struct loader *loader, struct strmap *index,
              const struct section *section, void *value)
{
    switch (strmap_add(index, section->title, value)) {
    case STRMAP_ADDED:
        return 0;
    case STRMAP_NO_MEMORY:
        return fail_memory(loader);
    case STRMAP_EXISTS:
        break;
    }
    return fail_at(loader, section->file, section->line,
                   "section %s \"%s\" (ends here): there is one of this title "
                   "before; rename one or put them together",
                   section->kind, section->title);
}

static int
index_credentials(struct loader *loader, struct strmap *index)
{
    struct config *config = loader->config;

    for (size_t i = 0; i < config->credential_count; i++) {
        struct config_credential *it = &config->credentials[i];
        struct section section = {"credential", it->name, it->file, it->line};

        if (index_section(loader, index, &section, it) < 0)
            return -1;
    }
    return 0;
}

static int
index_mailboxes(struct loader *loader, struct strmap *index)
{
    struct config *config = loader->config;

    for (size_t i = 0; i < config->mailbox_count; i++) {
        struct config_mailbox *it = &config->mailboxes[i];
        struct section section = {"mailbox", it->title, it->file, it->line};

        if (index_section(loader, index, &section, it) < 0)
            return -1;
    }
    return 0;
}

static int
index_relays(struct loader *loader, struct strmap *index)
{
    struct config *config = loader->config;

    for (size_t i = 0; i < config->relay_count; i++) {
        struct config_relay *it = &config->relays[i];
        struct section section = {"relay", it->name, it->file, it->line};

        if (index_section(loader, index, &section, it) < 0)
            return -1;
    }
    return 0;
}

static int
link_credentials(struct loader *loader, const struct strmap *index)
{
    struct config *config = loader->config;

    for (size_t i = 0; i < config->mailbox_count; i++) {
        struct config_mailbox *mailbox = &config->mailboxes[i];
        const char *name = loader->credential_names[i];

        mailbox->credential = strmap_get(index, name, strlen(name));
        if (mailbox->credential == NULL)
            return fail_at(loader, mailbox->file, mailbox->line,
                           "section mailbox \"%s\" (ends here): there is no "
                           "section credential \"%s\"; write one or correct "
                           "the name",
                           mailbox->title, name);
    }
    return 0;
}

static int
fail_no_mailbox(struct loader *loader, unsigned line, const char *what,
                const char *title)
{
    return fail_at(loader, loader->milter_file, line,
                   "%s (ends here): there is no section mailbox \"%s\"; write "
                   "one or correct the address",
                   what, title);
}

/* Routes and default_mailbox get their section's own spelling of the title. */
static int
link_milter(struct loader *loader, const struct strmap *index)
{
    struct config_milter *milter = &loader->config->milter;
    const struct config_mailbox *mailbox;

    for (size_t i = 0; i < milter->route_count; i++) {
        const char *title = loader->route_mailboxes[i];

        mailbox = strmap_get(index, title, strlen(title));
        if (mailbox == NULL)
            return fail_no_mailbox(loader, milter->routes[i].line,
                                   "section route", title);
        milter->routes[i].mailbox = mailbox->title;
    }
    if (milter->default_mailbox == NULL)
        return 0;
    mailbox = strmap_get(index, milter->default_mailbox,
                         strlen(milter->default_mailbox));
    if (mailbox == NULL)
        return fail_no_mailbox(loader, loader->milter_line,
                               "section milter, default_mailbox",
                               milter->default_mailbox);
    memcpy(milter->default_mailbox, mailbox->title, strlen(mailbox->title));
    return 0;
}

static int
look_up_peers(struct loader *loader)
{
    struct config_tokend *tokend = &loader->config->tokend;

    for (size_t i = 0; i < tokend->allow_count; i++) {
        struct config_peer *peer = &tokend->allow[i];
        struct err err = {ERR_NONE, ""};

        if (config_value_peer(peer, &err) < 0)
            return fail_memory(loader);
        if (!peer->is_known)
            log_warning("allow names an account that does not exist here",
                        F_STR(peer->is_group ? "group" : "user", peer->name));
    }
    return 0;
}

static int
resolve(struct loader *loader)
{
    struct strmap *credentials = strmap_new();
    struct strmap *mailboxes = strmap_new();
    struct strmap *relays = strmap_new();
    int rc = -1;

    if (credentials == NULL || mailboxes == NULL || relays == NULL) {
        fail_memory(loader);
        goto out;
    }
    if (loader->config->mailbox_count == 0) {
        fail_at(loader, loader->config->path, 1,
                "there is no mailbox section; write mailbox \"user@domain\" "
                "{ credential = \"NAME\" }");
        goto out;
    }
    if (index_credentials(loader, credentials) < 0 ||
        index_mailboxes(loader, mailboxes) < 0 ||
        index_relays(loader, relays) < 0 ||
        link_credentials(loader, credentials) < 0 ||
        link_milter(loader, mailboxes) < 0)
        goto out;
    rc = look_up_peers(loader);
out:
    strmap_free(&credentials);
    strmap_free(&mailboxes);
    strmap_free(&relays);
    return rc;
}

/* ---- the whole ------------------------------------------------------------
 */

static int
load(struct loader *loader, const char *path)
{
    loader->config->path = strdup(path);
    loader->root = cfg_init(root_options, CFGF_NONE);
    if (loader->config->path == NULL || loader->root == NULL)
        return fail_memory(loader);
    plant(loader->root->opts, loader);
    cfg_set_error_function(loader->root, on_library_error);
    if (load_file(loader, path) < 0 || load_defaults(loader) < 0)
        return -1;
    return resolve(loader);
}

struct config *
config_load(const char *path, struct err *err)
{
    struct loader loader = {0};
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
    free_list(loader.send_as, loader.send_as_count);
    free_list(loader.credential_names, loader.credential_name_count);
    free_list(loader.route_mailboxes, loader.route_mailbox_count);
    return config;
}

struct config *
config_ref(struct config *config)
{
    (void)__atomic_add_fetch(&config->reference_count, 1, __ATOMIC_RELAXED);
    return config;
}

static void
clear_ref(struct config_ref *ref)
{
    free(ref->text);
    free(ref->value);
}

static void
clear_credential(struct config_credential *credential)
{
    free(credential->name);
    free(credential->tenant);
    free(credential->client_id);
    for (size_t i = 0; i < credential->client_secret_count; i++)
        clear_ref(&credential->client_secrets[i]);
    free(credential->client_secrets);
    clear_ref(&credential->certificate);
    clear_ref(&credential->private_key);
    free(credential->token_url);
    free(credential->scope);
    free(credential->ca_file);
    free(credential->proxy);
    free_list(credential->servers, credential->server_count);
}

static void
clear_milter(struct config_milter *milter)
{
    free(milter->socket);
    free(milter->socket_group);
    free(milter->default_mailbox);
    for (size_t i = 0; i < milter->exempt_count; i++)
        free(milter->exempts[i].recipient);
    free(milter->exempts);
    for (size_t i = 0; i < milter->route_count; i++) {
        free(milter->routes[i].login);
        free(milter->routes[i].sender);
        free(milter->routes[i].from);
        free(milter->routes[i].recipient);
    }
    free(milter->routes);
}

static void
clear_tokend(struct config_tokend *tokend)
{
    free_list(tokend->sockets, tokend->socket_count);
    free(tokend->control);
    for (size_t i = 0; i < tokend->allow_count; i++)
        free(tokend->allow[i].name);
    free(tokend->allow);
    free(tokend->login_password);
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

void
config_unref(struct config **config)
{
    if (*config != NULL && __atomic_sub_fetch(&(*config)->reference_count, 1,
                                              __ATOMIC_ACQ_REL) == 0)
        config_free(*config);
    *config = NULL;
}
