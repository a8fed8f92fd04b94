#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every preset can be configured, and the sanitizers, assertions and instrumentation it stands for are in its commands.
set -eu
cd "${VDE_SOURCE_DIR:?}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
has() {
    local preset=$1 text
    shift
    cmake --preset "$preset" -B "$scratch/$preset" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
    for text in "$@"; do
        grep 'vde/base/error\.c' "$scratch/$preset/compile_commands.json" | grep -qF -- "$text" ||
            { echo "FAILED: preset $preset does not compile with $text"; exit 1; }
    done
    echo "$preset: $*"
}
has release -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fvisibility=hidden -Werror
has debug -DVDE_ASSERTIONS=1 -Werror
has asan -fsanitize=address,undefined -DVDE_ASSERTIONS=1
has checked -O2 -DVDE_ASSERTIONS=1
has tsan -fsanitize=thread -DVDE_ASSERTIONS=1
has coverage --coverage
has fuzz clang -fsanitize=fuzzer-no-link -fsanitize=address,undefined
presets=$(cmake --list-presets | grep -c '^ *"')
[ "$presets" -eq 7 ]
