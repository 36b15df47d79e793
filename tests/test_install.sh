#!/bin/sh
# Installs the build below an empty folder and looks at it as a user does: which files are there, what the shared
# library exports, whether programs run from there, whether each header compiles alone as C and as C++, whether a
# program builds with what pkg-config says and nothing else, and what is left after uninstalling.
#
#   sh tests/test_install.sh SOURCE_ROOT BUILD_ROOT SANITIZERS COMPILER...
#
# SANITIZERS are those of the build, or none. $prefix, $bindir, $includedir, $libdir, $datadir and $mandir say
# where it is to be installed, all absolute.
#
# shellcheck disable=SC2015,SC2154 # `a && b || fail` is meant; the environment has the folders
set -u
. "$(dirname "$0")/shell.sh"
source_root=$(absolute "$1") build_root=$(absolute "$2") sanitizers=$3
shift 3 # what is left is the compiler
programs='trm_convert trm_data trm_eval trm_solve trm_train'

skip_without meson ninja pkg-config nm readelf
install_to_stage

# ---- files ---------------------------------------------------------------------------------------------------
headers=$(find "$source_root"/*/reel -name '*.h' | sed 's|.*/||' | sort)
soname=$(readelf -d "$stage$libdir/libreel.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
version=$("$stage$bindir/trm_train" --version | sed 's/.* //')
{
    for program in $programs; do
        echo "$bindir/$program"
        echo "$mandir/man1/$program.1"
    done
    echo "$bindir/trm_plot"
    for header in $headers; do echo "$includedir/reel/$header"; done
    for library in libreel.a libreel.so "$soname" "libreel.so.$version"; do echo "$libdir/$library"; done
    echo "$libdir/pkgconfig/reel.pc"
    for text in CHANGELOG.md LICENSE README.md THIRD_PARTY.md; do echo "$datadir/doc/reel/$text"; done
    for config in "$source_root"/apps/configs/*; do echo "$datadir/reel/configs/${config##*/}"; done
} | sort >expected
(cd "$stage" && find . ! -type d | sed 's|^\.||' | sort) >installed
diff expected installed >out || fail "the files that are installed (>) are not those that should be (<): $(cat out)"

echo '#include <reel/reel.h>' | "$@" -M -I"$stage$includedir" -x c - >included
for header in $headers; do
    grep -q "/reel/$header" included || fail "<reel/reel.h> does not include <reel/$header>"
done

# ---- the shared library --------------------------------------------------------------------------------------
case $version in
0.*.*) expected_soname=libreel.so.${version%.*} ;;
*) expected_soname=libreel.so.${version%%.*} ;;
esac
[ "$soname" = "$expected_soname" ] || fail "version $version has soname $soname, not $expected_soname"
! readelf -d "$stage$libdir/libreel.so" "$stage$bindir/trm_train" | grep -e 'NEEDED.*libreel' -e "PATH.*$build_root" \
    -e 'PATH.*ORIGIN' || fail "a program needs libreel.so, or something a folder of the build"

# What the headers declare with REEL_API, and that alone, is exported; and they declare no function without.
for header in $headers; do echo "#include <reel/$header>"; done |
    "$@" -E -P -I"$stage$includedir" -x c - | tr '\n' ' ' | tr ';' '\n' |
    sed -n 's/.*visibility("default"))) *//p' | sed 's/^[^([]*[ *]\(reel_[A-Za-z0-9_]*\).*/\1/' | sort >declared
[ "$(wc -l <declared)" -gt 200 ] || fail "found $(wc -l <declared) declarations in the headers, which have more"
# global_symbols NM_OPTION... FILE: less the notes of AddressSanitizer
global_symbols() {
    nm -g --defined-only "$@" | sed -n 's/^[0-9a-f]* [A-Z] //p' | grep -v '^__odr_asan\.' | sort
}
global_symbols -D "$stage$libdir/libreel.so" >exported
diff declared exported >out || fail "exported (>) is not what the headers declare (<): $(cat out)"
grep -E '^[a-z][a-z0-9_ ]*[ *]reel_[A-Za-z0-9_]*\(' "$stage$includedir"/reel/*.h |
    grep -vE '\.h:(typedef|static inline|template) ' >out
[ ! -s out ] || fail "without REEL_API: $(cat out)"
# The static one hides nothing, so what it defines must not be in anybody's way; the kernels of a GPU are C++, and
# the names of such begin with _Z.
global_symbols "$stage$libdir/libreel.a" | grep -v -e '^reel_' -e '^_Z' >out
[ ! -s out ] || fail "the static library defines $(cat out)"

# ---- programs, configurations, manuals ---------------------------------------------------------------------
"$stage$bindir/trm_train" "$stage$datadir/reel/configs/quickstart.yaml" max_steps=0 run_dir=run demo=False \
    data_paths='[sudoku:4:8]' data_paths_test='[sudoku:4:2]' global_batch_size=4 >out 2>&1 ||
    fail "trm_train does not run from where it is installed: $(cat out)"
"$stage$bindir/trm_plot" 2>&1 | grep -q '^trm_plot: usage: trm_plot ' || fail "trm_plot does not say how it is used"
for program in $programs; do
    page=$stage$mandir/man1/$program.1
    commands=
    [ "$program" != trm_data ] || commands='sudoku maze arc generate show weights'
    for command in '' $commands; do
        # shellcheck disable=SC2086 # none or one
        "$stage$bindir/$program" $command --help
    done | sed 's/^Usage: *//; s/^  or: *//; s/ *$//' | sort -u >help
    sed 's/\\-/-/g; s/^\\&//; s/\\e/\\/g; s/^Usage: *//' "$page" | sort -u >manual
    comm -23 help manual >out
    [ ! -s out ] || fail "the manual of $program does not say: $(cat out)"
    ! have groff || groff -man -ww -z "$page" >out 2>&1 && [ ! -s out ] || fail "$program.1: $(cat out)"
done

# ---- each header alone ---------------------------------------------------------------------------------------
mkdir alone
for header in $headers; do echo "#include <reel/$header>" | tee "alone/${header%.h}.c" >"alone/${header%.h}.cc"; done
for compiler in 'gcc -std=c17' 'clang -std=c17' 'g++ -std=c++11' 'clang++ -std=c++20'; do
    have "${compiler%% *}" || { echo "headers are not tried with $compiler, which is missing" && continue; }
    case $compiler in *++*) ending=cc ;; *) ending=c ;; esac
    $compiler -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$stage$includedir" alone/*.$ending >out 2>&1 ||
        fail "$compiler: $(cat out)"
done

# ---- a program of one's own --------------------------------------------------------------------------------
# The compiler of C++ that goes with the build's: g++-12 with gcc-12.
for word; do last=$word; done
case $last in
*clang*) cxx=$(echo "$last" | sed 's/\(.*\)clang/\1clang++/') ;;
*gcc*) cxx=$(echo "$last" | sed 's/\(.*\)gcc/\1g++/') ;;
*) cxx=c++ ;;
esac
have "$cxx" || { echo "C++ is not tried: there is no $cxx" && cxx=; }

cp "$source_root/tests/test_install_program.c" program.c
cp program.c program.cc
options='-Wall -Wextra -Wpedantic -Werror'
[ "$sanitizers" = none ] || options="$options -fsanitize=$sanitizers"

# asks PKG_CONFIG_OPTION...: pkg-config of what is installed below $root
asks() {
    PKG_CONFIG_PATH=$root$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root pkg-config "$@" reel
}

# build_and_run COUNT SOURCE COMPILER...: with $flags; the program must need COUNT shared libraries of Reel's
build_and_run() {
    count=$1 source=$2
    shift 2
    # shellcheck disable=SC2086 # words are meant
    "$@" $options "$source" $flags -o program >out 2>&1 || {
        fail "$* $source $flags: $(cat out)"
        return
    }
    LD_LIBRARY_PATH=$root$libdir ./program >out 2>&1 || fail "$source by $* with $flags: exits with $?: $(cat out)"
    [ "$(readelf -d program | grep -c 'NEEDED.*\[libreel\.so')" -eq "$count" ] ||
        fail "$source by $* with $flags: links the other libreel"
}

root=$stage
flags=$(asks --cflags --libs) || fail "pkg-config knows no reel"
build_and_run 1 program.c "$@"
[ -z "$cxx" ] || build_and_run 1 program.cc "$cxx"

# The static library is taken where there is no other.
root=$work/static
mkdir -p "$root$libdir" "$root$includedir"
cp -r "$stage$libdir/." "$root$libdir"
cp -r "$stage$includedir/." "$root$includedir"
rm "$root$libdir"/libreel.so*
flags=$(asks --static --cflags --libs) || fail "pkg-config --static knows no reel"
echo 'int main(void) { return 0; }' >empty.c
# shellcheck disable=SC2046 # words are meant
if "$@" empty.c $(pkg-config --static --libs $(asks --print-requires-private | sed 's/ .*//')) -o empty >out 2>&1; then
    build_and_run 0 program.c "$@"
    [ -z "$cxx" ] || build_and_run 0 program.cc "$cxx"
else
    echo "the static library is not tried: $(grep -m 1 'cannot find' out)"
fi

# ---- and away again ------------------------------------------------------------------------------------------
ninja -C "$build_root" uninstall >out 2>&1 || fail "uninstalling: $(cat out)"
[ ! -e "$stage" ] || fail "uninstalling leaves: $(find "$stage")"

[ "$failures" -eq 0 ] && echo "installed, used and gone"
