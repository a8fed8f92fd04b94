#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cppcheck over the libraries and tools. A finding that is wrong is silenced where it stands, with
# ctest: processors=2
# "cppcheck-suppress <id>" and the reason. Uninitialized variables are left to clang-tidy, which follows calls.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$(dirname "$0")/../..}" || exit 1

command -v cppcheck >/dev/null || { echo "cppcheck is missing (package cppcheck)"; exit 1; }
folders=
for folder in vde lakehouse tools/vdectl tools/nbd tools/bench fuzz; do
    [ -n "$(find "$folder" -name '*.c' -print -quit 2>/dev/null)" ] && folders="$folders $folder"
done
[ -n "$folders" ] || { echo "cppcheck: no source files found"; exit 1; }
# shellcheck disable=SC2086
cppcheck --std=c11 --language=c --platform=unix64 --enable=warning,portability,performance --inline-suppr --quiet \
    --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches --suppress=pointerOutOfBoundsCond \
    --suppress=uninitvar --suppress=uninitStructMember \
    --include="$here/macros.h" \
    --error-exitcode=1 -j "$(nproc)" \
    -D_GNU_SOURCE -D__linux__ -D__GNUC__=12 -I vde/include -I vde -I lakehouse/include -I lakehouse \
    --template='{file}:{line}: {severity}: {message} [{id}]' $folders && echo "cppcheck:$folders: no findings"
