#!/bin/sh
# The house has one way down (DESIGN): each folder uses those before it. This test takes the include paths that
# each folder is really compiled with and looks through them for every header of every folder: those before
# must be there, those after must not.
#
#   test_layers.sh SOURCE_ROOT BUILD_ROOT COMPILER...
set -u
source_root=$1 build_root=$2
shift 2 # what is left is the compiler

folders='tensor autograd ops optim models data apps'
# What each folder may include, itself among them. data stands beside the mathematics, on tensor alone.
allowed_in() {
    case $1 in
    tensor) echo tensor ;;
    autograd) echo tensor autograd ;;
    ops) echo tensor autograd ops ;;
    optim) echo tensor autograd ops optim ;;
    models) echo tensor autograd ops optim models ;;
    data) echo tensor data ;;
    apps) echo "$folders" ;;
    esac
}

cd "$source_root" || exit 1
failures=0
wrong() {
    echo "$*"
    failures=$((failures + 1))
}

# The -I options of the folder's own sources, as one line.
include_paths() {
    grep '"command"' "$build_root/compile_commands.json" | grep "[ /]$1/[a-z0-9_]*\.c\"" | head -n 1 |
        tr -d '"\\' | tr ' ' '\n' | grep '^-I' | tr '\n' ' '
}

# The names a header is included by.
headers_of() {
    for header in "$1"/*.h; do
        [ -f "$header" ] && echo "\"$(basename "$header")\""
    done
    for header in "$1"/reel/*.h; do
        [ -f "$header" ] && echo "<reel/$(basename "$header")>"
    done
}

# look COMPILER OPTIONS...: for each header named on standard input a line "1 header" or "0 header": found or not
look() {
    while read -r header; do
        printf '#if __has_include(%s)\nat 1 %s\n#else\nat 0 %s\n#endif\n' "$header" "$header" "$header"
    done | "$@" -E -P -x c - | sed -n 's/^at \([01]\) /\1 /p' | tr -d ' ' | sed 's/^[01]/& /'
}

check_includes() {
    for folder in $folders; do
        paths=$(include_paths "$folder")
        [ -n "$paths" ] || wrong "$folder: not found in compile_commands.json"
        for other in $folders; do
            case " $(allowed_in "$folder") " in
            *" $other "*) expected=1 verb='cannot include' ;;
            *) expected=0 verb='can include, though it lies above,' ;;
            esac
            # shellcheck disable=SC2086 # options
            answers=$(headers_of "$other" | (cd "$build_root" && look "$@" $paths))
            [ -n "$answers" ] || wrong "$other: no headers"
            for header in $(echo "$answers" | grep -v "^$expected " | cut -d ' ' -f 2); do
                wrong "$folder $verb $header"
            done
        done
    done
}

# Models are written with the public headers and the standard library alone.
check_models() {
    for file in models/*.c models/reel/*.h; do
        others=$(sed -n 's/^ *# *include *//p' "$file" | grep -v '^<reel/')
        for header in $(echo "$others" | grep . | look "$@" | grep '^0' | cut -d ' ' -f 2); do
            wrong "$file includes $header, which is neither public nor standard"
        done
    done
    lines=$(wc -l <models/trm.c)
    [ "$lines" -lt 400 ] || wrong "models/trm.c has $lines lines; 400 are too many"
}

check_names() {
    # shellcheck disable=SC2086 # a list
    twice=$(find $folders tests benchmarks -type f ! -name meson.build ! -name README.md | sed 's|.*/||' | sort | uniq -d)
    [ -z "$twice" ] || wrong "more than one file is called:" $twice
}

# only_in PATTERN 'FILE ...': no other source file contains it
only_in() {
    # shellcheck disable=SC2086 # a list
    for file in $(grep -rlE --include='*.[ch]' "$1" $folders benchmarks); do
        case " $2 " in
        *" $file "*) ;;
        *) wrong "$file mentions $1, which is for ${2:-nobody}" ;;
        esac
    done
}

check_includes "$@"
check_models "$@"
check_names
only_in 'pthread_create' 'tensor/parallel.c apps/batch_worker.c'
only_in 'omp\.h' ops/blas.c # where oneDNN's threads are switched off
only_in 'omp +parallel' ''

[ "$failures" -eq 0 ] && echo "the house stands"
