/*
 * config - relay.conf, read and checked: one immutable struct for all programs.
 *
 * The option tables in config_section_*.c are the reference of what may be
 * written; relay.conf(5) describes them. Whatever is wrong is one error that
 * begins with `FILE:LINE: ` (of a whole section: the line on which it ends) and
 * says what to write instead. References between sections are checked here, so
 * a loaded configuration has none that dangle. Secrets are never opened here,
 * only their references are parsed.
 */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/err.h"

#define CONFIG_DEFAULT_PATH "/etc/xoauth2-relay/relay.conf"

/* Where a secret is. Never the secret itself. */
enum config_ref_kind {
    CONFIG_REF_NONE,       /* not configured */
    CONFIG_REF_FILE,       /* file:PATH */
    CONFIG_REF_CREDENTIAL, /* credential:NAME, in $CREDENTIALS_DIRECTORY */
    CONFIG_REF_EXEC,       /* exec:COMMAND, split at blanks, no shell */
    CONFIG_REF_PKCS11,     /* pkcs11:URI (RFC 7512); a private_key only */
};

struct config_ref {
    enum config_ref_kind kind;
    char *written; /* as in the file: `exec:/usr/bin/vault read ...` */
    char *text;    /* for messages: a command's arguments are left out */
    char *value;   /* what follows the first colon */
};

enum config_provider {
    CONFIG_PROVIDER_MICROSOFT,
    CONFIG_PROVIDER_MICROSOFT_GCC_HIGH,
    CONFIG_PROVIDER_MICROSOFT_DOD,
    CONFIG_PROVIDER_MICROSOFT_CHINA,
    CONFIG_PROVIDER_GOOGLE,
    CONFIG_PROVIDER_CUSTOM,
};

enum config_grant {
    CONFIG_GRANT_CLIENT_CREDENTIALS,
    CONFIG_GRANT_AUTHORIZATION_CODE,
    CONFIG_GRANT_DEVICE_CODE,
    CONFIG_GRANT_MANAGED_IDENTITY,
    CONFIG_GRANT_WORKLOAD_IDENTITY,
    CONFIG_GRANT_SERVICE_ACCOUNT,
};

/* Which identity of the machine a managed_identity is. */
enum config_identity {
    CONFIG_IDENTITY_SYSTEM,
    CONFIG_IDENTITY_CLIENT_ID,
    CONFIG_IDENTITY_OBJECT_ID,
    CONFIG_IDENTITY_MSI_RES_ID,
};

/* Does the credential renew itself, and where? */
enum config_rotate {
    CONFIG_ROTATE_NONE,
    CONFIG_ROTATE_GRAPH, /* at Microsoft Graph */
};

struct config_rotation {
    enum config_rotate kind;
    int64_t every_s;    /* from one rotation to the next */
    int64_t settle_s;   /* that the new one must work before it is used */
    int64_t grace_s;    /* until the old one is removed */
    int64_t lifetime_s; /* that the new one is made for */
    char *object_id;    /* of the app registration; NULL: by client_id */
    char **remove;      /* key ids that may be removed, not made by us */
    size_t remove_count;
    char *graph_url; /* NULL: the provider's */
};

enum config_assertion {
    CONFIG_ASSERTION_PS256, /* header x5t#S256 */
    CONFIG_ASSERTION_RS256, /* header x5t */
};

struct config_credential {
    char *name;
    const char *file; /* where it is written; borrowed from config->files */
    unsigned line;    /* the line on which the section ends */
    enum config_provider provider;
    enum config_grant grant;
    char *tenant; /* NULL: none */
    /*
     * NULL only with managed_identity, and with service_account when there is
     * a service_account_key. With service_account it is the account's address.
     */
    char *client_id;
    struct config_ref *client_secrets; /* ordered */
    size_t client_secret_count;
    struct config_ref certificate; /* NONE: secrets are used */
    struct config_ref private_key; /* NONE: the certificate's file has it */
    struct config_ref passphrase;  /* of private_key, or its token's PIN */
    enum config_assertion assertion_algorithm;
    struct config_ref federated_token;     /* workload_identity only */
    struct config_ref service_account_key; /* Google's JSON; or NONE */
    enum config_identity identity;         /* managed_identity only */
    char *identity_value;                  /* NULL: system */
    int redirect_port; /* authorization_code: of http://localhost; 0: any */
    char *issuer;      /* custom: endpoints by discovery; NULL: none */
    /* Overrides of the provider's preset; NULL: the preset. */
    char *token_url;
    char *authorize_url;
    char *device_url;
    char *scope;
    char *ca_file;
    char *proxy;
    char **servers; /* names that it may log in to, beside `relay` sections */
    size_t server_count; /* 0: the preset's */
    struct config_rotation rotation;
};

/* A user or a group. */
struct config_peer {
    bool is_group;
    char *name;    /* as written, without `group:` */
    bool is_known; /* false: no such user or group here; a warning */
    uint32_t id;   /* uid or gid, when known */
};

/* Who may do something, beside root and the daemon's own user. */
struct config_access {
    struct config_peer *peers;
    size_t count;
};

struct config_mailbox {
    /* `user@domain`; or `@domain`, `@.domain`: every sender logs in itself */
    char *title;
    const char *file; /* borrowed from config->files */
    unsigned line;
    const struct config_credential *credential; /* never NULL */
    char **send_as; /* `user@domain`, `@domain` or `@.domain` */
    size_t send_as_count;
    struct config_access allow; /* who may have its token; empty: whoever may
                                   ask at all */
    char *send_as_file;         /* NULL: none; what sendas_file.h reads */
};

struct config_relay {
    char *name;       /* no brackets, no port, lower case */
    const char *file; /* borrowed from config->files */
    unsigned line;
    int min_token_lifetime; /* s */
};

/* An address with a prefix length; IPv4 is kept as ::ffff:a.b.c.d. */
struct config_network {
    struct in6_addr address;
    unsigned prefix; /* bits of 128 */
};

struct config_list {
    char **items;
    size_t count;
};

/*
 * Which messages a rule is for: those that fit one of each list that is not
 * empty. Entries are `user@domain`, `@domain` or `@.domain`.
 */
struct config_criteria {
    struct config_network *clients;
    size_t client_count;
    struct config_list daemons;    /* names of the mail server's listeners */
    struct config_list logins;     /* SASL login names at the relay */
    struct config_list senders;    /* entries for the envelope sender */
    struct config_list froms;      /* entries for From: */
    struct config_list recipients; /* every recipient is in one of these */
};

/* Mailboxes that share what they are given. */
struct config_pool {
    const char **mailboxes; /* titles of `user@domain` mailboxes, borrowed */
    size_t count;
};

struct config_exempt {
    unsigned line; /* of config_milter.file */
    struct config_criteria criteria;
};

struct config_route {
    unsigned line;
    struct config_criteria criteria;
    struct config_pool pool; /* never empty */
};

enum config_not_permitted {
    CONFIG_NOT_PERMITTED_REWRITE,
    CONFIG_NOT_PERMITTED_REJECT,
    CONFIG_NOT_PERMITTED_AUDIT, /* change nothing, log what it would do */
};

enum config_reply_to {
    CONFIG_REPLY_TO_ALWAYS,
    CONFIG_REPLY_TO_DELIVERABLE,
    CONFIG_REPLY_TO_NEVER,
};

enum config_null_sender {
    CONFIG_NULL_SENDER_KEEP,
    CONFIG_NULL_SENDER_REWRITE,
    CONFIG_NULL_SENDER_DISCARD,
};

enum config_name_template_for {
    CONFIG_NAME_TEMPLATE_FOR_NAMELESS,
    CONFIG_NAME_TEMPLATE_FOR_ALL,
};

/* What becomes of DKIM and ARC fields that a change has broken. */
enum config_dkim {
    CONFIG_DKIM_STRIP,
    CONFIG_DKIM_KEEP,
    CONFIG_DKIM_RENAME, /* X-Original-... */
};

struct config_milter {
    bool is_present;  /* is there a milter section at all? */
    const char *file; /* where it is; borrowed from config->files */
    unsigned line;
    char *socket; /* unix:PATH, inet:PORT@HOST, inet6:PORT@HOST, fd:N */
    mode_t socket_mode;
    char *socket_group;              /* NULL: leave it */
    struct config_pool default_pool; /* empty only with reject */
    const char *default_mailbox;     /* the first of it; NULL: it is empty */
    struct config_exempt *exempts;
    size_t exempt_count;
    struct config_route *routes; /* in the order of the file */
    size_t route_count;
    enum config_not_permitted not_permitted;
    enum config_reply_to reply_to;
    enum config_null_sender null_sender;
    char *name_template; /* with %n %a %d %%; NULL: none */
    enum config_name_template_for name_template_for;
    char **deliverable; /* `user@domain` or `@domain` */
    size_t deliverable_count;
    enum config_dkim dkim;
    int hop_limit; /* Received fields; a message with more is refused */
    char *metrics; /* where the status page is; NULL: nowhere */
};

/* One lookup socket whose askers are others than those of all. */
struct config_socket_access {
    char *path; /* one of config_tokend.sockets */
    struct config_access allow;
};

/* What an operator may ask for; see control.h. */
enum config_verb {
    CONFIG_VERB_STATUS,
    CONFIG_VERB_TOKEN,
    CONFIG_VERB_REFRESH,
    CONFIG_VERB_INVALIDATE,
    CONFIG_VERB_LOGIN,
    CONFIG_VERB_LOGOUT,
    CONFIG_VERB_ROTATE,
    CONFIG_VERB_AUDIT,
    CONFIG_VERB_EXPORT,
    CONFIG_VERB_IMPORT,
    CONFIG_VERB_RELOAD,
    CONFIG_VERB_COUNT, /* none of them */
};
#define CONFIG_VERB_BIT(verb) (UINT32_C(1) << (verb))
#define CONFIG_VERBS_ALL      (CONFIG_VERB_BIT(CONFIG_VERB_COUNT) - 1)

/* Who may use some verbs of the control socket. */
struct config_operator {
    struct config_access who; /* one user or group */
    uint32_t verbs;           /* CONFIG_VERB_BIT()s; never none */
};

struct config_tokend {
    const char *file; /* borrowed from config->files; NULL: not written */
    unsigned line;
    char **sockets;
    size_t socket_count;
    char *control;
    struct config_access allow; /* who may ask the lookup sockets */
    struct config_socket_access *socket_accesses;
    size_t socket_access_count;
    struct config_access control_allow; /* who may use the control socket */
    struct config_access control_read;  /* who may only look there */
    struct config_operator *operators;  /* who may use some verbs of it */
    size_t operator_count;
    int refetch_interval; /* s */
    char *login_password; /* what `login` gives after the colon; may be "" */
    char *state;          /* path of the file with what outlives a restart */
    struct config_ref seal_key; /* NONE: a key file beside the state */
    char *metrics;              /* where the status page is; NULL: nowhere */
    struct config_ref on_event; /* EXEC: a command that is told; or NONE */
};

struct config {
    char *path;   /* of the main file */
    char **files; /* every file that was read, the main one first */
    size_t file_count;
    struct config_credential *credentials;
    size_t credential_count;
    struct config_mailbox *mailboxes;
    size_t mailbox_count;
    struct config_relay *relays;
    size_t relay_count;
    struct config_milter milter;
    struct config_tokend tokend;
    unsigned reference_count; /* config_ref() and config_unref() only */
};

/*
 * Read and check the file, one at a time in a process: libconfuse has one
 * scanner. Owned: give it back with config_unref(). NULL with
 * ERR_CONFIG (the administrator must change the file), ERR_SYSTEM otherwise.
 * Things to look at that are no errors (an unknown user in `allow`) are logged
 * as warnings.
 */
struct config *config_load(const char *path, struct err *err)
    __attribute__((warn_unused_result));

/* Shared between threads: the count is atomic, the content never changes. */
struct config *config_ref(struct config *config);

/* Drop one reference and set *config to NULL; the last one frees. Takes NULL */
void config_unref(struct config **config);

/*
 * Append the effective settings, defaults included, in the syntax of the file
 * (what `-T` prints). Reading that again gives the same configuration.
 */
void config_print(const struct config *config, struct buf *out);

/* The same; `more` appends comments at the end of each credential section. */
typedef void config_print_fn(const struct config_credential *credential,
                             struct buf *out);
void config_print_with(const struct config *config, config_print_fn *more,
                       struct buf *out);

/*
 * Look at the files that hold secrets (client_secret, private_key, a
 * certificate without a private_key, passphrase, service_account_key,
 * seal_key), and at ca_file, for whoever checks a configuration: each must be a
 * regular file that is not empty, and which nobody else may read if it is
 * secret, so no permission for others, and none for a group unless it is this
 * process's own. Their content is not read. Errors: ERR_CONFIG with the file
 * and the command that puts it right.
 */
int config_check_secrets(const struct config *config, struct err *err)
    __attribute__((warn_unused_result));

/* The same for the ca_file of one credential, if it has one. */
int config_check_ca_file(const struct config_credential *credential,
                         struct err *err) __attribute__((warn_unused_result));

/*
 * A server's name as relay sections have it: brackets and port cut off, lower
 * case. `[h]:port`, `h:port`, `[h]` and `h` all give `h`. False when empty or
 * longer than `size` - 1.
 */
bool config_server_name(const char *text, size_t len, char *out, size_t size);

/*
 * What `metrics` says: a loopback address with its port, `127.0.0.1:9717` or
 * `[::1]:9717`, as a sockaddr_in or sockaddr_in6 of *len_out bytes. False when
 * it is none; the other form is `unix:PATH`.
 */
bool config_metrics_address(const char *text, struct sockaddr_storage *out,
                            socklen_t *len_out);

#endif
