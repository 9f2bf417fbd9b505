/*
 * peer_identity - who is at the other end of a Unix socket.
 */
#include "token-daemon/peer_identity.h"

#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>

bool
peer_identity_read(int fd, struct peer_identity *out)
{
    struct ucred ucred;
    socklen_t len = sizeof(ucred);

    *out = (struct peer_identity){0};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &len) < 0 ||
        len != sizeof(ucred) || ucred.pid < 0)
        return false;
    out->pid = ucred.pid;
    out->uid = ucred.uid;
    out->gid = ucred.gid;
    len = sizeof(out->groups);
    /* Without them only the primary group counts: less access, never more. */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, out->groups, &len) == 0)
        out->group_count = len / sizeof(out->groups[0]);
    return true;
}

static bool
is_member(const struct peer_identity *identity, gid_t gid)
{
    if (identity->gid == gid)
        return true;
    for (size_t i = 0; i < identity->group_count; i++)
        if (identity->groups[i] == gid)
            return true;
    return false;
}

bool
peer_identity_is_allowed(const struct peer_identity *identity, uid_t own_uid,
                         const struct config_access *allow)
{
    if (identity->uid == 0 || identity->uid == own_uid)
        return true;
    for (size_t i = 0; i < allow->count; i++) {
        const struct config_peer *peer = &allow->peers[i];

        if (!peer->is_known)
            continue;
        if (peer->is_group ? is_member(identity, peer->id)
                           : identity->uid == peer->id)
            return true;
    }
    return false;
}

void
peer_identity_name(uid_t uid, char *out, size_t size)
{
    const struct passwd *user = getpwuid(uid);

    if (user != NULL)
        (void)snprintf(out, size, "%s", user->pw_name);
    else
        (void)snprintf(out, size, "uid %lld", (long long)uid);
}
