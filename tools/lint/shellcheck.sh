#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every shell script passes shellcheck.
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 1

command -v shellcheck >/dev/null || { echo "shellcheck is missing (package shellcheck)"; exit 1; }
scripts=$(find .ci tools tests fuzz -name __pycache__ -prune -o -type f -print0 2>/dev/null |
    xargs -0 -r awk 'FNR == 1 && /^#!.*(bash|\/sh)/ { print FILENAME } FNR > 1 { nextfile }' | sort)
count=$(printf '%s\n' "$scripts" | grep -c .)
# shellcheck disable=SC2086
[ "$count" -gt 0 ] && shellcheck --external-sources --severity=style $scripts
status=$?
echo "shellcheck: $count scripts, status $status"
exit $status
