#!/bin/sh
# Downloads: what lands in the cache is what the server has, a broken download goes on where it broke, damage is
# found, and whatever goes wrong is said in one line.
#
#   sh tests/test_fetch.sh PATH/TO/trm_data PATH/TO/http_server
#
# shellcheck disable=SC2015 # `a && b || fail` is meant
set -u
. "$(dirname "$0")/shell.sh"
program=$(absolute "$1")
server=$(absolute "$2")
enter_empty_folder
unset HF_ENDPOINT XDG_CACHE_HOME

mkdir home
"$server" home log >port &
server_id=$!
trap 'kill $server_id 2>/dev/null; rm -rf "$work"' EXIT
tries=0
until [ -s port ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { echo "the server does not start"; exit 1; }
    sleep 0.05
done
host=127.0.0.1:$(cat port)

# The one file that most of the following fetches: the configuration of a checkpoint is its first file, and the
# weights, of which nothing is known but what the server says, its second.
repository=sapientinc/HRM-checkpoint-ARC-2
folder=home/$repository/resolve/main
mkdir -p "$folder"
echo "arch: {}" >"$folder/all_config.yaml"

# write_weights COUNT WORD: some COUNT times 16 bytes; and what they hash to
write_weights() {
    i=0
    while [ $i -lt "$1" ]; do
        printf '%-8s%07d\n' "$2" $i
        i=$((i + 1))
    done >"$folder/checkpoint"
    sha256sum "$folder/checkpoint" | cut -d' ' -f1 >"$folder/checkpoint.sha256"
}

# get WORDS CACHE: fetches from a server that behaves as WORDS say
get() {
    : >log
    "$program" weights hrm-arc-2 --base-url "http://$host/$1" --cache-dir "$2" >out 2>err
    status=$?
}

# Where a file lies that came from a server that behaves as WORDS say.
cached() {
    echo "$2/$(echo "$host/$1" | tr ':/=,' '____')/models/$repository/checkpoint"
}

is_whole() {
    [ $status -eq 0 ] && cmp -s "$folder/checkpoint" "$(cached "$1" "$2")" && [ "$(cat out)" = "$(cached "$1" "$2")" ]
}

requests() {
    grep -c "/checkpoint " log
}

# says STATUS WORDS...: the last command failed with one line on standard error that has these words in it
says() {
    [ $status -eq "$1" ] || fail "$2: exits with $status: $(cat err)"
    [ "$(wc -l <err)" -eq 1 ] && grep -q "$2" err || fail "expected '$2', got: $(cat err)"
    [ ! -s out ] || fail "$2: says something on standard output: $(cat out)"
}

write_weights 4000 first # 64,000 bytes

# ---- a download

get plain a
is_whole plain a || fail "a plain download: $(cat out err)"
[ -f "$(dirname "$(cached plain a)")/all_config.yaml" ] || fail "the configuration does not lie beside the weights"
[ "$(find a -name '*.part*' | wc -l)" -eq 0 ] || fail "a finished download leaves something: $(find a)"
get plain a
is_whole plain a && [ ! -s log ] || fail "what the cache has is asked for again: $(cat log)"

get linked b
is_whole linked b || fail "a download from another place: $(cat out err)"

: >log
HOME=$work/h HF_ENDPOINT=http://$host/plain/ "$program" weights hrm-arc-2 >out 2>err &&
    [ -f "h/.cache/reel/${host%:*}_${host#*:}_plain/models/$repository/checkpoint" ] ||
    fail "HF_ENDPOINT and the cache in the home folder: $(cat out err; find h)"
XDG_CACHE_HOME=$work/x HF_ENDPOINT=http://$host/plain "$program" weights hrm-arc-2 >out 2>err
[ -d x/reel ] || fail "XDG_CACHE_HOME is not heeded: $(cat out err)"

mv "$folder/checkpoint" all && : >"$folder/checkpoint"
sha256sum "$folder/checkpoint" | cut -d' ' -f1 >"$folder/checkpoint.sha256"
get plain empty
is_whole plain empty || fail "an empty file: $(cat out err)"
write_weights 4000 first

# ---- broken off and taken up again

get cut=20000 c
is_whole cut=20000 c && [ "$(requests)" -eq 4 ] || fail "a connection that breaks: $(cat out err log)"
grep -q "checkpoint bytes=40000- \"$(cat "$folder/checkpoint.sha256")\"" log || fail "no range is asked for: $(cat log)"

get cut=6000 d
says 1 "the connection broke after 30000 of 64000 bytes"
[ "$(wc -c <"$(cached cut=6000 d).part")" -eq 30000 ] || fail "what came is not kept: $(find d -type f)"
[ ! -f "$(cached cut=6000 d)" ] || fail "a part of a file has the file's name"
get cut=6000 d
get cut=6000 d
is_whole cut=6000 d && head -n 1 log | grep -q 'bytes=60000-' || fail "a second command does not go on: $(cat err log)"

get cut=6000 e
write_weights 3000 second
get cut=6000 e
get cut=6000 e
is_whole cut=6000 e || fail "a file that changed between two parts: $(cat out err log)"
write_weights 4000 first

get cut=20000,no-range f
says 1 "the connection broke after 20000 of 64000 bytes"
get cut=20000,weak-tag g
[ "$(requests)" -eq 1 ] && ! grep -q 'bytes=' log || fail "a weak tag is used for a range: $(cat log)"
get cut=20000,wrong-part h2
says 1 "another part than was asked for"

# A part that is longer than the file, of what claims to be the same version.
get cut=6000 i
head -c 70000 /dev/zero >"$(cached cut=6000 i).part"
write_weights 300 first # 4,800 bytes: one piece
sha=$(cat "$folder/checkpoint.sha256")
printf '"%s"' "$sha" >"$(cached cut=6000 i).part.version"
get cut=6000 i
is_whole cut=6000 i || fail "a part that is no part: $(cat out err log)"
write_weights 4000 first

"$program" weights hrm-arc-2 --base-url "http://$host/stall" --cache-dir n >out 2>err &
id=$!
until [ -s "$(cached stall n).part" ] || [ $tries -gt 200 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
kill -INT $id
wait $id
status=$?
says 130 "stopped at 32000 bytes; the same command goes on from there"

# ---- damage

echo 0000000000000000000000000000000000000000000000000000000000000000 >"$folder/checkpoint.sha256"
get plain j
says 1 "damaged on its way and deleted"
[ "$(find j -name 'checkpoint*' | wc -l)" -eq 0 ] || fail "damage is kept: $(find j)"
get linked j
says 1 "damaged on its way and deleted"
write_weights 4000 first
get linked,wrong-size j
says 1 "9 bytes came and the server had promised 10"

# ---- other failures

get status=404 k
says 1 "no such file (404)"
get status=503 k
says 1 "status 503"
get status=401 k
says 1 "not give this file to everyone (401)"
[ "$(find k -type f -size +0 | wc -l)" -eq 0 ] || fail "the text of an error is kept: $(find k -type f)"

"$program" weights hrm-arc-2 --base-url http://127.0.0.1:1 --cache-dir k >out 2>err
status=$?
says 1 "127.0.0.1 port 1"
"$program" weights hrm-arc-2 --base-url ftp://localhost --cache-dir k >out 2>err
status=$?
says 1 "expected http://"
"$program" weights no-such --cache-dir k >out 2>err
status=$?
says 1 "unknown checkpoint 'no-such'"
: >file
"$program" weights hrm-arc-2 --base-url "http://$host/plain" --cache-dir file >out 2>err
status=$?
says 1 "file/.*Not a directory"
"$program" sudoku --output-dir o --source-repo ../x/y --cache-dir k >out 2>err
status=$?
says 1 "expected OWNER/NAME"

(
    ulimit -f 40 # blocks of 512 bytes
    "$program" weights hrm-arc-2 --base-url "http://$host/plain" --cache-dir full >out 2>err
)
status=$?
says 1 "cannot write: File too large"

mkdir -p "$(dirname "$(cached plain m)")"
exec 9>"$(cached plain m).part"
flock 9
get plain m
says 1 "another program is downloading it"
exec 9>&-
get plain m
is_whole plain m || fail "after another program has ended: $(cat err)"

# ---- data sets come the same way

mkdir -p home/datasets/sapientinc/sudoku-extreme/resolve/main
puzzles=home/datasets/sapientinc/sudoku-extreme/resolve/main
{
    echo "source,question,answer,rating"
    echo "test,1.3.34..2..34.2.,1234341221434321,0"
} >"$puzzles/train.csv"
cp "$puzzles/train.csv" "$puzzles/test.csv"
"$program" sudoku --output-dir s --base-url "http://$host/plain" --cache-dir l >out 2>err &&
    [ -f s/train/dataset.json ] && [ -f s/test/all__inputs.npy ] || fail "a data set that is fetched: $(cat err)"
"$program" sudoku --output-dir t --source-repo some/other --base-url "http://$host/plain" --cache-dir l >out 2>err
status=$?
says 1 "some/other/resolve/main/train.csv: .*404"
[ ! -e t ] || fail "a data set that cannot be fetched leaves a folder"

[ $failures -eq 0 ] && echo "all of fetching is as it should be"
exit $((failures > 0))
