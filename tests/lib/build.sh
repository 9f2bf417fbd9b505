# Building outside the checkout. Sourced by tests/run and contrib/demo/run.
# autoreconf and make write beside the sources, so the sources are copied first:
# nothing is left in the checkout.
# shellcheck shell=bash

# build_copy TOP DIRECTORY: copy the sources as they are now, changes that are
# not committed included, without what git ignores.
build_copy()
{
    local top=$1 copy=$2

    mkdir -p "$copy" || return 1
    if git -c safe.directory='*' -C "$top" rev-parse --git-dir \
        >/dev/null 2>&1; then
        git -c safe.directory='*' -C "$top" ls-files -z -co --exclude-standard |
            (cd "$top" && while IFS= read -r -d '' file; do
                [[ ! -e $file && ! -L $file ]] || printf '%s\0' "$file"
            done) |
            tar -C "$top" --null -T - -c | tar -C "$copy" -x
    else
        tar -C "$top" --exclude=./build -c . | tar -C "$copy" -x
    fi
}

# build_prepare SOURCE: make its configure script.
build_prepare()
{
    (cd "$1" && autoreconf -fi)
}

# build_configure SOURCE DIRECTORY ARGUMENT...
build_configure()
{
    local source=$1 directory=$2
    shift 2

    mkdir -p "$directory" && (cd "$directory" && "$source/configure" "$@")
}

# build_make DIRECTORY TARGET...
build_make()
{
    local directory=$1
    shift

    make -C "$directory" -j "$(nproc)" "$@"
}
