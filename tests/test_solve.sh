#!/bin/sh
# trm_solve from the outside: puzzles of every form, what is shown, what is consistent, and one line for what is no
# puzzle.
#
#   sh tests/test_solve.sh PATH/TO/trm_train PATH/TO/trm_solve
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
trainer=$(absolute "$1")
program=$(absolute "$2")
enter_empty_folder

{
    echo 'data_paths: [sudoku:4:20]'
    echo 'eval_interval: 400'
    learns_in_seconds
} >tiny.yaml

# train DIR [key=value ...]: a model in DIR/model.safetensors
train() {
    folder=$1
    shift
    "$trainer" tiny.yaml "run_dir=$folder" "$@" >train.out 2>&1 && mv "$folder"/step_*.safetensors "$folder/model.safetensors" || {
        echo "FAIL: no model: $(cat train.out)"
        exit 1
    }
}

# solve MODEL [OPTION...]: standard output in out, errors in err, exit status in $status
solve() {
    model=$1
    shift
    "$program" --checkpoint "$model/model.safetensors" "$@" >out 2>err
    status=$?
}

# refused WORDS MODEL [OPTION...]: exit 1 and one line with WORDS in it
refused() {
    words=$1
    shift
    solve "$@" </dev/null
    [ $status -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q '^trm_solve: ' err && grep -qF -- "$words" err ||
        fail "trm_solve $*: exit $status, '$words' is not in: $(cat err)"
    [ ! -s out ] || fail "trm_solve $*: still prints $(cat out)"
}

# ---- Sudoku

train sudoku
clues=1...3...2...4... answer=1234341221434321
solve sudoku --raw $clues
first=$(cat out)
[ "${#first}" -eq 16 ] && [ -z "$(tr -d '1-4\n' <out)" ] || fail "--raw prints: $first"

[ $status -eq 0 ] || fail "answer $first: exit $status"
echo $clues >file.txt
tr . 0 <file.txt >zeros
printf '1. | ..\n3. | ..\n---+---\n2. | ..\n4. | ..\n' >drawn
for form in file.txt zeros drawn; do
    solve sudoku --raw "./$form"
    [ "$(cat out)" = "$first" ] || fail "$form: $(cat out err)"
    solve sudoku --raw <$form
    [ "$(cat out)" = "$first" ] || fail "$form on standard input: $(cat out err)"
    solve sudoku --raw - <$form
    [ "$(cat out)" = "$first" ] || fail "$form by -: $(cat out err)"
done
solve sudoku $answer
[ $status -eq 0 ] && grep -q '^Consistent: ' out || fail "a solved Sudoku: exit $status, $(cat out err)"
solve sudoku ................ --steps 1
[ $status -eq 2 ] && grep -q '^Not consistent: ' out || [ $status -eq 0 ] || fail "an empty Sudoku: exit $status"
solve sudoku 11..............
[ $status -eq 2 ] && grep -q '^Not consistent: ' out || fail "a Sudoku without solution: exit $status, $(cat out)"

solve sudoku --watch $clues
grep -q '^step 1, halting probability 0\.[0-9]*$' out || fail "--watch: $(cat out err)"
[ "$(grep -c '^  +' out)" -ge 6 ] || fail "--watch draws too little: $(cat out)"
grep -A1 '^step 1,' out | grep -q '^  +-*+-*+  *+-*+-*+$' || fail "--watch does not show y and z side by side: $(cat out)"
grep -q '\*[1-4]' out || fail "--watch marks no changed cell: $(cat out)"
solve sudoku --watch --steps 1 $clues
[ "$(grep -c halting out)" -eq 1 ] || fail "--steps 1: $(cat out)"
printf '\033' >escape
! grep -q -f escape out || fail "escape sequences where there is no terminal"
solve sudoku --identifier 0 --raw $clues
[ "$(cat out)" = "$first" ] || fail "--identifier 0: $(cat out err)"
solve sudoku --dtype float32 --threads 1 --raw $clues
[ "$(cat out)" = "$first" ] || fail "--dtype float32: $(cat out err)"

# ---- maze

train maze 'data_paths=[maze:6:20]' max_steps=60
printf '######\n#S   #\n# ## #\n#    #\n# ##G#\n######\n' >maze.txt
solve maze --raw maze.txt
[ $status -eq 0 ] || [ $status -eq 2 ] || fail "a maze: exit $status: $(cat err)"
cp out answer
[ "$(wc -l <answer)" -eq 6 ] && [ "$(awk '{ print length($0) }' answer | sort -u)" = 6 ] || fail "a maze: $(cat answer)"
tr -d '\n' <maze.txt >line
solve maze --raw ./line
cmp -s out answer || fail "a maze in one line: $(cat out err)"
printf '######\r\n#S   #\r\n# ## #\r\n#    #\r\n# ##G#\r\n######\r\n\r\n' >windows
solve maze --raw ./windows
cmp -s out answer || fail "a maze with carriage returns: $(cat out err)"
solve maze --watch maze.txt
grep -q 'step 1, halting probability' out && grep -q -i consistent: out || fail "--watch of a maze: $(cat out err)"
refused "a maze has one S, this has 0" maze "$(tr S '#' <maze.txt)"
refused "a maze has one G, this has 2" maze "$(sed 's/#S  /#SG /' maze.txt)"
refused "line 2, column 3: 'x'" maze "$(sed 's/#S /#Sx/' maze.txt)"
refused "line 2, column 3: 'o'" maze "$(sed 's/#S /#So/' maze.txt)"
refused "5 lines of up to 6 cells" maze "$(tail -n 5 maze.txt)"
refused "3 lines of up to 3 cells" maze "$(printf '###\n#SG\n###')"
refused "was trained on Sudokus" sudoku maze.txt

# ---- ARC

cat >a_training_challenges.json <<'END'
{"t1": {"train": [{"input": [[1,2],[3,4]], "output": [[2,1],[4,3]]}], "test": [{"input": [[7,8]]}]}}
END
echo '{"t1": [[[8,7]]]}' >a_training_solutions.json
train arc 'data_paths=[arc:a:training]' num_aug=3 max_steps=1 global_batch_size=2 arch.mlp_t=False
task='{"train": [], "test": [{"input": [[7, 8]]}, {"input": [[1], [2]]}]}'
solve arc "$task"
[ $status -ne 1 ] && grep -q '^test 2 of 2:' out && [ "$(grep -ci '^\(not \)*consistent:' out)" -eq 2 ] || fail "ARC: $(cat err)"
grep -q 'mean of the .* puzzle embeddings' err || fail "an unknown task is not said to be one: $(cat err)"
echo "$task" >task.json
solve arc --raw --identifier 1 task.json
[ "$(wc -l <out)" -eq 2 ] && [ ! -s err ] && head -n 1 out | grep -q '^\[.*\]$' || fail "ARC --raw: $(cat out err)"
refused "row 1, column 2 is 88" arc '{"train": [], "test": [{"input": [[7, 88]]}]}'
refused "row 2" arc '{"train": [], "test": [{"input": [[7, 8], [1]]}]}'
refused "not JSON" arc '{"train": ['
refused "--identifier" arc --identifier 1000 "$task"

# ---- refusals

refused "empty" sudoku
refused "empty" sudoku ""
refused "16, 36 or 81 cells, this has 15" sudoku 1...3...2...4..
refused "cell 3: a Sudoku of size 4 has no 5" sudoku 1.5.3...2...4...
refused "'x' is neither" sudoku 1..x3...2...4...
refused "this is a Sudoku of size 6; sudoku/model.safetensors was trained on Sudokus of size 4" sudoku \
    ....................................
refused "this is an ARC task of size 30; sudoku/model.safetensors was trained on Sudokus of size 4" sudoku \
    '{"train": [], "test": [{"input": [[1]]}]}'
refused "arc/model.safetensors was trained on puzzles of 12 tokens, not 6" arc $clues
refused "missing.txt" sudoku missing.txt
refused "./missing" sudoku ./missing
refused "--identifier" sudoku --identifier 1 $clues
refused "--identifier" sudoku --identifier -1 $clues
refused "--identifier" sudoku --identifier x $clues
refused "arch.halt_max_steps" sudoku --steps 0 $clues
refused "missing/model.safetensors" missing $clues
"$program" $clues >out 2>err
[ $? -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q -- '--checkpoint' err || fail "no model: $(cat err)"
solve sudoku $clues >/dev/null
"$program" --checkpoint sudoku/model.safetensors $clues >/dev/full 2>err && fail "a full disk goes unnoticed"
[ "$(wc -l <err)" -eq 1 ] && grep -q 'standard output' err || fail "a full disk: $(cat err)"
head -c 5000000 /dev/zero >large
refused "larger than 4 MiB" sudoku ./large
head -c 1000 /dev/zero >zero
refused "byte 0x00" sudoku ./zero

[ $failures -eq 0 ] && echo "all of trm_solve's behaviour is as it should be"
[ $failures -eq 0 ]
