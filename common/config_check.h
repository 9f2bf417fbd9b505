/*
 * config_check - what libconfuse calls for each value that it reads.
 *
 * The last column of the option tables in config_section_*.c names one of
 * these. Each asks config_value (or config_rotation) whether the value is good;
 * the values keep being texts, which the end of their section turns into what
 * they mean. Numbers are the exception: libconfuse keeps them.
 *
 * `cfg` is the section in which the value stands (see config_section.h), `opt`
 * the option, *result a `const char *` or a `long`. Each returns 0, or -1 when
 * the loader's error is set to `FILE:LINE: OPTION must be ...`.
 */
#ifndef COMMON_CONFIG_CHECK_H
#define COMMON_CONFIG_CHECK_H

/* Of libconfuse. */
struct cfg_t;
struct cfg_opt_t;

typedef int config_check_fn(struct cfg_t *cfg, struct cfg_opt_t *opt,
                            const char *value, void *result);

/* One of the words of config_words_... */
config_check_fn config_check_provider;
config_check_fn config_check_grant;
config_check_fn config_check_assertion;
config_check_fn config_check_rotate;
config_check_fn config_check_not_permitted;
config_check_fn config_check_reply_to;
config_check_fn config_check_null_sender;
config_check_fn config_check_name_template_for;
config_check_fn config_check_dkim;
config_check_fn config_check_verb;

/* A text, as config_value_...() says. */
config_check_fn config_check_tenant;
config_check_fn config_check_client_id;
config_check_fn config_check_issuer;
config_check_fn config_check_identity;
config_check_fn config_check_url;
config_check_fn config_check_scope;
config_check_fn config_check_proxy;
config_check_fn config_check_server;
config_check_fn config_check_ref;
config_check_fn config_check_key_ref;
config_check_fn config_check_command;
config_check_fn config_check_path;
config_check_fn config_check_socket_path;
config_check_fn config_check_milter_socket;
config_check_fn config_check_login_password;
config_check_fn config_check_metrics;
config_check_fn config_check_mode;
config_check_fn config_check_address;
config_check_fn config_check_entry;
config_check_fn config_check_network;
config_check_fn config_check_daemon_name;
config_check_fn config_check_login;
config_check_fn config_check_name_template;
config_check_fn config_check_account;
config_check_fn config_check_socket_group; /* an account, or nothing */

/* A text, as config_rotation_...() says. */
config_check_fn config_check_span;
config_check_fn config_check_key_id;
config_check_fn config_check_graph_url;

/* A number in its range. */
config_check_fn config_check_min_token_lifetime; /* s */
config_check_fn config_check_refetch_interval;   /* s */
config_check_fn config_check_hop_limit;
config_check_fn config_check_redirect_port;

#endif
