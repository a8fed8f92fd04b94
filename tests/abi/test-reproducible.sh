#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ctest: timeout=900 processors=2
# The same source, built again in folders with other names, gives the same bytes.
set -eu
first=${VDE_BUILD_DIR:?}/release/prefix
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/another source tree"
cd "${VDE_SOURCE_DIR:?}"
cp -r CMakeLists.txt cmake vde lakehouse tools docs "$scratch/another source tree/"
cd "$scratch"
export TZ=Pacific/Kiritimati
cmake -S "another source tree" -B elsewhere/out -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVDE_TESTS=OFF >configure.log
cmake --build elsewhere/out >build.log
cmake --install elsewhere/out --prefix second >install.log
diff -r "$first" second
echo "$(find second -type f | wc -l) installed files are byte-equal"
