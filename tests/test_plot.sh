#!/bin/sh
# apps/plot.sh: curves of runs in the terminal and as images, and one line for what cannot be drawn.
#
#   sh tests/test_plot.sh PATH/TO/plot.sh
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1")
enter_empty_folder

plot() {
    sh "$program" "$@" >out 2>err
    status=$?
}

# refused WORDS ARGUMENTS...: exit 1 and one line with WORDS in it
refused() {
    words=$1
    shift
    plot "$@"
    [ $status -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] && grep -qF -- "$words" err ||
        fail "plot.sh $*: exit $status: $(cat err)"
}

mkdir 'a run' other empty
i=0
while [ $i -lt 60 ]; do
    i=$((i + 1))
    echo "{\"step\":$i,\"train/count\":$((i % 2)),\"train/exact_accuracy\":0.$i,\"train/lm_loss\":$((80 - i)),\"seconds\":$i.5}"
    [ $((i % 20)) -ne 0 ] || echo "{\"step\":$i,\"all/exact_accuracy\":0.$i,\"all/lm_loss\":null}"
done >'a run/metrics.jsonl'
sed 's/0\.\([0-9]\)/0.0\1/g' 'a run/metrics.jsonl' >other/metrics.jsonl
: >empty/metrics.jsonl

plot -l 'a run'
[ $status -eq 0 ] && grep -qx 'all/exact_accuracy' out && grep -qx seconds out || fail "-l: $(cat out err)"

refused "missing" missing
refused "empty/metrics.jsonl: no line of metrics" empty
refused "usage"
refused "-x days" -x days 'a run'
refused "-s 0" -s 0 'a run'
refused "expected FILE.png or FILE.svg" -o curves.pdf 'a run'
# shellcheck disable=SC2016 # nothing is to be expanded
refused 'no metric is called so' -m '"; system("touch hacked") #' 'a run'
mkdir bin
for tool in sh grep; do
    ln -s "$(command -v $tool)" bin/
done
PATH=$work/bin sh "$program" 'a run' >out 2>err
[ $? -eq 1 ] && grep -q 'apt-get install gnuplot-nox' err || fail "without gnuplot: $(cat err)"

if ! command -v gnuplot >/dev/null 2>&1; then
    echo "gnuplot is not installed: drawing is not tested"
    [ $failures -eq 0 ] && exit 77
    exit 1
fi

refused "no metric nothing" -m nothing 'a run'
refused "no metric all/lm_loss" -m all/lm_loss 'a run' # nothing but null
plot 'a run'
[ $status -eq 0 ] && grep -q 'train/exact_accuracy' out && grep -q '\*\*\*' out || fail "terminal: $(cat out err)"
plot -o curves.png -m train/lm_loss -s 5 -y 'a run' other
[ $status -eq 0 ] && [ "$(head -c 4 curves.png | tail -c 3)" = PNG ] || fail "PNG: $(cat err)"
plot -o 'my curves.svg' -x seconds -m train/lm_loss 'a run/metrics.jsonl' other
[ $status -eq 0 ] && grep -q '<svg' 'my curves.svg' && grep -q 'other train/lm_loss' 'my curves.svg' ||
    fail "SVG: $(cat err)"
refused "cannot be written" -o missing/curves.png 'a run'
[ ! -e hacked ] || fail "a metric's name reaches the shell"

[ $failures -eq 0 ] && echo "plot.sh draws what it should"
[ $failures -eq 0 ]
