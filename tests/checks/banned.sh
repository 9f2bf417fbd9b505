#!/bin/bash
# Functions that nobody calls here. Comments and strings are left out. (A test
# may change its own environment: that is what the program would find.)
# When it fails: use what the last column says.
set -u
cd "$(dirname "$0")/../.." || exit 2

# FUNCTIONS: INSTEAD
rules='
strcpy strcat strncpy strncat stpcpy: buf_append, or memcpy after a check of the length
sprintf vsprintf: snprintf with its result checked, or buf_printf
gets: fgets or read with a limit
strtok: strcspn and strspn on the input itself
atoi atol atoll: strtoll and three checks (errno, end, range)
alloca: a fixed buffer, or the heap
system popen: posix_spawn or fork and execve, without a shell
mktemp tmpnam tempnam: mkstemp or mkdtemp
rand random: getrandom
localtime gmtime asctime ctime: localtime_r, gmtime_r, strftime
signal: sigaction
setenv putenv: hand the environment to execve'

# shellcheck disable=SC2016 # Perl's variables
# Line numbers stay: what is removed leaves its newlines.
strip='undef $/; $_ = <STDIN>;
    s{(/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'\''(?:\\.|[^'\''\\\n])*'\'')}
     {my $t = $1; $t =~ s/[^\n]//g; " $t"}gsxe; print'

found=0
while IFS= read -r file; do
    [[ $file == tests/* ]] && allowed=putenv || allowed=
    text=$(perl -e "$strip" <"$file") || exit 2
    while IFS=: read -r names instead; do
        [[ -n $names && $names != *"${allowed:-?}" ]] || continue
        pattern="(^|[^A-Za-z0-9_])(${names// /|})[[:space:]]*\("
        while IFS=: read -r line call; do
            printf '%s:%s: %s: use%s\n' "$file" "$line" \
                "$(grep -oE "(${names// /|})[[:space:]]*\(" <<<"$call" |
                    head -n 1)" "$instead"
            found=1
        done < <(grep -nE "$pattern" <<<"$text")
    done <<<"$rules"
done < <(find common milter sasl-xoauth2 token-daemon tests -name '*.[ch]' | sort)
exit $found
