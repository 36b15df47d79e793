#!/bin/sh
# What a training on a GPU does when the GPU fails it: too little memory, a kernel that ends all work; and when it
# diverges, of which the host hears late. One line says so, the exit status is 1, and what was saved before is whole and
# goes on. On the simulator, which is told to have
# so much memory (REEL_SIM_MEMORY) or to fail at a launch (REEL_SIM_FAIL_AT_LAUNCH) that is counted from when a file is
# there (REEL_SIM_FAIL_BEHIND_FILE).
#
#   sh tests/test_device_days.sh PATH/TO/trm_train
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1")
enter_empty_folder

cat >tiny.yaml <<'END'
device: cuda
data_paths: [sudoku:4:8]
global_batch_size: 2
epochs: 1                   # 4 steps
eval_interval: 1
checkpoint_every: 2
lr_warmup_steps: 2
ema: True
threads: 1
arch:
  hidden_size: 16
  num_heads: 2
  round_width: 16
  mlp_t: True
  pos_encodings: none
  puzzle_emb_len: 1
  H_cycles: 1
  L_cycles: 1
  halt_max_steps: 2
  forward_dtype: float32
END

# train DIR [key=value ...]: exit status in $status
train() {
    folder=$1
    shift
    timeout -s KILL 240 "$program" tiny.yaml "run_dir=$folder" "$@" >"$folder.out" 2>told
    status=$?
    grep -v 'WARNING: ASan' told >"$folder.err" # of the simulator's fibres
}

# ends_with WORDS: with 1 and one line that has the words
ends_with() {
    [ $status -eq 1 ] && [ "$(wc -l <"$folder.err")" -eq 1 ] && grep -q "^trm_train: .*$1" "$folder.err" ||
        fail "$folder: exit $status: $(cat "$folder.err")"
}

# goes_on: with a device that works, to the end of the run that nothing stopped
goes_on() {
    train "$folder" resume=auto
    [ $status -eq 0 ] && [ ! -s "$folder.err" ] || fail "$folder: does not go on: $(cat "$folder.err")"
    same_weights "$folder/step_4.safetensors" whole/step_4.safetensors || fail "$folder: goes on to other weights"
}

train whole
[ $status -eq 0 ] && [ ! -s whole.err ] || fail "whole: exit $status: $(cat whole.err)"

# ---- a kernel that ends all work: the weights are in the GPU, so that what was saved before is left

launch=32
lost=
while [ -z "$lost" ] && [ $launch -lt 100000 ]; do # until it is one of the fourth step's
    launch=$((2 * launch))
    rm -rf fault
    REEL_SIM_FAIL_BEHIND_FILE=fault/step_2.safetensors REEL_SIM_FAIL_AT_LAUNCH=$launch train fault
    ends_with 'cuda: a kernel failed: an illegal memory access'
    [ -z "$(find fault -name '*.tmp-*')" ] || fail "fault: $(ls fault)"
    [ $failures -eq 0 ] || break
    lost=$(grep 'the weights of step 3 are lost, the newest are in fault/step_2.safetensors$' fault.err)
done
[ -n "$lost" ] || fail "fault: no launch in the fourth step: $(cat fault.err)"
[ "$(grep -o 'cuda:' fault.err | wc -l)" -eq 1 ] || fail "fault: says it twice: $(cat fault.err)"
[ "$(ls fault)" = "$(printf '%s\n' all_config.yaml gemm_choices.txt metrics.jsonl state_2.safetensors \
    step_2.safetensors)" ] || fail "fault: leaves $(ls fault)"
cp -r fault short
goes_on

# ---- a loss that is not finite: the step that has it is left out

wild='lr=1000 weight_decay=0.9 beta1=0 beta2=0 epochs=100 eval_interval=100 checkpoint_every=null ema=False'
# shellcheck disable=SC2086 # words are meant
train diverged $wild
ends_with 'the norm of the gradient is not finite; the step is left out; the weights of step .* are in diverged/step_'
weights=$(basename diverged/step_*.safetensors .safetensors)
# shellcheck disable=SC2086
train before $wild max_steps="${weights#step_}"
[ $status -eq 0 ] || fail "before: exit $status: $(cat before.err)"
same_weights "diverged/$weights.safetensors" "before/$weights.safetensors" || fail "diverged: $weights is not what it was"

# ---- too little memory

REEL_SIM_MEMORY=20000 train poor
ends_with 'tensor: no memory for .* on the device: .* are free; Reel holds .*'
[ ! -e poor ] || fail "poor: leaves $(ls -a poor)"

# Enough to load the state and not enough for a step.
memory=20000
until [ $memory -gt 100000000 ]; do
    memory=$((memory * 5 / 4))
    REEL_SIM_MEMORY=$memory train short resume=auto
    [ $status -ne 0 ] || break
    ends_with 'no memory for .* on the device: .* are free; Reel holds .*'
    grep -q '^trm_train: step 3: .* of the tape; a smaller batch needs less; the weights of step 2 are in short/step_2' \
        short.err && break
done
[ $status -eq 1 ] || fail "short: exit $status with $memory bytes"
[ "$(cd short && ls st*)" = "$(printf '%s\n' state_2.safetensors step_2.safetensors)" ] || fail "short: leaves $(ls short)"
goes_on

[ $failures -eq 0 ] && echo "a training keeps what it saved when its GPU fails"
[ $failures -eq 0 ]
