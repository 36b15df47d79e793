#!/bin/sh
# Builds Reel with CUDA and proves it on the GPU of this machine.
#
#   sh tests/gpu.sh
#
# On the GPU: every op against its case, attention around the sizes of its tiles, random numbers, training beside the
# CPU with 200 steps of its loss curve and the same bits in two runs, and the golden trajectories in f64, f32 and bf16,
# where REEL_GOLDEN or ../shared/golden has them. Then memcheck, racecheck, initcheck and synccheck of NVIDIA's
# compute-sanitizer, where it is on the PATH, over some ops and a short training. Nothing is installed or fetched.
#
# The last line is "N passed, N failed, N skipped". The exit status is 0, 1 where anything failed, and 77 where there
# is no GPU. REEL_GPU=simulated has the simulator take the GPU's place, to try this script.
set -u
cd "$(dirname "$0")/.." || exit 1
. apps/setup.sh

kind=${REEL_GPU:-enabled}
folder=build-gpu-$kind
programs='tests/test_ops tests/test_device tests/test_device_values tests/test_replay tests/test_attention_tiles tests/test_random_cuda
    tests/test_golden'
# One at least for each file of kernels.
sanitized_ops='exp add div where matmul linear sum max softmax rms_norm layer_norm swiglu_linear rotary dropout
    scaled_dot_product_attention embedding gather scatter_add stablemax_cross_entropy cast concat'
export REEL_TEST_DEVICE=cuda

passed=0 failed=0 skipped=0

finish() {
    say "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ] || exit 1
    exit "${1:-0}"
}

build() {
    if [ ! -f "$folder/build.ninja" ]; then
        # shellcheck disable=SC2046 # the kind comes last and counts
        quietly meson setup "$folder" $(gpu_options) -Dcuda="$kind" -Dwerror=true -Dtests=enabled || return
    fi
    # shellcheck disable=SC2086 # a list of names
    quietly ninja -C "$folder" $programs
}

# What a test printed: how many of its checks, or of its trajectories, passed and failed.
count_output() {
    awk '
        /Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+/ {
            n = split($0, part, /[^0-9]+/)
            bad += part[n] + part[n - 1]
            good += part[n - 2] - part[n - 1] - part[n]
        }
        /; ok$/ { good++ }
        /; FAIL$/ { bad++ }
        END { print good + 0, bad + 0 }' "$1"
}

# check TITLE command ...: one that exits with 77 is skipped, and one that fails though its checks pass has failed.
check() {
    title=$1
    shift
    status=0
    "$@" >"$folder/output" 2>&1 || status=$?
    if [ "$status" -eq 77 ]; then
        say "$title: skipped: $(tail -n 1 "$folder/output" | sed 's/^skipped: //')"
        skipped=$((skipped + 1))
        return
    fi
    # shellcheck disable=SC2046 # two numbers
    set -- $(count_output "$folder/output")
    [ $(($1 + $2)) -gt 0 ] || [ "$status" -ne 0 ] || set -- 1 0
    [ "$status" -eq 0 ] || [ "$2" -gt 0 ] || set -- "$1" 1
    say "$title: $1 passed, $2 failed"
    [ "$2" -eq 0 ] || tail -n 50 "$folder/output"
    passed=$((passed + $1)) failed=$((failed + $2))
}

# A tool of compute-sanitizer over a reduced set; its errors make the program exit with 1.
# CK_RUN_CASE is Check's: the case of six steps alone.
sanitize() {
    # shellcheck disable=SC2086 # a list of names
    check "$1, ops" compute-sanitizer --tool "$1" --error-exitcode 1 "$folder/tests/test_ops" $sanitized_ops
    check "$1, attention" compute-sanitizer --tool "$1" --error-exitcode 1 "$folder/tests/test_attention_tiles"
    check "$1, copies and optimizers" compute-sanitizer --tool "$1" --error-exitcode 1 \
        "$folder/tests/test_device_values"
    check "$1, training" env CK_RUN_CASE=training \
        compute-sanitizer --tool "$1" --error-exitcode 1 "$folder/tests/test_device"
}

if [ "$kind" != simulated ] && ! there_is_gpu; then
    say "skipped: this machine shows no NVIDIA GPU"
    skipped=1
    finish 77
fi

if [ -z "${REEL_GOLDEN:-}" ] && [ -d ../shared/golden ]; then
    REEL_GOLDEN=$(cd ../shared/golden && pwd)
    export REEL_GOLDEN
fi

say "Building $folder"
if ! build; then
    say "the build failed"
    failed=1
    finish
fi
check 'random numbers' "$folder/tests/test_random_cuda"
check 'ops' "$folder/tests/test_ops"
check 'attention tiles' "$folder/tests/test_attention_tiles"
check 'copies and optimizers' "$folder/tests/test_device_values"
check 'training' "$folder/tests/test_device"
check 'replay' "$folder/tests/test_replay"
check 'golden trajectories' "$folder/tests/test_golden"
if have compute-sanitizer; then
    for tool in memcheck racecheck initcheck synccheck; do
        sanitize "$tool"
    done
else
    say 'skipped: no compute-sanitizer on the PATH'
    skipped=$((skipped + 1))
fi
finish
