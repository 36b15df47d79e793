#!/bin/sh
# Makes calls to the system fail, one at a time (fault_shim.c): memory, threads, files that do not open, reads,
# writes, syncs, renames. Whatever fails, a program either does its work all the same, with the same bits, or
# exits with 1 and one line that says what is wrong; it never hangs or dies, leaves no temporary file, and every
# file that it did write is whole.
#
#   sh tests/test_faults.sh FAULT_SHIM FOLDER_OF_THE_PROGRAMS [all|COUNT [SCENARIO]]
#
# COUNT points are tried of each kind and scenario (default 3), evenly spread; `all` tries every one.
#
# shellcheck disable=SC2015,SC2094 # `a && b || fail` is meant; no file is read and written at once
set -u
. "$(dirname "$0")/shell.sh"
shim=$(absolute "$1")
programs=$(cd "$2" && pwd)
most=${3:-3}
only=${4:-}
if nm -D "$programs/trm_train" 2>/dev/null | grep -q -e __asan_init -e __tsan_init; then
    echo "skipped: sanitizers want malloc for themselves"
    exit 77
fi
enter_empty_folder

workers=$(nproc)
seconds_allowed=60 # a program that takes longer hangs

# ---- what is run -------------------------------------------------------------------------------------------

cat >tiny.yaml <<'END'
data_paths: [sudoku:4:16]
data_paths_test: [sudoku:4:8]
global_batch_size: 8
epochs: 3                   # 6 steps
eval_interval: 1
run_dir: run
lr_warmup_steps: 2
ema: True
threads: 2
arch:
  hidden_size: 16
  num_heads: 2
  round_width: 16
  mlp_t: True
  pos_encodings: none
  puzzle_emb_len: 1
  H_cycles: 2
  L_cycles: 2
  halt_max_steps: 2
  forward_dtype: float32
END
sed -e 's/sudoku:4:[0-9]*/..\/arc/' -e 's/mlp_t: True/mlp_t: False/' \
    -e 's/float32/bfloat16/' -e 's/global_batch_size: 8/global_batch_size: 2/' \
    -e '$a evaluators: [{name: arc@ARC}]' tiny.yaml >arc.yaml
pair='{"input": [[1, 2]], "output": [[2, 1]]}'
question='{"input": [[3], [4]]}'
echo "{\"aa\": {\"train\": [$pair, $pair], \"test\": [$question]}}" >t_training_challenges.json
echo '{"aa": [[[4], [3]]]}' >t_training_solutions.json
echo "{\"bb\": {\"train\": [$pair], \"test\": [$question, $question]}}" >t_evaluation_challenges.json
echo '{"bb": [[[4], [3]], [[5]]]}' >t_evaluation_solutions.json

made() {
    echo "FAIL: cannot prepare: $(cat prepared)"
    exit 1
}
"$programs/trm_data" generate sudoku --size 4 --count 12 --test-count 4 --csv --output-dir csv >prepared 2>&1 || made
"$programs/trm_data" sudoku --input csv --output-dir folder --num-aug 1 >prepared 2>&1 || made
"$programs/trm_data" arc --input-file-prefix t --subsets training evaluation --test-set-name evaluation \
    --num-aug 3 --output-dir arc >prepared 2>&1 || made
"$programs/trm_train" tiny.yaml run_dir=model >prepared 2>&1 && mv model/step_6.safetensors . || made
"$programs/trm_train" tiny.yaml 'data_paths=[arc]' 'data_paths_test=[arc]' arch.mlp_t=False global_batch_size=2 \
    max_steps=1 run_dir=arcmodel >prepared 2>&1 && mv arcmodel/step_1.safetensors arc.safetensors || made
"$programs/trm_convert" step_6.safetensors model.pt >prepared 2>&1 || made
"$programs/trm_train" tiny.yaml max_steps=3 >prepared 2>&1 && mkdir begun && mv run begun || made

# name | program | what follows it; run in an empty folder, so that inputs stand in the folder above
scenarios() {
    cat <<'END'
train|trm_train|../tiny.yaml
train_folder|trm_train|../tiny.yaml data_paths=[../folder] data_paths_test=[../folder] load_checkpoint=../step_6.safetensors global_batch_size=4 max_steps=3 optimizer=adamw grad_clip=1 eval_save_outputs=[preds]
train_arc|trm_train|../arc.yaml max_steps=2 demo=True profile=True
eval|trm_eval|--checkpoint ../step_6.safetensors --dataset ../folder/test --output preds.npy
eval_arc|trm_eval|--checkpoint ../arc.safetensors --dataset ../arc --evaluator arc --submission submission.json
resume|trm_train|../tiny.yaml resume=auto
convert_out|trm_convert|../step_6.safetensors model.pt
convert_in|trm_convert|../model.pt model.safetensors
convert_list|trm_convert|--list ../model.pt
solve|trm_solve|--checkpoint ../step_6.safetensors --threads 2 --watch 1...3...2...4...
data_sudoku|trm_data|sudoku --input ../csv --output-dir data --num-aug 2
data_generate|trm_data|generate maze --size 5 --count 4 --test-count 2 --output-dir data
data_arc|trm_data|arc --input-file-prefix ../t --subsets training evaluation --test-set-name evaluation --num-aug 3 --threads 1 --output-dir data
data_show|trm_data|show ../folder 1
END
}

# with_fault FAULT FOLDER: runs $program $arguments there, where a run waits if it is to be continued
with_fault() {
    if [ "$name" = resume ]; then cp -r begun "$2"; else mkdir "$2"; fi && (
        cd "$2" || exit 99
        # shellcheck disable=SC2086 # words
        REEL_FAULT=$1 REEL_FAULT_TRACE=../$2.trace timeout -s KILL "$seconds_allowed" \
            env LD_PRELOAD="$shim" "$programs/$program" $arguments >../"$2".out 2>../"$2".err </dev/null
    )
}

# ---- what must hold afterwards -----------------------------------------------------------------------------

# Numbers but no times, in all files of a folder.
without_times() {
    (cd "$1" && find . -type f | sort | while read -r file; do
        echo "$file"
        case $file in
        *.jsonl) sed 's/,"seconds":[^,]*,"[a-z_]*":[^,}]*//' "$file" ;;
        *) cksum <"$file" ;;
        esac
    done)
}

# What the program $program printed that ran in folder $1. A training goes on when nobody can be told of it.
shown() {
    case $program in
    trm_train) ;;
    *) grep -v 'puzzles/s' "$1.out" ;;
    esac
}

# The weights after each step, also those steps after which only an end that comes early saves.
learn_weights() {
    rm -rf steps
    mkdir steps
    [ "$program" = trm_train ] || return
    for n in 1 2 3 4 5 6; do
        # shellcheck disable=SC2086 # words
        (cd steps && "$programs/$program" $arguments max_steps=$n run_dir=$n demo=False >"$n.out" 2>&1) ||
            fail "$name: no weights of step $n: $(cat steps/$n.out)"
        weights steps/$n/step_$n.safetensors | cksum >steps/$n.sum
        rm -r steps/$n
    done
}

# Whether what stands in folder $1 is whole; says what is not.
is_whole() {
    find "$1" -name '*.tmp-*' | grep . && return 1
    for file in "$1"/run/step_*.safetensors; do
        [ -e "$file" ] || continue
        n=${file##*step_}
        weights "$file" | cksum | cmp -s - "steps/${n%.safetensors}.sum" || {
            echo "$file has other weights"
            return 1
        }
    done
    file=$1/run/metrics.jsonl
    [ ! -s "$file" ] || [ "$(tail -c 2 "$file")" = '}' ] || {
        echo "half a line in $file"
        return 1
    }
}

# A training that an error stops saves its weights also after other steps, and a state that cannot be removed in
# time stays: both are more than was asked for.
without_extras() {
    find "$1" -name 'st*_*.safetensors' | while read -r file; do
        [ -e "counted/${file#*/}" ] || rm "$file"
    done
}

# Whether the training in folder $1, now without a fault, goes on to the end that it would have had.
goes_on() {
    # shellcheck disable=SC2086
    (cd "$1" && "$programs/$program" $arguments resume=auto) >"$1.out" 2>&1 || {
        echo "does not go on: $(tail -n 1 "$1.out")"
        return 1
    }
    without_extras "$1"
    without_times "$1" | cmp -s - reference || {
        echo "goes on to another end"
        return 1
    }
}

# verdict FOLDER STATUS: clean, harmless, or bad and why
verdict() {
    if ! broken=$(is_whole "$1"); then
        echo "bad: $broken"
    elif [ "$2" -eq "$expected_status" ]; then
        case $program in trm_train) without_extras "$1" ;; esac
        { without_times "$1" && shown "$1"; } | cmp -s - reference && echo harmless ||
            echo "bad: exit $2 with another result"
    elif [ "$2" -ne 1 ]; then
        echo "bad: exit $2: $(cat "$1.err")"
    elif [ "$(wc -l <"$1.err")" -ne 1 ] || ! grep -q "^${program}[: ]" "$1.err"; then
        echo "bad: not one line: $(cat "$1.err")"
    elif [ -n "$(find "$1" -name 'state_*')" ] && ! broken=$(goes_on "$1"); then
        echo "bad: $broken"
    else
        echo clean
    fi
}

# points COUNT TAIL: which of them are tried; a third as many where all later calls fail too
points() {
    awk -v count="$1" -v most="$most" -v tail="$2" 'BEGIN {
        if (most != "all" && tail) most = int((most + 2) / 3)
        if (most == "all" || most >= count) { for (k = 1; k <= count; k++) print k; exit }
        if (most == 1) print int((count + 1) / 2)
        else for (i = 0; i < most; i++) print 1 + int(i * (count - 1) / (most - 1))
    }'
}

# try_points KIND TAIL: every one of the points on standard input, a line each
try_points() {
    while read -r k; do
        folder=$1$k$2
        with_fault "$1:$k$2" "$folder"
        said=$(verdict "$folder" $?)
        echo "$1:$k$2 $said"
        case $said in bad*) sed 's/^/    /' "$folder.trace" ;; esac
        rm -rf "$folder" "$folder.out" "$folder.err" "$folder.trace"
    done
}

# ---- all of it ---------------------------------------------------------------------------------------------

printf '%-14s %-16s %6s %6s %6s %8s %4s\n' scenario kind calls tried clean harmless bad >table
scenarios >list
while IFS='|' read -r name program arguments; do
    [ -z "$only" ] || [ "$only" = "$name" ] || continue
    rm -rf counted
    REEL_FAULT_COUNTS=../counts
    export REEL_FAULT_COUNTS
    with_fault none counted
    expected_status=$?
    unset REEL_FAULT_COUNTS
    if [ $expected_status -eq 1 ] || [ ! -s counts ]; then
        fail "$name: exit $expected_status without a fault: $(cat counted.err)"
        continue
    fi
    { without_times counted && shown counted; } >reference
    learn_weights
    while read -r kind count; do
        [ "$count" -gt 0 ] || continue
        for tail in '' :forever; do
            [ "$count" -gt 1 ] || [ -z "$tail" ] || continue
            points "$count" "$tail" >points
            worker=0
            while [ $worker -lt "$workers" ]; do
                awk -v n="$workers" -v i=$worker 'NR % n == i' points | try_points "$kind" "$tail" >results.$worker &
                worker=$((worker + 1))
            done
            wait
            cat results.* >results
            rm results.*
            printf '%-14s %-16s %6d %6d %6d %8d %4d\n' "$name" "$kind$tail" "$count" "$(wc -l <points)" \
                "$(grep -c ' clean$' results)" "$(grep -c ' harmless$' results)" "$(grep -c ' bad: ' results)" >>table
            if grep -q ' bad: ' results; then
                grep -v -e ' clean$' -e ' harmless$' results | sed "s/^/$name: /"
                failures=$((failures + 1))
            fi
        done
    done <counts
done <list

cat table
awk 'NR > 1 { tried += $4; clean += $5; harmless += $6; bad += $7 }
     END { printf "%d points tried: %d refused with one line, %d without harm, %d bad\n", tried, clean, harmless, bad }' table
[ $failures -eq 0 ]
