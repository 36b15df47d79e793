#!/bin/sh
# Kills a training (SIGKILL) at random moments and continues it, until it has been killed COUNT times; when a run
# comes to its end, the next begins. Every file that a kill leaves under its name must be whole and must hold the
# bits of a run that was never stopped; what was saved is not computed again; and every run that ends has the
# same weights, state and metrics (but for times) as one that was never stopped.
#
#   sh tests/kill_and_resume.sh PATH/TO/trm_train PATH/TO/trm_convert [COUNT [SEED]]
#
# COUNT is 10 and SEED 1 where they are not given. The moments follow from the seed and from how long a run takes
# here: spread evenly over a run, and every fourth within the time in which it starts.
#
# shellcheck disable=SC2015,SC2044 # files with plain names; `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1")
converter=$(absolute "$2")
count=${3:-10}
seed=${4:-1}
enter_empty_folder

# Nearly half of the steps save, and one in four evaluates.
cat >tiny.yaml <<'END'
run_dir: run
data_paths: [sudoku:4:16]
data_paths_test: [sudoku:4:20]
global_batch_size: 8
epochs: 40                  # 80 steps
eval_interval: 2
checkpoint_every: 3
lr_warmup_steps: 5
ema: True
ema_rate: 0.9
threads: 2
arch:
  hidden_size: 32
  num_heads: 2
  round_width: 16
  mlp_t: True
  pos_encodings: none
  puzzle_emb_len: 1
  H_cycles: 2
  L_cycles: 2
  halt_max_steps: 4
  forward_dtype: float32
END

milliseconds() {
    echo $(($(date +%s%N) / 1000000))
}

# The step of the newest state in the run's folder; 0: none
newest_state() {
    found=$(find run -name 'state_*.safetensors' 2>/dev/null | sed 's/.*state_//;s/\.safetensors//' | sort -n | tail -n 1)
    echo "${found:-0}"
}

# ---- a run that is not stopped, and how long it takes

begun=$(milliseconds)
"$program" tiny.yaml >out 2>err || {
    echo "FAIL: no run: $(cat err)"
    exit 1
}
length=$(($(milliseconds) - begun))
mv run whole
results whole >whole.results
echo "$count kills, seed $seed; a run takes $length ms and has $(grep -c train/ whole.results) steps"

# ---- what must hold

# Every file that bears its name is whole.
check_folder() {
    for file in $(find run -name 'step_*.safetensors' 2>/dev/null); do
        cmp -s "$file" "whole/${file##*/}" || fail "kill $kills: $file is not that of an unbroken run"
    done
    for file in $(find run -name 'state_*.safetensors' 2>/dev/null); do
        "$converter" --list "$file" >list.out 2>&1 || fail "kill $kills: $(cat list.out)"
    done
}

check_end() {
    ends=$((ends + 1))
    [ ! -s err ] || fail "end $ends, after kill $kills: $(cat err)"
    results run | cmp -s - whole.results || fail "end $ends, after kill $kills: other metrics"
    for file in whole/*.safetensors; do
        cmp -s "$file" "run/${file##*/}" || fail "end $ends, after kill $kills: ${file##*/} differs"
    done
    [ "$(find run -type f | wc -l)" -eq "$(find whole -type f | wc -l)" ] ||
        fail "end $ends, after kill $kills: $(find run -type f)"
}

# Where the kill hit, as far as its traces tell.
moment() {
    if find run -name '*.tmp-*' 2>/dev/null | grep -q .; then
        echo saving
    elif ! grep -q -e '^step' -e continues out; then
        echo start-up
    elif tail -n 1 out | grep -q saved; then
        echo evaluation
    else
        echo steps
    fi
}

# ---- kills

awk -v seed="$seed" -v count=$((count * 20 + 100)) -v longest="$length" 'BEGIN {
    srand(seed)
    for (i = 0; i < count; i++) printf "%.3f\n", 0.01 + rand() * (i % 4 ? longest : longest / 10) / 1000
}' >moments

kills=0 ends=0 before=0
: >hits
while [ $kills -lt "$count" ] && read -r wait_seconds; do
    before=$(newest_state)
    # --foreground: otherwise timeout dies by the signal itself, perhaps before the trainer has let go of its lock
    timeout --foreground -s KILL "$wait_seconds" "$program" tiny.yaml resume=auto >out 2>err
    status=$?
    ! grep -q continues out || grep -q "continues after step $before\$" out ||
        fail "kill $kills: the newest state is of step $before: $(grep continues out)"
    if [ $status -eq 137 ]; then
        kills=$((kills + 1))
        moment >>hits
        check_folder
    elif [ $status -eq 0 ] || [ $status -eq 124 ]; then # 124: it came to its end just when its time did
        check_end
        rm -rf run
    else
        fail "after kill $kills: exit $status: $(cat err)"
        break
    fi
    [ $failures -lt 5 ] || break
done <moments

"$program" tiny.yaml resume=auto >out 2>err || fail "the last: $(cat err)"
check_end

echo "killed $kills times: $(sort hits | uniq -c | awk '{printf "%s%d in %s", sep, $1, $2; sep = ", "}')"
echo "$ends runs came to their end, $failures failures"
[ $kills -eq "$count" ] || fail "only $kills kills"
[ $failures -eq 0 ]
