#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over the libraries and tools, with the checks of .clang-tidy, as the build in VDE_BUILD_DIR compiles them.
# ctest: processors=2
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1

build=${VDE_BUILD_DIR:-build/asan}
tidy=$(command -v clang-tidy || command -v clang-tidy-14) || { echo "clang-tidy is missing (package clang-tidy)"; exit 1; }
[ -f "$build/compile_commands.json" ] || { echo "clang-tidy: $build has no compile_commands.json"; exit 1; }
sources=$(find vde lakehouse tools -name '*.c' 2>/dev/null | sort)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# clang does not know all options of the compiler that the build uses; the warnings are that compiler's job.
printf '%s\n' "$sources" | xargs -r -P "$(nproc)" -n 4 "$tidy" --quiet -p "$build" --extra-arg=-w \
    --extra-arg=-Wno-unknown-warning-option >"$log" 2>/dev/null
status=$?
grep -E '(warning|error):' "$log" | sort -u
findings=$(grep -cE '(warning|error):' "$log")
echo "clang-tidy: $(printf '%s\n' "$sources" | grep -c .) files, $findings findings"
[ "$status" -eq 0 ] && [ "$findings" -eq 0 ]
