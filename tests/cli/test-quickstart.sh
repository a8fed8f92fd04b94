#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The quickstart runs through on what was built, shows its commands, and reads the export with a Delta reader.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${VDE_SOURCE_DIR:?}/tools/quickstart" "$scratch" </dev/null | tee "$scratch/output"
for text in '$ vdectl format demo.vde' '$ vdectl delta import demo.vde tests/data/' '$ vdectl table create demo.vde' \
    '$ vdectl txn commit demo.vde' '$ vdectl table history demo.vde' '$ vdectl table files demo.vde shop.orders@v0' \
    '$ vdectl table diff demo.vde' '$ vdectl check demo.vde' '$ vdectl delta export demo.vde' \
    'deltalake: version 0 has' 'Your turn' "The image is $scratch/demo.vde"; do
    grep -qF -- "$text" "$scratch/output" || { echo "FAILED: the output lacks: $text"; exit 1; }
done
[ "$(grep -c 'deltalake: version' "$scratch/output")" -eq 2 ]
# What it leaves behind can be used.
"${VDECTL:?}" table list "$scratch/demo.vde" shop | grep -q 'archive'

# Where PyPI is out of reach it says so and goes on.
mkdir "$scratch/offline"
env -u VDE_PYTHON PIP_INDEX_URL=http://127.0.0.1:9/ PIP_NO_CACHE_DIR=1 "$VDE_SOURCE_DIR/tools/quickstart" \
    "$scratch/offline" </dev/null >"$scratch/output"
grep -q 'Left out: PyPI is out of reach' "$scratch/output"
grep -q 'Your turn' "$scratch/output"
