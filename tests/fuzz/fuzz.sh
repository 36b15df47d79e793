#!/bin/sh
# Fuzzes the readers of files, for as long as one likes.
#
#   sh tests/fuzz/fuzz.sh [SECONDS] [NAME ...]       each fuzzer, or those named, for so many seconds (60)
#   sh tests/fuzz/fuzz.sh --planted [NAME ...]       proves that they find bugs: see below
#
# Prints a line for each: executions, executions a second, edges of the code that they reached, findings. What
# they learn is kept in build-fuzz/corpus, inputs that they fail on in build-fuzz/findings; one that shows a bug
# goes to seeds/NAME, under a name that says what it is, with the mend. The exit status is 1 after a finding.
set -u
cd "$(dirname "$0")/../.." || exit 1
. apps/setup.sh

fuzz_names() {
    ls tests/fuzz/seeds
}

# configure FOLDER: makes a build folder of the tree one stands in
configure() {
    [ -f "$1/build.ninja" ] || CC=${CC:-clang} quietly meson setup "$1" -Dwerror=true -Dfuzz=true \
        -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fno-sanitize-recover=all
}

# statistic NAME LOG
statistic() {
    sed -n "s/^stat::$1: *//p" "$2"
}

# ---- for as long as one likes -----------------------------------------------------------------------------

# fuzz NAME SECONDS
fuzz() {
    found=$build/findings/$1 log=$build/$1.log
    REEL_FUZZ_CORPUS=$build/corpus/$1 REEL_FUZZ_FINDINGS=$found sh tests/fuzz/fuzz_one.sh \
        "$build/tests/fuzz/fuzz_$1" tests/fuzz/seeds/"$1" -max_total_time="$2" >"$log" 2>&1 || failures=1
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    printf '%-12s %12s %8s %6s %9s\n' "$1" "$(statistic number_of_executed_units "$log")" \
        "$(statistic average_exec_per_sec "$log")" "${edges:--}" "$(find "$found" -type f | wc -l)"
}

fuzz_all() {
    build=build-fuzz failures=0
    { configure "$build" && quietly ninja -C "$build"; } || die "the fuzzers do not build"
    printf '%-12s %12s %8s %6s %9s\n' fuzzer executions exec/s edges findings
    for name; do
        fuzz "$name" "$seconds"
    done
    [ "$failures" -eq 0 ] || say "what they failed on is in $build/findings, how in $build/NAME.log"
    exit "$failures"
}

# ---- planted bugs -----------------------------------------------------------------------------------------

# Checks of the readers, each off by one or a little more: fuzzer, file, the check, what it becomes. They are
# planted in a copy of the tree, one after the other, and the fuzzer must fall.
planted_bugs() {
    cat <<'END'
archive data/pytorch.c|claimed->shape\[i\] - 1, claimed|claimed->shape[i] - 2, claimed
arc_tasks data/arc_tasks.c|columns > REEL_ARC_MAX_SIZE)|columns > REEL_ARC_MAX_SIZE + 1)
arc_vote data/arc_vote_state.c|size - sizeof \*r < cells|size - sizeof *r + 1 < cells
checkpoint apps/model_file.c|needed <= file->elements|needed <= INT64_MAX
config apps/config_value.c|length >= CONFIG_QUOTE_BYTES|length > CONFIG_QUOTE_BYTES
csv data/csv.c|csv->fields == MAX_FIELDS|csv->fields > MAX_FIELDS
folder data/puzzle_folder.c|puzzle_identifiers\[i\] >= end|puzzle_identifiers[i] > end
gemm_choices ops/gemm_choices.c|strcmp(again, r->line) == 0|strcmp(again, r->line) <= 0
npy data/npy.c|length > mapped->size - begin|length > mapped->size - begin + 1
pickle data/pickle_machine.c|count > (uint64_t)(m->end - m->at)|count > (uint64_t)(m->end - m->at) + 1
puzzle apps/solve_puzzle.c|count < REEL_SUDOKU_MAX_CELLS|count <= REEL_SUDOKU_MAX_CELLS
safetensors data/safetensors.c|length > file->mapped.size - REEL__LENGTH_BYTES|length > file->mapped.size
state apps/run_state.c|r->step < 1 |r->step < 0 
END
}

# plant NAME FILE CHECK BUG, in the copy
plant() {
    enough_runs=5000000
    cp "$2" "$2.whole"
    sed "s/$3/$4/" "$2.whole" >"$2"
    cmp -s "$2" "$2.whole" && die "$2 has no '$3' any more"
    { configure build && quietly ninja -C build tests/fuzz/fuzz_"$1"; } || die "$2 does not build with '$4'"
    if sh tests/fuzz/fuzz_one.sh build/tests/fuzz/fuzz_"$1" tests/fuzz/seeds/"$1" -runs="$enough_runs" -seed=1 \
        >log 2>&1; then
        failures=1 why='NOT FOUND'
    else
        why=$(grep -m 1 -o -E 'broken promise: .*|runtime error: .*|ERROR: .*' log | cut -c -60)
    fi
    printf '%-12s %12s  %s: %s\n' "$1" "$(statistic number_of_executed_units log)" "$2" "$why"
    mv "$2.whole" "$2"
}

plant_all() {
    failures=0
    copy=$(mktemp -d) || exit 1
    trap 'rm -rf "$copy"' EXIT
    cp -r meson.build meson_options.txt tensor autograd ops optim models data apps tests benchmarks "$copy" &&
        cd "$copy" || exit 1
    planted_bugs >bugs
    printf '%-12s %12s  %s\n' fuzzer executions 'found in'
    for name; do
        while IFS='|' read -r where check bug; do
            [ "${where% *}" != "$name" ] || plant "$name" "${where#* }" "$check" "$bug"
        done <bugs
    done
    exit "$failures"
}

seconds=60 action=fuzz_all
case ${1:-} in
--planted)
    action=plant_all
    shift
    ;;
[0-9]*)
    seconds=$1
    shift
    ;;
esac
# shellcheck disable=SC2086,SC2154 # lists of names
need_packages $build_packages clang libclang-rt-dev libomp-dev
# shellcheck disable=SC2046 # a list of names
[ $# -gt 0 ] || set -- $(fuzz_names)
for name; do
    [ -d "tests/fuzz/seeds/$name" ] || die "there is no fuzzer '$name'; there are: $(fuzz_names | tr '\n' ' ')"
done
"$action" "$@"
