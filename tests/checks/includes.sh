#!/bin/bash
# Who may include whom. When it fails: move what both need to common/, or hand it
# in as an argument; a library that two files need wants a module of its own.
set -u
cd "$(dirname "$0")/../.." || exit 2
found=0

wrong()
{
    printf '%s\n' "$*"
    found=1
}

# The targets of the includes of a file.
includes()
{
    sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*(["<][^">]*[">]).*/\1/p' "$1"
}

# ---- Components never include each other; common/ includes no component ------

while IFS= read -r file; do
    folder=${file%%/*}
    while IFS= read -r include; do
        case $include in
        \"config.h\") ;;
        \"common/*) ;;
        "\"$folder/"*) ;;
        \"*) wrong "$file: includes $include: only common/ and $folder/ may be" ;;
        esac
    done < <(includes "$file")
done < <(find common milter sasl-xoauth2 token-daemon -name '*.[ch]' | sort)

# ---- One library, one place --------------------------------------------------

# HEADER PATTERN: the files that may include it
library()
{
    local pattern=$1 file
    shift

    while IFS= read -r file; do
        [[ " $* " == *" $file "* || " $* " == *" ${file%/*}/ "* ]] ||
            wrong "$file: includes <$pattern: only $* may"
    done < <(grep -lE "^[[:space:]]*#[[:space:]]*include[[:space:]]*<$pattern" \
        -r common milter sasl-xoauth2 token-daemon --include='*.[ch]')
}
library 'curl/' token-daemon/http.c
library 'sqlite3' token-daemon/store.c
library 'libmilter/' milter/callbacks.c
library 'confuse' common/config.c common/config_check.c common/config_section.c \
    common/config_section_credential.c common/config_section_mailbox.c \
    common/config_section_milter.c common/config_section_relay.c \
    common/config_section_tokend.c
library 'sasl/' sasl-xoauth2/
library 'openssl/' token-daemon/assertion.c token-daemon/fingerprint.c \
    token-daemon/hardening.c token-daemon/key_pkcs11.c token-daemon/passphrase.c \
    token-daemon/own_certificate.c token-daemon/pkce.c token-daemon/seal.c

# ---- A library's header is in none of ours -----------------------------------

while IFS= read -r file; do
    [[ $file == sasl-xoauth2/mech.h ]] && continue
    wrong "$file: includes a library's header; only mech.h (SASL) may"
done < <(grep -lE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<(curl/|sqlite3|libmilter/|confuse|sasl/|openssl/|jansson|event2/|systemd/|cmocka)' \
    -r common milter sasl-xoauth2 token-daemon --include='*.h')

# ---- Inside token-daemon/: to the right, never to the left -------------------

# From left to right: main -> daemon -> servers -> lookups, control -> refusals -> refresher
#      -> acquire, token -> http, store -> the rest
rank()
{
    case $1 in
    main) echo 8 ;;
    daemon | daemon_* | observer | observer_page) echo 7 ;; # who looks on sees all
    lookup_server | control_server) echo 6 ;;
    control | control_*) echo 5 ;;
    lookups) echo 4 ;;
    refusals | state | key_state | key_watch | rotation) echo 3 ;;
    graph_renewal | graph_rotator) echo 3 ;;
    refresher | keeper | keeper_* | planner) echo 2 ;;
    acquire | discovery | graph_client | http | login_flow | store) echo 1 ;;
    audit_queue | change_queue | opening | writer) echo 1 ;; # round the store
    *) echo 0 ;;
    esac
}

while IFS= read -r file; do
    name=${file##*/}
    name=${name%.*}
    own=$(rank "$name")
    while IFS= read -r include; do
        other=${include#\"token-daemon/}
        other=${other%.h\"}
        [[ $other != "$include" ]] || continue
        [[ $(rank "$other") -le $own ]] ||
            wrong "$file: includes $include, which stands to its left"
    done < <(includes "$file")
done < <(find token-daemon -name '*.[ch]' ! -name xoauth2ctl.c ! -name 'ctl*' | sort)

# ---- Each header compiles alone ----------------------------------------------

flags=$(pkg-config --cflags libsasl2 jansson libevent 2>/dev/null)
while IFS= read -r file; do
    # shellcheck disable=SC2086 # several flags
    printf '#include "%s"\n' "$file" |
        gcc -std=gnu11 -D_GNU_SOURCE -I. $flags -fsyntax-only -Wall -Werror \
            -x c - || wrong "$file: does not compile alone"
done < <(find common milter sasl-xoauth2 token-daemon -name '*.h' | sort)

exit $found
