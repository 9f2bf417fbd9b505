#!/bin/bash
# The examples of relay.conf are accepted by the programs, with files of their own
# in place of those in /etc/xoauth2-relay/secrets.
# When it fails: an option was renamed, or an example was not.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${XOAUTH2_BUILD:-build}
directory=$(mktemp -d) || exit 2
trap 'rm -rf "$directory"' EXIT
found=0

for name in contoso contoso.pem contoso.key; do
    (umask 077 && printf 'x\n' >"$directory/$name") || exit 2
done
for example in contrib/relay.conf.*; do
    sed "s,/etc/xoauth2-relay/secrets/,$directory/," "$example" \
        >"$directory/relay.conf"
    for program in token-daemon/xoauth2-tokend milter/sendas-milter; do
        "$build/$program" -t -c "$directory/relay.conf" 2>&1 && continue
        printf '%s: not accepted by %s\n' "$example" "$program"
        found=1
    done
done
exit $found
