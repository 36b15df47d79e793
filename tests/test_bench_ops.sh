#!/bin/sh
# bench_ops: its table, JSON, comparison and shape files, and one line for what it cannot do.
#
#   sh tests/test_bench_ops.sh PATH/TO/bench_ops PATH/TO/op_list.h
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1")
op_list=$(absolute "$2")
enter_empty_folder

bench() {
    "$program" --quick --threads 2 "$@" >out 2>err
    status=$?
}

# refused WORDS ARGUMENTS...: a non-zero exit, nothing on standard output, and a first line with WORDS in it
refused() {
    words=$1
    shift
    bench "$@"
    [ $status -ne 0 ] && [ ! -s out ] && head -n 1 err | grep -qF -- "$words" ||
        fail "bench_ops $*: exit $status: $(cat err)"
}

# refused_file WORDS LINE...: a shape file of these lines is refused; the message says where
refused_file() {
    words=$1
    shift
    printf '%s\n' "$@" >bad.txt
    refused "bad.txt:$#: $words" --shapes bad.txt
    [ "$(wc -l <err)" -eq 1 ] || fail "more than one line: $(cat err)"
}

cat >tiny.txt <<'END'
# two sizes
sizes one N=5 M=3
sizes two N=2 M=1
rms_norm x=N,2*M  weight=2*M   # both
at two
linear   x=N,M    weight=4,M
matmul   a=N,M    b=M,N  no_grad
split    x=N,6    axis=1  lengths=1,2,3
embedding table=7,M indices=N
END

# The table has a line for each pass: gradients where there are rules and they are wanted.
bench --shapes tiny.txt
[ $status -eq 0 ] || fail "tiny shapes: exit $status: $(cat err)"
for row in 'rms_norm *| one *| forward ' 'rms_norm *| one *| backward ' 'rms_norm *| two *| backward ' \
    'linear *| two *| backward .* x=2,1 weight=4,1 |' 'matmul *| two *| forward .* no_grad |' 'split *| two *| backward ' \
    'embedding *| two *| backward '; do
    grep -q "^| $row" out || fail "no row '$row'"
done
! grep -q '^| linear *| one' out || fail "linear was measured at sizes that 'at' does not name"
! grep -q '^| matmul.*backward' out || fail "no_grad was measured backward"
[ "$(grep -c '^| [a-z_]* *| \(one\|two\) ' out)" -eq 11 ] || fail "$(cat out)"

# The shape files that come with it name every op; a call of each, small.
bench --list
[ $status -eq 0 ] || fail "--list: exit $status: $(cat err)"
mv out all
bench --json 4k
[ $status -eq 0 ] || fail "small shapes: exit $status: $(cat err)"
sed -n 's/^REEL_OP(\([a-z_]*\),.*/\1/p' "$op_list" >ops
[ "$(wc -l <ops)" -ge 57 ] || fail "$(wc -l <ops) ops"
while read -r op; do
    grep -q "^trm.txt:[0-9]*: $op sudoku " all || fail "$op is not measured at the sizes of TRM"
    grep -q "\"op\":	\"$op\"" out || fail "$op is not measured"
done <ops

# JSON holds the numbers; a comparison with itself finds nothing new, one with slower times finds all faster.
bench --shapes tiny.txt --json=now.json linear
[ $status -eq 0 ] && grep -q '^| linear' out || fail "--json=FILE beside a table: $(cat out err)"
for word in '"reel":' '"threads":	2' '"dtype":	"f32"' '"gemm_gflop_per_second":' '"pass":	"backward"' '"median_us":'; do
    grep -qF -- "$word" now.json || fail "now.json lacks $word"
done
sed 's/"median_us":.*/"median_us": 9e9,/' now.json >slow.json
bench --shapes tiny.txt --compare slow.json
grep -q '^Changed beyond the noise: 2 faster, 0 slower, of 11; 9 are new\.' out || fail "compare: $(tail -n 1 out)"
grep -q '^| linear .* faster [0-9.]*x ' out && grep -q '^| split .* new ' out || fail "$(cat out)"
sed 's/"median_us":.*/"median_us": 1e-6,/; s/"noise_us":.*/"noise_us": 0,/' now.json >fast.json
bench --shapes tiny.txt --json=then.json --compare fast.json linear
slower=$(awk '/"warm"/ { warm = 1 }
    warm && /"median_us"/ { median = $2 + 0 }
    warm && /"noise_us"/ { count += median > 2 * $2 + 1e-6; warm = 0 }
    END { print count + 0 }' then.json) # on a busy machine what one run measured may be noise alone
grep -q "^Changed beyond the noise: 0 faster, $slower slower, of 2; 0 are new\." out || fail "compare: $(tail -n 1 out)"

# A filter that is an op's name means that op alone.
bench --shapes tiny.txt two
[ "$(grep -c '^| [a-z_]* *| two ' out)" -eq 9 ] && ! grep -q '| one ' out || fail "filter by sizes: $(cat out)"

for dtype in f64 bf16; do
    bench --shapes tiny.txt --dtype $dtype
    [ $status -eq 0 ] || fail "$dtype: $(cat err)"
done

refused "no op and no sizes match 'nothing'" --shapes tiny.txt nothing
refused "more than one filter" --shapes tiny.txt add mul
refused "--dtype is f32, bf16 or f64, not 'f16'" --dtype f16
refused "--device is cpu or cuda, not 'tpu'" --device tpu
refused "whole number" --threads 0
refused "--bogus" --bogus
refused "missing.txt: No such file" --shapes missing.txt
refused "missing.json: No such file" --shapes tiny.txt --compare missing.json
echo '{"results": []}' >empty.json
refused "empty.json: not what bench_ops --json writes" --shapes tiny.txt --compare empty.json
head -c 200 now.json >half.json
refused "half.json: not what bench_ops --json writes" --shapes tiny.txt --compare half.json
bench --shapes tiny.txt --json=no/folder.json linear
[ $status -eq 1 ] && grep -q 'no/folder.json' err || fail "--json into no folder: $status: $(cat err)"
PYTHON=./no-python refused "./no-python" --shapes tiny.txt --against-pytorch
printf '#!/bin/sh\nexit 3\n' >python
chmod +x python
PYTHON=./python refused "PyTorch's side has ended" --shapes tiny.txt --against-pytorch

refused_file "'nonsense' is no op, and neither 'sizes' nor 'at'" 'nonsense x=1'
refused_file "exp has no input or attribute 'y'; its inputs are: x" 'exp y=1'
refused_file "linear lacks its input 'weight'" 'linear x=2,3'
refused_file "'Q' is neither a number nor among the sizes 'a'" 'sizes a N=1' 'exp x=Q'
refused_file "'N' is no number" 'exp x=N'
refused_file "-1 is no size" 'exp x=-1'
refused_file "1.5 is no size" 'exp x=1.5'
refused_file "1e+30 is no size" 'exp x=1e30'
refused_file "there are no sizes 'b'" 'sizes a N=1' 'at b'
refused_file "there are sizes 'a' already" 'sizes a N=1' 'sizes a N=2'
refused_file "more than 6 values" 'exp x=1,1,1,1,1,1,1'
refused_file "an input is named twice" 'exp x=1' 'add a=1 a=2 b=1'
refused_file "'word' is not NAME=VALUES" 'exp word'
echo '# nothing' >bad.txt
refused "bad.txt: names no op" --shapes bad.txt
# What only the op can know comes with its own words, and the line.
echo 'matmul a=2,3 b=4,5' >bad.txt
bench --shapes bad.txt
[ $status -eq 1 ] && grep -q '^bench_ops: bad.txt:1: matmul: ' err || fail "shapes that do not fit: $(cat err)"
echo 'exp x=1000000,1000000' >bad.txt
ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=0 bench --shapes bad.txt
[ $status -eq 1 ] && grep -q '^bench_ops: bad.txt:1: ' err || fail "too large: $(cat err)"

exit $((failures > 0))
