#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run-checked.sh COMMAND [ARGUMENT...] -- run a test and fail if it fails or any sanitizer has something to say.
#
# A leak does not fail a Criterion run, and UBSan goes on after a report: so every report goes to a file, also those
# of the programs that the test starts, and any file is a failure. Beside ASan, gcc's UBSan ignores its log_path and so
# ends the program instead. Otherwise the exit status is the command's (77: skipped).
set -u

if [ $# -eq 0 ]; then
    echo "usage: run-checked.sh COMMAND [ARGUMENT...]" >&2
    exit 2
fi

reports=$(mktemp -d "${TMPDIR:-/tmp}/vde-reports-XXXXXX") || exit 2
trap 'rm -rf "$reports"' EXIT

export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}log_path=$reports/asan"
export LSAN_OPTIONS="${LSAN_OPTIONS:+$LSAN_OPTIONS:}log_path=$reports/lsan"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}print_stacktrace=1:halt_on_error=1:log_path=$reports/ubsan"
export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}log_path=$reports/tsan"

"$@"
status=$?

for report in "$reports"/*; do
    [ -s "$report" ] || continue
    echo "=== ${report##*/}"
    cat "$report"
done >&2

if [ "$status" -ne 0 ]; then
    exit "$status"
fi
if [ -n "$(find "$reports" -type f -size +0 -print -quit)" ]; then
    echo "run-checked: the command succeeded, but a sanitizer reported (above)" >&2
    exit 1
fi
exit 0
