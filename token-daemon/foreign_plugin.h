/*
 * foreign_plugin - the files of the C++ plugin sasl-xoauth2, so that whoever
 * has them can go on with them here: its configuration, its token files, and
 * the password map that names those.
 *
 * Pure: text in, struct out, and sections of relay.conf(5) out of that. Knows
 * nothing of files or sockets.
 */
#ifndef TOKEN_DAEMON_FOREIGN_PLUGIN_H
#define TOKEN_DAEMON_FOREIGN_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"

/* Texts are owned and wiped; NULL: not said. */
struct foreign_plugin {
    char *client_id;
    char *client_secret;
    char *token_endpoint;
    char *proxy;
    char *ca_bundle_file;
    char *refresh_token; /* of a token file; never NULL there */
    char *user;          /* of a token file: who logs in, in place of the map */
};

/*
 * Read its configuration, or one of its token files. Errors: ERR_PROTO with
 * what is wrong, without the content; *out is zeroed then.
 */
int foreign_plugin_parse(const char *data, size_t len, bool is_token_file,
                         struct foreign_plugin *out, struct err *err)
    __attribute__((warn_unused_result));

void foreign_plugin_clear(struct foreign_plugin *plugin);

/*
 * What a token file does not say is as its configuration (or NULL) says, and
 * else as the plugin has it. Errors: ERR_PROTO (no client_id), ERR_SYSTEM.
 */
int foreign_plugin_inherit(struct foreign_plugin *token,
                           const struct foreign_plugin *config, struct err *err)
    __attribute__((warn_unused_result));

/* Are the two one app registration: one credential section? */
bool foreign_plugin_is_same(const struct foreign_plugin *a,
                            const struct foreign_plugin *b);

/*
 * A line of a Postfix password map, `[host]:port user:/path/of/token`. False
 * when it is empty, a comment, or names no absolute path. Points into `line`.
 */
struct foreign_plugin_entry {
    const char *user;
    size_t user_len;
    const char *path;
    size_t path_len;
};
bool foreign_plugin_entry(const char *line, size_t len,
                          struct foreign_plugin_entry *out);

/*
 * Append the credential section `name`; `secret` is the reference of its
 * client secret, or NULL. Errors: ERR_PROTO (a value that can't be written in
 * the file).
 */
int foreign_plugin_print(const struct foreign_plugin *plugin, const char *name,
                         const char *secret, struct buf *out, struct err *err)
    __attribute__((warn_unused_result));

#endif
