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

umask 077
printf 'x\n' >"$directory/contoso" || exit 2
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=relay \
    -keyout "$directory/contoso.key" -out "$directory/contoso.pem" \
    2>/dev/null || exit 2
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
