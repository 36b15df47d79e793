#!/bin/sh
# trm_data arc: the published command line and layout, warnings, and builds that fail leave what there was.
#
#   sh tests/test_arc.sh PATH/TO/trm_data
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1")
enter_empty_folder

# refused SAYS ARGUMENTS...: fails with one line that says so
refused() {
    says=$1
    shift
    if "$program" arc "$@" >out 2>error; then
        fail "arc $* was accepted"
    fi
    [ "$(wc -l <error)" -eq 1 ] || fail "arc $*: not one line: $(cat error)"
    grep -q -e "$says" error || fail "arc $*: does not say '$says': $(cat error)"
}

pair='{"input": [[1, 2]], "output": [[2, 1]]}'
question='{"input": [[3], [4]]}'
echo "{\"aa\": {\"train\": [$pair, $pair], \"test\": [$question]}}" >t_training_challenges.json
echo '{"aa": [[[4], [3]]]}' >t_training_solutions.json
echo "{\"bb\": {\"train\": [$pair], \"test\": [$question, $question]}}" >t_evaluation_challenges.json
echo '{"bb": [[[4], [3]], [[5]]]}' >t_evaluation_solutions.json
echo "{\"bb\": {\"train\": [$pair], \"test\": [$question]}}" >t_more_challenges.json
common="--input-file-prefix t --test-set-name evaluation --num-aug 5"

# ---- the published command line -----------------------------------------------------------------------
# shellcheck disable=SC2086 # words are meant
"$program" arc $common --output-dir d --subsets training evaluation --seed 1 >out 2>error ||
    fail "does not build: $(cat error)"
[ ! -s error ] || fail "warns without a reason: $(cat error)"
grep -q 'train: 2 tasks, 12 with their variants, 24 examples; test: 1 tasks, 6 .* 12 examples; 13' out ||
    fail "says something else of what it built: $(cat out)"
for split in train test; do
    for file in dataset.json all__inputs.npy all__labels.npy all__puzzle_identifiers.npy \
        all__puzzle_indices.npy all__group_indices.npy; do
        [ -s d/$split/$file ] || fail "no d/$split/$file"
    done
done
[ -s d/identifiers.json ] && [ -s d/test_puzzles.json ] || fail "no JSON files"
[ -z "$(find d -name '*.tmp-*')" ] || fail "temporary files are left"

# shellcheck disable=SC2086
"$program" arc $common --subsets=training --subsets evaluation --seed 1 --threads 1 --output-dir e >out ||
    fail "subsets by single options"
diff -r d e >/dev/null || fail "the same arguments give other files"

# ---- warnings -----------------------------------------------------------------------------------------
# shellcheck disable=SC2086
"$program" arc $common --output-dir f --subsets more evaluation >out 2>error || fail "more evaluation"
grep -q 'warning: subset more holds 1 tasks of the test set evaluation' error || fail "no warning of overlap"
grep -q 'warning: t_more_solutions.json: no such file' error || fail "no warning of missing solutions"
# shellcheck disable=SC2086
"$program" arc $common --output-dir g --subsets more evaluation --test-set-name2 more >out 2>error ||
    fail "two test sets"
grep -q 'holds' error && fail "warns of two test sets"

# ---- refusals -----------------------------------------------------------------------------------------
refused '--input-file-prefix is missing' --output-dir x
refused '--output-dir is missing' --input-file-prefix t
refused '--subsets is missing' --input-file-prefix t --output-dir x
refused "unexpected word 'c'" --input-file-prefix t --output-dir x --subsets a --num-aug 5 c
refused '--num-aug many: expected a whole number' --num-aug many
refused '--puzzle-identifiers-start 0' --puzzle-identifiers-start 0
# shellcheck disable=SC2086
{
    refused 't_nothing_challenges.json: cannot open' $common --output-dir x --subsets nothing
    refused 'subset training is named twice' $common --output-dir x --subsets training training
    refused 'holds a data set already' $common --output-dir d --subsets training evaluation
}
[ ! -e x ] || fail "a refused build leaves a folder"

# ---- names that would command a terminal ---------------------------------------------------------------
cp -r d named
sed -i 's/"aa"/"a\\u001b[2J"/' named/identifiers.json
"$program" show named 0 --count 9 >out 2>error || fail "show of strange names: $(cat error)"
grep -q ', a?\[2J' out && ! grep -q "$(printf '\033')" out || fail "show lets control characters through: $(cat out)"

# ---- what was there before ----------------------------------------------------------------------------
cp -r d before
echo '{"aa": [[[4, 4], [3]]]}' >t_training_solutions.json
# shellcheck disable=SC2086
refused 't_training_solutions.json: task aa, solution 1: row 2 has 1 cells' $common --output-dir d \
    --subsets training evaluation --overwrite
diff -r d before >/dev/null || fail "a build that failed changed the data set that was there"
echo '{"aa": [[[4], [3]]]}' >t_training_solutions.json

# The arrays of 1000 variants need more than this much.
# shellcheck disable=SC2086
(ulimit -f 100 && "$program" arc $common --output-dir d --subsets training evaluation --num-aug 1000 \
    --overwrite >out 2>error) && fail "a full disk goes unnoticed"
grep -q 'all__.*npy: cannot write' error || fail "a full disk is not named: $(cat error)"
diff -r d before >/dev/null || fail "a full disk changed the data set that was there"

# shellcheck disable=SC2086
"$program" arc $common --output-dir d --subsets training --overwrite >out 2>error || fail "--overwrite"
[ -s d/train/dataset.json ] || fail "--overwrite built nothing"
[ ! -e d/test/dataset.json ] || fail "an old test split is left beside a new training split"

[ $failures -eq 0 ]
