#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the shared libraries export, what the symbol maps name and what the public headers declare is the same.
set -u
cd "${VDE_SOURCE_DIR:?}" || exit 1
build=${VDE_BUILD_DIR:?}/release/build
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

# same <library> <map> <node> <header>...
same() {
    local library=$1 map=$2 node=$3
    shift 3
    python3 tests/abi/exports.py --map "$node" "$@" >"$scratch/map"
    diff -u "$map" "$scratch/map" || { echo "FAILED: $map is not what the headers declare"; failed=1; }
    python3 tests/abi/exports.py "$@" >"$scratch/declared"
    nm -D --defined-only --with-symbol-versions "$build/$library" | awk '$2 != "A" { print $3 }' |
        sed "s/@@$node\$//" | LC_ALL=C sort >"$scratch/exported"
    diff -u "$scratch/declared" "$scratch/exported" || { echo "FAILED: $library exports something else"; failed=1; }
    echo "$library: $(wc -l <"$scratch/exported") symbols"
}
same libvde.so vde/libvde.map VDE_0.1 vde/include/vde/*.h
same liblakehouse.so lakehouse/liblakehouse.map LAKEHOUSE_0.1 lakehouse/include/lakehouse/*.h
exit $failed
