#!/bin/sh
# Measures Reel against PyTorch, eager and compiled, in turns on this machine.
#
#   sh benchmarks/against_pytorch.sh [--quick] [--rounds N] [--sizes NAME ...] [--threads N] [--device cpu|cuda]
#   PYTHON=python3 sh benchmarks/against_pytorch.sh      where PyTorch is installed and nothing is fetched
#
# Builds bench_step into build/ (BUILD=DIR names another place), makes a Python environment with PyTorch in
# .venv-pytorch/ unless PYTHON names an interpreter that has it, prints tables of medians, ratios, shares of
# the measured GEMM roof and peak memory, and keeps them in benchmarks/results/. A full run takes about an hour
# on two cores; nothing else should run meanwhile.
set -eu
cd "$(dirname "$0")/.."
. apps/setup.sh

build=${BUILD:-build}
environment=.venv-pytorch

build_ours() {
    if [ ! -f "$build/build.ninja" ]; then
        # shellcheck disable=SC2086 # lists of names
        need_packages $build_packages
        # shellcheck disable=SC2086
        want_packages $speed_packages
        # shellcheck disable=SC2046
        quietly meson setup "$build" $(gpu_options) || die "Meson could not set up $build/: see above"
    fi
    quietly ninja -C "$build" benchmarks/bench_step || die "The build failed: see above"
}

has_pytorch() {
    "$1" -c 'import torch' >/dev/null 2>&1
}

make_environment() {
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || need_packages python3 python3-venv
    want_packages g++ python3-dev # torch.compile makes and compiles C++
    say "Installing PyTorch into $environment/"
    quietly python3 -m venv "$environment" || die "Python could not make $environment/: see above"
    quietly "$environment/bin/pip" install torch numpy ||
        die "pip could not install PyTorch: see above. PYTHON= names a Python that has it"
}

# Sets PYTHON to an interpreter that has PyTorch.
find_python() {
    if [ "${PYTHON:-}" ]; then
        has_pytorch "$PYTHON" || die "PYTHON=$PYTHON cannot import torch"
        return
    fi
    PYTHON=$environment/bin/python
    has_pytorch "$PYTHON" || make_environment
}

case " $* " in
*' -h '* | *' --help '*) exec "${PYTHON:-python3}" benchmarks/against_pytorch.py --help ;;
esac
say "Building bench_step in $build/"
build_ours
find_python
exec "$PYTHON" benchmarks/against_pytorch.py --bench-step "$build/benchmarks/bench_step" "$@"
