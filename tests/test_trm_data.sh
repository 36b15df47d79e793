#!/bin/sh
# trm_data from the outside: the data sets that it builds, that they can be built again bit for bit, what `show`
# prints of them, and that bad input is refused with one line and leaves nothing behind.
#
#   sh tests/test_trm_data.sh PATH/TO/trm_data
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1")
enter_empty_folder

# good COMMAND...: it works and says nothing on standard error
good() {
    "$program" "$@" >out 2>err
    status=$?
    [ $status -eq 0 ] && [ ! -s err ] || fail "trm_data $*: exits with $status: $(cat err)"
}

# refused WORDS COMMAND...: it fails, one line on standard error has these words, and nothing else happens
refused() {
    words=$1
    shift
    "$program" "$@" >out 2>err
    status=$?
    [ $status -ne 0 ] || fail "trm_data $*: works"
    [ "$(wc -l <err)" -eq 1 ] && grep -q -- "$words" err || fail "trm_data $*: expected '$words', got: $(cat err)"
    [ ! -s out ] || fail "trm_data $*: says something on standard output: $(cat out)"
}

# rows FILE WIDTH: the rows of a two-dimensional NumPy file of bytes as numbers
rows() {
    tail -c +129 "$1" | od -An -v -tu1 -w"$2"
}

# indices FILE: the elements of a one-dimensional one of int32
indices() {
    tail -c +129 "$1" | od -An -v -td4 -w4 | tr -d ' ' | tr '\n' ' '
}

# metadata SPLIT GROUPS CELLS TOKENS: what the published builder writes
metadata() {
    printf '{"pad_id": 0, "ignore_label_id": 0, "blank_identifier_id": 0, "vocab_size": %s, "seq_len": %s, ' "$3" "$2"
    printf '"num_puzzle_identifiers": 1, "total_groups": %s, "mean_puzzle_examples": 1.0, ' "$1"
    printf '"total_puzzles": %s, "sets": ["all"]}' "$1"
}

same_folder() {
    (cd "$1" && find . -type f | sort) >files.a
    (cd "$2" && find . -type f | sort) >files.b
    cmp -s files.a files.b || return 1
    while read -r file; do
        cmp -s "$1/$file" "$2/$file" || return 1
    done <files.a
}

# ---- tables of Sudokus

good generate sudoku --size 4 --count 20 --test-count 6 --seed 3 --csv --output-dir csv
[ "$(wc -l <csv/train.csv)" -eq 21 ] && [ "$(wc -l <csv/test.csv)" -eq 7 ] || fail "tables: $(wc -l csv/*)"
refused "is there already" generate sudoku --size 4 --count 20 --csv --output-dir csv

good sudoku --input csv --output-dir plain
for split in train test; do
    for part in inputs labels puzzle_identifiers puzzle_indices group_indices; do
        [ -f plain/$split/all__$part.npy ] || fail "there is no $split/all__$part.npy"
    done
done
[ "$(cat plain/identifiers.json)" = '["<blank>"]' ] || fail "identifiers.json: $(cat plain/identifiers.json)"
[ "$(cat plain/train/dataset.json)" = "$(metadata 20 16 6)" ] || fail "dataset.json: $(cat plain/train/dataset.json)"
[ "$(cat plain/test/dataset.json)" = "$(metadata 6 16 6)" ] || fail "test/dataset.json"
[ "$(find plain | wc -l)" -eq 16 ] || fail "there is more than there should be: $(find plain)"
[ "$(indices plain/test/all__group_indices.npy)" = "0 1 2 3 4 5 6 " ] || fail "group indices"
[ "$(indices plain/test/all__puzzle_indices.npy)" = "0 1 2 3 4 5 6 " ] || fail "puzzle indices"
[ "$(indices plain/test/all__puzzle_identifiers.npy)" = "0 0 0 0 0 0 " ] || fail "puzzle identifiers"

# The tokens are the table's digits, plus one.
tail -n +2 csv/train.csv | cut -d, -f2 | tr '.' '0' >questions
rows plain/train/all__inputs.npy 16 | awk '{for (i = 1; i <= NF; i++) printf "%d", $i - 1; print ""}' >tokens
cmp -s questions tokens || fail "the inputs are not the table's questions"
tail -n +2 csv/train.csv | cut -d, -f3 >answers
rows plain/train/all__labels.npy 16 | awk '{for (i = 1; i <= NF; i++) printf "%d", $i - 1; print ""}' >tokens
cmp -s answers tokens || fail "the labels are not the table's answers"

# ---- variants

good sudoku --input csv --output-dir aug --num-aug 4 --seed 7
[ "$(cat aug/train/dataset.json)" = "$(metadata 20 16 6)" ] || fail "dataset.json with variants"
[ "$(rows aug/train/all__inputs.npy 16 | wc -l)" -eq 100 ] || fail "not five puzzles in each group"
[ "$(indices aug/train/all__group_indices.npy | cut -d' ' -f1-4)" = "0 5 10 15" ] || fail "groups of five"
rows aug/train/all__inputs.npy 16 | awk 'NR % 5 == 1' >originals
rows plain/train/all__inputs.npy 16 | cmp -s - originals || fail "the first of a group is not the original"
cmp -s plain/test/all__inputs.npy aug/test/all__inputs.npy || fail "test puzzles have variants"
rows aug/train/all__inputs.npy 16 >in
rows aug/train/all__labels.npy 16 | paste -d' ' in - | awk '{
    for (i = 1; i <= 16; i++) {
        if ($i != 1 && $i != $(16 + i)) bad++ # a clue that the answer does not keep
        row[$(16 + i), int((i - 1) / 4)]++
        column[$(16 + i), (i - 1) % 4]++
    }
    for (unit in row) if (row[unit] != 1) bad++
    for (unit in column) if (column[unit] != 1) bad++
    split("", row); split("", column)
} END { exit bad > 0 }' || fail "a variant is no Sudoku"
[ "$(rows aug/train/all__inputs.npy 16 | sort -u | wc -l)" -gt 60 ] || fail "the variants are the same"

good sudoku --input csv --output-dir again --num-aug 4 --seed 7
same_folder aug again || fail "the same seed gives another data set"
good sudoku --input csv --output-dir other --num-aug 4 --seed 8
cmp -s aug/train/all__inputs.npy other/train/all__inputs.npy && fail "another seed gives the same variants"

# ---- which puzzles

good sudoku --input csv --output-dir sample --subsample-size 5 --seed 1
[ "$(rows sample/train/all__inputs.npy 16 | sort -u | wc -l)" -eq 5 ] || fail "a sample of five"
[ "$(rows sample/test/all__inputs.npy 16 | wc -l)" -eq 6 ] || fail "a sample of the test puzzles"
rows sample/train/all__inputs.npy 16 | sort >chosen
rows plain/train/all__inputs.npy 16 | sort | comm -23 chosen - | grep -q . && fail "a sample of other puzzles"
good sudoku --input csv --output-dir sample2 --subsample-size 5 --seed 2
rows sample2/train/all__inputs.npy 16 | sort | cmp -s - chosen && fail "another seed draws the same sample"
good sudoku --input csv --output-dir sample1 --subsample-size 5 --seed 1
same_folder sample sample1 || fail "the same seed draws another sample"
good sudoku --input csv --output-dir all --subsample-size 20
same_folder plain all || fail "a sample of all puzzles is not all puzzles"

{
    head -n 1 csv/train.csv
    tail -n +2 csv/train.csv | awk -F, -v OFS=, '{$4 = NR % 3; print}'
} >rated.csv
good sudoku --input rated.csv --test-input rated.csv --output-dir hard --min-difficulty 2
awk -F, 'NR > 1 && $4 >= 2 {print $2}' rated.csv | tr '.' '0' >questions
for split in train test; do
    rows hard/$split/all__inputs.npy 16 | awk '{for (i = 1; i <= NF; i++) printf "%d", $i - 1; print ""}' |
        cmp -s - questions || fail "--min-difficulty, $split"
done
refused "no puzzle has a rating of 3 or more" sudoku --input rated.csv --output-dir none --min-difficulty 3
[ ! -e none ] || fail "an empty data set is there"

good sudoku --input rated.csv --output-dir trainonly
[ -d trainonly/train ] && [ ! -e trainonly/test ] || fail "a table alone gives a test split"

# ---- mazes

good generate maze --size 7 --count 5 --test-count 2 --seed 4 --csv --output-dir mazes
good maze --input mazes --output-dir maze --seed 1
[ "$(cat maze/train/dataset.json)" = "$(metadata 5 49 6)" ] || fail "dataset.json of mazes"
tail -n +2 mazes/train.csv | cut -d, -f2 >questions
rows maze/train/all__inputs.npy 49 |
    awk '{for (i = 1; i <= NF; i++) printf "%s", substr("# SGo", $i, 1); print ""}' | cmp -s - questions ||
    fail "the inputs are not the table's mazes"
good maze --input mazes --output-dir sides --aug
[ "$(rows sides/train/all__inputs.npy 49 | wc -l)" -eq 40 ] || fail "not eight sides of each maze"
[ "$(rows sides/test/all__inputs.npy 49 | wc -l)" -eq 2 ] || fail "test mazes have sides"
rows sides/train/all__inputs.npy 49 | awk 'NR % 8 == 1' >originals
rows maze/train/all__inputs.npy 49 | cmp -s - originals || fail "the first side is not the original"
rows sides/train/all__inputs.npy 49 | awk 'NR == 7 {
    for (row = 0; row < 7; row++)
        for (column = 0; column < 7; column++)
            printf " %3d", $(column * 7 + row + 1)
    print ""
}' >transposed # side 6 is the transpose
rows maze/train/all__inputs.npy 49 | head -n 1 | cmp -s - transposed || fail "the sides are not numbered as published"

# ---- puzzles made on the spot

good generate sudoku --size 6 --count 12 --seed 5 --output-dir made
[ "$(cat made/train/dataset.json)" = "$(metadata 12 36 8)" ] || fail "dataset.json of made Sudokus"
[ "$(rows made/test/all__inputs.npy 36 | wc -l)" -eq 2 ] || fail "not a tenth as many to test with"
good generate sudoku --size 6 --count 12 --seed 5 --output-dir made2 --num-aug 2
rows made2/train/all__inputs.npy 36 | awk 'NR % 3 == 1' >originals
rows made/train/all__inputs.npy 36 | cmp -s - originals || fail "the same seed makes other Sudokus"
good generate maze --size 6 --count 4 --test-count 0 --output-dir madem --num-aug 7
[ "$(rows madem/train/all__inputs.npy 36 | wc -l)" -eq 32 ] && [ ! -e madem/test ] || fail "made mazes"

# There are 36 Sudokus of size 4, up to symmetry: no training puzzle is a test puzzle.
good generate sudoku --size 4 --count 30 --test-count 6 --output-dir thirty
refused "cannot make 7 sudokus of size 4" generate sudoku --size 4 --count 30 --test-count 7 --output-dir many
[ ! -e many ] || fail "what cannot be made leaves a folder"

# ---- showing

good show made 3
sed -n 3,\$p out >grid
grep -q "12 groups, 12 examples of 6 x 6 cells" out || fail "show does not say what it shows: $(head -n 1 out)"
grep -q '^  +---------+---------+  +---------+---------+$' grid || fail "show draws: $(cat grid)"
grep -q "$(printf '\033')" out && fail "colours on what is no terminal"
# The question and the answer, row by row, are those of example 3.
rows made/train/all__inputs.npy 36 | sed -n 4p | tr -d ' ' >expected
[ "$(grep '|' grid | cut -c 3-23 | tr -d '| \n' | tr '.12345678' '123456789')" = "$(cat expected)" ] ||
    fail "show draws another question: $(cat grid)"
good show made/test
[ "$(grep -c '^example' out)" -eq 2 ] || fail "show of a split: $(cat out)"
good show made --split test 1
grep -q '^example 1' out || fail "show --split test 1"
good show csv/train.csv --count 2
[ "$(grep -c '^example .*rating' out)" -eq 2 ] || fail "show of a table: $(cat out)"
good show maze 0
grep -q '##' out && grep -q 'S ' out && grep -q 'o ' out || fail "show of a maze: $(cat out)"
good show sudoku:4:3
refused "no example 12: the last is 11" show made 12
refused "nowhere" show nowhere
for command in "show made" weights; do
    # shellcheck disable=SC2086
    "$program" $command >/dev/full 2>err && fail "trm_data $command: a full disk goes unnoticed"
    [ "$(wc -l <err)" -eq 1 ] && grep -q 'standard output' err || fail "trm_data $command: a full disk: $(cat err)"
done
if command -v script >/dev/null; then
    script -qec "TERM=xterm '$program' show made 0" /dev/null >colours </dev/null
    grep -q "$(printf '\033')\[1m" colours || fail "no colours on a terminal"
    script -qec "TERM=xterm NO_COLOR=1 '$program' show made 0" /dev/null >colours </dev/null
    grep -q "$(printf '\033')" colours && fail "colours in spite of NO_COLOR"
fi

# ---- bad input

refused "holds a data set already" sudoku --input csv --output-dir plain
refused "holds a data set already" generate maze --size 5 --count 2 --output-dir plain
same_folder plain all || fail "what was refused has changed something"
good sudoku --input csv/test.csv --output-dir all --overwrite
[ "$(rows all/train/all__inputs.npy 16 | wc -l)" -eq 6 ] && [ ! -e all/test/dataset.json ] || fail "--overwrite"

head -c 700 csv/train.csv >cut.csv
refused "cut.csv:[0-9]*: " sudoku --input cut.csv --output-dir x
sed 's/,[0-9]*$/,many/' csv/train.csv >rating.csv
refused "rating.csv:2: the rating" sudoku --input rating.csv --output-dir x
refused "missing.csv: " sudoku --input missing.csv --output-dir x
refused "train.csv:2: " maze --input csv --output-dir x
cp plain/train/all__inputs.npy binary.csv
refused "binary.csv" sudoku --input binary.csv --output-dir x
good generate sudoku --size 6 --count 3 --test-count 0 --csv --output-dir six
refused "36 cells and 8 tokens, the training puzzles 16 and 6" \
    sudoku --input csv/train.csv --test-input six/train.csv --output-dir x
refused "expected a whole number" sudoku --input csv --output-dir x --num-aug -1
refused "expected a whole number" sudoku --input csv --output-dir x --subsample-size 0
refused "expected a whole number" sudoku --input csv --output-dir x --seed 99999999999999999999
refused "must be 4, 6 or 9" generate sudoku --size 5 --output-dir x
refused "a maze has at most 7" generate maze --num-aug 8 --output-dir x
refused "cannot generate 'chess'" generate chess
refused "unknown command 'sudokus'" sudokus
refused "expected train or test" show made --split all
[ ! -e x ] || fail "what fails leaves a folder: $(find x)"
: >file
refused "file/data: Not a directory" sudoku --input csv --output-dir file/data
(
    ulimit -f 40 # blocks of 512 bytes
    "$program" sudoku --input csv --output-dir x --num-aug 1000 >out 2>err
)
[ $? -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q "cannot write" err || fail "a full disk: $(cat out err)"
[ ! -e x ] || fail "a full disk leaves something: $(find x)"
"$program" sudoku --wrong >out 2>err && fail "a wrong option works"
grep -q "unrecognized option '--wrong'" err || fail "a wrong option: $(cat err)"

"$program" sudoku --input csv --output-dir x --num-aug 1000000 >out 2>err &
id=$!
tries=0
until [ -e x/train ] || [ $tries -gt 200 ]; do
    tries=$((tries + 1))
    sleep 0.02
done
kill -INT $id
wait $id
[ $? -eq 130 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q "stopped before it was complete" err ||
    fail "an interruption: $(cat out err)"
[ ! -e x ] || fail "an interruption leaves something: $(find x)"

# ---- help

for command in "" sudoku maze generate show weights; do
    "$program" $command --help >out 2>err && [ ! -s err ] && grep -q Usage: out || fail "trm_data $command --help"
done

[ $failures -eq 0 ] && echo "all of trm_data's behaviour is as it should be"
exit $((failures > 0))
