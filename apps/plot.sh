#!/bin/sh
# Learning curves of one or more runs, from their metrics.jsonl.
#
#   sh apps/plot.sh RUN...                        in the terminal
#   sh apps/plot.sh -o curves.png RUN...          as an image: .png or .svg
#   sh apps/plot.sh -m train/lm_loss -m all/lm_loss RUN...
#   sh apps/plot.sh -l RUN...                     the metrics that the runs have
#
# RUN is the folder of a run or its metrics.jsonl. Options: -m METRIC (may be repeated; default all/exact_accuracy
# and train/exact_accuracy), -x step|seconds (default step), -s N mean over N values, -y logarithmic, -o FILE, -l.
#
# shellcheck disable=SC2015,SC2020 # `a && b || die` is meant; tr swaps characters
set -eu

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

usage() {
    die "usage: ${0##*/} [-m METRIC]... [-x step|seconds] [-s N] [-y] [-o FILE.png|FILE.svg] [-l] RUN..."
}

metrics='' x=step smooth=1 output='' list='' logarithmic=''
while getopts m:x:s:o:yl option; do
    case $option in
    m) metrics="$metrics${metrics:+ }$OPTARG" ;;
    x) x=$OPTARG ;;
    s) smooth=$OPTARG ;;
    o) output=$OPTARG ;;
    y) logarithmic=1 ;;
    l) list=1 ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage
case $x in step | seconds) ;; *) die "-x $x: a curve goes over step or seconds" ;; esac
case $smooth in '' | *[!0-9]* | 0*) die "-s $smooth: expected a number from 1 on" ;; esac
case $output in '' | *.png | *.svg) ;; *) die "-o $output: expected FILE.png or FILE.svg" ;; esac
case $metrics in *[!A-Za-z0-9_/@\ -]*) die "-m $metrics: no metric is called so" ;; esac

metrics_file() {
    if [ -d "$1" ]; then
        printf '%s/metrics.jsonl' "$1"
    else
        printf '%s' "$1"
    fi
}

for run; do
    file=$(metrics_file "$run")
    [ -r "$file" ] && [ ! -d "$file" ] || die "$file: cannot be read"
    grep -q '^{"step":[0-9]' "$file" || die "$file: no line of metrics"
done

if [ "$list" ]; then
    for run; do
        tr ',{' '\n\n' <"$(metrics_file "$run")" | sed -n 's/^"\([^"]*\)":.*/\1/p'
    done | sort -u
    exit 0
fi

command -v gnuplot >/dev/null 2>&1 ||
    die "gnuplot draws the curves and is not installed: apt-get install gnuplot-nox (Debian), brew install gnuplot"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# points METRIC FILE: "x value" per line that has the metric, each value the mean of the last -s ones. The lines
# are flat objects of numbers, one per line.
points() {
    awk -v metric="$1" -v x="$x" -v smooth="$smooth" '
        function value_of(key,    at, rest) {
            at = index($0, "\"" key "\":")
            if (at == 0)
                return ""
            rest = substr($0, at + length(key) + 3)
            sub(/[,}].*/, "", rest)
            return rest == "null" ? "" : rest
        }
        {
            y = value_of(metric)
            count = value_of("train/count")
            # in training, a step in which no row halted says nothing about accuracy
            if (y == "" || (count == "0" && metric ~ /^train\/.*(accuracy|steps)$/))
                next
            slot = n % smooth
            sum += y - (n >= smooth ? kept[slot] : 0)
            kept[slot] = y
            n++
            printf "%s %.9g\n", value_of(x), sum / (n < smooth ? n : smooth)
        }' "$2"
}

# text TEXT: as a gnuplot string
text() {
    printf '"%s"' "$(printf '%s' "$1" | tr -d '\n' | sed 's/[\\"]/\\&/g')"
}

curves='' number=0
for metric in ${metrics:-all/exact_accuracy train/exact_accuracy}; do
    for run; do
        number=$((number + 1))
        points "$metric" "$(metrics_file "$run")" >"$work/$number"
        if [ ! -s "$work/$number" ]; then
            [ -z "$metrics" ] || die "$run: no metric $metric; -l lists those it has"
            continue
        fi
        # a metric of evaluations has few values, which are seen as points
        style=lines
        [ "$(wc -l <"$work/$number")" -gt 50 ] || style=linespoints
        label=$metric
        [ $# -eq 1 ] || label="$(basename "${run%/metrics.jsonl}") $metric"
        curves="$curves${curves:+, }$(text "$work/$number") with $style title $(text "$label")"
    done
done
[ "$curves" ] || die "$*: neither all/exact_accuracy nor train/exact_accuracy; -l lists the metrics, -m chooses"

{
    case $output in
    *.png) echo "set terminal pngcairo size 1000,600 noenhanced" ;;
    *.svg) echo "set terminal svg size 1000,600 noenhanced" ;;
    *) echo "set terminal dumb $(tput cols 2>/dev/null || echo 80) 24 noenhanced" ;;
    esac
    [ -z "$output" ] || echo "set output $(text "$work/curves")"
    [ -z "$logarithmic" ] || echo "set logscale y"
    echo "set key outside below"
    echo "set grid"
    echo "set xlabel \"$x\""
    echo "plot $curves"
} >"$work/commands"
gnuplot "$work/commands" 2>"$work/errors" || die "gnuplot: $(grep -v '^ *^*$' "$work/errors" | tail -n 1)"
[ -z "$output" ] || mv "$work/curves" "$output" 2>/dev/null || die "$output: cannot be written"
