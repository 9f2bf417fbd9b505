/*
 * config_value - one value of relay.conf: is it good, and what does it mean?
 *
 * Pure, but for config_value_peer(). Each returns 0, or -1 with ERR_CONFIG and
 * the rest of a sentence that begins with the option's name: `must be ...`.
 * That text never repeats the value: somebody may have pasted a secret there.
 */
#ifndef COMMON_CONFIG_VALUE_H
#define COMMON_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/err.h"

/* A word of the file and the value of the enum that it stands for. */
struct config_word {
    const char *word; /* NULL: the end of the table */
    int value;
};

extern const struct config_word config_words_provider[];
extern const struct config_word config_words_grant[];
extern const struct config_word config_words_assertion[];
extern const struct config_word config_words_not_permitted[];
extern const struct config_word config_words_rotate[];
extern const struct config_word config_words_reply_to[];
extern const struct config_word config_words_null_sender[];
extern const struct config_word config_words_name_template_for[];
extern const struct config_word config_words_dkim[];
extern const struct config_word config_words_verb[];

/* The number of `text`; the error lists the words. */
int config_value_word(const struct config_word *words, const char *text,
                      int *out, struct err *err);

/* The word for a number that is in the table. */
const char *config_value_word_name(const struct config_word *words, int value);

/* Decimal digits, `min` to `max`. */
int config_value_number(const char *text, int min, int max, int *out,
                        struct err *err);

/* Octal permissions of a socket, 0 to 0777. */
int config_value_mode(const char *text, mode_t *out, struct err *err);

/* A credential's. */
int config_value_name(const char *text, struct err *err);
int config_value_tenant(const char *text, struct err *err);
int config_value_client_id(const char *text, struct err *err);
int config_value_scope(const char *text, struct err *err);
/* https, or http to this machine and to a cloud's metadata service. */
int config_value_url(const char *text, struct err *err);
/* The same without query: an issuer's name. */
int config_value_issuer(const char *text, struct err *err);
/* `system`, or `KIND:ID`; *id is borrowed of `text`, NULL with system. */
int config_value_identity(const char *text, enum config_identity *identity,
                          const char **id, struct err *err);
int config_value_proxy(const char *text, struct err *err);
int config_value_server(const char *text, struct err *err);

/* An absolute path. */
int config_value_path(const char *text, struct err *err);
/* The same, short enough for a Unix socket. */
int config_value_socket_path(const char *text, struct err *err);
int config_value_milter_socket(const char *text, struct err *err);
int config_value_login_password(const char *text, struct err *err);
/* A loopback address with a port, or `unix:PATH`. */
int config_value_metrics(const char *text, struct err *err);

/* `file:PATH`, `credential:NAME` or `exec:COMMAND`. */
int config_value_ref(const char *text, struct err *err);
/* `exec:COMMAND` only. */
int config_value_command(const char *text, struct err *err);
/* One of these, or the `pkcs11:` URI of a key in a token, without its PIN. */
int config_value_key_ref(const char *text, struct err *err);
/* Which of them; NONE when it is none. */
enum config_ref_kind config_value_ref_kind(const char *text);

/* `user@domain` */
int config_value_address(const char *text, struct err *err);
/* `user@domain`, `@domain`, or `@.domain` for all domains below it */
int config_value_entry(const char *text, struct err *err);

/* Text for a display name, with %n, %a, %d and %% only; may be empty. */
int config_value_name_template(const char *text, struct err *err);

/* What a listener of the mail server is called: printable ASCII. */
int config_value_daemon_name(const char *text, struct err *err);
/* Any printable text: a user's, group's or login name. */
int config_value_login(const char *text, struct err *err);
/* A name of a user or group of this system, or `group:NAME`. */
int config_value_account(const char *text, struct err *err);

/* An address or `address/prefix` without bits behind the prefix. */
int config_value_network(const char *text, struct config_network *out,
                         struct err *err);

/*
 * Look up peer->name in the system's accounts and set is_known and id. Asks
 * the name service, so it may block. Errors: ERR_SYSTEM, out of memory.
 */
int config_value_peer(struct config_peer *peer, struct err *err);

#endif
