#!/bin/sh
# The algorithms of a GPU's matrix products in files: a run takes them from one, keeps them beside its states and
# goes on with them, what evaluates and solves takes them when told; a CPU has no use for any.
#
#   sh tests/test_gemm_file.sh PATH/TO/trm_train PATH/TO/bench_step PATH/TO/trm_eval PATH/TO/trm_solve
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1") bench=$(absolute "$2") eval=$(absolute "$3") solve=$(absolute "$4")
enter_empty_folder

cat >tiny.yaml <<'END'
data_paths: [sudoku:4:4]
global_batch_size: 2
epochs: 100
eval_interval: null
lr_warmup_steps: 5
threads: 1
arch:
  hidden_size: 8
  num_heads: 1
  round_width: 8
  mlp_t: True
  pos_encodings: none
  puzzle_emb_len: 1
  H_cycles: 1
  L_cycles: 1
  L_layers: 1
  halt_max_steps: 1
  forward_dtype: float32
END

# train STEPS [key=value ...]: tiny.yaml in the folder `run` up to that step; exit status in $status
train() {
    steps=$1
    shift
    "$program" tiny.yaml run_dir=run max_steps="$steps" "$@" >out 2>err
    status=$?
}

# trains STEPS [key=value ...]: the same, without an error
trains() {
    train "$@"
    [ $status -eq 0 ] || fail "$*: exit $status, $(cat err)"
}

# refuses TEXT STEPS [key=value ...]: the same ends with TEXT, and what is in `run` stays as it is
refuses() {
    said=$1
    shift
    rm -rf before
    [ ! -d run ] || cp -R run before
    train "$@"
    [ $status -eq 1 ] || fail "$*: exit $status"
    grep -qF "$said" err || fail "$*: not '$said' but $(cat err)"
    [ ! -d run ] || diff -r run before >/dev/null || fail "$*: run changes"
}

trains 1 device=cpu gemm_choices=missing.txt
[ ! -e run/gemm_choices.txt ] || fail "a CPU writes choices"
rm -rf run

step="--hidden 8 --batch 2 --seq 4 --vocab 3 --puzzle_len 1 --H 1 --L 1 --round_width 8 --steps 1"
# shellcheck disable=SC2086 # words are meant
bench() {
    "$bench" $step "$@" >out 2>err
}
if bench --tune tuned.txt; then fail "a CPU is tuned"; fi
grep -q "the CPU has no choices" err || fail "a CPU is tuned: $(cat err)"
"$bench" --device cuda --steps 0 >out 2>err || {
    echo "a CPU has no choices; no GPU: $(tail -n 1 err)"
    [ $failures -eq 0 ]
    exit
}

# ---- a GPU --------------------------------------------------------------------------------------------

trains 2 device=cuda
lines=$(wc -l <run/gemm_choices.txt)
[ "$lines" -gt 10 ] || fail "a run keeps $lines lines of choices"
mv run proposed

# The simulator has a second algorithm, which it does not propose.
sed 's/ 0000000000000001 / 0000000000000002 /' proposed/gemm_choices.txt >given.txt
grep -q '^library simulated' given.txt || cp proposed/gemm_choices.txt given.txt
cp given.txt kept.txt
trains 2 device=cuda gemm_choices=given.txt
cmp given.txt run/gemm_choices.txt || fail "a run does not take the choices given"
mv run whole

trains 1 device=cuda gemm_choices=given.txt
rm given.txt
trains 2 device=cuda gemm_choices=given.txt resume=auto
cmp kept.txt run/gemm_choices.txt || fail "a continued run does not take the choices that it took"
"$eval" --dataset sudoku:4:2 --checkpoint run/step_2.safetensors --device cuda >out 2>err ||
    fail "the choices of a run are asked for where it is evaluated: $(cat err)"
for file in step_2.safetensors state_2.safetensors; do
    cmp "whole/$file" "run/$file" || fail "$file of a continued run differs"
done

sed 's/^gpu /gpu another /' kept.txt >run/gemm_choices.txt
refuses "run/gemm_choices.txt:3: its choices are for another" 3 device=cuda resume=auto
for program_of in "$eval --dataset sudoku:4:2" "$solve 1...3...2...4..."; do
    # shellcheck disable=SC2086 # words are meant
    $program_of --checkpoint run/step_2.safetensors --device cuda --gemm-choices run/gemm_choices.txt >out 2>err &&
        fail "$program_of takes choices for another GPU"
    grep -q 'run/gemm_choices.txt:3: its choices are for another' err || fail "$program_of: $(cat err)"
done
sed '$d' kept.txt >run/gemm_choices.txt
refuses "run/gemm_choices.txt:$lines: expected a choice" 3 device=cuda resume=auto
rm run/gemm_choices.txt
trains 3 device=cuda resume=auto
cmp proposed/gemm_choices.txt run/gemm_choices.txt || fail "without its choices a run does not choose anew"
rm -rf run
refuses "given.txt: No such file" 2 device=cuda gemm_choices=given.txt
[ ! -e run ] || fail "a run is begun without the choices it is told to take"

bench --device cuda --tune tuned.txt || fail "tuning: $(cat err)"
if grep -q '^library simulated' tuned.txt; then
    sed 1,5d tuned.txt | grep -qv ' 0000000000000002 ' && fail "tuning takes what is proposed"
fi
bench --device cuda --choices tuned.txt --tune again.txt || fail "choices: $(cat err)"
cmp tuned.txt again.txt || fail "choices are measured again"

[ $failures -eq 0 ] && echo "choices are kept"
[ $failures -eq 0 ]
