#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A program of somebody else's finds the installed libraries through CMake (shared and static) and through pkg-config,
# builds and runs.
set -eu
prefix=${VDE_BUILD_DIR:?}/release/prefix
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp -r "${VDE_SOURCE_DIR:?}/tests/abi/consumer" "$scratch/source"

cmake -S "$scratch/source" -B "$scratch/cmake" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Debug
cmake --build "$scratch/cmake"
for program in shared static engine; do
    "$scratch/cmake/$program" "$scratch/$program.vde"
done
# The static program needs none of our shared libraries.
if ldd "$scratch/cmake/static" | grep -E 'lib(vde|lakehouse)'; then
    echo "the static program loads a shared library of ours"
    exit 1
fi

pc=$(dirname "$(find "$prefix" -name libvde.pc)")
export PKG_CONFIG_PATH=$pc
libdir=$(pkg-config --variable=libdir liblakehouse)
# shellcheck disable=SC2046
gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -o "$scratch/pc" "$scratch/source/tables.c" \
    $(pkg-config --cflags --libs liblakehouse) -Wl,-rpath,"$libdir"
"$scratch/pc" "$scratch/pc.vde"
# shellcheck disable=SC2046
gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -o "$scratch/pc-static" "$scratch/source/engine.c" \
    $(pkg-config --cflags libvde) "$libdir/libvde.a" $(pkg-config --static --libs-only-l libvde | sed 's/-lvde //')
"$scratch/pc-static" "$scratch/pc-static.vde"
[ "$(pkg-config --modversion libvde)" = "$("$scratch/pc-static" --version)" ]
echo "consumers: 3 by CMake, 2 by pkg-config"
