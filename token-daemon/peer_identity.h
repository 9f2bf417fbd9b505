/*
 * peer_identity - who is at the other end of a Unix socket, in the kernel's
 * word, and whether that one may ask.
 */
#ifndef TOKEN_DAEMON_PEER_IDENTITY_H
#define TOKEN_DAEMON_PEER_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/config.h"

#define PEER_IDENTITY_GROUPS_MAX 256 /* supplementary groups; more are cut */

struct peer_identity {
    pid_t pid; /* 0: of a process id namespace that is not ours */
    uid_t uid;
    gid_t gid;
    gid_t groups[PEER_IDENTITY_GROUPS_MAX];
    size_t group_count;
};

/*
 * Ask the kernel (SO_PEERCRED, SO_PEERGROUPS; unix(7)). False when `fd` is no
 * connected Unix socket.
 */
bool peer_identity_read(int fd, struct peer_identity *out);

/*
 * Pure: root, `own_uid`, and whoever the list names, by user or by group.
 */
bool peer_identity_is_allowed(const struct peer_identity *identity,
                              uid_t own_uid, const struct config_access *allow);

/* Who it is, for the audit trail: a user's name, or its number. */
void peer_identity_name(uid_t uid, char *out, size_t size);

#endif
