#!/bin/sh
# Builds the reference of the public headers, OUTPUT/html/index.html, with Doxygen; `ninja reference` runs it.
#
#   build.sh OP_MAP VERSION OUTPUT
#
# Whatever Doxygen warns of, such as a public function without a contract, is an error.
set -eu
op_map=$1 REEL_VERSION=$2 output=$3

rm -rf "$output"
mkdir -p "$output"
"$op_map" --page >"$output/ops.dox"
REEL_REFERENCE=$(cd "$output" && pwd)
export REEL_VERSION REEL_REFERENCE

cd "$(dirname "$0")/../.."
doxygen apps/reference/Doxyfile
echo "$REEL_REFERENCE/html/index.html"
