# What the tests in shell share; they source it. POSIX sh.
# shellcheck shell=sh disable=SC2154 # build_root is the test's

# absolute PATH: the same from any folder
absolute() {
    echo "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"
}

# Goes to an empty folder that disappears with the test.
enter_empty_folder() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work" || exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# skip_without TOOL...
skip_without() {
    for tool; do
        have "$tool" || { echo "skipped: there is no $tool" && exit 77; }
    done
}

# install_to_stage [OPTION OF meson install ...]: the build of $build_root, below $stage in an empty folder. Meson's
# log of the last installation, by which one uninstalls, is the user's own again afterwards.
install_to_stage() {
    enter_empty_folder
    install_log=$build_root/meson-logs/install-log.txt
    [ ! -f "$install_log" ] || cp "$install_log" log_before
    trap restore_install_log EXIT
    stage=$work/stage
    meson install -C "$build_root" --no-rebuild --destdir "$stage" "$@" >out 2>&1 || {
        cat out
        exit 1
    }
}
restore_install_log() {
    if [ -f "$work/log_before" ]; then cp "$work/log_before" "$install_log"; else rm -f "$install_log"; fi
    rm -rf "$work"
}

failures=0
fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# The rest of a configuration whose model learns 4x4 Sudokus in seconds. In float64, so that training goes the
# same way with every instruction set.
learns_in_seconds() {
    cat <<'END'
global_batch_size: 16
epochs: 400
lr: 3e-3
lr_warmup_steps: 20
ema: True
ema_rate: 0.95
threads: 2
arch:
  hidden_size: 32
  num_heads: 2
  round_width: 16
  mlp_t: True
  pos_encodings: none
  puzzle_emb_len: 1
  H_cycles: 1
  L_cycles: 2
  halt_max_steps: 6
  forward_dtype: float64
END
}

# A configuration whose run has thirty steps, two evaluations, and ends at once.
runs_thirty_steps() {
    cat <<'END'
data_paths: [sudoku:4:20]
data_paths_test: [sudoku:4:8]
global_batch_size: 8
epochs: 12                  # 30 steps
eval_interval: 6
lr: 1e-3
lr_warmup_steps: 5
ema: True
ema_rate: 0.9
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
  halt_max_steps: 4
  forward_dtype: float32
END
}

# results RUN: all numbers of its metrics.jsonl but times, which stand behind them
results() {
    sed 's/,"seconds":[^,]*,"[a-z_]*":[^,}]*//' "$1/metrics.jsonl"
}

# weights FILE: the tensors of a weights file without its header, in which the names of run and folder stand
weights() {
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c "+$((header + 9))" "$1"
}

same_weights() {
    weights "$1" >weights.a
    weights "$2" >weights.b
    [ -s weights.a ] && cmp -s weights.a weights.b
}
