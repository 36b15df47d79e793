#!/bin/sh
# A run that is stopped, in whatever way, and continued: it must write the same bits as one that never stopped,
# and nothing that it has must be lost.
#
#   sh tests/test_resume.sh PATH/TO/trm_train
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1")
enter_empty_folder

runs_thirty_steps >tiny.yaml

# train [key=value ...]: tiny.yaml in the folder `run`, whose name is part of its files; exit status in $status
train() {
    "$program" tiny.yaml run_dir=run "$@" >out 2>err
    status=$?
}

newest() {
    basename "$(find "$1" -name "$2_*.safetensors" | sort -t_ -k2n | tail -n 1)"
}

# whole [key=value ...]: a run that is not stopped, kept in `whole`
whole() {
    rm -rf run whole
    train "$@"
    [ $status -eq 0 ] || fail "$*: exit $status, $(cat err)"
    mv run whole
}

# same_end WHAT: `run` must have ended as `whole` did
same_end() {
    results run >results.a
    results whole >results.b
    [ -s results.a ] && cmp -s results.a results.b || fail "$1: other metrics: $(diff results.a results.b | head -n 4)"
    for file in "$(newest whole step)" "$(newest whole state)"; do
        cmp -s "whole/$file" "run/$file" || fail "$1: $file differs"
    done
    if find run | grep -q tmp; then fail "$1: leaves $(find run -name '*tmp*')"; fi
}

# same_files WHAT: so must every file of weights and every submission
same_files() {
    same_end "$1"
    for file in $(cd whole && find . -name 'step_*' -type f -o -name submission.json -type f); do
        cmp -s "whole/$file" "run/$file" || fail "$1: $file differs"
    done
}

lines() {
    if [ -f run/metrics.jsonl ]; then wc -l <run/metrics.jsonl; else echo 0; fi
}

# wait_for_lines N: until the run in the background has logged N, or has ended
wait_for_lines() {
    while [ "$(lines)" -lt "$1" ] && kill -0 "$process" 2>/dev/null; do
        sleep 0.02
    done
}

# start [key=value ...]: in the background, as $process
start() {
    "$program" tiny.yaml run_dir=run "$@" >out 2>err &
    process=$!
}

# stop SIGNAL: the status in $status
stop() {
    kill "-$1" "$process" 2>/dev/null
    wait "$process" 2>/dev/null
    status=$?
}

checksums() {
    find "$1" -type f -exec cksum {} + | sort
}

# refused WORDS [argument ...]: exit 1, one line with WORDS in it, and nothing has changed
refused() {
    words=$1
    shift
    checksums run >sums.a
    "$program" "$@" >out 2>err
    status=$?
    [ $status -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] || fail "$*: exit $status, $(cat err)"
    grep -qF -- "$words" err || fail "$*: '$words' is not in: $(cat err)"
    checksums run >sums.b
    cmp -s sums.a sums.b || fail "$*: changes the run"
}

# ---- stopped by max_steps, before, at and after an evaluation, and once only because of it

# stopped_at STEPS [key=value ...]
stopped_at() {
    steps=$1
    shift
    whole "$@"
    for step in $steps; do
        train resume=auto "max_steps=$step" "$@"
        [ $status -eq 0 ] || fail "$*, max_steps=$step: exit $status, $(cat err)"
    done
    train resume=auto "$@"
    grep -q 'continues after step' out || fail "$*: does not continue: $(cat out err)"
    same_end "$*"
}

stopped_at "1 7 14 15 16 29"
stopped_at "4 15" arch.mlp_t=False arch.pos_encodings=rope arch.forward_dtype=bfloat16
stopped_at "4 15" arch=hrm arch.forward_dtype=float64
stopped_at "4 17" arch=trm_hier6 arch.no_ACT_continue=False arch.mlp_t=False arch.pos_encodings=learned
stopped_at "4 15" freeze_weights=True ema=False
stopped_at "4 15" optimizer=adamw grad_clip=1 ema=False arch.puzzle_emb_ndim=0
stopped_at "4 15" 'data_paths_test=[]' checkpoint_every_eval=False
stopped_at "4 15" 'data_paths_test=[sudoku:4:8,sudoku:4:3]' min_eval_interval=1 eval_save_outputs=[preds]
whole checkpoint_every=4
for step in 4 8 12; do
    [ -f whole/step_$step.safetensors ] || fail "checkpoint_every=4: $(ls whole)"
done

# ---- weights to start from are asked for at the beginning alone

cp whole/step_30.safetensors begin.safetensors
whole load_checkpoint=begin.safetensors
train load_checkpoint=begin.safetensors max_steps=9
rm begin.safetensors
train load_checkpoint=begin.safetensors resume=auto
same_files "load_checkpoint"

# ---- signals, at whatever moment they come

whole epochs=120 eval_interval=12 # 300 steps, 10 evaluations
for wanted in 1 40 95 160 250; do
    rm -rf run
    start epochs=120 eval_interval=12
    wait_for_lines "$wanted"
    stop TERM
    [ $status -eq 143 ] || [ $status -eq 0 ] || fail "SIGTERM: exit $status, $(cat err)"
    train epochs=120 eval_interval=12 resume=auto
    [ $status -eq 0 ] || fail "after SIGTERM: exit $status, $(cat err)"
    same_files "SIGTERM at line $wanted"
done

rm -rf run
start epochs=120 eval_interval=12
wait_for_lines 30
stop HUP
[ $status -eq 129 ] && grep -q 'the weights of step [0-9]* are in run/step_' err ||
    fail "SIGHUP: exit $status, $(cat err)"
start epochs=120 eval_interval=12 resume=auto
wait_for_lines 60
kill -INT "$process"
stop INT
"$program" resume=run >out 2>err || fail "resume=DIR: $(cat err)"
same_files "SIGHUP, two SIGINT, resume=DIR"

rm -rf run
( trap '' HUP; exec "$program" tiny.yaml run_dir=run epochs=120 eval_interval=12 >out 2>err ) &
process=$!
wait_for_lines 30
kill -HUP $process
wait $process || fail "a run that ignores SIGHUP, as below nohup, ends by it: $(cat err)"

whole epochs=120 eval_interval=12 checkpoint_every=7
start epochs=120 eval_interval=12 checkpoint_every=7
wait_for_lines 5
stop KILL
for wanted in 60 110 170 230; do
    start epochs=120 eval_interval=12 checkpoint_every=7 resume=auto
    wait_for_lines "$wanted"
    stop KILL
done
: >run/state_50.safetensors.tmp-1-0
mkdir -p run/step_24_all_preds
: >run/step_24_all_preds/preds.npy.tmp-12-3
train epochs=120 eval_interval=12 checkpoint_every=7 resume=auto
[ $status -eq 0 ] || fail "after kill -9: exit $status, $(cat err)"
same_files "kill -9"
sed -n 's/.*"seconds":\([^,]*\),.*/\1/p' run/metrics.jsonl | sort -gc 2>/dev/null ||
    fail "the time spent on training begins anew when a run continues"

# Between the state and the weights of a checkpoint, the first of a run and the last.
whole
train max_steps=9
rm run/step_9.safetensors
train resume=auto max_steps=9
[ -f run/step_9.safetensors ] || fail "weights that were not written before a kill stay missing: $(ls run)"
train resume=auto
rm run/step_30.safetensors
"$program" resume=run >out 2>err
same_end "killed between state and weights"

# ---- an evaluation that is interrupted is no result, and is made up for

long='data_paths_test=[sudoku:6:400] data_paths=[sudoku:6:20] max_steps=15'
# shellcheck disable=SC2086 # several arguments
whole $long
# shellcheck disable=SC2086
start $long
until [ -f run/step_15.safetensors ] || ! kill -0 "$process" 2>/dev/null; do sleep 0.02; done
stop TERM
[ $status -eq 143 ] && ! grep -q all/ run/metrics.jsonl || fail "an evaluation is not interrupted: exit $status"
# shellcheck disable=SC2086
train $long resume=auto
[ $status -eq 0 ] || fail "after an interrupted evaluation: exit $status, $(cat err)"
same_files "an interrupted evaluation"

# ---- ARC: every evaluation's votes count, once

cat >tasks_evaluation_challenges.json <<'END'
{"one": {"train": [{"input": [[1, 2]], "output": [[2, 1]]}, {"input": [[3, 4]], "output": [[4, 3]]}],
         "test": [{"input": [[5, 6]], "output": [[6, 5]]}]},
 "two": {"train": [{"input": [[1, 0]], "output": [[1, 1]]}, {"input": [[2, 0]], "output": [[2, 2]]}],
         "test": [{"input": [[3, 0]], "output": [[3, 3]]}]}}
END
set -- 'data_paths=[arc:tasks:evaluation]' 'data_paths_test=[]' num_aug=3 global_batch_size=4 arch.H_cycles=1 \
    arch.L_cycles=1 arch.halt_max_steps=2 \
    'evaluators=[{name: arc@ARC}, {name: arc@ARC, aggregated_voting: False}]' # 12 steps
whole "$@"
grep -q 'ARC2/pass@1' whole/metrics.jsonl || fail "ARC: no votes: $(cat whole/metrics.jsonl)"
train "$@" max_steps=4 # measured there, which no longer run may notice
train "$@" resume=auto max_steps=6
train "$@" resume=auto
same_end "ARC"
cmp -s whole/evaluator_ARC_step_12/submission.json run/evaluator_ARC_step_12/submission.json ||
    fail "ARC: another submission"

# ---- a state that is damaged: the one before it is taken

whole checkpoint_every=10 max_steps=25
for damage in cut emptied flipped renumbered; do
    rm -rf run
    train checkpoint_every=10 max_steps=25
    case $damage in
    cut) truncate -s 100000 run/state_25.safetensors ;;
    emptied) : >run/state_25.safetensors ;;
    flipped) printf x | dd of=run/state_25.safetensors conv=notrunc bs=1 seek=90001 2>dd.err || fail "$(cat dd.err)" ;;
    renumbered) sed -i 's/"step":"25"/"step":"15"/' run/state_25.safetensors ;;
    esac
    train checkpoint_every=10 max_steps=25 resume=auto
    [ $status -eq 0 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q 'state_25.safetensors.*trying the state before' err ||
        fail "$damage: exit $status, $(cat err)"
    grep -q 'continues after step 20' out || fail "$damage: $(cat out)"
    same_files "$damage"
done
: >run/state_20.safetensors
: >run/state_25.safetensors
checksums run >sums.a
train checkpoint_every=10 max_steps=25 resume=auto
[ $status -eq 1 ] && [ "$(wc -l <err)" -eq 2 ] || fail "no whole state: exit $status, $(cat err)"
checksums run >sums.b
cmp -s sums.a sums.b || fail "no whole state: the run changes"

# ---- refusals

rm -rf run
train max_steps=10
refused "begun with lr 0.001, which cannot become 0.01" tiny.yaml run_dir=run resume=auto lr=1e-2
refused "begun with arch.L_cycles 2, which cannot become 3" resume=run arch.L_cycles=3
refused "load_checkpoint null" resume=run load_checkpoint=x
refused "data_paths" resume=run 'data_paths=[sudoku:4:21]'
refused "run holds a run already (state_10.safetensors); continue it with resume=auto" tiny.yaml run_dir=run
refused "no configuration" resume=auto
refused "nowhere: no run to continue" resume=nowhere
refused "nowhere: no run to continue" tiny.yaml resume=nowhere
refused "unknown key" resume=run thread=2
refused "run_dir" resume=run run_dir=elsewhere
[ ! -e nowhere ] || fail "resume=nowhere makes a folder"
for period in 0 -5 1.5 10s min 10minutes 1e3 2000000000 '[5]'; do
    refused "checkpoint_every" tiny.yaml run_dir=other "checkpoint_every=$period"
done
refused "keep_checkpoints: 0 is outside" tiny.yaml run_dir=other keep_checkpoints=0
sed -i 's/reel state 1/reel state 2/' run/state_10.safetensors
refused "state_10.safetensors: written by a newer version, in the format 'reel state 2'" resume=run
rm run/state_10.safetensors
refused "run holds a run already (step_10.safetensors)" tiny.yaml run_dir=run resume=auto

# Keys that change no result may change.
rm -rf run
train max_steps=10
"$program" resume=run threads=1 profile=True checkpoint_every=10min keep_checkpoints=1 max_steps=20 >out 2>err ||
    fail "other threads: $(cat err)"
grep -q 'checkpoint_every: "10min"' run/all_config.yaml || fail "checkpoint_every=10min: $(cat run/all_config.yaml)"
mv run moved
"$program" resume=moved max_steps=null threads=2 profile=False checkpoint_every=null keep_checkpoints=null >out 2>err ||
    fail "a moved run: $(cat err)"
mv moved run
results run >results.changed
whole
results whole | cmp -s - results.changed || fail "a run in which threads, folder and what is kept change is another"

# ---- a run that is finished, a second writer, a folder that cannot be written

whole
mv whole run
checksums run >sums.a
for arguments in "tiny.yaml run_dir=run resume=auto" "resume=run" "resume=run max_steps=5"; do
    # shellcheck disable=SC2086 # several arguments
    "$program" $arguments >out 2>err || fail "$arguments, finished: $(cat err)"
    grep -q 'finished after step 30, nothing to do' out || fail "$arguments, finished: $(cat out)"
done
checksums run >sums.b
cmp -s sums.a sums.b || fail "a finished run changes when it is to be continued"

chmod a-w run run/metrics.jsonl
if ! touch run/x 2>/dev/null; then # root may
    refused "run/metrics.jsonl: Permission denied" resume=run
fi
chmod u+w run run/metrics.jsonl

rm -rf run
start epochs=1000000 eval_interval=1000000
wait_for_lines 3
for arguments in "tiny.yaml run_dir=run" "tiny.yaml run_dir=run resume=auto"; do
    # shellcheck disable=SC2086
    "$program" $arguments >other.out 2>other.err && fail "$arguments: two write to one folder"
    grep -q 'another process is training here' other.err || fail "$arguments: $(cat other.err)"
done
stop TERM
[ $status -eq 143 ] || fail "a second writer ends the first: $(cat err)"
logged=$(lines)
start resume=auto epochs=1000000 eval_interval=1000000
wait_for_lines $((logged + 3)) # the lock is its own
"$program" resume=run >other.out 2>other.err && fail "two continue one run"
grep -q 'another process is training here' other.err || fail "two continue one run: $(cat other.err)"
stop TERM

# ---- what is kept

cat >one.csv <<'END'
source,question,answer,rating
a,1...3...2...4...,1234341221434321,0
END
# One puzzle is soon learnt by heart, and forgotten when the learning rate grows and grows.
learns_in_seconds >one.yaml
rm -rf run
"$program" one.yaml run_dir=run 'data_paths=[one.csv]' 'data_paths_test=[one.csv]' num_aug=0 global_batch_size=4 \
    eval_interval=20 lr=10 lr_warmup_steps=100 weight_decay=0 ema=False keep_checkpoints=2 checkpoint_every=3 \
    >out 2>err || fail "keep_checkpoints: $(cat err)"
sed -n 's/^{"step":\([0-9]*\),.*"all.exact_accuracy":\([^,]*\),.*/\2 \1/p' run/metrics.jsonl | sort -k1g -k2n >scores
best=$(tail -n 1 scores)
case $best in
"0 "*) fail "keep_checkpoints: this test needs a run that learns something" ;;
*" 100") fail "keep_checkpoints: this test needs a run that becomes worse" ;;
esac
for file in "step_${best#* }" step_99 step_100; do echo "$file.safetensors"; done | sort >wanted
find run -name 'step_*' -exec basename {} \; | sort | cmp -s - wanted ||
    fail "keep_checkpoints: best $best, left are $(ls run)"
[ "$(find run -name 'state_*' | wc -l)" -eq 2 ] || fail "other than two states stay: $(ls run)"

# ---- no room for a state: the older one is what counts

whole
train max_steps=5
( ulimit -f 96; train resume=auto; exit $status )
status=$?
[ $status -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q 'state_15.safetensors: cannot write' err ||
    fail "no room for a state: exit $status, $(cat err)"
train resume=auto
grep -q 'continues after step 5' out || fail "no room for a state: $(cat out err)"
same_files "no room for a state"

# Nor does a step count whose line of metrics found no room, while a state would.
whole epochs=400 eval_interval=400 checkpoint_every=500
( ulimit -f 400; train epochs=400 eval_interval=400 checkpoint_every=500; exit $status )
status=$?
[ $status -eq 1 ] && grep -q 'metrics.jsonl: ' err || fail "no room for metrics: exit $status, $(cat err)"
train epochs=400 eval_interval=400 checkpoint_every=500 resume=auto
grep -q 'continues after step 500' out || fail "no room for metrics: $(cat out err)"
same_end "no room for metrics"

# ---- a step that fails leaves no state

bad='optimizer=adamw lr=1000 weight_decay=1000 lr_warmup_steps=0'
rm -rf run
# shellcheck disable=SC2086 # several arguments
train $bad
[ $status -eq 1 ] && [ -f run/"$(newest run step)" ] && [ -z "$(find run -name 'state_*')" ] ||
    fail "a loss that is not finite: exit $status, $(ls run)"
rm -rf run
# shellcheck disable=SC2086
train $bad checkpoint_every=1
cp err err.first
# shellcheck disable=SC2086
train $bad checkpoint_every=1 resume=auto
[ $status -eq 1 ] && cmp -s err err.first ||
    fail "a loss that is not finite: first $(cat err.first), after resume=auto $(cat err)"

[ $failures -eq 0 ] && echo "a run goes on as if it had never stopped"
[ $failures -eq 0 ]
