#!/bin/sh
# Every configuration in apps/configs/ takes two steps, with tiny data where its own would be; evaluators and
# saved outputs.
#
#   sh tests/test_configs.sh PATH/TO/trm_train PATH/TO/trm_eval PATH/TO/trm_data PATH/TO/configs
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
train=$(absolute "$1") eval=$(absolute "$2") data=$(absolute "$3") configs=$(absolute "$4")
enter_empty_folder

# refused SAYS ARGUMENTS...: fails with one line that says so
refused() {
    says=$1
    shift
    if "$train" "$@" >out 2>error; then
        fail "trm_train $* was accepted"
    fi
    [ "$(wc -l <error)" -eq 1 ] || fail "trm_train $*: not one line: $(cat error)"
    grep -q -e "$says" error || fail "trm_train $*: does not say '$says': $(cat error)"
}

# ---- tiny data under the names in the configurations -----------------------------------------------------
pair='{"input": [[1, 2]], "output": [[2, 1]]}'
echo "{\"aa\": {\"train\": [$pair, $pair], \"test\": [$pair]}}" >t_training_challenges.json
echo "{\"bb\": {\"train\": [$pair, $pair], \"test\": [$pair, $pair]}}" >t_evaluation_challenges.json
"$data" arc --input-file-prefix t --subsets training evaluation --test-set-name evaluation --num-aug 2 \
    --output-dir data/arc1concept-aug-1000 >/dev/null || fail "no ARC data"
cp -r data/arc1concept-aug-1000 data/arc2concept-aug-1000
"$data" generate sudoku --size 4 --count 12 --test-count 3 --num-aug 2 \
    --output-dir data/sudoku-extreme-1k-aug-1000 >/dev/null || fail "no Sudokus"
"$data" generate maze --size 5 --count 12 --test-count 3 --output-dir data/maze-30x30-hard-1k >/dev/null ||
    fail "no mazes"

tiny='arch.hidden_size=16 arch.num_heads=2 arch.round_width=16 global_batch_size=4 max_steps=2 demo=False threads=2
    eval_max_examples=20'

# ---- all of them -----------------------------------------------------------------------------------------
for config in "$configs"/*.yaml; do
    name=$(basename "$config" .yaml) fewer=
    case $name in *arc*) fewer=arch.halt_max_steps=2 ;; esac # 900 cells take their time
    # shellcheck disable=SC2086 # words are meant
    if ! "$train" "$config" $tiny $fewer run_dir="runs/$name" >out 2>&1; then
        fail "$name: $(cat out)"
        continue
    fi
    [ "$(grep -c '"train/lm_loss"' "runs/$name/metrics.jsonl")" -eq 2 ] || fail "$name: not two steps"
    [ -s "runs/$name/step_2.safetensors" ] || fail "$name: saved no weights"
    grep -q '"all/exact_accuracy"' "runs/$name/metrics.jsonl" || fail "$name: was not evaluated"
done
for name in arc1 hrm_arc2; do
    grep -q '"ARC/pass@1":[0-9.]*,.*"ARC/pass@1000":[0-9.]*}' "runs/$name/metrics.jsonl" ||
        fail "$name: no pass@K in $(tail -n 1 "runs/$name/metrics.jsonl")"
    grep -q '"bb".*"attempt_2"' "runs/$name/evaluator_ARC_step_2/submission.json" ||
        fail "$name: no submission"
done

# What the ablations change shows in what was run.
changed() {
    grep -q "$2" "runs/$1/all_config.yaml" || fail "$1: does not say '$2'"
}
changed ablation_one_step_gradient 'one_step_gradient: true'
changed ablation_six_latents 'trm_hier6@'
changed ablation_hrm_T4_n4 'H_cycles: 4'
changed hrm_maze 'HierarchicalReasoningModel'
changed ablation_no_augmentation 'num_aug: 0'
[ "$(find runs/ablation_separate_networks/step_2.safetensors -printf %s)" -gt \
    "$(find runs/sudoku_mlp/step_2.safetensors -printf %s)" ] || fail "separate networks have no more weights"

# ---- evaluators and outputs --------------------------------------------------------------------------------
# shellcheck disable=SC2086
"$train" "$configs/arc1.yaml" $tiny run_dir=outputs arch.halt_max_steps=2 arch.forward_dtype=float32 \
    eval_save_outputs='[preds, q_halt_logits, puzzle_identifiers, logits, labels]' \
    'evaluators=[{name: arc@ARC, pass_Ks: [1, 3]}, {name: arc@ARC, submission_K: 3, pass_Ks: [2]}]' >out 2>&1 ||
    fail "two evaluators: $(cat out)"
grep -q '"ARC/pass@1":[0-9.]*,"ARC/pass@3":[0-9.]*,"ARC2/pass@2":[0-9.]*}' outputs/metrics.jsonl ||
    fail "not the scores asked for: $(tail -n 1 outputs/metrics.jsonl)"
grep -q attempt_3 outputs/evaluator_ARC2_step_2/submission.json || fail "no third attempt"
for name in preds q_halt_logits puzzle_identifiers logits labels; do
    [ -s outputs/step_2_all_preds/$name.npy ] || fail "no $name.npy"
done
[ ! -e outputs/step_2_all_preds/inputs.npy ] || fail "saved what nobody asked for"
# Six test examples of 900 cells, 12 tokens each, behind a header of 128 bytes.
[ "$(wc -c <outputs/step_2_all_preds/preds.npy)" -eq $((128 + 6 * 900)) ] || fail "preds.npy has another size"
[ "$(wc -c <outputs/step_2_all_preds/logits.npy)" -eq $((128 + 6 * 900 * 12 * 4)) ] ||
    fail "logits.npy has another size"
# The answer is the greatest logit, and a halting head of two steps is still near its bias of -5.
tail -c +129 outputs/step_2_all_preds/logits.npy | od -An -v -tf4 -w48 |
    awk '{ best = 1; for (i = 2; i <= NF; i++) if ($i > $best) best = i; print best - 1 }' >greatest
tail -c +129 outputs/step_2_all_preds/preds.npy | od -An -v -tu1 -w1 | tr -d ' ' | cmp -s - greatest ||
    fail "the logits do not give the answers"
tail -c +129 outputs/step_2_all_preds/q_halt_logits.npy | od -An -v -tf4 -w4 |
    awk '!($1 > -6 && $1 < -4) { wrong = 1 } END { exit wrong || NR != 6 }' || fail "strange halting logits"
"$eval" --dataset data/arc1concept-aug-1000 --evaluator arc --submission again.json --json \
    --predictions outputs/step_2_all_preds/preds.npy --q outputs/step_2_all_preds/q_halt_logits.npy \
    --identifiers outputs/step_2_all_preds/puzzle_identifiers.npy >out 2>&1 || fail "outputs: $(cat out)"
cmp again.json outputs/evaluator_ARC_step_2/submission.json || fail "saved outputs are scored differently"

# Votes of the evaluation before count too, unless aggregated_voting is off. With many attempts the submission
# shows every answer that ever got a vote, and a high learning rate changes them.
# shellcheck disable=SC2086
"$train" "$configs/arc1.yaml" $tiny run_dir=votes arch.halt_max_steps=2 arch.forward_dtype=float32 max_steps=null \
    epochs=8 eval_interval=4 lr=1e-1 lr_warmup_steps=0 ema=False \
    eval_save_outputs='[preds, q_halt_logits]' 'evaluators=[{name: arc@ARC, submission_K: 40, aggregated_voting: False},
        {name: arc@ARC, submission_K: 40}]' >out 2>&1 || fail "two evaluations: $(cat out)"
[ "$(grep -c 'ARC2/pass@1' votes/metrics.jsonl)" -eq 2 ] || fail "not two evaluations"
last=$(find votes -name 'step_*.safetensors' | sed 's/.*step_//; s/[.].*//' | sort -n | tail -n 1)
"$eval" --dataset data/arc1concept-aug-1000 --evaluator arc --submission alone.json --json \
    --predictions "votes/step_${last}_all_preds/preds.npy" --q "votes/step_${last}_all_preds/q_halt_logits.npy" \
    'evaluators=[{name: arc@ARC, submission_K: 40}]' >out 2>&1 || fail "the last evaluation: $(cat out)"
cmp -s alone.json "votes/evaluator_ARC_step_$last/submission.json" || fail "earlier votes count with aggregated_voting off"
! cmp -s alone.json "votes/evaluator_ARC2_step_$last/submission.json" || fail "earlier votes do not count"

# shellcheck disable=SC2086
refused 'evaluators: there are no test data' "$configs/quickstart.yaml" $tiny data_paths_test='[]' \
    'evaluators=[{name: arc@ARC}]' run_dir=none
# shellcheck disable=SC2086
refused 'sudoku' "$configs/quickstart.yaml" $tiny 'evaluators=[{name: arc@ARC}]' run_dir=none
[ ! -e none ] || fail "a refused run leaves a folder"

if [ "$failures" -gt 0 ]; then
    echo "$failures failures"
    exit 1
fi
echo "every configuration works"
