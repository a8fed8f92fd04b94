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
# The files that define what analysis.h wraps are looked at without it.
definitions=$(printf '%s\n' "$sources" | xargs grep -lE '^vde_status (vde_error_set|fail_corrupt|fail_as|lh_fail)\(')
others=$(printf '%s\n' "$sources" | grep -vxF "$definitions")
# Warnings are the job of the compiler that the build uses. The analyzer gives up on a function after so many states:
# without that bound a few long functions take most of the time.
limit=(--extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=30000)
tidy() { xargs -r -P "$(nproc)" -n 4 "$tidy" --quiet -p "$build" --extra-arg=-w "${limit[@]}" "$@" >>"$log" 2>/dev/null; }
printf '%s\n' "$definitions" | tidy
status=$?
printf '%s\n' "$others" | tidy --extra-arg=-include --extra-arg="$PWD/tools/lint/analysis.h" || status=1
grep -E '(warning|error):' "$log" | sort -u
findings=$(grep -cE '(warning|error):' "$log")
echo "clang-tidy: $(printf '%s\n' "$sources" | grep -c .) files, $findings findings"
[ "$status" -eq 0 ] && [ "$findings" -eq 0 ]
