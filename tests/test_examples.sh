#!/bin/sh
# Writes models from outside, as models/README.md teaches it: installs the build below an empty folder, compiles the
# example models and every program of that page with what pkg-config says and nothing else, trains each for some
# steps and measures what it saved; adds the page's architecture to trm_train and trains that; and holds what the
# page quotes against the files it quotes from.
#
#   sh tests/test_examples.sh SOURCE_ROOT BUILD_ROOT SANITIZERS COMPILER...
#
# SANITIZERS are those of the build, or none. $includedir and $libdir say where it is to be installed, absolute.
#
# shellcheck disable=SC2015,SC2154 # `a && b || fail` is meant; the environment has the folders
set -u
. "$(dirname "$0")/shell.sh"
source_root=$(absolute "$1") build_root=$(absolute "$2") sanitizers=$3
shift 3 # what is left is the compiler
models=$source_root/models page=$source_root/models/README.md

skip_without meson pkg-config
install_to_stage --tags devel,runtime
asks() {
    PKG_CONFIG_PATH=$stage$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage pkg-config "$@"
}
flags=$(asks --cflags --libs reel) || fail "pkg-config knows no reel"
options='-Wall -Wextra -Wpedantic -Werror'
[ "$sanitizers" = none ] || options="$options -fsanitize=$sanitizers"

# build NAME SOURCE: the program NAME
build() {
    # shellcheck disable=SC2086 # words are meant
    $compiler $options "$2" $flags -o "$1" >out 2>&1 || fail "$compiler $options $2 $flags: $(cat out)"
}
compiler=$*

# run NAME ARGUMENT...: its output in NAME.out
run() {
    name=$1
    shift
    LD_LIBRARY_PATH=$stage$libdir "./$name" "$@" >"$name.out" 2>&1 || fail "$name $*: exits with $?: $(cat "$name.out")"
}

# loss_falls NAME: to less than half
loss_falls() {
    awk '/^step .* loss / { if (!n++) first = $4; last = $4 } END { exit !(n > 1 && last < first / 2) }' "$1.out" ||
        fail "$1: the loss does not fall: $(cat "$1.out")"
}

# ---- the examples --------------------------------------------------------------------------------------------
# trains NAME OPTION...: and what is loaded from the file later solves as many puzzles as at the end of training
trains() {
    example=$1
    shift
    [ "$(wc -l <"$models/examples/$example.c")" -lt 200 ] || fail "$example.c has 200 lines or more"
    build "$example" "$models/examples/$example.c"
    run "$example" saved "$@"
    loss_falls "$example"
    grep '^solved' "$example.out" >trained || fail "$example $*: $(cat "$example.out")"
    run "$example" saved "$@" steps=0
    grep '^solved' "$example.out" | cmp -s - trained || fail "$example: loaded, it $(cat "$example.out"), trained, it $(cat trained)"
    head -c 1000 saved >damaged
    ! LD_LIBRARY_PATH=$stage$libdir "./$example" damaged "$@" steps=0 >out 2>&1 && [ "$(wc -l <out)" -eq 1 ] ||
        fail "$example: a file that is cut off: $(cat out)"
    ! LD_LIBRARY_PATH=$stage$libdir "./$example" damaged ticks=many >out 2>&1 && grep -q 'ticks=many' out ||
        fail "$example ticks=many: $(cat out)"
}
trains cellular_sudoku steps=50 ticks=4 data=sudoku:4:18
trains universal_transformer steps=50 ticks=3 data=maze:4:40

# ---- the programs of the page -------------------------------------------------------------------------------
# block TITLE: the lines of the page between "```TITLE" and "```"
block() {
    awk -v begin='```'"$1" '$0 == "```" { inside = 0 } inside { print } $0 == begin { inside = 1 }' "$page"
}

block 'c gradient.c' >gradient.c
build gradient gradient.c
run gradient
grep -qF "\`$(cat gradient.out)\`" "$page" || fail "the page does not say what gradient.c prints: $(cat gradient.out)"

block 'c addition.c' >addition.c
build addition addition.c
run addition
loss_falls addition

# ---- what it quotes ------------------------------------------------------------------------------------------
# Each quotation must stand in its file, line for line.
awk '/^```$/ { inside = 0 } inside { print > name } /^```c from / { inside = 1; name = "quoted." ++n; print $3 > name }' "$page"
for quoted in quoted.*; do
    file=$(head -n 1 "$quoted")
    awk 'NR == FNR { if (FNR > 1) text = text $0 "\n"; next } { all = all $0 "\n" }
        END { exit !(text != "" && index(all, text)) }' "$quoted" "$models/$file" ||
        fail "models/$file does not have what the page quotes: $(tail -n +2 "$quoted")"
done
[ "$(grep -c '^```[a-z]' "$page")" -eq "$(($(find . -name 'quoted.*' | wc -l) + 6))" ] ||
    fail "there is a piece of code that is neither built nor compared"

# ---- an architecture -----------------------------------------------------------------------------------------
# The page's architecture, with its line in the table, and trm_train of the build with all that sees the table made
# anew.
block 'c trm_momentum.c' >trm_momentum.c
block 'c line of REEL_ARCHITECTURES' >line
block 'yaml momentum.yaml' >momentum.yaml
mkdir reel
awk 'NR == FNR { line = line $0 "\n"; next } / X\(BASELINE,/ { printf "%s", line } { print }' line "$models/reel/model.h" \
    >reel/model.h
[ "$(wc -l <reel/model.h)" -eq "$(($(wc -l <"$models/reel/model.h") + 2))" ] || fail "no line for REEL_ARCHITECTURES"

private=$(asks --print-requires-private reel | sed 's/ .*//')
# shellcheck disable=SC2046,SC2086 # words are meant
for source in trm_momentum.c "$models"/model.c "$source_root"/apps/config*.c; do
    "$@" $options -D_GNU_SOURCE -I. -I"$stage$includedir" -I"$source_root/apps" \
        $(pkg-config --cflags yaml-0.1 libcjson) -c "$source" >out 2>&1 || fail "$source: $(cat out)"
done
# shellcheck disable=SC2046,SC2086 # words are meant
"$@" $options ./*.o "$build_root"/apps/trm_train.p/*.o "$build_root/apps/libmodel_programs.a" \
    "$stage$libdir/libreel.a" $(pkg-config --libs yaml-0.1 $private) \
    $(sed -n 's/^Libs.private: *//p' "$stage$libdir/pkgconfig/reel.pc") -lm -o trm_train >out 2>&1 ||
    fail "trm_train: $(cat out)"
run trm_train momentum.yaml run_dir=run threads=1
grep -q 'trm_momentum' run/all_config.yaml || fail "the run does not say which architecture it has"
grep -q 'step 90: exact .* test puzzles' trm_train.out && [ -f run/step_90.safetensors ] ||
    fail "trm_train momentum.yaml: $(cat trm_train.out)"
awk '/loss/ { if (!n++) first = $6; last = $6 } END { exit !(n > 1 && last < first) }' trm_train.out ||
    fail "trm_train momentum.yaml: the loss does not fall: $(cat trm_train.out)"

[ "$failures" -eq 0 ] && echo "models can be written"
