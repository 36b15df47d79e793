#!/bin/sh
# trm_convert from the outside: a model goes to PyTorch's format and back without losing a bit, published names and
# places are understood, and bad input is refused with one line and leaves nothing behind.
#
#   sh tests/test_convert.sh PATH/TO/trm_convert PATH/TO/trm_train PATH/TO/trm_eval
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1")
trainer=$(absolute "$2")
evaluator=$(absolute "$3")
golden=$(cd "$(dirname "$0")/../.." && pwd)/shared/golden/checkpoint # files of PyTorch, where they are
enter_empty_folder

# good ARGUMENT...: it works and says nothing on standard error
good() {
    "$program" "$@" >out 2>err
    status=$?
    [ $status -eq 0 ] && [ ! -s err ] || fail "trm_convert $*: exits with $status: $(cat err)"
}

# noted WORDS ARGUMENT...: it works, and one line on standard error has these words
noted() {
    words=$1
    shift
    "$program" "$@" >out 2>err
    status=$?
    [ $status -eq 0 ] || fail "trm_convert $*: exits with $status: $(cat err)"
    [ "$(wc -l <err)" -eq 1 ] && grep -q -- "$words" err || fail "trm_convert $*: expected '$words', got: $(cat err)"
}

# refused_by WORDS PROGRAM ARGUMENT...: it fails and says so in one line with these words, and nothing else happens
refused_by() {
    words=$1
    shift
    ls -lR >before
    "$@" >out 2>err
    status=$?
    [ $status -ne 0 ] || fail "$*: works"
    [ "$(wc -l <err)" -eq 1 ] && grep -q -- "$words" err || fail "$*: expected '$words', got: $(cat err)"
    [ ! -s out ] || fail "$*: says something on standard output: $(cat out)"
    ls -lR >after
    for file in before after; do
        grep -v -e ' out$' -e ' err$' -e ' before$' -e ' after$' -e '^total' $file >$file.kept
    done
    cmp -s before.kept after.kept || fail "$*: leaves something behind"
    rm before.kept after.kept
}

refused() {
    words=$1
    shift
    refused_by "$words" "$program" "$@"
}

# measured FILE: what trm_eval measures, without names and times
measured() {
    "$evaluator" --checkpoint "$1" --json | tr ',' '\n' | grep -v -e '"checkpoint"' -e seconds -e per_second
}

# ---- a model of ours, to PyTorch and back

{
    echo 'data_paths: [sudoku:4:20]'
    echo 'data_paths_test: [sudoku:4:5]'
    echo 'max_steps: 2'
    echo 'eval_interval: 400'
    learns_in_seconds
} >tiny.yaml
"$trainer" tiny.yaml run_dir=run >train.out 2>&1 || {
    echo "FAIL: no model: $(cat train.out)"
    exit 1
}
ours=run/step_2.safetensors

mkdir published
touch before after
good $ours published/step_2 --prefix _orig_mod.model.
[ "$(head -c 2 published/step_2)" = PK ] || fail "step_2 is no zip archive"
cmp -s run/all_config.yaml published/all_config.yaml || fail "the configuration beside a PyTorch file is not the run's"
good published/step_2 back.safetensors
grep -q ', step 2$' out || fail "the name of published/step_2 says no step: $(cat out)"
measured $ours >a
measured back.safetensors >b
[ -s a ] && cmp -s a b || fail "the model measures something else after its way through PyTorch's format"

good --list $ours
cp out a
[ "$(head -n 1 a | tr -s ' ')" = 'name shape dtype sum abs_sum' ] || fail "--list: $(head -n 1 a)"
good --list published/step_2
sed -e 's/_orig_mod\.model\.//' out | tr -s ' ' >b
tr -s ' ' <a >c
[ "$(tail -n +2 b)" = "$(tail -n +2 c)" ] || fail "--list differs after the way there: $(diff b c)"

good back.safetensors again.pt
good again.pt again.safetensors --step 2
cmp -s back.safetensors again.safetensors || fail "the way there and back changes a file"
good back.safetensors twice.pt
cmp -s again.pt twice.pt || fail "the same tensors give different files"
rm all_config.yaml

# ---- names, formats, places

good $ours x.pth --format safetensors
good --list x.pth
rm x.pth
good again.pt y --prefix model. --config run/all_config.yaml --step 7
good --list y
grep -q '^model\.inner\.H_init ' out || fail "--prefix: $(cat out)"
noted 'has no configuration: trm_eval needs' again.pt z
noted 'tensors outside model.inner.L_level.layers.0. are left out' y layer.pt --select model.inner.L_level.layers.0.
good --list layer.pt
grep -q '^mlp\.' out && ! grep -q inner out || fail "--select: $(cat out)"
sed 's/hidden_size: 32/hidden_size: 64/' run/all_config.yaml >all_config.yaml
cp all_config.yaml before.yaml
noted 'all_config.yaml is there already, with another' $ours other.pt
cmp -s all_config.yaml before.yaml || fail "a configuration that was there is replaced"
rm y z layer.pt other.pt before.yaml all_config.yaml

# ---- what is refused

refused 'usage: trm_convert IN OUT'
refused 'usage: trm_convert IN OUT' $ours
refused 'goes with one file' --list $ours again.pt
refused 'exists already; --overwrite replaces it' $ours again.pt
good $ours again.pt --overwrite
rm all_config.yaml
ln $ours linked.safetensors
refused 'would be written over' $ours linked.safetensors --overwrite
refused 'would be written over' $ours run/../$ours --overwrite
refused 'would be written over' again.pt run/all_config.yaml --config run/all_config.yaml --overwrite
refused 'cannot open: No such file' no.pt out.safetensors
refused 'cannot create: No such file' again.pt no/out.safetensors
refused 'cannot create: No such file' $ours no/out.pt
refused 'there are safetensors and pytorch' $ours out.pt --format onnx
refused 'expected a whole number' again.pt out.safetensors --step -1
refused 'expected a whole number' again.pt out.safetensors --step 3x
refused 'no tensor.s name begins so' again.pt out.safetensors --select outer.
refused 'header' tiny.yaml out.pt
printf 'PK\003\004 and nothing else' >cut.pt
refused 'no intact zip archive' cut.pt out.safetensors
printf '\200\002\212\012' >legacy.pt
refused 'before 1.6' legacy.pt out.safetensors
echo 'arch: {hidden_size: many}' >bad.yaml
refused 'bad.yaml:1' again.pt out.safetensors --config bad.yaml
rm linked.safetensors cut.pt legacy.pt bad.yaml

refused_by 'trm_convert again.pt OUT.safetensors' "$evaluator" --checkpoint again.pt
refused_by 'trm_convert again.pt OUT.safetensors' "$trainer" tiny.yaml run_dir=other load_checkpoint=again.pt

# ---- files of PyTorch

if [ -d "$golden" ]; then
    noted 'has no configuration' "$golden/trm_att.pt" att.safetensors
    good --list att.safetensors
    [ "$(wc -l <out)" -eq 20 ] && grep -q '^extra\.bool *\[2\] *bool ' out &&
        grep -q '^inner\.H_init *\[64\] *bf16 ' out || fail "trm_att.pt: $(cat out)"
    cp out a
    good --list "$golden/trm_att.pt"
    sed -e 's/_orig_mod\.//' -e 's/^model\.//' out | tr -s ' ' | tail -n +2 | sort >b
    tail -n +2 a | tr -s ' ' | sort >c
    cmp -s b c || fail "trm_att.pt: other sums after the conversion: $(diff b c)"
fi

[ $failures -eq 0 ] && echo "all of trm_convert's behaviour is as it should be"
[ $failures -eq 0 ]
