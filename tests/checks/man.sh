#!/bin/bash
# Each program has a man page, and mandoc finds nothing wrong with any.
# When it fails: mend the line that is named; man 7 mdoc has the macros.
set -u
cd "$(dirname "$0")/../.." || exit 2
found=0

while IFS= read -r page; do
    mandoc -T lint -W warning "$page" || found=1
    for section in NAME DESCRIPTION 'SEE ALSO'; do
        grep -qx "\.Sh $section" "$page" ||
            { printf '%s: no section %s\n' "$page" "$section"; found=1; }
    done
    name=${page##*/}
    grep -qx "\.Nm ${name%.*}" "$page" ||
        { printf '%s: its .Nm is not %s\n' "$page" "${name%.*}"; found=1; }
done < <(find common milter sasl-xoauth2 token-daemon docs -name '*.[1-8]' | sort)

for page in token-daemon/xoauth2-tokend.8 token-daemon/xoauth2ctl.1 \
    milter/sendas-filter.1 milter/sendas-milter.8 sasl-xoauth2/xoauth2-sasl.7; do
    [[ -f $page ]] || { printf '%s is missing\n' "$page"; found=1; }
done
[[ -n $(find . -name relay.conf.5) ]] ||
    { printf 'relay.conf.5 is missing\n'; found=1; }
exit $found
