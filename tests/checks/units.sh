#!/bin/bash
# The systemd units: systemd finds nothing wrong with them, they are as locked up
# as they were, and sysusers.d and tmpfiles.d make what they need.
# When it fails: an option is misspelt; or a directive was dropped, and the unit's
# last comment has to say why; or a path, an owner or a mode has changed.
set -u
cd "$(dirname "$0")/../.." || exit 2
systemd=$PWD/contrib/systemd
directory=$(mktemp -d) || exit 2
trap 'rm -rf "$directory"' EXIT
found=0

wrong()
{
    printf '%s\n' "$*"
    found=1
}

# ---- Units -------------------------------------------------------------------

# The programs need not be installed: another one stands in.
for unit in "$systemd"/*.service.in; do
    name=${unit##*/}
    sed 's,^ExecStart=.*,ExecStart=/bin/true,' "$unit" >"$directory/${name%.in}"
done
cp "$systemd"/*.socket "$directory"
SYSTEMD_UNIT_PATH="$directory:" systemd-analyze verify --man=no \
    "$directory"/*.service "$directory"/*.socket >"$directory/verify" 2>&1
# Only what it says of our units: it looks at the machine's as well.
! grep -E '(xoauth2-tokend|sendas-milter)' "$directory/verify" ||
    wrong 'systemd-analyze verify: see above'

# exposure NAME TENTHS: the unit is not more exposed than that (of 100)
exposure()
{
    systemd-analyze security --offline=true --no-pager --threshold="$2" \
        "$directory/$1" >"$directory/security" 2>&1 && return
    grep -v '✓' "$directory/security"
    wrong "$1: more exposed than $2 tenths"
}
exposure sendas-milter.service 5
exposure xoauth2-tokend.service 14

# ---- Users and directories ---------------------------------------------------

root=$directory/root
mkdir -p "$root/etc" "$root/var/spool/postfix" "$root/run"
printf 'root:x:0:0::/root:/bin/sh\npostfix:x:102:105::/:/bin/false\n' \
    >"$root/etc/passwd"
printf 'root:x:0:\npostfix:x:105:\n' >"$root/etc/group"
systemd-sysusers --root="$root" "$systemd/sysusers.d/xoauth2-relay.conf" ||
    wrong 'systemd-sysusers: see above'
if [[ $EUID -eq 0 ]]; then
    systemd-tmpfiles --root="$root" --create \
        "$systemd/tmpfiles.d/xoauth2-relay.conf" || wrong 'systemd-tmpfiles'
    number()
    {
        awk -F : -v name="$2" '$1 == name { print $3 }' "$root/etc/$1"
    }
    # shellcheck disable=SC2312
    while read -r mode user group path; do
        want="$mode $(number passwd "$user") $(number group "$group")"
        [[ $(stat -c '%a %u %g' "$root$path") == "$want" ]] ||
            wrong "$path: not $mode $user:$group"
    done <<'PATHS'
755 root root /etc/xoauth2-relay
750 root xoauth2 /etc/xoauth2-relay/secrets
755 xoauth2 xoauth2 /run/xoauth2
755 root root /var/spool/postfix/run
755 xoauth2 xoauth2 /var/spool/postfix/run/xoauth2
2750 xoauth2-milter postfix /var/spool/postfix/run/sendas
PATHS
fi
exit $found
