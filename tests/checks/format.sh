#!/bin/bash
# The formatting of .clang-format. When it fails: clang-format -i FILE.
set -u
cd "$(dirname "$0")/../.." || exit 2
find common milter sasl-xoauth2 token-daemon tests -name '*.[ch]' -print0 |
    sort -z | xargs -0 -r clang-format --dry-run --Werror
