# What the commands of README.md need from Debian, and how it is installed.
# Sourced by tests/run and contrib/demo/run; this is the one list of packages.
#
# Installing is careful, for it happens as root on somebody's machine: a mail
# server that is there is never removed, no service is started, and nothing is
# left behind but the packages.
# shellcheck shell=bash disable=SC2034 # the lists are used by who sources it

# To build the programs.
packages_build=(
    autoconf automake gcc libc6-dev libtool make pkg-config
    libconfuse-dev libcurl4-openssl-dev libevent-dev libjansson-dev
    libmilter-dev libsasl2-dev libsqlite3-dev libssl-dev libsystemd-dev
)

# To run them against a world of their own: a private Postfix, a token endpoint
# and a submission server on loopback.
packages_world=(
    libsasl2-modules openssl postfix python3 python3-aiosmtpd
    python3-cryptography python3-jwt
)

# To test them.
packages_test=(
    binutils chromium chromium-driver clang clang-format gir1.2-gmime-3.0
    gnutls-bin libcmocka-dev libclang-rt-dev libengine-pkcs11-openssl
    libnss-wrapper mandoc miltertest prometheus python3-gi python3-pytest
    python3-pytest-xdist python3-selenium shellcheck softhsm2 systemd xz-utils
)

# Node's own packages bring npm along, and conflict with Debian's of that name.
command -v npm >/dev/null || packages_test+=(nodejs npm)

# To measure them against others.
packages_bench=(
    opendkim python3-milter
)

packages_policy=/usr/sbin/policy-rc.d
packages_policy_is_ours=no

# Say what stands in the way and what to do about it; end the program.
packages_refuse()
{
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

# The names among the arguments that are not installed, one a line.
packages_missing()
{
    local name

    for name; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == \
            installed ]] || printf '%s\n' "$name"
    done
}

# The installed package, if any, that apt would remove to install Postfix.
packages_other_mta()
{
    # shellcheck disable=SC2016 # a format of dpkg-query
    dpkg-query -W -f '${db:Status-Status}|${Package}|${Provides}\n' |
        awk -F '|' '$1 == "installed" && $2 != "postfix" &&
            $3 ~ /(^|[ ,])mail-transport-agent($|[ ,(])/ { print $2; exit }'
}

# No service starts while packages are installed. A policy that is there
# already is somebody's decision, and stays.
packages_forbid_services()
{
    [[ ! -e $packages_policy && ! -L $packages_policy ]] || return 0
    packages_policy_is_ours=yes
    printf '#!/bin/sh\n# Temporary: %s is installing packages.\nexit 101\n' \
        "$0" >"$packages_policy" && chmod 755 "$packages_policy"
}

# Undo that. The caller's exit trap calls it, too.
packages_allow_services()
{
    [[ $packages_policy_is_ours == yes ]] || return 0
    rm -f "$packages_policy"
    packages_policy_is_ours=no
}

# packages_install LOG NAME...: install what is missing of the names. Ends the
# program with a sentence when that can't be done. What apt says goes to LOG.
packages_install()
{
    local log=$1 other missing
    shift

    command -v apt-get >/dev/null ||
        packages_refuse "this needs Debian (apt-get is missing);" \
            "install the equivalents of: $*"
    mapfile -t missing < <(packages_missing "$@")
    [[ ${#missing[@]} -gt 0 ]] || return 0
    [[ $EUID -eq 0 ]] || packages_refuse \
        "run this as root, or install first: apt-get install ${missing[*]}"

    if [[ " ${missing[*]} " == *" postfix "* ]]; then
        other=$(packages_other_mta)
        [[ -z $other ]] || packages_refuse \
            "$other is this machine's mail server, and installing Postfix" \
            "would remove it. Nothing was changed. Use another machine, a" \
            "container or a chroot."
        printf 'postfix postfix/main_mailer_type select %s\n' \
            'No configuration' | debconf-set-selections
    fi
    printf 'Installing: %s\n' "${missing[*]}"
    packages_forbid_services ||
        packages_refuse "can't write $packages_policy"
    if ! packages_apt "$log" "${missing[@]}"; then
        packages_allow_services
        tail -n 30 "$log" >&2
        packages_refuse "apt-get failed, see above; mend it and run me again"
    fi
    packages_allow_services
}

packages_apt()
{
    local log=$1
    shift

    DEBIAN_FRONTEND=noninteractive apt-get -q \
        -o DPkg::Lock::Timeout=120 update >"$log" 2>&1 &&
        DEBIAN_FRONTEND=noninteractive apt-get -q -y \
            -o DPkg::Lock::Timeout=120 -o DPkg::Use-Pty=0 \
            --no-install-recommends --no-remove install "$@" \
            >>"$log" 2>&1 </dev/null
}
