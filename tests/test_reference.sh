#!/bin/sh
# The reference of the public headers: it builds without a warning, nothing public is missing, and what it says
# of gradients is what the rules say.
#
#   test_reference.sh OP_MAP LIBREEL SOURCE_ROOT
set -u
. "$(dirname "$0")/shell.sh"
op_map=$(absolute "$1") library=$(absolute "$2") source_root=$3
command -v doxygen >/dev/null || exit 77
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$source_root" || exit 1

# build ROOT: the reference of the headers there, in $folder/out; prints what is fail with them
build() {
    sh "$1/apps/reference/build.sh" "$op_map" test "$folder/out" 2>&1
}

check_build() {
    said=$(build .) || fail "$said"
}

# Every function that the library exports has a place in what was built.
check_exports() {
    exported=$(nm -D --defined-only "$library" | sed -n 's/.* T \(reel_[a-z0-9].*\)/\1/p')
    [ "$(echo "$exported" | wc -l)" -gt 200 ] || fail "$library exports no more than: $exported"
    for name in $exported; do
        grep -q "<name>$name</name>" "$folder/out/reel.tag" || fail "$name is exported and has no contract"
    done
}

# with_header TEXT: copies the headers, one of which ends with TEXT, to $folder/copy
with_header() {
    rm -rf "$folder/copy"
    mkdir -p "$folder/copy/apps"
    cp -R apps/reference "$folder/copy/apps"
    for headers in */reel; do
        mkdir -p "$folder/copy/$headers"
        cp "$headers"/*.h "$folder/copy/$headers"
    done
    printf '%s\n' "$1" >>"$folder/copy/tensor/reel/tensor.h"
}

# refuses WHAT TEXT: the reference is not built with TEXT in a header, and the reason names reel_new
refuses() {
    with_header "$2"
    if said=$(build "$folder/copy"); then
        fail "the reference is built with $1"
    else
        case $said in
        *reel_new*) ;;
        *) fail "$1: the reason is not named: $said" ;;
        esac
    fi
}

# The comments of a file on one line, without the frame of stars.
comments_of() {
    sed 's|^ \* *| |; s|/\*| |; s|\*/| |' "$1" | tr '\n' ' ' | tr -s ' '
}

# Every gradient of op_list.h stands, word by word, in the file of its op, where the rule is.
check_gradients() {
    "$op_map" >"$folder/map"
    ops=0
    while read -r name; do
        read -r formula
        read -r gradient
        name=${name%%(*}
        definition="^(reel_tensor \*|void )reel_${name}\(|^DEFINE_[A-Z_]+\(${name}[,)]"
        file=$(grep -lE --exclude='*_cpu.c' "$definition" ops/*.c)
        if [ ! -f "$file" ]; then
            fail "$name is not defined in one file: $file"
            continue
        fi
        case $gradient:$(comments_of "$file") in
        none:* | "$gradient":*"$gradient"*) ;;
        *) fail "$file says nothing of the gradient of $name, $formula: $gradient" ;;
        esac
        ops=$((ops + 1))
    done <<EOT
$(sed -n 's/^  *//p' "$folder/map")
EOT
    [ "$ops" -gt 50 ] || fail "the map has $ops ops"
}

check_build
check_exports
refuses 'a function without a contract' 'REEL_API int reel_new(void);'
refuses 'a comment that names what is not there' '/* Unlike reel_new. */
REEL_API int reel_other(void);'
check_gradients

[ $failures -eq 0 ] && echo "the reference is whole"
[ $failures -eq 0 ]
