#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Rules of the table layer, turned off one at a time: without the ascending lock order the stress of table locks must hang,
# without roots the test of time travel must find that too much is replayed.
# ctest: labels=extended serial
set -u
cd "$(dirname "$0")/../.." || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/vde-mutation-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
missed=0

# build NAME SANITIZER TARGET: the project with VDE_MUTATE_<NAME>.
build() {
    if ! cmake -S . -B "$work/$1" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DVDE_SANITIZE="$2" -DVDE_MUTATE="$1" >"$work/log" 2>&1 ||
        ! cmake --build "$work/$1" --target "$3" >>"$work/log" 2>&1; then
        tail -n 20 "$work/log"
        exit 2
    fi
}

found() { echo "mutation $1: found, $2"; }
not_found() { echo "mutation $1: NOT FOUND"; missed=1; }

build LOCK_ORDER thread stress_locks
timeout 60 "$work/LOCK_ORDER/tests/stress_locks" 5 >"$work/log" 2>&1
if [ $? -eq 124 ]; then found LOCK_ORDER "the stress of table locks hangs"; else not_found LOCK_ORDER; fi

build NO_ROOTS "" unit_lakehouse_timetravel
if "$work/NO_ROOTS/tests/unit_lakehouse_timetravel" >"$work/log" 2>&1; then
    not_found NO_ROOTS
else
    found NO_ROOTS "$(grep -m1 -a 'Assert\|FAIL' "$work/log" | cut -c1-120)"
fi
exit "$missed"
