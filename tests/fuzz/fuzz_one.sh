#!/bin/sh
# Runs one fuzzer on top of its seeds, with the limits that all of them keep: memory far below what a hostile
# header can claim, so that a reader that believes one is caught, and five seconds for a few kilobytes.
#
#   sh tests/fuzz/fuzz_one.sh FUZZER SEEDS [libFuzzer option ...]
#
# What the fuzzer finds worth keeping goes to $REEL_FUZZ_CORPUS, where that is set, and dies with the run else;
# inputs that it fails on go to $REEL_FUZZ_FINDINGS, or show on standard error.
set -u
fuzzer=$1 seeds=$2
shift 2

# Scratch files in memory.
[ -n "${TMPDIR:-}" ] || ! [ -w /dev/shm ] || TMPDIR=/dev/shm
work=$(mktemp -d "${TMPDIR:-/tmp}/reel-fuzz-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work"

corpus=${REEL_FUZZ_CORPUS:-$work/corpus}
findings=${REEL_FUZZ_FINDINGS:-$work/findings}
mkdir -p "$corpus" "$findings" "$work/seeds" || exit 1
# In the order of their names: libFuzzer takes them as the file system lists them.
for seed in "$seeds"/*; do
    cp "$seed" "$work/seeds"
done

dictionary=$seeds/../../$(basename "$seeds").dict
[ ! -f "$dictionary" ] || set -- -dict="$dictionary" "$@"

# Freed memory is held back only so far, or the quarantine would be what the limit measures.
export ASAN_OPTIONS="quarantine_size_mb=16:detect_leaks=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
export OPENBLAS_NUM_THREADS=1
# Addresses are among the numbers that libFuzzer learns from: with the same ones, and without a look at the corpus
# every second, a seed gives the same run.
steady=
! setarch -R true 2>/dev/null || steady='setarch -R'
$steady "$fuzzer" -reload=0 -max_len=8192 -timeout=5 -malloc_limit_mb=32 -rss_limit_mb=512 -print_final_stats=1 \
    -artifact_prefix="$findings/" "$@" "$corpus" "$work/seeds"
