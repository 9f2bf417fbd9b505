#!/bin/bash
# contrib/postfix on Debian's default files: Postfix finds nothing to warn of,
# neither in the lines as they are nor in those that are comments there.
# When it fails: a parameter is misspelt, or used nowhere.
set -u
cd "$(dirname "$0")/../.." || exit 2
directory=$(mktemp -d) || exit 2
trap 'rm -rf "$directory"' EXIT
found=0
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

# check NAME COMMAND...: what goes to standard error is an error
check()
{
    local name=$1
    shift

    "$@" >/dev/null 2>"$directory/said" && [[ ! -s $directory/said ]] && return
    printf '%s: %s:\n' "$name" "$*"
    sort -u "$directory/said" | sed 's/^/    /'
    found=1
}

# instance NAME MAIN_CF MASTER_CF: check Debian's files with these after them
instance()
{
    local name=$1 main=$2 master=$3 config=$directory/$1/etc

    mkdir -p "$config" "$directory/$name/spool" "$directory/$name/data"
    {
        # Certificates that only a configured system has are left out.
        grep -v '^smtpd_tls_' /usr/share/postfix/main.cf.debian
        printf 'queue_directory = %s\ndata_directory = %s\nmyhostname = a.test\n' \
            "$directory/$name/spool" "$directory/$name/data"
        cat "$main"
    } >"$config/main.cf"
    { cat /usr/share/postfix/master.cf.dist "$master"; } >"$config/master.cf"
    check "$name" postconf -c "$config" -n
    check "$name" postconf -c "$config" -M
    check "$name" postconf -c "$config" -P
    [[ $EUID -ne 0 ]] || {
        chown postfix "$directory/$name/data"
        check "$name" postfix -c "$config" check
    }
}

instance plain contrib/postfix/main.cf.relay contrib/postfix/master.cf.relay

# Everything that is a comment but could be a line; a service that stands there
# twice is only the second one then.
sed -E 's/^#(relay-oauth2|relay-oauth-file|reinject|127\.0\.0\.1:|smtp |    -o )/\1/' \
    contrib/postfix/master.cf.relay >"$directory/master"
sed -E 's/^#(import_environment|    (LANG|SASL_PATH)=|    \{ |[a-z0-9_-]+ = )/\1/' \
    contrib/postfix/main.cf.relay >"$directory/main"
[[ $(grep -cE '^(relay-oauth2|relay-oauth-file|reinject|127|smtp )' "$directory/master") == 5 ]] ||
    { echo 'master.cf.relay: the commented entries are not where they were'
      found=1; }
instance commented "$directory/main" "$directory/master"
exit $found
