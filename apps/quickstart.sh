#!/bin/sh
# Watch a recursive network learn Sudoku from nothing, in a minute or two on two CPU cores.
#
#   sh apps/quickstart.sh [key=value ...]      e.g. sh apps/quickstart.sh seed=1 arch.hidden_size=128
#
# Installs the Debian packages that are missing, builds Reel into build/, trains apps/configs/quickstart.yaml
# and ends with a puzzle solved board by board. The run goes to the first free runs/quickstart-N.
set -eu
cd "$(dirname "$0")/.."
. apps/setup.sh

# shellcheck disable=SC2086 # lists of names
need_packages $build_packages
# shellcheck disable=SC2086
want_packages $speed_packages

say "Building into build/"
# shellcheck disable=SC2046 # one option or none
[ -f build/build.ninja ] || quietly meson setup build $(gpu_options) ||
    die "Meson could not set up build/: see above"
quietly ninja -C build apps/trm_train || die "The build failed: see above (and if build/ is old, remove it)"

n=1
while [ -e "runs/quickstart-$n" ]; do
    n=$((n + 1))
done
say "Training: build/apps/trm_train apps/configs/quickstart.yaml run_dir=runs/quickstart-$n $*"
exec build/apps/trm_train apps/configs/quickstart.yaml "run_dir=runs/quickstart-$n" "$@"
