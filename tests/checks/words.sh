#!/bin/bash
# Things that are not left lying about in what we ship.
# When it fails: do it now; write paths relative to something; British spelling.
set -u
cd "$(dirname "$0")/../.." || exit 2
found=0

# search DESCRIPTION PATTERN FILE...
search()
{
    local what=$1 pattern=$2
    shift 2

    while IFS= read -r line; do
        printf '%s: %s\n' "$what" "$line"
        found=1
    done < <(grep -nIE "$pattern" "$@" /dev/null)
}

mapfile -t files < <(find .ci common contrib docs milter sasl-xoauth2 tests \
    token-daemon Makefile.am README.md configure.ac -type f \
    ! -name words.sh ! -path '*/__pycache__/*' | sort)
mapfile -t sources < <(printf '%s\n' "${files[@]}" | grep -E '\.[ch]$')

search 'a loose end' '\b(TODO|FIXME|XXX|HACK)\b' "${files[@]}"
search "somebody's directory" '(^|[^A-Za-z0-9_$}/.-])/(home|root|Users)/' "${files[@]}"
search 'spelling' \
    '\b([Bb]ehavior|[Cc]olor|[Hh]onor|[Nn]ormaliz|[Rr]ecogniz|[Ii]nitializ|[Cc]anceled|[Ff]avor)' \
    "${sources[@]}"
search 'blanks at the end of the line' '[[:blank:]]+$' "${files[@]}"
search 'a tab in C' $'\t' "${sources[@]}"
exit $found
