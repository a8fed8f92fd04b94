#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No path of somebody's own machine in the tree.
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1

files=$(find . -path ./.git -prune -o -path ./build -prune -o -name __pycache__ -prune -o -type f -print | sort)
hits=$(printf '%s\n' "$files" | xargs -r -d '\n' grep -nIE '(^|[^A-Za-z0-9_.$}~*-])/(work|farm|home|root|Users|workspace)/[A-Za-z0-9_.]' |
    grep -v '^\./tests/data/')
if [ -n "$hits" ]; then
    printf '%s\n' "$hits" | cut -c1-200
fi
count=$(printf '%s' "$hits" | grep -c '')
echo "workplace: $(printf '%s\n' "$files" | wc -l) files, $count findings"
[ "$count" -eq 0 ]
