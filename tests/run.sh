#!/bin/sh
# Builds and runs every test, and installs the Debian packages for it that are missing.
#
#   sh tests/run.sh
#
# Five builds, all with -Werror: gcc, which is what users run; gcc with AddressSanitizer, LeakSanitizer and
# UndefinedBehaviorSanitizer and a simulated GPU, so that CUDA kernels run without one; clang; clang with libFuzzer,
# for a short run of each fuzzer (tests/fuzz/fuzz.sh does long ones); and clang with ThreadSanitizer, for the tests
# that have threads. Then the formatting. The exit status says whether anything failed, and the last line is
# "N passed, N failed, N skipped" over all of them.
#
# REEL_GOLDEN=DIR names a folder of recorded trajectories for test_golden; ../shared/golden is taken where it
# exists. Without, that test is skipped.
set -u
cd "$(dirname "$0")/.." || exit 1
. apps/setup.sh

# Sanitizers and busy machines are slow.
timeout_multiplier=10

passed=0 failed=0 skipped=0
only= # tests; empty: all

count() {
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# Adds up a log of Meson's, one JSON object per test program: what Check counted in it, or the program itself
# where it does not use Check. A program that fails though all its checks pass (a leak, a crash) has failed.
count_log() {
    awk '
        match($0, /"result": "[A-Z]+"/) {
            result = substr($0, RSTART + 11, RLENGTH - 12)
            checks = bad = 0
            rest = $0
            while (match(rest, /Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+/)) {
                split(substr(rest, RSTART, RLENGTH), part, /[^0-9]+/)
                checks += part[2]
                bad += part[3] + part[4]
                rest = substr(rest, RSTART + RLENGTH)
            }
            if (result == "SKIP")
                skipped++
            else if (result == "OK" || result == "EXPECTEDFAIL")
                passed += checks ? checks : 1
            else {
                failed += bad ? bad : 1
                passed += checks - bad
            }
        }
        END { print passed + 0, failed + 0, skipped + 0 }' "$1"
}

# The tests that have threads to watch. ThreadSanitizer is clang's, since gcc's reports OpenMP falsely, and the
# build goes without oneDNN, whose locks it cannot see; nothing is suppressed.
thread_tests='two_contexts tensor tape batch_worker'

# With the folder and compiler of build_and_test; of the tests, those in $only or all.
build() {
    if [ -f "$folder/build.ninja" ]; then
        quietly meson configure "$folder" "$@"
    else
        quietly env CC="$compiler" meson setup "$folder" -Dwerror=true -Dtests=enabled "$@"
    fi || return
    # shellcheck disable=SC2046,SC2086 # lists of names
    quietly ninja -C "$folder" ${only:+$(printf 'tests/test_%s ' $only)}
}

# build_and_test FOLDER COMPILER [Meson option ...]
build_and_test() {
    folder=$1 compiler=$2
    shift 2
    say "== $folder: $compiler $*"
    if ! build "$@"; then
        say "$folder: the build failed"
        count 0 1 0
        return
    fi
    log=$folder/meson-logs/testlog.json
    rm -f "$log"
    # shellcheck disable=SC2086 # a list of names
    meson test -C "$folder" --no-rebuild --print-errorlogs --timeout-multiplier "$timeout_multiplier" $only
    if [ -f "$log" ]; then
        # shellcheck disable=SC2046 # three numbers
        count $(count_log "$log")
    else
        say "$folder: the tests did not run"
        count 0 1 0
    fi
}

# The formatting is that of one version of clang-format; others would differ.
check_format() {
    say "== clang-format"
    case $(clang-format --version 2>/dev/null) in
    *'version 14.'*) ;;
    *)
        say "skipped: no clang-format 14"
        count 0 0 1
        return
        ;;
    esac
    if find tensor autograd ops optim models data apps tests benchmarks \( -name '*.[ch]' -o -name '*.cu' -o \
        -name '*.cuh' \) -exec clang-format --style=file --dry-run -Werror {} +; then
        count 1 0 0
    else
        count 0 1 0
    fi
}

test_packages='check clang g++ libclang-rt-dev libomp-dev clang-format gnuplot-nox doxygen'
# shellcheck disable=SC2086 # lists of names
need_packages $build_packages $test_packages
# shellcheck disable=SC2086
want_packages $speed_packages

if [ -z "${REEL_GOLDEN:-}" ] && [ -d ../shared/golden ]; then
    REEL_GOLDEN=$(cd ../shared/golden && pwd)
    export REEL_GOLDEN
fi

build_and_test build-test-gcc gcc -Dcuda=disabled
build_and_test build-test-sanitize gcc -Db_sanitize=address,undefined -Dc_args=-fno-sanitize-recover=all \
    -Dcuda=simulated -Dcpp_args=-fno-sanitize-recover=all
build_and_test build-test-clang clang -Dcuda=disabled
build_and_test build-test-fuzz clang -Dcuda=disabled -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
    -Dc_args=-fno-sanitize-recover=all
only=$thread_tests
build_and_test build-test-threads clang -Dcuda=disabled -Db_sanitize=thread -Db_lundef=false -Donednn=disabled
check_format

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
