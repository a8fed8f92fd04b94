#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The example of docs/examples builds against the installed library, with pkg-config alone, as C99 and as C++11, and does
# what it says; the installation has a man page for every verb and header.
set -eu
prefix=${VDE_BUILD_DIR:?}/release/prefix
source=${VDE_SOURCE_DIR:?}/docs/examples/volume.c
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name libvde.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir libvde)
read -ra flags <<<"$(pkg-config --cflags --libs libvde)"
printf 'disk: after\ndisk@monday: before\ncopy: before\n' >"$scratch/expected"
gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -o "$scratch/c" "$source" "${flags[@]}" -Wl,-rpath,"$libdir"
g++ -std=c++11 -x c++ -Wall -Wextra -Werror -o "$scratch/cxx" "$source" -x none "${flags[@]}" -Wl,-rpath,"$libdir"
for program in c cxx; do
    "$scratch/$program" "$scratch/$program.vde" >"$scratch/output"
    diff "$scratch/expected" "$scratch/output"
    "$prefix/bin/vdectl" check "$scratch/$program.vde"
done

man=$(find "$prefix" -type d -name man1)/..
count=0
for header in "$prefix"/include/vde/*.h "$prefix"/include/lakehouse/*.h; do
    page=$(basename "$(dirname "$header")")_$(basename "$header" .h).3
    [ -s "$man/man3/$page" ] || { echo "no man page $page"; exit 1; }
    count=$((count + 1))
done
while read -r words; do
    page=vdectl-${words// /-}.1
    [ -s "$man/man1/$page" ] || { echo "no man page $page"; exit 1; }
    count=$((count + 1))
done < <("$prefix/bin/vdectl" --help | sed -nE 's/^  ([a-z]+( [a-z]+)?)( [A-Z[].*)?  .*/\1/p')
[ "$count" -gt 40 ]
mandoc -T lint -W error "$man"/man1/*.1 "$man"/man3/*.3
# Nothing of a page is lost as an unknown request.
[ "$(mandoc -T ascii "$man/man1/vdectl-format.1" | sed 's/.\x08//g' | grep -c -- '--size')" -ge 1 ]
echo "1 example in two languages, $count man pages"
