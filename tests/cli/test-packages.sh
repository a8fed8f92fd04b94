#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Missing Debian packages are named and installed: by root, through sudo, or not at all with advice. Nothing missing
# needs no root. The system's commands are played by scripts.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"
play() { printf '#!/bin/sh\n%s\n' "$2" >"$scratch/bin/$1" && chmod +x "$scratch/bin/$1"; }
for tool in bash sh grep env cat; do
    ln -s "$(command -v $tool)" "$scratch/bin/$tool"
done
# shellcheck disable=SC2016
play dpkg-query 'for last; do :; done; case $last in here-*) echo "ii " ;; *) exit 1 ;; esac'
play apt-get "echo apt-get \"\$@\" >>$scratch/done"

# need <user id> <package>...: the output goes to $scratch/out, what was installed to $scratch/done.
need() {
    local user=$1
    shift
    : >"$scratch/done"
    play id "echo $user"
    PATH=$scratch/bin bash -c '. "$0"; need_packages "$@"' "${VDE_SOURCE_DIR:?}/tools/lib/packages.sh" "$@" >"$scratch/out" 2>&1
}
fail() { echo "FAILED: $1"; cat "$scratch/out" "$scratch/done"; exit 1; }

need 1000 here-a here-b || fail "nothing missing needs no root"
[ ! -s "$scratch/done" ] || fail "nothing missing installs nothing"
need 0 here-a gone-b gone-c || fail "root installs"
grep -q 'Missing Debian packages: gone-b gone-c' "$scratch/out" || fail "the missing ones are named"
grep -q 'apt-get install .*gone-b gone-c' "$scratch/done" || fail "the missing ones are installed"
need 1000 gone-b && fail "neither root nor sudo must fail"
grep -q 'apt-get install gone-b' "$scratch/out" || fail "the advice names the command"
# shellcheck disable=SC2016
play sudo 'echo sudo >>'"$scratch"'/done; exec "$@"'
need 1000 gone-b || fail "sudo installs"
grep -q sudo "$scratch/done" || fail "sudo was asked"
grep -q 'apt-get install .*gone-b' "$scratch/done" || fail "sudo was asked"
play apt-get 'exit 100'
need 0 gone-b && fail "a failed installation must fail"
echo "packages: done"
