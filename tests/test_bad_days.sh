#!/bin/sh
# What a training does when the world around it fails: a full disk, a folder that may not be written to, files and
# folders that vanish while it runs, a terminal that goes away. Each ends as said here, and what was learned and
# could be saved is in the run's folder, whole. (Signals from a keyboard: test_train.sh.)
#
#   sh tests/test_bad_days.sh PATH/TO/trm_train PATH/TO/trm_data PATH/TO/trm_eval
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1")
builder=$(absolute "$2")
evaluator=$(absolute "$3")
enter_empty_folder

{
    echo 'data_paths: [data]'
    echo 'data_paths_test: [data]'
    echo 'eval_interval: 200'
    learns_in_seconds
    echo 'epochs: 1000000'
} | sed -e '/^epochs: 400$/d' -e 's/^eval_interval: 200$/eval_interval: 1000000/' >long.yaml
"$builder" generate sudoku --size 4 --count 20 --test-count 8 --output-dir data >made 2>&1 || {
    echo "FAIL: no data: $(cat made)"
    exit 1
}
cp -r data kept

# begin DIR [key=value ...]: a training that does not end by itself, in the background, after its first steps
begin() {
    folder=$1
    shift
    "$program" long.yaml "run_dir=$folder" "$@" >"$folder.out" 2>"$folder.err" &
    process=$!
    wait_for_steps "$folder/metrics.jsonl" 3
}

# wait_for_steps FILE COUNT: as many lines in FILE
wait_for_steps() {
    tries=0
    until [ "$(grep -c step "$1" 2>/dev/null)" -ge "$2" ] 2>/dev/null || [ $tries -ge 600 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}

# end: waits for the training, at most a minute; its exit status in $status
end() {
    tries=0
    while kill -0 "$process" 2>/dev/null && [ $tries -lt 600 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -KILL "$process" 2>/dev/null && fail "$folder: it goes on"
    wait "$process"
    status=$?
}

# ends_with STATUS WORDS: so did it, with one line that has the words
ends_with() {
    [ $status -eq "$1" ] && [ "$(wc -l <"$folder.err")" -eq 1 ] && grep -q "^trm_train: .*$2" "$folder.err" ||
        fail "$folder: exit $status: $(cat "$folder.err")"
}

# saved DIR: it holds weights that can be read, and no half-written file
saved() {
    [ -z "$(find "$1" -name '*.tmp-*')" ] || fail "$1: $(ls "$1")"
    for weights in "$1"/step_*.safetensors; do
        "$evaluator" --checkpoint "$weights" --dataset kept --limit 1 >eval.out 2>&1 ||
            fail "$weights: $(cat eval.out)"
    done
}

# goes_on DIR: the cause is mended, and the run continues from what it has
goes_on() {
    last=$(find "$1" -name 'state_*' | sed 's/.*state_//;s/\..*//' | sort -n | tail -n 1)
    "$program" long.yaml "run_dir=$1" resume=auto max_steps=$((last + 5)) >"$1.out" 2>"$1.err" &&
        grep -q "continues after step $last\$" "$1.out" && [ ! -s "$1.err" ] || fail "$1: does not go on: $(cat "$1.err")"
}

# ---- files that vanish

begin metrics
rm metrics/metrics.jsonl
end
ends_with 1 'metrics/metrics.jsonl: No such file or directory; the weights of step [0-9]* are in metrics/'
saved metrics

begin gone
kill -STOP $process # or it may write between the files that go
rm -r gone
kill -CONT $process
end
ends_with 1 'gone/metrics.jsonl: No such file or directory; .*the weights of step [0-9]* are lost'
[ ! -e gone ] || fail "gone: it is there again: $(ls gone)"

# Data are read while it trains. A file that is removed or replaced stays until the end ...
"$program" long.yaml run_dir=still max_steps=300 >still.out 2>&1 || fail "still: $(cat still.out)"
begin removed max_steps=300
rm -r data
end
[ $status -eq 0 ] && [ ! -s removed.err ] || fail "removed: exit $status: $(cat removed.err)"
sed 's/,"seconds":.*//' still/metrics.jsonl >results.a
sed 's/,"seconds":.*//' removed/metrics.jsonl >results.b
cmp -s results.a results.b || fail "removed: other results"
cp -r kept data

# ... and one that becomes shorter ends it; what had been saved before is whole.
begin shrunk checkpoint_every=2
for file in data/train/*.npy; do : >"$file"; done
end
ends_with 1 'a file that is read has become shorter, or its disk fails'
saved shrunk
rm -r data
cp -r kept data
goes_on shrunk

# ---- no room, no right

mkdir small
if mount -t tmpfs -o size=2m tmpfs small 2>/dev/null; then
    trap 'umount "$work/small"; rm -rf "$work"' EXIT
    begin small checkpoint_every=2
    end
    ends_with 1 'small/.*: No space left on device'
    saved small
    mount -o remount,size=16m small
    goes_on small
    mount -o remount,ro small
    "$program" long.yaml run_dir=small/new >small.out 2>small.err
    status=$?
    ends_with 1 'small/new: Read-only file system'
    umount small
    trap 'rm -rf "$work"' EXIT
else
    echo "not tried: a full disk and a read-only one, which want a file system of their own"
fi
if [ "$(id -u)" -ne 0 ]; then
    mkdir locked
    chmod a-w locked
    folder=locked
    "$program" long.yaml run_dir=locked/run >locked.out 2>locked.err
    status=$?
    ends_with 1 'locked/run: Permission denied'
    chmod u+w locked
fi

# ---- a terminal that goes away

begin hangup
kill -HUP $process
end
ends_with 129 'Hangup after step [0-9]*; the weights of step [0-9]* are in hangup/'
saved hangup
goes_on hangup

(
    trap '' HUP # as nohup does
    begin nohup max_steps=300
    kill -HUP $process
    end
    [ $status -eq 0 ] || fail "nohup: exit $status: $(cat nohup.err)"
    exit $failures
) || failures=$((failures + 1))

# Nobody reads the progress any more.
"$program" long.yaml run_dir=unread max_steps=40 2>unread.err | true
[ -f unread/step_40.safetensors ] && [ ! -s unread.err ] || fail "unread: $(cat unread.err)"

# Without standard output or error their numbers must not go to files of the run.
"$program" long.yaml run_dir=closed max_steps=40 <&- >&- 2>&-
status=$?
[ $status -eq 0 ] && [ "$(grep -vc '^{.*}$' closed/metrics.jsonl)" -eq 0 ] ||
    fail "closed: exit $status: $(grep -v '^{.*}$' closed/metrics.jsonl | head -n 3)"
saved closed

[ $failures -eq 0 ] && echo "bad days end as they should"
[ $failures -eq 0 ]
