#!/bin/sh
# A training whose steps a GPU replays measures and learns, bit for bit, what it does op by op (REEL_CHECK=1).
#
#   sh tests/test_replay.sh PATH/TO/trm_train
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1")
enter_empty_folder

cat >tiny.yaml <<'END'
device: cuda
data_paths: [sudoku:4:16]
data_paths_test: [sudoku:4:2]
global_batch_size: 2
epochs: 1                   # 8 steps
eval_interval: 1
lr_warmup_steps: 5
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
  forward_dtype: bfloat16
END

# train DIR
train() {
    "$program" tiny.yaml "run_dir=$1" >"$1.out" 2>"$1.err" || fail "$1: $(cat "$1.err")"
    results "$1" >"$1.results"
    [ "$(grep -c '"train/lm_loss"' "$1.results")" -eq 8 ] || fail "$1: not 8 steps"
}

train replayed
export REEL_CHECK=1
train by_op
unset REEL_CHECK
cmp -s replayed.results by_op.results || fail "metrics differ: $(diff replayed.results by_op.results)"
same_weights replayed/step_8.safetensors by_op/step_8.safetensors || fail "weights differ"

[ $failures -eq 0 ] && echo "a replayed training is the one op by op"
[ $failures -eq 0 ]
