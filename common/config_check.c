/*
 * config_check - what libconfuse calls for each value that it reads.
 */
#include "common/config_check.h"

#include <confuse.h>

#include "common/config_rotation.h"
#include "common/config_section.h"
#include "common/config_value.h"

#define PORT_MAX     65535
#define HOPS_MAX     1000
#define LIFETIME_MAX 3600 /* s; of min_token_lifetime, refetch_interval */

/* Keep the text, unless `rc` says that `reason` is why not. */
static int
keep_text(const cfg_t *cfg, const cfg_opt_t *opt, int rc,
          const struct err *reason, const char *value, void *result)
{
    if (rc < 0)
        return config_section_fail_option(cfg, opt->name, reason);
    *(const char **)result = value;
    return 0;
}

/* Defines config_check_KIND(), which asks a function of the text alone. */
#define TEXT_CHECK(kind, judge)                                            \
    int config_check_##kind(cfg_t *cfg, cfg_opt_t *opt, const char *value, \
                            void *result)                                  \
    {                                                                      \
        struct err reason = {ERR_NONE, ""};                                \
        int rc = judge(value, &reason);                                    \
                                                                           \
        return keep_text(cfg, opt, rc, &reason, value, result);            \
    }

/* The same where the function also gives what the text means. */
#define MEANING_CHECK(kind, judge, meaning)                                \
    int config_check_##kind(cfg_t *cfg, cfg_opt_t *opt, const char *value, \
                            void *result)                                  \
    {                                                                      \
        struct err reason = {ERR_NONE, ""};                                \
        meaning ignored;                                                   \
        int rc = judge(value, &ignored, &reason);                          \
                                                                           \
        return keep_text(cfg, opt, rc, &reason, value, result);            \
    }

/* The same for one of the words of config_words_KIND. */
#define WORD_CHECK(kind)                                                      \
    int config_check_##kind(cfg_t *cfg, cfg_opt_t *opt, const char *value,    \
                            void *result)                                     \
    {                                                                         \
        struct err reason = {ERR_NONE, ""};                                   \
        int ignored;                                                          \
        int rc =                                                              \
            config_value_word(config_words_##kind, value, &ignored, &reason); \
                                                                              \
        return keep_text(cfg, opt, rc, &reason, value, result);               \
    }

/* And for a number from `min` to `max`. */
#define NUMBER_CHECK(kind, min, max)                                       \
    int config_check_##kind(cfg_t *cfg, cfg_opt_t *opt, const char *value, \
                            void *result)                                  \
    {                                                                      \
        struct err reason = {ERR_NONE, ""};                                \
        int number = 0;                                                    \
                                                                           \
        if (config_value_number(value, min, max, &number, &reason) < 0)    \
            return config_section_fail_option(cfg, opt->name, &reason);    \
        *(long *)result = number;                                          \
        return 0;                                                          \
    }

WORD_CHECK(provider)
WORD_CHECK(grant)
WORD_CHECK(assertion)
WORD_CHECK(rotate)
WORD_CHECK(not_permitted)
WORD_CHECK(reply_to)
WORD_CHECK(null_sender)
WORD_CHECK(name_template_for)
WORD_CHECK(dkim)
WORD_CHECK(verb)

TEXT_CHECK(tenant, config_value_tenant)
TEXT_CHECK(client_id, config_value_client_id)
TEXT_CHECK(issuer, config_value_issuer)
TEXT_CHECK(url, config_value_url)
TEXT_CHECK(scope, config_value_scope)
TEXT_CHECK(proxy, config_value_proxy)
TEXT_CHECK(server, config_value_server)
TEXT_CHECK(ref, config_value_ref)
TEXT_CHECK(key_ref, config_value_key_ref)
TEXT_CHECK(command, config_value_command)
TEXT_CHECK(path, config_value_path)
TEXT_CHECK(socket_path, config_value_socket_path)
TEXT_CHECK(milter_socket, config_value_milter_socket)
TEXT_CHECK(login_password, config_value_login_password)
TEXT_CHECK(metrics, config_value_metrics)
TEXT_CHECK(address, config_value_address)
TEXT_CHECK(entry, config_value_entry)
TEXT_CHECK(daemon_name, config_value_daemon_name)
TEXT_CHECK(login, config_value_login)
TEXT_CHECK(name_template, config_value_name_template)
TEXT_CHECK(account, config_value_account)
TEXT_CHECK(key_id, config_rotation_id)
TEXT_CHECK(graph_url, config_rotation_url)

MEANING_CHECK(span, config_rotation_span, int64_t)
MEANING_CHECK(network, config_value_network, struct config_network)
MEANING_CHECK(mode, config_value_mode, mode_t)

NUMBER_CHECK(min_token_lifetime, 0, LIFETIME_MAX)
NUMBER_CHECK(refetch_interval, 1, LIFETIME_MAX)
NUMBER_CHECK(hop_limit, 1, HOPS_MAX)
NUMBER_CHECK(redirect_port, 0, PORT_MAX)

int
config_check_identity(cfg_t *cfg, cfg_opt_t *opt, const char *value,
                      void *result)
{
    struct err reason = {ERR_NONE, ""};
    enum config_identity identity;
    const char *id;
    int rc = config_value_identity(value, &identity, &id, &reason);

    return keep_text(cfg, opt, rc, &reason, value, result);
}

int
config_check_socket_group(cfg_t *cfg, cfg_opt_t *opt, const char *value,
                          void *result)
{
    if (value[0] != '\0')
        return config_check_account(cfg, opt, value, result);
    *(const char **)result = value;
    return 0;
}
