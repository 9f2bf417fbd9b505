#!/bin/bash
# Every program is built and hardened: position-independent, with a read-only
# relocation table and a stack that can't be executed.
# When it fails: the folder's local.mk lacks $(PIE_CFLAGS) and $(PIE_LDFLAGS).
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${XOAUTH2_BUILD:-build}
found=0

wrong()
{
    printf '%s\n' "$*"
    found=1
}

for name in libxoauth2.so token-daemon/xoauth2-tokend \
    token-daemon/xoauth2ctl milter/sendas-filter milter/sendas-milter; do
    file=$(find "$build" -path "*.libs/${name##*/}" -type f -print -quit)
    file=${file:-$build/$name}
    [[ -f $file ]] || { wrong "$name is not built"; continue; }
    readelf -hW "$file" | grep -q 'Type:[[:space:]]*DYN' ||
        wrong "$file: not position-independent"
    readelf -lW "$file" | grep -q GNU_RELRO || wrong "$file: no RELRO"
    readelf -lW "$file" | grep -qE 'GNU_STACK.* RW ' ||
        wrong "$file: executable stack"
    readelf -dW "$file" | grep -qE 'BIND_NOW|FLAGS.*NOW' ||
        wrong "$file: not linked with -z now"
done
exit $found
