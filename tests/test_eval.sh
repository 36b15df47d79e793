#!/bin/sh
# trm_eval from the outside: it measures what trm_train measured, halting and batch size change no answer, and bad
# input is refused with one line.
#
#   sh tests/test_eval.sh PATH/TO/trm_train PATH/TO/trm_eval PATH/TO/trm_data
#
# shellcheck disable=SC2015,SC2020 # `a && b || fail` is meant; tr swaps characters
# shellcheck disable=SC3045 # ulimit -v: dash and bash have it
set -u
. "$(dirname "$0")/shell.sh"
trainer=$(absolute "$1")
program=$(absolute "$2")
builder=$(absolute "$3")
golden=$(cd "$(dirname "$0")/../.." && pwd)/shared/golden/arc # recorded answers, where they are
enter_empty_folder

{
    echo 'data_paths: [sudoku:4:20]'
    echo 'data_paths_test: [sudoku:4:13]'
    echo 'eval_interval: 4' # 5 steps
    echo 'min_eval_interval: 53' # weights are saved from step 270 on
    echo 'max_steps: 350'
    learns_in_seconds
} >tiny.yaml
"$trainer" tiny.yaml run_dir=run >train.out 2>&1 || {
    echo "FAIL: no model: $(cat train.out)"
    exit 1
}
trained=run/step_350.safetensors

# eval [OPTION...]: standard output in out, errors in err, exit status in $status
eval_model() {
    "$program" "$@" >out 2>err
    status=$?
}

# good [OPTION...]: the same, which must go well and silently
good() {
    eval_model "$@"
    [ $status -eq 0 ] && [ ! -s err ] || fail "trm_eval $*: exit $status: $(cat err)"
}

# value KEY FILE: the number behind "KEY": in JSON, the first of that name
value() {
    tr ',{}[]' '\n\n\n\n\n' <"$2" | sed -n "s|^\"$1\":||p" | head -n 1
}

# numbers FORMAT FILE: the elements of a NumPy file, one a line; FORMAT is od's
numbers() {
    header=$(od -An -tu2 -j8 -N2 "$2" | tr -d ' ')
    od -An -v "-t$1" -w"${3:-8}" "-j$((header + 10))" "$2"
}

# ---- the same numbers as trm_train's own

good --checkpoint $trained --json
[ "$(wc -l <out)" -eq 1 ] || fail "--json writes $(wc -l <out) lines"
grep '^{"step":350,"all/' run/metrics.jsonl >own
for key in all/accuracy all/exact_accuracy all/q_halt_accuracy all/steps all/lm_loss all/q_halt_loss; do
    here=$(value $key out) there=$(value $key own)
    [ -n "$there" ] && awk -v a="$here" -v b="$there" 'BEGIN { exit !(a + 0 == b + 0) }' ||
        fail "$key is $here, trm_train measured $there"
done
for key in examples all/loss halting_step seconds puzzles_per_second step halted accuracy exact_accuracy; do
    [ -n "$(value $key out)" ] || fail "no $key in $(cat out)"
done
[ "$(value examples out)" = 13 ] && [ "$(value all/steps out)" = 6 ] || fail "examples, steps: $(cat out)"
[ "$(grep -o '"halted"' out | wc -l)" -eq 6 ] || fail "not one entry per supervision step"
grep -q '"difficulty":\[{"lowest"' out || fail "no bins of difficulty: $(cat out)"

loss=$(value all/lm_loss out)
good --checkpoint $trained
grep -q '^exact .* on 13 puzzles' out && grep -q 'after step' out && grep -q difficulty out || fail "text: $(cat out)"

# ---- where the configuration comes from

good --checkpoint $trained --config run/all_config.yaml --json
[ "$(value all/lm_loss out)" = "$loss" ] || fail "--config: $(cat out)"
good --checkpoint $trained --json arch.H_cycles=2
[ "$(value all/lm_loss out)" != "$loss" ] || fail "KEY=VALUE changes nothing"

# ---- batch sizes: no answer may depend on them

# Among the saved models, one that stops early for some puzzles and thinks to the end about others.
mixed=
for model in run/step_*.safetensors; do
    good --checkpoint "$model" --dataset sudoku:4:16 --halt --output-steps steps.npy
    [ "$(numbers d4 steps.npy 4 | sort -u | wc -l)" -gt 1 ] || continue
    mixed=$model
    numbers d4 steps.npy 4 | grep -qw 6 && break
done
[ -n "$mixed" ] || fail "all models stop at the same step everywhere"
good --checkpoint "$mixed" --dataset sudoku:4:16 --json --output whole.npy --output-q whole_q.npy \
    --output-identifiers identifiers.npy --output-steps whole_steps.npy
cp out whole.json
good --checkpoint "$mixed" --dataset sudoku:4:16 --json --halt --output halt.npy --output-q halt_q.npy \
    --output-steps halt_steps.npy
cp out halt.json
for size in 1 3 5 16 100; do
    good --checkpoint "$mixed" --dataset sudoku:4:16 --batch-size $size --output other.npy
    cmp -s whole.npy other.npy || fail "--batch-size $size changes answers"
    good --checkpoint "$mixed" --dataset sudoku:4:16 --batch-size $size --halt --output other.npy --output-steps steps.npy
    cmp -s halt.npy other.npy && cmp -s halt_steps.npy steps.npy || fail "--halt --batch-size $size changes answers"
done
good --checkpoint "$mixed" --dataset sudoku:4:16 --threads 1 --output other.npy --output-q other_q.npy
cmp -s whole.npy other.npy && cmp -s whole_q.npy other_q.npy || fail "--threads changes answers"
[ "$(numbers u1 whole.npy 16 | wc -l)" -eq 16 ] || fail "predictions: $(numbers u1 whole.npy 16)"
[ "$(numbers d4 identifiers.npy 4 | sort -u | tr -d ' ')" = 0 ] || fail "identifiers: $(numbers d4 identifiers.npy 4)"
[ "$(numbers f8 whole_q.npy | wc -l)" -eq 16 ] || fail "halting logits are not 16 doubles"

# ---- halting

numbers d4 whole_steps.npy 4 | grep -qvw 6 && fail "without --halt a puzzle gets less than all steps"
numbers d4 halt_steps.npy 4 >steps
numbers u1 whole.npy 16 >answers.whole
numbers u1 halt.npy 16 >answers.halt
paste steps answers.whole >a
paste steps answers.halt >b
awk '$1 == 6' a >a6
awk '$1 == 6' b >b6
cmp -s a6 b6 || fail "--halt changes the answer of a puzzle that ran to the end"
numbers f8 halt_q.npy >q
paste steps q | awk '$1 < 6 && $2 <= 0 || $1 > 6 { exit 1 }' || fail "--halt stops a puzzle whose head has not fired"
mean=$(awk '{ sum += $1 } END { print sum / NR }' steps)
awk -v a="$mean" -v b="$(value all/steps halt.json)" -v c="$(value halting_step halt.json)" \
    -v d="$(value halting_step whole.json)" \
    'BEGIN { exit !((a - b) ^ 2 < 1e-6 && (a - c) ^ 2 < 1e-6 && (a - d) ^ 2 < 1e-6) }' ||
    fail "mean halting step $mean: $(cat halt.json)"

# ---- settings

good --checkpoint "$mixed" --steps 2 --json
[ "$(value all/steps out)" = 2 ] && [ "$(grep -o '"halted"' out | wc -l)" -eq 2 ] || fail "--steps 2: $(cat out)"
good --checkpoint "$mixed" --steps 9 --json
[ "$(value all/steps out)" = 9 ] || fail "--steps 9: $(cat out)"
good --checkpoint $trained --limit 5 --json
[ "$(value examples out)" = 5 ] || fail "--limit 5: $(cat out)"
good --checkpoint $trained --dtype float32 --json
awk -v a="$(value all/lm_loss out)" -v b="$loss" 'BEGIN { exit !((a - b) ^ 2 < 1e-6) }' || fail "--dtype float32"
good --checkpoint $trained --dtype bfloat16 --json
good --checkpoint $trained --dtype float32 --batch-size 1 --output a.npy
good --checkpoint $trained --dtype float32 --batch-size 13 --output b.npy
cmp -s a.npy b.npy || fail "in float32 batch sizes change answers of a trained model"

# ---- a CSV file: accuracy by difficulty

cat >rated.csv <<'END'
source,question,answer,rating
a,1...3...2...4...,1234341221434321,1
b,1...3...2...4...,1234341221434321,7
c,1...3...2...4...,1234341221434321,7
END
good --checkpoint $trained --dataset rated.csv --json
grep -q '"difficulty":\[{"lowest":1,"highest":1,"examples":1,.*{"lowest":7,"highest":7,"examples":2,' out ||
    fail "difficulty: $(cat out)"

# ---- a folder, and two data sets at once

"$builder" sudoku --input rated.csv --test-input rated.csv --output-dir folder >build.out 2>&1 ||
    fail "no folder: $(cat build.out)"
good --checkpoint $trained --dataset folder --json
loss=$(value all/lm_loss out)
[ -n "$loss" ] && ! grep -q difficulty out || fail "a folder: $(cat out)"
good --checkpoint $trained --dataset folder/test/ --json
[ "$(value all/lm_loss out)" = "$loss" ] || fail "a split: $(cat out)"
# In batches of one set's size each set has its own, and so the same bits; in one of both, those that a BLAS gives
# float64 in another shape.
good --checkpoint $trained --batch-size 3 --json 'data_paths_test=[rated.csv,folder]'
[ "$(value all1/lm_loss out)" = "$loss" ] && [ -n "$(value all/lm_loss out)" ] || fail "two sets: $(cat out)"
good --checkpoint $trained --json 'data_paths_test=[rated.csv,folder]'
awk -v a="$(value all1/lm_loss out)" -v b="$loss" 'BEGIN { exit !((a - b) ^ 2 < 1e-24 * b ^ 2) }' ||
    fail "two sets in a batch: $(cat out)"

# ---- ARC: votes on what a model answers are those on its answers in files

cat >a_training_challenges.json <<'END'
{"t1": {"train": [{"input": [[1,2],[3,4]], "output": [[2,1],[4,3]]}], "test": [{"input": [[7,8]]}]}}
END
echo '{"t1": [[[8,7]]]}' >a_training_solutions.json
cat >a_evaluation_challenges.json <<'END'
{"e1": {"train": [{"input": [[1,2,0],[3,4,0]], "output": [[2,1],[4,3]]}], "test": [{"input": [[7,8]]}, {"input": [[1]]}]},
 "e2": {"train": [{"input": [[1,1]], "output": [[2,2]]}], "test": [{"input": [[3,3],[3,3]]}]}}
END
echo '{"e1": [[[8,7]], [[1]]], "e2": [[[4,4],[4,4]]]}' >a_evaluation_solutions.json
"$builder" arc --input-file-prefix a --output-dir arc --subsets training evaluation --test-set-name evaluation \
    --num-aug 3 >arc.out 2>&1 || fail "no ARC data set: $(cat arc.out)"
cat >arc.yaml <<'END'
data_paths: [arc]
global_batch_size: 5
epochs: 8
eval_interval: 8
max_steps: 1
threads: 2
arch: {hidden_size: 16, num_heads: 1, round_width: 16, H_cycles: 1, L_cycles: 1, L_layers: 1, puzzle_emb_len: 1,
       halt_max_steps: 2, forward_dtype: float32}
END
"$trainer" arc.yaml run_dir=arcrun >train.out 2>&1 || fail "no ARC model: $(cat train.out)"
good --checkpoint arcrun/step_1.safetensors --evaluator arc --json --submission submission.json --output answers.npy \
    --output-q q.npy --output-identifiers identifiers.npy
for K in 1 2 5 10 100 1000; do
    [ -n "$(value "ARC/pass@$K" out)" ] || fail "no ARC/pass@$K in $(cat out)"
done
[ -n "$(value all/lm_loss out)" ] || fail "ARC: no loss in $(cat out)"
[ "$(grep -o attempt_1 submission.json | wc -l)" -eq 3 ] || fail "submission: $(cut -c 1-200 submission.json)"
grep -o '"ARC[^,]*' out >passes
good --dataset arc --predictions answers.npy --q q.npy --identifiers identifiers.npy --evaluator arc --json \
    --submission from_files.json
grep -o '"ARC[^,}]*' out | cmp -s - passes && cmp -s submission.json from_files.json || fail "votes on files differ: $(cat out)"
good --dataset arc --predictions answers.npy --q q.npy --identifiers identifiers.npy --evaluator arc --json \
    --submission three.json 'evaluators=[{name: arc@ARC, submission_K: 3, pass_Ks: [1, 7]}]'
[ -n "$(value ARC/pass@7 out)" ] && [ -z "$(value ARC/pass@2 out)" ] && grep -q attempt_3 three.json ||
    fail "votes on files go by the default K: $(cat out)"
cp -r arc other
rm -r other/test
"$trainer" arc.yaml run_dir=mixed 'data_paths=[other, arc]' puzzle_emb_lr=0.5 lr_warmup_steps=0 >train.out 2>&1 ||
    fail "no ARC model: $(cat train.out)"
for set in "" "--dataset arc"; do
    # The rows of the second data set, and not their mean.
    # shellcheck disable=SC2086 # two words or none
    good --checkpoint mixed/step_1.safetensors $set --json
    awk -v a="$(value all/lm_loss out)" -v b="$(tail -n 1 mixed/metrics.jsonl | sed 's/.*"all.lm_loss":\([^,]*\).*/\1/')" \
        'BEGIN { exit !((a - b) ^ 2 < 1e-14) }' && [ ! -s err ] || fail "one of two data sets: $(cat err out mixed/metrics.jsonl)"
done
good --checkpoint arcrun/step_1.safetensors --dataset arc:a --evaluator arc --submission other.json num_aug=3 \
    'data_paths=[arc:a]' --json
[ "$(grep -o attempt_1 other.json | wc -l)" -eq 3 ] || fail "arc:a : $(cat out)"
if [ -d "$golden" ]; then
    good --dataset "$golden/dataset" --predictions "$golden/predictions.npy" --q "$golden/q_halt_logits.npy" \
        --identifiers "$golden/example_identifiers.npy" --evaluator arc --submission golden.json --json
    for K in 1 2 5 10 100 1000; do
        expected=$(sed -n "s|.*\"ARC/pass@$K\": \([0-9.]*\).*|\1|p" "$golden/expected/pass_at_k.json")
        awk -v a="$(value "ARC/pass@$K" out)" -v b="$expected" 'BEGIN { exit !(b != "" && (a - b) ^ 2 < 1e-20) }' ||
            fail "ARC/pass@$K is $(value "ARC/pass@$K" out), expected $expected"
    done
    tr -d ' \n' <golden.json >a
    tr -d ' \n' <"$golden/expected/submission.json" >b
    cmp -s a b || fail "the submission is not the expected one"
fi

# ---- refusals: exit 1 and one line that says what is wrong; no file appears

# refused WORDS [OPTION...]
refused() {
    words=$1
    shift
    eval_model "$@"
    [ $status -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q '^trm_eval: ' err && grep -qF -- "$words" err ||
        fail "trm_eval $*: exit $status, '$words' is not in: $(cat err)"
    [ ! -e bad.npy ] || fail "trm_eval $*: leaves a file"
}

printf 'PK\003\004rest of an archive' >model.pt
printf '\200\002rest of a pickle' >model.pkl
head -c 1000 $trained >cut.safetensors
: >empty.safetensors
mkdir alone
cp $trained alone/weights.safetensors
printf 'source,question,answer\na,1...3...2...4...\n' >short.csv

refused "--checkpoint"
refused "missing.safetensors" --checkpoint missing.safetensors
refused "a checkpoint of PyTorch" --checkpoint model.pt
refused "a checkpoint of PyTorch" --checkpoint model.pkl
refused "tiny.yaml" --checkpoint tiny.yaml
refused "cut.safetensors" --checkpoint cut.safetensors
refused "empty.safetensors" --checkpoint empty.safetensors
refused "missing.yaml" --checkpoint $trained --config missing.yaml
refused "$trained" --checkpoint $trained --config $trained
refused "missing.csv" --checkpoint $trained --dataset missing.csv --output bad.npy
refused "short.csv:2" --checkpoint $trained --dataset short.csv --output bad.npy
refused "has 36 cells" --checkpoint $trained --dataset sudoku:6:4 'data_paths=[sudoku:6:4]' --output bad.npy
refused "inner.embed_tokens.embedding_weight has shape" --checkpoint $trained arch.hidden_size=64
refused "arch.hidden_size is 65536" --checkpoint $trained arch.hidden_size=65536
refused "weights and puzzle embeddings of" --checkpoint $trained arch.expansion=1000
refused "did you mean 'arch.hidden_size'" --checkpoint $trained arch.hiden_size=32
refused "arch.halt_max_steps: 0 is outside" --checkpoint $trained --steps 0
refused "global_batch_size" --checkpoint $trained --batch-size -3
refused "eval_max_examples" --checkpoint $trained --limit many
refused "arch.forward_dtype" --checkpoint $trained --dtype float16
refused "there is arc" --checkpoint $trained --evaluator sudoku
refused "--submission goes with" --checkpoint $trained --submission bad.npy
refused "--predictions goes with" --dataset arc --predictions answers.npy --q q.npy
refused "also needs --q" --dataset arc --predictions answers.npy --evaluator arc
refused "also needs --dataset" --predictions answers.npy --q q.npy --evaluator arc
refused "leave --checkpoint out" --checkpoint $trained --dataset arc --predictions answers.npy --q q.npy --evaluator arc
refused "did you mean 'evaluators'" --dataset arc --predictions answers.npy --q q.npy --evaluator arc 'evaluator=[]'
refused "go with --predictions" --checkpoint $trained --q q.npy
refused "steps.npy" --dataset arc --predictions steps.npy --q q.npy --evaluator arc --submission bad.npy
refused "test_puzzles.json" --dataset folder --predictions answers.npy --q q.npy --evaluator arc --submission bad.npy
refused "test_puzzles.json" --checkpoint $trained --dataset folder --evaluator arc --submission bad.npy
refused "missing/answers.npy" --checkpoint $trained --output missing/answers.npy
refused "not a regular file" --checkpoint $trained --output alone
refused "written twice" --checkpoint $trained --output bad.npy --output-q bad.npy
refused "is read too" --checkpoint alone/weights.safetensors --config $trained --output alone/../alone/weights.safetensors
refused "is read too" --dataset arc --predictions answers.npy --q q.npy --evaluator arc --submission q.npy
cmp -s $trained alone/weights.safetensors || fail "the weights were written over"
if sh -c 'ulimit -v 400000; "$0" --version' "$program" >/dev/null 2>&1; then
    (
        ulimit -v 400000
        refused "memory" --checkpoint $trained --steps 65535 --halt --batch-size 1048576 \
            --output bad.npy
        [ $failures -eq 0 ]
    ) || failures=$((failures + 1))
fi
"$program" --checkpoint $trained --json >/dev/full 2>err && fail "a full disk goes unnoticed"
[ "$(wc -l <err)" -eq 1 ] && grep -q 'standard output' err || fail "a full disk: $(cat err)"
# 2 KiB are not enough for the answers, but for what an OpenMP keeps in shared memory.
head -n 1 rated.csv >long.csv
for i in $(seq 300); do sed -n 2p rated.csv; done >>long.csv
(
    ulimit -f 4
    "$program" --checkpoint $trained --dataset long.csv --output bad.npy 2>&1 >/dev/null
    echo "exit $?"
) | cat >err
[ ! -e bad.npy ] && [ "$(wc -l <err)" -eq 2 ] && grep -q 'bad.npy' err && grep -q 'exit 1' err ||
    fail "a full disk: $(cat err)"

# ---- Ctrl-C: nothing is reported, nothing written

"$program" --checkpoint $trained --steps 65535 --output bad.npy >out 2>err &
process=$!
tries=0
until ls bad.npy.tmp-$process-* >/dev/null 2>&1 || [ $tries -ge 600 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
kill -INT $process
wait $process
status=$?
[ $status -eq 130 ] && grep -q 'nothing is reported' err && ! ls bad.npy* >/dev/null 2>&1 ||
    fail "Ctrl-C: exit $status, $(cat err), $(ls bad.npy* 2>/dev/null)"

[ $failures -eq 0 ] && echo "all of trm_eval's behaviour is as it should be"
[ $failures -eq 0 ]
