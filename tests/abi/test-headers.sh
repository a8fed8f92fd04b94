#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each public header compiles alone and twice, as C99, C11 and C++11, without a warning.
set -u
cd "${VDE_SOURCE_DIR:?}" || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
headers=0
failed=0
for header in vde/include/vde/*.h lakehouse/include/lakehouse/*.h; do
    [ -f "$header" ] || continue
    headers=$((headers + 1))
    name=${header#*/include/}
    printf '#include <%s>\n#include <%s>\ntypedef int one_declaration;\n' "$name" "$name" >"$scratch/one.c"
    cp "$scratch/one.c" "$scratch/one.cpp"
    for how in 'gcc -std=c99' 'gcc -std=c11' 'g++ -std=c++11' 'clang -std=c99' 'clang -std=c11' 'clang++ -std=c++11'; do
        case $how in *++\ *) source=$scratch/one.cpp ;; *) source=$scratch/one.c ;; esac
        # shellcheck disable=SC2086
        $how -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I vde/include -I lakehouse/include \
            "$source" || { echo "FAILED: $how $name"; failed=$((failed + 1)); }
    done
done
echo "$headers headers, $failed failures"
[ "$headers" -gt 0 ] && [ "$failed" -eq 0 ]
