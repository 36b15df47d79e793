#!/bin/sh
# trm_train from the outside: what a run writes, that it can be repeated bit for bit, how it ends, and that bad
# input is refused with one line and leaves nothing behind.
#
#   sh tests/test_train.sh PATH/TO/trm_train
#
# shellcheck disable=SC2010,SC2012,SC2015 # files with plain names; `a && b || fail` is meant
# shellcheck disable=SC3045 # ulimit -v: dash and bash have it
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1")
enter_empty_folder

runs_thirty_steps >tiny.yaml

# train DIR [key=value ...]: a run in DIR; exit status in $status, output in DIR.out and DIR.err
train() {
    folder=$1
    shift
    "$program" tiny.yaml "run_dir=$folder" "$@" >"$folder.out" 2>"$folder.err"
    status=$?
}

# ---- a run and what it writes

train whole
[ $status -eq 0 ] || fail "a small run exits with $status: $(cat whole.err)"
[ ! -s whole.err ] || fail "a good run says something on standard error: $(cat whole.err)"
[ "$(ls whole | tr '\n' ' ')" = "all_config.yaml metrics.jsonl state_15.safetensors \
state_30.safetensors step_15.safetensors step_30.safetensors " ] ||
    fail "a run writes: $(ls whole)"
[ "$(grep -c '"train/lm_loss"' whole/metrics.jsonl)" -eq 30 ] || fail "not one line of metrics per step"
[ "$(grep -c '"all/exact_accuracy"' whole/metrics.jsonl)" -eq 2 ] || fail "not one line per evaluation"
for key in step train/lm_loss train/accuracy train/exact_accuracy train/q_halt_accuracy train/steps \
    train/q_halt_loss train/lr train/count seconds puzzles_per_second; do
    grep -q "\"$key\":[0-9]" whole/metrics.jsonl || fail "no metric $key"
done
grep -q '^{"step":1,.*"train/lr":0.0002,' whole/metrics.jsonl || fail "the first step's rate is not lr / warm-up"
grep -q 'after step 3: 0 system allocations' whole.out || fail "steps ask for memory: $(grep memory: whole.out)"
grep -q 'step 30/30 ' whole.out || fail "no progress line for the last step"
printf '\033' >escape
! grep -q -f escape whole.out || fail "escape sequences where there is no terminal"

for threads in 1 3; do
    train "threads$threads" "threads=$threads"
    results whole >results.a
    results "threads$threads" >results.b
    cmp -s results.a results.b || fail "metrics differ between 2 and $threads threads"
    same_weights whole/step_30.safetensors "threads$threads/step_30.safetensors" ||
        fail "weights differ between 2 and $threads threads"
done
"$program" whole/all_config.yaml run_dir=again >again.out 2>again.err || fail "all_config.yaml: $(cat again.err)"
results again >results.b
cmp -s results.a results.b || fail "the run of all_config.yaml is another"
train seed1 seed=1
results seed1 >results.b
! cmp -s results.a results.b || fail "another seed makes the same run"

# ---- settings

train early max_steps=7
[ $status -eq 0 ] && [ -f early/step_7.safetensors ] || fail "max_steps=7: exit $status, $(ls early)"
grep -q '^{"step":7,"all/' early/metrics.jsonl || fail "max_steps ends a run without evaluation"
results early | grep train/ >results.a
results whole | grep train/ | head -n 7 >results.b
cmp -s results.a results.b || fail "max_steps changes the steps before the end"
train built max_steps=0
[ $status -eq 0 ] && [ ! -e built ] || fail "max_steps=0: exit $status, or it writes"
train sparse eval_interval=3 min_eval_interval=2 checkpoint_every_eval=False eval_max_examples=3
[ "$(grep -c '"all/' sparse/metrics.jsonl)" -eq 2 ] || fail "min_eval_interval=2 of 4 evaluations leaves not 2"
[ "$(ls sparse | grep -c step_)" -eq 1 ] || fail "checkpoint_every_eval=False saves more than the end"
train untested 'data_paths_test=[]'
[ $status -eq 0 ] && [ -f untested/step_30.safetensors ] || fail "no test data: $(cat untested.err)"
train maze 'data_paths=[maze:4:20]' 'data_paths_test=[maze:4:8]' num_aug=7
[ $status -eq 0 ] && grep -q '"all/exact_accuracy"' maze/metrics.jsonl || fail "mazes: $(cat maze.err)"
results whole >results.a
train plain num_aug=0
results plain >results.b
! cmp -s results.a results.b || fail "num_aug=0 shows puzzles under other symmetries"
for other in "arch.mlp_t=False arch.pos_encodings=rope" "arch.mlp_t=False arch.pos_encodings=learned" \
    "arch.forward_dtype=bfloat16" "arch.forward_dtype=float64" "arch.no_ACT_continue=False" \
    "optimizer=adamw grad_clip=1" "arch.puzzle_emb_ndim=0" "arch.loss.loss_type=softmax_cross_entropy" \
    "arch=trm_singlez" "arch=trm_hier6" "arch=hrm arch.one_step_gradient=False" "arch=hrm_v1" \
    "arch.one_step_gradient=True arch.separate_networks=True" \
    "arch=transformers_baseline arch.mlp_t=False arch.pos_encodings=rope"; do
    # shellcheck disable=SC2086 # several arguments
    train other $other max_steps=3
    [ $status -eq 0 ] || fail "$other: $(cat other.err)"
    rm -rf other
done
train frozen freeze_weights=True max_steps=5 ema=False
train frozen_other freeze_weights=True max_steps=5 ema=False lr=1 weight_decay=9
same_weights frozen/step_5.safetensors frozen_other/step_5.safetensors || fail "freeze_weights trains weights"
train profile profile=True max_steps=12
grep -q ', gradient .*%' profile.out && grep -q '^all .*%' profile.out || fail "profile=True shows nothing"
train demo demo=True
grep -q 'halting probability' demo.out && grep -q 'What to try next' demo.out || fail "demo=True shows nothing"

# ---- refusals: exit 1, one line that says what is wrong, no folder

# refused WORDS [key=value ...]: WORDS must stand in the line
refused() {
    words=$1
    shift
    train bad "$@"
    [ $status -eq 1 ] || fail "$*: exit $status"
    [ "$(wc -l <bad.err)" -eq 1 ] || fail "$*: not one line: $(cat bad.err)"
    grep -q '^trm_train: ' bad.err || fail "$*: $(cat bad.err)"
    grep -qF -- "$words" bad.err || fail "$*: '$words' is not in: $(cat bad.err)"
    [ ! -e bad ] || fail "$*: leaves $(ls -a bad)"
    rm -rf bad
}

answer=1234341221434321
cat >good.csv <<END
source,question,answer,rating
a,1...3...2...4...,$answer,0
END
cp good.csv short.csv
echo 'b,1...3...2...4...' >>short.csv
cp good.csv digit.csv
echo "b,1...3...2...7...,$answer,0" >>digit.csv
cp good.csv contradiction.csv
echo "b,2...3...1...4...,$answer,0" >>contradiction.csv
printf 'lr: 1e-3\nlr_warmup_step: 3\n' >misspelt.yaml

refused "did you mean 'arch.hidden_size'" arch.hiden_size=32
refused "lr: expected a number, got 'fast'" lr=fast
refused "epochs" epochs=1.5
refused "eval_interval 5 does not divide epochs 12" eval_interval=5
refused "missing.csv" 'data_paths=[missing.csv]'
refused "short.csv:3" 'data_paths=[short.csv]'
refused "digit.csv:3" 'data_paths=[digit.csv]'
refused "contradiction.csv:3" 'data_paths=[contradiction.csv]'
refused "sequence length" 'data_paths_test=[sudoku:6:8]'
refused "'nowhere': no such folder" 'data_paths=[nowhere]'
train mixed 'data_paths=[sudoku:4:20,good.csv]' 'data_paths_test=[sudoku:4:8,good.csv]'
[ "$(grep -c '"all/accuracy":.*"all1/accuracy":' mixed/metrics.jsonl)" -eq 2 ] ||
    fail "two test sets are not measured each by itself: $(cat mixed.err)"
# A folder in the published layout: 4 groups of 1 puzzle of 2 examples of 4 tokens, in train/ and test/.
# npy FILE TYPE SHAPE BYTES
npy() {
    printf '\223NUMPY\001\000v\000%-117s\n' "{'descr': '$2', 'fortran_order': False, 'shape': $3, }" >"$1"
    # shellcheck disable=SC2059 # the bytes are escapes
    printf "$4" >>"$1"
}
for split in folder/train folder/test; do
    mkdir -p $split
    tokens='\1\2\3\4' # four of them make a group
    tokens="$tokens$tokens$tokens$tokens"
    for part in inputs labels; do npy "$split/all__$part.npy" '|u1' '(8, 4)' "$tokens$tokens"; done
    npy $split/all__puzzle_identifiers.npy '<i4' '(4,)' '\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0'
    npy $split/all__puzzle_indices.npy '<i4' '(5,)' '\0\0\0\0\2\0\0\0\4\0\0\0\6\0\0\0\10\0\0\0'
    npy $split/all__group_indices.npy '<i4' '(5,)' '\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0'
    cat >$split/dataset.json <<END
{"pad_id": 0, "ignore_label_id": 0, "blank_identifier_id": 0, "vocab_size": 6, "seq_len": 4,
 "num_puzzle_identifiers": 5, "total_groups": 4, "mean_puzzle_examples": 2.0, "total_puzzles": 4, "sets": ["all"]}
END
done
# 6 epochs of 8 examples fill 16 batches of 3; every second puzzle of a batch is cut, which costs a quarter.
train trained 'data_paths=[folder]' 'data_paths_test=[]' global_batch_size=3
[ $status -eq 0 ] || fail "a folder: $(cat trained.err)"
[ "$(grep -c '"train/lm_loss"' trained/metrics.jsonl)" -eq 24 ] ||
    fail "12 epochs of puzzles that are cut: $(grep -c '"train/lm_loss"' trained/metrics.jsonl) steps, not 24"
[ "$(grep '"all/' trained/metrics.jsonl | sed 's/,.*//' | tr '\n' ' ')" = '{"step":12 {"step":24 ' ] ||
    fail "a folder's own test set is not measured after each interval: $(cat trained.out)"
rm folder/test/dataset.json
train untested_folder 'data_paths=[folder]' 'data_paths_test=[]' global_batch_size=3
[ $status -eq 0 ] && ! grep -q '"all/' untested_folder/metrics.jsonl || fail "a folder without a test set"
refused "folder/test/dataset.json: cannot open" 'data_paths_test=[folder]'
printf x >>folder/train/all__inputs.npy
refused "folder/train/all__inputs.npy: shape (8, 4) of uint8 needs 32 bytes, the file has 33" 'data_paths=[folder]'
refused "cannot be mixed" 'data_paths=[good.csv,sudoku:6:20]'
refused "demo shows a puzzle of the test data" demo=True 'data_paths_test=[]'
refused "even head size" arch.mlp_t=False arch.pos_encodings=rope arch.hidden_size=18 arch.puzzle_emb_ndim=16
refused "arch.puzzle_emb_ndim" arch.puzzle_emb_ndim=64
refused "do not fill one batch" global_batch_size=1000
refused "missing.safetensors" load_checkpoint=missing.safetensors
refused "tiny.yaml" load_checkpoint=tiny.yaml
refused "inner.embed_tokens.embedding_weight has shape" load_checkpoint=whole/step_30.safetensors arch.hidden_size=32
refused "the model has no tensor" load_checkpoint=whole/step_30.safetensors arch.L_layers=1
refused "is missing" load_checkpoint=whole/step_30.safetensors arch.L_layers=3
refused "tiny.yaml/run" run_dir=tiny.yaml/run
"$program" misspelt.yaml >bad.out 2>bad.err && fail "a misspelt key is taken"
grep -q "^trm_train: misspelt.yaml:2: .*'lr_warmup_steps'" bad.err || fail "misspelt key: $(cat bad.err)"
"$program" missing.yaml >bad.out 2>bad.err && fail "a missing configuration is taken"
grep -q '^trm_train: missing.yaml: ' bad.err || fail "missing configuration: $(cat bad.err)"
"$program" >bad.out 2>bad.err && fail "no configuration is taken"
[ "$(wc -l <bad.err)" -eq 1 ] || fail "no configuration: $(cat bad.err)"

train whole
[ $status -eq 1 ] && grep -q 'holds a run already' whole.err || fail "a run is overwritten: exit $status"

# ---- weights to start from

train more max_steps=1 lr=0 puzzle_emb_lr=0 load_checkpoint=whole/step_30.safetensors
same_weights whole/step_30.safetensors more/step_1.safetensors || fail "load_checkpoint: $(cat more.err)"

# ---- a loss that is not finite

train broken optimizer=adamw lr=1000 weight_decay=1000 lr_warmup_steps=0
[ $status -eq 1 ] || fail "a loss that is not finite: exit $status"
[ "$(wc -l <broken.err)" -eq 1 ] || fail "a loss that is not finite: $(cat broken.err)"
kept=$(sed -n 's/^trm_train: step [0-9]*: .*; the weights of step [0-9]* are in //p' broken.err)
[ -n "$kept" ] && [ -f "$kept" ] || fail "a loss that is not finite: $(cat broken.err)"

# ---- signals

# interrupt DIR SIGNAL TIMES: a long run, told to stop once it has logged some steps
interrupt() {
    "$program" tiny.yaml "run_dir=$1" epochs=1000000 eval_interval=1000000 >"$1.out" 2>"$1.err" &
    process=$!
    tries=0
    until [ "$(grep -c step "$1/metrics.jsonl" 2>/dev/null)" -ge 3 ] 2>/dev/null || [ $tries -ge 600 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    i=0
    while [ $i -lt "$3" ]; do
        kill "-$2" "$process" 2>/dev/null
        i=$((i + 1))
    done
    wait "$process"
    status=$?
}

interrupt stopped INT 1
[ $status -eq 130 ] || fail "Ctrl-C: exit $status"
kept=$(sed -n 's/^trm_train: .*; the weights of step [0-9]* are in //p' stopped.err)
[ -n "$kept" ] && [ -f "$kept" ] || fail "Ctrl-C: $(cat stopped.err)"
! grep -q '"all/' stopped/metrics.jsonl || fail "Ctrl-C: still evaluates"
interrupt terminated TERM 1
[ $status -eq 143 ] || fail "SIGTERM: exit $status"
interrupt twice INT 2
[ $status -eq 130 ] || fail "Ctrl-C twice: exit $status"
! ls twice | grep -q tmp || fail "Ctrl-C twice leaves $(ls twice)"

# ---- a run that is longer than its schedule

# One task has 20 variants of one pair, the other 8 pairs and no variants: an epoch draws 9 pairs, while the
# schedule reckons with two times the mean of all puzzles, 29 / 22.
pairs=
for size in 1 2 3 4 5 6 7 8; do
    row=$(printf '0,%.0s' $(seq $size))
    grid=$(printf "[${row%,}],%.0s" $(seq $size))
    pairs="$pairs,{\"input\": [${grid%,}], \"output\": [[0]]}"
done
cat >skewed_evaluation_challenges.json <<END
{"many": {"train": [{"input": [[1, 2, 3]], "output": [[1, 2]]}], "test": [{"input": [[0]]}]},
 "none": {"train": [${pairs#,}], "test": [{"input": [[0]]}]}}
END
train skewed 'data_paths=[arc:skewed:evaluation]' data_paths_test=[] num_aug=20 global_batch_size=12 epochs=16 \
    eval_interval=16 lr_warmup_steps=0 lr_min_ratio=0.1 arch.mlp_t=False arch.H_cycles=1 arch.L_cycles=1
[ $status -eq 0 ] || fail "a longer run: $(cat skewed.err)"
sed -n 's/.*"train.lr":\([^,]*\).*/\1/p' skewed/metrics.jsonl >rates
[ "$(wc -l <rates)" -gt 6 ] && sort -gr rates | cmp -s - rates || fail "the rate rises again: $(tr '\n' ' ' <rates)"

# ---- no room

# A limit on the size of files stands for a full disk: the configuration fits in, the weights do not.
( ulimit -f 16; train full; exit $status )
status=$?
[ $status -eq 1 ] || fail "weights too large: exit $status"
[ "$(wc -l <full.err)" -eq 1 ] && grep -q 'step_15.safetensors: .*; the weights of step 15 are lost' full.err ||
    fail "weights too large: $(cat full.err)"
! ls full | grep -q -e tmp -e step_ || fail "weights too large: leaves $(ls full)"

# Here the weights fit in and the metrics outgrow them.
( ulimit -f 96; train outgrown epochs=240 eval_interval=6 checkpoint_every_eval=False; exit $status )
status=$?
[ $status -eq 1 ] || fail "metrics too large: exit $status"
[ "$(wc -l <outgrown.err)" -eq 1 ] || fail "metrics too large: $(cat outgrown.err)"
kept=$(sed -n 's/^trm_train: .*metrics.jsonl: .*; the weights of step [0-9]* are in //p' outgrown.err)
[ -n "$kept" ] && [ -f "$kept" ] || fail "metrics too large: $(cat outgrown.err)"
[ "$(tail -c 2 outgrown/metrics.jsonl)" = "}" ] || fail "metrics too large: half a line stays"

# Sanitizers reserve more addresses than this and cannot start.
if sh -c 'ulimit -v 400000; "$0" --version; exit $?' "$program" >/dev/null 2>&1; then
    ( ulimit -v 400000; train poor arch.hidden_size=4096; exit $status )
    status=$?
    [ $status -eq 1 ] || fail "no memory: exit $status"
    [ "$(wc -l <poor.err)" -eq 1 ] && grep -q '^trm_train: .*memory' poor.err || fail "no memory: $(cat poor.err)"
    [ ! -e poor ] || fail "no memory: leaves $(ls -a poor)"
fi

[ $failures -eq 0 ] && echo "all of trm_train's behaviour is as it should be"
[ $failures -eq 0 ]
