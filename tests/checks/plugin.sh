#!/bin/bash
# What the MTA has to load with the plugin: the C library and nothing else; and
# what it gets: one symbol. When it fails: the plugin has grown a dependency
# (look at its LIBADD and at the files of common/ it is made of), or an export.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${XOAUTH2_BUILD:-build}
plugin=$(find "$build" -path "*.libs/libxoauth2.so" -type f -print -quit)
[[ -n $plugin ]] || { echo "libxoauth2.so is not built"; exit 1; }
found=0

needed=$(readelf -d "$plugin" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p') || exit 2
[[ $needed == libc.so.6 ]] ||
    { printf '%s needs: %s\n' "$plugin" "${needed//$'\n'/ }"; found=1; }

exported=$(nm -D --defined-only "$plugin" | awk '{ print $NF }') || exit 2
[[ $exported == sasl_client_plug_init ]] ||
    { printf '%s exports: %s\n' "$plugin" "${exported//$'\n'/ }"; found=1; }

# It runs inside the MTA: it must not end, signal or change that process, nor
# write to standard error.
calls=$(nm -D --undefined-only "$plugin" | awk '{ print $NF }' |
    grep -E '^(exit|_exit|abort|__assert_fail|openlog|closelog|setenv|putenv|unsetenv|signal|sigaction|chdir|umask|fork|execve?|perror)(@|$)')
[[ -z $calls ]] ||
    { printf '%s calls: %s\n' "$plugin" "${calls//$'\n'/ }"; found=1; }
exit $found
