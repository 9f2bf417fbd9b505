#!/bin/bash
# Shell scripts by shellcheck. When it fails: it says what to write instead.
set -u
cd "$(dirname "$0")/../.." || exit 2
grep -rlE '^#!/bin/(ba)?sh' .ci contrib tests | sort | xargs -r shellcheck -x
